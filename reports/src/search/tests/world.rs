// SPDX-License-Identifier: MIT OR Apache-2.0
//! A range of commits of which the truth is known, and searches in it.

use crate::search::answer::{Answer, Verdict};
use crate::search::rate::RatePrior;
use crate::search::{Commit, Options, Outcome, Search, Step};
use crate::statistics::tests::random::Random;

/// What is not as in the simplest case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// One commit of ten cannot be built.
    Unbuildable,
    /// The same, but where one cannot, its next neighbour cannot with a probability of one half.
    BrokenStretches,
    /// One run of twenty fails for the machine.
    Faults,
    /// In a third of the range another bug ends three runs of ten.
    SecondBug,
    /// From the middle of the range on, the bug shows half as often.
    Rarer,
    /// From the middle of the range on, the bug shows twice as often, or always.
    Oftener,
    /// A kernel without the bug gives its report as often as is assumed.
    StrayReports,
}

impl Trouble {
    pub(super) const ALL: [Self; 8] = [
        Self::None,
        Self::Unbuildable,
        Self::BrokenStretches,
        Self::Faults,
        Self::SecondBug,
        Self::Rarer,
        Self::Oftener,
        Self::StrayReports,
    ];
}

/// A range of commits.
pub(super) struct World {
    pub(super) culprit: usize,
    positions: usize,
    rate: f64,
    trouble: Trouble,
    broken: Vec<bool>,
    /// First position with the second bug, and the first one without it.
    second: (usize, usize),
    random: Random,
}

/// What a search in a world took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    pub(super) right: bool,
    pub(super) runs: f64,
    pub(super) builds: f64,
}

impl World {
    pub(super) fn new(commits: usize, rate: f64, trouble: Trouble, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let culprit = 1 + below(&mut random, commits);
        let mut broken = vec![false; commits + 1];
        for at in 1..commits {
            let share = match trouble {
                Trouble::Unbuildable => 0.1,
                Trouble::BrokenStretches if broken[at - 1] => 0.5,
                Trouble::BrokenStretches => 0.05,
                _ => 0.0,
            };
            broken[at] = random.uniform() <= share;
        }
        let start = below(&mut random, commits);
        let second = (start, start + commits / 3);
        Self { culprit, positions: commits + 1, rate, trouble, broken, second, random }
    }

    fn is(&mut self, probability: f64) -> bool {
        self.random.uniform() <= probability
    }

    pub(super) fn build(&self, at: usize) -> Outcome {
        if self.broken[at] { Outcome::Untestable } else { Outcome::Built }
    }

    pub(super) fn run(&mut self, at: usize) -> Outcome {
        let is_behind = at > self.positions / 2;
        let in_second = (self.second.0..self.second.1).contains(&at);
        let rate = match self.trouble {
            Trouble::Rarer if is_behind => self.rate / 2.0,
            Trouble::Oftener if is_behind => (self.rate * 2.0).min(1.0),
            _ => self.rate,
        };
        let lost = match self.trouble {
            Trouble::Faults => 0.05,
            Trouble::SecondBug if in_second => 0.3,
            _ => 0.0,
        };
        let stray = if self.trouble == Trouble::StrayReports {
            Options::default().false_alarm
        } else {
            0.0
        };
        if self.is(lost) {
            Outcome::Barren
        } else if self.is(if at >= self.culprit { rate } else { stray }) {
            Outcome::Hit
        } else {
            Outcome::Clean(1.0)
        }
    }

    /// Searches to the end.
    pub(super) fn search(&mut self, options: Options, build: f64) -> (Answer, Took) {
        let commits = vec![Commit { weight: 1.0, build }; self.positions - 1];
        let mut search = Search::new(options, build, &commits).expect("sound options");
        let mut took = Took::default();
        loop {
            match search.next() {
                Step::Build { at } => {
                    took.builds += 1.0;
                    search.seen(at, self.build(at));
                }
                Step::Run { at, times } => {
                    for _ in 0..times {
                        took.runs += 1.0;
                        let outcome = self.run(at);
                        search.seen(at, outcome);
                        if outcome == Outcome::Hit {
                            break;
                        }
                    }
                }
                Step::Ends { .. } => panic!("nothing is measured"),
                Step::Done(answer) => {
                    took.right = matches!(answer.verdict, Verdict::Culprit { first, last }
                        if (first..=last).contains(&self.culprit));
                    return (*answer, took);
                }
            }
        }
    }

    /// Bisects as `git bisect` does, with `times` runs a step. With `ends`, the bad end is run until it shows the bug, and the
    /// good end as often as any other kernel; otherwise both are believed.
    pub(super) fn halve(&mut self, times: u32, ends: bool) -> Took {
        let mut took = Took::default();
        let (mut good, mut bad) = (0, self.positions - 1);
        if ends {
            took.builds += 2.0;
            took.runs += f64::from(times) + 1.0;
            while self.run(bad) != Outcome::Hit {
                took.runs += 1.0;
            }
        }
        while bad - good > 1 {
            let at = good.midpoint(bad);
            took.builds += 1.0;
            let mut is_bad = false;
            for _ in 0..times {
                took.runs += 1.0;
                is_bad = self.run(at) == Outcome::Hit;
                if is_bad {
                    break;
                }
            }
            (good, bad) = if is_bad { (good, at) } else { (at, bad) };
        }
        took.right = bad == self.culprit;
        took
    }
}

/// Means over many searches.
pub(super) struct Mean {
    pub(super) right: f64,
    pub(super) runs: f64,
    pub(super) builds: f64,
}

impl Mean {
    fn of(trials: u64, one: impl Fn(u64) -> Took) -> Self {
        let (mut right, mut runs, mut builds) = (0.0, 0.0, 0.0);
        for seed in 0..trials {
            let took = one(seed);
            right += f64::from(u8::from(took.right));
            runs += took.runs;
            builds += took.builds;
        }
        let n = trials as f64;
        Self { right: right / n, runs: runs / n, builds: builds / n }
    }

    pub(super) fn search(
        trials: u64,
        commits: usize,
        rate: f64,
        trouble: Trouble,
        build: f64,
    ) -> Self {
        let world = |seed| World::new(commits, rate, trouble, seed);
        Self::of(trials, |seed| world(seed).search(Options::default(), build).1)
    }

    /// Searches that know the rate, and that the ends are right.
    pub(super) fn told(trials: u64, commits: usize, rate: f64) -> Self {
        // As if it had been seen in so many runs.
        let many = 1e5;
        let (hits, misses) = (many * rate, (many * (1.0 - rate)).max(1e-3));
        let rate_known = RatePrior { hits, misses, always: 0.0 };
        let options = Options { rate: rate_known, absent: 1e-6, sights: 0, ..Options::default() };
        let world = |seed| World::new(commits, rate, Trouble::None, seed);
        Self::of(trials, |seed| world(seed).search(options, 0.0).1)
    }

    pub(super) fn halve(trials: u64, commits: usize, rate: f64, times: u32, ends: bool) -> Self {
        let world = |seed| World::new(commits, rate, Trouble::None, seed);
        Self::of(trials, |seed| world(seed).halve(times, ends))
    }
}

/// Uniform from 0, below `end`.
fn below(random: &mut Random, end: usize) -> usize {
    ((random.uniform() * end as f64) as usize).min(end - 1)
}

/// The fewest runs a step with which halving a range is right in `confidence` of all cases, by the truth of its rate. All
/// commits are as likely.
pub(super) fn runs_a_step(commits: usize, rate: f64, confidence: f64) -> u32 {
    fn right(commits: usize, miss: f64) -> f64 {
        if commits == 1 {
            return 1.0;
        }
        // Half of the range is bad at the step's kernel, and seen as such unless all runs are silent.
        let behind = commits - commits / 2;
        let before = commits / 2;
        let share = before as f64 / commits as f64;
        share * (1.0 - miss) * right(before, miss) + (1.0 - share) * right(behind, miss)
    }
    (1..100_000).find(|k| right(commits, (1.0 - rate).powi(*k as i32)) >= confidence).unwrap_or(1)
}

/// The fewest runs on average of any search that is right with `confidence`: R. M. Fano's inequality and the capacity of a
/// channel that passes a zero as it is and a one with probability `rate`.
pub(super) fn bound(commits: usize, rate: f64, confidence: f64) -> f64 {
    let capacity = if rate >= 1.0 {
        1.0
    } else {
        (1.0 + rate * (1.0 - rate).powf((1.0 - rate) / rate)).log2()
    };
    let d = 1.0 - confidence;
    let h = -d * d.log2() - confidence * confidence.log2();
    ((1.0 - d) * (commits as f64).log2() - h) / capacity
}

/// The fewest runs on average of the culprit and its parent together, whoever searches, and whatever is known of rate and ends, if
/// the answer is right with `confidence` whichever commit it is, and it is neither the first nor the last one.
///
/// Only runs of the parent tell the culprit from the commit before it, and all of them are silent. If the parent had the bug, `N` of
/// them would be so with a probability of `(1 - rate)^N`. Whoever names the culprit with a probability of `c` names it where it is
/// the commit before with `c (1 - rate)^M` at least (Jensen's inequality; `M` is the mean of `N` where it is named, which is `1 / c`
/// of its mean at most), and that is `1 - c` at most.
/// Only runs of the culprit tell it from the commit behind it, by one that shows the bug. It is named without one with `1 - c` at
/// most, since it would then be named as well where it is the commit behind. So one shows it with `2 c - 1` at least, and each run
/// does so with `rate`.
pub(super) fn check_bound(rate: f64, confidence: f64) -> f64 {
    let c = confidence;
    let silent = (c / (1.0 - c)).ln() / -(-rate).ln_1p();
    // A single silent run tells all where the bug always shows.
    let parent = if rate >= 1.0 { 2.0 * c - 1.0 } else { c * silent };
    parent + (2.0 * c - 1.0) / rate
}
