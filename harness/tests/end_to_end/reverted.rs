// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fixes that are taken out of a kernel again: the profile that says that it exercises one shows that it is gone.

use std::fs;

use serde_json::Value;

use crate::support::Scene;

/// The cell with that series in the report.
fn cell<'a>(report: &'a Value, series: &str) -> &'a Value {
    let mut cells = report["cells"].as_array().unwrap().iter();
    cells.find(|cell| cell["cell"]["series"] == series).unwrap()
}

/// Runs a profile with its own technique on Debian's 6.1 with each of these series.
fn storm(scene: &Scene, profile: &str, series: &[&str]) -> Value {
    let plan = format!(
        "about: a fix taken out\nkernels: [debian-6.1]\nseries: [{}]\nprofiles: [{profile}]\n\
         techniques: [stretch]\nstorm: 2s\n",
        series.join(", ")
    );
    fs::write(scene.path("reverted.yaml"), plan).unwrap();
    scene.run(&["run", "./reverted.yaml", "--seed", "5"]).expect(1);
    scene.report()
}

/// x86_64 calls it a general protection fault, and the rule knows it for what it is.
#[test]
fn whoever_frees_an_entry_finds_the_map_of_its_device_gone() {
    let scene = Scene::new();
    let series = "free-swap-swapoff-6.1-reintroduce";
    let args = ["repro", "--profile", "shmem-exit", "--reintroduce", series, "--seed", "1"];
    scene.run(&[&args[..], &["--budget", "10m"]].concat()).expect(0);
    let report = scene.report();
    for cell in report["cells"].as_array().unwrap() {
        let is_reverted = cell["cell"]["series"] == series;
        assert_eq!(cell["expected"] == true, is_reverted, "{cell:#}");
        assert_eq!(cell["verdict"], if is_reverted { "kernel-bug" } else { "clean" }, "{cell:#}");
    }
    assert_eq!(report["proofs"][0]["reached"], true, "{report:#}");
}

/// Nothing but the contents of pages tells: no sanitizer, and no count that is wrong.
#[test]
fn a_fault_past_the_swap_cache_that_keeps_nobody_out_maps_an_old_page() {
    let scene = Scene::new();
    let (fixed, reverted) = ("swap-synchronous-6.1", "skip-swapcache-6.1-reintroduce");
    let report = storm(&scene, "swapin-threads", &[fixed, reverted]);
    let without = cell(&report, reverted);
    assert_eq!(without["verdict"], "kernel-bug", "{without:#}");
    assert_eq!(without["bugs"].as_array().unwrap().len(), 0, "{without:#}");
    // It is the same page as it was before, not another one.
    let detail = without["corruptions"][0]["detail"].as_str().unwrap();
    let number = |key: &str| -> u64 {
        let words = detail.split(' ').find_map(|word| word.strip_prefix(key));
        words.unwrap_or_else(|| panic!("no {key} in {detail}")).parse().unwrap()
    };
    assert_eq!(number("page="), number("saw_page="), "{detail}");
    assert_eq!(number("worker="), number("saw_worker="), "{detail}");
    let with = cell(&report, fixed);
    assert_eq!((&with["verdict"], &with["corruption_count"]), (&"clean".into(), &0.into()));
    assert!(with["exposure"]["windows"].as_u64() > Some(0), "{with:#}");
}
