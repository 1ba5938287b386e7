// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each bug is to the series: fixed, brought, or there before and after.

use serde::Serialize;

use super::{Cells, CheckFacts, Step, side};
use crate::event::Exposure;
use crate::proof::{Evidence, Missing, Proof};
use crate::rate::{self, RateBound};
use crate::run::{Bug, CellReport};
use crate::search::answer::{Answer, Verdict};
use crate::search::evidence::Predicate;
use crate::search::range::Range;
use crate::search::rate::RatePrior;
use crate::search::{self, Search};
use crate::statistics::binomial::{Share, share};

/// Most bugs that are told of. More only come from a guest that forges them.
const MOST_BUGS: usize = 20;
/// Most bugs whose patch is searched: what one patch breaks shows under several titles.
const MOST_SEARCHED: usize = 3;
/// Confidences for which it is told how much longer a fix takes.
const CONFIDENCES: [f64; 3] = [0.95, 0.99, 0.9999];

/// A bug, and what the series has to do with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Which one.
    pub bug: Predicate,
    /// The title of its first report.
    pub title: String,
    /// Whether it is another face of the bug that the profile expects.
    pub is_related: bool,
    /// On the base.
    pub base: Side,
    /// On the tip.
    pub tip: Side,
    /// What the series has to do with it.
    pub standing: Standing,
    /// What to run next to know more.
    #[serde(skip)]
    pub(super) wants: Option<Step>,
}

/// How often a bug showed on one kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Guests that say something.
    pub guests: u64,
    /// Those that showed it.
    pub hits: u64,
}

impl Side {
    /// The share of guests that show it, with its exact 95 % interval; `None` without a guest.
    pub fn share(&self) -> Option<Share> {
        share(self.hits, self.guests)
    }
}

/// What a series has to do with a bug.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Standing {
    /// The base shows it, and the tip has been silent for so long that luck does not explain it.
    Fixed(Box<Fix>),
    /// The base shows it, and the tip has not so far, which may be luck.
    Silent(Box<Fix>),
    /// Both show it.
    Unchanged,
    /// A patch brought it.
    Introduced {
        /// Position of the patch; where several patches cannot be told apart, of the first one.
        first: usize,
        /// Of the last one.
        last: usize,
        /// How probable that is.
        probability: f64,
    },
    /// The tip shows it, the base does not, and which patch brought it is not known.
    New {
        /// Probability that the base would have been as silent if it had the bug.
        silence: f64,
        /// The patch that is likeliest, as its position, and its probability; `None` if that is that the base has it, too.
        likeliest: Option<(usize, f64)>,
    },
}

/// How well a fix is proven.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fix {
    /// The bug's rate on the base, the exposure on the tip, and the probability of luck.
    pub proof: Proof,
    /// What the tip's silence says of the rate that is left, with 95 %.
    pub bounds: Vec<RateBound>,
    /// How much longer the tip has to be run.
    pub longer: Vec<Longer>,
}

/// How much longer something takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Longer {
    /// To be so sure.
    pub confidence: f64,
    /// Exposure, nothing included; `None`: no exposure suffices.
    pub exposure: Option<Exposure>,
    /// The same in guest milliseconds at the pace so far, where there is one.
    pub guest_ms: Option<u64>,
}

impl Found {
    /// Whether it is the bug that the profile expects.
    pub fn is_expected(&self) -> bool {
        self.bug == Predicate::Expected
    }

    /// What it has to say for the verdict: what speaks against the series, and what is open.
    pub(super) fn weigh(&self, facts: &CheckFacts, bad: &mut Vec<String>, open: &mut Vec<String>) {
        match &self.standing {
            Standing::Introduced { first, last, .. } => {
                bad.push(format!("{} brought a bug", facts.patches(*first, *last)));
            }
            Standing::New { silence, .. } if *silence <= 1.0 - facts.confidence => {
                bad.push("the series brought a bug, and which patch did is not known".to_owned());
            }
            Standing::New { .. } => {
                open.push(
                    "the tip shows a bug that the base has not shown, which may be luck".to_owned(),
                );
            }
            Standing::Unchanged if facts.fixes && (self.is_expected() || self.is_related) => {
                bad.push("the bug that is to be fixed is not".to_owned());
            }
            Standing::Silent(_) if self.wants.is_some() || facts.fixes && self.is_expected() => {
                open.push("the tip may be silent by luck".to_owned());
            }
            Standing::Fixed(_) | Standing::Silent(_) | Standing::Unchanged => {}
        }
    }
}

impl CheckFacts {
    /// Patches by their positions: `patch 2/3`, `one of the patches 1/3 to 2/3`.
    pub fn patches(&self, first: usize, last: usize) -> String {
        let all = self.tip();
        if first == last {
            return format!("patch {last}/{all}");
        }
        format!("one of the patches {first}/{all} to {last}/{all}, which cannot be told apart,")
    }

    /// The search for the patch that brought a bug.
    fn range(&self, bug: &Predicate) -> Range {
        Range {
            positions: self.positions.clone(),
            predicate: bug.clone(),
            confidence: self.confidence,
            budget: None,
            storm_ms: self.storm_ms,
            merge: None,
            is_fix: false,
        }
    }
}

impl Cells<'_> {
    /// All bugs, those that matter first.
    pub(super) fn bugs(&self) -> Vec<Found> {
        let tip = self.facts.tip();
        let mut seen: Vec<(Predicate, String, bool)> = Vec::new();
        for cell in [0, tip].into_iter().flat_map(|at| self.at(at)) {
            for one in bugs_of(cell) {
                if seen.len() < MOST_BUGS && !seen.iter().any(|(known, ..)| *known == one.0) {
                    seen.push(one);
                }
            }
        }
        let counted = seen.into_iter().map(|(bug, title, is_related)| {
            let [base, tip] = [0, tip].map(|at| side(self.at(at), &bug));
            Found { bug, title, is_related, base, tip, standing: Standing::Unchanged, wants: None }
        });
        let mut bugs: Vec<Found> = counted.collect();
        let has_expected = bugs.iter().any(|found| found.is_expected() && found.base.hits > 0);
        // What the tip alone shows, then what the profile is for, then what shows most often.
        bugs.sort_by_key(|found| {
            let is_new = found.base.hits == 0;
            (!is_new, !found.is_expected(), std::cmp::Reverse(found.base.hits + found.tip.hits))
        });
        let mut searched = 0;
        let mut is_main = true;
        for found in &mut bugs {
            match (found.base.hits, found.tip.hits) {
                // The base has the bug of which this is a rare face.
                (0, _) if found.is_related && has_expected => {}
                (0, _) => {
                    let (standing, wants) = self.brought(&found.bug);
                    found.standing = standing;
                    found.wants = wants.filter(|_| searched < MOST_SEARCHED);
                    searched += 1;
                }
                (_, 0) => {
                    // Of several the first is worth its time: a bug's rarer faces go with it.
                    let (standing, wants) = self.fixed(&found.bug);
                    let is_worth_it = std::mem::take(&mut is_main);
                    found.standing = standing;
                    found.wants = wants.filter(|_| is_worth_it);
                }
                _ => is_main = false,
            }
        }
        // Where the tip shows another face of it, the bug is there before and after.
        if bugs.iter().any(|found| found.is_related && found.tip.hits > 0) {
            for found in bugs.iter_mut().filter(|found| found.is_expected() && found.base.hits > 0)
            {
                (found.standing, found.wants) = (Standing::Unchanged, None);
            }
        }
        bugs
    }

    /// A bug that the tip alone shows.
    fn brought(&self, bug: &Predicate) -> (Standing, Option<Step>) {
        let range = self.facts.range(bug);
        let Some(search) = range.fold(self.all.iter().copied(), 0.0) else {
            return (Standing::New { silence: 1.0, likeliest: None }, None);
        };
        match search.next() {
            search::Step::Done(answer) => (standing_of(&search, &answer), None),
            search::Step::Build { at } => (open(&search), Some(Step::at(at, 1))),
            search::Step::Run { at, times } => (open(&search), Some(Step::at(at, times))),
            // A bug shows or does not: nothing is measured.
            search::Step::Ends { .. } => (open(&search), None),
        }
    }

    /// A bug that the base alone shows.
    fn fixed(&self, bug: &Predicate) -> (Standing, Option<Step>) {
        let facts = self.facts;
        let tip = facts.tip();
        let evidence = self.evidence(bug);
        let (machines, exposure) = self.clean_exposure(tip);
        let population =
            facts.positions.get(tip).map_or_else(String::new, |p| p.population.clone());
        let proof =
            |confidence| Proof::new(population.clone(), evidence, machines, exposure, confidence);
        let longer = |confidence: f64| {
            let missing: Option<Missing> = proof(confidence).missing();
            let exposure = missing.map(|missing| missing.exposure);
            let guest_ms = missing.and_then(|missing| missing.guest_ms);
            Longer { confidence, exposure, guest_ms }
        };
        let own = proof(facts.confidence);
        let fix = Box::new(Fix {
            bounds: rate::bounds(&exposure),
            longer: CONFIDENCES.into_iter().map(longer).collect(),
            proof: own.clone(),
        });
        if own.is_reached() {
            return (Standing::Fixed(fix), None);
        }
        (Standing::Silent(fix), Step::towards(&own, facts))
    }

    /// What the base's guests tell of a bug's rate. One of which no sample came tells nothing of it.
    fn evidence(&self, bug: &Predicate) -> Evidence {
        let mut evidence = Evidence::default();
        for cell in self.at(0).filter(|cell| cell.finished) {
            let sight = bug.first_sight(cell);
            for boot in cell.sound_boots().filter(|boot| boot.exposure.guest_ms > 0) {
                let own = sight.filter(|sight| sight.boot == boot.number);
                evidence.add(boot.exposure_until(own.map(|sight| sight.run_ms)), own.is_some());
            }
        }
        evidence
    }
}

/// The bugs that a cell showed, each once, with their titles, and whether they are other faces of the one that is expected.
fn bugs_of(cell: &CellReport) -> Vec<(Predicate, String, bool)> {
    let told = |bug: &Bug| {
        let predicate = Predicate::of(bug)?;
        let rule = cell.rule.as_deref().filter(|_| predicate != Predicate::Expected);
        let is_related = rule.is_some_and(|rule| rule.is_related(&bug.finding));
        Some((predicate, bug.finding.title.clone(), is_related))
    };
    let mut bugs: Vec<(Predicate, String, bool)> = cell.bugs.iter().filter_map(told).collect();
    if Predicate::Corruption.first_sight(cell).is_some() {
        let is_related = cell.rule.as_deref().is_some_and(|rule| rule.corruption.is_some());
        bugs.push((Predicate::Corruption, "data corruption".to_owned(), is_related));
    }
    bugs
}

/// What a search says that has come to its end.
fn standing_of(search: &Search, answer: &Answer) -> Standing {
    match answer.verdict {
        Verdict::Culprit { first, last } => {
            Standing::Introduced { first, last, probability: answer.probability }
        }
        Verdict::BugAtGoodEnd => Standing::Unchanged,
        _ => open(search),
    }
}

/// What is known while it is not known which patch brought a bug.
fn open(search: &Search) -> Standing {
    let (tallies, prior) = (search.tallies(), RatePrior::SOMETIMES);
    let (Some(base), Some(tip)) = (tallies.first(), tallies.last()) else {
        return Standing::New { silence: 1.0, likeliest: None };
    };
    let silence = prior.silence(f64::from(tip.hits), tip.clean, base.clean);
    let mass = search.posterior().mass().iter().enumerate();
    let likeliest = mass.max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, mass)| (at, *mass));
    let is_patch = |(at, _): &(usize, f64)| *at > 0 && *at < tallies.len();
    Standing::New { silence, likeliest: likeliest.filter(is_patch) }
}
