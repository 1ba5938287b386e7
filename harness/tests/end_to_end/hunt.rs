// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hunts: the race of Linux 6.1 is found by who is not told where it is, and the fixed kernel gives no reason for
//! alarm at the same places.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Scene, wait_for};

/// One function, so that the race's site comes soon, whatever the host is busy with.
const FUNCTIONS: &str = "zswap_writeback_entry";

fn hunt(scene: &Scene, more: &[&str]) -> (Option<i32>, Value) {
    let mut args = vec!["hunt", "--functions", FUNCTIONS, "--seed", "1", "--budget", "10m"];
    args.extend(more);
    let ran = scene.run(&args);
    (ran.code, scene.report())
}

#[test]
fn the_race_of_6_1_is_found_without_knowing_where_it_is() {
    let scene = Scene::new();
    let (code, report) = hunt(&scene, &["--again", "0"]);
    assert_eq!(code, Some(1), "{report:#}");
    let cell = &report["cells"][0];
    let title = cell["bugs"][0]["finding"]["title"].as_str().unwrap();
    // A use after free, or another face of the race: a NULL pointer, or a BUG_ON().
    assert!(title.contains("zswap_writeback_entry"), "{report:#}");
    // The report names who had slept, and what he was to meet.
    let suspect = &cell["hunt"]["suspects"][title];
    assert!(suspect["site"].as_str().unwrap().starts_with("zswap_writeback_entry:"), "{report:#}");
    assert_eq!(suspect["actor"], "swapoff");
}

/// CVE-2025-21693, which 6.1 still has: with a CPU goes what a store on it holds.
#[test]
fn what_goes_with_a_cpu_is_found_by_taking_one_away_beside_sleepers() {
    let scene = Scene::new();
    let ran = scene.run(&[
        "hunt",
        "--functions",
        "zswap_frontswap_store",
        "--beside",
        "cpu",
        "--seed",
        "1",
        "--budget",
        "10m",
    ]);
    ran.expect(1);
    let report = scene.report();
    let cell = &report["cells"][0];
    let title = cell["bugs"][0]["finding"]["title"].as_str().unwrap();
    let suspect = &cell["hunt"]["suspects"][title];
    assert_eq!(suspect["actor"], "cpu", "{report:#}");
    // The report is about what a CPU had, and that one was taken away.
    let text = report.to_string();
    assert!(text.contains("zswap_frontswap_store") && text.contains("mutex_lock"), "{report:#}");
}

/// It is killed in the middle, and goes on with what it had seen.
#[test]
fn a_hunt_in_the_fixed_kernel_is_overtaken_as_well_and_finds_nothing() {
    let scene = Scene::new();
    let fixed = ["--functions", FUNCTIONS, "--series", "zswap-writeback-swapoff-6.1"];
    let words = [&["hunt", "--seed", "1", "--budget", "10m"], &fixed[..]].concat();
    let mut child =
        scene.swapstorm().args(&words).args(["--out", "killed"]).stderr(Stdio::null()).spawn();
    let child = child.as_mut().unwrap();
    let log = || {
        let runs = fs::read_dir(scene.path("killed")).into_iter().flatten().flatten();
        let mut logs = runs.map(|run| run.path().join("events.jsonl"));
        logs.next().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
    };
    wait_for("two sleeps that were overtaken", || {
        log().matches("\"outcome\":\"overlapped\"").count() >= 2
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let before = log().matches("\"outcome\":\"overlapped\"").count() as u64;
    let run = fs::read_dir(scene.path("killed")).unwrap().next().unwrap().unwrap().path();
    let resume = ["--resume", run.to_str().unwrap(), "--overlaps", "2"];
    scene.run(&[&words, &resume[..]].concat()).expect(0);
    let report = scene.report();
    let cell = &report["cells"][0];
    assert_eq!(cell["bugs"].as_array().map(Vec::len), Some(0), "{report:#}");
    let windows = cell["exposure"]["windows"].as_u64().unwrap();
    assert!(windows >= 2, "{report:#}");
    let sites = cell["hunt"]["sites"].as_object().unwrap().values();
    let beside = sites.map(|site| &site["beside"]["swapoff"]);
    let overlaps = |beside: &Value| {
        let count = |what: &str| beside[what].as_u64().unwrap_or(0);
        count("overlapped") + count("partly")
    };
    assert!(beside.map(overlaps).sum::<u64>() >= before + windows, "{report:#}");

    // From the log alone it reads the same.
    let folder = scene.run_folder();
    let told = scene.run(&["report", folder.to_str().unwrap(), "--format", "json"]);
    told.expect(0);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["cells"][0]["hunt"], cell["hunt"]);
    assert_eq!(told["problems"].as_array().map_or(0, Vec::len), 0, "{told:#}");

    // What was seen in one kernel says nothing of another.
    let other = ["hunt", "--functions", FUNCTIONS, "--out", "other"];
    let ran = scene.run(&[&other, &resume[..]].concat());
    ran.expect(2).says(&["the hunt to go on with was in another kernel", "--series"]);
}

#[test]
fn functions_and_files_that_are_not_there_are_refused_by_name() {
    let scene = Scene::new();
    let ran = scene.run(&["hunt", "--files", "mm/slub.c"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("it is not known which functions mm/slub.c has"), "{}", ran.stderr);
    assert!(ran.stderr.contains("mm/zswap.c"), "{}", ran.stderr);
}
