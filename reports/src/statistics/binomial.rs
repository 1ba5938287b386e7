// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often something shows that shows in some runs and not in others.
//!
//! The interval is the exact one of C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in
//! the case of the binomial", Biometrika 26 (1934), 404-413: it holds the true share with a probability of at least 95 %,
//! however few runs there are and however rare the event is.

use serde::Serialize;

/// Probability beyond each end of an interval of 95 %.
const TAIL: f64 = 0.025;
/// Halvings of the interval from 0 to 1: what is left is less than a float tells apart.
const HALVINGS: usize = 60;
/// Terms below this share of the largest one are left out of a sum.
const NOTHING: f64 = 1e-18;

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
    // The probability of so many or fewer falls as the share grows.
    let share_for = |shown: u64, probability: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if at_most(shown, runs, middle) > probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    };
    let low = || shown.checked_sub(1).map_or(0.0, |fewer| share_for(fewer, 1.0 - TAIL));
    let high = || if shown == runs { 1.0 } else { share_for(shown, TAIL) };
    (runs > 0).then(|| Share { estimate: k / n, low: low(), high: high() })
}

/// Probability that at most `most` of `runs` show it, if each does with the probability `p`, above 0 and below 1. Terms are taken
/// relative to the largest one, outwards until they no longer count, so no factorial is needed.
fn at_most(most: u64, runs: u64, p: f64) -> f64 {
    let n = runs as f64;
    let odds = p / (1.0 - p);
    // A float becomes the nearest integer below it.
    let largest = (((n + 1.0) * p) as u64).min(runs);
    let (mut below, mut all) = (0.0, 0.0);
    let mut add = |i: u64, term: f64| {
        all += term;
        if i <= most {
            below += term;
        }
    };
    add(largest, 1.0);
    let mut term = 1.0;
    for i in (1..=largest).rev() {
        term *= i as f64 / ((n - i as f64 + 1.0) * odds);
        if term < NOTHING {
            break;
        }
        add(i - 1, term);
    }
    term = 1.0;
    for i in largest..runs {
        term *= (n - i as f64) * odds / (i as f64 + 1.0);
        if term < NOTHING {
            break;
        }
        add(i + 1, term);
    }
    below / all
}
