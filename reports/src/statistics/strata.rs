// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether something shows less often than before, or more often, where runs are of several kinds.
//!
//! Runs of one kind (a stratum: one kernel, architecture, profile, ...) are exchangeable if nothing has changed, so that, given how many
//! of them showed it in all, those among the newest are distributed hypergeometrically: R. A. Fisher's exact test, "The logic of inductive
//! inference", Journal of the Royal Statistical Society 98 (1935), 39-82. Over several strata the sums of the newest are
//! counted (M. W. Birch, "The detection of partial association", Journal of the Royal Statistical Society B 26
//! (1964), 313-324), so that it does not matter which kinds ran more often lately. Nothing is approximated.
//!
//! Runs are often counted only from the night on in which one first showed it. Given that, all ways to spread the sightings over the runs
//! are equally likely in which that night has one at least, so the others are left out.

/// Runs of one kind before, and the newest ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stratum {
    /// Runs before that showed it, and all of them.
    pub before: (u64, u64),
    /// How many of those before are known to have one among them that showed it, since the count began with them; 0: it
    /// began with no regard to that.
    pub first: u64,
    /// The newest that showed it, and all of them.
    pub newest: (u64, u64),
}

/// What chance alone would do, if nothing had changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// Probability that so many or fewer of the newest runs show it.
    pub at_most: f64,
    /// Probability that so many or more do.
    pub at_least: f64,
}

/// Most newest sightings that are told apart: an exact count of more would take too long.
const MOST: u64 = 4096;
/// Terms below this share of the largest one are left out.
const NOTHING: f64 = 1e-18;

/// The probabilities for all strata together. `None` if none has runs on both sides and a sighting on either. Where there are very many
/// runs, the strata with the most of them are taken, as far as 4096 sightings reach.
pub fn tails(strata: &[Stratum]) -> Option<Tails> {
    let telling = |s: &&Stratum| s.before.1 > 0 && s.newest.1 > 0 && s.before.0 + s.newest.0 > 0;
    let mut strata: Vec<&Stratum> = strata.iter().filter(telling).collect();
    strata.sort_by_key(|s| std::cmp::Reverse(s.before.1.saturating_add(s.newest.1)));
    let mut room = MOST;
    strata.retain(|stratum| {
        let (lowest, highest) = bounds(stratum);
        let fits = highest - lowest <= room;
        room -= if fits { highest - lowest } else { 0 };
        fits
    });
    if strata.is_empty() {
        return None;
    }
    let (mut seen, mut lowest) = (0, 0);
    let mut sums = vec![1.0];
    for stratum in strata {
        seen += stratum.newest.0;
        lowest += bounds(stratum).0;
        sums = convolved(&sums, &distribution(stratum)?);
    }
    let at = usize::try_from(seen - lowest).unwrap_or(usize::MAX).min(sums.len() - 1);
    let sum = |terms: &[f64]| terms.iter().sum::<f64>().min(1.0);
    Some(Tails { at_most: sum(&sums[..=at]), at_least: sum(&sums[at..]) })
}

/// How few and how many of the newest runs can have shown it, given all.
fn bounds(stratum: &Stratum) -> (u64, u64) {
    let (shown, newest) = (stratum.before.0 + stratum.newest.0, stratum.newest.1);
    (shown.saturating_sub(stratum.before.1), shown.min(newest))
}

/// Probabilities of the numbers of newest runs that show it, from the lowest that is possible to the highest. They are computed outwards
/// from the likeliest, relative to it, so no factorial is needed. `None` if what is given is next to impossible.
fn distribution(stratum: &Stratum) -> Option<Vec<f64>> {
    let (lowest, highest) = bounds(stratum);
    let shown = (stratum.before.0 + stratum.newest.0) as f64;
    let (before, newest) = (stratum.before.1 as f64, stratum.newest.1 as f64);
    // The mode; a float becomes the nearest integer below it.
    let mode = ((shown + 1.0) * (newest + 1.0) / (before + newest + 2.0)) as u64;
    let mode = mode.clamp(lowest, highest);
    // Of one more by one fewer.
    let ratio = |i: u64| {
        let i = i as f64;
        (shown - i) * (newest - i) / ((i + 1.0) * (before - shown + i + 1.0))
    };
    let place = |i: u64| usize::try_from(i - lowest).unwrap_or(usize::MAX);
    let mut terms = vec![0.0; place(highest) + 1];
    let mut set = |i: u64, term: f64| {
        if let Some(at) = terms.get_mut(place(i)) {
            *at = term;
        }
    };
    set(mode, 1.0);
    let mut term = 1.0;
    for i in (lowest..mode).rev() {
        term /= ratio(i);
        if term < NOTHING {
            break;
        }
        set(i, term);
    }
    term = 1.0;
    for i in mode..highest {
        term *= ratio(i);
        if term < NOTHING {
            break;
        }
        set(i + 1, term);
    }
    if stratum.first > 0 {
        let shown = stratum.before.0 + stratum.newest.0;
        for (newest, term) in (lowest..).zip(&mut terms) {
            *term *= 1.0 - none_of_the_first(stratum, shown - newest);
        }
    }
    let all: f64 = terms.iter().sum();
    (all > 0.0).then(|| terms.iter().map(|term| term / all).collect())
}

/// Probability that none of the first runs showed it, if so many of all before did.
fn none_of_the_first(stratum: &Stratum, shown: u64) -> f64 {
    let before = stratum.before.1;
    let (few, many) = (stratum.first.min(shown), stratum.first.max(shown));
    let mut product = 1.0;
    // Of so many that are drawn from all before, none is one of the others.
    for i in 0..few {
        product *= before.saturating_sub(many + i) as f64 / (before - i) as f64;
        if product < NOTHING {
            return 0.0;
        }
    }
    product
}

/// The distribution of the sum of two numbers.
fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate().filter(|(_, x)| **x > 0.0) {
        for (sum, y) in sums[i..].iter_mut().zip(b) {
            *sum += x * y;
        }
    }
    sums
}
