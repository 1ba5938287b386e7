// SPDX-License-Identifier: MIT OR Apache-2.0
//! The map of a hunt: sites by actors, with what was seen there, folded from events.
//!
//! "Nothing was reported" is worth what the map holds: a site that nobody came to, or beside which the other side
//! never got anything done, was not put to the test.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::event::{Beside, Outcome, Site, SiteCounts, Sleep, Suspect};
use crate::finding::Finding;
use crate::method::{self, OwnReport};

/// Most sites kept. More only come from a log that forges them.
const MAX_SITES: usize = 20_000;
/// Most suspects kept.
const MAX_SUSPECTS: usize = 64;
/// Probability with which the bounds hold.
const CONFIDENCE: f64 = 0.95;

/// Why a report may be the sleep's own: it is of a type that a sleep can bring about, and its
/// sleeper had met nobody. What is said about memory is the kernel's, whoever slept where.
pub fn artefact(finding: &Finding, suspect: Option<&Suspect>) -> Option<OwnReport> {
    let lone = suspect.filter(|suspect| suspect.done == 0 && method::may_follow(finding))?;
    let Suspect { site, actor, .. } = lone;
    let why = format!("a task slept at {site}, and {actor} had done nothing beside it");
    Some(OwnReport { point: site.clone(), why })
}

/// The map of a hunt.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HuntMap {
    /// How many sites there are, reached or not.
    pub chosen: u64,
    /// In how many functions.
    pub functions: u64,
    /// Id of the run whose hunt this one went on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Those that something is known of, by name.
    pub sites: BTreeMap<String, Site>,
    /// Who had slept when reports came, by the report's title; the first of each.
    pub suspects: BTreeMap<String, Option<Suspect>>,
}

/// What all sites come to beside one actor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// Sites at which a sleep was overtaken at least once.
    pub overtaken: u64,
    /// Sleeps that were.
    pub overlaps: u64,
    /// Sites that are protected.
    pub protected: u64,
    /// The fewest overlaps at a site that was overtaken.
    pub fewest: u64,
}

impl Sum {
    /// Upper bound on the probability that one overlap at a site that was overtaken brings about a report, given that none
    /// came: 1 - 0.05^(1/n) for the site with the fewest.
    pub fn bound(&self) -> Option<f64> {
        (self.fewest > 0).then(|| 1.0 - (1.0 - CONFIDENCE).powf(1.0 / self.fewest as f64))
    }
}

impl HuntMap {
    /// Where a hunt will be.
    pub(crate) fn chosen(&mut self, sites: u64, functions: u64) {
        (self.chosen, self.functions) = (sites, functions);
    }

    /// What an earlier hunt knew.
    pub(crate) fn known(&mut self, after: &str, sites: &BTreeMap<String, Site>) {
        self.after = Some(after.to_owned());
        for (name, known) in sites {
            if let Some(site) = self.site(name) {
                site.clone_from(known);
            }
        }
    }

    /// Counts of the newest machine for these sites.
    pub(crate) fn mapped(&mut self, sites: &BTreeMap<String, SiteCounts>) {
        for (name, counts) in sites {
            if let Some(site) = self.site(name) {
                site.counts = counts.clone();
            }
        }
    }

    /// A sleep is over.
    pub(crate) fn slept(&mut self, sleep: &Sleep) {
        let Some(site) = self.site(&sleep.site) else { return };
        let beside = site.beside.entry(sleep.actor.clone()).or_default();
        match sleep.outcome {
            Outcome::Overlapped => beside.overlapped += 1,
            Outcome::Partly => beside.partly += 1,
            Outcome::Blocked => beside.blocked += 1,
            Outcome::Cut => {}
        }
    }

    /// A report came.
    pub(crate) fn suspected(&mut self, title: &str, suspect: Option<&Suspect>) {
        if self.suspects.len() < MAX_SUSPECTS {
            self.suspects.entry(title.to_owned()).or_insert_with(|| suspect.cloned());
        }
    }

    fn site(&mut self, name: &str) -> Option<&mut Site> {
        if self.sites.len() >= MAX_SITES && !self.sites.contains_key(name) {
            return None;
        }
        Some(self.sites.entry(name.to_owned()).or_default())
    }

    /// Sites that somebody came to.
    pub fn reached(&self) -> u64 {
        self.sites.values().filter(|site| site.counts.reached > 0).count() as u64
    }

    /// Sites that somebody came to who may sleep there.
    pub fn may_sleep(&self) -> u64 {
        self.sites.values().filter(|site| site.counts.may_sleep()).count() as u64
    }

    /// Sleeps that are over, cut ones not counted.
    pub fn sleeps(&self) -> u64 {
        let all = self.sites.values().flat_map(|site| site.beside.values());
        all.map(|beside| beside.overlapped + beside.partly + beside.blocked).sum()
    }

    /// All actors that were asked for something.
    pub fn actors(&self) -> BTreeSet<&str> {
        self.sites.values().flat_map(|site| site.beside.keys()).map(String::as_str).collect()
    }

    /// What all sites come to beside one actor.
    pub fn sum(&self, actor: &str) -> Sum {
        let mut sum = Sum::default();
        for beside in self.sites.values().filter_map(|site| site.beside.get(actor)) {
            let overlaps = beside.overlapped + beside.partly;
            sum.overlaps += overlaps;
            sum.protected += u64::from(beside.is_protected());
            if overlaps > 0 {
                sum.overtaken += 1;
                sum.fewest = if sum.fewest == 0 { overlaps } else { sum.fewest.min(overlaps) };
            }
        }
        sum
    }

    /// What is known of each function, by name: its sites that were reached, those that may be slept at, and what the
    /// sleeps there came to, by actor.
    pub fn by_function(&self) -> BTreeMap<&str, FunctionSum<'_>> {
        let mut functions: BTreeMap<&str, FunctionSum<'_>> = BTreeMap::new();
        for (name, site) in &self.sites {
            let function = name.split_once(':').map_or(name.as_str(), |(function, _)| function);
            let sum = functions.entry(function).or_default();
            sum.reached += u64::from(site.counts.reached > 0);
            sum.may_sleep += u64::from(site.counts.may_sleep());
            for (actor, beside) in &site.beside {
                let all = sum.beside.entry(actor).or_default();
                all.overlapped += beside.overlapped;
                all.partly += beside.partly;
                all.blocked += beside.blocked;
            }
        }
        functions
    }
}

/// What is known of the sites of one function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionSum<'a> {
    /// Sites that somebody came to.
    pub reached: u64,
    /// Sites that somebody came to who may sleep there.
    pub may_sleep: u64,
    /// Sleeps, by actor.
    pub beside: BTreeMap<&'a str, Beside>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleep(site: &str, outcome: Outcome) -> Sleep {
        let (site, actor) = (site.to_owned(), "swapoff".to_owned());
        Sleep { site, actor, outcome, done: 0, ms: 20 }
    }

    #[test]
    fn sleeps_are_told_apart_by_what_the_other_side_got_done() {
        let mut map = HuntMap::default();
        map.chosen(9, 3);
        let counts = |reached, refused: u64| SiteCounts {
            reached,
            refused: BTreeMap::from([("rcu-reader".to_owned(), refused)]),
        };
        map.mapped(&BTreeMap::from([
            ("f:a#1".to_owned(), counts(3, 3)),
            ("f:b#1".to_owned(), counts(3, 2)),
            ("g:a#1".to_owned(), counts(1, 0)),
        ]));
        for outcome in [Outcome::Blocked, Outcome::Blocked, Outcome::Cut] {
            map.slept(&sleep("f:b#1", outcome));
        }
        for outcome in [Outcome::Overlapped, Outcome::Partly, Outcome::Blocked] {
            map.slept(&sleep("g:a#1", outcome));
        }
        map.slept(&sleep("h:a#1", Outcome::Overlapped));
        assert_eq!((map.reached(), map.may_sleep(), map.sleeps()), (3, 2, 6));
        let sum = map.sum("swapoff");
        assert_eq!(sum, Sum { overtaken: 2, overlaps: 3, protected: 1, fewest: 1 });
        assert!((sum.bound().unwrap() - 0.95).abs() < 1e-9);
        assert_eq!(map.sum("cpu").bound(), None);
        let functions = map.by_function();
        assert_eq!((functions["f"].reached, functions["f"].may_sleep), (2, 1));
        assert_eq!(
            functions["g"].beside["swapoff"],
            Beside { overlapped: 1, partly: 1, blocked: 1 }
        );
    }

    #[test]
    fn a_report_that_a_sleep_can_bring_about_is_its_own_only_if_nothing_was_done_beside_it() {
        let suspect = |done| Suspect {
            site: "f:a#1".to_owned(),
            actor: "swapoff".to_owned(),
            done,
            asleep: false,
            in_stack: true,
        };
        let of = |kind: &str| Finding { kind: kind.to_owned(), ..Finding::default() };
        for kind in ["WARNING", "LOCKDEP", "HANG", "ATOMIC_SLEEP"] {
            let own = artefact(&of(kind), Some(&suspect(0))).unwrap();
            assert_eq!(own.point, "f:a#1");
            assert!(own.why.contains("swapoff had done nothing"), "{}", own.why);
            assert_eq!(artefact(&of(kind), Some(&suspect(1))), None);
            // The storm alone may bring it about.
            assert_eq!(artefact(&of(kind), None), None);
        }
        // What is said about memory is the kernel's.
        assert_eq!(artefact(&of("KASAN-USE-AFTER-FREE-READ"), Some(&suspect(0))), None);
    }

    #[test]
    fn the_first_suspect_of_a_report_is_kept() {
        let suspect = |site: &str| Suspect {
            site: site.to_owned(),
            actor: "swapoff".to_owned(),
            done: 4,
            asleep: false,
            in_stack: true,
        };
        let mut map = HuntMap::default();
        map.suspected("BUG", Some(&suspect("f:a#1")));
        map.suspected("BUG", Some(&suspect("f:b#1")));
        map.suspected("WARNING", None);
        assert_eq!(map.suspects["BUG"].as_ref().unwrap().site, "f:a#1");
        assert_eq!(map.suspects["WARNING"], None);
    }
}
