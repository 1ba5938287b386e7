// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promise of the sign-flip test, by enumeration: no randomness, no assumption on the data.

use proptest::prelude::*;

use super::super::sign_flip::{adjusted_p, adjusted_p_of};

/// The smallest p-value for every one of the `2^n` ways in which the pairs could have come out.
fn of_all_assignments(metrics: &[Vec<f64>], most_signs: usize) -> Vec<f64> {
    let pairs = metrics[0].len();
    let all = 0..1_u32 << pairs;
    all.map(|turned| {
        let sign = |pair: usize| if turned >> pair & 1 == 1 { -1.0 } else { 1.0 };
        let assigned: Vec<Vec<f64>> = metrics
            .iter()
            .map(|metric| metric.iter().enumerate().map(|(pair, d)| d * sign(pair)).collect())
            .collect();
        let assigned: Vec<&[f64]> = assigned.iter().map(Vec::as_slice).collect();
        adjusted_p_of(&assigned, most_signs).into_iter().fold(1.0, f64::min)
    })
    .collect()
}

/// At every level that a p-value can have, at most that share of all assignments rejects.
fn keeps_every_level(metrics: &[Vec<f64>], most_signs: usize) {
    let mut p = of_all_assignments(metrics, most_signs);
    p.sort_by(f64::total_cmp);
    for (at, level) in p.iter().enumerate().rev() {
        let rejecting = p.partition_point(|p| p <= level) as f64;
        assert!(rejecting <= level * p.len() as f64, "{rejecting} reject at {level}");
        assert!(at > 0 || *level > 0.0);
    }
}

/// Ties, zeroes, and values far out.
fn difference() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3..=3_i8).prop_map(f64::from),
        -1.0..1.0,
        (-1.0..1.0, 0..9_i32).prop_map(|(value, power): (f64, i32)| value * 10_f64.powi(power)),
    ]
}

fn data(pairs: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(difference(), pairs), 1..=4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn at_most_the_level_of_all_assignments_reject(metrics in (2..=8_usize).prop_flat_map(data)) {
        keeps_every_level(&metrics, 18);
    }

    /// As for more pairs than there are signs.
    #[test]
    fn pairs_that_are_turned_together_keep_the_level(metrics in (5..=8_usize).prop_flat_map(data)) {
        keeps_every_level(&metrics, 4);
    }

    /// The definition, word by word: t of each metric under each vector of signs, and the largest of them.
    #[test]
    fn the_most_telling_metric_gets_its_single_step_p(metrics in (2..=6_usize).prop_flat_map(data)) {
        let pairs = metrics[0].len();
        let t = |turned: u32, metric: &[f64]| {
            let signed: Vec<f64> = metric
                .iter()
                .enumerate()
                .map(|(pair, d)| if turned >> pair & 1 == 1 { -d } else { *d })
                .collect();
            let centre = super::super::mean(&signed).abs();
            // Infinite where all are the same, as it should be; 0 where all are 0.
            let error = super::super::spread(&signed) / (pairs as f64).sqrt();
            if centre == 0.0 { 0.0 } else { centre / error }
        };
        let largest = |turned| metrics.iter().map(|m| t(turned, m)).fold(0.0, f64::max);
        let seen = largest(0);
        let all = 0..1_u32 << pairs;
        let extreme = all.clone().filter(|turned| largest(*turned) >= seen * (1.0 - 1e-6)).count();
        let more = all.filter(|turned| largest(*turned) >= seen * (1.0 + 1e-6)).count();
        let lists: Vec<&[f64]> = metrics.iter().map(Vec::as_slice).collect();
        let smallest = adjusted_p(&lists).into_iter().fold(1.0, f64::min);
        let count = smallest * f64::from(1_u32 << pairs);
        prop_assert!(more as f64 <= count && count <= extreme as f64, "{more} {count} {extreme}");
    }
}

#[test]
fn ten_pairs_keep_the_level_too() {
    let metric = |phase: f64| (0..10).map(|at| (f64::from(at) * 2.4 + phase).sin() + 0.4).collect();
    keeps_every_level(&[metric(0.0), metric(1.0), metric(2.5)], 18);
}

#[test]
fn the_smallest_p_does_not_depend_on_the_number_of_metrics() {
    let shifted: Vec<f64> = (0..8).map(|at| 1.0 + 0.01 * f64::from(at)).collect();
    let noise: Vec<Vec<f64>> = (0..9)
        .map(|phase| (0..8).map(|at| f64::from((at * 7 + phase * 3) % 8) - 3.5).collect())
        .collect();
    let mut metrics: Vec<&[f64]> = noise.iter().map(Vec::as_slice).collect();
    metrics.push(&shifted);
    let p = adjusted_p(&metrics);
    assert_eq!(p[9], 1.0 / 128.0);
    assert!(p[..9].iter().all(|p| *p > 0.05), "{p:?}");
}

#[test]
fn step_by_step_a_second_metric_is_not_measured_by_the_first() {
    // Both point one way, the second with one exception: alone it has p = 2/2^7, and in the shadow of the
    // first no more than what the two have together.
    let first = [1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1];
    let second = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -0.1];
    let p = adjusted_p(&[&second, &first]);
    assert_eq!(p, [2.0 / 128.0, 1.0 / 128.0]);
}

#[test]
fn nothing_is_told_of_nothing() {
    assert_eq!(adjusted_p(&[]), Vec::<f64>::new());
    assert_eq!(adjusted_p(&[&[], &[]]), [1.0, 1.0]);
    assert_eq!(adjusted_p(&[&[0.0; 8]]), [1.0]);
    assert_eq!(adjusted_p(&[&[0.3]]), [1.0]);
    assert_eq!(adjusted_p(&[&[0.3; 30]]), [1.0 / f64::from(1 << 17)]);
}
