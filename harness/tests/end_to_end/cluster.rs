// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run on a cluster: Debian's Slurm with two nodes on this machine, of which everything dies once.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Ran, Scene, machines_in, processes_with, wait_for};

/// A Slurm of its own: authentication, controller, and two nodes, on the loopback interface.
struct Slurm {
    dir: PathBuf,
    munged: Child,
    controller: Child,
    nodes: [Child; 2],
}

impl Slurm {
    fn start(scene: &Scene) -> Self {
        let dir = scene.path("slurm");
        for folder in ["munge", "state", "n1", "n2"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        // munged wants to know that nobody else can reach its key, and that clients can reach its socket.
        fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.join("munge"), fs::Permissions::from_mode(0o711)).unwrap();
        let key = dir.join("munge/key");
        let nonce = dir.display().to_string();
        fs::write(&key, nonce.bytes().cycle().take(1024).collect::<Vec<u8>>()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.join("slurm.conf"), configuration(&dir)).unwrap();
        let munged = Command::new("munged")
            .arg("--foreground")
            .args(["key-file", "socket", "pid-file", "log-file", "seed-file"].map(|option| {
                let file = if option == "key-file" { "key" } else { option };
                format!("--{option}={}", dir.join("munge").join(file).display())
            }))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("munged is installed by `make setup ARCH=tests`");
        wait_for("munged's socket", || dir.join("munge/socket").exists());
        let controller = controller(&dir, true);
        let nodes = ["n1", "n2"].map(|name| node(&dir, name));
        let slurm = Self { dir, munged, controller, nodes };
        slurm.wait_for_nodes();
        slurm
    }

    /// One of Slurm's commands.
    fn command(&self, name: &str, args: &[&str]) -> Output {
        Command::new(name).args(args).env("SLURM_CONF", self.conf()).output().unwrap()
    }

    fn conf(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    fn wait_for_nodes(&self) {
        wait_for("two idle nodes", || {
            let said = self.command("sinfo", &["--noheader", "--Node", "--format=%T"]).stdout;
            String::from_utf8_lossy(&said).lines().filter(|state| *state == "idle").count() == 2
        });
    }

    /// Kills a node: its slurmd and those that watch over its tasks, which go on as orphans. It comes back.
    fn kill_node(&mut self, number: usize) {
        let name = ["n1", "n2"][number];
        self.nodes[number].kill().unwrap();
        self.nodes[number].wait().unwrap();
        for pid in self.processes().into_iter().filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.starts_with("slurmstepd")
        }) {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
        wait_for("the node's death", || {
            let said =
                self.command("sinfo", &["--noheader", "--nodes", name, "--format=%T"]).stdout;
            String::from_utf8_lossy(&said).starts_with("down")
        });
        self.nodes[number] = node(&self.dir, name);
    }

    fn kill_controller(&mut self) {
        self.controller.kill().unwrap();
        self.controller.wait().unwrap();
        self.controller = controller(&self.dir, false);
    }

    /// All processes that this Slurm has started, and no others.
    fn processes(&self) -> Vec<u32> {
        let word = format!("SLURM_CONF={}", self.conf().display());
        let has_word = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|one| one == word.as_bytes())
        };
        processes_with("").into_iter().filter(has_word).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
        for child in self.nodes.iter_mut().chain([&mut self.controller, &mut self.munged]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn daemon(dir: &Path, program: &str, args: &[&str]) -> Child {
    let log = dir.join(format!("{program}.log"));
    let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(program);
    command.args(args).env("SLURM_CONF", dir.join("slurm.conf")).stdin(Stdio::null());
    let words = "Slurm is installed by `make setup ARCH=tests`";
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect(words)
}

fn controller(dir: &Path, first: bool) -> Child {
    daemon(dir, "slurmctld", if first { &["-D", "-c"] } else { &["-D"] })
}

fn node(dir: &Path, name: &str) -> Child {
    daemon(dir, "slurmd", &["-D", "-N", name])
}

/// slurm.conf(5): what is not asked for here (accounting, cgroups, limits of memory) takes root or other daemons.
fn configuration(dir: &Path) -> String {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [controller, first, second] =
        listeners.map(|listener| listener.local_addr().unwrap().port());
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (host, user) = (said("uname", &["-n"]), said("id", &["-un"]));
    let host = host.split('.').next().unwrap();
    let dir = dir.display();
    let node = |name: &str, port: u16| {
        format!(
            "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=6000\n"
        )
    };
    format!(
        "ClusterName=swapstorm-test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
         SlurmctldPort={controller}\nSlurmctldPidFile={dir}/slurmctld.pid\nSlurmdPidFile={dir}/%n.pid\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/%n\n\
         AuthType=auth/munge\nAuthInfo=socket={dir}/munge/socket,cred_expire=10\n\
         CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
         JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\n\
         SwitchType=switch/none\nMpiDefault=none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU_Memory\n\
         SchedulerType=sched/backfill\nSchedulerParameters=bf_interval=5\nReturnToService=2\nSlurmdTimeout=10\n\
         MessageTimeout=5\nKillWait=5\nJobRequeue=1\nSlurmdParameters=config_overrides\n{}{}\
         PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP\n",
        node("n1", first),
        node("n2", second),
    )
}

/// Eight cells, whose answers do not depend on luck: one kernel dies of its 64th MADV_PAGEOUT, the other is sound.
const PLAN: &str = "about: eight cells\n\
    kernels: [debian-6.1]\n\
    series: [bug-elsewhere-6.1, zswap-writeback-swapoff-6.1]\n\
    profiles: [zswap-writeback-swapoff]\n\
    runs: 4\n\
    storm: 4s\n\
    known: [{title: \"kernel BUG in *madvise*\", cells: {series: [bug-elsewhere-6.1]}, note: put in, since: 2026-11-22}]\n\
    slurm: {time: 2h, build: {memory: 2048}}\n";

/// What each cell came to, on which kernel, for what storm.
fn answers(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read(folder.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["damaged"], 0, "{report:#}");
    let of = |cell: &Value| {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let facts = [&cell["verdict"], &cell["kernel"]["key"], &cell["cell"]["key"]].map(word);
        (word(&cell["cell"]["id"]), facts.join(" "))
    };
    report["cells"].as_array().unwrap().iter().map(of).collect()
}

fn run_on(scene: &Scene, slurm: &Slurm, args: &[&str]) -> Child {
    let mut command = scene.swapstorm();
    command.args(args).env("SLURM_CONF", slurm.conf());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whoever leads the run, a machine, a node with what watches over its tasks, and the controller are killed.
#[test]
fn a_cluster_of_which_everything_dies_once_gives_the_answers_of_this_machine() {
    let scene = Scene::new();
    fs::write(scene.path("night.yaml"), PLAN).unwrap();
    scene.run(&["run", "night.yaml", "--seed", "7", "--out", "here"]).expect(0);
    let here = fs::read_dir(scene.path("here")).unwrap().next().unwrap().unwrap().path();
    let here = answers(&here);
    let come_to = |verdict: &str| here.values().filter(|facts| facts.starts_with(verdict)).count();
    assert_eq!((come_to("known-bug "), come_to("clean ")), (4, 4), "{here:?}");

    let mut slurm = Slurm::start(&scene);
    let sick = scene
        .swapstorm()
        .args(["doctor", "--engine", "slurm"])
        .env("SLURM_CONF", slurm.conf())
        .output();
    let sick = Ran::from(sick.unwrap());
    assert!(sick.stdout.contains("2 nodes"), "{sick:?}");
    let mut leader =
        run_on(&scene, &slurm, &["run", "night.yaml", "--seed", "7", "--engine", "slurm"]);
    wait_for("the run's folder", || {
        fs::read_dir(scene.path("out")).is_ok_and(|mut dir| {
            dir.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("run-"))
            })
        })
    });
    let folder = fs::read_dir(scene.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("events.jsonl").exists())
        .unwrap();
    wait_for("a machine", || !machines_in(&folder).is_empty());
    leader.kill().unwrap();
    leader.wait().unwrap();
    let qemu = machines_in(&folder);
    if let Some(qemu) = qemu.first() {
        let _ = kill_process(Pid::from_raw(qemu.cast_signed()).unwrap(), Signal::KILL);
    }
    slurm.kill_controller();
    wait_for("the controller", || slurm.command("squeue", &["--noheader"]).status.success());
    let follower = run_on(&scene, &slurm, &["attach", &folder.display().to_string()]);
    wait_for("another machine", || !machines_in(&folder).is_empty());
    slurm.kill_node(0);
    let ran = Ran::from(follower.wait_with_output().unwrap());
    ran.expect(0);
    assert_eq!(answers(&folder), here);
    let report: Value =
        serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    for cell in report["cells"].as_array().unwrap() {
        let boots = cell["boots"].as_array().unwrap();
        // Machines that were killed do not count.
        let counting = boots.iter().filter(|boot| boot["end"] == "budget" || boot["findings"] != 0);
        assert_eq!(counting.count(), 1, "{cell:#}");
        let id = cell["cell"]["id"].as_str().unwrap();
        let console = folder.join(id).join("boot-1");
        assert!(console.is_dir(), "{}", console.display());
    }
    assert!(report["runs"][0]["notices"].to_string().contains("Slurm's jobs"), "{report:#}");
}

/// Ctrl-C takes everything out of the cluster; a run that is left to it goes on alone.
#[test]
fn a_run_that_is_left_to_the_cluster_goes_on_and_one_that_is_interrupted_does_not() {
    let scene = Scene::new();
    let short =
        PLAN.replace("runs: 4", "runs: 1").replace("series: [bug-elsewhere-6.1, ", "series: [");
    fs::write(scene.path("night.yaml"), short).unwrap();
    let slurm = Slurm::start(&scene);
    let words = ["run", "night.yaml", "--seed", "7", "--engine", "slurm"];
    let detached = run_on(&scene, &slurm, &[&words[..], &["--detach"]].concat());
    let detached = Ran::from(detached.wait_with_output().unwrap());
    detached.expect(0).says(&["swapstorm attach"]);
    let folder = scene.run_folder();
    wait_for("a winner", || {
        fs::read_dir(folder.join("slurm/winners")).is_ok_and(|mut dir| dir.next().is_some())
    });
    let attached = run_on(&scene, &slurm, &["attach", &folder.display().to_string()]);
    Ran::from(attached.wait_with_output().unwrap()).expect(0);
    assert!(answers(&folder).values().all(|facts| facts.starts_with("clean ")));
    fs::remove_dir_all(&folder).unwrap();

    let child = run_on(&scene, &slurm, &words);
    wait_for("the run", || {
        fs::read_dir(scene.path("out")).is_ok_and(|mut dir| dir.next().is_some())
    });
    let folder = scene.run_folder();
    wait_for("a machine", || !machines_in(&folder).is_empty());
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    Ran::from(child.wait_with_output().unwrap()).expect(130);
    wait_for("an empty queue", || {
        slurm.command("squeue", &["--noheader", "--me"]).stdout.is_empty()
    });
    wait_for("the end of all machines", || machines_in(&folder).is_empty());
}
