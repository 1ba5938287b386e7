// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `compare`: pairs of storms, one on each kernel, until the sequential rule has its answer.
//!
//! Both storms of a pair have the same seed. They are begun in the turns A B B A, so that whatever drifts on this machine
//! meets both kernels alike. After as many pairs as a look takes ([`reports::statistics::rule`]) the pairs are compared,
//! and only if that leaves something open are there more.

use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use reports::comparison::{Answer, Request, compare};
use reports::event::Cell;
use reports::run::RunReport;
use reports::statistics::rule::LOOKS;

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};

/// What to run.
#[derive(Debug)]
pub struct Pairs {
    /// The kernel that the other one is measured by.
    pub a: Arc<Group>,
    /// The kernel that may have regressed.
    pub b: Arc<Group>,
    /// The run's seed.
    pub seed: u64,
    /// How long each storm is, in guest time.
    pub storm: Duration,
    /// Most pairs that are begun, those included that come to nothing.
    pub most: u32,
    /// How they are compared. The ids of its runs are left empty here: there is one run.
    pub request: Request,
    /// Pairs that were begun; 0 to begin with.
    pub begun: u32,
}

impl Pairs {
    /// A cell of one side; `number` counts from 1.
    fn job(&self, is_b: bool, number: u32) -> CellJob {
        let (side, group) = if is_b { ("b", &self.b) } else { ("a", &self.a) };
        let mut cell = Cell {
            id: format!("{side}-{number}"),
            number,
            seed: Random::new(self.seed, &format!("pair {number}")).draw(),
            ..group.cell()
        };
        cell.key = cell.stable_key();
        CellJob::new(cell, Arc::clone(group), self.storm)
    }

    /// So many more pairs, as far as there may be more.
    fn next(&mut self, pairs: usize) -> Vec<CellJob> {
        let first = self.begun + 1;
        let pairs = u32::try_from(pairs).unwrap_or(u32::MAX);
        self.begun = self.begun.saturating_add(pairs).min(self.most);
        let turns = (first..=self.begun).flat_map(|number| {
            let b_first = number % 2 == 0;
            [(b_first, number), (!b_first, number)]
        });
        turns.map(|(is_b, number)| self.job(is_b, number)).collect()
    }

    /// The request, of the only run of `report`.
    pub fn request_of(&self, report: &RunReport) -> Request {
        let runs: Vec<String> = report.runs.iter().map(|run| run.id.to_string()).collect();
        let mut request = self.request.clone();
        (request.a.runs, request.b.runs) = (runs.clone(), runs);
        request
    }
}

impl Campaign for Pairs {
    fn begin(&mut self) -> Vec<CellJob> {
        self.next(LOOKS[0].pairs)
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        if report.cells.iter().any(|cell| !cell.finished) {
            return Vec::new();
        }
        let Ok(comparison) = compare(report, &self.request_of(report)) else { return Vec::new() };
        if !matches!(comparison.answer, Answer::TooFew { .. }) {
            return Vec::new();
        }
        // Pairs that came to nothing are made good.
        let have = comparison.pairs.len();
        let look = LOOKS.iter().find(|look| look.pairs > have);
        look.map_or_else(Vec::new, |look| self.next(look.pairs - have))
    }
}

#[cfg(test)]
mod tests;
