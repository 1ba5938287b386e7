// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs on the virtual clock, and the same once more.

use std::fs;
use std::path::PathBuf;

use crate::support::Scene;

/// Runs a profile once for so long; the run's folder.
fn ran(scene: &Scene, profile: &str, technique: &str, storm: &str, exit: i32) -> PathBuf {
    let plan = format!(
        "about: one\nkernels: [debian-6.1]\nprofiles: [{profile}]\ntechniques: [{technique}]\nstorm: {storm}\n"
    );
    fs::write(scene.path("plan.yaml"), plan).unwrap();
    scene.run(&["run", "plan.yaml", "--seed", "3"]).expect(exit);
    scene.run_folder()
}

/// Storms that write back are the same when they are run again, and what was changed in between is seen.
#[test]
fn a_run_on_the_virtual_clock_replays_byte_for_byte() {
    let scene = Scene::new();
    let run = ran(&scene, "writeback-steady", "natural", "3s", 0);
    let report = scene.report();
    let cell = &report["cells"][0];
    assert_eq!(cell["cell"]["clock"], "virtual", "{cell:#}");
    assert_eq!(cell["boots"][0]["done"], "time", "{cell:#}");
    assert!(cell["exposure"]["writebacks"].as_u64().unwrap() > 0, "{cell:#}");
    let log = run.join("events.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"swapoff_p99_us\"") && text.contains("\"event\":\"digested\""));
    let run = run.to_str().unwrap();
    let same = scene.run(&["replay", run, "--out", "again"]);
    same.expect(0);
    assert!(same.stdout.starts_with("The same: "), "{}", same.stdout);

    // Another word, and the same words with another seed for QEMU and the stretcher: both must be seen.
    fs::write(&log, text.replace("swapstorm.workers=8", "swapstorm.workers=7")).unwrap();
    let other = scene.run(&["replay", run, "--out", "again"]);
    other.expect(1);
    assert!(
        other.stdout.contains("workers=8") && other.stdout.contains("workers=7"),
        "{}",
        other.stdout
    );
    let seed = cell["boots"][0]["seed"].as_u64().unwrap();
    fs::write(&log, text.replace(&format!("\"seed\":{seed}"), "\"seed\":1")).unwrap();
    scene.run(&["replay", run, "--out", "again"]).expect(1);
}

/// The stretcher decides by the guest's state and its seed alone, so a race that it shows can be had again.
#[test]
fn a_stretched_race_replays_byte_for_byte() {
    let scene = Scene::new();
    let run = ran(&scene, "zswap-writeback-swapoff-virtual", "stretch", "5s", 1);
    assert_eq!(scene.report()["cells"][0]["expected"], true);
    scene.run(&["replay", run.to_str().unwrap(), "--out", "again"]).expect(0);
}
