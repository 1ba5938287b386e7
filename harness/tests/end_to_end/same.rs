// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the same in the reports of two runs of one plan: on a cluster and on one machine, or with everything killed and
//! undisturbed. What is not stands here, and nothing else is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Of a run: which one it is, how and when it was begun, what only a cluster has to tell (Slurm's jobs), what was damaged, and that
/// it was gone on with.
const OF_RUN: [&str; 6] = ["id", "command", "started", "ms", "notices", "resumed"];
/// Of a machine: the node, and what the host's clock says.
const OF_BOOT: [&str; 3] = ["host", "started_ms", "boot_ms"];
/// Of a moment: the host's clock, and how far the guest's had come by the last sample that the host had read then.
const OF_MOMENT: [&str; 3] = ["run_ms", "vm_ms", "guest_ms"];
/// Of a machine that lives by the host's clock: how far it got. A machine after one that was lost has another number, and with
/// it another seed and command line.
const BY_CHANCE: [&str; 9] = [
    "counters",
    "exposure",
    "health",
    "samples",
    "end_detail",
    "number",
    "seed",
    "cmdline",
    "argv",
];
/// Of a cell with such a machine: what that comes to, which worker met the bug, and what is told of machines that were lost.
const OF_CELL_BY_CHANCE: [&str; 4] = ["exposure", "bounds", "warnings", "notices"];
/// Of a bug in such a machine: when it showed, how often, and from which task.
const OF_BUG_BY_CHANCE: [&str; 3] = ["first", "count", "finding"];

/// The report of a run.
pub fn read(folder: &Path) -> Value {
    let text = fs::read(folder.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["damaged"], 0, "{report:#}");
    report
}

/// What each cell came to.
pub fn answers(folder: &Path) -> BTreeMap<String, String> {
    let of = |cell: &Value| {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        (word(&cell["cell"]["id"]), word(&cell["verdict"]))
    };
    read(folder)["cells"].as_array().unwrap().iter().map(of).collect()
}

/// A report without the run, its times and its hosts.
pub fn normal(mut report: Value) -> Value {
    each(&mut report["runs"], |run| drop_keys(run, &OF_RUN));
    each(&mut report["cells"], |cell| {
        drop_keys(cell, &["run"]);
        drop_keys(&mut cell["kernel"], &["ms"]);
        drop_keys(&mut cell["time_to_bug"], &OF_MOMENT);
        each(&mut cell["boots"], |boot| {
            drop_keys(boot, &OF_BOOT);
            let detail = boot["end_detail"].as_str().unwrap_or_default();
            boot["end_detail"] = without_pauses(detail).into();
            each(&mut boot["argv"], |word| {
                if let Some(below) = word.as_str().and_then(in_store) {
                    *word = below.into();
                }
            });
        });
        each(&mut cell["bugs"], |bug| drop_keys(&mut bug["first"], &OF_MOMENT));
    });
    report
}

/// The same of guests that live by the host's clock, some of which were lost and run again. What runs before have taken
/// decides about the order of the cells.
pub fn normal_but_for_chance(report: Value) -> Value {
    let mut report = normal(report);
    each(&mut report["cells"], |cell| {
        drop_keys(cell, &OF_CELL_BY_CHANCE);
        cell["boots"].as_array_mut().unwrap().retain(counts);
        each(&mut cell["boots"], |boot| drop_keys(boot, &BY_CHANCE));
        each(&mut cell["bugs"], |bug| drop_keys(bug, &OF_BUG_BY_CHANCE));
    });
    let id = |cell: &Value| cell["cell"]["id"].to_string();
    report["cells"].as_array_mut().unwrap().sort_by_key(id);
    report
}

/// Whether a machine came to an answer: those that were killed did not.
pub fn counts(boot: &Value) -> bool {
    boot["end"] == "budget" || boot["findings"] != 0
}

/// Compares two renderings without the same, and shows the first words that differ.
#[track_caller]
pub fn assert_same_words(found: &str, expected: &str) {
    let (found, expected) = (words(found), words(expected));
    let same = found.iter().zip(&expected).take_while(|(one, other)| one == other).count();
    let around = |words: &[String]| {
        words.iter().skip(same.saturating_sub(10)).take(20).cloned().collect::<Vec<_>>().join(" ")
    };
    assert!(found == expected, "{}\ninstead of\n{}", around(&found), around(&expected));
}

/// Words of a rendering: where its lines are broken depends on what stands in them.
fn words(text: &str) -> Vec<String> {
    const OF_RUN: [&str; 4] = ["* started: ", "* took: ", "* Slurm's jobs", "Slurm's jobs"];
    let is_of_run = |line: &&str| OF_RUN.iter().any(|begin| line.starts_with(begin));
    let words: Vec<&str> =
        text.lines().filter(|line| !is_of_run(line)).flat_map(str::split_whitespace).collect();
    let mut text = words.join(" ");
    for only_there in ["> It was resumed 1 time.", "It was resumed 1 time.", " on n1", " on n2"] {
        text = text.replace(only_there, "");
    }
    let (begin, end) = ("swapstorm run night.yaml", "--seed 7");
    while let Some(at) = text.find(begin) {
        let length = text[at..].find(end).unwrap() + end.len();
        text.replace_range(at..at + length, "COMMAND");
    }
    // A part of how a machine ended: " for 4.8 s", and what stands before it.
    while let Some(at) = text.find(PAUSE) {
        let length = text[at..].find(" s").unwrap() + " s".len();
        text.replace_range(at..at + length, "");
    }
    let text = text.replace("; )", ")");
    let mut words: Vec<String> =
        text.split_whitespace().map(|word| in_store(word).unwrap_or(word).to_owned()).collect();
    // Times: "6.8 s".
    for at in 1..words.len() {
        if words[at] == "s" && words[at - 1].parse::<f64>().is_ok() {
            words[at - 1].clear();
        }
    }
    words
}

/// What is said of a busy host.
const PAUSE: &str = "this program was kept from running for";

/// How a machine ended, without how long a busy host kept the program from running.
fn without_pauses(detail: &str) -> String {
    let parts = detail.split("; ").filter(|part| !part.starts_with(PAUSE));
    parts.collect::<Vec<_>>().join("; ")
}

/// What lies in a store, without the place of that.
fn in_store(path: &str) -> Option<&str> {
    Some(path.split_once("/store/")?.1)
}

/// Compares two reports, and shows nothing but where they differ.
#[track_caller]
pub fn assert_same(found: &Value, expected: &Value) {
    let differences = differences("", found, expected);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn differences(at: &str, found: &Value, expected: &Value) -> Vec<String> {
    let within =
        |key: &str, one: &Value, other: &Value| differences(&format!("{at}/{key}"), one, other);
    match (found, expected) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter().flat_map(|key| within(key, &found[key], &expected[key])).collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs.flat_map(|(at, (one, other))| within(&at.to_string(), one, other)).collect()
        }
        _ if found == expected => Vec::new(),
        _ => vec![format!("{at}: {found} instead of {expected}")],
    }
}

fn each(list: &mut Value, change: impl FnMut(&mut Value)) {
    list.as_array_mut().unwrap().iter_mut().for_each(change);
}

fn drop_keys(value: &mut Value, keys: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
