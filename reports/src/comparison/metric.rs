// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is compared: one table says what each metric is, of which counters it is made, and which way is better.
//!
//! Metrics are per operation and not per second, so that they say the same on a fast machine and on a slow one.
//! Kernels rename their counters: each quantity lists the names that it had, and a kernel that has none of them does not
//! have the metric. That is not 0.

use std::fmt;

use serde::Serialize;

use super::Refusal;
use crate::run::Measured;
use crate::statistics::rule::Better;

/// Most metrics that may be tested together.
pub const MOST_TESTED: usize = 10;
/// What is added to counts, so that none is 0 (F. J. Anscombe's continuity correction for logarithms of counts).
const HALF: f64 = 0.5;

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// Names it on the command line and in profiles.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What its number counts: `per store`, `ms`, ...
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Whether it is tested where nobody names others.
    #[serde(skip)]
    pub by_default: bool,
    #[serde(skip)]
    top: Quantity,
    #[serde(skip)]
    bottom: Quantity,
}

/// Names that a counter has had, the best first.
type Names = &'static [&'static str];

/// A number that a storm comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantity {
    /// By how much these counters rose, together.
    Rise(&'static [Names]),
    /// The mean of a level.
    Mean(Names),
    /// What the last sample says.
    Last(Names),
    /// This number, whatever the storm.
    Fixed(f64),
}

/// debugfs of zswap has had `written_back_pages` all along, and /proc/vmstat `zswpwb` since Linux 6.8.
const WRITEBACKS: Names = &["zswpwb", "written_back_pages"];
const STORES: &[Names] = &[&["zswpout"]];
const SWAP_INS: &[Names] = &[&["zswpin"], &["pswpin"]];
const PER_STORE: &str = "per store";

use Better::{Higher, Lower};
use Quantity::{Fixed, Last, Mean, Rise};

/// All metrics, those that are tested by default first.
pub const METRICS: &[Metric] = &[
    metric("writebacks-per-store", "pages that zswap wrote back", PER_STORE, Higher)
        .of(Rise(&[WRITEBACKS]), Rise(STORES))
        .by_default(),
    // How often a pool is found full goes up and down for long; what is written back each time hardly does.
    metric("writebacks-per-hit", "pages that zswap wrote back", "per full pool found", Higher)
        .of(Rise(&[WRITEBACKS]), Rise(&[&["pool_limit_hit"]]))
        .by_default(),
    metric(
        "reclaim-rejects",
        "stores refused: the pool was full and gave nothing back",
        PER_STORE,
        Lower,
    )
    .of(Rise(&[&["reject_reclaim_fail"]]), Rise(STORES))
    .by_default(),
    metric("poor-rejects", "stores refused: the page compressed poorly", PER_STORE, Lower)
        .of(Rise(&[&["reject_compress_poor"]]), Rise(STORES))
        .by_default(),
    metric("alloc-rejects", "stores refused: the pool had no memory", PER_STORE, Lower)
        .of(Rise(&[&["reject_alloc_fail"]]), Rise(STORES))
        .by_default(),
    metric("disk-swapins", "swap-ins from disk, of all swap-ins", "per swap-in", Lower)
        .of(Rise(&[&["pswpin"]]), Rise(SWAP_INS))
        .by_default(),
    // One counter of all pages until Linux 5.9.
    metric(
        "refaults-per-swapin",
        "anonymous pages back soon after they went",
        "per swap-in",
        Lower,
    )
    .of(Rise(&[&["workingset_refault_anon", "workingset_refault"]]), Rise(SWAP_INS))
    .by_default(),
    metric("pages-per-pool-page", "what the pool holds over what it takes", "", Higher)
        .of(Mean(&["zswapped_kib"]), Mean(&["zswap_kib"]))
        .by_default(),
    metric("swapoff-p50", "half of all swapoffs took no longer", "ms", Lower)
        .of(Last(&["swapoff_p50_us"]), Fixed(1000.0))
        .by_default(),
    metric("swapoff-p99", "99 of 100 swapoffs took no longer", "ms", Lower)
        .of(Last(&["swapoff_p99_us"]), Fixed(1000.0))
        .by_default(),
    metric("swapoff-mean", "what a swapoff took", "us", Lower)
        .of(Rise(&[&["swapoff_us"]]), Rise(&[&["swapoff"]])),
    metric("swapoff-refusals", "swapoffs refused for want of memory", "per swapoff", Lower)
        .of(Rise(&[&["swapoff_enomem"]]), Rise(&[&["swapoff"]])),
    metric("compress-rejects", "stores refused: the page did not compress", PER_STORE, Lower)
        .of(Rise(&[&["reject_compress_fail"]]), Rise(STORES)),
    metric("kmemcache-rejects", "stores refused: no memory for an entry", PER_STORE, Lower)
        .of(Rise(&[&["reject_kmemcache_fail"]]), Rise(STORES)),
    metric("pool-limit-hits", "stores that found the pool full", PER_STORE, Lower)
        .of(Rise(&[&["pool_limit_hit"]]), Rise(STORES)),
    metric("writes-per-store", "pages written to disk, written back or refused", PER_STORE, Lower)
        .of(Rise(&[&["pswpout"]]), Rise(STORES)),
    metric(
        "writes-per-page",
        "pages written to disk for each that the workers wrote",
        "per page",
        Lower,
    )
    .of(Rise(&[&["pswpout"]]), Rise(&[&["touched"]])),
    metric("stores-per-page", "stores for each page that the workers wrote", "per page", Lower)
        .of(Rise(STORES), Rise(&[&["touched"]])),
    metric(
        "majfaults-per-page",
        "major faults for each page that the workers read",
        "per page",
        Lower,
    )
    .of(Rise(&[&["pgmajfault"]]), Rise(&[&["verified"]])),
    metric("readahead-hits", "pages read ahead that were used", "per page", Higher)
        .of(Rise(&[&["swap_ra_hit"]]), Rise(&[&["swap_ra"]])),
];

/// The metrics of these names, each once, or those that are tested by default if there are no names.
///
/// # Errors
/// There is no metric of a name, or there are more than [`MOST_TESTED`].
pub fn choose(names: &[String]) -> Result<Vec<&'static Metric>, Refusal> {
    let mut chosen: Vec<&'static Metric> = Vec::new();
    for name in names {
        let metric = METRICS.iter().find(|metric| metric.name == name).ok_or_else(|| {
            let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
            let words = format!("there is no metric `{}`", name.escape_debug());
            Refusal::new(words, format!("known are {}", known.join(", ")))
        })?;
        if !chosen.contains(&metric) {
            chosen.push(metric);
        }
    }
    if chosen.len() > MOST_TESTED {
        let n = chosen.len();
        let words = format!("{n} metrics are more than the {MOST_TESTED} that are tested together");
        return Err(Refusal::new(words, "name fewer: all others are shown as well"));
    }
    if chosen.is_empty() {
        chosen = METRICS.iter().filter(|metric| metric.by_default).collect();
    }
    Ok(chosen)
}

const fn metric(
    name: &'static str,
    about: &'static str,
    unit: &'static str,
    better: Better,
) -> Metric {
    let (top, bottom) = (Quantity::Fixed(1.0), Quantity::Fixed(1.0));
    Metric { name, about, unit, better, by_default: false, top, bottom }
}

impl Metric {
    const fn of(self, top: Quantity, bottom: Quantity) -> Self {
        Self { top, bottom, ..self }
    }

    const fn by_default(self) -> Self {
        Self { by_default: true, ..self }
    }

    /// Under which names both sides have its counters.
    pub(super) fn names(&self, a: &[&Measured], b: &[&Measured]) -> Result<Chosen, Lack> {
        Ok(Chosen { top: self.top.choose(a, b)?, bottom: self.bottom.choose(a, b)? })
    }

    /// The metric in a storm of A or of B; `None` if it does not have these counters.
    pub(super) fn value(&self, storm: &Measured, names: &Chosen, is_b: bool) -> Option<f64> {
        let top = self.top.corrected(storm, names.top.of(is_b));
        let bottom = self.bottom.corrected(storm, names.bottom.of(is_b));
        Some(top? / bottom?)
    }

    /// The metric in all storms of A and of B.
    pub(super) fn measure(&self, a: &[&Measured], b: &[&Measured]) -> Result<Values, Lack> {
        let names = self.names(a, b)?;
        let Chosen { top, bottom } = &names;
        let renamed = top.renamed.iter().chain(&bottom.renamed).copied().collect();
        let counts = |quantity: Quantity, choice: &Choice| {
            let sum = |storms: &[&Measured], names: &[&str]| {
                storms.iter().filter_map(|storm| quantity.value(storm, names)).sum::<f64>()
            };
            sum(a, &choice.a) + sum(b, &choice.b) > 0.0
        };
        let happened = counts(self.top, top) && counts(self.bottom, bottom);
        let of = |storms: &[&Measured], is_b: bool| {
            let values = storms.iter().map(|storm| self.value(storm, &names, is_b));
            values.collect::<Option<Vec<f64>>>().unwrap_or_default()
        };
        Ok(Values { a: of(a, false), b: of(b, true), happened, renamed })
    }
}

/// A metric's values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
    /// False if what it counts, or what it counts it by, never happened on either side.
    pub(super) happened: bool,
    /// Counters that have another name in A than in B.
    pub(super) renamed: Vec<(&'static str, &'static str)>,
}

/// A counter that is missing: in A's storms, or in B's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) counter: &'static str,
    pub(super) in_a: bool,
    pub(super) in_b: bool,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counter, in_a, in_b } = self;
        match (in_a, in_b) {
            (true, false) => write!(f, "A has no {counter}"),
            (false, true) => write!(f, "B has no {counter}"),
            _ => write!(f, "neither side has {counter}"),
        }
    }
}

/// Which names a metric's counters have on either side.
#[derive(Debug)]
pub(super) struct Chosen {
    top: Choice,
    bottom: Choice,
}

/// Which names a quantity's terms have on either side.
#[derive(Debug, Default)]
struct Choice {
    a: Vec<&'static str>,
    b: Vec<&'static str>,
    renamed: Vec<(&'static str, &'static str)>,
}

impl Choice {
    fn of(&self, is_b: bool) -> &[&'static str] {
        if is_b { &self.b } else { &self.a }
    }
}

impl Quantity {
    fn terms(self) -> Vec<Names> {
        match self {
            Rise(terms) => terms.to_vec(),
            Mean(names) | Last(names) => vec![names],
            Fixed(_) => Vec::new(),
        }
    }

    /// For each term the best name that both sides have, or else the best of each.
    fn choose(self, a: &[&Measured], b: &[&Measured]) -> Result<Choice, Lack> {
        let mut choice = Choice::default();
        for names in self.terms() {
            let has = |storms: &[&Measured], name: &str| {
                storms.iter().all(|storm| storm.last(name).is_some())
            };
            let of = |storms| names.iter().copied().find(|name| has(storms, name));
            let both = names.iter().copied().find(|name| has(a, name) && has(b, name));
            let (in_a, in_b) = (both.or_else(|| of(a)), both.or_else(|| of(b)));
            let (Some(in_a), Some(in_b)) = (in_a, in_b) else {
                let (in_a, in_b) = (in_a.is_none(), in_b.is_none());
                return Err(Lack { counter: names[0], in_a, in_b });
            };
            if in_a != in_b {
                choice.renamed.push((in_a, in_b));
            }
            choice.a.push(in_a);
            choice.b.push(in_b);
        }
        Ok(choice)
    }

    /// Its value in a storm, its terms being of these names.
    fn value(self, storm: &Measured, names: &[&str]) -> Option<f64> {
        match self {
            Rise(_) => {
                let rises = names.iter().map(|name| storm.rise(name).map(|rise| rise as f64));
                rises.sum()
            }
            Mean(_) => names.first().and_then(|name| storm.mean(name)),
            Last(_) => names.first().and_then(|name| storm.last(name)).map(|last| last as f64),
            Fixed(value) => Some(value),
        }
    }

    /// The same, above 0.
    fn corrected(self, storm: &Measured, names: &[&str]) -> Option<f64> {
        let correction = if matches!(self, Fixed(_)) { 0.0 } else { HALF };
        Some(self.value(storm, names)? + correction)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_words_that_are_there_once_and_no_more_are_tested_than_may_be() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        // A report of 80 columns has so much room.
        assert!(names.iter().all(|name| name.len() <= 20));
        assert!(METRICS.iter().filter(|metric| metric.by_default).count() <= MOST_TESTED);
        assert!(
            METRICS.is_sorted_by_key(|metric| !metric.by_default),
            "the tested ones come first"
        );
    }
}
