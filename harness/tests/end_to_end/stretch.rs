// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where tasks must not be put to sleep, in real kernels. What says so lies elsewhere in each of them,
//! and is read from their code: were it read wrongly, tasks would sleep here.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::Scene;

/// So many tasks come by as RCU readers at least.
const READERS: u64 = 200;
/// So many come by with a spinlock held.
const LOCKED: u64 = 20;
/// Storms until so many have come by.
const MOST_STORMS: u32 = 10;

#[test]
fn no_task_sleeps_under_a_spinlock_or_as_an_rcu_reader() {
    refused("debian-6.1", "x86_64");
}

#[test]
fn no_task_sleeps_under_a_spinlock_or_as_an_rcu_reader_on_arm64() {
    refused("debian-6.1", "arm64");
}

#[test]
fn no_task_sleeps_under_a_spinlock_or_as_an_rcu_reader_on_riscv64() {
    refused("debian-6.1", "riscv64");
}

#[test]
#[ignore = "builds a second kernel: CONTRIBUTING.md says when to run it"]
fn no_task_sleeps_under_a_spinlock_or_as_an_rcu_reader_on_7_3() {
    refused("debian-7.3", "x86_64");
}

/// Calls that tasks of the storm make whenever they swap in: as an RCU reader, and one while a tree's
/// lock is held, which is in another function from version to version.
const CALLS: [&str; 4] = [
    "{function: get_swap_device, call: __rcu_read_unlock}",
    "{function: swap_cache_get_folio, call: __rcu_read_unlock}",
    "{function: do_swap_page, call: __rcu_read_unlock}",
    "{function: zswap_frontswap_load, call: _raw_spin_unlock, occurrence: 2}, \
     {function: xa_erase, call: _raw_spin_unlock}",
];

/// A storm in which every task that comes to one of these calls would be put to sleep: none is, all
/// are counted, and the kernel has nothing to say.
fn refused(kernel: &str, arch: &str) {
    let scene = Scene::new();
    let mut profile = "name: refusals\ndescription: tasks come where they must not sleep\n\
        guest: {memory_mib: 128, cpus: 2, disks: 4, disk_mib: 2}\n\
        storm: {workers: 4, pages: 64, push: pageout, chunk: 16, on_ms: 1-30, off_ms: 0-2}\n\
        cmdline: [nokaslr, preempt=full, rcupdate.rcu_expedited=1]\nstretch:\n"
        .to_owned();
    for calls in CALLS {
        profile.push_str(&format!(
            "  - why: nobody may sleep here\n    ms: 100\n    most_at_a_time: 8\n    optional: true\n    \
             candidates: [{calls}]\n"
        ));
    }
    scene.own("workloads/profiles/refusals.yaml", &profile);
    let plan = format!(
        "about: refusals\nkernels: [{kernel}]\narch: [{arch}]\nprofiles: [refusals]\n\
         techniques: [stretch]\nstorm: 15s\n"
    );
    fs::write(scene.path("plan.yaml"), plan).unwrap();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = Value::Null;
    let is_enough = |reasons: &BTreeMap<String, u64>| {
        // Some come by for whom it is forbidden for other reasons, too, of which the first one counts.
        reasons.get("rcu-reader") >= Some(&READERS) && reasons.get("preempt-count") >= Some(&LOCKED)
    };
    // A guest that the host gives little time has few tasks that come by.
    for seed in 1..=MOST_STORMS {
        last = storm(&scene, seed, &mut reasons);
        if is_enough(&reasons) {
            break;
        }
    }
    assert!(is_enough(&reasons), "{reasons:?}: {last:#}");
}

/// One storm of the plan: adds why tasks were refused, and gives the last counts.
fn storm(scene: &Scene, seed: u32, reasons: &mut BTreeMap<String, u64>) -> Value {
    let ran = scene.run(&["run", "plan.yaml", "--seed", &seed.to_string()]);
    let report = scene.report();
    // So many stops leave a slow guest too little time for a result.
    assert!(matches!(ran.code, Some(0 | 4)), "{:?}: {}\n{report:#}", ran.code, ran.stderr);
    assert_eq!(report["cells"][0]["bugs"].as_array().map(Vec::len), Some(0), "{report:#}");

    let folder = scene.run_folder();
    let log = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let mut events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = events.rfind(|event| event["event"] == "windows").unwrap();
    for (point, counts) in last["points"].as_object().unwrap() {
        assert_eq!(counts["stretched"], 0, "{point}: {last:#}");
        for (reason, n) in counts["refused"].as_object().into_iter().flatten() {
            *reasons.entry(reason.clone()).or_default() += n.as_u64().unwrap();
        }
    }
    last
}
