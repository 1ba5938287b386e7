// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shares of runs, held against published values and against enumeration.

use super::super::binomial::{Share, share};
use super::super::strata::{Stratum, Tails, tails};

#[test]
fn intervals_are_those_of_published_tables() {
    // As R's binom.test prints them.
    for (shown, runs, low, high) in [
        (0, 10, 0.0, 0.308_497),
        (1, 10, 0.002_529, 0.445_016),
        (5, 10, 0.187_086, 0.812_914),
        (10, 10, 0.691_503, 1.0),
        (1, 1, 0.025, 1.0),
        (7, 100, 0.028_605, 0.138_919),
    ] {
        let Share { estimate, low: l, high: h } = share(shown, runs).unwrap();
        assert!((estimate - shown as f64 / runs as f64).abs() < 1e-12);
        assert!((l - low).abs() < 1e-6 && (h - high).abs() < 1e-6, "{shown}/{runs}: {l} {h}");
    }
    assert_eq!(share(0, 0), None);
}

#[test]
fn an_interval_of_very_many_runs_is_narrow_and_holds_the_share() {
    let Share { estimate, low, high } = share(1_000, 1_000_000_000).unwrap();
    assert!(low < estimate && estimate < high);
    // 1000 events: Garwood's interval for the mean is 939 to 1064.
    assert!((low * 1e9 - 938.97).abs() < 0.1 && (high * 1e9 - 1063.95).abs() < 0.1, "{low} {high}");
}

fn stratum(before: (u64, u64), newest: (u64, u64)) -> Stratum {
    Stratum { before, newest, first: 0 }
}

#[test]
fn one_stratum_is_fishers_exact_test() {
    // The lady tasting tea: 3 of 4 right has 17/70.
    let Tails { at_least, at_most } = tails(&[stratum((1, 4), (3, 4))]).unwrap();
    assert!((at_least - 17.0 / 70.0).abs() < 1e-12, "{at_least}");
    assert!((at_most - 69.0 / 70.0).abs() < 1e-12, "{at_most}");
    // Nothing of 5 where it was 3 of 10 before: C(10,3)/C(15,3).
    let seen = tails(&[stratum((3, 10), (0, 5))]).unwrap();
    assert!((seen.at_most - 120.0 / 455.0).abs() < 1e-12, "{seen:?}");
    assert!((seen.at_least - 1.0).abs() < 1e-12);
}

#[test]
fn strata_together_are_what_enumeration_gives() {
    let strata = [stratum((2, 5), (0, 3)), stratum((1, 2), (2, 4)), stratum((0, 7), (1, 1))];
    let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    let term = |s: &Stratum, x: u64| {
        let shown = s.before.0 + s.newest.0;
        if x > s.newest.1 || x > shown || shown - x > s.before.1 {
            return 0.0;
        }
        choose(s.newest.1, x) * choose(s.before.1, shown - x)
            / choose(s.before.1 + s.newest.1, shown)
    };
    let (mut at_most, mut at_least) = (0.0, 0.0);
    for a in 0..=3 {
        for b in 0..=4 {
            for c in 0..=1 {
                let p = term(&strata[0], a) * term(&strata[1], b) * term(&strata[2], c);
                at_most += if a + b + c <= 3 { p } else { 0.0 };
                at_least += if a + b + c >= 3 { p } else { 0.0 };
            }
        }
    }
    let found = tails(&strata).unwrap();
    assert!((found.at_most - at_most).abs() < 1e-12, "{found:?} {at_most}");
    assert!((found.at_least - at_least).abs() < 1e-12, "{found:?} {at_least}");
}

#[test]
fn a_count_that_began_with_a_sighting_takes_it_as_given() {
    // All ways to spread 3 sightings over 2 first, 3 later and 3 newest runs, of which one is among the first.
    let (mut of_newest, mut all) = ([0.0; 4], 0.0);
    for ways in 0..1_u32 << 8 {
        if ways.count_ones() == 3 && ways & 0b11 != 0 {
            of_newest[(ways >> 5).count_ones() as usize] += 1.0;
            all += 1.0;
        }
    }
    for newest in 0..=2 {
        let stratum = Stratum { before: (3 - newest, 5), newest: (newest, 3), first: 2 };
        let Tails { at_most, at_least } = tails(&[stratum]).unwrap();
        let sum = |terms: &[f64]| terms.iter().sum::<f64>() / all;
        assert!(
            (at_most - sum(&of_newest[..=newest as usize])).abs() < 1e-12,
            "{newest}: {at_most}"
        );
        assert!((at_least - sum(&of_newest[newest as usize..])).abs() < 1e-12, "{newest}");
    }
    // The only sighting is why it is looked at, and says nothing.
    let once = Stratum { before: (1, 30), newest: (0, 1_000_000), first: 3 };
    assert_eq!(tails(&[once]).map(|tails| tails.at_most), Some(1.0));
}

#[test]
fn strata_that_tell_nothing_are_left_out_and_many_runs_end_soon() {
    let silent = [stratum((1, 1), (0, 0)), stratum((0, 0), (1, 9)), stratum((0, 9), (0, 9))];
    assert_eq!(tails(&silent), None);
    let one = stratum((3, 10), (0, 5));
    let with = [silent[0], silent[1], silent[2], one];
    assert_eq!(tails(&with), tails(&[one]));
    let huge = stratum((1_000_000, 2_000_000), (1_000_000, 2_000_000));
    assert_eq!(tails(&[huge, one]), tails(&[one]));
    let many = [stratum((100, 10_000), (20, 1_000)); 30];
    let found = tails(&many).unwrap();
    assert!(found.at_least < 1e-9 && found.at_most > 0.999_999, "{found:?}");
}
