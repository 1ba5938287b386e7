// SPDX-License-Identifier: MIT OR Apache-2.0
use reports::check::StatisticsFacts;
use reports::event::{Cell, Exposure, RunEvent, VmEnd, What};
use reports::exit::Purpose;
use reports::search::range::Position;
use reports::search::told::Label;
use workloads::profile::Technique;

use super::*;
use crate::job::Ground;
use crate::job::tests::debian_6_1;

const STORM: Duration = Duration::from_secs(10);

/// A kernel with so many patches, under a profile.
fn group(patches: usize, profile: &str) -> Arc<Group> {
    let mut group = Group::clone(&debian_6_1(None, profile, Technique::Natural));
    let Ground::Qemu(choice) = &mut group.ground else { panic!("not QEMU's") };
    choice.manifest.name = format!("k{patches}");
    Arc::new(group)
}

/// A series of so many patches, each of which is tried on its own.
fn campaign(patches: usize) -> Check {
    let groups: Vec<Arc<Group>> = (0..=patches).map(|at| group(at, "mixed")).collect();
    let statistics = [0, patches].map(|at| group(at, "writeback-steady"));
    let position = |group: &Arc<Group>| Position {
        population: group.cell().population(),
        label: Label::default(),
        weight: 1.0,
    };
    let facts = CheckFacts {
        series: "s".to_owned(),
        base: "k0".to_owned(),
        subjects: vec!["s".to_owned(); patches],
        positions: groups.iter().map(position).collect(),
        fixes: false,
        each: true,
        pairs: 3,
        confidence: 0.95,
        budget_ms: 1_000_000,
        storm_ms: 10_000,
        statistics: Some(StatisticsFacts {
            base: statistics[0].cell().population(),
            tip: statistics[1].cell().population(),
            most: 16,
        }),
        checkpatch: None,
        sparse: None,
    };
    Check {
        facts,
        groups,
        statistics: Some((statistics, STORM)),
        seed: 7,
        storm: STORM,
        side_by_side: 2,
    }
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
        host: Default::default(),
    };
    tell(&mut report, start);
    report
}

fn play_clean(report: &mut RunReport, cell: &Cell) {
    let (id, boot) = (|| cell.id.clone(), 1);
    tell(report, What::CellPlanned { cell: cell.clone() });
    let started = What::VmStarted {
        cell: id(),
        boot,
        accel: "tcg".to_owned(),
        accel_why: String::new(),
        seed: Some(1),
        host: String::new(),
        argv: Vec::new(),
        cmdline: String::new(),
    };
    tell(report, started);
    tell(report, What::GuestReady { cell: id(), boot, boot_ms: 1 });
    let exposure = Exposure {
        swapoffs: 5,
        writebacks: 5,
        guest_ms: 10_000,
        verified: 1,
        ..Exposure::default()
    };
    tell(report, What::Exposure { cell: id(), boot, exposure });
    tell(report, What::GuestDone { cell: id(), boot, reason: "time".to_owned() });
    let why = VmEnd::Budget;
    tell(report, What::VmStopped { cell: id(), boot, why, detail: String::new() });
    tell(report, What::CellFinished { cell: id() });
}

#[test]
fn kernels_take_turns_with_the_same_seeds_and_each_patch_is_tried_once() {
    let mut check = campaign(3);
    let mut report = run();
    let mut jobs = check.begin();
    let ids = |jobs: &[CellJob]| jobs.iter().map(|job| job.cell.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&jobs), ["base-1", "patch1-1", "patch2-1", "tip-1"]);
    assert!(jobs.iter().all(|job| job.cell.seed == jobs[0].cell.seed));
    assert!(check.more(&RunReport::default()).len() == 4, "a log that is empty begins anew");
    let first = jobs[0].cell.seed;
    jobs.iter().for_each(|job| play_clean(&mut report, &job.cell));
    jobs = check.more(&report);
    assert_eq!(ids(&jobs), ["tip-2", "base-2", "base-3", "tip-3"]);
    assert!(jobs[0].cell.seed == jobs[1].cell.seed && jobs[1].cell.seed != first);
    // Nothing is asked for while cells are open.
    tell(&mut report, What::CellPlanned { cell: jobs[0].cell.clone() });
    assert!(check.more(&report).is_empty());
    let mut report = run();
    for job in check.begin().iter().chain(&jobs) {
        play_clean(&mut report, &job.cell);
    }
    // Then the statistics.
    jobs = check.more(&report);
    assert_eq!(jobs.len(), 16);
    assert_eq!(
        ids(&jobs)[..4],
        ["base-statistics-1", "tip-statistics-1", "tip-statistics-2", "base-statistics-2"]
    );
    assert!(jobs.iter().all(|job| job.cell.profile == "writeback-steady"));
}
