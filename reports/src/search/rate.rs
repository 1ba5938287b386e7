// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is believed of the rate with which a bug shows in a run, before and after it was seen.
//!
//! A run shows the bug with a probability that nobody knows. Before any run it has the density of
//! `Beta(a, c)`, and with some probability it is exactly 1: a bug that always shows. After `D` runs
//! that showed it, and clean runs that make up `T` runs, the probability of all that is
//!
//! ```text
//! M(D, T) = (1 - w) B(a + D, c + T) / B(a, c)  +  w [T = 0]
//! ```
//!
//! with the beta function `B`. `T` need not be whole: a run that stopped half-way counts as half a clean run.
//! That is exact where the bug strikes at a constant rate over a run's length, for such a run is clean with
//! the square root of a whole run's probability. Runs with the bug count as one, however early it struck: to use
//! that time as well would make the answer depend on how even a storm is.
//!
//! `a` is 1/4, not 1: a uniform prior expects a rate of one half, and is overconfident for whatever is rare
//! (`reports/SEARCH.md` has the numbers).

use serde::Serialize;

use crate::statistics::beta::{ln_beta, quantile as beta_quantile};

/// What is believed of a bug's rate before it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePrior {
    /// `a` of the beta distribution, above 0.
    pub hits: f64,
    /// `c` of the beta distribution, above 0.
    pub misses: f64,
    /// Probability that the bug shows in each run; from 0 to below 1.
    pub always: f64,
}

impl RatePrior {
    /// A bug that may show in each run or hardly ever.
    pub const SOMETIMES: Self = Self { hits: 0.25, misses: 1.0, always: 0.2 };
    /// A predicate that the same kernel always answers alike, but for faults that nobody thought of: whether it
    /// compiles, whether a statistic regressed.
    pub const ALWAYS: Self = Self { hits: 0.25, misses: 1.0, always: 0.99 };

    /// Natural logarithm of `M(hits, clean)`.
    pub fn ln_marginal(&self, hits: f64, clean: f64) -> f64 {
        let beta = ln_beta(self.hits + hits, self.misses + clean);
        let sometimes = (-self.always).ln_1p() + beta - ln_beta(self.hits, self.misses);
        if clean > 0.0 || self.always <= 0.0 {
            return sometimes;
        }
        let always = self.always.ln();
        sometimes.max(always) + (-(sometimes - always).abs()).exp().ln_1p()
    }

    /// Probability that `more` further runs are clean, after `hits` and `clean`.
    pub fn silence(&self, hits: f64, clean: f64, more: f64) -> f64 {
        (self.ln_marginal(hits, clean + more) - self.ln_marginal(hits, clean)).exp().min(1.0)
    }

    /// What is believed of the rate after `hits` and `clean`.
    pub fn after(&self, hits: u32, clean: f64) -> Rate {
        let d = f64::from(hits);
        let (a, c) = (self.hits + d, self.misses + clean);
        let always = if clean > 0.0 || self.always <= 0.0 {
            0.0
        } else {
            (self.always.ln() - self.ln_marginal(d, clean)).exp()
        };
        // A quantile of the mixture, of which the part `always` lies at 1.
        let quantile = |probability: f64| {
            if probability >= 1.0 - always {
                return 1.0;
            }
            beta_quantile(probability / (1.0 - always), a, c)
        };
        let mean = always + (1.0 - always) * a / (a + c);
        Rate { hits, clean, mean, low: quantile(0.025), high: quantile(0.975) }
    }
}

/// What runs say of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Runs that showed the bug.
    pub hits: u32,
    /// Clean runs, in whole runs.
    pub clean: f64,
    /// Its mean, as a probability a run.
    pub mean: f64,
    /// Lower end of the interval that holds it with 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
