// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::event::{Cell, FORMAT, Fault, KernelFacts, MINOR, RunEvent, VmEnd, What};
use crate::finding::Finding;
use crate::sample::{bug_elsewhere, race_6_1};
use crate::search::told::Label;

/// The rule of the cells.
const RULE: &str = "zswap-writeback-swapoff";

/// What a cell comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plays {
    Clean,
    /// The bug that the profile expects.
    Race,
    /// A rarer face of it.
    Face,
    /// Another one.
    Another,
    NoBuild,
    NoBoot,
    NoMachine,
    /// A storm for the statistics, in which so many pages were written back.
    Written(u64),
}
use Plays::{Another, Clean, Face, NoBoot, NoBuild, NoMachine, Race, Written};

const STATISTICS: &str = "writeback-steady";

/// A series of so many patches.
pub(crate) fn facts(patches: usize) -> CheckFacts {
    let position = |at: usize| Position {
        population: cell(at, patches, 1).population(),
        label: Label {
            kernel: format!("k{at}"),
            change: format!("patch {at}/{patches}, c{at}"),
            ..Label::default()
        },
        weight: 1.0,
    };
    CheckFacts {
        series: "the-series".to_owned(),
        base: "debian-6.1".to_owned(),
        subjects: (1..=patches).map(|at| format!("mm: c{at}")).collect(),
        positions: (0..=patches).map(position).collect(),
        fixes: false,
        each: false,
        pairs: 2,
        confidence: 0.95,
        budget_ms: 1_000_000_000,
        storm_ms: 10_000,
        statistics: None,
        checkpatch: None,
        sparse: None,
    }
}

fn with_statistics(patches: usize) -> CheckFacts {
    let population = |at: usize| storm(cell(at, patches, 1)).population();
    let statistics = StatisticsFacts { base: population(0), tip: population(patches), most: 16 };
    CheckFacts { statistics: Some(statistics), ..facts(patches) }
}

fn cell(at: usize, patches: usize, number: u32) -> Cell {
    Cell {
        id: format!("at{at}-{number}"),
        kernel: "debian-6.1".to_owned(),
        series: (at > 0).then(|| format!("the-series[{at}/{patches}]")),
        arch: "x86_64".to_owned(),
        profile: RULE.to_owned(),
        technique: "stretch".to_owned(),
        clock: crate::event::WALL.to_owned(),
        number,
        expect: Some(RULE.to_owned()),
        ..Cell::default()
    }
}

/// The same kernel's cell for the statistics.
fn storm(cell: Cell) -> Cell {
    Cell {
        id: format!("statistics-{}", cell.id),
        profile: STATISTICS.to_owned(),
        technique: "natural".to_owned(),
        clock: crate::event::VIRTUAL.to_owned(),
        expect: None,
        ..cell
    }
}

/// A run that asks this, and nothing of it was run.
fn begun(facts: &CheckFacts) -> RunReport {
    let mut report = RunReport::default();
    tell(
        &mut report,
        0,
        What::RunStarted {
            format: FORMAT,
            minor: MINOR,
            id: "one".to_owned(),
            version: String::new(),
            command: Vec::new(),
            started: String::new(),
            seed: 7,
            purpose: Some(Purpose::Search),
            confidence: None,
            host_name: String::new(),
            host: BTreeMap::new(),
        },
    );
    tell(&mut report, 0, What::CheckLoaded { check: facts.clone() });
    report
}

fn tell(report: &mut RunReport, after_ms: u64, what: What) {
    let at_ms = report.runs.first().map_or(0, |run| run.ms) + after_ms;
    report.push(&RunEvent { at_ms, run: None, what });
}

fn play(report: &mut RunReport, cell: &Cell, plays: Plays) {
    let (id, boot) = (|| cell.id.clone(), 1);
    tell(report, 0, What::CellPlanned { cell: cell.clone() });
    let failed = |fault| What::CellFailed { cell: id(), fault, detail: "broken\nbadly".to_owned() };
    let done = What::CellFinished { cell: id() };
    match plays {
        NoBuild => tell(report, 1, failed(Fault::Build)),
        NoMachine => tell(report, 1, failed(Fault::Infrastructure)),
        _ => machine(report, cell, plays),
    }
    tell(report, 0, done);
    let _ = boot;
}

fn machine(report: &mut RunReport, cell: &Cell, plays: Plays) {
    let (id, boot) = (|| cell.id.clone(), 1);
    let kernel = KernelFacts {
        release: "6.1.192".to_owned(),
        compiler: "gcc (Debian 12.2.0-14) 12.2.0".to_owned(),
        key: format!("key of {:?}", cell.series),
        cached: false,
        ms: 60_000,
        source: String::new(),
        patches: Vec::new(),
        warnings: Some(Vec::new()),
        image: None,
    };
    tell(report, 1, What::KernelReady { cell: id(), kernel, variant: None });
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
    tell(report, 1, started);
    let stopped = |why| What::VmStopped { cell: id(), boot, why, detail: String::new() };
    if plays == NoBoot {
        return tell(report, 1, stopped(VmEnd::NeverReady));
    }
    tell(report, 1_000, What::GuestReady { cell: id(), boot, boot_ms: 1_000 });
    let columns = ["guest_ms", "seq", "swapoff", "zswpout", "zswpwb", "verified"];
    tell(report, 0, What::Columns { cell: id(), boot, columns: columns.map(str::to_owned).into() });
    // What has the bug shows it after a tenth of the storm.
    let written = if let Written(pages) = plays { pages } else { 50 };
    let tenths = if matches!(plays, Race | Face | Another) { 1 } else { 10 };
    for row in [[0; 6], [1_000 * tenths, 2, 10 * tenths, 20_000, written, 9]] {
        tell(report, 500 * tenths, What::Sample { cell: id(), boot, row: row.map(Some).into() });
    }
    let found = |finding: Finding| What::Found {
        cell: id(),
        boot,
        guest_ms: 1_000,
        diverted: None,
        starved: None,
        finding,
    };
    match plays {
        Race => tell(report, 1, found(race_6_1())),
        Another => tell(report, 1, found(bug_elsewhere())),
        Face => tell(report, 1, found(face())),
        _ => {}
    }
    tell(report, 0, What::GuestDone { cell: id(), boot, reason: "time".to_owned() });
    tell(report, 0, stopped(VmEnd::Budget));
}

/// The race as a kernel shows it once in a while: the data that are written back do not decompress.
fn face() -> Finding {
    let title = "kernel BUG in zswap_writeback_entry".to_owned();
    let mut face = Finding { title, kind: "BUG".to_owned(), ..race_6_1() };
    face.stacks.truncate(1);
    face.alt_titles.clear();
    face
}

/// Does what the check asks for, up to its end; `plays` says what a guest of a position comes to, `written` what a storm for the
/// statistics is.
fn to_the_end(
    facts: &CheckFacts,
    plays: impl Fn(usize, u32) -> Plays,
    written: impl Fn(usize, u32) -> u64,
) -> (RunReport, Check) {
    let mut report = begun(facts);
    let mut begun = vec![0; facts.positions.len()];
    let mut storms = 0;
    for _ in 0..500 {
        let check = report.checks().remove(0);
        match &check.step {
            Step::Done => return (report, check),
            Step::Storms { at, times } => {
                for at in at.repeat(*times as usize) {
                    begun[at] += 1;
                    let cell = cell(at, facts.tip(), begun[at]);
                    play(&mut report, &cell, plays(at, begun[at]));
                }
            }
            Step::Statistics { pairs } => {
                for number in storms + 1..=storms + pairs {
                    for at in [0, facts.tip()] {
                        let cell = storm(cell(at, facts.tip(), number));
                        play(&mut report, &cell, Written(written(at, number)));
                    }
                }
                storms += pairs;
            }
        }
    }
    panic!("no end: {:?}", report.checks()[0].step);
}

fn judged(facts: &CheckFacts, plays: impl Fn(usize, u32) -> Plays) -> Check {
    to_the_end(facts, plays, |_, _| 50).1
}

/// What the check of a series comes to that brings another bug with its second patch of three, for renderings.
pub(crate) fn second_of_three() -> Check {
    judged(&facts(3), |at, _| if at >= 2 { Another } else { Clean })
}

/// The check of a series that fixes the race.
pub(crate) fn fix() -> Check {
    judged(&CheckFacts { fixes: true, ..facts(1) }, |at, _| if at == 0 { Race } else { Clean })
}

#[test]
fn a_fix_is_one_when_luck_no_longer_explains_the_silence_and_not_before() {
    let check = fix();
    assert_eq!(check.verdict, Verdict::Good, "{:?}", check.reasons);
    let [found] = &check.bugs[..] else { panic!("{:?}", check.bugs) };
    let Standing::Fixed(fix) = &found.standing else { panic!("{found:?}") };
    assert!(fix.proof.pass_probability <= 0.05 && found.base.hits >= 2 && found.tip.hits == 0);
    let longer: Vec<u64> =
        fix.longer.iter().map(|longer| longer.exposure.unwrap().swapoffs).collect();
    assert!(longer[0] == 0 && longer[1] < longer[2], "{longer:?}");
    assert_eq!(check.earns_tag(), Ok(()));
    // The control: the same with no time left after the first guests.
    let facts = CheckFacts { fixes: true, budget_ms: 1, ..facts(1) };
    let mut report = begun(&facts);
    for (at, plays) in [(0, Race), (1, Clean)] {
        play(&mut report, &cell(at, 1, 1), plays);
    }
    let cut = report.checks().remove(0);
    assert!(matches!(cut.bugs[0].standing, Standing::Silent(_)), "{:?}", cut.bugs);
    assert_eq!((cut.verdict, cut.step.clone()), (Verdict::Open, Step::Done));
    assert!(cut.earns_tag().is_err());
}

#[test]
fn what_both_show_speaks_against_a_series_only_if_it_was_to_fix_it() {
    let both = |_, _| Race;
    let claimed = judged(&CheckFacts { fixes: true, ..facts(2) }, both);
    assert_eq!(claimed.verdict, Verdict::Bad);
    assert_eq!(claimed.reasons, ["the bug that is to be fixed is not"]);
    let unclaimed = judged(&facts(2), both);
    assert_eq!(unclaimed.verdict, Verdict::Good, "{:?}", unclaimed.reasons);
    assert_eq!(unclaimed.bugs[0].standing, Standing::Unchanged);
    assert!(unclaimed.earns_tag().is_err());
    // Nor is a bug fixed that the base does not have.
    let clean = judged(&CheckFacts { fixes: true, ..facts(2) }, |_, _| Clean);
    assert_eq!(clean.verdict, Verdict::Open);
    assert!(clean.reasons[0].contains("the base did not show"), "{:?}", clean.reasons);
}

#[test]
fn a_rarer_face_of_the_bug_is_no_bug_of_its_own() {
    // On the base it is gone with the bug, and nobody waits for it to be proven so.
    let on_base = |at: usize, number: u32| match (at, number) {
        (0, 2) => Face,
        (0, _) => Race,
        _ => Clean,
    };
    let fixed = judged(&CheckFacts { fixes: true, ..facts(1) }, on_base);
    assert_eq!(fixed.verdict, Verdict::Good, "{:?}", fixed.reasons);
    assert!(fixed.bugs[0].is_expected() && fixed.bugs[1].is_related, "{:?}", fixed.bugs);
    let without = fix().guests;
    assert!(fixed.guests[1] <= 2 * without[1], "{:?} {without:?}", fixed.guests);
    // On the tip it says that the bug is still there.
    let on_tip = |at: usize, _| if at == 0 { Race } else { Face };
    let unfixed = judged(&CheckFacts { fixes: true, ..facts(1) }, on_tip);
    assert_eq!(unfixed.verdict, Verdict::Bad, "{:?}", unfixed.reasons);
    // Nor has a series brought it that is not to fix it.
    assert_eq!(judged(&facts(2), on_tip).verdict, Verdict::Good);
    // Where the base does not have the bug, the face is one that was brought.
    let brought = judged(&facts(2), |at, _| if at == 0 { Clean } else { Face });
    assert_eq!(brought.reasons, ["patch 1/2 brought a bug"]);
}

#[test]
fn the_patch_that_brought_a_bug_is_named_and_none_where_none_did() {
    let check = second_of_three();
    assert_eq!(check.verdict, Verdict::Bad);
    let [found] = &check.bugs[..] else { panic!("{:?}", check.bugs) };
    let Standing::Introduced { first, last, probability } = found.standing else {
        panic!("{found:?}")
    };
    assert_eq!((first, last), (2, 2));
    assert!(probability >= 0.95);
    assert_eq!(check.reasons, ["patch 2/3 brought a bug"]);
    let clean = judged(&facts(3), |_, _| Clean);
    assert_eq!((clean.verdict, clean.bugs.len()), (Verdict::Good, 0));
    // The expected bug can be brought, too, and one that shows in every second guest only.
    let sometimes =
        judged(&facts(3), |at, number| if at == 3 && number % 2 == 1 { Race } else { Clean });
    assert!(
        matches!(sometimes.bugs[0].standing, Standing::Introduced { first: 3, last: 3, .. }),
        "{:?}",
        sometimes.bugs
    );
}

#[test]
fn a_bug_that_the_base_may_just_not_have_shown_yet_is_open() {
    let facts = CheckFacts { budget_ms: 1, ..facts(2) };
    let mut report = begun(&facts);
    for (at, plays) in [(0, Clean), (2, Clean), (2, Another), (2, Clean)] {
        let number = report.cells.len() as u32 + 1;
        play(&mut report, &cell(at, 2, number), plays);
    }
    let check = report.checks().remove(0);
    let Standing::New { silence, likeliest } = check.bugs[0].standing else {
        panic!("{:?}", check.bugs)
    };
    assert!(silence > 0.05 && likeliest.is_some(), "{silence} {likeliest:?}");
    assert_eq!(check.verdict, Verdict::Open);
    // With the base silent for long it is the series that brought it, whichever patch did.
    for number in 10..60 {
        play(&mut report, &cell(0, 2, number), Clean);
    }
    assert_eq!(report.checks()[0].verdict, Verdict::Bad);
}

#[test]
fn patches_that_do_not_build_or_boot_on_their_own_are_named() {
    let each = CheckFacts { each: true, ..facts(3) };
    let no_build = judged(&each, |at, _| if at == 2 { NoBuild } else { Clean });
    assert_eq!(no_build.verdict, Verdict::DoesNotBuild);
    assert_eq!(no_build.reasons, ["the series up to patch 2/3 does not build: broken"]);
    let no_boot = judged(&each, |at, _| if at == 1 { NoBoot } else { Clean });
    assert_eq!(no_boot.verdict, Verdict::Bad);
    assert!(no_boot.reasons[0].starts_with("the series up to patch 1/3 does not boot: "));
    let good = judged(&each, |_, _| Clean);
    assert_eq!(good.verdict, Verdict::Good);
    assert!(good.builds.iter().all(|build| *build == Build::Works), "{:?}", good.builds);
    // What nobody asked for is not tried, and a base that does not boot is not the series' fault.
    assert_eq!(judged(&facts(3), |_, _| Clean).builds[1], Build::Untried);
    let base = judged(&facts(3), |_, _| NoBoot);
    assert_eq!(base.verdict, Verdict::Open, "{:?}", base.reasons);
}

#[test]
fn a_machine_that_fails_is_not_the_kernels_fault_and_is_tried_again() {
    let check = judged(&facts(2), |_, _| NoMachine);
    assert_eq!(check.verdict, Verdict::Infrastructure);
    let once =
        judged(&facts(2), |at, number| if at == 2 && number == 1 { NoMachine } else { Clean });
    assert_eq!(once.verdict, Verdict::Good, "{:?}", once.reasons);
}

#[test]
fn statistics_that_shift_speak_against_a_series_and_open_ones_are_open() {
    let clean = |_: usize, _: u32| Clean;
    let scattered = |number: u32, share: f64| {
        let way = f64::from(number * 5 % 8) / 4.0 - 0.9;
        4_000.0 * (1.0 + share * way)
    };
    let with =
        |written: &dyn Fn(usize, u32) -> u64| to_the_end(&with_statistics(2), clean, written).1;
    let same = with(&|at, number| scattered(number + at as u32, 0.01) as u64);
    assert_eq!(same.verdict, Verdict::Good, "{:?}", same.reasons);
    assert_eq!(same.earns_tag(), Ok(()));
    let less = with(&|at, number| {
        let all = scattered(number + at as u32, 0.01);
        (if at > 0 { 0.7 * all } else { all }) as u64
    });
    assert_eq!(less.verdict, Verdict::Bad);
    assert_eq!(less.reasons, ["writeback regressed"]);
    let open = with(&|at, number| scattered(number, if at > 0 { 0.3 } else { -0.3 }) as u64);
    assert_eq!(open.verdict, Verdict::Open, "{:?}", open.statistics);
    // Nobody measures what crashes.
    let broken =
        to_the_end(&with_statistics(2), |at, _| if at > 0 { Another } else { Clean }, |_, _| 1).1;
    assert_eq!(broken.verdict, Verdict::Bad);
    assert!(matches!(broken.statistics, Statistics::NotMeasured { .. }));
}

#[test]
fn what_was_asked_comes_back_from_its_line_and_an_interrupted_check_says_so() {
    let asked =
        CheckFacts { checkpatch: Some(vec![vec!["WARNING: x".to_owned()]]), ..with_statistics(2) };
    let line = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<CheckFacts>(&line).unwrap(), asked);
    let mut report = begun(&asked);
    tell(&mut report, 0, What::RunFinished { interrupted: true });
    let check = report.checks().remove(0);
    assert!(check.earns_tag().unwrap_err().contains("interrupted"), "{:?}", check.reasons);
    assert_eq!((check.verdict, check.step), (Verdict::Interrupted, Step::Done));
}
