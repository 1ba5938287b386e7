// SPDX-License-Identifier: MIT OR Apache-2.0
//! How likely each commit is to be the culprit, after what was seen.
//!
//! Positions are 0, the good end, and `1..=n`, the commits behind it; the last one is the bad end. The hypothesis
//! `b` says that the bug is in `b` and all behind it, and not before: so `0` is a bug that the good end has already, and
//! `n + 1` one that not even the bad end has. With `D` runs with the bug and `T` clean ones at `b` and behind it, `C`
//! and `G` before it,
//!
//! ```text
//! P(b | data)  ~  prior(b) M(D, T) eps^C (1 - eps)^G
//! ```
//!
//! where `M` integrates the bug's rate out ([`super::rate`]) and `eps` is the chance of the same report on a kernel without
//! the bug. A bug that the good end has may show there at another rate: a part of hypothesis 0 is that a commit `b` of the
//! range changed the rate, with `M(D, T) M(C, G)` for its data, summed over all `b`.
//!
//! Where runs are measured by a number, the likelihood is that of two levels of it ([`super::level`]) in place of a rate's.
//!
//! All hypotheses between two positions that were run have the same data, so a posterior takes one pass.

use serde::Serialize;

use super::level::{Moments, ln_levels};
use super::rate::RatePrior;

/// Share of hypothesis 0 in which a commit of the range changed the bug's rate.
const RATE_CHANGED: f64 = 0.1;

/// What was seen at one position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Runs that showed the bug.
    pub hits: u32,
    /// Clean runs, in whole runs.
    pub clean: f64,
    /// Runs that say nothing: another crash, a fault of the machine.
    pub barren: u32,
    /// What runs measured, where they are measured by a number.
    #[serde(skip_serializing_if = "Moments::is_empty")]
    pub values: Moments,
}

impl Tally {
    /// Whether a run said anything.
    pub fn is_evidence(&self) -> bool {
        self.hits > 0 || self.clean > 0.0 || !self.values.is_empty()
    }

    /// Runs that say something.
    pub(super) fn runs(&self) -> f64 {
        f64::from(self.hits) + self.clean + f64::from(self.values.count)
    }

    /// Both together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            clean: self.clean + other.clean,
            barren: self.barren + other.barren,
            values: self.values.plus(&other.values),
        }
    }
}

/// Hypotheses with the same data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    /// First one.
    pub(super) first: usize,
    /// Last one.
    pub(super) last: usize,
    /// Runs with the bug at the culprit or behind it.
    pub(super) hits: f64,
    /// Clean runs there.
    pub(super) clean: f64,
    /// What was measured there.
    values: Moments,
}

/// A distribution over the hypotheses `0..=n + 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// The probability of each.
    mass: Vec<f64>,
    segments: Vec<Segment>,
}

impl Posterior {
    /// From a prior over all hypotheses, not necessarily of sum 1, and what was seen at each position, of which there is one
    /// fewer.
    pub(super) fn new(prior: &[f64], seen: &[Tally], rate: &RatePrior, false_alarm: f64) -> Self {
        let segments = segments(seen);
        let alarm = [false_alarm.ln(), (-false_alarm).ln_1p()];
        let (all_hits, all_clean) = segments.first().map_or((0.0, 0.0), |s| (s.hits, s.clean));
        let all_values = segments.first().map_or_else(Moments::default, |s| s.values);
        // Before both levels were seen, nothing is known of either.
        let two_levels = |s: &Segment| ln_levels(&all_values.minus(&s.values), &s.values);
        let are_seen = segments.iter().any(|s| two_levels(s).is_some());
        let levels = |s: &Segment| match are_seen {
            true => two_levels(s).unwrap_or(f64::NEG_INFINITY),
            false => 0.0,
        };
        let likelihood = |s: &Segment| {
            rate.ln_marginal(s.hits, s.clean)
                + (all_hits - s.hits) * alarm[0]
                + (all_clean - s.clean) * alarm[1]
                + levels(s)
        };
        let logs: Vec<f64> = segments.iter().map(likelihood).collect();
        let changed = |s: &Segment| {
            rate.ln_marginal(s.hits, s.clean)
                + rate.ln_marginal(all_hits - s.hits, all_clean - s.clean)
        };
        let changed: Vec<f64> = segments.iter().map(changed).collect();
        // A segment without prior must not set the scale.
        let possible = segments.iter().zip(logs.iter().zip(&changed));
        let possible = possible.filter(|(s, _)| weight(prior, s) > 0.0);
        let scale = |(_, (log, changed)): (_, (&f64, &f64))| {
            if are_seen { *log } else { log.max(*changed) }
        };
        let largest = possible.map(scale).fold(f64::NEG_INFINITY, f64::max);
        let mut mass = prior.to_vec();
        let mut sum_changed = 0.0;
        for (segment, (log, changed)) in segments.iter().zip(logs.iter().zip(&changed)) {
            let factor = (log - largest).min(0.0).exp();
            mass[segment.first..=segment.last].iter_mut().for_each(|mass| *mass *= factor);
            let in_range = segment.first.max(1)..segment.last.min(seen.len() - 1) + 1;
            sum_changed += prior[in_range].iter().sum::<f64>() * (changed - largest).min(0.0).exp();
        }
        let in_range: f64 = prior[1..seen.len()].iter().sum();
        if in_range > 0.0 && !are_seen {
            let changed = prior[0] * sum_changed / in_range;
            mass[0] += RATE_CHANGED * (changed - mass[0]);
        }
        let sum: f64 = mass.iter().sum();
        if sum > 0.0 {
            mass.iter_mut().for_each(|mass| *mass /= sum);
        }
        Self { mass, segments }
    }

    /// Probability of each hypothesis: the bug comes with this position. The last one is that no kernel has it.
    pub fn mass(&self) -> &[f64] {
        &self.mass
    }

    /// Probability of the hypotheses in `range`.
    pub(super) fn of(&self, range: std::ops::RangeInclusive<usize>) -> f64 {
        self.mass[range].iter().sum()
    }

    /// Hypotheses with the same data, in order.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How much is not known, in bits.
    pub fn entropy(&self) -> f64 {
        entropy(&self.mass)
    }

    /// The fewest commits that hold the culprit with at least `share`, in order.
    pub fn credible(&self, share: f64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.mass.len()).collect();
        order.sort_by(|a, b| self.mass[*b].total_cmp(&self.mass[*a]));
        let mut sum = 0.0;
        let enough = order.iter().position(|at| {
            sum += self.mass[*at];
            // A sum of shares need not reach 1 to the last digit.
            sum >= share - 1e-12
        });
        order.truncate(enough.map_or(order.len(), |at| at + 1));
        order.sort_unstable();
        order
    }
}

/// Entropy of a distribution, in bits.
pub(super) fn entropy(mass: &[f64]) -> f64 {
    -mass.iter().filter(|p| **p > 0.0).map(|p| p * p.log2()).sum::<f64>()
}

fn weight(prior: &[f64], segment: &Segment) -> f64 {
    prior[segment.first..=segment.last].iter().sum()
}

/// What was seen, summed from the end: the first segment has all of it, the last one nothing.
fn segments(seen: &[Tally]) -> Vec<Segment> {
    let (mut hits, mut clean, mut values) = (0.0, 0.0, Moments::default());
    let mut last = seen.len();
    let mut segments = Vec::new();
    for (at, tally) in seen.iter().enumerate().rev().filter(|(_, tally)| tally.is_evidence()) {
        segments.push(Segment { first: at + 1, last, hits, clean, values });
        hits += f64::from(tally.hits);
        clean += tally.clean;
        values = values.plus(&tally.values);
        last = at;
    }
    segments.push(Segment { first: 0, last, hits, clean, values });
    segments.reverse();
    segments
}
