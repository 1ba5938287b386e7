// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reproduction itself, and the controls of its verdict.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Scene, shipped_series};

#[test]
fn the_race_shows_on_the_kernel_as_it_is_and_the_fixed_one_stays_clean() {
    let report = shows_on("x86_64", "vmlinux");
    // The fixed kernel did write back: it was not clean because nothing happened.
    assert!(report["cells"][1]["exposure"]["writebacks"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn the_race_shows_on_arm64_and_the_fixed_kernel_stays_clean() {
    shows_on("arm64", "Image");
}

#[test]
fn the_race_shows_on_riscv64_and_the_fixed_kernel_stays_clean() {
    shows_on("riscv64", "Image");
}

/// The whole of `repro` on one architecture. `image` is the kernel image that it boots.
fn shows_on(arch: &str, image: &str) -> serde_json::Value {
    let scene = Scene::new();
    // The budget is only the end of patience: a cell ends when it has had its exposure.
    let ran = scene.run(&["repro", "--arch", arch, "--seed", "1", "--budget", "10m", "--json"]);
    ran.expect(0);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report, scene.report());

    let [buggy, fixed] = &report["cells"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(buggy["verdict"], "kernel-bug");
    assert_eq!(buggy["expected"], true);
    let title = buggy["bugs"][0]["finding"]["title"].as_str().unwrap();
    assert!(title.starts_with("KASAN: use-after-free"), "{title}");
    assert_eq!(fixed["verdict"], "clean");
    assert_eq!(fixed["bugs"].as_array().unwrap().len(), 0);
    let count = |cell: &serde_json::Value, name: &str| cell["exposure"][name].as_u64().unwrap();
    for name in ["windows", "swapoffs"] {
        assert!(count(fixed, name) >= 10 * count(buggy, name), "{name}: {report:#}");
        assert!(count(fixed, name) >= 10, "{name}: {report:#}");
    }
    assert!(count(fixed, "verified") > 0, "{report:#}");

    let folder = scene.run_folder();
    let console = fs::read(folder.join("buggy/boot-1/console.log")).unwrap();
    let console = String::from_utf8_lossy(&console);
    assert!(
        console.contains("BUG: KASAN: use-after-free") && console.contains("Allocated by task")
    );
    assert_eq!(buggy["cell"]["arch"], arch, "{report:#}");
    for file in ["README", "replay.sh", "config", image, "initramfs.cpio"] {
        assert!(folder.join("bundle-buggy").join(file).is_file(), "{file} is missing");
    }
    replays(&folder.join("bundle-buggy"));
    let mail = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(mail.contains(title) && mail.contains("6.1."), "{mail}");
    // Sockets and disks are gone.
    let left: Vec<_> = fs::read_dir(folder.join("buggy/boot-1")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    report
}

/// The bundle's script boots the machine without the harness and cleans up after itself.
fn replays(bundle: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let mut script = Command::new("sh")
        .arg(bundle.join("replay.sh"))
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let console = BufReader::new(script.stdout.take().unwrap());
    // The end of the console would be the script's end, and then nothing has stormed.
    let stormed = console.split(b'\n').map_while(Result::ok).any(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(" swapstorm ") && line.contains(" sample ")
    });
    let group = format!("-{}", script.id());
    let killed = Command::new("kill").args(["-TERM", "--", &group]).status().unwrap();
    let code = script.wait().unwrap().code();
    assert!(stormed && killed.success(), "the machine ended before its storm");
    assert_eq!(code, Some(143));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn no_task_sleeps_under_a_spinlock_on_arm64() {
    refuses_on("arm64");
}

#[test]
fn no_task_sleeps_under_a_spinlock_on_riscv64() {
    refuses_on("riscv64");
}

/// Where `preempt_count` lies is written down for these architectures, not read from the kernel.
/// Were it wrong, tasks would sleep at this call, or at none.
fn refuses_on(arch: &str) {
    let scene = Scene::new();
    let name = "zswap-writeback-swapoff";
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/profiles");
    let text = fs::read_to_string(shipped.join(format!("{name}.yaml"))).unwrap();
    let (storm, _) = text.split_once("\nstretch:").unwrap();
    let point = "function: zswap_frontswap_load, call: _raw_spin_unlock, occurrence: 2, ms: 100";
    let text = format!("{storm}\nstretch:\n  - {{ {point}, why: the tree's lock is held }}\n");
    scene.own(&format!("workloads/profiles/{name}.yaml"), &text);
    scene.run(&["repro", "--arch", arch, "--seed", "7", "--budget", "3s"]).expect(4);
    let report = scene.report();
    let exposure = &report["cells"][0]["exposure"];
    assert_eq!(exposure["windows"], 0, "{report:#}");
    assert!(exposure["refused"].as_u64() > Some(0), "{report:#}");
}

/// Another crash in the fixed kernel is another bug, never the race.
#[test]
fn a_crash_elsewhere_is_another_bug() {
    let scene = Scene::new();
    let series = scene.path("series");
    fs::create_dir(&series).unwrap();
    let mut list = String::new();
    for name in ["zswap-writeback-swapoff-6.1", "bug-elsewhere-6.1"] {
        let folder = shipped_series(name);
        for line in fs::read_to_string(folder.join("series")).unwrap().lines() {
            if !line.is_empty() && !line.starts_with('#') {
                fs::copy(folder.join(line), series.join(line)).unwrap();
                list.push_str(&format!("{line}\n"));
            }
        }
    }
    fs::write(series.join("series"), list).unwrap();
    let ran = scene.run(&["repro", "--seed", "2", "--series", series.to_str().unwrap()]);
    ran.expect(1);
    let report = scene.report();
    assert_eq!(report["cells"][0]["expected"], true, "{report:#}");
    let fixed = &report["cells"][1];
    assert_eq!(fixed["verdict"], "kernel-bug", "{report:#}");
    assert_eq!(fixed["expected"], false, "{report:#}");
    let title = fixed["bugs"][0]["finding"]["title"].as_str().unwrap();
    assert!(title.starts_with("kernel BUG in"), "{title}");
}

/// A report that is only related to the race is no reason to stop looking for it, and never counts
/// as it.
#[test]
fn a_related_report_is_not_the_race() {
    let scene = Scene::new();
    scene.run(&["repro", "--seed", "4", "--reintroduce", "null-tree-6.1"]).expect(1);
    let report = scene.report();
    let cell = &report["cells"][0];
    assert_eq!(
        (&cell["verdict"], &cell["expected"]),
        (&"kernel-bug".into(), &false.into()),
        "{report:#}"
    );
    let boots = cell["boots"].as_array().unwrap();
    assert_eq!(boots.len(), 3, "{report:#}");
    assert!(boots.iter().all(|boot| boot["end"] == "derailed"), "{report:#}");
    assert_eq!(cell["bugs"][0]["standing"], "related", "{report:#}");
}

/// With `--reintroduce` the series belongs to the side that is to show the bug. The fixing series
/// put there shows that the sides are swapped: the bug comes where it should not.
#[test]
fn a_series_that_is_to_bring_the_bug_belongs_to_the_buggy_side() {
    let scene = Scene::new();
    let series = "zswap-writeback-swapoff-6.1";
    let args = ["repro", "--seed", "3", "--budget", "4s", "--reintroduce", series];
    scene.run(&args).expect(1);
    let report = scene.report();
    let [with, without] = &report["cells"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(
        (with["cell"]["series"].as_str(), without["cell"]["series"].as_str()),
        (Some(series), None)
    );
    assert_ne!(with["verdict"], "kernel-bug", "{report:#}");
    // Related reports are bugs, too, where nothing should show.
    assert_eq!(without["verdict"], "kernel-bug", "{report:#}");
    assert_eq!(without["bugs"][0]["finding"]["frame"], "zswap_writeback_entry", "{report:#}");
}

/// Without preemption the window holds no quiescent state: nothing is compiled or booted.
#[test]
fn a_kernel_that_cannot_show_the_race_is_not_booted() {
    let scene = Scene::new();
    let manifests =
        scene_manifest(&scene, "no-preempt", "CONFIG_PREEMPT_NONE=y\nCONFIG_PREEMPT=n\n");
    let ran = scene.run(&["repro", "--kernel", &manifests]);
    ran.expect(4).says(&["CONFIG_PREEMPT", "quiescent state"]);
    let report = scene.report();
    assert_eq!(report["cells"][0]["verdict"], "unreachable", "{report:#}");
    assert_eq!(report["cells"][0]["boots"].as_array().unwrap().len(), 0);
}

/// A manifest of the user's own: Debian's 6.1 with one more fragment. Returns its name.
pub fn scene_manifest(scene: &Scene, fragment: &str, options: &str) -> String {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernels/manifests/debian-6.1.yaml");
    let text = fs::read_to_string(shipped).unwrap();
    let text = text.replace("race]", &format!("race, {fragment}]"));
    assert!(text.contains(fragment), "{text}");
    scene.own(&format!("kernels/config/{fragment}.config"), options);
    scene.own(&format!("kernels/manifests/with-{fragment}.yaml"), &text);
    format!("with-{fragment}")
}
