// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::*;
use crate::event::{Digest, What};
use crate::render;
use crate::sample::events::{BUGGY, FIXED, Log, OTHER_POINT, POINT, enough, good_repro};
use crate::sample::{bug_elsewhere, race_6_1, race_6_8};

/// Events of two cells and three boots in any order, as a damaged or merged log may hold them.
fn any_event() -> impl Strategy<Value = What> {
    let cell = prop_oneof![Just(BUGGY.to_owned()), Just(FIXED.to_owned()), Just("x\x1b[m".into())];
    let end = prop_oneof![
        Just(VmEnd::Enough),
        Just(VmEnd::DidNotStop),
        Just(VmEnd::Starved),
        Just(VmEnd::MethodFault),
        Just(VmEnd::Budget),
        Just(VmEnd::Derailed),
        Just(VmEnd::Interrupted),
        Just(VmEnd::Crashed),
        Just(VmEnd::WentSilent),
        Just(VmEnd::NeverReady),
        Just(VmEnd::QemuDied),
        Just(VmEnd::ConnectionLost),
    ];
    let fault = prop_oneof![Just(Fault::Infrastructure), Just(Fault::Build)];
    let finding = prop_oneof![Just(race_6_1()), Just(race_6_8()), Just(bug_elsewhere())];
    let counters = prop_oneof![Just(enough()), Just(Exposure::default())];
    let rest = (any::<u64>(), any::<bool>(), 0..6u8);
    (cell, 0..3u32, end, fault, finding, counters, rest).prop_flat_map(
        |(cell, boot, why, fault, finding, exposure, (n, flag, health))| {
            let detail = "d\x1b[m".to_owned();
            let health =
                Health { believed: 9, suspicious: u64::from(health == 0), ..Health::default() };
            let id = cell.clone();
            prop_oneof![
                Just(What::CellPlanned { cell: crate::sample::events::cell(&id) }),
                Just(What::VmStarted {
                    cell: cell.clone(),
                    boot,
                    accel: "tcg".into(),
                    accel_why: String::new(),
                    seed: Some(n),
                    host: detail.clone(),
                    argv: vec!["qemu".into(), "-S".into()],
                    cmdline: String::new()
                }),
                Just(What::GuestReady { cell: cell.clone(), boot, boot_ms: n }),
                Just(What::Exposure { cell: cell.clone(), boot, exposure }),
                Just(What::Columns { cell: cell.clone(), boot, columns: vec!["swapoff".into()] }),
                Just(What::Sample { cell: cell.clone(), boot, row: vec![Some(n), None] }),
                Just(What::Windows { cell: cell.clone(), boot, points: windows(n) }),
                Just(What::CellCancelled {
                    cell: cell.clone(),
                    why: detail.clone(),
                    planned: flag
                }),
                Just(What::RunResumed {
                    version: "1".into(),
                    resumed: "2026-11-26T00:00:00Z".into(),
                    host_name: String::new(),
                    again: vec![cell.clone()],
                    healed: n % 2,
                }),
                Just(What::GuestDone { cell: cell.clone(), boot, reason: detail.clone() }),
                Just(What::Found {
                    cell: cell.clone(),
                    boot,
                    guest_ms: n,
                    diverted: flag.then(|| detail.clone()),
                    starved: flag.then(|| detail.clone()),
                    finding
                }),
                Just(What::Corruption { cell: cell.clone(), boot, detail: detail.clone() }),
                Just(What::GuestChecked {
                    cell: cell.clone(),
                    boot,
                    phase: n,
                    detail: detail.clone()
                }),
                Just(What::TelemetryChecked { cell: cell.clone(), boot, health }),
                Just(What::Digested { cell: cell.clone(), boot, digest: digest(n) }),
                Just(What::VmStopped { cell: cell.clone(), boot, why, detail: detail.clone() }),
                Just(What::CommandEnded { cell: cell.clone(), status: (n % 256) as i32 }),
                Just(What::CellFailed { cell: cell.clone(), fault, detail }),
                Just(What::CellFinished { cell }),
                Just(What::RunFinished { interrupted: flag }),
            ]
        },
    )
}

fn digest(n: u64) -> Digest {
    let hex = |n: u64| format!("{n:064x}");
    Digest { console: hex(n), console_bytes: n, counters: hex(!n) }
}

fn windows(n: u64) -> BTreeMap<String, PointCounts> {
    let refused = BTreeMap::from([("r\x1b[m".to_owned(), n)]);
    let counts = PointCounts { stretched: n, returned: n, refused, ..PointCounts::default() };
    BTreeMap::from([("p\x1b[m".to_owned(), counts)])
}

proptest! {
    #[test]
    fn no_log_hides_a_bug_or_breaks_a_rendering(
        events in proptest::collection::vec((any::<u64>(), any_event()), 0..40),
    ) {
        let events: Vec<RunEvent> =
            events.into_iter().map(|(at_ms, what)| RunEvent { at_ms, run: None, what }).collect();
        let report = RunReport::fold(events.clone());
        for event in &events {
            match &event.what {
                What::Found { cell, .. } | What::Corruption { cell, .. } => {
                    prop_assert_eq!(
                        report.cell(cell).map(|cell| cell.verdict.word().ends_with("bug")),
                        Some(true)
                    );
                }
                _ => {}
            }
        }
        // A kernel that a command of the user's calls good has no guest.
        let stormed = report.cells.iter().filter(|cell| cell.command.is_none());
        for cell in stormed.filter(|cell| cell.verdict.word() == "clean") {
            prop_assert!(cell.exposure.swapoffs > 0 && cell.boots.iter().any(Boot::ready));
        }
        let look = render::Look { width: 80, colour: false };
        let text = render::text(&report, Purpose::Repro, look)
            + &render::markdown(&report, Purpose::Search);
        prop_assert!(!text.contains('\x1b'));
        let json = render::json(&report, Purpose::Repro);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}

#[test]
fn boots_of_a_cell_add_up() {
    let report = Log::new()
        .planned(BUGGY)
        .exposure(BUGGY, 1, enough())
        .exposure(BUGGY, 1, enough())
        .exposure(BUGGY, 2, Exposure { swapoffs: u64::MAX, windows: 4, ..Exposure::default() })
        .report();
    let sum = report.cell(BUGGY).unwrap().exposure;
    assert_eq!((sum.windows, sum.swapoffs), (64, u64::MAX));
}

#[test]
fn the_command_is_repeated_with_the_seed_that_it_had() {
    let mut report = good_repro().report();
    for given in [
        &["repro", "--seed", "1", "--json"][..],
        &["repro", "--seed=1", "--json"],
        &["repro", "--json"],
        &["repro", "--json", "--seed"],
    ] {
        report.runs[0].command = given.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(report.repeat_command(), ["swapstorm", "repro", "--json", "--seed", "42"]);
    }
    // Nothing was drawn for a guest to log in to, and what looks like options are a command's words.
    report.cells[0].cell.technique = NO_TECHNIQUE.to_owned();
    report.runs[0].command = ["exec", "--", "mkfs", "--seed", "7"].map(str::to_owned).to_vec();
    assert_eq!(report.repeat_command()[1..], report.runs[0].command);
}

#[test]
fn a_flood_of_reports_is_bounded() {
    let mut log = Log::new().planned(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    for n in 0..400 {
        let mut finding = bug_elsewhere();
        finding.title = format!("bug {n}");
        log = log.found(BUGGY, 1, 1, finding);
    }
    // The expected bug is not lost among them.
    let report = log.found(BUGGY, 1, 1, race_6_1()).report();
    let cell = report.cell(BUGGY).unwrap();
    assert_eq!(cell.bugs.len(), fold::MAX_BUGS + 1);
    assert!(cell.showed_expected());
}

/// The buggy cell's machine, with so many samples of which the last is always the same.
fn sampled(samples: u64) -> RunReport {
    let mut log = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    for _ in 1..samples {
        log = log.exposure(BUGGY, 1, Exposure { swapoffs: 1, guest_ms: 7, ..enough() });
    }
    log.exposure(BUGGY, 1, enough()).report()
}

#[test]
fn what_is_kept_of_a_machine_does_not_grow_with_its_samples() {
    let (mut few, mut many) = (sampled(2), sampled(5_000));
    assert_eq!((few.cells[0].boots[0].samples, many.cells[0].boots[0].samples), (2, 5_000));
    for report in [&mut few, &mut many] {
        report.runs[0].ms = 0;
        let boot = &mut report.cells[0].boots[0];
        (boot.samples, boot.times) = (0, Times::default());
        // Three numbers for each column, whose sums differ.
        assert_eq!(boot.measured.rise("swapoff"), Some(enough().swapoffs - 1));
        boot.measured = Measured::default();
    }
    assert_eq!(few, many);
    assert_eq!(few.cells[0].exposure, enough());
}

#[test]
fn a_report_is_whole_after_each_event() {
    let log = good_repro();
    let mut report = RunReport::default();
    for (at, event) in log.events.iter().enumerate() {
        report.push(event);
        assert_eq!(report, RunReport::fold(log.events[..=at].iter().cloned()));
        assert_eq!(report.finished(), at + 1 == log.events.len());
    }
    assert_eq!(report.exit_code(Purpose::Repro).code(), 0);
}

#[test]
fn only_windows_of_the_bug_are_exposure() {
    let counts = |stretched, refused: u64| PointCounts {
        stretched,
        returned: stretched,
        refused: BTreeMap::from([("rcu-reader".to_owned(), refused)]),
        ..PointCounts::default()
    };
    let points = BTreeMap::from([
        (POINT.to_owned(), counts(3, 1)),
        (OTHER_POINT.to_owned(), counts(40, 9)),
        ("of which nothing is known".to_owned(), counts(2, 0)),
    ]);
    let windows =
        |log: Log| log.then(What::Windows { cell: BUGGY.into(), boot: 1, points: points.clone() });
    let up = || Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    // In whichever order the log has them.
    for log in [windows(up().points(BUGGY)), windows(up()).points(BUGGY)] {
        let report = log.report();
        let cell = report.cell(BUGGY).unwrap();
        assert_eq!((cell.exposure.windows, cell.exposure.refused), (5, 1));
        let told: Vec<u64> = cell.points.iter().map(|point| point.counts.stretched).collect();
        assert_eq!(told, [3, 40]);
        assert_eq!(cell.left_out[0].id, "shrink_memcg_cb:_raw_spin_lock:1");
    }
}

#[test]
fn machines_of_a_bad_host_add_nothing() {
    let log = Log::new().planned(FIXED).kernel(FIXED);
    let boot = |log: Log, n, why| {
        log.started(FIXED, n).ready(FIXED, n).exposure(FIXED, n, enough()).stopped(FIXED, n, why)
    };
    let report = boot(boot(log, 1, VmEnd::Starved), 2, VmEnd::Enough).finished(FIXED).report();
    let cell = report.cell(FIXED).unwrap();
    assert_eq!((cell.exposure, cell.verdict.word()), (enough(), "clean"));
    assert_eq!(cell.boots.iter().map(|boot| boot.seed).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

/// A log of another run with the same cells.
fn second_night() -> Log {
    let mut log = good_repro();
    if let What::RunStarted { id, host_name, .. } = &mut log.events[0].what {
        (*id, *host_name) = ("night-2".to_owned(), "other-box".to_owned());
    }
    log
}

#[test]
fn logs_of_several_runs_merge_one_behind_the_other_or_mixed() {
    let (first, second) = (good_repro().events, second_night().events);
    let behind = RunReport::fold(first.iter().chain(&second).cloned());
    let mut mixed: Vec<RunEvent> = Vec::new();
    for (a, b) in first.iter().zip(&second) {
        let tagged =
            |event: &RunEvent, run: &str| RunEvent { run: Some(run.to_owned()), ..event.clone() };
        mixed.extend([tagged(b, "night-2"), tagged(a, "night-1")]);
    }
    let mixed = RunReport::fold(mixed);
    for report in [&behind, &mixed] {
        assert_eq!(report.problems, [""; 0]);
        assert_eq!(report.cells.len(), 4);
        assert!(report.finished() && report.is_merged());
        assert_eq!(report.exit_code(report.purpose()).code(), 0);
        for (run, host) in [("night-1", "box"), ("night-2", "other-box")] {
            let cell = report.cell_of(run, FIXED).unwrap();
            assert_eq!(report.run_of(cell).unwrap().host_name, host);
            assert_eq!(report.name_of(cell), format!("{run}/fixed"));
        }
    }
    // Two runs of each side: 5 % of luck take a good deal less.
    let proof = &behind.proofs()[0];
    assert_eq!((proof.buggy.hits, proof.buggy.exposure.windows, proof.machines), (2, 6, 2));
    assert_eq!(proof.fixed.windows, 120);
    assert!(proof.pass_probability < 0.01);
    // The key of a cell is the same every night.
    let keys: std::collections::BTreeSet<&str> =
        behind.cells.iter().map(|cell| cell.cell.key.as_str()).collect();
    assert_eq!(
        keys.into_iter().collect::<Vec<_>>(),
        [
            "debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1",
            "debian-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1",
        ]
    );
}

#[test]
fn a_run_that_is_there_twice_counts_once() {
    let events = good_repro().events;
    let report = RunReport::fold(events.iter().chain(&events).cloned());
    assert_eq!((report.runs.len(), report.cells.len()), (1, 2));
    assert_eq!(report.problems, ["run night-1 is there twice: it is counted once"]);
    assert_eq!(report.cells[0].bugs[0].count, 2, "as in one");
}

#[test]
fn a_log_without_its_first_line_does_not_fall_to_the_run_before() {
    let mut report = RunReport::default();
    report.begin_log("a");
    good_repro().events.iter().for_each(|event| report.push(event));
    report.begin_log("b");
    second_night().events[1..].iter().for_each(|event| report.push(event));
    assert_eq!(report.problems, ["b: the log does not begin with the start of its run"]);
    assert!(report.finished() && !report.is_whole());
    assert_eq!(report.exit_code(Purpose::Repro).code(), 4);
    assert_eq!(report.cell_of("b", BUGGY).unwrap().bugs[0].count, 2);
    assert_eq!(report.cell_of("night-1", BUGGY).unwrap().bugs[0].count, 2);
}

#[test]
fn texts_of_many_reports_are_bounded_for_the_run() {
    let mut finding = bug_elsewhere();
    finding.text = "x".repeat(64 << 10);
    let mut report = RunReport::default();
    for n in 0..400 {
        let mut cell = crate::sample::events::cell(BUGGY);
        cell.id = format!("buggy-{n}");
        let (boot, guest_ms, diverted, finding) = (1, 1, None, finding.clone());
        let (id, starved) = (cell.id.clone(), None);
        let found = What::Found { cell: id, boot, guest_ms, diverted, starved, finding };
        for what in [What::CellPlanned { cell }, found] {
            report.push(&RunEvent { at_ms: n, run: None, what });
        }
    }
    let kept: usize = report.cells.iter().map(|cell| cell.bugs[0].finding.text.len()).sum();
    assert!((16 << 20..18 << 20).contains(&kept), "{kept}");
}

#[test]
fn progress_of_a_build_is_shown_until_the_kernel_is_ready() {
    let building = |done| What::Building {
        cell: BUGGY.to_owned(),
        stage: "compile".to_owned(),
        done,
        expected: Some(1250),
    };
    let log = Log::new().planned(BUGGY).then(building(3)).then(building(90));
    let report = Log { events: log.events.clone() }.report();
    let shown = report.cells[0].building.as_ref().map(|building| building.done);
    assert_eq!(shown, Some(90));
    let reason = "it was not run: its kernel was being made (compile, 90 of 1250 objects)";
    assert_eq!(report.cells[0].verdict.reason(), reason);
    assert_eq!(log.kernel(BUGGY).report().cells[0].building, None);
}

#[test]
fn ten_thousand_cells_that_fail_are_told_as_they_fail() {
    // As a run does it: the report is looked at after each event.
    let mut report = RunReport::default();
    let mut at_ms = 0;
    let mut push = |report: &mut RunReport, what| {
        at_ms += 1;
        report.push(&RunEvent { at_ms, run: None, what });
    };
    for event in Log::new().events {
        push(&mut report, event.what);
    }
    let cell = |n: u32| {
        let id = format!("cell-{n}");
        Cell {
            id,
            number: n,
            should_show: None,
            wanted: None,
            ..crate::sample::events::cell(FIXED)
        }
    };
    for n in 0..10_000 {
        push(&mut report, What::CellPlanned { cell: cell(n) });
    }
    for n in 0..10_000 {
        let id = cell(n).id;
        let (fault, detail) = (Fault::Build, "mm/zswap.c:1: error: no".to_owned());
        push(&mut report, What::CellFailed { cell: id.clone(), fault, detail });
        assert_eq!(report.cell(&id).unwrap().verdict.word(), "build failure");
        push(&mut report, What::CellFinished { cell: id });
    }
    push(&mut report, What::RunFinished { interrupted: false });
    assert_eq!(report.exit_code(Purpose::Search).code(), 2);
    let look = render::Look { width: 100, colour: false };
    let text = render::text(&report, Purpose::Search, look);
    assert_eq!(
        text.matches("build failure").count(),
        10_002,
        "each, the headline and their number"
    );
    let json = render::json(&report, Purpose::Search);
    let markdown = render::markdown(&report, Purpose::Search);
    assert!(json.contains("cell-9999") && markdown.contains("cell-9999"));
}
