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
    let with = text.replace("\nstorm:\n", &format!("\nstorm:\n  fault: {fault}\n"));
    assert_ne!(with, text);
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
}

/// Runs one cell that comes to nothing. The kernel is the fixed one: the other may show a bug
/// first, even by load alone. `patience` is a factor of all timeouts: what is tested here is what
/// happens when they end.
fn one_cell(scene: &Scene, code: i32, patience: &str) -> Value {
    stormed(scene, "90s", code, patience)
}

/// As [`one_cell`], with a storm of that length; more of the plan may follow it.
fn stormed(scene: &Scene, storm: &str, code: i32, patience: &str) -> Value {
    let plan = format!(
        "about: one cell\nkernels: [debian-6.1]\nseries: [zswap-writeback-swapoff-6.1]\n\
         profiles: [zswap-writeback-swapoff]\nstorm: {storm}\n"
    );
    scene.own("harness/plans/one.yaml", &plan);
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
    let cell = one_cell(&scene, 1, "1");
    assert_eq!(cell["verdict"], "kernel-bug", "{cell:#}");
    assert_eq!(cell["expected"], false, "{cell:#}");
    assert!(cell["corruption_count"].as_u64().unwrap() >= 1, "{cell:#}");
}

/// The first guest's processors stand still while its clock runs on, for longer than its kernel's detectors of stalls
/// allow; again if the kernel noticed nothing, as one does whose processors happened to be idle.
/// On arm64: the clock of a translated x86_64 stands still with it. The control is in `hangs.rs`.
#[test]
fn a_kernel_that_reports_a_stall_because_the_host_starved_it_has_no_bug() {
    let scene = Scene::new();
    let mark = scene.path("starved").display().to_string();
    // A shell gives what it starts in the background no stdin of its own, and QEMU's is how the guest is told to stop.
    let starves = format!(
        "case \"$*\" in *token=probe*) exec \"$real\" \"$@\" ;; esac\n\
         mkdir {mark} 2> /dev/null || exec \"$real\" \"$@\"\n\
         exec 3<&0\nmkfifo said\ntee seen < said &\n\"$real\" \"$@\" <&3 > said & qemu=$!\n\
         samples() {{ grep -c ' seq=' seen; }}\n\
         until [ $(samples) -ge 5 ]; do sleep 0.1; done\n\
         until grep -q -e 'soft lockup' -e 'detected stall' -e 'expedited stall' seen; do\n\
         kill -STOP $qemu || break\nsleep 29\nkill -CONT $qemu; enough=$(($(samples) + 3))\n\
         until [ $(samples) -ge $enough ]; do kill -0 $qemu || break; sleep 0.1; done\n\
         done\nwait $qemu"
    );
    scene.fake("qemu-system-aarch64", &emulator_or("qemu-system-aarch64", &starves));
    let cell = stormed(&scene, "90s\narch: [arm64]", 0, "1");
    assert_eq!(cell["verdict"], "clean", "{cell:#}");
    assert_eq!(ends(&cell)[0], "starved", "{cell:#}");
    let bugs = cell["bugs"].as_array().unwrap();
    assert!(!bugs.is_empty() && bugs.iter().all(|bug| bug["standing"] == "starved"), "{cell:#}");
    let detail = cell["boots"][0]["end_detail"].as_str().unwrap();
    assert!(detail.contains("the agent was late for"), "{cell:#}");
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
    emulator_or("qemu-system-x86_64", otherwise)
}

/// As [`qemu_or`], of the QEMU of that name.
fn emulator_or(program: &str, otherwise: &str) -> String {
    let command = format!("command -v {program}");
    let found = std::process::Command::new("sh").args(["-c", &command]).output();
    let real = String::from_utf8(found.unwrap().stdout).unwrap();
    let real = real.trim();
    format!("real={real}\n[ \"$1\" = --version ] && exec \"$real\" \"$@\"\n{otherwise}")
}
