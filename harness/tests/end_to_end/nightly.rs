// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nights that nobody watches: a matrix on three architectures, and a disk that fills. All else that can happen to a run is in
//! `undisturbed/chaos.rs`.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Scene;

/// Two kernels, three architectures, two profiles, side by side.
#[test]
fn a_matrix_of_kernels_architectures_and_profiles() {
    let scene = Scene::new();
    let plan = "about: a small night\n\
        kernels: [debian-6.1]\n\
        series: [none, zswap-writeback-swapoff-6.1]\n\
        arch: [x86_64, arm64, riscv64]\n\
        profiles: [zswap-writeback-swapoff, mixed]\n\
        storm: 8s\n\
        overrides: [{cells: {profiles: [mixed]}, storm: 12s}]\n\
        budget: {run: 2h, cell: 1h}\n\
        known: [{rule: zswap-writeback-swapoff, cells: {series: [none]}, note: fixed in 6.9, since: 2024-01-30}]\n";
    fs::write(scene.path("night.yaml"), plan).unwrap();
    let ran = scene.run(&["run", "night.yaml", "--seed", "1"]);
    // 4: a guest that the host gave little time may not come to write anything back, and is not called clean.
    assert!(matches!(ran.code, Some(0 | 4)), "{:?} {}", ran.code, ran.stderr);
    let report = scene.report();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 12);
    for cell in cells {
        // By load alone the race of 6.1 hardly ever shows; if it does, the plan knows of it.
        let verdict = cell["verdict"].as_str().unwrap();
        let was_idle = verdict == "inconclusive" && cell["exposure"]["writebacks"] == 0;
        assert!(["clean", "known-bug"].contains(&verdict) || was_idle, "{cell:#}");
        assert!(cell["exposure"]["swapoffs"].as_u64().unwrap() > 0, "{cell:#}");
    }
    // The next night knows what each took, and that all kernels are there.
    let dry = scene.run(&["run", "night.yaml", "--dry-run"]);
    dry.expect(0);
    assert!(dry.stdout.contains("12 cells, 0 kernels to build"), "{}", dry.stdout);
    assert!(dry.stdout.contains("12 cells have been run here before"), "{}", dry.stdout);
    assert!(dry.stdout.contains(" that were run here)"), "{}", dry.stdout);
}

/// The disk is nearly full: nothing more is begun until there is room. It is full: the run ends, says how to go on, and
/// can be gone on with.
#[test]
fn a_full_disk_is_waited_out_or_costs_a_resume() {
    let scene = Scene::new();
    fs::write(scene.path("night.yaml"), "about: six cells\nkernels: [debian-6.1]\n\
        series: [zswap-writeback-swapoff-6.1]\nprofiles: [zswap-writeback-swapoff]\nruns: 6\nstorm: 3s\n").unwrap();
    // A file system of the test's own, seen by nobody else.
    let script = r#"
        set -e
        mkdir disk && mount -t tmpfs -o size=900m none disk
        log() { cat disk/out/run-*/events.jsonl 2>/dev/null; }
        until_says() { n=0; until log | grep -q "$1"; do sleep 0.1; n=$((n + 1)); [ $n -lt 6000 ]; done; }
        "$SWAPSTORM" run night.yaml --seed 5 --jobs 1 --out disk/out >first.out 2>first.err &
        until_says guest-ready
        fallocate -l 600m disk/ballast
        until_says 'nothing more is begun for now'
        rm disk/ballast
        until_says 'can take guests again'
        # Now there is no room for a line of the log.
        until dd if=/dev/zero of=disk/ballast bs=64k oflag=append conv=notrunc 2>/dev/null; do
            kill -0 $! 2>/dev/null || break
            sleep 0.2
        done
        code=0; wait $! || code=$?
        rm -f disk/ballast
        echo "first $code"
        code=0; "$SWAPSTORM" run --resume disk/out/run-* >second.out 2>second.err || code=$?
        echo "second $code"
        cp disk/out/run-*/report.json report.json
    "#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).current_dir(scene.dir.path());
    let ours = scene.swapstorm();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("SWAPSTORM", ours.get_program()).env_remove("SWAPSTORM_OUT");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let read = |name: &str| fs::read_to_string(scene.path(name)).unwrap_or_default();
    let all = format!("{output:?}\n{}\n{}", read("first.err"), read("second.err"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("first 3\nsecond 0\n"), "{all}");
    assert!(read("first.err").contains("swapstorm run --resume"), "{all}");
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 6);
    for cell in cells {
        assert_eq!(cell["verdict"], "clean", "{cell:#}");
    }
}
