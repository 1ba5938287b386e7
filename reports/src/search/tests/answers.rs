// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers: each one where it must come, and where it must not.

use crate::search::answer::{Answer, Verdict};
use crate::search::rate::RatePrior;
use crate::search::{Commit, Options, Outcome, Search, Step};

const MOST_STEPS: usize = 10_000;

fn search(options: Options, commits: usize) -> Search {
    Search::new(options, 20.0, &vec![Commit { weight: 1.0, build: 20.0 }; commits]).unwrap()
}

/// Searches to the end. `outcome` is of a build (`None`) or of the run with this number.
fn answer(
    mut search: Search,
    mut outcome: impl FnMut(usize, Option<usize>) -> Outcome,
) -> (Answer, Vec<(usize, Outcome)>) {
    let mut log = Vec::new();
    let mut runs = 0;
    for _ in 0..MOST_STEPS {
        match search.next() {
            Step::Done(answer) => return (*answer, log),
            Step::Ends { .. } => panic!("nothing is measured"),
            Step::Build { at } => {
                log.push((at, outcome(at, None)));
                search.spend(20.0);
                search.seen(at, log[log.len() - 1].1);
            }
            Step::Run { at, times } => {
                for _ in 0..times {
                    runs += 1;
                    log.push((at, outcome(at, Some(runs))));
                    search.spend(1.0);
                    let outcome = log[log.len() - 1].1;
                    search.seen(at, outcome);
                    if outcome == Outcome::Hit {
                        break;
                    }
                }
            }
        }
    }
    panic!("no end: {:?}", search.answer(Verdict::Undecided));
}

/// Each kernel from `culprit` on shows the bug in every third run.
fn third(culprit: usize) -> impl FnMut(usize, Option<usize>) -> Outcome {
    move |at, run| match run {
        None => Outcome::Built,
        Some(run) if at >= culprit && run % 3 == 0 => Outcome::Hit,
        Some(_) => Outcome::Clean(1.0),
    }
}

#[test]
fn each_commit_is_found_and_was_run_again_beside_its_parent() {
    for culprit in 1..=20 {
        let (answer, log) = answer(search(Options::default(), 20), third(culprit));
        assert_eq!(answer.verdict, Verdict::Culprit { first: culprit, last: culprit });
        assert!(answer.probability >= 0.96 && answer.credible.contains(&culprit), "{answer:?}");
        assert!(answer.silence <= 0.05 && answer.before.hits == 0, "{answer:?}");
        assert!(answer.rate.low < 0.34 && answer.rate.high > 0.32, "{answer:?}");
        assert!(log.contains(&(culprit, Outcome::Hit)), "{log:?}");
        assert!(log.contains(&(culprit - 1, Outcome::Clean(1.0))), "{log:?}");
    }
}

#[test]
fn what_was_seen_can_be_seen_again() {
    let (first, log) = answer(search(Options::default(), 20), third(7));
    let mut again = search(Options::default(), 20);
    for (at, outcome) in &log {
        again.seen(*at, *outcome);
    }
    again.spend(first.spent);
    assert_eq!(again.next(), Step::Done(Box::new(first)));
}

#[test]
fn ends_that_are_not_as_said_are_told() {
    // The bug is at the good end and not at the bad one.
    let (reversed, _) = answer(search(Options::default(), 20), |at, run| match run {
        Some(run) if at < 9 && run % 3 == 0 => Outcome::Hit,
        Some(_) => Outcome::Clean(1.0),
        None => Outcome::Built,
    });
    assert_eq!(reversed.verdict, Verdict::WrongWayRound);
    // Nowhere.
    let (nowhere, log) = answer(search(Options::default(), 20), third(21));
    assert_eq!((nowhere.verdict, nowhere.bad_end.hits), (Verdict::NoBugAtBadEnd, 0));
    assert!(nowhere.bad_end.clean >= 500.0 && log.iter().any(|(at, _)| *at == 0), "{nowhere:?}");
    // Everywhere.
    let (everywhere, _) = answer(search(Options::default(), 20), third(0));
    assert_eq!((everywhere.verdict, everywhere.likeliest), (Verdict::BugAtGoodEnd, (0, 0)));
    assert!(everywhere.probability > 0.95);
}

#[test]
fn a_rate_that_differs_between_the_ends_is_said() {
    let ends = |good: (usize, usize), bad: (usize, usize)| {
        let mut search = search(Options::default(), 20);
        for (at, (hits, clean)) in [(0, good), (20, bad)] {
            (0..clean).for_each(|_| search.seen(at, Outcome::Clean(1.0)));
            (0..hits).for_each(|_| search.seen(at, Outcome::Hit));
        }
        let Step::Done(answer) = search.next() else { panic!("{:?}", search.next()) };
        assert_eq!(answer.verdict, Verdict::BugAtGoodEnd);
        answer
    };
    let differ = ends((5, 95), (18, 2));
    assert!(differ.rates_differ > 1e6 && differ.good_end.high < differ.bad_end.low, "{differ:?}");
    let same = ends((9, 11), (10, 10));
    assert!(same.rates_differ < 1.0, "{same:?}");
}

#[test]
fn kernels_that_cannot_be_tested_are_no_evidence_and_may_hold_the_culprit() {
    let (answer, log) = answer(search(Options::default(), 20), |at, run| match run {
        None if (8..=10).contains(&at) => Outcome::Untestable,
        _ => third(9)(at, run),
    });
    // 9 and 10 cannot be told from 8 and 11.
    assert_eq!(answer.verdict, Verdict::Culprit { first: 8, last: 11 });
    assert!((8..=11).all(|at| answer.credible.contains(&at)), "{answer:?}");
    assert!(
        log.iter().all(|(at, outcome)| !(8..=10).contains(at) || *outcome == Outcome::Untestable)
    );
}

#[test]
fn ends_that_cannot_be_tested_are_told() {
    let unless = |broken: usize, culprit: usize| {
        move |at: usize, run: Option<usize>| match run {
            None if at == broken => Outcome::Untestable,
            _ => third(culprit)(at, run),
        }
    };
    let (bad, _) = answer(search(Options::default(), 20), unless(20, 5));
    assert_eq!(bad.verdict, Verdict::BadEndUntestable);
    let (good, _) = answer(search(Options::default(), 20), unless(0, 1));
    assert_eq!(good.verdict, Verdict::GoodEndUntestable { last: 1 });
    // Where it does not matter, nobody asks.
    let (fine, _) = answer(search(Options::default(), 20), unless(0, 9));
    assert_eq!(fine.verdict, Verdict::Culprit { first: 9, last: 9 });
}

#[test]
fn a_kernel_whose_runs_say_nothing_is_not_run_for_ever() {
    let (answer, log) = answer(search(Options::default(), 20), |at, run| match run {
        Some(_) if at == 9 => Outcome::Barren,
        _ => third(9)(at, run),
    });
    assert_eq!(answer.verdict, Verdict::Culprit { first: 9, last: 10 });
    assert!(log.iter().filter(|(at, _)| *at == 9).count() <= 11 + 32);
}

#[test]
fn kernels_that_are_the_same_are_run_once_and_ruled_out_together() {
    // 5 to 12 are one kernel; the bug comes with 13.
    let mut built = None;
    let (answer, log) = answer(search(Options::default(), 20), |at, run| match run {
        None if (5..=12).contains(&at) => built.map_or_else(
            || {
                built = Some(at);
                Outcome::Built
            },
            Outcome::SameAs,
        ),
        _ => third(13)(at, run),
    });
    assert_eq!(answer.verdict, Verdict::Culprit { first: 13, last: 13 });
    let ran = |at: &usize| log.iter().any(|(to, what)| to == at && *what == Outcome::Clean(1.0));
    assert!((5..=12).filter(ran).count() == 1, "{log:?}");
    let mut same = search(Options::default(), 3);
    same.seen(0, Outcome::Built);
    same.seen(3, Outcome::SameAs(0));
    assert!(matches!(same.next(), Step::Done(answer) if answer.verdict == Verdict::SameKernel));
}

#[test]
fn one_stray_report_is_undone() {
    // The first run of any kernel of the range is a false alarm.
    let mut strayed = false;
    let (answer, _) = answer(search(Options::default(), 20), |at, run| {
        if at < 15 && run.is_some() && !std::mem::replace(&mut strayed, true) {
            return Outcome::Hit;
        }
        third(15)(at, run)
    });
    assert!(strayed);
    assert_eq!(answer.verdict, Verdict::Culprit { first: 15, last: 15 });
    assert_eq!(answer.before.hits, 1);
}

#[test]
fn a_budget_that_is_spent_leaves_what_is_known() {
    let options = Options { budget: 150.0, ..Options::default() };
    let (answer, _) = answer(search(options, 1000), third(400));
    assert_eq!(answer.verdict, Verdict::OutOfBudget);
    assert!(answer.credible.contains(&400) && answer.credible.len() < 900, "{answer:?}");
}

#[test]
fn what_is_always_the_same_takes_a_run_a_step() {
    let options = Options { rate: RatePrior::ALWAYS, ..Options::default() };
    let (answer, log) = answer(search(options, 1024), |at, run| match run {
        None => Outcome::Built,
        Some(_) if at >= 700 => Outcome::Hit,
        Some(_) => Outcome::Clean(1.0),
    });
    assert_eq!(answer.verdict, Verdict::Culprit { first: 700, last: 700 });
    let runs = log.iter().filter(|(_, outcome)| *outcome != Outcome::Built).count();
    assert!(runs <= 10 + 4, "{log:?}");
}

#[test]
fn numbers_that_make_no_sense_make_no_search() {
    let one = [Commit { weight: 1.0, build: 0.0 }];
    let sound = Options::default();
    assert!(Search::new(sound, 0.0, &one).is_some());
    assert!(Search::new(sound, 0.0, &[]).is_none());
    assert!(Search::new(sound, 0.0, &[Commit { weight: 0.0, ..one[0] }]).is_none());
    for confidence in [0.5, 1.0, f64::NAN] {
        assert!(Search::new(Options { confidence, ..sound }, 0.0, &one).is_none());
    }
    assert!(Search::new(Options { false_alarm: 0.0, ..sound }, 0.0, &one).is_none());
}
