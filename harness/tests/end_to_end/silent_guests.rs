// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that say nothing, or stop saying something, and a QEMU that dies.

use serde_json::Value;

use crate::support::{Ran, Scene};

const HALF: &str = "0.5";
/// For guests of which nothing is to come: several boots of them are waited for.
const QUARTER: &str = "0.25";

/// Lets the agent misbehave in that way.
fn misbehave(scene: &Scene, fault: &str) {
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/zswap-writeback-swapoff.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let with = text.replace("storm:\n", &format!("storm:\n  fault: {fault}\n"));
    assert_ne!(with, text);
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
}

/// Runs one cell that comes to nothing. The kernel is the fixed one: the other may show a bug
/// first, even by load alone. `patience` is a factor of all timeouts: what is tested here is what
/// happens when they end.
fn one_cell(scene: &Scene, code: i32, patience: &str) -> Value {
    let plan = "about: one cell\nkernels: [debian-6.1]\nseries: [zswap-writeback-swapoff-6.1]\n\
        profiles: [zswap-writeback-swapoff]\nstorm: 90s\n";
    scene.own("harness/plans/one.yaml", plan);
    let output = scene
        .swapstorm()
        .args(["run", "one", "--seed", "4"])
        .env("SWAPSTORM_TIMEOUT_SCALE", patience)
        .output();
    Ran::from(output.unwrap()).expect(code);
    scene.report()["cells"][0].take()
}

fn ends(cell: &Value) -> Vec<&str> {
    cell["boots"].as_array().unwrap().iter().map(|boot| boot["end"].as_str().unwrap()).collect()
}

#[test]
fn a_guest_that_never_prints() {
    let scene = Scene::new();
    // Frozen before its first instruction.
    scene.fake("qemu-system-x86_64", &qemu_or("exec \"$real\" \"$@\" -S"));
    let cell = one_cell(&scene, 4, QUARTER);
    assert_eq!(cell["verdict"], "boot-failure", "{cell:#}");
    assert!(ends(&cell).iter().all(|end| *end == "never-spoke"), "{cell:#}");
}

#[test]
fn an_agent_that_is_never_ready() {
    let scene = Scene::new();
    misbehave(&scene, "mute");
    let cell = one_cell(&scene, 4, QUARTER);
    assert_eq!(cell["verdict"], "boot-failure", "{cell:#}");
    assert!(ends(&cell).iter().all(|end| *end == "never-ready"), "{cell:#}");
}

#[test]
fn a_guest_that_stops_printing() {
    let scene = Scene::new();
    misbehave(&scene, "freeze");
    let cell = one_cell(&scene, 4, HALF);
    assert_eq!(ends(&cell), ["went-silent"], "{cell:#}");
}

#[test]
fn a_guest_that_prints_but_makes_no_progress() {
    let scene = Scene::new();
    misbehave(&scene, "stall");
    let cell = one_cell(&scene, 4, HALF);
    assert_eq!(ends(&cell), ["no-progress"], "{cell:#}");
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
    let cell = one_cell(&scene, 3, HALF);
    assert_eq!(cell["verdict"], "infrastructure", "{cell:#}");
    assert_eq!(cell["boots"].as_array().unwrap().len(), 3, "{cell:#}");
}

/// A script that is QEMU when asked for its version, and else does what is said with `$real`.
fn qemu_or(otherwise: &str) -> String {
    let found =
        std::process::Command::new("sh").args(["-c", "command -v qemu-system-x86_64"]).output();
    let real = String::from_utf8(found.unwrap().stdout).unwrap();
    let real = real.trim();
    format!("real={real}\n[ \"$1\" = --version ] && exec \"$real\" \"$@\"\n{otherwise}")
}
