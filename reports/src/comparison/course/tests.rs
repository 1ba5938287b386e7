// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::comparison::tests::{Told, eight_pairs, events, request};
use crate::comparison::{Comparison, compare};
use crate::event::PointCounts;
use crate::sample::race_6_1;

const METRIC: &str = "writebacks-per-store";
/// A's third storm.
const TROUBLED: &str = "plain-x86_64-steady-3";

/// Eight pairs with three swapoffs each, one of A's storms with a bug at half of its time, and one of another architecture.
pub(crate) fn storms() -> Vec<Told> {
    let mut storms = eight_pairs(0.9);
    storms.iter_mut().for_each(|storm| storm.counters.push(("swapoff", 3)));
    storms.push(Told { arch: "arm64", ..storms[0].clone() });
    storms
}

/// The log of these storms with so many samples each. In A's third storm a window is stretched, and there is a bug.
pub(crate) fn log(samples: u64) -> Vec<RunEvent> {
    let mut log = Vec::new();
    for event in events("one", &storms()) {
        let at_ms = event.at_ms;
        let What::Sample { cell, row, .. } = &event.what else {
            log.push(event);
            continue;
        };
        if row[1] == Some(1) {
            log.push(event);
            continue;
        }
        for sample in 1..samples {
            let way = |value: &Option<u64>| value.map(|value| value * sample / (samples - 1));
            let (cell, boot, row) = (cell.clone(), 1, row.iter().map(way).collect());
            let troubled = cell == TROUBLED && sample == samples / 2;
            log.push(RunEvent { at_ms, run: None, what: What::Sample { cell, boot, row } });
            if troubled {
                log.extend(trouble(at_ms));
            }
        }
    }
    log
}

fn trouble(at_ms: u64) -> [RunEvent; 2] {
    let cell = || TROUBLED.to_owned();
    let counts = PointCounts { stretched: 2, ..PointCounts::default() };
    let points = [("point".to_owned(), counts)].into();
    let finding = race_6_1();
    [
        What::Windows { cell: cell(), boot: 1, points },
        What::Found {
            cell: cell(),
            boot: 1,
            guest_ms: 5_100,
            diverted: None,
            starved: None,
            finding,
        },
    ]
    .map(|what| RunEvent { at_ms, run: None, what })
}

/// The comparison of a log, and the courses of its storms.
pub(crate) fn drawn(log: &[RunEvent], metric: &str) -> (Comparison, Vec<Course>) {
    let report = RunReport::fold(log.iter().cloned());
    let request = request("", "");
    let comparison = compare(&report, &request).unwrap();
    let mut courses = Courses::new(&report, &request, metric).unwrap();
    courses.begin_log("log");
    log.iter().for_each(|event| courses.push(event));
    (comparison, courses.finish())
}

#[test]
fn each_storm_ends_where_the_table_says_and_long_ones_are_thinned_out() {
    for samples in [40, 5_000] {
        let (comparison, courses) = drawn(&log(samples), METRIC);
        let row = comparison.rows.iter().find(|row| row.metric.name == METRIC).unwrap();
        for (is_b, values) in [(false, &row.a), (true, &row.b)] {
            let compared = courses.iter().filter(|c| c.is_b == is_b && c.is_compared);
            let compared: Vec<&Course> =
                compared.filter(|course| comparison.pairs.contains(&course.number)).collect();
            let ends: Vec<f64> =
                compared.iter().map(|course| course.points.last().unwrap().1).collect();
            assert_eq!(&ends, values);
        }
        for course in &courses {
            assert!(course.points.len() <= MAX_POINTS.min(samples as usize), "{samples}");
            assert!(course.points.is_sorted_by(|a, b| a.0 < b.0));
            assert_eq!(course.points.last().unwrap().0, 10.0);
            assert_eq!(course.swapoffs.len(), 3);
        }
        assert!(courses.iter().all(|course| course.points.len() >= 39.min(MAX_POINTS / 2)));
    }
}

#[test]
fn storms_that_are_not_compared_are_followed_too_unless_they_are_of_another_setting() {
    let mut twice = log(40);
    twice.extend(log(40));
    let (comparison, courses) = drawn(&twice, METRIC);
    assert_eq!(comparison.pairs, [1, 2, 4, 5, 6, 7, 8]);
    assert_eq!(courses.len(), 16);
    let left_out: Vec<&Course> = courses.iter().filter(|course| !course.is_compared).collect();
    let [third] = &left_out[..] else { panic!("{left_out:?}") };
    assert_eq!((third.is_b, third.number, third.points.len()), (false, 3, 39));
    assert_eq!(third.findings, [(5.1, race_6_1().title)]);
    assert_eq!(third.windows.len(), 1);
    assert!((5.0..5.2).contains(&third.windows[0]), "{:?}", third.windows);
    let others = courses.iter().filter(|course| course.is_compared);
    assert!(others.clone().all(|course| course.windows.is_empty() && course.findings.is_empty()));
}

#[test]
fn a_metric_that_is_not_there_cannot_be_drawn() {
    let report = RunReport::fold(log(3));
    let why = |metric| Courses::new(&report, &request("", ""), metric).unwrap_err().to_string();
    assert!(why("alloc-rejects").contains("neither side has reject_alloc_fail"));
    assert!(why("nonsuch").contains("there is no metric `nonsuch`"));
}
