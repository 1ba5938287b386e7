// SPDX-License-Identifier: MIT OR Apache-2.0
//! Searches by a statistic: storms that come to a number, of which the truth is known.

use crate::search::answer::{Answer, Verdict};
use crate::search::level::{Moments, ln_levels};
use crate::search::{Commit, Options, Outcome, Search, Step};
use crate::statistics::rule::{Better, DEFAULT_MARGIN, LOOKS, Looks, Tested, assess};
use crate::statistics::tests::random::Random;

const BUILD: f64 = 20.0;
/// Spread of a storm, as a difference of logarithms.
const SPREAD: f64 = 0.1;

/// What storms come to, in a range of which the truth is known.
struct World {
    commits: usize,
    culprit: usize,
    /// How much lower the statistic is from the culprit on, in spreads of a storm.
    loss: f64,
    /// One storm of ten lies ten spreads off.
    has_outliers: bool,
    /// The spread behind the culprit, by the one before.
    wider: f64,
    random: Random,
    /// Of the ends, as far as they are pairs.
    ends: [Vec<f64>; 2],
    storms: usize,
    builds: usize,
}

impl World {
    fn new(commits: usize, loss: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let culprit = 1 + ((random.uniform() * commits as f64) as usize).min(commits - 1);
        let (ends, storms, builds) = (Default::default(), 0, 0);
        let (has_outliers, wider) = (false, 1.0);
        Self { commits, culprit, loss, has_outliers, wider, random, ends, storms, builds }
    }

    fn storm(&mut self, at: usize) -> f64 {
        self.storms += 1;
        let is_behind = at >= self.culprit;
        let mut value = self.random.normal() * if is_behind { self.wider } else { 1.0 };
        // What is too far off is pulled in, as the fold over storms does it.
        if self.has_outliers && self.random.uniform() < 0.1 {
            value = if self.random.uniform() < 0.5 { -4.0 } else { 4.0 };
        }
        SPREAD * (value - if is_behind { self.loss } else { 0.0 })
    }

    fn search(&mut self, confidence: f64) -> Answer {
        let options = Options { confidence, ..Options::measured() };
        let commits = vec![Commit { weight: 1.0, build: BUILD }; self.commits];
        let mut search = Search::new(options, BUILD, &commits).unwrap();
        loop {
            match search.next() {
                Step::Ends { pairs } => {
                    for _ in 0..pairs {
                        for (end, at) in [0, self.commits].into_iter().enumerate() {
                            let value = self.storm(at);
                            self.ends[end].push(value);
                            search.seen(at, Outcome::Measured(value));
                        }
                    }
                    let [good, bad] = &self.ends;
                    let differences = bad.iter().zip(good).map(|(bad, good)| bad - good).collect();
                    let tested = Tested { differences, better: Better::Higher };
                    let tested = assess(&[tested], Looks::Sequential, DEFAULT_MARGIN).remove(0);
                    search.compare_ends(self.ends[0].len() as u32, tested);
                }
                Step::Build { at } => {
                    self.builds += 1;
                    search.seen(at, Outcome::Built);
                }
                Step::Run { at, times } => {
                    for _ in 0..times {
                        let value = self.storm(at);
                        search.seen(at, Outcome::Measured(value));
                    }
                }
                Step::Done(answer) => return *answer,
            }
        }
    }
}

/// Share of right answers, among those that name a culprit, and mean storms and builds.
fn many(trials: u64, make: impl Fn(u64) -> World) -> (f64, f64, f64) {
    let (mut right, mut named, mut storms, mut builds) = (0.0, 0.0, 0.0, 0.0);
    for seed in 0..trials {
        let mut world = make(seed);
        let answer = world.search(0.95);
        if let Verdict::Culprit { first, last } = answer.verdict {
            named += 1.0;
            right += f64::from(u8::from((first..=last).contains(&world.culprit)));
        }
        storms += world.storms as f64;
        builds += world.builds as f64;
    }
    let n = trials as f64;
    assert!(named >= 0.7 * n, "{named} of {trials} were searched");
    (right / named, storms / n, builds / n)
}

#[test]
fn stated_confidence_is_kept_for_a_statistic_too() {
    // Smaller ones take more pairs of the ends, of which the exact test takes long.
    for loss in [2.5, 5.0] {
        let (right, _, builds) = many(100, |seed| World::new(32, loss, seed));
        // 95 of 100 are promised; fewer than 89 would come once in a hundred times.
        assert!(right >= 0.89, "{loss}: {right}");
        assert!(builds <= 9.0, "{loss}: {builds}");
    }
    let outliers = |seed| World { has_outliers: true, ..World::new(32, 3.0, seed) };
    let (right, ..) = many(100, outliers);
    assert!(right >= 0.89, "outliers: {right}");
    let wider = |seed| World { wider: 2.0, ..World::new(32, 3.0, seed) };
    let (right, ..) = many(100, wider);
    assert!(right >= 0.89, "a wider spread: {right}");
}

#[test]
fn the_culprit_and_its_parent_were_stormed_again_and_the_change_is_told() {
    let mut world = World::new(32, 3.0, 5);
    let answer = world.search(0.99);
    let Verdict::Culprit { first, last } = answer.verdict else { panic!("{answer:?}") };
    assert_eq!((first, last), (world.culprit, world.culprit));
    assert!(answer.probability >= 0.99 && answer.credible.contains(&first), "{answer:?}");
    let shift = answer.shift.unwrap();
    assert!((shift.shift + 3.0 * SPREAD).abs() < 2.0 * shift.reach, "{shift:?}");
    assert!((SPREAD / 2.0..2.0 * SPREAD).contains(&shift.spread), "{shift:?}");
}

#[test]
fn ends_that_do_not_differ_or_are_the_wrong_way_round_are_told() {
    let alike = |seed| World::new(32, 0.0, seed).search(0.95);
    // The test of the ends is wrong in 5 % at most.
    let found = (0..12).filter(|seed| alike(*seed).verdict != Verdict::EndsAlike).count();
    assert!(found <= 3, "{found} of 12");
    let turned = World::new(32, -5.0, 1).search(0.95);
    assert_eq!(turned.verdict, Verdict::WrongWayRound);
    assert!(turned.ends.is_some());
}

#[test]
fn storms_that_come_to_nothing_end_the_search() {
    let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
    let mut search = Search::new(Options::measured(), 1.0, &commits).unwrap();
    for _ in 0..100 {
        match search.next() {
            Step::Ends { pairs } => (0..pairs).for_each(|_| {
                search.seen(0, Outcome::Measured(0.0));
                search.seen(4, Outcome::Barren);
            }),
            Step::Done(answer) => {
                assert_eq!(answer.verdict, Verdict::BadEndUntestable);
                return;
            }
            step => panic!("{step:?}"),
        }
    }
    panic!("no end");
}

/// The likelihood of two levels, by sums over a grid of both levels and of the spread's logarithm.
#[test]
fn the_likelihood_of_two_levels_is_their_integral() {
    let moments = |values: &[f64]| {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(*value));
        moments
    };
    let integral = |before: &[f64], behind: &[f64]| {
        let likelihood = |values: &[f64], level: f64, spread: f64| {
            let one = |v: &f64| (-0.5 * ((v - level) / spread).powi(2)).exp() / spread;
            values.iter().map(one).product::<f64>()
        };
        let levels: Vec<f64> = (-150..=150).map(|at| f64::from(at) / 25.0).collect();
        let of = |values: &[f64], spread| {
            levels.iter().map(|level| likelihood(values, *level, spread)).sum::<f64>()
        };
        // Each step is of the same width of the logarithm. One value more of no distance is the smallest spread's.
        let spreads = (-40..=60).map(|at| (f64::from(at) / 15.0).exp());
        spreads.map(|spread| of(before, spread) * of(behind, spread) / spread).sum::<f64>().ln()
    };
    let sets: [[&[f64]; 2]; 3] = [
        [&[0.1, -0.4, 0.3, 0.9], &[1.6, 2.2, 1.1]],
        [&[0.1, -0.4, 0.3, 0.9, 1.6], &[2.2, 1.1]],
        [&[0.1, -0.4], &[0.3, 0.9, 1.6, 2.2, 1.1]],
    ];
    let exact = sets.map(|[a, b]| integral(a, b));
    let told = sets.map(|[a, b]| ln_levels(&moments(a), &moments(b)).unwrap());
    for at in 1..sets.len() {
        let (exact, told) = (exact[at] - exact[0], told[at] - told[0]);
        assert!((exact - told).abs() < 0.02, "{at}: {exact} {told}");
    }
    assert_eq!(LOOKS[0].pairs, 8, "the ends are seen eight times before a search begins");
}
