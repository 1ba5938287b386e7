// SPDX-License-Identifier: MIT OR Apache-2.0
//! When one looks at the pairs, at what level, and what the answer is.
//!
//! Who looks again and again until something shows will see something: so the pairs are looked at three times, and
//! the levels of these looks add up to 5 % (a union bound, true whatever the looks have to do with each other). A
//! claim that nothing changed is held to the same levels: looked at three times at 5 % each, it would be wrong in up to
//! 15 % (`tests::a_change_of_just_the_margin_is_seldom_called_none` measures both).

use serde::{Deserialize, Serialize};

use super::signed_rank::{self, Interval};
use super::{power, relative, sign_flip, spread};

/// Chance of a false alarm in a comparison of kernels that do not differ.
pub const LEVEL: f64 = 0.05;
/// Smallest change that matters, as a share of A's value, where nobody says otherwise.
pub const DEFAULT_MARGIN: f64 = 0.05;
/// Numbers of pairs at which one looks, and the level of each look.
pub const LOOKS: [Look; 3] = [
    Look { pairs: 8, level: 0.010 },
    Look { pairs: 12, level: 0.015 },
    Look { pairs: 16, level: 0.025 },
];
/// With fewer pairs nothing can be rejected at [`LEVEL`], since the smallest p-value is `2^(1-n)`.
const FEWEST: usize = 6;
/// What the interval that is shown leaves out on either side.
const SHOWN_TAIL: f64 = 0.025;

/// A moment at which the pairs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Look {
    /// With how many pairs, the first ones.
    pub pairs: usize,
    /// At what level.
    pub level: f64,
}

/// How often one looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Looks {
    /// At [`LOOKS`]: more pairs may be added after each, as many as it takes.
    #[default]
    Sequential,
    /// Once, with all pairs, at [`LEVEL`]: their number was fixed before the first was looked at.
    Single,
}

impl Looks {
    /// The looks that so many pairs allow.
    pub fn with(self, pairs: usize) -> Vec<Look> {
        match self {
            Self::Sequential => LOOKS.into_iter().filter(|look| look.pairs <= pairs).collect(),
            Self::Single if pairs >= FEWEST => vec![Look { pairs, level: LEVEL }],
            Self::Single => Vec::new(),
        }
    }

    /// The fewest pairs that are looked at.
    fn fewest(self) -> usize {
        match self {
            Self::Sequential => LOOKS[0].pairs,
            Self::Single => FEWEST,
        }
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// What the pairs say of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// B is worse, by more than the margin.
    Regression,
    /// B is better, by more than the margin.
    Improvement,
    /// B differs, but by less than what matters.
    SmallShift,
    /// B does not differ from A by more than this share, which is at most the margin.
    NoChangeLargerThan {
        /// The share: 0.03 for 3 %.
        share: f64,
    },
    /// Neither a change nor its absence can be told.
    TooFew {
        /// So many more pairs would tell, by [`power::pairs_for`].
        more: usize,
    },
}

/// A metric's verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Shift of all pairs, as a difference of logarithms; `None` without a pair.
    pub shift: Option<f64>,
    /// Its interval, of 95 % or a little more; `None` with too few pairs.
    pub interval: Option<Interval>,
    /// Standard deviation of the pairs' differences.
    pub spread: f64,
    /// p-value, corrected for the number of metrics, at the look that told, or the last one; `None` before the first.
    pub p: Option<f64>,
    /// That look.
    pub look: Option<Look>,
}

/// A metric as it is tested: the differences of its pairs in their order, and which way is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// Differences of logarithms, B less A.
    pub differences: Vec<f64>,
    /// Which way is better.
    pub better: Better,
}

/// Answers for all metrics together. They must have equally many pairs; `margin` is the smallest change that
/// matters, as a share.
pub fn assess(metrics: &[Tested], looks: Looks, margin: f64) -> Vec<Assessment> {
    let pairs = metrics.iter().map(|metric| metric.differences.len()).min().unwrap_or(0);
    let looks_taken = looks.with(pairs);
    let p: Vec<Vec<f64>> = looks_taken
        .iter()
        .map(|look| {
            let first: Vec<&[f64]> =
                metrics.iter().map(|metric| &metric.differences[..look.pairs]).collect();
            sign_flip::adjusted_p(&first)
        })
        .collect();
    let family = metrics.len();
    let one = |(at, metric): (usize, &Tested)| {
        let seen: Vec<(Look, f64)> =
            looks_taken.iter().zip(&p).map(|(look, p)| (*look, p[at])).collect();
        assess_one(metric, &seen, looks, margin.ln_1p(), family)
    };
    metrics.iter().enumerate().map(one).collect()
}

/// `seen` has the looks that were taken, each with the metric's p-value; `margin` is a logarithm.
fn assess_one(
    metric: &Tested,
    seen: &[(Look, f64)],
    looks: Looks,
    margin: f64,
    family: usize,
) -> Assessment {
    let Tested { differences, better } = metric;
    let shift = signed_rank::shift(differences);
    let spread = spread(differences);
    let told = seen.iter().find(|(look, p)| *p <= look.level);
    let (look, p) = told.or(seen.last()).copied().unzip();
    // Two one-sided tests at the look's level (D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15,
    // 1987): both reject exactly if the interval of 1 - 2 level lies within the margins.
    let reach = |look: &Look| {
        signed_rank::interval(&differences[..look.pairs], look.level).map(|i| i.reach())
    };
    let within = seen.iter().filter_map(|(look, _)| reach(look)).filter(|reach| *reach <= margin);
    let verdict = if told.is_some() {
        let shift = shift.unwrap_or(0.0);
        let more_is_better = *better == Better::Higher;
        match shift.abs() >= margin {
            false => Verdict::SmallShift,
            true if (shift > 0.0) == more_is_better => Verdict::Improvement,
            true => Verdict::Regression,
        }
    } else if let Some(reach) = within.min_by(f64::total_cmp) {
        Verdict::NoChangeLargerThan { share: relative(reach) }
    } else {
        let matters = shift.unwrap_or(0.0).abs().max(margin);
        let needed = power::pairs_for(matters, spread, family, looks).max(looks.fewest());
        // Luck may have it that what should have sufficed did not.
        let more = needed.saturating_sub(differences.len()).max(1);
        Verdict::TooFew { more: next_look(looks, differences.len(), more) }
    };
    let interval = signed_rank::interval(differences, SHOWN_TAIL);
    Assessment { verdict, shift, interval, spread, p, look }
}

/// Pairs that are missing until the look at which `more` of them are there, as far as there are looks.
fn next_look(looks: Looks, pairs: usize, more: usize) -> usize {
    let at = |look: &Look| look.pairs.saturating_sub(pairs);
    match looks {
        Looks::Sequential => LOOKS.iter().map(at).find(|at| *at >= more).unwrap_or(more),
        Looks::Single => more,
    }
}
