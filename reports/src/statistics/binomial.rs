// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often something shows that shows in some runs and not in others.
//!
//! The interval is the exact one of C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in
//! the case of the binomial", Biometrika 26 (1934), 404-413: it holds the true share with a probability of at least 95 %,
//! however few runs there are and however rare the event is. Its ends are quantiles of beta distributions.

use serde::Serialize;

use super::beta;

/// Probability beyond each end of an interval of 95 %.
const TAIL: f64 = 0.025;

/// A share of runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Runs that showed it by all runs.
    pub estimate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// In which share of runs it shows, if it did in `shown` of `runs`; `None` of no runs. More than all is all.
pub fn share(shown: u64, runs: u64) -> Option<Share> {
    let shown = shown.min(runs);
    let (k, n) = (shown as f64, runs as f64);
    let low = if shown == 0 { 0.0 } else { beta::quantile(TAIL, k, n - k + 1.0) };
    let high = if shown == runs { 1.0 } else { beta::quantile(1.0 - TAIL, k + 1.0, n - k) };
    (runs > 0).then(|| Share { estimate: k / n, low, high })
}
