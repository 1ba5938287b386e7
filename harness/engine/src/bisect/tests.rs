// SPDX-License-Identifier: MIT OR Apache-2.0
use reports::event::Cell;
use reports::event::{Exposure, Fault, KernelFacts, RunEvent, VmEnd, What};
use reports::exit::Purpose;
use reports::finding::{Finding, Frame, Stack, StackRole};
use reports::search::evidence::{BROKEN, MOST_FAULTS, Predicate};
use reports::search::told::Label;
use workloads::profile::Technique;

use super::*;
use crate::job::Ground;
use crate::job::tests::debian_6_1;

/// What a cell comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plays {
    Clean,
    Bug,
    Another,
    NoBuild,
    NoMachine,
    /// A storm that writes back so many pages of 20,000 that it stores.
    Wrote(u64),
    /// A command of the user's that ends with this status.
    Status(i32),
}

/// Kernels `k0` to `k(n)`, of which each has its own cells.
fn campaign(commits: usize) -> Bisect {
    let profile = "zswap-writeback-swapoff";
    let group = debian_6_1(None, profile, Technique::Stretch);
    let rule = reports::rule::Rule::built_in(profile).unwrap();
    let kernel = |at: usize| {
        let mut group = Group { rule: Some(rule.clone()), ..Group::clone(&group) };
        let Ground::Qemu(choice) = &mut group.ground else { panic!("not QEMU's") };
        choice.manifest.name = format!("k{at}");
        Arc::new(group)
    };
    let groups: Vec<Arc<Group>> = (0..=commits).map(kernel).collect();
    let range = Range {
        positions: groups.iter().map(|group| position(group)).collect(),
        predicate: Predicate::Expected,
        confidence: 0.99,
        budget: None,
        storm_ms: 10_000,
        is_fix: false,
        merge: None,
    };
    let storm = Duration::from_secs(10);
    let so_far = RunReport::default();
    Bisect { groups, range, seed: 7, storm, side_by_side: 2, before: None, depth: 0, so_far }
}

fn position(group: &Group) -> Position {
    Position { population: group.cell().population(), label: Label::default(), weight: 1.0 }
}

fn tell(report: &mut RunReport, what: What) {
    report.push(&RunEvent { at_ms: 1, run: None, what });
}

fn run(id: &str) -> RunReport {
    let mut report = RunReport::default();
    let start = What::RunStarted {
        format: reports::event::FORMAT,
        minor: reports::event::MINOR,
        id: id.to_owned(),
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

fn finding(title: &str, function: &str) -> Finding {
    let stack = |role, function: &str| {
        let function = function.into();
        let frames = vec![Frame { function, offset: None, source: None, inlined: false }];
        Stack { role, task: None, frames }
    };
    Finding {
        title: format!("KASAN: use-after-free {title} in {function}"),
        kind: "KASAN-USE-AFTER-FREE-WRITE".to_owned(),
        stacks: vec![
            stack(StackRole::Access, function),
            stack(StackRole::FreedBy, "__x64_sys_swapoff"),
        ],
        ..Finding::default()
    }
}

fn play(report: &mut RunReport, cell: &Cell, plays: Plays, key: &str) {
    let (id, boot) = (|| cell.id.clone(), 1);
    tell(report, What::CellPlanned { cell: cell.clone() });
    let failed = |fault| What::CellFailed { cell: id(), fault, detail: "broken".to_owned() };
    match plays {
        Plays::NoBuild => tell(report, failed(Fault::Build)),
        Plays::NoMachine => tell(report, failed(Fault::Infrastructure)),
        Plays::Clean | Plays::Bug | Plays::Another | Plays::Wrote(_) | Plays::Status(_) => {
            let kernel = KernelFacts {
                release: String::new(),
                compiler: String::new(),
                key: key.to_owned(),
                cached: false,
                ms: 60_000,
                source: String::new(),
                patches: Vec::new(),
                warnings: None,
                image: None,
            };
            tell(report, What::KernelReady { cell: id(), kernel, variant: None });
            if let Plays::Status(status) = plays {
                tell(report, What::CommandEnded { cell: id(), status });
                if status >= BROKEN {
                    tell(report, failed(Fault::Configuration));
                }
                return tell(report, What::CellFinished { cell: id() });
            }
            tell(
                report,
                What::VmStarted {
                    cell: id(),
                    boot,
                    accel: "tcg".to_owned(),
                    accel_why: String::new(),
                    seed: Some(1),
                    host: String::new(),
                    argv: Vec::new(),
                    cmdline: String::new(),
                },
            );
            tell(report, What::GuestReady { cell: id(), boot, boot_ms: 1 });
            let exposure = Exposure {
                windows: 5,
                swapoffs: 5,
                writebacks: 5,
                guest_ms: 10_000,
                verified: 1,
                ..Exposure::default()
            };
            if let Plays::Wrote(writebacks) = plays {
                let columns = ["guest_ms", "seq", "zswpout", "zswpwb"].map(str::to_owned).into();
                tell(report, What::Columns { cell: id(), boot, columns });
                for row in [[10, 1, 0, 0], [10_000, 2, 20_000, writebacks]] {
                    tell(report, What::Sample { cell: id(), boot, row: row.map(Some).into() });
                }
            } else {
                tell(report, What::Exposure { cell: id(), boot, exposure });
            }
            let finding = match plays {
                Plays::Bug => Some(finding("Write", "zswap_writeback_entry")),
                Plays::Another => Some(finding("Read", "tmpfs_of_another_kind")),
                _ => None,
            };
            if let Some(finding) = finding {
                let (diverted, starved) = (None, None);
                let found =
                    What::Found { cell: id(), boot, guest_ms: 1, diverted, starved, finding };
                tell(report, found);
            }
            tell(report, What::GuestDone { cell: id(), boot, reason: "stop".to_owned() });
            let why = VmEnd::Enough;
            tell(report, What::VmStopped { cell: id(), boot, why, detail: String::new() });
        }
    }
    tell(report, What::CellFinished { cell: id() });
}

/// Which kernel a cell runs.
fn at(cell: &Cell) -> usize {
    cell.kernel[1..].parse().unwrap()
}

/// Runs the campaign until it asks for no more, or `most` cells were run.
fn to_the_end(
    bisect: &mut Bisect,
    most: usize,
    plays: impl Fn(usize, usize) -> Plays,
) -> (RunReport, Answer) {
    go_on(run("one"), bisect, most, plays)
}

/// The same in a run that has seen this.
fn go_on(
    mut report: RunReport,
    bisect: &mut Bisect,
    most: usize,
    plays: impl Fn(usize, usize) -> Plays,
) -> (RunReport, Answer) {
    let mut jobs = bisect.begin();
    while !jobs.is_empty() && report.cells.len() < most {
        let is_measured = matches!(bisect.range.predicate, Predicate::Regression(_));
        assert!(jobs.len() <= 2 || is_measured, "no more than fit side by side");
        for job in &jobs {
            let position = at(&job.cell);
            let key = format!("key {position}");
            let plays = plays(position, report.cells.len());
            play(&mut report, &job.cell, plays, &key);
        }
        jobs = bisect.more(&report);
    }
    let search = bisect.fold(&report).unwrap();
    let answer = match search.next() {
        Step::Done(answer) => *answer,
        _ => search.answer(Verdict::Undecided),
    };
    (report, answer)
}

/// The bug is in `k5` and behind it, in every second run.
fn every_second(at: usize, number: usize) -> Plays {
    if at >= 5 && number.is_multiple_of(2) { Plays::Bug } else { Plays::Clean }
}

#[test]
fn the_commit_is_found_and_each_guest_has_a_seed_of_its_own() {
    let (report, answer) = to_the_end(&mut campaign(12), 1000, every_second);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
    assert!(answer.probability >= 0.99 && answer.credible == [5], "{answer:?}");
    let mut seeds: Vec<u64> = report.cells.iter().map(|cell| cell.cell.seed).collect();
    let mut ids: Vec<&str> = report.cells.iter().map(|cell| cell.cell.id.as_str()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((seeds.len(), ids.len()), (report.cells.len(), report.cells.len()));
}

#[test]
fn other_crashes_broken_builds_and_faults_lead_nowhere_wrong() {
    let trouble = |at: usize, number: usize| match at {
        6 | 7 => Plays::NoBuild,
        // Half of the good kernels' runs end by another bug.
        1..=4 if number.is_multiple_of(3) => Plays::Another,
        _ if number % 7 == 3 => Plays::NoMachine,
        _ => every_second(at, number),
    };
    let (_, answer) = to_the_end(&mut campaign(12), 1000, trouble);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
    // Where any crash is searched for, the other bug is it, and the first commit brought it.
    let mut any = campaign(12);
    any.range.predicate = Predicate::AnyCrash;
    let (_, answer) = to_the_end(&mut any, 1000, |at, number| match at {
        1..=4 if number % 3 > 0 => Plays::Another,
        _ => every_second(at, number),
    });
    assert_eq!(answer.verdict, Verdict::Culprit { first: 1, last: 1 }, "{answer:?}");
}

#[test]
fn what_a_kernel_answers_alike_each_time_takes_hardly_more_than_a_run_a_step() {
    let mut bisect = campaign(12);
    bisect.range.predicate = Predicate::BuildFailure;
    let breaks = |at: usize, _| if at >= 5 { Plays::NoBuild } else { Plays::Clean };
    let (report, answer) = to_the_end(&mut bisect, 1000, breaks);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
    assert!(report.cells.len() <= 16, "{} runs", report.cells.len());
    // The control: a range in which all compile.
    let mut bisect = campaign(12);
    bisect.range.predicate = Predicate::BuildFailure;
    let (report, answer) = to_the_end(&mut bisect, 1000, |_, _| Plays::Clean);
    assert_eq!(answer.verdict, Verdict::NoBugAtBadEnd, "{answer:?}");
    assert!(report.cells.len() <= 16, "{} runs", report.cells.len());
}

#[test]
fn a_machine_that_fails_for_good_ends_it() {
    let (report, _) = to_the_end(&mut campaign(12), 1000, |_, _| Plays::NoMachine);
    assert!(is_stalled(&report.cells));
    assert!(report.cells.len() <= MOST_FAULTS + 2, "{}", report.cells.len());
}

#[test]
fn a_search_that_was_cut_goes_on_from_its_log() {
    let (cut, _) = to_the_end(&mut campaign(12), 20, every_second);
    let (whole, answer) = to_the_end(&mut campaign(12), 1000, every_second);
    let mut rest = Bisect { before: Some(cut.clone()), ..campaign(12) };
    let (more, again) = to_the_end(&mut rest, 1000, every_second);
    assert_eq!(again.verdict, answer.verdict);
    let was_run = |key: &str| cut.cells.iter().any(|cell| cell.cell.key == key);
    assert!(more.cells.iter().all(|cell| !was_run(&cell.cell.key)), "a guest was run twice");
    let longer = whole.cells.len() + 20;
    assert!(more.cells.len() + cut.cells.len() < longer, "{} {longer}", more.cells.len());
    // Cells of other kernels, or of another storm, say nothing of these.
    let mut other = campaign(12);
    for (group, position) in other.groups.iter_mut().zip(&mut other.range.positions) {
        Arc::make_mut(group).profile.name = "another".to_owned();
        *position = self::position(group);
    }
    other.before = Some(whole);
    let search = other.fold(&run("two")).unwrap();
    assert!(search.tallies().iter().all(|tally| !tally.is_evidence()));
}

#[test]
fn the_same_kernel_is_not_run_twice() {
    let mut bisect = campaign(3);
    let mut report = run("one");
    for (position, key) in [(0, "same"), (3, "other"), (2, "same")] {
        let jobs = bisect.jobs(position, 1, &report);
        play(&mut report, &jobs[0].cell, Plays::Clean, key);
    }
    let search = bisect.fold(&report).unwrap();
    // What was seen of the third stands at the first, and neither of the commits between can be it.
    assert_eq!(search.tallies()[0].clean, 2.0);
    assert!(search.posterior().mass()[1..=2].iter().all(|mass| *mass == 0.0));
}

/// Runs of a kernel whose bug shows in one of ten, in their order: what one such kernel did, kept.
const ONE_OF_TEN: [&str; 6] = [
    "................x.........................................x.....x.............................x...x.",
    ".xx.....x...x.......x.............x.x..x..............x.....x.......x..........................xxx..",
    ".................xx...................x..............x....x.......x....x.................x..........",
    "........x.........x..........x..x...x.x.........x...............x..................x.x......x....x..",
    "..............x.......................x........x.....x........x......x........x........x...........x",
    "...xx...............x.....................x..........x.........................x.........x.....x....",
];

#[test]
fn a_bug_that_shows_in_one_run_of_ten_is_found_from_outcomes_that_were_kept() {
    let shown: Vec<bool> = ONE_OF_TEN.concat().bytes().map(|byte| byte == b'x').collect();
    for (culprit, from) in [(1, 0), (5, 137), (12, 311)] {
        let told = |at: usize, number: usize| match at >= culprit {
            true if shown[(from + number) % shown.len()] => Plays::Bug,
            _ => Plays::Clean,
        };
        let (report, answer) = to_the_end(&mut campaign(12), 2000, told);
        let expected = Verdict::Culprit { first: culprit, last: culprit };
        assert_eq!(answer.verdict, expected, "{answer:?}");
        assert!(answer.probability >= 0.99 && answer.rate.low < 0.1, "{answer:?}");
        // A clean run of ten, which is usual, would have told next to nothing: so many were needed.
        assert!(report.cells.len() > 60, "{} runs", report.cells.len());
    }
}

/// Writebacks of a storm: as many as usual before `k5`, and a fifth less from there on, but for what comes and goes.
fn loses_a_fifth(at: usize, number: usize) -> Plays {
    let wobble = (number as u64 * 7_919) % 201;
    Plays::Wrote(if at >= 5 { 3_100 } else { 3_900 } + wobble)
}

#[test]
fn a_statistic_that_regressed_is_searched_by_storms_that_are_pairs_at_the_ends() {
    let regression = || {
        let mut bisect = campaign(12);
        bisect.range.predicate = Predicate::Regression("writebacks-per-store".to_owned());
        bisect
    };
    let ends = regression().begin();
    let names: Vec<&str> = ends.iter().take(4).map(|job| job.cell.id.as_str()).collect();
    assert_eq!(names, ["at0-1", "at12-1", "at12-2", "at0-2"]);
    assert_eq!((ends.len(), ends[0].cell.seed), (16, ends[1].cell.seed));
    assert_ne!(ends[1].cell.seed, ends[2].cell.seed);
    let (_, answer) = to_the_end(&mut regression(), 1000, loses_a_fifth);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
    let shift = answer.shift.unwrap();
    assert!((-0.26..-0.16).contains(&shift.shift), "{shift:?}");
    // A control that does not differ, and one that is the wrong way round.
    let same = |_, number| loses_a_fifth(0, number);
    let (_, answer) = to_the_end(&mut regression(), 1000, same);
    assert_eq!(answer.verdict, Verdict::EndsAlike, "{answer:?}");
    let turned = |at: usize, number| loses_a_fifth(12 - at, number);
    let (_, answer) = to_the_end(&mut regression(), 1000, turned);
    assert_eq!(answer.verdict, Verdict::WrongWayRound, "{answer:?}");
    // Guests that crash are not measured, and kernels that do so each time cannot be tested.
    let crash = |at: usize, number| match at {
        4 | 5 => Plays::Another,
        _ => loses_a_fifth(at, number),
    };
    let (_, answer) = to_the_end(&mut regression(), 1000, crash);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 4, last: 6 }, "{answer:?}");
}

#[test]
fn a_command_judges_by_its_status_and_one_that_is_broken_ends_the_search() {
    let commanded = || {
        let mut bisect = campaign(12);
        bisect.range.predicate = Predicate::Command("x".to_owned());
        bisect
    };
    let judged = |at: usize, number: usize| match at {
        3 => Plays::Status(125),
        5.. => Plays::Status(if number.is_multiple_of(2) { 127 } else { 1 }),
        _ => Plays::Status(0),
    };
    let (report, answer) = to_the_end(&mut commanded(), 1000, judged);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
    let range = commanded().range;
    assert!(broken(&range, &report).is_none());
    for status in [128, 139] {
        let dies = |at: usize, number: usize| match number {
            6 => Plays::Status(status),
            _ => judged(at, number),
        };
        let (report, _) = to_the_end(&mut commanded(), 1000, dies);
        assert!(report.cells.len() <= 8, "{} runs", report.cells.len());
        assert_eq!(broken(&range, &report).and_then(|cell| cell.command), Some(status));
        // What was seen before it is kept, and the search goes on from there.
        let mut rest = Bisect { before: Some(report), ..commanded() };
        let (_, again) = to_the_end(&mut rest, 1000, judged);
        assert_eq!(again.verdict, answer.verdict);
    }
}

/// A search of which `k5` is a merge.
fn with_a_merge() -> Bisect {
    let mut bisect = campaign(12);
    bisect.range.positions[5].label.branch = Some("swapstorm bisect ...".to_owned());
    bisect.range.positions[5].label.change = "merge 5".to_owned();
    bisect
}

/// The search in the merge's branch: `k100`, which it follows, its own `k101` to `k104`, and the merge.
fn in_its_branch(bisect: &Bisect, report: &RunReport) -> Bisect {
    let merge = bisect.merge(report).unwrap();
    assert_eq!((merge.kernel, merge.label), (5, 5));
    let kernel = |at: usize| {
        let mut group = Group::clone(&bisect.groups[5]);
        let Ground::Qemu(choice) = &mut group.ground else { panic!("not QEMU's") };
        choice.manifest.name = format!("k{at}");
        Arc::new(group)
    };
    let groups: Vec<Arc<Group>> = [100, 101, 102, 103, 104, 5].into_iter().map(kernel).collect();
    let positions = groups.iter().map(|group| position(group)).collect();
    bisect.in_branch(merge, (groups, positions), report)
}

/// The bug is in `k5` and behind it, and in the branch from `first` on.
fn in_branch_from(first: usize) -> impl Fn(usize, usize) -> Plays + Copy {
    move |at, number| match at {
        100.. if at < first => Plays::Clean,
        100.. => every_second(5, number),
        _ => every_second(at, number),
    }
}

#[test]
fn where_the_culprit_is_a_merge_its_branch_is_searched_and_no_guest_of_the_merge_is_run_again() {
    // The third commit of the branch, then the merge itself: its branch's tip is clean.
    for (first, culprit) in [(103, 3), (105, 5)] {
        let plays = in_branch_from(first);
        let mut bisect = with_a_merge();
        let (seen, answer) = to_the_end(&mut bisect, 1000, plays);
        assert_eq!(answer.verdict, Verdict::Culprit { first: 5, last: 5 }, "{answer:?}");
        let mut branch = in_its_branch(&bisect, &seen);
        let before = branch.range.merge.clone().unwrap();
        assert_eq!(before.change, "merge 5");
        assert!(before.probability * branch.range.confidence >= 0.99 - 1e-9, "{before:?}");
        let known = branch.fold(&seen).unwrap().tallies()[5];
        assert!(known.hits >= 2, "what was seen of the merge counts: {known:?}");
        let (report, answer) = go_on(seen.clone(), &mut branch, 1000, plays);
        assert_eq!(
            answer.verdict,
            Verdict::Culprit { first: culprit, last: culprit },
            "{answer:?}"
        );
        assert!(answer.probability * before.probability >= 0.99, "{answer:?}");
        let mut keys: Vec<&str> = report.cells.iter().map(|cell| cell.cell.key.as_str()).collect();
        let mut ids: Vec<&str> = report.cells.iter().map(|cell| cell.cell.id.as_str()).collect();
        [&mut keys, &mut ids].into_iter().for_each(|names| names.sort_unstable());
        keys.dedup();
        ids.dedup();
        assert_eq!([keys.len(), ids.len()], [report.cells.len(); 2]);
        // Nothing is entered a second time.
        assert_eq!(branch.merge(&report), None);
        assert!(ids.iter().any(|id| id.starts_with("branch1-at")));

        // One that was cut in the branch comes to the branch without a guest, and goes on there.
        for cut in [seen.cells.len() + 3, seen.cells.len()] {
            let mut branch = in_its_branch(&with_a_merge(), &seen);
            let (killed, _) = go_on(seen.clone(), &mut branch, cut, plays);
            let mut again = Bisect { before: Some(killed.clone()), ..with_a_merge() };
            assert!(again.begin().is_empty());
            let mut branch = in_its_branch(&again, &run("two"));
            let (more, answer) = go_on(run("two"), &mut branch, 1000, plays);
            assert_eq!(answer.verdict, Verdict::Culprit { first: culprit, last: culprit });
            assert!(more.cells.len() + killed.cells.len() < report.cells.len() + 20);
            let was_run = |key: &str| killed.cells.iter().any(|cell| cell.cell.key == key);
            assert!(more.cells.iter().all(|cell| !was_run(&cell.cell.key)), "run twice");
        }
    }
}

#[test]
fn a_branch_is_searched_with_the_budget_that_is_left() {
    let mut bisect = with_a_merge();
    let (mut seen, _) = to_the_end(&mut bisect, 1000, in_branch_from(103));
    bisect.range.budget = Some(600.0);
    let mut branch = in_its_branch(&bisect, &seen);
    assert!(!Bisect { so_far: seen.clone(), ..in_its_branch(&bisect, &seen) }.begin().is_empty());
    seen.runs[0].ms = 600_000;
    branch.so_far = seen.clone();
    assert!(branch.begin().is_empty());
    assert_eq!(branch.fold(&seen).unwrap().conclusion().verdict, Verdict::OutOfBudget);
}
