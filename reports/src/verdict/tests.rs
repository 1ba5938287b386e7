// SPDX-License-Identifier: MIT OR Apache-2.0
use crate::console::{Options, Reader, Seen};
use crate::event::{Cell, Exposure, Fault, SampleTable, VmEnd, What};
use crate::exit::{ExitCode, Purpose};
use crate::finding::Finding;
use crate::rule::Rule;
use crate::run::{RunReport, Standing};
use crate::sample::events::{BUGGY, FIXED, Log, STARVED, enough, good_repro};
use crate::sample::{bug_elsewhere, race_6_1};
use crate::telemetry::{Counters, Health, Sample};

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

/// On arm64 a task that dies of a `BUG()` leaves its CPU one level deep in an exception, and the idle task
/// warns of it later.
#[test]
fn what_a_kernel_reports_after_the_race_killed_a_task_is_a_consequence() {
    let mut oops = race_6_1();
    (oops.kind, oops.title) = ("BUG".to_owned(), "kernel BUG in zswap_writeback_entry".to_owned());
    oops.stacks.truncate(1);
    let warning = |taint: &str| {
        let mut warning = bug_elsewhere();
        warning.kind = "WARNING".to_owned();
        warning.title = "WARNING in ct_kernel_exit".to_owned();
        warning.scene.taint = taint.to_owned();
        warning
    };
    let judged = |before: Option<&Finding>, taint: &str| {
        let log = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
        let log = before.into_iter().fold(log, |log, f| log.found(BUGGY, 1, 9, f.clone()));
        let log = log.found(BUGGY, 1, 20, warning(taint)).stopped(BUGGY, 1, VmEnd::Derailed);
        let log = log.started(BUGGY, 2).ready(BUGGY, 2).found(BUGGY, 2, 9, race_6_1());
        let report = log.stopped(BUGGY, 2, VmEnd::Enough).finished(BUGGY).end(false).report();
        (report.cell(BUGGY).unwrap().bugs.iter().map(|bug| bug.standing).collect::<Vec<_>>(), {
            repro(&report)
        })
    };
    use Standing::{Another, Expected, FollowUp, Related};
    assert_eq!(judged(Some(&oops), "GBD"), (vec![Related, FollowUp, Expected], ExitCode::Clean));
    // Nobody died, or somebody died of something else: it is a bug of its own.
    for (before, taint, first) in
        [(Some(&oops), "GB", Related), (None, "D", Another), (Some(&bug_elsewhere()), "D", Another)]
    {
        let (standings, code) = judged(before, taint);
        assert_eq!((standings[0], code), (first, ExitCode::KernelBug), "{taint}");
    }
}

/// The race's late writeback may overwrite a page that is in use again. Without a rule that says so, and on a
/// kernel that should not show the race, wrong contents are a bug of their own.
#[test]
fn wrong_contents_decide_nothing_where_the_race_explains_them() {
    let judged = |id: &str, race: bool, rule: bool| {
        let mut log = Log::new();
        if !rule {
            let mut rule = Rule::built_in("zswap-writeback-swapoff").unwrap();
            rule.corruption = None;
            log = log.then(What::RuleLoaded { rule });
        }
        log = log.planned(id).kernel(id).started(id, 1).ready(id, 1);
        log = log.then(What::Corruption { cell: id.to_owned(), boot: 1, detail: "page=3".into() });
        if race {
            log = log.found(id, 1, 300, race_6_1());
        }
        let report = log.stopped(id, 1, VmEnd::Enough).finished(id).end(false).report();
        (report.cell(id).unwrap().corruptions[0].standing, verdict(&report, id))
    };
    let race = "expected bug: KASAN: use-after-free Write in zswap_writeback_entry".to_owned();
    let wrong = "another bug: data corruption: page=3".to_owned();
    assert_eq!(judged(BUGGY, true, true), (Standing::Related, race));
    for (id, race, rule, standing) in [
        (BUGGY, false, true, Standing::Related),
        (BUGGY, true, false, Standing::Another),
        (FIXED, true, true, Standing::Another),
    ] {
        assert_eq!(judged(id, race, rule), (standing, wrong.clone()), "{id} {race} {rule}");
    }
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
    for end in [VmEnd::Crashed, VmEnd::WentSilent, VmEnd::NoProgress, VmEnd::DidNotStop] {
        let (word, code) = judged(|log| good(up(log).stopped(FIXED, 1, end)));
        assert_eq!(code, ExitCode::Inconclusive, "{word}");
    }
    let (word, code) = judged(|log| {
        let log = up(log).found(FIXED, 1, 9, bug_elsewhere());
        good(log.failed(FIXED, Fault::Infrastructure, "the disk is full"))
    });
    assert_eq!(code, ExitCode::KernelBug, "{word}");
    // What a retry may make good.
    for end in [VmEnd::QemuDied, VmEnd::NeverReady, VmEnd::Starved] {
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
            "boot failure: boot 1: the guest panicked, reset or ended without its agent's last line",
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
            "inconclusive: no bug, but too little exposure: 29 of 57 windows, 7 of 342 swapoffs",
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
fn a_storm_that_was_to_look_at_invariants_and_never_did_is_not_clean() {
    let with = |words: &str, looks: u64| {
        judged(|log| {
            let mut log = log.kernel(FIXED).started_with(FIXED, 1, words).ready(FIXED, 1);
            for phase in 1..=looks {
                let detail = "stored_pages=0".to_owned();
                let cell = FIXED.to_owned();
                log = log.then(What::GuestChecked { cell, boot: 1, phase, detail });
            }
            let log = log.exposure(FIXED, 1, enough());
            log.stopped(FIXED, 1, VmEnd::Budget).finished(FIXED)
        })
    };
    let never = "inconclusive: the guest never came to look at the invariants";
    assert_eq!(with("swapstorm.check_s=10", 0), is(never, ExitCode::Inconclusive));
    assert_eq!(with("swapstorm.check_s=10", 1), is("clean", ExitCode::Clean));
    assert_eq!(with("swapstorm.check_s=0", 0), is("clean", ExitCode::Clean));
    assert_eq!(with("", 0), is("clean", ExitCode::Clean));
}

#[test]
fn a_storm_whose_cpus_all_stayed_is_not_clean() {
    let with = |cpu_refused, cpu_offs| {
        judged(|log| {
            let mut log = up(log).exposure(FIXED, 1, enough());
            let swapoff = enough().swapoffs;
            let counters = Counters { cpu_refused, cpu_offs, swapoff, ..Counters::default() };
            let since_ready_ms = enough().guest_ms;
            let sample = Sample { since_ready_ms, seq: 2, counters, ..Sample::default() };
            for what in SampleTable::default().events(FIXED, 1, &sample) {
                log = log.then(what);
            }
            log.stopped(FIXED, 1, VmEnd::Budget).finished(FIXED)
        })
    };
    let kept = "inconclusive: boot 1: no CPU could be taken off (3 refused)";
    assert_eq!(with(3, 0), is(kept, ExitCode::Inconclusive));
    assert_eq!(with(3, 1), is("clean", ExitCode::Clean));
    assert_eq!(with(0, 0), is("clean", ExitCode::Clean));
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
        "not shown: the expected bug did not show within the budget"
    );
    assert_eq!(repro(&report), ExitCode::Inconclusive);
}

#[test]
fn a_guest_that_missed_the_bug_lowers_its_rate_and_is_no_fault() {
    const MISSED: &str = "buggy-2";
    let planned = What::CellPlanned {
        cell: Cell { id: MISSED.to_owned(), number: 2, ..crate::sample::events::cell(BUGGY) },
    };
    let report = |missed: Exposure| {
        let log = Log::new().planned(BUGGY).then(planned.clone()).planned(FIXED);
        let log =
            log.kernel(MISSED).started(MISSED, 1).ready(MISSED, 1).exposure(MISSED, 1, missed);
        let log = log.stopped(MISSED, 1, VmEnd::Budget).finished(MISSED);
        log.buggy_cell().fixed_cell().end(false).report()
    };
    // The fixed kernel stood so much more that the miss does not matter.
    let short = Exposure { windows: 0, swapoffs: 2, ..enough() };
    let lucky = report(short);
    assert!(verdict(&lucky, MISSED).starts_with("not shown"));
    assert_eq!(repro(&lucky), ExitCode::Clean);
    // Or it did not.
    let long = report(Exposure { windows: 60, swapoffs: 408, ..enough() });
    assert!(verdict(&long, MISSED).starts_with("not shown"));
    assert_eq!(repro(&long), ExitCode::Inconclusive);
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

#[test]
fn an_end_that_nobody_meant_is_never_clean() {
    let hung = "a hung kernel or a starved host, the console may tell";
    for (end, word, code) in [
        (
            VmEnd::Crashed,
            "inconclusive: boot 1: the guest panicked, reset or ended without its agent's last line: a \
             crash that could not print, or lines that were lost"
                .to_owned(),
            ExitCode::Inconclusive,
        ),
        (
            VmEnd::DidNotStop,
            format!("inconclusive: boot 1: the guest did not stop when it was asked to: {hung}"),
            ExitCode::Inconclusive,
        ),
        (
            VmEnd::Starved,
            "infrastructure: boot 1: the host gave the guest too little time".to_owned(),
            ExitCode::Infrastructure,
        ),
        (
            VmEnd::Suspended,
            "infrastructure: boot 1: swapstorm itself was stopped for a while".to_owned(),
            ExitCode::Infrastructure,
        ),
        (
            VmEnd::StretcherDied,
            "infrastructure: boot 1: the stretcher ended".to_owned(),
            ExitCode::Infrastructure,
        ),
        (
            VmEnd::MethodFault,
            "infrastructure: boot 1: the stretcher brought about a report of its own".to_owned(),
            ExitCode::Infrastructure,
        ),
    ] {
        let judged = judged(|log| {
            up(log).exposure(FIXED, 1, enough()).stopped(FIXED, 1, end).finished(FIXED)
        });
        assert_eq!(judged, (word, code));
    }
    // Those that were meant, with the same exposure.
    for end in
        [VmEnd::Enough, VmEnd::Budget, VmEnd::HostBudget, VmEnd::PoweredOff, VmEnd::Cancelled]
    {
        let judged = judged(|log| {
            up(log).exposure(FIXED, 1, enough()).stopped(FIXED, 1, end).finished(FIXED)
        });
        assert_eq!(judged, is("clean", ExitCode::Clean), "{end:?}");
    }
}

#[test]
fn a_machine_whose_end_is_not_known_is_never_clean() {
    let exercised = |log| up(log).exposure(FIXED, 1, enough());
    assert_eq!(
        judged(|log| exercised(log).ended(FIXED, 1, VmEnd::Enough).finished(FIXED)),
        is(
            "inconclusive: boot 1: the guest ended, but its agent never said that it was done",
            ExitCode::Inconclusive
        )
    );
    assert_eq!(
        judged(|log| exercised(log).finished(FIXED)),
        is("inconclusive: boot 1: the log does not say how it ended", ExitCode::Inconclusive)
    );
}

#[test]
fn tasks_that_do_not_die_are_never_clean_and_a_hung_one_is_a_bug() {
    let stuck = |log: Log| {
        let detail = "stuck left=4".to_owned();
        let log = up(log).exposure(FIXED, 1, enough());
        log.then(What::GuestWarned { cell: FIXED.to_owned(), boot: 1, detail })
    };
    let (word, code) = judged(|log| stuck(log).stopped(FIXED, 1, VmEnd::Enough).finished(FIXED));
    assert_eq!(code, ExitCode::Inconclusive);
    assert!(word.contains("did not end when they were killed"), "{word}");
    let mut hung = bug_elsewhere();
    (hung.title, hung.kind) = ("INFO: task hung in swapoff".to_owned(), "HANG".to_owned());
    let (word, code) = judged(|log| {
        let log = stuck(log).found(FIXED, 1, 9000, hung);
        log.stopped(FIXED, 1, VmEnd::DidNotStop).finished(FIXED)
    });
    assert_eq!(
        (word.as_str(), code),
        ("another bug: INFO: task hung in swapoff", ExitCode::KernelBug)
    );
    // Other warnings cost nothing.
    let (_, code) = judged(|log| {
        let detail = "write path=/stuck errno=EIO".to_owned();
        let log = up(log).exposure(FIXED, 1, enough());
        let log = log.then(What::GuestWarned { cell: FIXED.to_owned(), boot: 1, detail });
        log.stopped(FIXED, 1, VmEnd::Enough).finished(FIXED)
    });
    assert_eq!(code, ExitCode::Clean);
}

/// A warning about the stretcher's own sleep.
fn own_warning() -> crate::finding::Finding {
    let mut finding = bug_elsewhere();
    finding.kind = "WARNING".to_owned();
    finding.title = "WARNING in rcu_note_context_switch".to_owned();
    let frames = &mut finding.stacks[0].frames;
    for (frame, name) in
        frames.iter_mut().zip(["schedule_timeout", "msleep", "zswap_writeback_entry"])
    {
        frame.function = name.into();
    }
    finding
}

#[test]
fn what_the_stretcher_brings_about_never_counts() {
    let warned = |log: Log| up(log).points(FIXED).found(FIXED, 1, 9, own_warning());
    let good = |log: Log| {
        let log = log.started(FIXED, 2).ready(FIXED, 2).exposure(FIXED, 2, enough());
        log.stopped(FIXED, 2, VmEnd::Enough).finished(FIXED)
    };
    let reason = "infrastructure: the method brought about WARNING in rcu_note_context_switch at the \
                  stretch point zswap_writeback_entry:_raw_spin_lock:1: it says nothing about the kernel";
    for end in [VmEnd::MethodFault, VmEnd::Enough] {
        let ended = |log: Log| warned(log).exposure(FIXED, 1, enough()).stopped(FIXED, 1, end);
        assert_eq!(judged(|log| ended(log).finished(FIXED)), is(reason, ExitCode::Infrastructure));
        // A second try proves nothing: it is stretched at the same point.
        assert_eq!(judged(|log| good(ended(log))), is(reason, ExitCode::Infrastructure));
    }
    let report =
        with_fixed(|log| warned(log).stopped(FIXED, 1, VmEnd::MethodFault).finished(FIXED));
    let cell = report.cell(FIXED).unwrap();
    assert_eq!(cell.bugs[0].standing, Standing::Method);
    assert_eq!(cell.exposure, Exposure::default());

    // It hides no bug, before it or behind it, though a hang behind it may be its consequence.
    let mut hang = bug_elsewhere();
    (hang.title, hang.kind) = ("INFO: rcu detected stall in x".to_owned(), "HANG".to_owned());
    let (_, code) = judged(|log| warned(log).found(FIXED, 1, 20, hang.clone()).finished(FIXED));
    assert_eq!(code, ExitCode::Infrastructure);
    let (_, code) = judged(|log| warned(log).found(FIXED, 1, 20, race_6_1()).finished(FIXED));
    assert_eq!(code, ExitCode::KernelBug);
    let (_, code) = judged(|log| {
        up(log).points(FIXED).found(FIXED, 1, 9, hang).found(FIXED, 1, 20, own_warning())
    });
    assert_eq!(code, ExitCode::KernelBug);
}

/// A report of one of the kernel's detectors.
fn about_time(title: &str) -> Finding {
    let (title, kind) = (title.to_owned(), "HANG".to_owned());
    Finding { title, kind, ..bug_elsewhere() }
}

#[test]
fn a_detector_of_a_guest_that_was_starved_says_nothing_about_the_kernel() {
    let titles = [
        "BUG: soft lockup in try_to_unuse",
        "BUG: workqueue lockup",
        "INFO: rcu detected stall in try_to_unuse",
        "INFO: task hung in __do_sys_swapoff",
    ];
    let good = |log: Log| {
        let log = log.started(FIXED, 2).ready(FIXED, 2).exposure(FIXED, 2, enough());
        log.stopped(FIXED, 2, VmEnd::Enough).finished(FIXED)
    };
    let reason =
        format!("infrastructure: boot 1: the host gave the guest too little time ({STARVED})");
    for title in titles {
        // Whatever end the machine came to.
        for end in [VmEnd::Budget, VmEnd::DidNotStop, VmEnd::Crashed] {
            let starved = |log: Log| {
                let log = up(log).found_starved(FIXED, 1, about_time(title));
                log.exposure(FIXED, 1, enough()).stopped(FIXED, 1, end)
            };
            let report = with_fixed(|log| starved(log).finished(FIXED));
            assert_eq!(verdict(&report, FIXED), reason, "{title}, {end:?}");
            assert_eq!(repro(&report), ExitCode::Infrastructure);
            let cell = report.cell(FIXED).unwrap();
            assert_eq!(cell.bugs[0].standing, Standing::Starved);
            assert_eq!(cell.exposure, Exposure::default());
            // Another machine makes it good.
            let again = judged(|log| good(starved(log)));
            assert_eq!(again, is("clean", ExitCode::Clean), "{title}, {end:?}");
        }
        // The same report of a guest that had its time.
        let (word, code) = judged(|log| {
            let log = up(log).found(FIXED, 1, 9_000, about_time(title));
            good(log.exposure(FIXED, 1, enough()).stopped(FIXED, 1, VmEnd::Budget))
        });
        assert_eq!((word, code), (format!("another bug: {title}"), ExitCode::KernelBug));
    }
}

#[test]
fn starving_excuses_no_report_but_those_about_time() {
    for finding in [race_6_1(), bug_elsewhere(), about_time("WARNING in swap_example")] {
        let (_, code) = judged(|log| {
            let log = up(log).found_starved(FIXED, 1, about_time("BUG: soft lockup in x"));
            let log = log.found_starved(FIXED, 1, finding.clone());
            log.stopped(FIXED, 1, VmEnd::Starved).finished(FIXED)
        });
        assert_eq!(code, ExitCode::KernelBug, "{}", finding.title);
    }
    // A log that was cut behind such a report is not clean, either.
    let (word, code) =
        judged(|log| up(log).found_starved(FIXED, 1, about_time("BUG: soft lockup in x")));
    assert!(word.starts_with("infrastructure"), "{word}");
    assert_eq!(code, ExitCode::Infrastructure);
}

#[test]
fn a_warning_of_the_kernels_own_is_a_bug_at_a_stretch_point_too() {
    let mut warning = own_warning();
    warning.stacks[0].frames.remove(1);
    let (word, code) = judged(|log| up(log).points(FIXED).found(FIXED, 1, 9, warning));
    assert_eq!(code, ExitCode::KernelBug, "{word}");
}

/// A `repro` whose fixed cell has this much exposure and asked for no more.
fn lucky(exposure: Exposure) -> RunReport {
    let mut cell = crate::sample::events::cell(FIXED);
    cell.wanted = None;
    let log = Log::new().planned(BUGGY).buggy_cell().then(What::CellPlanned { cell });
    let log = up(log).exposure(FIXED, 1, exposure).stopped(FIXED, 1, VmEnd::Budget);
    log.finished(FIXED).end(false).report()
}

#[test]
fn fixed_is_what_luck_does_not_explain() {
    let report = lucky(enough());
    assert_eq!(repro(&report), ExitCode::Clean);
    let report = lucky(Exposure { windows: 30, swapoffs: 180, ..enough() });
    assert_eq!(
        (verdict(&report, FIXED).as_str(), repro(&report)),
        ("clean", ExitCode::Inconclusive)
    );
    let look = crate::render::Look { width: 200, colour: false };
    let text = crate::render::text(&report, Purpose::Repro, look);
    let head: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        head.join(" "),
        "No answer: the bug did not show, but that may be luck. With a probability of 9.1 %, a kernel that \
         is not fixed would have looked like this: the bug showed in 1 of 1 guests within 3 windows and 18 \
         swapoffs, and here not within 30 windows and 180 swapoffs. At most 5 % is asked for, which takes \
         27 windows and 162 swapoffs more, about 11.9 s of storm."
    );
}

#[test]
fn more_runs_of_the_buggy_kernel_ask_less_of_the_fixed_one() {
    let buggy = |log: Log, n: u32| {
        let mut cell = crate::sample::events::cell(BUGGY);
        (cell.id, cell.number) = (format!("buggy-{n}"), n);
        let id = cell.id.clone();
        let shown = Exposure { windows: 3, swapoffs: 18, guest_ms: 740, ..Exposure::default() };
        let log = log.then(What::CellPlanned { cell }).kernel(BUGGY).started(&id, 1).ready(&id, 1);
        let log = log.found(&id, 1, 311, race_6_1()).exposure(&id, 1, shown);
        log.stopped(&id, 1, VmEnd::Enough).finished(&id)
    };
    let log = Log::new().planned(BUGGY).buggy_cell();
    let three = buggy(buggy(log, 2), 3).report();
    let evidence = three.evidence_for(&crate::sample::events::cell(FIXED));
    assert_eq!((evidence.hits, evidence.exposure.windows), (3, 9));
    let wanted = crate::proof::wanted_exposure(&evidence, three.confidence()).unwrap();
    assert_eq!((wanted.windows, wanted.swapoffs), (16, 93));
    // Another profile is another setting.
    let mut other = crate::sample::events::cell(FIXED);
    other.profile_digest = "0".to_owned();
    assert_eq!(three.evidence_for(&other).hits, 0);
}

#[test]
fn exposure_between_the_last_sample_and_the_bug_is_not_forgotten() {
    let log = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    let shown = Exposure { guest_ms: 250, swapoffs: 3, windows: 2, ..Exposure::default() };
    let log = log.exposure(BUGGY, 1, shown).found(BUGGY, 1, 500, race_6_1());
    let report = log.stopped(BUGGY, 1, VmEnd::Crashed).finished(BUGGY).report();
    let evidence = |report: &RunReport| report.evidence_for(&crate::sample::events::cell(BUGGY));
    // The sample came 400 ms after the guest was ready, the report 700 ms.
    let Exposure { swapoffs, windows, .. } = evidence(&report).exposure;
    assert_eq!((evidence(&report).hits, swapoffs, windows), (1, 6, 2));
    // Without a sample nothing is known of the exposure.
    let log = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    let report = log.found(BUGGY, 1, 500, race_6_1()).finished(BUGGY).report();
    assert_eq!(evidence(&report).hits, 0);
}

#[test]
fn only_like_cells_are_put_together() {
    let clean = |log: Log, id: &str, change: fn(&mut crate::event::Cell)| {
        let mut cell = crate::sample::events::cell(FIXED);
        id.clone_into(&mut cell.id);
        change(&mut cell);
        let log = log.then(What::CellPlanned { cell }).started(id, 1).ready(id, 1);
        log.exposure(id, 1, enough()).stopped(id, 1, VmEnd::Enough).finished(id)
    };
    let mut log = Log::new();
    for (id, change) in [
        ("a", (|_| {}) as fn(&mut crate::event::Cell)),
        ("b", |cell| cell.number = 2),
        ("c", |cell| cell.arch = "arm64".to_owned()),
        ("d", |cell| cell.technique = "natural".to_owned()),
        ("e", |cell| cell.profile = "other".to_owned()),
        ("f", |cell| cell.series = None),
    ] {
        log = clean(log, id, change);
    }
    let report = log.end(false).report();
    let together = report.clean_together();
    let ids: Vec<Vec<&str>> = together
        .iter()
        .map(|(cells, _)| cells.iter().map(|c| c.cell.id.as_str()).collect())
        .collect();
    assert_eq!(ids, [["a", "b"]]);
    assert_eq!(together[0].1.windows, 120);
}

#[test]
fn a_lost_line_may_have_been_a_report() {
    let mut report = good_repro().report();
    assert_eq!(repro(&report), ExitCode::Clean);
    let kind = crate::log::LogProblemKind::HalfWritten;
    report.lost(&crate::log::LogProblem { line: 9, kind });
    assert_eq!(repro(&report), ExitCode::Clean, "the last line of a finished run is its end");
    let kind = crate::log::LogProblemKind::NotAnEvent("x".to_owned());
    report.lost(&crate::log::LogProblem { line: 7, kind });
    assert_eq!(repro(&report), ExitCode::Inconclusive);
    assert!(report.problems.contains(&"line 7: not an event: x".to_owned()));
}

#[test]
fn a_cell_that_was_cancelled_says_why() {
    let why = "another cell has shown the bug".to_owned();
    let cancelled = What::CellCancelled { cell: FIXED.to_owned(), why, planned: false };
    assert_eq!(
        judged(|log| log.then(cancelled).finished(FIXED)),
        is("inconclusive: it was not run: another cell has shown the bug", ExitCode::Inconclusive)
    );
}

#[test]
fn a_log_of_format_1_is_read_in_full() {
    let log = include_str!("../../testdata/run-1.jsonl");
    let (events, problems) = crate::log::read_log(log.as_bytes());
    assert_eq!(problems, []);
    let report = RunReport::fold(events);
    assert!(report.is_whole());
    assert_eq!((report.purpose(), repro(&report)), (Purpose::Repro, ExitCode::Inconclusive));
    assert_eq!(
        verdict(&report, BUGGY),
        "expected bug: KASAN: use-after-free Write in zswap_writeback_entry"
    );
    // The host was slow, and ten times was asked for then.
    let short = "inconclusive: no bug, but too little exposure: 65 of 130 swapoffs";
    assert_eq!(verdict(&report, FIXED), short);
    let proof = report.unproven().unwrap();
    assert_eq!((proof.buggy.hits, proof.buggy.exposure.windows, proof.fixed.windows), (1, 1, 15));
    assert_eq!(proof.fixed.swapoffs, 65);
}

#[test]
fn a_log_of_format_1_is_read_and_judged_by_what_is_known_now() {
    // A run of a program that took its own sleep for a bug of the kernel.
    let log = include_str!("../../testdata/run-1-own-sleep.jsonl");
    let (events, problems) = crate::log::read_log(log.as_bytes());
    assert_eq!(problems, []);
    let report = RunReport::fold(events);
    assert_eq!((report.runs[0].format, report.purpose()), (1, Purpose::Search));
    assert_eq!(report.runs[0].id, format!("{}/2", report.runs[0].started));
    let cell = &report.cells[0];
    assert_eq!(cell.cell.key, "debian-6.1/x86_64/any/kasan-as-configured/rcu-reader/stretch/1");
    assert_eq!((cell.exposure, cell.boots[0].exposure.swapoffs), (Exposure::default(), 25));
    assert_eq!(cell.verdict.word(), "infrastructure");
    assert!(cell.verdict.reason().contains("WARNING in rcu_note_context_switch"));
}
