// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::event::{VmEnd, What};
use crate::exit::{ExitCode, Purpose};
use crate::render;
use crate::sample::events::{BUGGY, FIXED, Log, good_repro};
use crate::sample::{bug_elsewhere, race_6_1};

const RACE: &str = "zswap-writeback-swapoff";

fn known(title: &str, rule: &str) -> KnownBug {
    KnownBug {
        title: title.to_owned(),
        rule: rule.to_owned(),
        note: "fixed in 6.9".to_owned(),
        since: "2024-01-30".to_owned(),
        ..KnownBug::default()
    }
}

/// A night in which one kernel shows the race and the other nothing, and whose plan knows `bugs`.
fn night(bugs: &[KnownBug]) -> RunReport {
    let knows = bugs.iter().cloned().map(|bug| What::KnownLoaded { bug });
    let log = knows.fold(Log::new(), Log::then);
    log.planned(BUGGY).planned(FIXED).buggy_cell().fixed_cell().end(false).report()
}

fn word(report: &RunReport, cell: &str) -> &'static str {
    report.cell(cell).unwrap().verdict.word()
}

#[test]
fn a_known_bug_is_counted_and_raises_no_alarm() {
    for bug in [known("KASAN: use-after-free * in zswap_writeback_entry", ""), known("", RACE)] {
        let report = night(&[bug]);
        assert_eq!(word(&report, BUGGY), "known bug");
        assert_eq!(report.exit_code(Purpose::Search), ExitCode::Clean);
        let standing = &report.known_bugs()[0];
        assert_eq!((standing.shown, standing.stayed_away()), (1, false));
        let text =
            render::text(&report, Purpose::Search, render::Look { width: 100, colour: false });
        assert!(text.contains("Known since 2024-01-30") && text.contains("(fixed in"), "{text}");
        // The report is still there to be read.
        assert!(text.contains("zswap_writeback_entry+0x"), "{text}");
    }
}

#[test]
fn what_the_plan_does_not_know_raises_the_alarm() {
    let day = |until: &str| KnownBug { until: until.to_owned(), ..known("", RACE) };
    let elsewhere = KnownBug {
        cells: Selection { arch: vec!["riscv64".to_owned()], ..Selection::default() },
        ..known("", RACE)
    };
    for bug in [
        known("KASAN: use-after-free", ""),
        known("", "another-rule"),
        day("2024-01-31"),
        elsewhere,
    ] {
        let report = night(std::slice::from_ref(&bug));
        assert_eq!(word(&report, BUGGY), "expected bug", "{bug:?}");
        assert_eq!(report.exit_code(Purpose::Search), ExitCode::KernelBug, "{bug:?}");
    }
    // Its last day is one of those on which it is known.
    let today = night(&[]).runs[0].started[..10].to_owned();
    assert_eq!(word(&night(&[day(&today)]), BUGGY), "known bug");
}

#[test]
fn a_known_bug_hides_no_other() {
    let log =
        Log::new().then(What::KnownLoaded { bug: known("", RACE) }).planned(BUGGY).planned(FIXED);
    let log = log.kernel(BUGGY).points(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    let log = log.found(BUGGY, 1, 300, race_6_1()).found(BUGGY, 1, 400, bug_elsewhere());
    let report = log.ended(BUGGY, 1, VmEnd::Enough).fixed_cell().end(false).report();
    assert_eq!(word(&report, BUGGY), "another bug");
    assert_eq!(report.known_bugs()[0].shown, 1);
}

#[test]
fn a_known_bug_that_stays_away_is_told_of() {
    let gone = known("KASAN: * in a_function_of_old", "");
    let report = night(&[gone, known("", RACE)]);
    let standings = report.known_bugs();
    assert!(standings[0].stayed_away() && !standings[1].stayed_away());
    let text = render::text(&report, Purpose::Search, render::Look { width: 100, colour: false });
    assert!(text.contains("Known and not seen in any of 2 cells"), "{text}");
    // Of cells without an answer it cannot be told.
    let none = Log::new().then(What::KnownLoaded { bug: known("x", "") }).planned(BUGGY).end(false);
    assert!(!none.report().known_bugs()[0].stayed_away());
}

#[test]
fn what_the_plan_left_out_is_no_fault_unless_it_was_everything() {
    let left_out = |id: &str| What::CellCancelled {
        cell: id.to_owned(),
        why: "the run's time is used up".to_owned(),
        planned: true,
    };
    let some =
        Log::new().planned(BUGGY).planned(FIXED).fixed_cell().then(left_out(BUGGY)).end(false);
    assert_eq!(word(&some.report(), BUGGY), "left out");
    assert_eq!(some.report().exit_code(Purpose::Search), ExitCode::Clean);
    let all = Log::new().planned(BUGGY).planned(FIXED).then(left_out(BUGGY)).then(left_out(FIXED));
    assert_eq!(all.end(false).report().exit_code(Purpose::Search), ExitCode::Inconclusive);
    // What had been seen by then counts.
    let cut = good_repro().report();
    assert_eq!(word(&cut, BUGGY), "expected bug");
}

/// A run that is resumed, with the cells that are run again.
fn resumed(again: &[&str], healed: u64) -> What {
    What::RunResumed {
        version: "0.1.0".to_owned(),
        resumed: "2026-11-26T03:00:00Z".to_owned(),
        host_name: String::new(),
        again: again.iter().map(|id| (*id).to_owned()).collect(),
        healed,
    }
}

#[test]
fn a_run_that_was_resumed_ends_as_one_that_was_not_disturbed() {
    let begun = Log::new().planned(BUGGY).planned(FIXED).buggy_cell();
    let killed = begun.kernel(FIXED).points(FIXED).started(FIXED, 1).ready(FIXED, 1);
    let killed = killed.exposure(FIXED, 1, crate::sample::events::enough());
    let again = killed.then(resumed(&[FIXED], 0));
    let cell = |log: &Log| log.report().cell(FIXED).unwrap().clone();
    assert_eq!((cell(&again).boots.len(), cell(&again).next_boot()), (0, 2));
    assert_eq!(cell(&again).exposure, crate::event::Exposure::default());

    let again =
        again.started(FIXED, 2).ready(FIXED, 2).exposure(FIXED, 2, crate::sample::events::enough());
    let again = again.stopped(FIXED, 2, VmEnd::Budget).finished(FIXED).end(false);
    let undisturbed = good_repro();
    assert_eq!(cell(&again).verdict, cell(&undisturbed).verdict);
    assert_eq!(cell(&again).exposure, cell(&undisturbed).exposure);
    assert_eq!(cell(&again).boots.len(), cell(&undisturbed).boots.len());
    for purpose in [Purpose::Repro, Purpose::Search] {
        assert_eq!(again.report().exit_code(purpose), undisturbed.report().exit_code(purpose));
    }
    assert_eq!(again.report().runs[0].resumed, 1);
}

#[test]
fn what_a_killed_run_had_seen_stays_seen() {
    let log = Log::new().planned(FIXED).kernel(FIXED).started(FIXED, 1).ready(FIXED, 1);
    let log = log.found(FIXED, 1, 400, bug_elsewhere()).then(resumed(&[FIXED], 0));
    let log =
        log.started(FIXED, 2).ready(FIXED, 2).exposure(FIXED, 2, crate::sample::events::enough());
    let report = log.stopped(FIXED, 2, VmEnd::Budget).finished(FIXED).end(false).report();
    assert_eq!(word(&report, FIXED), "another bug");
    let ends = report.cell(FIXED).unwrap().boots.iter().map(|boot| boot.end);
    assert_eq!(ends.collect::<Vec<_>>(), [Some(VmEnd::Orphaned), Some(VmEnd::Budget)]);
}

#[test]
fn a_known_bug_whose_line_was_lost_is_known_once_the_run_is_resumed() {
    let cell = |log: &Log| log.report().cell(BUGGY).unwrap().clone();
    let knows = What::KnownLoaded { bug: known("", RACE) };
    let elsewhere = Selection { arch: vec!["riscv64".to_owned()], ..Selection::default() };
    let other = What::KnownLoaded { bug: KnownBug { cells: elsewhere, ..known("", RACE) } };
    let begun = Log::new().planned(BUGGY).buggy_cell().then(resumed(&[], 1));
    assert_eq!(word(&begun.report(), BUGGY), "expected bug");
    let begun = begun.then(other);
    assert_eq!(word(&begun.report(), BUGGY), "expected bug");
    let resumed = begun.then(knows.clone());
    let undisturbed = Log::new().then(knows).planned(BUGGY).buggy_cell();
    assert_eq!(cell(&resumed).verdict, cell(&undisturbed).verdict);
    assert_eq!(
        cell(&resumed).bugs.first().map(|bug| &bug.known),
        Some(&Some("fixed in 6.9".to_owned()))
    );
}
