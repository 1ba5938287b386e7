// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that say nothing, or stop saying something, and a QEMU that dies.

use serde_json::Value;

use crate::support::Scene;

/// Runs a natural reproduction with more words on the guest's command line.
fn natural(scene: &Scene, words: &str) -> Value {
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/zswap-writeback-swapoff.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let with = text.replace("cmdline:\n", &format!("cmdline:\n  - {words}\n"));
    assert_ne!(with, text);
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
    let ran = scene.run(&["repro", "--technique", "natural", "--budget", "90s", "--seed", "4"]);
    assert!(matches!(ran.code, Some(3 | 4)), "{ran:?}");
    scene.report()
}

fn ends(cell: &Value) -> Vec<&str> {
    cell["boots"].as_array().unwrap().iter().map(|boot| boot["end"].as_str().unwrap()).collect()
}

#[test]
fn a_guest_that_never_prints() {
    let scene = Scene::new();
    // Frozen before its first instruction.
    let qemu = real_qemu();
    scene.fake(
        "qemu-system-x86_64",
        &format!("[ \"$1\" = --version ] || set -- \"$@\" -S\nexec {qemu} \"$@\""),
    );
    let report = natural(&scene, "nokaslr");
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "boot-failure", "{report:#}");
    assert!(ends(buggy).iter().all(|end| *end == "never-spoke"), "{report:#}");
}

#[test]
fn an_agent_that_is_never_ready() {
    let scene = Scene::new();
    let report = natural(&scene, "swapstorm.fault=mute");
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "boot-failure", "{report:#}");
    assert!(ends(buggy).iter().all(|end| *end == "never-ready"), "{report:#}");
}

#[test]
fn a_guest_that_stops_printing() {
    let scene = Scene::new();
    let report = natural(&scene, "swapstorm.fault=freeze");
    assert_eq!(ends(&report["cells"][0]), ["went-silent"], "{report:#}");
}

#[test]
fn a_guest_that_prints_but_makes_no_progress() {
    let scene = Scene::new();
    let report = natural(&scene, "swapstorm.fault=stall");
    assert_eq!(ends(&report["cells"][0]), ["no-progress"], "{report:#}");
}

#[test]
fn a_page_with_wrong_contents_is_a_bug_of_its_own() {
    let scene = Scene::new();
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/zswap-writeback-swapoff.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let with = text.replace("cmdline:\n", "cmdline:\n  - swapstorm.fault=corrupt_page\n");
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
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
    let qemu = real_qemu();
    // Dies as soon as its guest has printed a little.
    let script = format!(
        "[ \"$1\" = --version ] && exec {qemu} \"$@\"\n{qemu} \"$@\" | head -c 4000\nkill -KILL $$"
    );
    scene.fake("qemu-system-x86_64", &script);
    let report = natural(&scene, "nokaslr");
    let buggy = &report["cells"][0];
    assert_eq!(buggy["verdict"], "infrastructure", "{report:#}");
    assert_eq!(ends(buggy), ["qemu-died"; 3], "{report:#}");
}

fn real_qemu() -> String {
    let output =
        std::process::Command::new("sh").args(["-c", "command -v qemu-system-x86_64"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}
