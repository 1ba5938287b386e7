// SPDX-License-Identifier: MIT OR Apache-2.0
use reports::event::{RunEvent, VmEnd, What};
use reports::exit::{ExitCode, Purpose};
use reports::finding::{Finding, Frame, Stack, StackRole};

use super::*;
use crate::job::tests::debian_6_1;
use workloads::profile::Technique;

fn group(series: Option<&str>) -> Arc<Group> {
    debian_6_1(series, "zswap-writeback-swapoff", Technique::Stretch)
}

fn campaign(runs: u32, side_by_side: u32) -> Repro {
    Repro {
        buggy: group(None),
        fixed: group(Some("zswap-writeback-swapoff-6.1")),
        seed: 7,
        runs,
        side_by_side,
        budget: Duration::from_secs(120),
        confidence: 0.95,
        rounds: 0,
    }
}

/// A report that cells are played into.
struct Log(RunReport);

impl Log {
    fn new() -> Self {
        let mut log = Self(RunReport::default());
        log.tell(What::RunStarted {
            format: reports::event::FORMAT,
            minor: reports::event::MINOR,
            id: "run".to_owned(),
            version: String::new(),
            command: Vec::new(),
            started: String::new(),
            seed: 7,
            purpose: Some(Purpose::Repro),
            confidence: Some(0.95),
            host_name: String::new(),
            host: Default::default(),
        });
        log
    }

    fn tell(&mut self, what: What) {
        self.0.push(&RunEvent { at_ms: 0, run: None, what });
    }

    /// A cell that had so much exposure, and showed the bug or not.
    fn plays(&mut self, job: &CellJob, exposure: Exposure, shows: bool) {
        let (id, boot) = (|| job.cell.id.clone(), 1);
        self.tell(What::CellPlanned { cell: job.cell.clone() });
        self.tell(What::VmStarted {
            cell: id(),
            boot,
            accel: "tcg".to_owned(),
            accel_why: String::new(),
            seed: Some(1),
            host: String::new(),
            argv: Vec::new(),
            cmdline: String::new(),
        });
        self.tell(What::GuestReady { cell: id(), boot, boot_ms: 1 });
        self.tell(What::Exposure { cell: id(), boot, exposure });
        if shows {
            let finding = the_race();
            let (diverted, starved) = (None, None);
            self.tell(What::Found { cell: id(), boot, guest_ms: 1, diverted, starved, finding });
        }
        self.tell(What::GuestDone { cell: id(), boot, reason: "stop".to_owned() });
        let why = VmEnd::Enough;
        self.tell(What::VmStopped { cell: id(), boot, why, detail: String::new() });
        self.tell(What::CellFinished { cell: id() });
    }
}

/// A report that the profile's rule matches.
fn the_race() -> Finding {
    let stack = |role, function: &str| {
        let function = function.into();
        let frames = vec![Frame { function, offset: None, source: None, inlined: false }];
        Stack { role, task: None, frames }
    };
    Finding {
        title: "KASAN: use-after-free Write in zswap_writeback_entry".to_owned(),
        kind: "KASAN-USE-AFTER-FREE-WRITE".to_owned(),
        stacks: vec![
            stack(StackRole::Access, "zswap_writeback_entry"),
            stack(StackRole::FreedBy, "__x64_sys_swapoff"),
        ],
        ..Finding::default()
    }
}

fn exposure(windows: u64, swapoffs: u64) -> Exposure {
    let writebacks = windows;
    Exposure { windows, swapoffs, writebacks, guest_ms: 1_000, verified: 1, ..Exposure::default() }
}

#[test]
fn the_bug_is_looked_for_three_times_and_every_guest_has_a_seed_of_its_own() {
    let mut cells: Vec<Cell> = campaign(1, 1).begin().into_iter().map(|job| job.cell).collect();
    let ids: Vec<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["buggy-1", "buggy-2", "buggy-3"]);
    assert!(cells.iter().all(|cell| cell.should_show == Some(true) && cell.series.is_none()));
    let mut other = campaign(1, 1);
    other.seed = 8;
    cells.extend(other.begin().into_iter().map(|job| job.cell));
    cells.sort_by_key(|cell| cell.seed);
    cells.dedup_by_key(|cell| cell.seed);
    assert_eq!(cells.len(), 6, "two seeds share no cell");
    assert_eq!(campaign(9, 1).begin().len(), 9);
}

#[test]
fn nothing_is_measured_before_the_last_sight_and_nothing_without_one() {
    let mut repro = campaign(1, 1);
    let jobs = repro.begin();
    let mut log = Log::new();
    for job in &jobs {
        log.tell(What::CellPlanned { cell: job.cell.clone() });
    }
    log.plays(&jobs[0], exposure(2, 3), false);
    assert!(repro.more(&log.0).is_empty(), "two guests are still to come");
    log.plays(&jobs[1], exposure(2, 3), false);
    log.plays(&jobs[2], exposure(2, 3), false);
    assert!(repro.more(&log.0).is_empty(), "nobody saw the bug");
    assert_eq!(log.0.exit_code(Purpose::Repro), ExitCode::Inconclusive);
}

#[test]
fn guests_side_by_side_share_what_the_fixed_kernel_has_to_stand() {
    let mut repro = campaign(1, 2);
    let mut log = Log::new();
    for job in repro.begin() {
        log.plays(&job, exposure(10, 4), true);
    }
    let fixed = repro.more(&log.0);
    let ids: Vec<&str> = fixed.iter().map(|job| job.cell.id.as_str()).collect();
    assert_eq!(ids, ["fixed-1", "fixed-2"]);
    let total = reports::proof::factor(3, 0.95).unwrap();
    for job in &fixed {
        let wanted = job.cell.wanted.unwrap();
        assert_eq!(wanted.windows, (30.0 * total / 2.0).ceil() as u64);
        assert_eq!(wanted.swapoffs, (12.0 * total / 2.0).ceil() as u64);
        assert!(job.cell.series.is_some() && job.cell.should_show == Some(false));
        assert_eq!(job.budget, repro.budget, "3 s of storm had the bug in it thrice");
    }
    // One of them falls short: what is missing is asked for again, and then it is enough.
    log.plays(&fixed[0], exposure(30, 30), false);
    log.plays(&fixed[1], exposure(2, 30), false);
    assert_eq!(log.0.exit_code(Purpose::Repro), ExitCode::Inconclusive);
    let more = repro.more(&log.0);
    assert!(more.iter().all(|job| job.cell.wanted.unwrap().windows > 0), "{more:?}");
    assert_eq!(more[0].cell.id, "fixed-3");
    for job in &more {
        log.plays(job, job.cell.wanted.unwrap(), false);
    }
    assert!(repro.more(&log.0).is_empty());
    assert!(log.0.proofs()[0].is_reached());
}

#[test]
fn the_fixed_side_may_take_as_long_as_the_pace_of_the_buggy_one_says() {
    let repro = campaign(1, 1);
    let mut log = Log::new();
    for job in campaign(1, 1).begin() {
        log.plays(&job, exposure(10, 10), true);
    }
    let seconds = |wanted: Exposure| repro.fixed_budget(&log.0, &wanted).as_secs();
    // 30 windows in 3 s: 3,000 would take 300 s, and may take four times that.
    assert_eq!(seconds(exposure(3_000, 0)), 1_200);
    assert_eq!(seconds(exposure(1, 1)), 120, "never below what was asked for");
}
