// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures of `power.rs`, measured again.

use super::super::rule::{LEVEL, LOOKS, Look};
use super::super::sign_flip::adjusted_p;
use super::random::Random;

/// The share of `times` comparisons that find a shift of `shift` standard deviations in the first of `metrics`, at each
/// of these looks or one before it.
fn power(looks: &[Look], metrics: usize, shift: f64, times: u64) -> Vec<f64> {
    let mut found = vec![0; looks.len()];
    for seed in 0..times {
        let mut random = Random::new(seed);
        let most = looks.iter().map(|look| look.pairs).max().unwrap();
        let mut data: Vec<Vec<f64>> = (0..metrics).map(|_| random.normals(most)).collect();
        data[0].iter_mut().for_each(|difference| *difference += shift);
        let told = looks.iter().position(|look| {
            let first: Vec<&[f64]> = data.iter().map(|d| &d[..look.pairs]).collect();
            adjusted_p(&first)[0] <= look.level
        });
        for found in told.map_or(&mut [][..], |told| &mut found[told..]) {
            *found += 1;
        }
    }
    found.into_iter().map(|n: u64| n as f64 / times as f64).collect()
}

/// The shift that is found with 80 %, to two digits.
fn least_shift(looks: &[Look], metrics: usize, times: u64) -> f64 {
    let (mut low, mut high) = (0.2, 6.0);
    while high - low > 0.005 {
        let middle = (low + high) / 2.0;
        match *power(looks, metrics, middle, times).last().unwrap() < 0.8 {
            true => low = middle,
            false => high = middle,
        }
    }
    (high * 100.0).round() / 100.0
}

/// A shift that the table says is found with 80 % is.
#[test]
fn shifts_of_the_table_are_found() {
    let (times, error) = (400, 0.08);
    for (pairs, metrics, least) in [(8, 1, 1.18), (8, 10, 1.84), (6, 5, 2.71)] {
        let found = power(&[Look { pairs, level: LEVEL }], metrics, least, times)[0];
        assert!((found - 0.8).abs() < error, "{pairs} pairs, {metrics} metrics: {found}");
    }
    let found = power(&LOOKS[..2], 1, 1.09, times);
    assert!((found[1] - 0.8).abs() < error, "{found:?}");
}

#[test]
#[ignore = "a minute: cargo test --release -p reports least_shifts -- --ignored --nocapture"]
fn least_shifts() {
    let metrics = [1, 5, 10];
    for to in 1..=LOOKS.len() {
        let least = metrics.map(|metrics| least_shift(&LOOKS[..to], metrics, 4000));
        println!("sequential, {:2} pairs: {least:?}", LOOKS[to - 1].pairs);
    }
    for pairs in [6, 8, 10, 12, 16] {
        let look = [Look { pairs, level: LEVEL }];
        let least = metrics.map(|metrics| least_shift(&look, metrics, 4000));
        println!("single,     {pairs:2} pairs: {least:?}");
    }
    for shift in [0.0, 1.0, 1.5, 2.0, 3.0] {
        for metrics in metrics {
            let found = power(&LOOKS, metrics, shift, 4000);
            let all = 16.0 - 4.0 * found[0] - 4.0 * found[1];
            println!("shift {shift} sd, {metrics:2} metrics: {found:.3?}, {all:.1} pairs");
        }
    }
}
