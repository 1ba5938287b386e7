// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that are measured by a number, and what it says of the change between two kernels.
//!
//! The number is the logarithm of a statistic. It is taken to be normal, around one level before the culprit and around another
//! at it and behind it, with the same spread everywhere. Nobody knows levels and spread, so they are integrated out, with flat
//! priors for the levels and for the logarithm of the spread (A. F. M. Smith, "A Bayesian approach to inference about a
//! change-point in a sequence of random variables", Biometrika 62, 1975). With `m` values before and `n` behind, and `S` the
//! sum of the squares of their distances from the means of their own sides,
//!
//! ```text
//! ln P(values | culprit)  =  -1/2 ln m  -  1/2 ln n  -  (m + n - 1)/2 ln (S + s^2)  +  constant
//! ```
//!
//! with a smallest spread `s` that is believed. What the ends showed is part of it, and so is that few runs of them do not tell
//! their levels well. That both ends differ at all is not asked here: a test says so before ([`super::statistic`]).

use serde::Serialize;

/// No statistic is believed to be steadier than this, as a difference of logarithms.
const LEAST_SPREAD: f64 = 1e-3;
/// Runs of a kernel that are planned at most to tell the two levels apart.
const MOST_RUNS: u32 = 32;

/// How many numbers, their sum, and that of their squares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Moments {
    /// How many.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Moments {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The mean; `None` of none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    pub(super) fn add(&mut self, value: f64) {
        *self = self.plus(&Self { count: 1, sum: value, squares: value * value });
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    pub(super) fn minus(&self, part: &Self) -> Self {
        Self {
            count: self.count.saturating_sub(part.count),
            sum: self.sum - part.sum,
            squares: self.squares - part.squares,
        }
    }

    /// Sum of the squares of the distances from the mean.
    fn scatter(&self) -> f64 {
        let about_mean = |mean| self.squares - self.sum * mean;
        self.mean().map_or(0.0, about_mean).max(0.0)
    }
}

/// Natural logarithm of the likelihood of what was measured before the culprit and behind it, but for a constant; `None` if
/// that is too little for two levels and a spread.
pub(super) fn ln_levels(before: &Moments, behind: &Moments) -> Option<f64> {
    let [m, n] = [before, behind].map(|side| f64::from(side.count));
    if m < 1.0 || n < 1.0 || m + n < 3.0 {
        return None;
    }
    let scatter = before.scatter() + behind.scatter() + LEAST_SPREAD * LEAST_SPREAD;
    Some(-0.5 * (m.ln() + n.ln()) - 0.5 * (m + n - 1.0) * scatter.ln())
}

/// Two levels, and how far they are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shift {
    /// The level behind less the one before, as a difference of logarithms.
    pub shift: f64,
    /// Half the width of its interval of 95 %, by the normal distribution.
    pub reach: f64,
    /// Spread of a run.
    pub spread: f64,
    /// Runs before and behind.
    pub runs: [u32; 2],
}

impl Shift {
    /// `None` if either side was not measured, or both only once.
    pub(super) fn between(before: &Moments, behind: &Moments) -> Option<Self> {
        let shift = behind.mean()? - before.mean()?;
        let [m, n] = [before, behind].map(|side| f64::from(side.count));
        if m + n < 3.0 {
            return None;
        }
        let variance = (before.scatter() + behind.scatter()) / (m + n - 2.0);
        let spread = variance.sqrt().max(LEAST_SPREAD);
        let reach = 1.96 * spread * (1.0 / m + 1.0 / n).sqrt();
        Some(Self { shift, reach, spread, runs: [before.count, behind.count] })
    }

    /// Probability that so many runs of a kernel lie on the other level's side of the middle.
    pub(super) fn confusion(&self, runs: f64) -> f64 {
        // Levels that were hardly found to differ may be nearer, and none are told apart by nothing.
        let apart = (self.shift.abs() / self.spread).clamp(0.3, 6.0);
        0.5 * libm::erfc(runs.sqrt() * apart / 2.0 / std::f64::consts::SQRT_2)
    }

    /// So many runs of a kernel tell which level it has, with this probability.
    pub(super) fn runs_for(&self, confidence: f64) -> u32 {
        let enough = |runs: &u32| self.confusion(f64::from(*runs)) <= 1.0 - confidence;
        (1..MOST_RUNS).find(enough).unwrap_or(MOST_RUNS)
    }
}
