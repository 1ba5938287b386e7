// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is searched, as a log has it, and the search as a fold over the cells that were run for it.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Verdict};
use super::branch::Merge;
use super::evidence::{Predicate, measured, outcome};
use super::statistic::Statistic;
use super::told::Label;
use super::{Commit, Options, Outcome, Search, Step};
use crate::comparison::metric;
use crate::run::{Boot, CellReport, RunReport};

/// What a build takes, in seconds, before one was measured.
const USUAL_BUILD: f64 = 300.0;
/// What a guest takes beside its storm, in seconds, before one was measured.
const USUAL_BOOT: f64 = 10.0;

/// Kernels in the order of their history, and what is searched among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The kernels: the first one without the bug, the last one with it; where the fix is searched, that is the fixed one first.
    pub positions: Vec<Position>,
    /// What is searched for.
    pub predicate: Predicate,
    /// Probability that the answer must have; above 0.5 and below 1.
    pub confidence: f64,
    /// What all of it may take, in seconds; `None`: as long as it takes.
    #[serde(default)]
    pub budget: Option<f64>,
    /// A whole storm, in milliseconds of guest time.
    pub storm_ms: u64,
    /// Whether the change is searched that fixed the bug.
    #[serde(default)]
    pub is_fix: bool,
    /// The merge whose branch this is, if another search of the run named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
}

/// A kernel of a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// [`crate::event::Cell::population`] of its cells.
    pub population: String,
    /// Words for it.
    pub label: Label,
    /// How probable it is that the change from the kernel before is the culprit, beside others; above 0.
    pub weight: f64,
}

impl Range {
    /// The search as far as these cells tell; `spent` is what it took, in seconds. `None` if there is nothing to search, or a
    /// number is not what it must be.
    pub fn fold<'r>(
        &self,
        cells: impl Iterator<Item = &'r CellReport> + Clone,
        spent: f64,
    ) -> Option<Search> {
        let options = Options {
            confidence: self.confidence,
            run: self.run_cost(cells.clone()),
            budget: self.budget.unwrap_or(f64::INFINITY),
            ..match &self.predicate {
                Predicate::Regression(_) => Options::measured(),
                predicate if predicate.is_certain() => Options::certain(),
                _ => Options::default(),
            }
        };
        let build = build_cost(cells.clone());
        let commit = |position: &Position| Commit { weight: position.weight, build };
        let commits: Vec<Commit> = self.positions.iter().skip(1).map(commit).collect();
        let mut search = Search::new(options, build, &commits)?;
        let statistic = match &self.predicate {
            Predicate::Regression(name) => {
                let metric = metric::choose(std::slice::from_ref(name)).ok()?.first().copied()?;
                let cells: Vec<&CellReport> = cells.clone().collect();
                Some(Statistic::of(metric, self, &cells))
            }
            _ => None,
        };
        // Only a search that has begun chooses whom to run again.
        if let Some((pairs, assessment)) = statistic.as_ref().and_then(|s| s.ends.clone()) {
            search.compare_ends(pairs, assessment);
        }
        // Kernels by their images, which tell what inputs do not: a change of what is not compiled gives the same kernel.
        let mut keys: Vec<(&str, usize)> = Vec::new();
        for (number, cell) in cells.enumerate() {
            let Some(at) = self.position_of(cell) else { continue };
            let outcome = match &statistic {
                Some(statistic) => measured(cell, statistic.values[number]),
                None => outcome(cell, &self.predicate, self.storm_ms),
            };
            let Some(outcome) = outcome else { continue };
            if let Some(kernel) = &cell.kernel
                && outcome != Outcome::Untestable
                && !keys.iter().any(|(_, of)| *of == at)
            {
                let own = kernel.image.as_deref().unwrap_or(&kernel.key);
                match keys.iter().find(|(key, _)| *key == own) {
                    Some((_, other)) => search.seen(at, Outcome::SameAs(*other)),
                    None => search.seen(at, Outcome::Built),
                }
                keys.push((own, at));
            }
            search.seen(at, outcome);
        }
        search.spend(spent);
        Some(search)
    }

    /// Which of the kernels a cell ran.
    pub fn position_of(&self, cell: &CellReport) -> Option<usize> {
        let population = cell.cell.population();
        self.positions.iter().position(|own| own.population == population)
    }

    /// Words for each position.
    pub fn labels(&self) -> Vec<Label> {
        self.positions.iter().map(|position| position.label.clone()).collect()
    }

    /// What a guest takes, in seconds.
    fn run_cost<'r>(&self, cells: impl Iterator<Item = &'r CellReport>) -> f64 {
        let own = cells.filter(|cell| self.position_of(cell).is_some());
        let took =
            |boot: &Boot| boot.boot_ms.map(|ms| (ms + boot.exposure.guest_ms) as f64 / 1000.0);
        let took: Vec<f64> = own.flat_map(|cell| &cell.boots).filter_map(took).collect();
        match took.len() {
            0 => self.storm_ms as f64 / 1000.0 + USUAL_BOOT,
            n => (took.iter().sum::<f64>() / n as f64).max(0.001),
        }
    }
}

impl RunReport {
    /// The searches among its runs, each with what all of its cells tell: those of runs that were gone on with count. Behind one
    /// that named a merge stands that of the branch.
    pub fn searches(&self) -> Vec<(&Range, Search)> {
        let ranges = self
            .runs
            .iter()
            .flat_map(|run| run.range.iter().chain(&run.branches).map(move |range| (run, range)));
        let folded = ranges.filter_map(|(run, range)| {
            Some((range, range.fold(self.cells.iter(), run.ms as f64 / 1000.0)?))
        });
        folded.collect()
    }
}

impl Search {
    /// The answer, or what is known where there is none yet.
    pub fn conclusion(&self) -> Answer {
        match self.next() {
            Step::Done(answer) => *answer,
            Step::Build { .. } | Step::Run { .. } | Step::Ends { .. } => {
                self.answer(Verdict::Undecided)
            }
        }
    }
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
