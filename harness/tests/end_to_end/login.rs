// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that one can log in to.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Ran, Scene};

/// Runs a command in a guest, with `input` on its stdin.
fn exec(scene: &Scene, command: &str, input: &[u8]) -> Ran {
    let mut child = scene
        .swapstorm()
        .arg("exec")
        .args(scene.plain_kernel())
        .args(["--", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn a_command_has_our_streams_and_we_have_its_status() {
    let scene = Scene::new();
    // More than any buffer on the way holds, and bytes that a terminal would change.
    let input: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let outside = "wget -q -T 5 -O - http://10.0.2.2/ || echo nobody is there";
    let command = format!("wc -c; uname -r; {outside}; echo trouble >&2; exit 7");
    let ran = exec(&scene, &command, &input);
    ran.expect(7).says(&["trouble"]);
    let mut lines = ran.stdout.lines();
    assert_eq!(lines.next(), Some("3000000"), "{}", ran.stdout);
    assert!(lines.next().is_some_and(|release| release.starts_with("6.1.")), "{}", ran.stdout);
    assert_eq!(lines.next(), Some("nobody is there"), "{}", ran.stdout);
    let report = scene.report();
    assert_eq!(report["cells"][0]["boots"][0]["end"], "enough", "{report:#}");
    // Keys of one run are of no use to the next, and to nobody else.
    assert!(!scene.run_folder().join("initramfs.cpio").exists());
}

/// Nothing that is judged depends on SSH.
#[test]
fn a_guest_that_loses_its_sshd_is_still_judged() {
    let scene = Scene::new();
    let ran = exec(&scene, "killall -9 dropbear; sleep 1000", b"");
    ran.expect(3).says(&["connection to the guest broke", "console"]);
    let report = scene.report();
    assert_eq!(report["cells"][0]["boots"][0]["end"], "enough", "{report:#}");
    assert_eq!(report["finished"], true, "{report:#}");
}

#[test]
fn a_kernel_that_dies_under_its_visitor_is_reported() {
    let scene = Scene::new();
    let ran = exec(&scene, "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger", b"");
    ran.expect(3).says(&["the guest's kernel reported: ", "sysrq"]);
}

/// Runs a command in a guest of the shipped image whose start script ends in another way.
fn exec_in(scene: &Scene, last_line: &str) -> Ran {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/recipes/shell.yaml");
    let text = fs::read_to_string(shipped).unwrap();
    let (before, after) = text.split_once("exec dropbear").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let recipe = scene.path("mine.yaml");
    fs::write(&recipe, format!("{before}{last_line}\n{after}")).unwrap();
    let [option, kernel] = scene.plain_kernel();
    scene.run(&["exec", option, kernel, "--image", recipe.to_str().unwrap(), "--", "true"])
}

#[test]
fn a_guest_with_another_host_key_is_not_logged_in_to() {
    let scene = Scene::new();
    let own_key = "dropbearkey -t ed25519 -f /tmp/key; exec dropbear -s -r /tmp/key";
    exec_in(&scene, own_key).expect(3).says(&["the host key is not the one made for this guest"]);
}

#[test]
fn a_guest_without_an_sshd_refuses() {
    let scene = Scene::new();
    exec_in(&scene, "true").expect(3).says(&["the guest refuses SSH", "console"]);
    // The control: the same recipe with its own last line.
    let dropbear = "exec dropbear -s -r /etc/dropbear/host_key";
    fs::remove_dir_all(scene.path("out")).unwrap();
    exec_in(&scene, dropbear).expect(0);
}

/// A login shell on a terminal: its size, its echo, its exit status.
#[test]
fn a_shell_has_a_terminal() {
    let scene = Scene::new();
    let swapstorm = scene.swapstorm();
    let program = swapstorm.get_program().to_str().unwrap();
    let kernel = scene.plain_kernel().join(" ");
    let inner = format!("stty rows 31 cols 97; exec {program} shell {kernel}");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--echo", "never", "--command", &inner, "/dev/null"]);
    for (name, value) in swapstorm.get_envs() {
        script.env(name, value.unwrap());
    }
    let mut child = script
        .current_dir(scene.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The shell reads it once it is there.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"tty; stty size; echo $((6*7))\rexit 5\r").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.expect(5);
    for word in ["/dev/pts/0", "31 97", "42"] {
        assert!(ran.stdout.contains(word), "no {word} in\n{}", ran.stdout);
    }
}
