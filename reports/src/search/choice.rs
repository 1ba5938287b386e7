// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel to run next, and how often: what tells most for its cost.
//!
//! Of each position and each number of runs `m`, that end with the first sight of the bug, two outcomes are weighed: the
//! bug shows, or all are silent. The gain is the entropy that is expected to go, the cost a build, if there is none, and
//! `m` runs. A search that looks at runs alone builds far too many kernels; one that halves the mass each time tests too
//! late: a clean run says less than one with the bug, so the best place lies before the median.

use super::level::Shift;
use super::posterior::{Posterior, Segment};
use super::rate::RatePrior;

/// Numbers of runs that are weighed.
pub(super) const BATCHES: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// Positions between which lies less than this share of the mass are not told apart: one of them is weighed.
const GRAIN: f64 = 1.0 / 256.0;

/// What running a position is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    /// Seconds until its kernel is there.
    pub(super) build: f64,
    /// Probability that there will be one.
    pub(super) builds: f64,
    /// Share of the runs that say something, above 0.
    pub(super) telling: f64,
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// Where.
    pub(super) at: usize,
    /// How often.
    pub(super) times: u32,
    /// Nats expected for each second.
    pub(super) worth: f64,
}

/// Sums of one outcome's unnormalised masses: of them, and of each times its logarithm.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    mass: f64,
    logs: f64,
}

impl Sums {
    /// The masses of `of`, each times `factor`.
    fn scaled(of: Sums, factor: f64) -> Sums {
        if factor <= 0.0 {
            return Sums::default();
        }
        Sums { mass: of.mass * factor, logs: factor * of.logs + of.mass * factor * factor.ln() }
    }

    fn plus(self, other: Sums) -> Sums {
        Sums { mass: self.mass + other.mass, logs: self.logs + other.logs }
    }

    fn minus(self, other: Sums) -> Sums {
        Sums { mass: self.mass - other.mass, logs: self.logs - other.logs }
    }

    /// Entropy of the outcome in nats, times its probability.
    fn entropy(self) -> f64 {
        if self.mass > 0.0 { self.mass * self.mass.ln() - self.logs } else { 0.0 }
    }
}

/// What runs say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal<'a> {
    /// Whether the bug shows.
    Sight {
        /// What is believed of its rate.
        rate: &'a RatePrior,
        /// Chance of the same report without it.
        false_alarm: f64,
    },
    /// A number, whose levels differ so. It is weighed as if only the side of the middle were seen on which the mean of the runs
    /// lies: what is gained is no less than that.
    Level(&'a Shift),
}

/// A number of runs, with what they do to each segment.
struct Batch {
    /// Probability that all are silent on a kernel before the culprit.
    innocent: f64,
    /// Of each segment: probability that all are silent, where the culprit is in it and the run behind it.
    silent: Vec<f64>,
    /// Sums over all segments before each one, for the outcomes silence and bug.
    before: Vec<[Sums; 2]>,
}

/// Weighs positions.
pub(super) struct Chooser<'a> {
    posterior: &'a Posterior,
    signal: Signal<'a>,
    /// Sums over the hypotheses before each one.
    prefix: Vec<Sums>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(posterior: &'a Posterior, signal: Signal<'a>) -> Self {
        let mut sum = Sums::default();
        let mut prefix = vec![sum];
        for p in posterior.mass().iter().copied() {
            let logs = if p > 0.0 { p * p.ln() } else { 0.0 };
            sum = sum.plus(Sums { mass: p, logs });
            prefix.push(sum);
        }
        Self { posterior, signal, prefix }
    }

    /// The best of all positions that `price` has a price for, with a run's cost in seconds.
    pub(super) fn best(
        &self,
        run: f64,
        price: impl Fn(usize) -> Option<Price>,
        is_built: impl Fn(usize) -> bool,
    ) -> Option<Choice> {
        let batches: Vec<Batch> =
            BATCHES.iter().map(|times| self.batch(f64::from(*times))).collect();
        let mut best: Option<Choice> = None;
        let mut weighed = f64::NEG_INFINITY;
        let mut segment = 0;
        for at in 0..self.posterior.mass().len() - 1 {
            while self.posterior.segments()[segment].last < at {
                segment += 1;
            }
            let below = self.prefix[at + 1].mass;
            let is_built = is_built(at);
            if !is_built && below - weighed < GRAIN {
                continue;
            }
            let Some(price) = price(at) else { continue };
            if !is_built {
                weighed = below;
            }
            for (times, batch) in BATCHES.iter().zip(&batches) {
                let cost = price.build + price.builds * f64::from(*times) * run;
                let gain = if price.telling >= 1.0 {
                    self.gain(at, segment, batch)
                } else {
                    // Some of the runs will be for nothing.
                    self.gain(at, segment, batch) * price.telling
                };
                let worth = gain * price.builds / cost.max(f64::MIN_POSITIVE);
                if best.is_none_or(|best| worth > best.worth) {
                    best = Some(Choice { at, times: *times, worth });
                }
            }
        }
        best
    }

    fn batch(&self, runs: f64) -> Batch {
        let segments = self.posterior.segments();
        let silence = |s: &Segment| match self.signal {
            Signal::Sight { rate, .. } => rate.silence(s.hits, s.clean, runs),
            Signal::Level(shift) => shift.confusion(runs),
        };
        let innocent = match self.signal {
            Signal::Sight { false_alarm, .. } => (runs * (-false_alarm).ln_1p()).exp(),
            Signal::Level(shift) => 1.0 - shift.confusion(runs),
        };
        let silent: Vec<f64> = segments.iter().map(silence).collect();
        let mut sums = [Sums::default(); 2];
        let mut before = Vec::with_capacity(segments.len());
        for (segment, silent) in segments.iter().zip(&silent) {
            before.push(sums);
            let own = self.range(segment.first, segment.last);
            sums[0] = sums[0].plus(Sums::scaled(own, *silent));
            sums[1] = sums[1].plus(Sums::scaled(own, 1.0 - *silent));
        }
        Batch { innocent, silent, before }
    }

    fn range(&self, first: usize, last: usize) -> Sums {
        self.prefix[last + 1].minus(self.prefix[first])
    }

    /// Nats that the batch at a position, which lies in `segment`, is expected to tell.
    fn gain(&self, at: usize, segment: usize, batch: &Batch) -> f64 {
        let last = self.posterior.mass().len() - 1;
        let part = self.range(self.posterior.segments()[segment].first, at);
        let behind = self.range(at + 1, last);
        let silent = batch.silent[segment];
        let innocent = batch.innocent;
        let outcome = |which: usize, guilty: f64, innocent: f64| {
            let bad = batch.before[segment][which].plus(Sums::scaled(part, guilty));
            bad.plus(Sums::scaled(behind, innocent)).entropy()
        };
        let now = -self.prefix[last + 1].logs;
        let after = outcome(0, silent, innocent) + outcome(1, 1.0 - silent, 1.0 - innocent);
        (now - after).max(0.0)
    }
}
