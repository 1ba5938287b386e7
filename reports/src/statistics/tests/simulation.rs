// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promises of the rule on data as machines make them: heavy tails, ties, drift, outliers.

use super::super::rule::{Better, LEVEL, LOOKS, Look, Looks, Tested, Verdict, assess};
use super::super::signed_rank::interval;
use super::random::Random;

type Draw = fn(&mut Random, usize) -> Vec<f64>;

/// Differences of pairs of kernels that do not differ, by what is the matter with them.
pub(super) const SHAPES: [(&str, Draw); 5] = [
    ("normal", |random, n| random.normals(n)),
    ("heavy tails", |random, n| (0..n).map(|_| random.normal() / random.normal()).collect()),
    ("ties", |random, n| (0..n).map(|_| random.normal().round()).collect()),
    ("one outlier in 20", |random, n| {
        let far = |random: &mut Random| if random.uniform() < 0.05 { 50.0 } else { 1.0 };
        (0..n).map(|_| random.normal() * far(random)).collect()
    }),
    // A machine that grows slower all night, in turns A B B A.
    ("drift", |random, n| {
        let mut one = |time: usize| random.normal() + 0.3 * time as f64;
        let mut pair = |pair: usize| {
            let (first, second) = (one(2 * pair), one(2 * pair + 1));
            if pair.is_multiple_of(2) { second - first } else { first - second }
        };
        (0..n).map(&mut pair).collect()
    }),
];

/// `metrics` metrics that depend on each other, none of which shifts: in units of one per cent.
fn comparison(random: &mut Random, draw: Draw, metrics: usize, pairs: usize) -> Vec<Tested> {
    let common = draw(random, pairs);
    (0..metrics)
        .map(|_| {
            let own = draw(random, pairs);
            let differences = common.iter().zip(own).map(|(a, b)| 0.01 * (a + b)).collect();
            Tested { differences, better: Better::Higher }
        })
        .collect()
}

/// How many of `times` comparisons of kernels that do not differ say of any metric that it shifted.
fn alarms(draw: Draw, metrics: usize, pairs: usize, looks: Looks, times: u64) -> u64 {
    let alarm = |seed: &u64| {
        let mut random = Random::new(seed * 7919 + 5);
        let comparison = comparison(&mut random, draw, metrics, pairs);
        let told = |verdict| {
            matches!(verdict, Verdict::Regression | Verdict::Improvement | Verdict::SmallShift)
        };
        assess(&comparison, looks, 0.05).iter().any(|metric| told(metric.verdict))
    };
    (0..times).filter(alarm).count() as u64
}

/// `expected` events and three standard deviations of their number.
fn at_most(expected: f64) -> u64 {
    (expected + 3.0 * expected.sqrt()) as u64
}

#[test]
fn alarms_are_as_seldom_as_promised() {
    for (name, draw) in SHAPES {
        let times = 200;
        let single = alarms(draw, 5, 8, Looks::Single, times);
        assert!(single <= at_most(times as f64 * LEVEL), "{name}: {single} of {times}");
        let sequential = alarms(draw, 5, 12, Looks::Sequential, times);
        let level = LOOKS[0].level + LOOKS[1].level;
        assert!(sequential <= at_most(times as f64 * level), "{name}: {sequential} of {times}");
    }
}

#[test]
#[ignore = "some minutes: cargo test --release -p reports all_looks -- --ignored --nocapture"]
fn alarms_are_as_seldom_as_promised_over_all_looks() {
    for (name, draw) in SHAPES {
        for metrics in [1, 10] {
            let times = 10_000;
            let seen = alarms(draw, metrics, 16, Looks::Sequential, times);
            println!("{name}, {metrics} metrics: {seen} alarms in {times} comparisons");
            assert!(seen <= at_most(times as f64 * LEVEL), "{name}: {seen} of {times}");
        }
    }
}

/// Of `times` metrics that shift by just the margin, how many `none` says do not.
fn called_none(times: u64, none: impl Fn(Vec<f64>) -> bool) -> u64 {
    let wrong = |seed: &u64| {
        let mut random = Random::new(seed * 104_729 + 11);
        none(random.normals(16).into_iter().map(|d| 0.05_f64.ln_1p() + 0.03 * d).collect())
    };
    (0..times).filter(wrong).count() as u64
}

#[test]
fn a_change_of_just_the_margin_is_seldom_called_none() {
    let times = 200;
    let by_the_rule = called_none(times, |differences| {
        let tested = Tested { differences, better: Better::Lower };
        let assessment = &assess(&[tested], Looks::Sequential, 0.05)[0];
        matches!(assessment.verdict, Verdict::NoChangeLargerThan { .. })
    });
    assert!(by_the_rule <= at_most(times as f64 * LEVEL), "{by_the_rule} of {times}");

    // Why each look has a level of its own: three looks at 5 % are wrong far more often.
    let times = 4000;
    let at = |tail: fn(&Look) -> f64| {
        called_none(times, |differences| {
            LOOKS.iter().any(|look| {
                let first = interval(&differences[..look.pairs], tail(look));
                first.unwrap().reach() <= 0.05_f64.ln_1p()
            })
        })
    };
    let (levels_of_looks, five_each) = (at(|look| look.level), at(|_| LEVEL));
    assert!(levels_of_looks <= at_most(times as f64 * LEVEL), "{levels_of_looks} of {times}");
    assert!(five_each > at_most(times as f64 * LEVEL), "{five_each} of {times}");
}
