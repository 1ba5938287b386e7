// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many pairs an answer takes.

use super::rule::Looks;

/// The least shifts, in standard deviations of a pair's difference, that are found with a probability of 80 %, where one
/// of several metrics shifts. `tests::power::least_shifts` measures them.
struct Row {
    pairs: usize,
    /// For 1, 5 and 10 metrics.
    least: [f64; 3],
}

/// Found at this look or at one before it.
const SEQUENTIAL: [Row; 3] = [
    Row { pairs: 8, least: [1.89, 2.43, 2.72] },
    Row { pairs: 12, least: [1.09, 1.38, 1.51] },
    Row { pairs: 16, least: [0.82, 1.03, 1.12] },
];
/// Found with so many pairs and one look.
const SINGLE: [Row; 5] = [
    Row { pairs: 6, least: [1.79, 2.71, 3.17] },
    Row { pairs: 8, least: [1.18, 1.63, 1.84] },
    Row { pairs: 10, least: [0.99, 1.33, 1.48] },
    Row { pairs: 12, least: [0.89, 1.16, 1.28] },
    Row { pairs: 16, least: [0.75, 0.95, 1.03] },
];
/// Numbers of metrics that the columns are for.
const METRICS: [f64; 3] = [1.0, 5.0, 10.0];

/// Pairs that show a shift of `shift`, at a spread of `spread` (both differences of logarithms), with a probability of
/// 80 %, if `metrics` are tested together. Beyond the table the shift that is found falls with the root of the number of
/// pairs. At most a million.
pub fn pairs_for(shift: f64, spread: f64, metrics: usize, looks: Looks) -> usize {
    let table: &[Row] = match looks {
        Looks::Sequential => &SEQUENTIAL,
        Looks::Single => &SINGLE,
    };
    let found = table.iter().find(|row| row.least(metrics) * spread <= shift);
    let last = &table[table.len() - 1];
    match found {
        Some(row) => row.pairs,
        None => {
            let factor = last.least(metrics) * spread / shift;
            // A float becomes the nearest integer below; what is no number, 0.
            (last.pairs as f64 * factor * factor).ceil().min(1e6) as usize
        }
    }
}

impl Row {
    /// Between the columns along the logarithm of the number of metrics, which is how quantiles grow.
    fn least(&self, metrics: usize) -> f64 {
        let metrics = (metrics as f64).clamp(METRICS[0], METRICS[2]);
        let at = usize::from(metrics > METRICS[1]);
        let (low, high) = (METRICS[at], METRICS[at + 1]);
        let way = (metrics / low).ln() / (high / low).ln();
        self.least[at] + way * (self.least[at + 1] - self.least[at])
    }
}
