// SPDX-License-Identifier: MIT OR Apache-2.0
use std::collections::BTreeMap;

use reports::comparison::{Selector, Side};
use reports::event::{RunEvent, VmEnd, What};
use reports::exit::Purpose;
use reports::statistics::rule::Looks;
use workloads::profile::Technique;

use super::*;
use crate::job::tests::debian_6_1;

fn group(series: Option<&str>) -> Arc<Group> {
    debian_6_1(series, "writeback-steady", Technique::Natural)
}

fn campaign(most: u32) -> Pairs {
    let (a, b) = (group(None), group(Some("swapoff-slow-6.1")));
    let side = |group: &Group| Side { runs: Vec::new(), selector: Selector::of(&group.cell()) };
    let request = Request {
        a: side(&a),
        b: side(&b),
        metrics: vec!["writebacks-per-store".to_owned()],
        expected: BTreeMap::new(),
        margin: 0.05,
        looks: Looks::Sequential,
        force: false,
    };
    Pairs { a, b, seed: 7, storm: Duration::from_secs(10), most, request, begun: 0 }
}

fn tell(report: &mut RunReport, what: What) {
    report.push(&RunEvent { at_ms: 1, run: None, what });
}

fn run() -> RunReport {
    let mut report = RunReport::default();
    let start = What::RunStarted {
        format: reports::event::FORMAT,
        minor: reports::event::MINOR,
        id: "run".to_owned(),
        version: String::new(),
        command: Vec::new(),
        started: String::new(),
        seed: 7,
        purpose: Some(Purpose::Search),
        confidence: None,
        host_name: String::new(),
        host: BTreeMap::new(),
    };
    tell(&mut report, start);
    report
}

/// Plays a storm in which so many pages were written back; `None`: its machine broke down.
fn play(report: &mut RunReport, cell: &Cell, writebacks: Option<u64>) {
    let (id, boot) = (cell.id.clone(), 1);
    let id = || id.clone();
    let columns = ["guest_ms", "seq", "zswpout", "zswpwb"].map(str::to_owned).into();
    tell(report, What::CellPlanned { cell: cell.clone() });
    tell(
        report,
        What::VmStarted {
            cell: id(),
            boot,
            accel: "tcg".to_owned(),
            accel_why: String::new(),
            seed: None,
            host: String::new(),
            argv: Vec::new(),
            cmdline: String::new(),
        },
    );
    tell(report, What::GuestReady { cell: id(), boot, boot_ms: 1 });
    tell(report, What::Columns { cell: id(), boot, columns });
    for row in [[0; 4], [10_000, 2, 20_000, writebacks.unwrap_or(0)]] {
        tell(report, What::Sample { cell: id(), boot, row: row.map(Some).into() });
    }
    tell(report, What::GuestDone { cell: id(), boot, reason: "time".to_owned() });
    let why = if writebacks.is_some() { VmEnd::Budget } else { VmEnd::QemuDied };
    tell(report, What::VmStopped { cell: id(), boot, why, detail: String::new() });
    tell(report, What::CellFinished { cell: id() });
}

/// Runs the campaign to its end; `writebacks` says what each storm comes to. Gives the number of pairs after each look.
fn to_the_end(mut pairs: Pairs, writebacks: impl Fn(&Cell) -> Option<u64>) -> Vec<u32> {
    let mut report = run();
    let mut jobs = pairs.begin();
    let mut begun = Vec::new();
    while !jobs.is_empty() {
        begun.push(pairs.begun);
        for job in &jobs {
            assert!(pairs.more(&RunReport::default()).is_empty(), "nothing while cells are open");
            play(&mut report, &job.cell, writebacks(&job.cell));
        }
        jobs = pairs.more(&report);
    }
    begun
}

/// Numbers that scatter by about `share`.
fn scattered(cell: &Cell, share: f64) -> Option<u64> {
    let way = f64::from(cell.number * 5 % 8) / 4.0 - 0.9;
    let sign = if cell.series.is_some() { 1.0 } else { -1.0 };
    Some((4_000.0 * (1.0 + sign * share * way)) as u64)
}

#[test]
fn pairs_take_turns_and_share_their_seeds() {
    let jobs = campaign(16).begin();
    let ids: Vec<&str> = jobs.iter().map(|job| job.cell.id.as_str()).take(8).collect();
    assert_eq!(ids, ["a-1", "b-1", "b-2", "a-2", "a-3", "b-3", "b-4", "a-4"]);
    assert_eq!(jobs.len(), 16);
    assert_eq!(jobs[0].cell.seed, jobs[1].cell.seed);
    assert_ne!(jobs[1].cell.seed, jobs[2].cell.seed);
    assert!(jobs.iter().all(|job| job.cell.is_virtual()));
}

#[test]
fn a_clear_answer_ends_it_at_the_first_look() {
    let less =
        |cell: &Cell| scattered(cell, 0.01).map(|n| n - 400 * u64::from(cell.id.starts_with('b')));
    assert_eq!(to_the_end(campaign(16), less), [8]);
    assert_eq!(to_the_end(campaign(16), |cell| scattered(cell, 0.01)), [8]);
}

#[test]
fn what_stays_open_takes_all_looks_and_no_more_pairs_than_are_allowed() {
    assert_eq!(to_the_end(campaign(16), |cell| scattered(cell, 0.3)), [8, 12, 16]);
    assert_eq!(to_the_end(campaign(10), |cell| scattered(cell, 0.3)), [8, 10]);
}

#[test]
fn pairs_that_come_to_nothing_are_made_good() {
    let broken =
        |cell: &Cell| scattered(cell, 0.01).filter(|_| cell.id != "b-3" && cell.id != "a-9");
    assert_eq!(to_the_end(campaign(16), broken), [8, 9, 10]);
    // Where no storm comes to anything, that is the end.
    assert_eq!(to_the_end(campaign(16), |_| None), [8]);
}
