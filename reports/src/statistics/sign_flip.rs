// SPDX-License-Identifier: MIT OR Apache-2.0
//! The joint sign-flip test: exact, of several metrics at once.
//!
//! If A and B are the same, a pair's differences have the same distribution with all their signs turned round. So the
//! data that were seen are one of `2^n` equally likely ones, and how extreme they are among these is the p-value: exact
//! for any distribution, whatever its tails. The signs are turned for all metrics of a pair together, which keeps
//! how the metrics depend on each other. A metric's statistic is |t|; the largest over all metrics corrects for
//! their number (P. H. Westfall and S. S. Young, "Resampling-based multiple testing", Wiley 1993, section 2.3 and, for
//! the step-down form that is used here, 2.8). The smallest p-value is `2^(1-n)`, however many metrics there are.

/// Pairs whose signs are turned one by one. Of more, some are turned together: the sign vectors are
/// then a subgroup of all, so the test is exact as before.
const MOST_SIGNS: usize = 18;
/// Statistics that differ by less are equal: sums in another order differ by rounding.
const EQUAL: f64 = 1e-9;

/// The p-value of each metric, corrected for the number of metrics: if no metric shifts, the chance that *any* of
/// these is at most `a` is at most `a`.
///
/// `metrics` holds a list for each metric: the differences of its pairs, as many and in the same order for all of
/// them. Metrics whose differences are all 0 get 1, and so does everything where there is no pair.
pub fn adjusted_p(metrics: &[&[f64]]) -> Vec<f64> {
    adjusted_p_of(metrics, MOST_SIGNS)
}

/// The same with at most so many signs.
pub(super) fn adjusted_p_of(metrics: &[&[f64]], most_signs: usize) -> Vec<f64> {
    let pairs = metrics.first().map_or(0, |differences| differences.len());
    if pairs == 0 {
        return vec![1.0; metrics.len()];
    }
    let signs = pairs.min(most_signs);
    let sums: Vec<Vec<f64>> =
        metrics.iter().map(|differences| scaled(differences, signs)).collect();
    let seen: Vec<f64> = sums.iter().map(|sums| sums.iter().sum::<f64>().abs()).collect();
    let mut order: Vec<usize> = (0..metrics.len()).collect();
    order.sort_by(|a, b| seen[*b].total_cmp(&seen[*a]));
    // In that order, the most telling metric first.
    let sums: Vec<&[f64]> = order.iter().map(|at| &sums[*at][..]).collect();
    let seen: Vec<f64> = order.iter().map(|at| seen[*at]).collect();
    let counts = count_as_extreme(&sums, &seen, signs);

    let all = (1_u64 << (signs - 1)) as f64;
    let mut p = vec![1.0; metrics.len()];
    let mut largest = 0.0_f64;
    for (at, count) in order.into_iter().zip(counts) {
        largest = largest.max(count as f64 / all);
        p[at] = largest;
    }
    p
}

/// The differences, added up to `signs` sums, over the root of the sum of their squares. The absolute sum `u` of all is
/// then a growing function of |t|, the same one for every metric: `t = u * sqrt((n-1) / (n-u^2))`. No sign changes the
/// sum of squares, so `u` does instead of `t`, and no division by a spread of 0 is left.
fn scaled(differences: &[f64], signs: usize) -> Vec<f64> {
    let root = differences.iter().map(|d| d * d).sum::<f64>().sqrt();
    let mut sums = vec![0.0; signs];
    if root > 0.0 {
        for (at, difference) in differences.iter().enumerate() {
            sums[at % signs] += difference / root;
        }
    }
    sums
}

/// For each metric, in how many of `2^(signs-1)` sign vectors it, or one behind it, is as extreme as it was seen. The last
/// sign stays: with all signs turned round, |t| is the same.
fn count_as_extreme(sums: &[&[f64]], seen: &[f64], signs: usize) -> Vec<u64> {
    let mut signed: Vec<Vec<f64>> = sums.iter().map(|sums| sums.to_vec()).collect();
    let mut totals: Vec<f64> = sums.iter().map(|sums| sums.iter().sum()).collect();
    let mut counts = vec![0; sums.len()];
    for vector in 0..1_u64 << (signs - 1) {
        if vector > 0 {
            // A Gray code: the next vector differs in one sign.
            let turned = vector.trailing_zeros() as usize;
            for (total, signed) in totals.iter_mut().zip(&mut signed) {
                *total -= 2.0 * signed[turned];
                signed[turned] = -signed[turned];
            }
        }
        let mut largest = 0.0_f64;
        for at in (0..totals.len()).rev() {
            largest = largest.max(totals[at].abs());
            counts[at] += u64::from(largest >= seen[at] - EQUAL);
        }
    }
    counts
}
