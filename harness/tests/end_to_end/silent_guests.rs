// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that say nothing, or stop saying something, and a QEMU that dies.

use serde_json::Value;

use crate::support::{Ran, Scene};

/// Lets the agent misbehave in that way.
fn misbehave(scene: &Scene, fault: &str) {
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/zswap-writeback-swapoff.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let with = text.replace("storm:\n", &format!("storm:\n  fault: {fault}\n"));
    assert_ne!(with, text);
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
}

/// Runs a natural reproduction that comes to nothing.
fn natural(scene: &Scene, code: i32) -> Value {
    let output = scene
        .swapstorm()
        .args(["repro", "--technique", "natural", "--budget", "90s", "--seed", "4"])
        // Half the patience: what is tested here is what happens when it ends.
        .env("SWAPSTORM_TIMEOUT_SCALE", "0.5")
        .output();
    Ran::from(output.unwrap()).expect(code);
    scene.report()
}

fn ends(cell: &Value) -> Vec<&str> {
    cell["boots"].as_array().unwrap().iter().map(|boot| boot["end"].as_str().unwrap()).collect()
}

#[test]
fn a_guest_that_never_prints() {
    let scene = Scene::new();
    // Frozen before its first instruction.
    scene.fake("qemu-system-x86_64", &qemu_or("exec \"$real\" \"$@\" -S"));
    let report = natural(&scene, 4);
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "boot-failure", "{report:#}");
    assert!(ends(buggy).iter().all(|end| *end == "never-spoke"), "{report:#}");
}

#[test]
fn an_agent_that_is_never_ready() {
    let scene = Scene::new();
    misbehave(&scene, "mute");
    let report = natural(&scene, 4);
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "boot-failure", "{report:#}");
    assert!(ends(buggy).iter().all(|end| *end == "never-ready"), "{report:#}");
}

#[test]
fn a_guest_that_stops_printing() {
    let scene = Scene::new();
    misbehave(&scene, "freeze");
    let report = natural(&scene, 4);
    assert_eq!(ends(&report["cells"][0]), ["went-silent"], "{report:#}");
}

#[test]
fn a_guest_that_prints_but_makes_no_progress() {
    let scene = Scene::new();
    misbehave(&scene, "stall");
    let report = natural(&scene, 4);
    assert_eq!(ends(&report["cells"][0]), ["no-progress"], "{report:#}");
}

#[test]
fn a_page_with_wrong_contents_is_a_bug_of_its_own() {
    let scene = Scene::new();
    misbehave(&scene, "corrupt_page");
    scene.run(&["repro", "--seed", "5"]).expect(1);
    let report = scene.report();
    let fixed = &report["cells"][1];
    assert_eq!(fixed["verdict"], "kernel-bug", "{report:#}");
    assert_eq!(fixed["expected"], false, "{report:#}");
    assert!(fixed["corruption_count"].as_u64().unwrap() >= 1, "{report:#}");
}

#[test]
fn a_qemu_that_dies_is_the_machines_fault_and_tried_again() {
    let scene = Scene::new();
    // Where it is when it dies does not matter.
    let dies = "exec timeout --foreground --signal=KILL 3 \"$real\" \"$@\"";
    scene.fake("qemu-system-x86_64", &qemu_or(dies));
    let report = natural(&scene, 3);
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "infrastructure", "{report:#}");
    assert_eq!(buggy["boots"].as_array().unwrap().len(), 3, "{report:#}");
}

/// A script that is QEMU when asked for its version, and else does what is said with `$real`.
fn qemu_or(otherwise: &str) -> String {
    let found =
        std::process::Command::new("sh").args(["-c", "command -v qemu-system-x86_64"]).output();
    let real = String::from_utf8(found.unwrap().stdout).unwrap();
    let real = real.trim();
    format!("real={real}\n[ \"$1\" = --version ] && exec \"$real\" \"$@\"\n{otherwise}")
}
