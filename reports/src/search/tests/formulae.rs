// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formulae against the same sums written out.

use crate::search::choice::{BATCHES, Chooser, Price, Signal};
use crate::search::posterior::{Posterior, Tally};
use crate::search::rate::RatePrior;
use crate::search::{Commit, shares};
use crate::statistics::tests::random::Random;

const EPS: f64 = 0.01;
const PRIOR: RatePrior = RatePrior { hits: 0.25, misses: 1.0, always: 0.2 };

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs())
}

/// `M` as a product of the probabilities of one run after the other.
fn marginal(hits: u32, clean: u32) -> f64 {
    let (mut p, mut a, mut c) = (1.0, PRIOR.hits, PRIOR.misses);
    for is_hit in (0..hits).map(|_| true).chain((0..clean).map(|_| false)) {
        p *= if is_hit { a } else { c } / (a + c);
        *(if is_hit { &mut a } else { &mut c }) += 1.0;
    }
    (1.0 - PRIOR.always) * p + if clean == 0 { PRIOR.always } else { 0.0 }
}

/// Seven positions, of which some were run.
fn tallies(random: &mut Random) -> Vec<Tally> {
    let few = |random: &mut Random| (random.uniform() * 5.0) as u32;
    let one = |random: &mut Random| match random.uniform() < 0.5 {
        true => Tally::default(),
        false => Tally {
            hits: few(random),
            clean: f64::from(few(random)),
            barren: few(random),
            ..Tally::default()
        },
    };
    (0..7).map(|_| one(random)).collect()
}

fn prior(random: &mut Random) -> Vec<f64> {
    (0..8).map(|_| random.uniform()).collect()
}

/// The posterior, hypothesis by hypothesis and run by run.
fn by_hand(prior: &[f64], seen: &[Tally]) -> Vec<f64> {
    let sums = |b: usize| {
        let sum =
            |of: &[Tally]| of.iter().fold((0, 0), |s, t| (s.0 + t.hits, s.1 + t.clean as u32));
        let (good, bad) = seen.split_at(b.min(seen.len()));
        (sum(good), sum(bad))
    };
    let one = |b: usize| {
        let ((stray, silent), (hits, clean)) = sums(b);
        let innocent = EPS.powi(stray as i32) * (1.0 - EPS).powi(silent as i32);
        let same = prior[b] * marginal(hits, clean) * innocent;
        if b > 0 {
            return same;
        }
        let changed = |b: usize| {
            let ((stray, silent), (hits, clean)) = sums(b);
            prior[b] * marginal(stray, silent) * marginal(hits, clean)
        };
        let range = 1..seen.len();
        let changed: f64 = range.clone().map(changed).sum();
        0.9 * same + 0.1 * prior[0] * changed / prior[range].iter().sum::<f64>()
    };
    let mass: Vec<f64> = (0..prior.len()).map(one).collect();
    let sum: f64 = mass.iter().sum();
    mass.iter().map(|mass| mass / sum).collect()
}

#[test]
fn the_marginal_likelihood_is_that_of_one_run_after_the_other() {
    for (hits, clean) in [(0, 0), (1, 0), (0, 1), (3, 0), (4, 30), (20, 7)] {
        let got = PRIOR.ln_marginal(f64::from(hits), f64::from(clean)).exp();
        assert!((got / marginal(hits, clean) - 1.0).abs() < 1e-9, "{hits} {clean}: {got}");
    }
    // Two halves of a clean run are one, but not two.
    let halves = PRIOR.silence(2.0, 5.5, 0.5) * PRIOR.silence(2.0, 5.0, 0.5);
    assert!(near(halves, PRIOR.silence(2.0, 5.0, 1.0)));
}

#[test]
fn the_posterior_is_bayes_rule_written_out() {
    let mut random = Random::new(1);
    for _ in 0..200 {
        let (prior, seen) = (prior(&mut random), tallies(&mut random));
        let got = Posterior::new(&prior, &seen, &PRIOR, EPS);
        for (got, wanted) in got.mass().iter().zip(by_hand(&prior, &seen)) {
            assert!(near(*got, wanted), "{got} {wanted} {seen:?}");
        }
    }
}

#[test]
fn the_choice_is_the_best_of_all_gains_written_out() {
    let nats = |mass: &[f64]| {
        let sum: f64 = mass.iter().sum();
        let of = |p: &f64| if *p > 0.0 { -p * (p / sum).ln() } else { 0.0 };
        mass.iter().map(of).sum::<f64>()
    };
    let mut random = Random::new(2);
    let mut chosen = Vec::new();
    for build in [0.0, 20.0].repeat(50) {
        let (prior, seen) = (prior(&mut random), tallies(&mut random));
        let posterior = Posterior::new(&prior, &seen, &PRIOR, EPS);
        let signal = Signal::Sight { rate: &PRIOR, false_alarm: EPS };
        let price = |at: usize| (at != 3).then_some(Price { build, builds: 0.8, telling: 1.0 });
        let got = Chooser::new(&posterior, signal).best(2.0, price, |_| true).unwrap();
        let mut best: f64 = 0.0;
        for at in (0..seen.len()).filter(|at| *at != 3) {
            for times in BATCHES {
                let silent = |b: usize| {
                    let bad = &seen[b.min(seen.len())..];
                    let hits = bad.iter().map(|t| t.hits).sum();
                    let clean = bad.iter().map(|t| t.clean as u32).sum();
                    match b <= at {
                        true => marginal(hits, clean + times) / marginal(hits, clean),
                        false => (1.0 - EPS).powi(times as i32),
                    }
                };
                let mass = posterior.mass();
                let silence: Vec<f64> = (0..8).map(|b| mass[b] * silent(b)).collect();
                let bug: Vec<f64> = (0..8).map(|b| mass[b] * (1.0 - silent(b))).collect();
                let gain = nats(mass) - nats(&silence) - nats(&bug);
                best = best.max(gain * 0.8 / (build + 0.8 * f64::from(times) * 2.0));
            }
        }
        assert!(near(got.worth, best), "{got:?} {best}");
        chosen.push(got.times);
    }
    // Where a build costs nothing, one run is best; where it costs ten, more are.
    assert!(chosen.iter().step_by(2).all(|times| *times == 1), "{chosen:?}");
    assert!(chosen.iter().skip(1).step_by(2).any(|times| *times > 4), "{chosen:?}");
}

#[test]
fn the_interval_of_a_rate_agrees_with_tables_of_the_beta_distribution() {
    let uniform = RatePrior { hits: 1.0, misses: 1.0, always: 0.0 };
    let flat = uniform.after(0, 0.0);
    assert!(near(flat.low, 0.025) && near(flat.high, 0.975), "{flat:?}");
    // Of Beta(4, 8).
    let some = uniform.after(3, 7.0);
    assert!(
        (some.low - 0.109_263).abs() < 1e-5 && (some.high - 0.609_743).abs() < 1e-5,
        "{some:?}"
    );
    // Of Beta(1, n + 1): 1 - 0.025^(1/(n + 1)).
    let none = uniform.after(0, 99.0);
    assert!(near(none.high, 1.0 - 0.025_f64.powf(0.01)), "{none:?}");
    // A bug that may show always, and did.
    let always = RatePrior::ALWAYS.after(3, 0.0);
    assert!(always.high == 1.0 && always.low > 0.9, "{always:?}");
}

#[test]
fn weights_are_never_too_small() {
    let commit = |weight: f64| Commit { weight, build: 0.0 };
    let shares = shares(&[commit(1e-9), commit(1.0), commit(1e9)]);
    assert!(near(shares.iter().sum(), 1.0));
    assert!(shares[0] > 0.9 / 60.0 && shares[0] == shares[1] && shares[2] > 0.95, "{shares:?}");
}
