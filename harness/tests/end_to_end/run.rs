// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of plans.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::Scene;

/// A minute of storm on each architecture, by load alone and with stretched windows: the guests
/// live, are exercised, and no report is made up.
#[test]
fn every_architecture_storms_for_a_minute() {
    let scene = Scene::new();
    let ran = scene.run(&["run", "architectures", "--seed", "1", "--json"]);
    ran.expect(0);
    let report = scene.report();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 6, "{report:#}");
    for cell in cells {
        assert_eq!(cell["verdict"], "clean", "{cell:#}");
        // A guest that never came up was tried again: the last one decides.
        let last = cell["boots"].as_array().unwrap().last().unwrap();
        assert_eq!(last["end"], "budget", "{cell:#}");
        let count = |name: &str| cell["exposure"][name].as_u64().unwrap();
        assert!(count("guest_ms") > 55_000, "{cell:#}");
        assert!(count("swapoffs") > 0 && count("verified") > 0, "{cell:#}");
        let stretched = cell["cell"]["technique"] == "stretch";
        let exposed = if stretched { "windows" } else { "writebacks" };
        assert!(count(exposed) > 0, "{cell:#}");
        assert_eq!(count("windows") > 0, stretched, "{cell:#}");
    }
}

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
    // A rarer face of the race, a NULL pointer, may come first in one of them.
    let buggy = &report["cells"].as_array().unwrap()[2..];
    let titles: BTreeSet<&str> =
        buggy.iter().map(|cell| cell["bugs"][0]["finding"]["title"].as_str().unwrap()).collect();
    let is_expected = |cell: &Value| cell["expected"] == true;
    assert!(buggy.iter().any(is_expected), "{report:#}");
    // One bundle for one bug, however often it showed.
    let bundles = fs::read_dir(scene.run_folder()).unwrap().flatten();
    let bundles =
        bundles.filter(|entry| entry.file_name().to_string_lossy().starts_with("bundle-")).count();
    assert!((1..=titles.len()).contains(&bundles), "{bundles} for {titles:?}");
}
