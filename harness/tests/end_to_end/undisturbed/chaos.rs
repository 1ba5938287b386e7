// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that can happen to a run in a night. It has the machine for itself: a kernel of it has to be made while guests of
//! others run, and whoever makes another kernel of the same source would keep it waiting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::same::{assert_same, normal_but_for_chance, read};
use crate::support::{Ran, Scene, cache, machines_in, processes_with, wait_for};

/// A patch that changes a comment, another one in every run of the test, so that a kernel is to be made.
const PATCH: &str = "From: A <a@example.org>\nSubject: [PATCH] mm: say it twice\n\n---\n\
    --- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -1,4 +1,5 @@\n // SPDX-License-Identifier: GPL-2.0-or-later\n+// NONCE\n \
    /*\n  * zswap.c - zswap driver file\n  *\n";

/// Twelve cells of three kernels, of which one is made on the way.
const PLAN: &str = "about: twelve cells\n\
    kernels: [debian-6.1]\n\
    series: [none, zswap-writeback-swapoff-6.1, ./twice.patch]\n\
    profiles: [zswap-writeback-swapoff]\n\
    runs: 4\n\
    storm: 3s\n\
    known: [{rule: zswap-writeback-swapoff, note: fixed in 6.9, since: 2024-01-30}]\n";

/// A run that goes on in a process of its own.
struct Night<'a> {
    child: Option<Child>,
    folder: PathBuf,
    _scene: &'a Scene,
}

impl<'a> Night<'a> {
    /// Begins the plan.
    fn begin(scene: &'a Scene) -> Self {
        let nonce = scene.dir.path().file_name().unwrap().to_string_lossy().into_owned();
        fs::write(scene.path("twice.patch"), PATCH.replace("NONCE", &nonce)).unwrap();
        fs::write(scene.path("night.yaml"), PLAN).unwrap();
        let child = quiet(scene).args(["run", "night.yaml", "--seed", "5"]).spawn().unwrap();
        let out = scene.path("out");
        wait_for("the run's folder", || {
            fs::read_dir(&out).is_ok_and(|mut dir| dir.next().is_some())
        });
        Self { child: Some(child), folder: scene.run_folder(), _scene: scene }
    }

    /// Goes on with the run.
    fn resume(scene: &'a Scene) -> Self {
        let folder = scene.run_folder();
        let child = quiet(scene).arg("run").arg("--resume").arg(&folder).spawn().unwrap();
        Self { child: Some(child), folder, _scene: scene }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("events.jsonl")).unwrap_or_default()
    }

    /// Waits until so many more events of a kind are in the log.
    fn wait_for(&self, event: &str, more: usize) {
        let name = format!("\"event\":\"{event}\"");
        let count = || self.log().matches(&name).count();
        let before = count();
        self.wait(event, || count() >= before + more);
    }

    /// Waits for something that comes while the run goes on.
    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        wait_for(what, || {
            let is_over = self.log().contains("\"event\":\"run-finished\"");
            is_there() || {
                assert!(!is_over, "the run ended before {what}:\n{}", self.log());
                false
            }
        });
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap().id();
        kill_process(Pid::from_raw(child.cast_signed()).unwrap(), signal).unwrap();
    }

    /// Kills it, and waits until everything below it is gone.
    fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
        wait_for("the end of all machines", || machines_in(&self.folder).is_empty());
    }

    fn end(mut self) -> Ran {
        let child = self.child.take().unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert!(machines_in(&self.folder).is_empty(), "machines outlive the run");
        ran
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Night<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn quiet(scene: &Scene) -> Command {
    let mut command = scene.swapstorm();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What each cell came to: its verdict, and how many of its machines count.
fn answers(folder: &Path) -> BTreeMap<String, (String, usize)> {
    let text = fs::read(folder.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["damaged"], 0, "{report:#}");
    let of = |cell: &Value| {
        let boots = cell["boots"].as_array().unwrap();
        // A machine that was killed with the harness is told of only if it had reported something.
        let is_told = |boot: &Value| boot["end"] != "orphaned" || boot["findings"] != 0;
        assert!(boots.iter().all(is_told), "{cell:#}");
        let counting = boots.iter().filter(|boot| boot["end"] == "budget").count();
        let verdict = cell["verdict"].as_str().unwrap().to_owned();
        (cell["cell"]["id"].as_str().unwrap().to_owned(), (verdict, counting))
    };
    report["cells"].as_array().unwrap().iter().map(of).collect()
}

/// QEMU, the harness and a make are killed, the harness is stopped and continued, a kernel in the store and a line
/// of the log are damaged: each time the run is gone on with, and it ends as if nothing had happened.
#[test]
fn whatever_happens_to_a_run_no_cell_is_lost_and_none_counted_twice() {
    let scene = Scene::alone();
    let night = Night::begin(&scene);
    let folder = night.folder.clone();
    // The make of the third kernel is killed: that costs its cells, for this machine's fault.
    let make = wait_for_make(&night);
    kill_process(Pid::from_raw(make.cast_signed()).unwrap(), Signal::KILL).unwrap();
    night.wait("what comes of it", || night.log().contains("\"fault\":\"infrastructure\""));
    // A machine dies: its cell gets another.
    night.wait_for("guest-ready", 1);
    let qemu = machines_in(&folder)[0];
    kill_process(Pid::from_raw(qemu.cast_signed()).unwrap(), Signal::KILL).unwrap();
    night.wait("its end", || night.log().contains("\"why\":\"qemu-died\""));
    // The harness stands still for a while, and is killed.
    night.signal(Signal::STOP);
    sleep(Duration::from_secs(12));
    night.signal(Signal::CONT);
    night.wait_for("cell-finished", 1);
    night.kill();

    // A line is damaged that stands somewhere in the middle.
    let file = folder.join("events.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let at = text.find("\"event\":\"sample\"").unwrap();
    fs::write(&file, [&text[..at], "#", &text[at + 1..]].concat()).unwrap();

    // It is made after all, and damaged in the store while nobody looks.
    let night = Night::resume(&scene);
    night.wait("the third kernel", || kernel_of(&night.log(), "twice").is_some());
    let key = kernel_of(&night.log(), "twice").unwrap();
    night.kill();
    let kernel = cache().join("v1/kernels").join(key);
    damage(&kernel);
    Night::resume(&scene).end().expect(0);
    let log = fs::read_to_string(&file).unwrap();
    let last_life = log.rsplit("\"event\":\"run-resumed\"").next().unwrap();
    assert!(
        last_life.contains("\"event\":\"notice\"") && last_life.contains("damaged"),
        "{last_life}"
    );
    // The same plan where nothing happens: there its kernels are all in the store.
    let words = ["run", "night.yaml", "--seed", "5", "--out", "undisturbed"];
    scene.run(&words).expect(0);
    // Nobody has a use for it.
    fs::remove_dir_all(&kernel).unwrap();
    let undisturbed = fs::read_dir(scene.path("undisturbed")).unwrap();
    let undisturbed = undisturbed.map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let problems = read(&folder)["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(1), "{problems:#}");
    let mut reports = [read(&folder), read(&undisturbed.unwrap())].map(normal_but_for_chance);
    leave_out_luck(&mut reports);
    assert_same(&reports[0], &reports[1]);
    let answers = answers(&folder);
    assert_eq!(answers.len(), 12);
    for (cell, (verdict, counting)) in &answers {
        assert!(verdict == "clean" || verdict == "known-bug", "{cell}: {answers:?}");
        assert!(*counting == 1 || verdict == "known-bug", "{cell}: {answers:?}");
    }
    // From the log alone it reads the same.
    let folder = folder.display().to_string();
    let told = scene.run(&["report", &folder, "--format", "json"]);
    told.expect(0);
    let again = Ran::from(quiet(&scene).args(["run", "--resume", &folder]).output().unwrap());
    again.expect(2).says(&["all its cells have their answers"]);
}

/// Leaves out what was damaged, whether a kernel was made for the run, and cells in which the race of 6.1 showed by load alone, as it hardly ever does.
fn leave_out_luck(reports: &mut [Value; 2]) {
    let cells = reports.iter().flat_map(|report| report["cells"].as_array().unwrap());
    let lucky: Vec<Value> = cells
        .filter(|cell| cell["verdict"] == "known-bug")
        .map(|cell| cell["cell"]["id"].clone())
        .collect();
    for report in reports {
        report.as_object_mut().unwrap().remove("problems");
        let cells = report["cells"].as_array_mut().unwrap();
        cells.retain(|cell| !lucky.contains(&cell["cell"]["id"]));
        for cell in cells {
            cell["kernel"].as_object_mut().unwrap().remove("cached");
        }
    }
}

/// Waits for the run's make of a kernel. Other makes may be about: one of them may have begun this test.
fn wait_for_make(night: &Night<'_>) -> u32 {
    let run = night.child.as_ref().unwrap().id();
    let is_make = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "make")
            && is_below(*pid, run)
    };
    let mut make = None;
    night.wait("a make", || {
        let is_compiling = night.log().contains("\"stage\":\"compil");
        make = processes_with("make").into_iter().find(is_make).filter(|_| is_compiling);
        make.is_some()
    });
    make.unwrap()
}

/// Whether a process is a descendant of another.
fn is_below(mut pid: u32, ancestor: u32) -> bool {
    // The fields behind the name, which is in parentheses, begin with the state and the parent's id.
    let parent_of = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    while let Some(parent) = parent_of(pid) {
        if parent == ancestor {
            return true;
        }
        pid = parent;
    }
    false
}

/// The key of the kernel that cells whose name holds `word` have, once it is there.
fn kernel_of(log: &str, word: &str) -> Option<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ready = events.filter(|event| {
        event["event"] == "kernel-ready"
            && event["cell"].as_str().is_some_and(|id| id.contains(word))
    });
    Some(ready.next()?["kernel"]["key"].as_str()?.to_owned())
}

/// Changes a byte in the largest file of a folder.
fn damage(folder: &Path) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let largest = files.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Files of the store are read-only.
    fs::remove_file(&largest).unwrap();
    fs::write(&largest, bytes).unwrap();
}
