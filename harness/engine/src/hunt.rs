// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine's side of a hunt: what goes between the hunter, the guest's agent and the event log.

mod case;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use machine::hunt::{self, Act, Actor, Cue, HuntPlan, Learnt, Mapped, Met, Note, Request};
use machine::stretch::Refusal;
use reports::event::{Cell, Exposure, KernelFacts, Outcome, Site, SiteCounts, Sleep, What};
use reports::hunt::HuntMap;
use reports::run::RunReport;
use reports::telemetry::Acted;
use tokio::sync::mpsc;

pub use case::Case;

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};

/// Notes and cues that may wait. A hunter that has more to say waits, and its machine with it.
const BACKLOG: usize = 256;

/// The way between a hunter and whoever watches its machine.
#[derive(Debug)]
pub struct Line {
    /// What the hunter is told.
    pub cues: mpsc::Sender<Cue>,
    /// What it says.
    pub notes: mpsc::Receiver<Note>,
}

impl Line {
    /// The watcher's ends, and the hunter's.
    pub fn new() -> (Self, mpsc::Receiver<Cue>, mpsc::Sender<Note>) {
        let (cues, for_hunter) = mpsc::channel(BACKLOG);
        let (from_hunter, notes) = mpsc::channel(BACKLOG);
        (Self { cues, notes }, for_hunter, from_hunter)
    }
}

/// Sites in one event. A log's line has an end.
const SITES_AN_EVENT: usize = 1_000;

/// A hunt that another one goes on from.
#[derive(Debug)]
pub struct Earlier {
    /// Its run's id.
    pub run: String,
    /// The kernel that it was in.
    pub kernel: KernelFacts,
    /// What it has seen.
    pub map: HuntMap,
}

impl Earlier {
    /// The only hunt in a run; `None` if there is none, or if its kernel never was ready.
    pub fn of(report: &RunReport) -> Option<Self> {
        let mut hunts = report.cells.iter().filter(|cell| cell.hunt.is_some());
        let (cell, run) = (hunts.next()?, report.runs.first()?.id.clone());
        let (kernel, map) = (cell.kernel.clone()?, cell.hunt.clone()?);
        hunts.next().is_none().then_some(Self { run: run.to_string(), kernel, map })
    }

    /// What the hunter has to know of it.
    pub fn learnt(&self) -> impl Iterator<Item = (String, Learnt)> {
        let of = |site: &Site| Learnt {
            mapped: Mapped {
                reached: site.counts.reached,
                refused: by_name(&site.counts.refused, Refusal::by_name, |n| *n),
            },
            met: by_name(&site.beside, Actor::by_name, |beside| Met {
                passed: beside.overlapped.saturating_add(beside.partly),
                blocked: beside.blocked,
            }),
        };
        self.map.sites.iter().map(move |(name, site)| (name.clone(), of(site)))
    }
}

/// Leaves out what a newer program has named.
fn by_name<K: Ord, V, W>(
    map: &BTreeMap<String, V>,
    key: impl Fn(&str) -> Option<K>,
    value: impl Fn(&V) -> W,
) -> BTreeMap<K, W> {
    map.iter().filter_map(|(name, n)| Some((key(name)?, value(n)))).collect()
}

/// The event that tells where a cell is hunted in.
pub fn chosen(cell: &str, plan: &HuntPlan) -> What {
    let (sites, functions) = (plan.sites().len() as u64, plan.functions() as u64);
    What::SitesChosen { cell: cell.to_owned(), sites, functions }
}

/// The events that tell what an earlier hunt knew.
pub fn known(cell: &str, earlier: &Earlier) -> Vec<What> {
    let Earlier { run, map, .. } = earlier;
    let all: Vec<_> = map.sites.iter().collect();
    let event = |sites: &[(&String, &Site)]| What::SitesKnown {
        cell: cell.to_owned(),
        after: run.clone(),
        sites: sites.iter().map(|(name, site)| ((*name).clone(), (*site).clone())).collect(),
    };
    all.chunks(SITES_AN_EVENT).map(event).collect()
}

/// A request as the agent reads it: a line of its own.
pub fn words(request: Request) -> String {
    format!("act {} {}\n", request.number, request.actor)
}

/// What the agent has done; `None` for what it could not do, and for actors that nobody knows.
pub fn act(acted: &Acted) -> Option<Act> {
    let actor = Actor::by_name(&acted.actor).filter(|_| acted.errno.is_empty())?;
    Some(Act { request: acted.number, since: acted.since, actor, to: acted.to.clone() })
}

/// A map in the words of the event log.
pub fn sites(mapped: Vec<(String, Mapped)>) -> BTreeMap<String, SiteCounts> {
    let counts = |mapped: Mapped| SiteCounts {
        reached: mapped.reached,
        refused: mapped.refused.iter().map(|(why, n)| (why.as_str().to_owned(), *n)).collect(),
    };
    mapped.into_iter().map(|(name, mapped)| (name, counts(mapped))).collect()
}

/// A sleep in the words of the event log.
pub fn sleep(sleep: hunt::Sleep) -> Sleep {
    Sleep {
        site: sleep.site,
        actor: sleep.actor.to_string(),
        outcome: match sleep.outcome {
            hunt::Outcome::Overlapped => Outcome::Overlapped,
            hunt::Outcome::Partly => Outcome::Partly,
            hunt::Outcome::Blocked => Outcome::Blocked,
            hunt::Outcome::Cut => Outcome::Cut,
        },
        done: sleep.done as u64,
        ms: sleep.ms,
    }
}

/// The campaign of `hunt`: one guest that is hunted in.
#[derive(Debug)]
pub struct Hunt {
    group: Arc<Group>,
    seed: u64,
    budget: Duration,
    overlaps: Option<u64>,
    /// What it has found, as a case of its own.
    pub case: Option<Case>,
}

impl Hunt {
    /// A hunt in a group whose technique is that, for so long, or until so many sleeps were overtaken.
    pub fn new(group: Arc<Group>, seed: u64, budget: Duration, overlaps: Option<u64>) -> Self {
        Self { group, seed, budget, overlaps, case: None }
    }

    fn cell(&self) -> CellJob {
        let mut cell = Cell {
            id: "hunt".to_owned(),
            seed: Random::new(self.seed, "hunt").draw(),
            wanted: self.overlaps.map(|windows| Exposure { windows, ..Exposure::default() }),
            ..self.group.cell()
        };
        cell.key = cell.stable_key();
        let mut job = CellJob::new(cell, Arc::clone(&self.group), self.budget);
        // By whichever clock it comes first.
        job.time = Some(self.budget);
        job
    }
}

impl Campaign for Hunt {
    fn begin(&mut self) -> Vec<CellJob> {
        vec![self.cell()]
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        self.case = report.cells.iter().find_map(|cell| Case::of(&self.group.profile, cell));
        Vec::new()
    }
}

/// The campaign that shows a case again: guests in which tasks sleep at its site alone.
#[derive(Debug)]
pub struct Again {
    /// The case's group.
    pub group: Arc<Group>,
    /// The run's seed.
    pub seed: u64,
    /// So many guests.
    pub guests: u32,
    /// Longest storm of each, in guest time.
    pub budget: Duration,
}

impl Campaign for Again {
    fn begin(&mut self) -> Vec<CellJob> {
        let cell = |number: u32| {
            let mut cell = Cell {
                id: format!("case-{number}"),
                number,
                seed: Random::new(self.seed, &format!("case {number}")).draw(),
                should_show: Some(true),
                ..self.group.cell()
            };
            cell.key = cell.stable_key();
            CellJob::new(cell, Arc::clone(&self.group), self.budget)
        };
        (1..=self.guests).map(cell).collect()
    }

    fn more(&mut self, _report: &RunReport) -> Vec<CellJob> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use reports::event::{Beside, RunEvent};

    use super::*;

    #[test]
    fn what_an_earlier_hunt_knew_is_told_in_events_and_to_the_hunter() {
        let site = |reached| Site {
            counts: SiteCounts {
                reached,
                refused: BTreeMap::from([("stack".to_owned(), 1), ("newer".to_owned(), 7)]),
            },
            beside: BTreeMap::from([
                ("swapoff".to_owned(), Beside { overlapped: 2, partly: 1, blocked: 4 }),
                ("newer".to_owned(), Beside::default()),
            ]),
        };
        let sites = (0..2_500).map(|n| (format!("f:g#{n}"), site(n)));
        let map = HuntMap { sites: sites.collect(), ..HuntMap::default() };
        let kernel = KernelFacts {
            release: "6.1.192".to_owned(),
            compiler: String::new(),
            key: "k".to_owned(),
            cached: true,
            ms: 0,
            source: String::new(),
            patches: Vec::new(),
            warnings: None,
            image: None,
        };
        let earlier = Earlier { run: "R".to_owned(), kernel, map };

        let learnt: BTreeMap<String, Learnt> = earlier.learnt().collect();
        let expected = Learnt {
            mapped: Mapped { reached: 7, refused: BTreeMap::from([(Refusal::Stack, 1)]) },
            met: BTreeMap::from([(Actor::Swapoff, Met { passed: 3, blocked: 4 })]),
        };
        assert_eq!(learnt["f:g#7"], expected);

        let events = known("hunt", &earlier);
        let mut told = BTreeMap::new();
        for event in events {
            // As it stands in a log.
            let event = RunEvent { at_ms: 0, run: None, what: event };
            let text = serde_json::to_string(&event).unwrap();
            assert!(text.len() < reports::log::MAX_EVENT_BYTES);
            let read: RunEvent = serde_json::from_str(&text).unwrap();
            let What::SitesKnown { after, sites, .. } = read.what else { panic!("{text}") };
            assert_eq!((after.as_str(), read.run), ("R", None));
            told.extend(sites);
        }
        assert_eq!(told, earlier.map.sites);
    }
}
