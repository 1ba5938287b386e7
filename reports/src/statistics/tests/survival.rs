// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times with censored ones among them, held against published values.

use super::super::survival::{Between, Curve, Trial, poisson_interval, rate};

fn trials(shown: &[f64], censored: &[f64]) -> Vec<Trial> {
    let of = |times: &[f64], shown| times.iter().map(|&time| Trial { time, shown }).collect();
    let (shown, censored): (Vec<Trial>, Vec<Trial>) = (of(shown, true), of(censored, false));
    // What comes first in the list is of no matter.
    [censored, shown].concat()
}

/// Weeks of remission of E. J. Freireich et al., "The effect of 6-mercaptopurine on the duration of steroid-induced
/// remissions in acute leukemia", Blood 21 (1963): the classical example of textbooks.
fn six_mp() -> Vec<Trial> {
    trials(
        &[6.0, 6.0, 6.0, 7.0, 10.0, 13.0, 16.0, 22.0, 23.0],
        &[6.0, 9.0, 10.0, 11.0, 17.0, 19.0, 20.0, 25.0, 32.0, 32.0, 34.0, 35.0],
    )
}

fn placebo() -> Vec<Trial> {
    let weeks =
        [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23].map(f64::from);
    trials(&weeks, &[])
}

#[test]
fn the_textbook_curve_comes_out_with_its_errors() {
    // D. G. Kleinbaum and M. Klein, "Survival Analysis", table 2.1 and section 2; the errors as R's survfit prints them.
    let expected = [
        (6.0, 21, 3, 0.857, 0.0764),
        (7.0, 17, 1, 0.807, 0.0869),
        (10.0, 15, 1, 0.753, 0.0963),
        (13.0, 12, 1, 0.690, 0.1068),
        (16.0, 11, 1, 0.627, 0.1141),
        (22.0, 7, 1, 0.538, 0.1282),
        (23.0, 6, 1, 0.448, 0.1346),
    ];
    let curve = Curve::of(&six_mp());
    assert_eq!(curve.steps.len(), expected.len());
    for (step, (time, at_risk, events, survival, error)) in curve.steps.iter().zip(expected) {
        assert_eq!((step.time, step.at_risk, step.events), (time, at_risk, events));
        assert!((step.survival - survival).abs() < 5e-4, "{step:?}");
        assert!((step.error.unwrap() - error).abs() < 5e-5, "{step:?}");
    }
}

#[test]
fn medians_and_their_intervals_are_those_of_the_textbook() {
    // As R's survfit prints them: 23 (16, NA) and 8 (4, 12).
    let curve = Curve::of(&six_mp());
    assert_eq!(curve.median(), Some(23.0));
    assert_eq!(curve.median_interval(), Between { low: Some(16.0), high: None });
    let curve = Curve::of(&placebo());
    assert_eq!(curve.median(), Some(8.0));
    assert_eq!(curve.median_interval(), Between { low: Some(4.0), high: Some(12.0) });
    let last = curve.steps.last().unwrap();
    assert_eq!((last.survival, last.error), (0.0, None));
}

#[test]
fn rates_are_events_by_time_watched() {
    // 9 relapses in 359 weeks, 21 in 182.
    let (drug, placebo) = (rate(&six_mp()).unwrap(), rate(&placebo()).unwrap());
    assert!((drug.estimate - 9.0 / 359.0).abs() < 1e-12, "{drug:?}");
    assert!((placebo.estimate - 21.0 / 182.0).abs() < 1e-12, "{placebo:?}");
    assert!(drug.low < drug.estimate && drug.estimate < drug.high && drug.high < placebo.low);
}

#[test]
fn intervals_of_counts_are_those_of_the_tables() {
    // Garwood's limits, as printed in tables of the Poisson distribution.
    for (events, low, high) in [
        (0, 0.0, 3.689),
        (1, 0.025_3, 5.572),
        (2, 0.242, 7.225),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (100, 81.364, 121.627),
    ] {
        let (l, h) = poisson_interval(events);
        assert!((l - low).abs() < 6e-4 && (h - high).abs() < 6e-4, "{events}: {l} {h}");
    }
    // Terms beyond the floats: E. B. Wilson and M. M. Hilferty's approximation (1931) of chi-square.
    let (low, high) = poisson_interval(5_000);
    assert!((low - 4_862.359).abs() < 0.1 && (high - 5_140.549).abs() < 0.1, "{low} {high}");
}

#[test]
fn where_all_are_censored_there_is_no_median_and_a_bound_on_the_rate() {
    let trials = trials(&[], &[30.0; 10]);
    let curve = Curve::of(&trials);
    assert_eq!((curve.median(), curve.steps.len()), (None, 0));
    assert_eq!(curve.median_interval(), Between { low: None, high: None });
    let rate = rate(&trials).unwrap();
    assert_eq!((rate.estimate, rate.low), (0.0, 0.0));
    assert!((rate.high - 3.689 / 300.0).abs() < 1e-5, "{rate:?}");
}

#[test]
fn ties_and_halves_and_nothing_at_all() {
    // All at once; a trial that is censored at that very time was at risk.
    let curve = Curve::of(&trials(&[2.0, 2.0], &[2.0, 2.0]));
    assert_eq!(curve.steps.len(), 1);
    assert_eq!((curve.steps[0].at_risk, curve.steps[0].survival), (4, 0.5));
    assert_eq!(curve.median(), Some(2.0));
    // Half of them is enough, also where the product is not exact.
    assert_eq!(Curve::of(&trials(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[])).median(), Some(3.0));
    assert_eq!(Curve::of(&trials(&[4.0], &[])).median(), Some(4.0));
    assert_eq!((Curve::of(&[]).median(), rate(&[])), (None, None));
    assert_eq!(rate(&trials(&[0.0], &[])), None);
}
