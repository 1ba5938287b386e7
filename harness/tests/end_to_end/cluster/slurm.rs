// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Slurm of a test's own, on the loopback interface: authentication, a controller, two nodes. No part of it is root's.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::person::Person;
use crate::support::{Scene, machines_in, processes_with, wait_for};

/// Its nodes, and the MiB of memory that each has: a kernel is only built on the first.
pub const NODES: [(&str, u64); 2] = [("n1", 6000), ("n2", 3000)];
/// What the build of a kernel asks for, in MiB.
pub const BUILD_MIB: u64 = 4000;

/// A feature of both nodes.
pub const FEATURE: &str = "boots-x86_64";

pub struct Slurm<'p> {
    person: &'p Person<'p>,
    dir: PathBuf,
    munged: Child,
    controller: Child,
    nodes: [Child; 2],
}

impl<'p> Slurm<'p> {
    pub fn start(person: &'p Person<'p>) -> Self {
        let dir = person.scene.path("slurm");
        fs::create_dir(&dir).unwrap();
        for folder in ["munge", "state", "n1", "n2"] {
            fs::create_dir(dir.join(folder)).unwrap();
        }
        // munged wants to know that nobody else can reach its key, and that clients can reach its socket.
        fs::set_permissions(dir.join("munge"), fs::Permissions::from_mode(0o711)).unwrap();
        let key = dir.join("munge/key");
        let nonce = dir.display().to_string();
        fs::write(&key, nonce.bytes().cycle().take(1024).collect::<Vec<u8>>()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let prolog = dir.join("prolog");
        fs::write(&prolog, prolog_of(&dir)).unwrap();
        fs::set_permissions(&prolog, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("slurm.conf"), configuration(person, &dir)).unwrap();
        fs::write(dir.join("gres.conf"), "Name=kvm Count=1\n").unwrap();
        person.owns(&dir);
        let munged = person
            .command("munged")
            .arg("--foreground")
            .args(["key-file", "socket", "pid-file", "log-file", "seed-file"].map(|option| {
                let file = if option == "key-file" { "key" } else { option };
                format!("--{option}={}", dir.join("munge").join(file).display())
            }))
            .stderr(Stdio::null())
            .spawn()
            .expect("munged is installed by `make setup ARCH=tests`");
        wait_for("munged's socket", || dir.join("munge/socket").exists());
        let controller = controller(person, &dir, true);
        let nodes = NODES.map(|(name, _)| node(person, &dir, name));
        let slurm = Self { person, dir, munged, controller, nodes };
        slurm.wait_for_nodes();
        slurm
    }

    /// The folder of a node's own store.
    pub fn store_of(scene: &Scene, node: &str) -> PathBuf {
        scene.path("slurm").join(node).join("store")
    }

    /// One of Slurm's commands.
    pub fn command(&self, name: &str, args: &[&str]) -> Output {
        self.person.command(name).args(args).env("SLURM_CONF", self.conf()).output().unwrap()
    }

    /// Has the person run swapstorm.
    pub fn swapstorm(&self, args: &[&str]) -> Child {
        let mut command = self.person.swapstorm();
        command.args(args).env("SLURM_CONF", self.conf());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
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

    /// Machines of a run on a node, whose tasks somebody watches over.
    pub fn machines_on(&self, node: &str, folder: &Path) -> Vec<u32> {
        let word = format!("SLURMD_NODENAME={node}");
        let is_there = |pid: &u32| has_in_environ(*pid, &word) && watcher(*pid).is_some();
        machines_in(folder).into_iter().filter(is_there).collect()
    }

    /// Kills a node: its slurmd and those that watch over its tasks, which go on as orphans. It comes back.
    pub fn kill_node(&mut self, number: usize) {
        let (name, _) = NODES[number];
        let tasks = self.processes().into_iter();
        let tasks = tasks.filter(|pid| has_in_environ(*pid, &format!("SLURMD_NODENAME={name}")));
        let watchers: Vec<u32> = tasks.filter_map(watcher).collect();
        assert!(!watchers.is_empty(), "{name} does nothing");
        self.nodes[number].kill().unwrap();
        self.nodes[number].wait().unwrap();
        // A task has several processes.
        watchers.into_iter().for_each(kill);
        wait_for("the node's death", || {
            let said =
                self.command("sinfo", &["--noheader", "--nodes", name, "--format=%T"]).stdout;
            String::from_utf8_lossy(&said).starts_with("down")
        });
        self.nodes[number] = node(self.person, &self.dir, name);
    }

    pub fn kill_controller(&mut self) {
        self.controller.kill().unwrap();
        self.controller.wait().unwrap();
        self.controller = controller(self.person, &self.dir, false);
        wait_for("the controller", || self.command("squeue", &["--noheader"]).status.success());
    }

    /// All processes that this Slurm has started, and no others.
    fn processes(&self) -> Vec<u32> {
        let word = format!("SLURM_CONF={}", self.conf().display());
        processes_with("").into_iter().filter(|pid| has_in_environ(*pid, &word)).collect()
    }

    /// Waits until no task is left, orphans included: of all that was started only the daemons are.
    pub fn has_come_to_rest(&self) {
        let daemons: Vec<u32> =
            self.nodes.iter().chain([&self.controller, &self.munged]).map(Child::id).collect();
        wait_for("the end of all tasks", || {
            self.processes().iter().all(|pid| {
                // slurmctld has a helper.
                daemons.contains(pid) || parent(*pid).is_some_and(|of| daemons.contains(&of))
            })
        });
    }
}

impl Drop for Slurm<'_> {
    fn drop(&mut self) {
        self.processes().into_iter().for_each(kill);
        for child in self.nodes.iter_mut().chain([&mut self.controller, &mut self.munged]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn kill(pid: u32) {
    // It may have ended.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
}

fn has_in_environ(pid: u32, word: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|one| one == word.as_bytes())
}

fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

/// The slurmstepd above a process.
fn watcher(pid: u32) -> Option<u32> {
    let above = |pid: &u32| parent(*pid).filter(|pid| *pid > 1);
    std::iter::successors(above(&pid), above).find(|pid| comm(*pid).starts_with("slurmstepd"))
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn daemon(person: &Person<'_>, dir: &Path, program: &str, args: &[&str]) -> Child {
    let log = dir.join(format!("{program}.log"));
    let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = person.command(program);
    command.args(args).env("SLURM_CONF", dir.join("slurm.conf"));
    let words = "Slurm is installed by `make setup ARCH=tests`";
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect(words)
}

fn controller(person: &Person<'_>, dir: &Path, first: bool) -> Child {
    daemon(person, dir, "slurmctld", if first { &["-D", "-c"] } else { &["-D"] })
}

fn node(person: &Person<'_>, dir: &Path, name: &str) -> Child {
    daemon(person, dir, "slurmd", &["-D", "-N", name])
}

/// Gives tasks on each node a store of that node's own, where the cluster has them.
fn prolog_of(dir: &Path) -> String {
    format!(
        "#!/bin/sh\nstore={}/$SLURMD_NODENAME/store\n[ ! -d \"$store\" ] || echo \"export SWAPSTORM_CACHE=$store\"\n",
        dir.display()
    )
}

/// slurm.conf(5): what is not asked for here (accounting, cgroups, limits of memory) takes root or other daemons.
fn configuration(person: &Person<'_>, dir: &Path) -> String {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [controller, first, second] =
        listeners.map(|listener| listener.local_addr().unwrap().port());
    let said = |program: &str, option: &str| {
        let output = person.command(program).arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (host, user) = (said("uname", "-n"), said("id", "-un"));
    let host = host.split('.').next().unwrap();
    let dir = dir.display();
    let node = |(name, memory): (&str, u64), port: u16| {
        format!(
            "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory={memory} Gres=kvm:1 Feature={FEATURE}\n"
        )
    };
    let [one, other] = NODES;
    format!(
        "ClusterName=swapstorm-test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
         SlurmctldPort={controller}\nSlurmctldPidFile={dir}/slurmctld.pid\nSlurmdPidFile={dir}/%n.pid\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/%n\nTaskProlog={dir}/prolog\n\
         AuthType=auth/munge\nAuthInfo=socket={dir}/munge/socket,cred_expire=10\n\
         CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
         JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\n\
         SwitchType=switch/none\nMpiDefault=none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU_Memory\n\
         SchedulerType=sched/backfill\nSchedulerParameters=bf_interval=5\nReturnToService=2\nSlurmdTimeout=10\n\
         MessageTimeout=5\nKillWait=5\nJobRequeue=1\nGresTypes=kvm\nSlurmdParameters=config_overrides\n{}{}\
         PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP\n",
        node(one, first),
        node(other, second),
    )
}
