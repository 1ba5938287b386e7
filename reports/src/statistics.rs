// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether two kernels differ in what they count: the arithmetic, without a word about runs.
//!
//! The unit is a *pair*: one storm on kernel A and one on kernel B. Its datum, for each metric, is the natural
//! logarithm of B's value over A's, so 0.05 is about five per cent more on B. If the kernels do not differ, each
//! pair could as well have been the other way round, and all that follows rests on this symmetry alone:
//!
//! * [`sign_flip`]: an exact joint test of all metrics, corrected for their number.
//! * [`signed_rank`]: the shift and its exact interval.
//! * [`rule`]: when to look and at what level, and what the answer is.
//! * [`power`]: how many pairs an answer takes.
//!
//! Beside it, for benchmarks, [`survival`]: times to an event that does not come in every trial. And for what shows in some runs
//! and not in others, [`binomial`]: how often it does, and [`strata`]: whether it does so less or more often than before.

pub(crate) mod beta;
pub mod binomial;
pub mod power;
pub mod rule;
pub mod sign_flip;
pub mod signed_rank;
pub mod strata;
pub mod survival;
#[cfg(test)]
pub(crate) mod tests;

/// Arithmetic mean; 0 of nothing.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard deviation of a sample (divisor n - 1); 0 of fewer than two values.
pub fn spread(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / values.len().saturating_sub(1).max(1) as f64).sqrt()
}

/// The median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(match sorted.len() % 2 {
        0 => (sorted[sorted.len() / 2 - 1] + upper) / 2.0,
        _ => upper,
    })
}

/// A difference of logarithms as a relative change: 0.0488 is 0.05.
pub fn relative(log_ratio: f64) -> f64 {
    log_ratio.exp_m1()
}
