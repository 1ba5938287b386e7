// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranks of the intervals against published ones, and their coverage.

use super::super::signed_rank::{interval, null_distribution, rank, shift, walsh_averages};
use super::random::Random;

#[test]
fn ranks_agree_with_the_tables_of_the_signed_rank_test() {
    // Pairs, averages, rank, coverage in per cent: M. Hollander and D. A. Wolfe, "Nonparametric statistical methods",
    // table A.4 (there the critical value is rank - 1).
    let table = [
        (6, 21, 1, 96.9),
        (8, 36, 4, 96.1),
        (10, 55, 9, 95.1),
        (12, 78, 14, 95.8),
        (15, 120, 26, 95.2),
    ];
    for (n, averages, expected, coverage) in table {
        let (rank, missed) = rank(n, 0.025).unwrap();
        assert_eq!(rank, expected, "{n}");
        assert!((100.0 * (1.0 - 2.0 * missed) - coverage).abs() < 0.05, "{n}");
        assert_eq!(walsh_averages(&vec![0.0; n]).len(), averages);
    }
    assert_eq!((rank(5, 0.025), rank(4, 0.05)), (None, None));
    assert_eq!(rank(5, 0.05).map(|(rank, _)| rank), Some(1));
    assert_eq!(rank(0, 0.05), None);
}

#[test]
fn the_null_distribution_is_one() {
    // By hand: of {1, 2, 3} the sums 0, 1, 2, 4, 5, 6 are there once, and 3 twice.
    assert_eq!(null_distribution(3), [1, 1, 1, 2, 1, 1, 1].map(|n| f64::from(n) / 8.0));
    // Halves of halves are exact as long as they fit into a float.
    assert_eq!(null_distribution(40).iter().sum::<f64>(), 1.0);
}

#[test]
fn a_shift_is_what_the_pairs_agree_on() {
    assert_eq!(shift(&[]), None);
    assert_eq!(shift(&[0.1]), Some(0.1));
    assert_eq!(shift(&[1.0; 8]), Some(1.0));
    // One pair far out moves it by the distance between neighbours.
    let shift = shift(&[0.9, 1.0, 1.1, 1.0, 0.95, 1.05, 1.0, 400.0]).unwrap();
    assert!((shift - 1.0).abs() < 0.051, "{shift}");
    let all = interval(&[1.0; 8], 0.025).unwrap();
    assert_eq!((all.low, all.high), (1.0, 1.0));
}

#[test]
fn intervals_cover_what_they_say() {
    let times = 1000_u32;
    for (name, draw) in super::simulation::SHAPES {
        for (pairs, tail) in [(8, 0.025), (8, 0.010), (12, 0.05)] {
            let covered = (0..times).filter(|seed| {
                let mut random = Random::new(u64::from(*seed) * 31 + pairs as u64);
                let differences: Vec<f64> =
                    draw(&mut random, pairs).into_iter().map(|d| d + 0.3).collect();
                let interval = interval(&differences, tail).unwrap();
                interval.low <= 0.3 + 1e-12 && 0.3 - 1e-12 <= interval.high
            });
            let share = covered.count() as f64 / f64::from(times);
            let promised = 1.0 - 2.0 * tail;
            // Three standard errors of the simulation.
            let error = 3.0 * (promised * (1.0 - promised) / f64::from(times)).sqrt();
            assert!(share >= promised - error, "{name}, {pairs} pairs: {share} of {promised}");
        }
    }
}
