// SPDX-License-Identifier: MIT OR Apache-2.0
use crate::console::{Options, Reader, Seen};
use crate::event::{Exposure, Fault, VmEnd, What};
use crate::exit::{ExitCode, Purpose};
use crate::run::{RunReport, Standing};
use crate::sample::events::{BUGGY, FIXED, Log, enough, good_repro};
use crate::sample::{bug_elsewhere, race_6_1};
use crate::telemetry::Health;

fn verdict(report: &RunReport, id: &str) -> String {
    let verdict = &report.cell(id).unwrap().verdict;
    match verdict.reason() {
        "" => verdict.word().to_owned(),
        reason => format!("{}: {reason}", verdict.word()),
    }
}

fn repro(report: &RunReport) -> ExitCode {
    report.exit_code(Purpose::Repro)
}

/// A log with the buggy cell as it should be and the fixed one as `fixed` tells.
fn with_fixed(fixed: impl FnOnce(Log) -> Log) -> RunReport {
    fixed(Log::new().planned(BUGGY).planned(FIXED).buggy_cell()).end(false).report()
}

fn judged(fixed: impl FnOnce(Log) -> Log) -> (String, ExitCode) {
    let report = with_fixed(fixed);
    (verdict(&report, FIXED), repro(&report))
}

/// The fixed cell's machine, up and running.
fn up(log: Log) -> Log {
    log.kernel(FIXED).started(FIXED, 1).ready(FIXED, 1)
}

fn is(word: &str, code: ExitCode) -> (String, ExitCode) {
    (word.to_owned(), code)
}

#[test]
fn the_race_here_and_none_there_is_what_repro_is_for() {
    let report = good_repro().report();
    assert_eq!(
        verdict(&report, BUGGY),
        "expected bug: KASAN: use-after-free Write in zswap_writeback_entry"
    );
    assert_eq!(verdict(&report, FIXED), "clean");
    assert_eq!(repro(&report), ExitCode::Clean);
    assert_eq!(report.exit_code(Purpose::Search), ExitCode::KernelBug);

    let buggy = report.cell(BUGGY).unwrap();
    let standings: Vec<_> = buggy.bugs.iter().map(|bug| (bug.standing, bug.count)).collect();
    assert_eq!(standings, [(Standing::Expected, 2), (Standing::FollowUp, 1)]);
    let moment = buggy.time_to_bug.unwrap();
    assert_eq!((moment.boot, moment.guest_ms, moment.vm_ms), (1, 311, 1430 + 300));
}

#[test]
fn another_bug_is_never_the_expected_one() {
    let (word, code) = judged(|log| {
        up(log)
            .found(FIXED, 1, 9, bug_elsewhere())
            .exposure(FIXED, 1, enough())
            .stopped(FIXED, 1, VmEnd::Enough)
            .finished(FIXED)
    });
    assert_eq!(
        (word.as_str(), code),
        ("another bug: kernel BUG in ext4_writepages", ExitCode::KernelBug)
    );

    // On the buggy kernel too, and after the expected one in the same boot.
    let report = Log::new()
        .planned(BUGGY)
        .kernel(BUGGY)
        .started(BUGGY, 1)
        .ready(BUGGY, 1)
        .found(BUGGY, 1, 300, race_6_1())
        .found(BUGGY, 1, 400, bug_elsewhere())
        .stopped(BUGGY, 1, VmEnd::Crashed)
        .finished(BUGGY)
        .end(false)
        .report();
    assert_eq!(verdict(&report, BUGGY), "another bug: kernel BUG in ext4_writepages");
    assert_eq!(repro(&report), ExitCode::KernelBug);
    let cell = report.cell(BUGGY).unwrap();
    assert!(cell.bugs[1].after_expected && cell.showed_expected());
}

#[test]
fn the_expected_bug_on_the_fixed_kernel_is_a_bug() {
    let (_, code) = judged(|log| up(log).found(FIXED, 1, 9, race_6_1()).finished(FIXED));
    assert_eq!(code, ExitCode::KernelBug);
}

#[test]
fn a_consequence_counts_only_after_its_cause_in_the_same_boot() {
    let mut same_code = race_6_1();
    same_code.kind = "DoS".to_owned();
    same_code.title = "general protection fault in zswap_writeback_entry".to_owned();
    let standing = |log: Log| {
        let report = log.report();
        report.cell(BUGGY).unwrap().bugs.last().map(|bug| bug.standing)
    };
    let boot = |log: Log, n| log.started(BUGGY, n).ready(BUGGY, n).found(BUGGY, n, 9, race_6_1());
    let first = || boot(Log::new().planned(BUGGY).kernel(BUGGY), 1);
    let again = first().found(BUGGY, 1, 20, same_code.clone());
    assert_eq!(standing(again), Some(Standing::FollowUp));
    // The second boot's expected bug has the first one's title.
    let second = boot(first(), 2).found(BUGGY, 2, 20, same_code.clone());
    assert_eq!(standing(second), Some(Standing::FollowUp));
    let elsewhere = first().started(BUGGY, 2).ready(BUGGY, 2).found(BUGGY, 2, 20, same_code);
    assert_eq!(standing(elsewhere), Some(Standing::Another));
}

#[test]
fn a_related_report_decides_only_where_the_expected_one_does_not_show() {
    let mut related = race_6_1();
    related.kind = "KASAN-NULL-POINTER-DEREFERENCE-WRITE".to_owned();
    related.title = "KASAN: null-ptr-deref Write in zswap_writeback_entry".to_owned();
    related.stacks.truncate(1);
    let boot = |log: Log, id, n, finding| {
        let log = log.started(id, n).ready(id, n).found(id, n, 9, finding);
        log.exposure(id, n, enough()).stopped(id, n, VmEnd::Derailed)
    };
    let buggy = || boot(Log::new().planned(BUGGY).kernel(BUGGY), BUGGY, 1, related.clone());
    let judged = |log: Log| {
        let report = log.finished(BUGGY).end(false).report();
        let cell = report.cell(BUGGY).unwrap();
        let standing = cell.bugs[0].standing;
        let decided = cell.deciding_bug().map(|bug| bug.first.boot);
        (standing, decided, verdict(&report, BUGGY), repro(&report))
    };
    let race = "expected bug: KASAN: use-after-free Write in zswap_writeback_entry".to_owned();
    assert_eq!(
        judged(boot(buggy(), BUGGY, 2, race_6_1())),
        (Standing::Related, Some(2), race, ExitCode::Clean)
    );
    let alone = "another bug: KASAN: null-ptr-deref Write in zswap_writeback_entry".to_owned();
    assert_eq!(judged(buggy()), (Standing::Related, Some(1), alone, ExitCode::KernelBug));
    let elsewhere = "another bug: kernel BUG in ext4_writepages".to_owned();
    assert_eq!(
        judged(boot(boot(buggy(), BUGGY, 2, race_6_1()), BUGGY, 3, bug_elsewhere())),
        (Standing::Related, Some(3), elsewhere, ExitCode::KernelBug)
    );

    // The same type in other code is another bug, and so is this one where nothing should show.
    let mut other_code = related.clone();
    other_code.stacks = bug_elsewhere().stacks;
    let log = boot(boot(Log::new().planned(BUGGY), BUGGY, 1, other_code), BUGGY, 2, race_6_1());
    let (standing, _, _, code) = judged(log);
    assert_eq!((standing, code), (Standing::Another, ExitCode::KernelBug));
    let report =
        with_fixed(|log| boot(log.kernel(FIXED), FIXED, 1, related.clone()).finished(FIXED));
    assert_eq!(report.cell(FIXED).unwrap().bugs[0].standing, Standing::Another);
    assert_eq!(repro(&report), ExitCode::KernelBug);
}

#[test]
fn a_report_cut_by_the_end_of_the_machine_decides_nothing() {
    let cut = |stacks: usize| {
        let mut cut = race_6_1();
        cut.title = "KASAN: use-after-free in queued_spin_lock_slowpath".to_owned();
        cut.stacks.truncate(stacks);
        for stack in &mut cut.stacks {
            stack.frames.truncate(3);
        }
        cut
    };
    let boot = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    for stacks in 0..=2 {
        let log = Log { events: boot.events.clone() };
        let first = log.found(BUGGY, 1, 300, race_6_1()).found(BUGGY, 1, 310, cut(stacks));
        let report = first.stopped(BUGGY, 1, VmEnd::Enough).finished(BUGGY).end(false).report();
        assert_eq!(report.cell(BUGGY).unwrap().bugs[1].standing, Standing::Cut, "{stacks}");
        assert_eq!(repro(&report), ExitCode::Clean);
        // Without the expected bug before it, it is a bug that nobody could name.
        let log = Log { events: boot.events.clone() };
        let alone = log.found(BUGGY, 1, 310, cut(stacks)).finished(BUGGY).end(false).report();
        assert_eq!(repro(&alone), ExitCode::KernelBug, "{stacks}");
    }
}

#[test]
fn a_report_cut_in_its_first_line_decides_nothing_but_a_short_one_does() {
    let verdict_with = |kind: &str, head: &str| {
        let mut short = bug_elsewhere();
        (short.kind, short.head) = (kind.to_owned(), head.to_owned());
        short.title = head.to_owned();
        short.stacks.clear();
        let log = Log::new().planned(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
        let log = log.found(BUGGY, 1, 300, race_6_1()).found(BUGGY, 1, 310, short);
        repro(&log.finished(BUGGY).end(false).report())
    };
    assert_eq!(verdict_with("UNKNOWN", "BUG: KA"), ExitCode::Clean);
    assert_eq!(verdict_with("KASAN-UNKNOWN", "BUG: KASAN: slab-use"), ExitCode::Clean);
    assert_eq!(verdict_with("KASAN-READ", "BUG: KASAN: wild"), ExitCode::KernelBug);
    let complete = "BUG: Bad rss-counter state mm:1 idx:0 val:15";
    assert_eq!(verdict_with("UNKNOWN", complete), ExitCode::KernelBug);
}

#[test]
fn a_console_cut_anywhere_after_the_expected_bug_still_shows_it() {
    let report = format!("{}{}\n", "=".repeat(66) + "\n", crate::sample::RACE_6_1_TEXT);
    let console = report.repeat(2);
    // Every byte of the second report's first lines, and then some.
    let near = report.len()..report.len() + 300;
    for cut in near.chain((report.len() + 300..console.len()).step_by(41)) {
        let mut reader = Reader::new(Options::default());
        let mut seen = reader.push(&console.as_bytes()[..cut]);
        seen.extend(reader.finish());
        let mut log = Log::new().planned(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
        for seen in seen {
            if let Seen::Report(finding) = seen {
                log = log.found(BUGGY, 1, 300, *finding);
            }
        }
        let report = log.finished(BUGGY).end(false).report();
        assert_eq!(repro(&report), ExitCode::Clean, "cut at {cut}: {}", verdict(&report, BUGGY));
    }
}

#[test]
fn a_retry_never_hides_a_bug() {
    let good = |log: Log| {
        log.started(FIXED, 2)
            .ready(FIXED, 2)
            .exposure(FIXED, 2, enough())
            .stopped(FIXED, 2, VmEnd::Enough)
            .finished(FIXED)
    };
    let corrupt = |log: Log| {
        log.then(What::Corruption { cell: FIXED.to_owned(), boot: 1, detail: "page=3".to_owned() })
    };
    let (word, code) = judged(|log| good(corrupt(up(log)).stopped(FIXED, 1, VmEnd::QemuDied)));
    assert_eq!(
        (word.as_str(), code),
        ("another bug: data corruption: page=3", ExitCode::KernelBug)
    );
    let (word, code) = judged(|log| good(up(log).stopped(FIXED, 1, VmEnd::Crashed)));
    assert_eq!(code, ExitCode::KernelBug, "{word}");
    let (word, code) = judged(|log| good(up(log).stopped(FIXED, 1, VmEnd::WentSilent)));
    assert_eq!(code, ExitCode::Inconclusive, "{word}");
    let (word, code) = judged(|log| {
        let log = up(log).found(FIXED, 1, 9, bug_elsewhere());
        good(log.failed(FIXED, Fault::Infrastructure, "the disk is full"))
    });
    assert_eq!(code, ExitCode::KernelBug, "{word}");
    // What a retry may make good.
    for end in [VmEnd::QemuDied, VmEnd::NeverReady] {
        let judged = judged(|log| good(log.kernel(FIXED).started(FIXED, 1).stopped(FIXED, 1, end)));
        assert_eq!(judged, is("clean", ExitCode::Clean));
    }
    let judged =
        judged(|log| good(log.failed(FIXED, Fault::Infrastructure, "no mirror").kernel(FIXED)));
    assert_eq!(judged, is("clean", ExitCode::Clean));
}

#[test]
fn failures_before_the_guest_speaks_name_whose_they_are() {
    for (fault, word, code) in [
        (Fault::Unreachable, "unreachable: x", ExitCode::Inconclusive),
        (Fault::Build, "build failure: x", ExitCode::Usage),
        (Fault::PatchConflict, "patch conflict: x", ExitCode::Usage),
        (Fault::Infrastructure, "infrastructure: x", ExitCode::Infrastructure),
        (Fault::Configuration, "configuration: x", ExitCode::Usage),
    ] {
        assert_eq!(judged(|log| log.failed(FIXED, fault, "x").finished(FIXED)), is(word, code));
    }
    for (end, word, code) in [
        (
            VmEnd::NeverSpoke,
            "boot failure: boot 1: the kernel never printed a byte",
            ExitCode::Inconclusive,
        ),
        (
            VmEnd::Crashed,
            "boot failure: boot 1: the guest panicked or reset",
            ExitCode::Inconclusive,
        ),
        (VmEnd::QemuDied, "infrastructure: boot 1: QEMU died", ExitCode::Infrastructure),
        (
            VmEnd::ConnectionLost,
            "infrastructure: boot 1: the machine could no longer be reached",
            ExitCode::Infrastructure,
        ),
    ] {
        let judged = judged(|log| {
            log.kernel(FIXED).started(FIXED, 1).stopped(FIXED, 1, end).finished(FIXED)
        });
        assert_eq!(judged, is(word, code));
    }
}

#[test]
fn clean_takes_exposure_that_can_be_believed() {
    let with = |exposure: Exposure, health: Health| {
        judged(|log| {
            up(log)
                .exposure(FIXED, 1, exposure)
                .checked(FIXED, 1, health)
                .stopped(FIXED, 1, VmEnd::Budget)
                .finished(FIXED)
        })
    };
    let healthy = Health { believed: 9, ..Health::default() };
    assert_eq!(with(enough(), healthy), is("clean", ExitCode::Clean));
    assert_eq!(
        with(Exposure { windows: 29, swapoffs: 7, ..enough() }, healthy),
        is(
            "inconclusive: no bug, but too little exposure: 29 of 30 windows, 7 of 180 swapoffs",
            ExitCode::Inconclusive
        )
    );
    assert_eq!(
        with(enough(), Health { suspicious: 1, ..healthy }),
        is(
            "inconclusive: the guest's counters cannot be believed: telemetry contradicts \
             itself (lines refused: 1)",
            ExitCode::Inconclusive
        )
    );
}

#[test]
fn clean_takes_some_exposure_even_if_none_was_asked_for() {
    let with = |exposure: Exposure| {
        let mut cell = crate::sample::events::cell(FIXED);
        cell.wanted = None;
        let log = Log::new().then(What::CellPlanned { cell });
        let log = up(log).exposure(FIXED, 1, exposure).stopped(FIXED, 1, VmEnd::PoweredOff);
        verdict(&log.finished(FIXED).end(false).report(), FIXED)
    };
    assert_eq!(with(enough()), "clean");
    assert_eq!(with(Exposure { writebacks: 0, ..enough() }), "clean", "windows were stretched");
    let nothing = |swapoffs, writebacks| {
        format!(
            "inconclusive: nothing was put to the test: {swapoffs} swapoffs beside {writebacks} \
             writebacks"
        )
    };
    assert_eq!(with(Exposure { swapoffs: 0, ..enough() }), nothing(0, 2913));
    assert_eq!(with(Exposure { writebacks: 0, windows: 0, ..enough() }), nothing(408, 0));
}

#[test]
fn no_bug_where_one_should_show_proves_nothing() {
    let report = Log::new()
        .planned(BUGGY)
        .kernel(BUGGY)
        .started(BUGGY, 1)
        .ready(BUGGY, 1)
        .exposure(BUGGY, 1, enough())
        .stopped(BUGGY, 1, VmEnd::Budget)
        .finished(BUGGY)
        .end(false)
        .report();
    assert_eq!(
        verdict(&report, BUGGY),
        "inconclusive: the expected bug did not show within the budget"
    );
    assert_eq!(repro(&report), ExitCode::Inconclusive);
}

#[test]
fn an_interrupted_run_says_so_and_keeps_what_it_found() {
    let report = Log::new()
        .planned(BUGGY)
        .planned(FIXED)
        .buggy_cell()
        .kernel(FIXED)
        .started(FIXED, 1)
        .ready(FIXED, 1)
        .stopped(FIXED, 1, VmEnd::Interrupted)
        .end(true)
        .report();
    assert_eq!(verdict(&report, FIXED), "inconclusive: it was interrupted");
    assert!(verdict(&report, BUGGY).starts_with("expected bug"));
    assert_eq!(repro(&report), ExitCode::Interrupted);
}

#[test]
fn a_rule_of_the_users_own_judges_from_the_log_alone() {
    let mut cell = crate::sample::events::cell(BUGGY);
    cell.expect = Some("mine".to_owned());
    let text = "name: mine\ntitle: t\ntypes: [BUG]\naccess: [ext4_*]\n";
    let rule = crate::rule::Rule::from_yaml("mine.yaml", text).unwrap();
    let log = |log: Log| {
        log.then(What::CellPlanned { cell: cell.clone() })
            .started(BUGGY, 1)
            .ready(BUGGY, 1)
            .found(BUGGY, 1, 9, bug_elsewhere())
            .finished(BUGGY)
            .end(false)
    };
    let loaded = log(Log::new().then(What::RuleLoaded { rule }));
    // By way of the file format, as a replay would.
    let text: String =
        loaded.events.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect();
    let (events, problems) = crate::log::read_log(text.as_bytes());
    assert_eq!((&events, problems.len()), (&loaded.events, 0));
    assert_eq!(repro(&RunReport::fold(events)), ExitCode::Clean);

    let missing = log(Log::new()).report();
    assert_eq!(repro(&missing), ExitCode::KernelBug);
    assert_eq!(missing.problems.len(), 1);
}

#[test]
fn a_run_without_cells_has_judged_nothing() {
    assert_eq!(repro(&RunReport::default()), ExitCode::Inconclusive);
}

#[test]
fn a_log_without_its_last_line_is_no_success() {
    let mut log = good_repro();
    log.events.pop();
    let report = log.report();
    assert_eq!(repro(&report), ExitCode::Inconclusive);
    let look = crate::render::Look { width: 80, colour: false };
    let text = crate::render::text(&report, Purpose::Repro, look);
    assert!(text.starts_with("No answer: the log ends before the run does.\n"), "{text}");
}
