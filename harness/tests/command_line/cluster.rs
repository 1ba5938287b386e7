// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run on a cluster as its user meets it, with Slurm's commands played.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::scene::Scene;

const NIGHT: &str = "about: a night\nkernels: [debian-6.1]\nprofiles: [zswap-writeback-swapoff]\nruns: 3\nstorm: 30s\n";

/// A cluster of which only the array 12 is known, and only for what it is asked to cancel.
fn cluster(sbatch: &str) -> Scene {
    let scene = Scene::new();
    fs::write(scene.path("night.yaml"), NIGHT).unwrap();
    scene.fake("sbatch", sbatch);
    scene.fake("scontrol", "echo 'MaxArraySize = 1001'");
    scene.fake("squeue", "echo '12|0-2|PENDING|None||of-this-run'");
    scene.fake("scancel", "echo \"$@\" >>cancelled");
    scene
}

#[test]
fn what_slurm_refuses_is_told_in_its_words_with_what_to_do_then() {
    let refuses = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1";
    let scene = cluster(refuses);
    let (code, stderr) = scene.run(&["run", "night.yaml", "--engine", "slurm", "--detach"]);
    assert_eq!(code, Some(3), "{stderr}");
    for words in ["QOSMaxSubmitJobPerUserLimit", "the plan's `slurm:`", "swapstorm run --resume"] {
        assert!(stderr.contains(words), "no {words} in {stderr}");
    }
    assert!(!stderr.contains("the cluster runs it now"), "{stderr}");
}

#[test]
fn ctrl_c_while_a_run_is_submitted_takes_it_back() {
    let scene = cluster("touch asked; while [ ! -e answer ]; do sleep 0.05; done; echo '12;north'");
    let mut command = scene.command();
    command.args(["run", "night.yaml", "--engine", "slurm", "--detach"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    while !scene.path("asked").exists() {
        sleep(Duration::from_millis(20));
    }
    scene.sh(&format!("kill -INT {}", run.id()));
    fs::write(scene.path("answer"), "").unwrap();
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(!stderr.contains("the cluster runs it now"), "{stderr}");
    assert_eq!(fs::read_to_string(scene.path("cancelled")).unwrap(), "12\n");
}
