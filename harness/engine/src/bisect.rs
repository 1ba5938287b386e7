// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `bisect`: runs the kernels that the search asks for ([`reports::search`]).
//!
//! The search is folded from the report each time, so it is in the log alone: a run that was cut is gone on with from its
//! log, and what earlier runs saw of the same kernels counts.

use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use reports::event::Cell;
use reports::run::{CellReport, RunReport};
use reports::search::evidence::{Predicate, outcome};
use reports::search::{Commit, Options, Outcome, Search, Step};
use reports::verdict::CellVerdict;

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};

/// What a build takes, in seconds, before one was measured.
const USUAL_BUILD: f64 = 300.0;
/// What a guest takes beside its storm, in seconds, before one was measured.
const USUAL_BOOT: f64 = 10.0;
/// So many faults of the machine in a row end it: it will not mend itself.
const MOST_FAULTS: usize = 5;

/// A kernel of the range.
#[derive(Debug)]
pub struct Position {
    /// The kernel and its storm.
    pub group: Arc<Group>,
    /// How probable it is that the change from the kernel before is the culprit, beside others; above 0.
    pub weight: f64,
}

/// What to run.
#[derive(Debug)]
pub struct Bisect {
    /// Kernels: the first one without the bug, the last one with it.
    pub positions: Vec<Position>,
    /// How to search; costs and budget are in seconds.
    pub options: Options,
    /// What to search for.
    pub predicate: Predicate,
    /// The run's seed.
    pub seed: u64,
    /// How long each guest storms, in guest time.
    pub storm: Duration,
    /// Guests side by side.
    pub side_by_side: u32,
    /// What earlier runs saw.
    pub before: Option<RunReport>,
}

impl Bisect {
    /// The search as far as `report`, and the runs before it, tell. `None` if there is nothing to search, or an option is not
    /// what it must be.
    pub fn fold(&self, report: &RunReport) -> Option<Search> {
        let cells = || self.before.iter().chain([report]).flat_map(|report| &report.cells);
        let options = Options { run: self.run_cost(cells()), ..self.options };
        let build = build_cost(cells());
        let commit = |position: &Position| Commit { weight: position.weight, build };
        let commits: Vec<Commit> = self.positions.iter().skip(1).map(commit).collect();
        let mut search = Search::new(options, build, &commits)?;
        let populations: Vec<String> =
            self.positions.iter().map(|position| position.group.cell().population()).collect();
        let storm = u64::try_from(self.storm.as_millis()).unwrap_or(u64::MAX);
        let mut keys: Vec<(&str, usize)> = Vec::new();
        for cell in cells() {
            let population = cell.cell.population();
            let Some(at) = populations.iter().position(|own| *own == population) else { continue };
            let Some(outcome) = outcome(cell, self.predicate, storm) else { continue };
            if let Some(kernel) = &cell.kernel
                && outcome != Outcome::Untestable
                && !keys.iter().any(|(_, of)| *of == at)
            {
                match keys.iter().find(|(key, _)| *key == kernel.key) {
                    Some((_, other)) => search.seen(at, Outcome::SameAs(*other)),
                    None => search.seen(at, Outcome::Built),
                }
                keys.push((&kernel.key, at));
            }
            search.seen(at, outcome);
        }
        search.spend(report.runs.iter().map(|run| run.ms as f64 / 1000.0).sum());
        Some(search)
    }

    /// What a guest takes, in seconds.
    fn run_cost<'r>(&self, cells: impl Iterator<Item = &'r CellReport>) -> f64 {
        let boots = cells.flat_map(|cell| &cell.boots);
        let took = |boot: &reports::run::Boot| {
            boot.boot_ms.map(|ms| (ms + boot.exposure.guest_ms) as f64 / 1000.0)
        };
        let took: Vec<f64> = boots.filter_map(took).collect();
        match took.len() {
            0 => self.storm.as_secs_f64() + USUAL_BOOT,
            n => (took.iter().sum::<f64>() / n as f64).max(0.001),
        }
    }

    /// A cell of a position.
    fn job(&self, at: usize, number: u32) -> CellJob {
        let group = &self.positions[at].group;
        let mut cell = Cell {
            id: format!("at{at}-{number}"),
            number,
            seed: Random::new(self.seed, &format!("bisect {at} {number}")).draw(),
            ..group.cell()
        };
        cell.key = cell.stable_key();
        CellJob::new(cell, Arc::clone(group), self.storm)
    }

    fn jobs(&mut self, at: usize, times: u32, report: &RunReport) -> Vec<CellJob> {
        let population = self.positions[at].group.cell().population();
        // Those of earlier runs have taken their numbers, and with them their seeds.
        let all = self.before.iter().chain([report]).flat_map(|report| &report.cells);
        let of_position = |cell: &&CellReport| cell.cell.population() == population;
        let cells: Vec<&CellReport> = all.filter(of_position).collect();
        let begun = u32::try_from(cells.len()).unwrap_or(u32::MAX - 1_000);
        let is_unprepared = |cell: &&CellReport| is_fault(cell) && cell.boots.is_empty();
        let failed = cells.last().is_some_and(is_unprepared);
        // What could not be prepared for the machine's fault is prepared anew.
        if failed {
            let group = &mut self.positions[at].group;
            *group = Arc::new(Group::clone(group));
        }
        (1..=times).map(|more| self.job(at, begun + more)).collect()
    }

    fn next(&mut self, report: &RunReport) -> Vec<CellJob> {
        if is_stalled(report) {
            return Vec::new();
        }
        match self.fold(report).map(|search| search.next()) {
            Some(Step::Build { at }) => self.jobs(at, 1, report),
            Some(Step::Run { at, times }) => {
                self.jobs(at, times.min(self.side_by_side.max(1)), report)
            }
            Some(Step::Done(_)) | None => Vec::new(),
        }
    }
}

impl Campaign for Bisect {
    fn begin(&mut self) -> Vec<CellJob> {
        self.next(&RunReport::default())
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        if report.cells.iter().any(|cell| !cell.finished) {
            return Vec::new();
        }
        self.next(report)
    }
}

/// Whether the machine under us fails again and again.
pub fn is_stalled(report: &RunReport) -> bool {
    let last = report.cells.iter().rev().take(MOST_FAULTS);
    report.cells.len() >= MOST_FAULTS && last.into_iter().all(is_fault)
}

fn is_fault(cell: &CellReport) -> bool {
    matches!(cell.verdict, CellVerdict::Infrastructure { .. })
}

/// What a build takes, in seconds: the mean of those that were made, without the first one, for which there were no objects.
fn build_cost<'r>(cells: impl Iterator<Item = &'r CellReport>) -> f64 {
    let mut took: Vec<(&str, f64)> = Vec::new();
    for kernel in cells.filter_map(|cell| cell.kernel.as_ref()).filter(|kernel| !kernel.cached) {
        if !took.iter().any(|(key, _)| *key == kernel.key) {
            took.push((&kernel.key, kernel.ms as f64 / 1000.0));
        }
    }
    let later = if took.len() > 1 { &took[1..] } else { &took[..] };
    match later.len() {
        0 => USUAL_BUILD,
        n => later.iter().map(|(_, seconds)| seconds).sum::<f64>() / n as f64,
    }
}

#[cfg(test)]
mod tests;
