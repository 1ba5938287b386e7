// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparisons of kernels that do not differ, by storms that were run: `testdata/padded-6.1`.

use crate::baseline::BookReader;
use crate::comparison::differences;
use crate::comparison::metric::choose;
use crate::comparison::storm::Storm;
use crate::statistics::rule::{LEVEL, LOOKS, Looks, Tested, Verdict, assess};
use crate::statistics::tests::random::Random;

/// Three storms on each of twenty kernels in which nothing but addresses differ.
const STORMS: &[u8] = include_bytes!("../../../testdata/padded-6.1/baselines.jsonl");
/// What the profile of those storms tests.
const METRICS: [&str; 5] = [
    "writebacks-per-store",
    "writebacks-per-hit",
    "writes-per-page",
    "refaults-per-swapin",
    "pages-per-pool-page",
];

fn storms() -> Vec<Storm> {
    let mut reader = BookReader::default();
    reader.push(STORMS);
    let book = reader.finish();
    assert_eq!((book.entries.len(), book.problems.len()), (20, 0));
    book.entries.iter().flat_map(|entry| entry.baseline.storms().storms).collect()
}

/// Both kernels of a comparison are made of storms that are drawn from all of them, none twice.
fn alarms(storms: &[Storm], pairs: usize, times: u64) -> usize {
    let metrics = choose(&METRICS.map(str::to_owned)).unwrap();
    let alarm = |seed: &u64| {
        let mut random = Random::new(*seed);
        let mut all: Vec<&Storm> = storms.iter().collect();
        for last in (1..all.len()).rev() {
            all.swap(last, (random.uniform() * (last + 1) as f64) as usize % (last + 1));
        }
        let measured: Vec<_> = all.iter().map(|storm| &storm.measured).collect();
        let (a, b) = (&measured[..pairs], &measured[pairs..2 * pairs]);
        let tested = metrics.iter().map(|metric| {
            let values = metric.measure(a, b).unwrap();
            Tested { differences: differences(&values.a, &values.b), better: metric.better }
        });
        let tested: Vec<Tested> = tested.collect();
        let told = |verdict| {
            matches!(verdict, Verdict::Regression | Verdict::Improvement | Verdict::SmallShift)
        };
        assess(&tested, Looks::Sequential, 0.05).iter().any(|metric| told(metric.verdict))
    };
    (0..times).filter(alarm).count()
}

#[test]
fn kernels_that_do_not_differ_seldom_raise_an_alarm_over_all_looks() {
    let storms = storms();
    assert_eq!(storms.len(), 60);
    let times = 400;
    let seen = alarms(&storms, LOOKS[2].pairs, times);
    println!("{seen} alarms in {times} comparisons of {} storms", storms.len());
    // As many as are promised, and three standard deviations of their number.
    let promised = times as f64 * LEVEL;
    assert!(seen as f64 <= promised + 3.0 * promised.sqrt(), "{seen} of {times}");
}
