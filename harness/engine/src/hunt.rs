// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine's side of a hunt: what goes between the hunter, the guest's agent and the event log.

mod case;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use machine::hunt::{self, Act, Actor, Cue, HuntPlan, Mapped, Note, Request};
use reports::event::{Cell, Exposure, Outcome, SiteCounts, Sleep, What};
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

/// The event that tells where a cell is hunted in.
pub fn chosen(cell: &str, plan: &HuntPlan) -> What {
    let (sites, functions) = (plan.sites().len() as u64, plan.functions() as u64);
    What::SitesChosen { cell: cell.to_owned(), sites, functions }
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
