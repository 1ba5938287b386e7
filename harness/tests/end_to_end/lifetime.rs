// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that is cut short still says what it saw. That nothing outlives the program is tested in `undisturbed.rs`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ran, Scene};

/// Starts a run whose stderr can be read line by line.
pub fn start(scene: &Scene) -> (Child, impl Iterator<Item = String>) {
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

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
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
