// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing outlives the program, and a run that is cut short still says what it saw.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ran, Scene, processes_with};

/// Starts a run whose stderr can be read line by line.
fn start(scene: &Scene) -> (Child, impl Iterator<Item = String>) {
    let mut child = scene
        .swapstorm()
        .args(["repro", "--technique", "natural", "--budget", "10m", "--seed", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

/// Waits until no process has `word` in its command line. Its supervisor was told by the kernel, so
/// this ends soon or never; a test that hangs here has found its bug.
fn wait_until_gone(word: &str) {
    while !processes_with(word).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn kill_9_leaves_no_qemu_and_no_file_outside_the_run() {
    // Before QEMU has printed, and with the guest up.
    for moment in ["booting", "guest up"] {
        // Other tests' places would be in the way of what is looked for.
        let scene = Scene::alone();
        let before = files_outside(&scene);
        let (mut child, mut lines) = start(&scene);
        lines.find(|line| line.contains(moment)).expect("the run got so far");
        let token = scene.path("").display().to_string();
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        wait_until_gone(&token);
        assert_eq!(files_outside(&scene), before, "{moment}");
        let folder = scene.run_folder();
        let log = fs::read_to_string(folder.join("events.jsonl")).unwrap();
        assert!(log.starts_with("{\"at_ms\":"), "{log}");
    }
}

/// Names in the places where a program might leave something behind.
fn files_outside(scene: &Scene) -> Vec<String> {
    let own = scene.dir.path().file_name().unwrap().to_owned();
    let mut names = Vec::new();
    for place in [std::env::temp_dir(), "/dev/shm".into(), "/run".into()] {
        for entry in fs::read_dir(Path::new(&place)).into_iter().flatten().flatten() {
            if entry.file_name() != own {
                names.push(entry.path().display().to_string());
            }
        }
    }
    names.retain(|name| name.contains("swapstorm") || name.contains("qemu"));
    names.sort();
    names
}

#[test]
fn ctrl_c_leaves_a_valid_report_that_says_interrupted() {
    let scene = Scene::new();
    let (child, mut lines) = start(&scene);
    lines.find(|line| line.contains("guest up")).expect("the guest came up");
    signal(&child, Signal::INT);
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let ran = Ran { stderr: rest.join("\n"), ..Ran::from(output) };
    ran.expect(130);
    assert!(ran.stdout.contains("interrupted"), "{}", ran.stdout);
    let report = scene.report();
    assert_eq!(report["runs"][0]["interrupted"], true, "{report:#}");
    assert_eq!(report["runs"][0]["finished"], true, "{report:#}");
    assert_eq!(report["cells"][0]["boots"][0]["end"], "interrupted");
    assert!(
        fs::read_to_string(scene.run_folder().join("report.md")).unwrap().contains("interrupted")
    );
}
