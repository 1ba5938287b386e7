// SPDX-License-Identifier: MIT OR Apache-2.0
//! Verdicts: each one where it must come, and where it must not.

use super::super::power::pairs_for;
use super::super::rule::{Assessment, Better, Looks, Tested, Verdict, assess};

/// Pairs that scatter by `spread` around `shift`, evenly and symmetrically.
fn pairs(n: usize, shift: f64, spread: f64) -> Vec<f64> {
    let place = |at: usize| (at as f64 + 0.5) / n as f64 * 2.0 - 1.0;
    // Large and small ones alternate, so that the first eight look like all.
    let mixed = |at: usize| at * 5 % n;
    (0..n).map(|at| shift + spread * place(mixed(at))).collect()
}

fn answer(differences: Vec<f64>, better: Better) -> Assessment {
    assess(&[Tested { differences, better }], Looks::Sequential, 0.05).remove(0)
}

#[test]
fn a_shift_beyond_the_margin_is_worse_or_better() {
    let seven_per_cent_less = pairs(8, -0.07, 0.02);
    let worse = answer(seven_per_cent_less.clone(), Better::Higher);
    assert_eq!(worse.verdict, Verdict::Regression);
    assert_eq!((worse.p, worse.look.unwrap().pairs), (Some(1.0 / 128.0), 8));
    assert_eq!(answer(seven_per_cent_less, Better::Lower).verdict, Verdict::Improvement);
    let more: Vec<f64> = pairs(8, 0.07, 0.02);
    assert_eq!(answer(more.clone(), Better::Higher).verdict, Verdict::Improvement);
    assert_eq!(answer(more, Better::Lower).verdict, Verdict::Regression);
}

#[test]
fn a_shift_within_the_margin_is_small() {
    assert_eq!(answer(pairs(8, -0.03, 0.02), Better::Higher).verdict, Verdict::SmallShift);
}

#[test]
fn pairs_that_agree_on_nothing_new_say_so_with_a_number() {
    let same = answer(pairs(8, 0.0, 0.02), Better::Higher);
    let Verdict::NoChangeLargerThan { share } = same.verdict else { panic!("{same:?}") };
    assert!((0.01..0.02).contains(&share), "{share}");
    // Kernels that run bit by bit alike.
    assert_eq!(
        answer(vec![0.0; 8], Better::Higher).verdict,
        Verdict::NoChangeLargerThan { share: 0.0 }
    );
}

#[test]
fn too_few_is_said_with_how_many_more() {
    for (n, more) in [(0, 8), (1, 7), (7, 1)] {
        assert_eq!(answer(pairs(n, 0.0, 0.01), Better::Higher).verdict, Verdict::TooFew { more });
    }
    // A spread about as wide as the margin: the next look may tell. One ten times as wide: no look will.
    let wide = answer(pairs(8, 0.0, 0.07), Better::Higher);
    assert_eq!(wide.verdict, Verdict::TooFew { more: 4 }, "{wide:?}");
    let Verdict::TooFew { more } = answer(pairs(8, 0.0, 1.0), Better::Higher).verdict else {
        panic!("such a spread hides any shift");
    };
    assert!(more > 1000, "{more}");
}

#[test]
fn an_answer_does_not_change_with_more_pairs() {
    // A clear shift at first, none later: what was told at the first look stays told.
    let mut differences = pairs(8, 0.2, 0.01);
    differences.extend(pairs(8, 0.1, 0.3));
    let told = answer(differences, Better::Lower);
    assert_eq!((told.verdict, told.look.unwrap().pairs), (Verdict::Regression, 8));
}

#[test]
fn one_look_uses_all_pairs_and_takes_six() {
    let single = |n| {
        let tested = Tested { differences: pairs(n, 0.1, 0.01), better: Better::Lower };
        assess(&[tested], Looks::Single, 0.05).remove(0)
    };
    assert_eq!(single(5).verdict, Verdict::TooFew { more: 1 });
    assert_eq!((single(6).verdict, single(6).p), (Verdict::Regression, Some(1.0 / 32.0)));
    assert_eq!(single(30).look.unwrap().pairs, 30);
}

#[test]
fn more_pairs_are_asked_for_smaller_shifts_and_more_metrics() {
    let needed = |shift, metrics| pairs_for(shift, 0.05, metrics, Looks::Sequential);
    assert_eq!(needed(0.2, 1), 8);
    assert!(needed(0.05, 1) <= needed(0.05, 5) && needed(0.05, 5) <= needed(0.05, 10));
    assert!(needed(0.01, 1) > 100);
    assert_eq!(needed(0.0, 1), 1_000_000);
    assert_eq!(pairs_for(0.05, 0.0, 1, Looks::Sequential), 8);
}
