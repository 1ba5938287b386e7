// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines that already run their kernel: a guest that another swapstorm has booted, and an OpenSSH
//! server on this machine, on which no agent is ever started.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ran, Scene};

/// All that a storm could leave behind.
const STATE: &str = "cat /proc/swaps; losetup -a; ls /sys/block; grep . /sys/module/zswap/parameters/*; \
    find /sys/fs/cgroup -type d; cat /sys/fs/cgroup/cgroup.subtree_control; \
    cat /proc/sys/kernel/printk /proc/sys/kernel/printk_devkmsg /proc/mounts; ls /tmp; \
    ps | grep -e agent -e kmsg | grep -v grep | wc -l";

/// A guest whose shell we have, and which others can log in to.
struct Guest {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Guest {
    fn boot(scene: &Scene) -> Self {
        let mut child = scene
            .swapstorm()
            .env("SWAPSTORM_OUT", scene.path("guest"))
            .arg("exec")
            .args(scene.plain_kernel())
            .args(["--keys", "keys", "--", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut guest = Self { child, stdin, stdout };
        // The answer shows that it is up.
        assert_eq!(guest.ask("echo here"), "here\n");
        guest
    }

    fn ask(&mut self, command: &str) -> String {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{command}\necho; echo =end=\n").as_bytes()).unwrap();
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the guest is gone: {answer}");
            if line == "=end=\n" {
                return answer.strip_suffix('\n').unwrap_or(&answer).to_owned();
            }
            answer.push_str(&line);
        }
    }

    /// Makes a user who logs in with the same key, and a sudo that asks nothing.
    fn add_user_with_sudo(&mut self, scene: &Scene) {
        let source = "#include <string.h>\n#include <unistd.h>\nint main(int c, char **v) {\n\
            if (c < 3 || strcmp(v[1], \"-n\") || setgid(0) || setuid(0)) return 1;\n\
            execvp(v[2], v + 2); return 127; }\n";
        fs::write(scene.path("sudo.c"), source).unwrap();
        let mut gcc = Command::new("x86_64-linux-gnu-gcc");
        gcc.args(["-static", "-Os", "-s", "-o", "sudo", "sudo.c"]).current_dir(scene.dir.path());
        assert!(gcc.status().unwrap().success());
        let coded = Command::new("base64").arg(scene.path("sudo")).output().unwrap().stdout;
        let coded = String::from_utf8(coded).unwrap();
        self.ask(&format!("base64 -d >/bin/sudo <<'='\n{coded}=\nchmod 4755 /bin/sudo"));
        self.ask(
            "echo 'user:x:1000:1000::/home/user:/bin/sh' >>/etc/passwd; mkdir -p /home/user; \
             cp -r /root/.ssh /home/user; chown -R 1000:1000 /home/user; chmod 1777 /tmp",
        );
    }

    /// Waits until the agent has gone, and everything with it.
    fn wait_for_agent(&mut self) {
        self.ask("while ps | grep -v grep | grep -q -e agent -e swapstorm.; do sleep 0.1; done");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The end of its stdin ends the shell, and so the guest.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// Writes a plan for the guest. `more` is further keys.
fn plan(scene: &Scene, more: &str) {
    let target = fs::read_to_string(scene.path("keys/target")).unwrap();
    let plan = format!(
        "about: a machine that runs\ntarget: {target}profiles: [zswap-writeback-swapoff]\n{more}"
    );
    fs::write(scene.path("plan.yaml"), plan).unwrap();
}

fn command(scene: &Scene) -> Command {
    let mut command = scene.swapstorm();
    // The guest is translated, which the program cannot know of a machine behind SSH.
    command.env("SWAPSTORM_TIMEOUT_SCALE", "8");
    command.args(["run", "plan.yaml", "--seed", "1", "--identity", "keys/id"]);
    command.args(["--known-hosts", "keys/known_hosts"]);
    command
}

fn run(scene: &Scene) -> Ran {
    Ran::from(command(scene).output().unwrap())
}

/// Starts a run and waits until the storm has begun.
fn begin(scene: &Scene) -> (Child, impl Iterator<Item = String>) {
    let mut child = command(scene).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("guest up")).expect("the storm begins");
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn a_machine_is_left_as_it_was_found() {
    let scene = Scene::new();
    let mut guest = Guest::boot(&scene);
    let before = guest.ask(STATE);

    // It is not touched unasked: zswap is on in our guests, and one can have swap.
    plan(&scene, "storm: 5s\n");
    run(&scene).expect(2).says(&["zswap is in use on the machine", "allow: [zswap]"]);
    assert_eq!(guest.ask(STATE), before);
    fs::remove_dir_all(scene.path("out")).unwrap();
    plan(&scene, "storm: 5s\nallow: [zswap]\n");
    guest.ask("mkswap /dev/vda; swapon /dev/vda");
    run(&scene).expect(2).says(&["the machine has swap", "allow: [swap]"]);
    assert!(guest.ask("cat /proc/swaps; swapoff /dev/vda").contains("/dev/vda"));
    assert_eq!(guest.ask(STATE), before);

    // A storm to its end. This kernel has no sanitizer, and the race there shows rarely.
    fs::remove_dir_all(scene.path("out")).unwrap();
    let ran = run(&scene);
    let report = scene.report();
    let cell = &report["cells"][0];
    assert!(cell["exposure"]["swapoffs"].as_u64().unwrap() > 0, "{report:#}\n{}", ran.stderr);
    assert!(cell["exposure"]["verified"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(cell["boots"][0]["end"], "budget", "{report:#}");
    assert!(cell["kernel"]["source"].as_str().unwrap().starts_with("not built by"), "{report:#}");
    assert_eq!(guest.ask(STATE), before);

    // The same by sudo, with a reader of the log that the kernel overtakes.
    let root = fs::read_to_string(scene.path("keys/target")).unwrap();
    guest.add_user_with_sudo(&scene);
    let before_sudo = guest.ask(STATE);
    fs::write(scene.path("keys/target"), root.replace("root@", "user@")).unwrap();
    plan(&scene, "storm: 20s\nallow: [zswap]\n");
    fs::remove_dir_all(scene.path("out")).unwrap();
    let (child, lines) = begin(&scene);
    // More than the kernel's log holds, which is 128 KiB.
    let flood = "for i in $(seq 200); do printf '<7>%0900d\\n' $i >/dev/kmsg; done";
    guest.ask(&format!("killall -STOP cat; {flood}; killall -CONT cat"));
    let stderr: Vec<String> = lines.collect();
    let ran = Ran::from(child.wait_with_output().unwrap());
    let cell = &scene.report()["cells"][0];
    assert_eq!(cell["boots"][0]["end"], "budget", "{ran:#?}\n{stderr:#?}");
    let cells = fs::read_dir(scene.run_folder()).unwrap().flatten();
    let console = cells.map(|cell| cell.path().join("boot-1/console.log")).find(|log| log.exists());
    let console = fs::read(console.unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&console).contains("printk messages dropped **\n"));
    assert_eq!(guest.ask(STATE), before_sudo);
    fs::write(scene.path("keys/target"), root).unwrap();

    // Ctrl-C, and a harness that is killed in the middle.
    plan(&scene, "storm: 10m\nallow: [zswap]\n");
    fs::remove_dir_all(scene.path("out")).unwrap();
    let (child, lines) = begin(&scene);
    signal(&child, Signal::INT);
    let stderr: Vec<String> = lines.collect();
    Ran::from(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(scene.report()["cells"][0]["boots"][0]["end"], "interrupted", "{stderr:#?}");
    assert_eq!(guest.ask(STATE), before);
    let (mut child, _lines) = begin(&scene);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    guest.wait_for_agent();
    assert_eq!(guest.ask(STATE), before);
}

#[test]
fn a_lost_machine_is_judged_by_its_console_first() {
    let scene = Scene::new();
    let mut guest = Guest::boot(&scene);
    let run_of_guest = fs::read_dir(scene.path("guest")).unwrap().next().unwrap().unwrap().path();
    let console = run_of_guest.join("guest/boot-1/console.log");
    plan(&scene, &format!("storm: 10m\nallow: [zswap]\nconsole: {}\n", console.display()));
    let (child, lines) = begin(&scene);
    let stdin = guest.stdin.as_mut().unwrap();
    stdin.write_all(b"echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger\n").unwrap();
    let stderr: Vec<String> = lines.collect();
    let ran = Ran { stderr: stderr.join("\n"), ..Ran::from(child.wait_with_output().unwrap()) };
    ran.expect(1).says(&["sysrq"]);
    assert_eq!(scene.report()["cells"][0]["verdict"], "kernel-bug");
}

/// An sshd of our own, with a key that logs in, and a start-up file that talks. It is never asked to
/// run more than `uname`.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    fn start(scene: &Scene) -> Self {
        let dir = scene.path("sshd");
        fs::create_dir_all(&dir).unwrap();
        // What a distribution makes when its own sshd is started.
        let _ = fs::create_dir("/run/sshd");
        for name in ["host", "id", "stranger"] {
            let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
            let done = Command::new("ssh-keygen").args(keygen).arg(dir.join(name)).status();
            assert!(done.unwrap().success());
        }
        fs::copy(dir.join("id.pub"), dir.join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A scene's fakes come before the real programs there, too.
        let login = format!(
            "echo hello\nPATH={}:$PATH\neval \"$SSH_ORIGINAL_COMMAND\"\n",
            scene.path("bin").display()
        );
        fs::write(dir.join("login"), login).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\n\
             StrictModes no\nPidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             UsePAM no\nForceCommand sh {0}/login\n",
            dir.display()
        );
        fs::write(dir.join("config"), config).unwrap();
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Server listening")));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whom we talk to and who we are is settled before anything is done.
#[test]
fn hosts_and_users_are_checked() {
    let scene = Scene::new();
    let sshd = Sshd::start(&scene);
    let host_key = |name: &str| fs::read_to_string(scene.path("sshd").join(name)).unwrap();
    let user = rustix::process::geteuid();
    assert!(user.is_root(), "the test logs in as root");
    // The plan is wrong on purpose: nobody's machine here is another architecture than ours.
    let other = if std::env::consts::ARCH == "riscv64" { "arm64" } else { "riscv64" };
    let plan = format!(
        "about: a\ntarget: ssh://root@127.0.0.1:{}\narch: [{other}]\nstorm: 5s\n\
         profiles: [zswap-writeback-swapoff]\n",
        sshd.port
    );
    fs::write(scene.path("plan.yaml"), plan).unwrap();
    let known = |known: &str| {
        let entry = match known {
            "" => String::new(),
            // A line of another kind before it, as in real files.
            name => format!(
                "# hosts\n@cert-authority *.example.org {}[127.0.0.1]:{} {}",
                host_key("id.pub"),
                sshd.port,
                host_key(name)
            ),
        };
        fs::write(scene.path("known"), entry).unwrap();
    };
    let run = |mut command: Command| {
        let ran = Ran::from(command.output().unwrap());
        fs::remove_dir_all(scene.path("out")).unwrap();
        ran
    };
    let args = ["run", "plan.yaml", "--known-hosts", "known"];
    let attempt = |host: &str, identity: &str| {
        known(host);
        let mut command = scene.swapstorm();
        command.args(args).arg("--identity").arg(scene.path("sshd").join(identity));
        run(command)
    };
    attempt("", "id").expect(3).says(&["is not known", "hint: log in once with `ssh -p"]);
    attempt("stranger.pub", "id").expect(3).says(&["is not the known one", "ssh-keygen -R"]);
    attempt("host.pub", "stranger").expect(3).says(&["accepts no key of yours", "stranger"]);
    // The control: with both right, only the plan's own mistake is left.
    let right = ["and the plan says", other];
    known("host.pub");
    let revoked = format!("@revoked * {}", host_key("host.pub"));
    let with = fs::read_to_string(scene.path("known")).unwrap() + &revoked;
    fs::write(scene.path("known"), with).unwrap();
    let mut command = scene.swapstorm();
    command.args(args).arg("--identity").arg(scene.path("sshd/id"));
    run(command).expect(3).says(&["was revoked (known)", "hint: "]);
    attempt("host.pub", "id").expect(2).says(&right);

    // The agent's keys are tried one after the other.
    let with_agent = |keys: &str| {
        let mut command = Command::new("ssh-agent");
        let swapstorm = scene.swapstorm();
        command.envs(swapstorm.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let script = format!("cd sshd && {{ {keys}; }} && cd .. && exec \"$@\"");
        command.args(["sh", "-c", &script, "sh"]).arg(swapstorm.get_program()).args(args);
        // No key of whoever runs the tests.
        command.env("HOME", scene.dir.path()).current_dir(scene.dir.path());
        run(command)
    };
    with_agent("ssh-add -q stranger").expect(3).says(&["accepts no key of yours", "ssh-agent's "]);
    with_agent("true").expect(3).says(&["the ssh-agent (it has no keys)", "--identity"]);
    with_agent("ssh-add -q stranger && ssh-add -q id").expect(2).says(&right);

    // Who is not root needs a sudo that asks nothing.
    scene.fake("id", "echo 1000");
    scene.fake("sudo", "echo a password is required >&2; exit 1");
    attempt("host.pub", "id").expect(2).says(&["may not use sudo without a password", "NOPASSWD"]);
    scene.fake("sudo", "[ \"$1\" = -n ] && shift && exec \"$@\"");
    attempt("host.pub", "id").expect(2).says(&right);
}
