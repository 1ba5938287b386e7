// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run on a cluster: Debian's Slurm with two nodes on this machine, of which everything dies once.

mod person;
mod slurm;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use self::person::Person;
use self::slurm::{BUILD_MIB, FEATURE, Slurm, kill};
use crate::same::{
    answers, assert_same, assert_same_words, counts, normal, normal_but_for_chance, read,
};
use crate::support::{Ran, Scene, machines_in, wait_for};

/// One kernel dies of its 64th MADV_PAGEOUT, the other is sound: answers do not depend on luck.
const BUGGY: &str = "bug-elsewhere-6.1";
const SOUND: &str = "zswap-writeback-swapoff-6.1";

/// So many cells of each series.
fn plan(series: &[&str], runs: u32, slurm: &str) -> String {
    format!(
        "about: a night\n\
         kernels: [debian-6.1]\n\
         series: [{}]\n\
         profiles: [zswap-writeback-swapoff]\n\
         runs: {runs}\n\
         storm: 4s\n\
         known: [{{title: \"kernel BUG in *madvise*\", cells: {{series: [{BUGGY}]}}, note: put in, since: 2026-11-22}}]\n\
         slurm: {{time: 2h, build: {{memory: {BUILD_MIB}}}{slurm}}}\n",
        series.join(", ")
    )
}

fn ended(child: Child) -> Ran {
    Ran::from(child.wait_with_output().unwrap())
}

/// The only folder in `parent`, once its run has begun.
fn begun(parent: &Path) -> PathBuf {
    let run = || {
        let mut entries = fs::read_dir(parent).ok()?.map(|entry| entry.unwrap().path());
        // `doctor` has left nothing but a folder or none.
        entries.find(|path| path.join("events.jsonl").exists())
    };
    wait_for("the run's folder", || run().is_some());
    run().unwrap()
}

/// Whoever leads the run, a machine, the controller, and a node with what watches over its tasks are killed, each in the middle of
/// a storm.
#[test]
fn a_cluster_of_which_everything_dies_once_gives_the_answers_of_this_machine() {
    let scene = Scene::new();
    let person = Person::new(&scene);
    person.stock(&scene.path("store"), &[BUGGY, SOUND]);
    fs::write(scene.path("night.yaml"), plan(&[BUGGY, SOUND], 4, "")).unwrap();
    person.run(&["run", "night.yaml", "--seed", "7", "--out", "here"]).expect(0);
    let here = begun(&scene.path("here"));
    let come_to = |verdict: &str| answers(&here).values().filter(|is| *is == verdict).count();
    assert_eq!((come_to("known-bug"), come_to("clean")), (4, 4), "{:?}", answers(&here));

    let mut slurm = Slurm::start(&person);
    let sick = ended(slurm.swapstorm(&["doctor", "--engine", "slurm"]));
    assert!(sick.stdout.contains("2 nodes"), "{sick:?}");
    let mut leader = slurm.swapstorm(&["run", "night.yaml", "--seed", "7", "--engine", "slurm"]);
    let folder = begun(&scene.path("out"));
    storm(|| machines_in(&folder));
    leader.kill().unwrap();
    leader.wait().unwrap();
    let struck = storm(|| machines_in(&folder));
    kill(struck.pid);
    // Its own log keeps it, also if the controller, once killed, forgets that the task had begun.
    let mut log = String::new();
    wait_for("the end of the machine", || {
        log = fs::read_to_string(&struck.log).unwrap();
        log.contains("\"event\":\"vm-stopped\"")
    });
    assert!(log.contains("\"qemu-died\""), "{log}");
    storm(|| machines_in(&folder));
    slurm.kill_controller();
    let mut follower = slurm.swapstorm(&["attach", &folder.display().to_string()]);
    let orphan = storm(|| slurm.machines_on("n1", &folder));
    slurm.kill_node(0);
    // Slurm starts its task anew.
    wait_for("the task's second start", || {
        was_begun_again(&folder, &orphan.cell) || follower.try_wait().unwrap().is_some()
    });
    assert!(was_begun_again(&folder, &orphan.cell), "the run has ended without it");
    ended(follower).expect(0);
    slurm.has_come_to_rest();
    assert!(machines_in(&folder).is_empty());

    let report = read(&folder);
    let cells = report["cells"].as_array().unwrap();
    for cell in cells {
        let boots = cell["boots"].as_array().unwrap();
        assert_eq!(boots.iter().filter(|boot| counts(boot)).count(), 1, "{cell:#}");
        let id = cell["cell"]["id"].as_str().unwrap();
        let console = folder.join(id).join("boot-1");
        assert!(console.is_dir(), "{}", console.display());
    }
    let told = &report["runs"][0];
    assert_eq!(told["resumed"], 1);
    assert!(told["notices"].to_string().contains("Slurm's jobs"), "{report:#}");
    assert_same(&normal_but_for_chance(report), &normal_but_for_chance(read(&here)));
}

/// A machine at the begin of its storm: there is time to do something to it.
struct Storm {
    pid: u32,
    cell: String,
    /// The event log of its attempt.
    log: PathBuf,
}

/// Waits for one of these machines to storm.
fn storm(machines: impl Fn() -> Vec<u32>) -> Storm {
    let storming = || {
        machines().into_iter().find_map(|pid| {
            // ATTEMPT/CELL/boot-N
            let boot = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            let cell = boot.parent()?;
            let log = cell.parent()?.join("events.jsonl");
            let text = fs::read_to_string(&log).ok()?;
            let last = |event: &str| text.rfind(&format!("\"event\":\"{event}\""));
            let ready = last("guest-ready")?;
            let storms = ready > last("vm-started")? && last("vm-stopped") < Some(ready);
            let begins = text[ready..].matches("\"event\":\"sample\"").count() < 5;
            let cell = cell.file_name()?.to_string_lossy().into_owned();
            (storms && begins).then_some(Storm { pid, cell, log })
        })
    };
    let mut found = None;
    wait_for("a storm", || {
        found = storming();
        found.is_some()
    });
    found.unwrap()
}

/// Whether Slurm has started a cell's task for the second time: that attempt has a folder of its own, or found that it came too
/// late.
fn was_begun_again(folder: &Path, cell: &str) -> bool {
    let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let attempts = below(folder.join("slurm/attempts").join(cell)).count();
    let mut logs = below(folder.join("slurm/log")).filter_map(|log| fs::read_to_string(log).ok());
    let came_late =
        |log: String| log.contains(&format!("{cell}: ")) && log.contains("another attempt");
    attempts > 1 || logs.any(came_late)
}

/// Guests that live by their own clock do the same wherever they run, so the reports are the same to the letter. Each node has a
/// store of its own and room for one guest, so one of the kernels has to come from the other node. Then Ctrl-C takes everything
/// out of the cluster.
#[test]
fn a_run_that_is_left_to_the_cluster_goes_on_and_one_that_is_interrupted_does_not() {
    let scene = Scene::new();
    let person = Person::new(&scene);
    let terms = format!(", store: run, gres: \"kvm:1\", features: {{x86_64: {FEATURE}}}");
    fs::write(scene.path("night.yaml"), plan(&[BUGGY, SOUND], 1, &terms)).unwrap();
    let slurm = Slurm::start(&person);
    let [first, second] = ["n1", "n2"].map(|node| Slurm::store_of(&scene, node));
    person.stock(&first, &[BUGGY, SOUND]);
    fs::create_dir(&second).unwrap();
    person.owns(&second);
    let words = ["run", "night.yaml", "--seed", "7", "--clock", "virtual"];
    let mut here = person.swapstorm();
    here.args(words).args(["--out", "here"]).env("SWAPSTORM_CACHE", &first);
    // Clean, or too short a storm to tell: the same everywhere.
    let code = Ran::from(here.output().unwrap()).code.unwrap();
    assert!([0, 4].contains(&code), "exit code {code}");
    let here = begun(&scene.path("here"));

    let there = [&words[..], &["--engine", "slurm"]].concat();
    let detached = ended(slurm.swapstorm(&[&there[..], &["--detach"]].concat()));
    detached.expect(0).says(&["swapstorm attach"]);
    let folder = begun(&scene.path("out"));
    wait_for("a winner", || {
        fs::read_dir(folder.join("slurm/winners")).is_ok_and(|mut dir| dir.next().is_some())
    });
    let attach = ["attach", &folder.display().to_string()];
    ended(slurm.swapstorm(&attach)).expect(code);
    assert_same(&normal(read(&folder)), &normal(read(&here)));
    for format in ["text", "markdown"] {
        let render = |folder: &Path| {
            person.run(&["report", "--format", format, &folder.display().to_string()]).stdout
        };
        assert_same_words(&render(&folder), &render(&here));
    }
    ended(slurm.swapstorm(&attach)).expect(2).says(&["this run has ended", "swapstorm report"]);
    let hosts: BTreeSet<String> = read(&folder)["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["boots"][0]["host"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["n1", "n2"].map(str::to_owned).into());
    // It came as it was built: there is no source to build it from.
    assert_eq!(fs::read_dir(second.join("v1/kernels")).unwrap().count(), 1);
    assert!(!second.join("v1/work").exists());
    fs::remove_dir_all(&folder).unwrap();

    let child = slurm.swapstorm(&there);
    let folder = begun(&scene.path("out"));
    wait_for("a machine", || !machines_in(&folder).is_empty());
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    ended(child).expect(130);
    wait_for("an empty queue", || {
        slurm.command("squeue", &["--noheader", "--me"]).stdout.is_empty()
    });
    slurm.has_come_to_rest();
    assert!(machines_in(&folder).is_empty());
}
