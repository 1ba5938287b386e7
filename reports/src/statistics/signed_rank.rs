// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shift of a sample of differences, and an exact interval for it.
//!
//! J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34
//! (1963): the shift is the median of the Walsh averages `(d_i + d_j) / 2`, `i <= j`. The interval from the k-th
//! smallest to the k-th largest of them is what Wilcoxon's signed-rank test does not reject (J. W. Tukey, 1949); its
//! coverage follows from that test's exact null distribution, whatever the differences' distribution is, if it is
//! symmetric. Ties make the coverage larger, never smaller.

use serde::Serialize;

use super::median_of_sorted;

/// An interval for a shift.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Probability with which it covers the shift: at least what was asked for.
    pub coverage: f64,
}

impl Interval {
    /// How far from 0 it reaches.
    pub fn reach(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }
}

/// All Walsh averages, sorted: `n (n + 1) / 2` of `n` differences.
pub fn walsh_averages(differences: &[f64]) -> Vec<f64> {
    let mut averages: Vec<f64> = differences
        .iter()
        .enumerate()
        .flat_map(|(at, one)| differences[at..].iter().map(move |other| (one + other) / 2.0))
        .collect();
    averages.sort_by(f64::total_cmp);
    averages
}

/// The Hodges-Lehmann shift; `None` without a difference.
pub fn shift(differences: &[f64]) -> Option<f64> {
    median_of_sorted(&walsh_averages(differences))
}

/// The interval that misses the shift on either side with a probability of at most `tail`: 0.025 for 95 %. `None` if
/// there are too few differences for any: six are needed for 95 %, five for 90 %.
pub fn interval(differences: &[f64], tail: f64) -> Option<Interval> {
    let (rank, missed) = rank(differences.len(), tail)?;
    let averages = walsh_averages(differences);
    let (low, high) = (averages[rank - 1], averages[averages.len() - rank]);
    Some(Interval { low, high, coverage: 1.0 - 2.0 * missed })
}

/// The largest k for which the k-th smallest Walsh average of `n` is above the shift with a probability of at most
/// `tail`, and that probability. `None` if there is no such k.
pub fn rank(n: usize, tail: f64) -> Option<(usize, f64)> {
    let mut below = 0.0;
    let mut found = None;
    for (sum, probability) in null_distribution(n).into_iter().enumerate() {
        below += probability;
        if below > tail {
            break;
        }
        found = Some((sum + 1, below));
    }
    found
}

/// The null distribution of the signed-rank statistic of `n` differences: the probability of each sum from 0 to
/// `n (n + 1) / 2`, where each rank from 1 to `n` is in it or not, by a coin.
pub fn null_distribution(n: usize) -> Vec<f64> {
    let mut distribution = vec![0.0; n * (n + 1) / 2 + 1];
    distribution[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..distribution.len()).rev() {
            let with = if sum >= rank { distribution[sum - rank] } else { 0.0 };
            distribution[sum] = (distribution[sum] + with) / 2.0;
        }
    }
    distribution
}
