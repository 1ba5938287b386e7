// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of plans.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::Scene;

/// One cell's failure is its own; and where the bug is, a plan finds it.
#[test]
fn a_plan_goes_on_behind_a_cell_that_fails() {
    let scene = Scene::new();
    let patch = "From: A <a@example.org>\nSubject: [PATCH] mm: no such line\n\n---\n\
        --- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -1,1 +1,1 @@\n-no such line\n+another one\n";
    fs::write(scene.path("wrong.patch"), patch).unwrap();
    let plan = "about: two kernels\nkernels: [debian-6.1]\nseries: [./wrong.patch, none]\n\
        profiles: [zswap-writeback-swapoff]\ntechniques: [stretch]\nstorm: 10m\nruns: 2\n";
    fs::write(scene.path("plan.yaml"), plan).unwrap();
    let ran = scene.run(&["run", "plan.yaml", "--seed", "1"]);
    ran.expect(1).says(&["mm/zswap.c", "wrong"]);
    let report = scene.report();
    let verdicts: Vec<&str> = report["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["verdict"].as_str().unwrap())
        .collect();
    let expected = ["patch-conflict", "patch-conflict", "kernel-bug", "kernel-bug"];
    assert_eq!(verdicts, expected, "{report:#}");
    // A rarer face of the race, a NULL pointer or a BUG_ON(), may come first in each of them.
    let buggy = &report["cells"].as_array().unwrap()[2..];
    let titles: BTreeSet<&str> =
        buggy.iter().map(|cell| cell["bugs"][0]["finding"]["title"].as_str().unwrap()).collect();
    let is_the_race = |cell: &Value| {
        cell["expected"] == true || cell["bugs"][0].to_string().contains("zswap_writeback_entry")
    };
    assert!(buggy.iter().all(is_the_race), "{report:#}");
    // One bundle for one bug, however often it showed.
    let bundles = fs::read_dir(scene.run_folder()).unwrap().flatten();
    let bundles =
        bundles.filter(|entry| entry.file_name().to_string_lossy().starts_with("bundle-")).count();
    assert!((1..=titles.len()).contains(&bundles), "{bundles} for {titles:?}");
}
