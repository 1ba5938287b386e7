// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `repro`: the bug on the kernel that has it, then the fixed kernel through as much as it
//! takes to tell the two apart.
//!
//! First several guests of the buggy kernel are run, since each sight of the bug makes the estimate of its rate
//! better, and the fixed side shorter: after one sight the fixed kernel must stand 19 times its exposure (at a
//! confidence of 0.95), after three 1.7 times the exposure of all three ([`reports::proof`]).

use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use reports::event::{Cell, Exposure};
use reports::run::{Boot, RunReport};

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};

/// So many guests of the buggy kernel are run at least.
const FEWEST_SIGHTS: u32 = 3;
/// So often the fixed side gets more guests, where those before did not suffice.
const MOST_ROUNDS: u32 = 3;
/// The fixed side may take so many times as long as the buggy side's pace promises.
const PATIENCE: f64 = 4.0;
/// Longest storm of a fixed guest, whatever the pace promises.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// What to run.
#[derive(Debug)]
pub struct Repro {
    /// The kernel with the bug.
    pub buggy: Arc<Group>,
    /// The same without it.
    pub fixed: Arc<Group>,
    /// The run's seed.
    pub seed: u64,
    /// Guests of each kernel, as the user asked for.
    pub runs: u32,
    /// Fixed guests side by side, where one would do.
    pub side_by_side: u32,
    /// Longest storm of a buggy guest, in guest time, and shortest budget of a fixed one.
    pub budget: Duration,
    /// Probability with which an unfixed kernel must have shown the bug.
    pub confidence: f64,
    /// Rounds of fixed guests that were planned; 0 to begin with.
    pub rounds: u32,
}

impl Repro {
    fn buggy_cells(&self) -> u32 {
        self.runs.max(FEWEST_SIGHTS)
    }

    /// A cell of one side; `number` counts from 1.
    fn cell(&self, fixed: bool, number: u32, wanted: Option<Exposure>) -> Cell {
        let (side, group) = if fixed { ("fixed", &self.fixed) } else { ("buggy", &self.buggy) };
        let mut cell = Cell {
            id: format!("{side}-{number}"),
            number,
            seed: Random::new(self.seed, &format!("{side} {number}")).draw(),
            should_show: Some(!fixed),
            wanted,
            ..group.cell()
        };
        cell.key = cell.stable_key();
        cell
    }

    /// How long a fixed guest may storm for `wanted`, at the pace of the buggy ones.
    fn fixed_budget(&self, report: &RunReport, wanted: &Exposure) -> Duration {
        let had = report.evidence_for(&self.fixed.cell()).exposure;
        let times = |wanted: u64, had: u64| wanted as f64 / had.max(1) as f64;
        let times = times(wanted.windows, had.windows)
            .max(times(wanted.swapoffs, had.swapoffs))
            .max(times(wanted.cpu_offs, had.cpu_offs));
        let took = Duration::from_millis(had.guest_ms);
        let paced = took.as_secs_f64() * times * PATIENCE;
        Duration::try_from_secs_f64(paced).unwrap_or(LONGEST).clamp(self.budget, LONGEST)
    }

    /// The fixed guests of the next round; none if nothing more can be learned.
    fn fixed_cells(&mut self, report: &RunReport) -> Vec<CellJob> {
        let planned = |cell: &&reports::run::CellReport| cell.cell.should_show == Some(false);
        let before = report.cells.iter().filter(planned).count();
        let Ok(before) = u32::try_from(before) else { return Vec::new() };
        let total = match self.rounds {
            0 => reports::proof::wanted_exposure(
                &report.evidence_for(&self.fixed.cell()),
                self.confidence,
            ),
            _ => missing(report),
        };
        // Nothing can be compared with a bug that nobody saw.
        let Some(total) = total else { return Vec::new() };
        self.rounds += 1;
        let guests = if self.rounds == 1 { self.runs } else { 1 }.max(self.side_by_side);
        let share = |sum: u64| sum.div_ceil(u64::from(guests));
        let wanted = Exposure {
            windows: share(total.windows),
            swapoffs: share(total.swapoffs),
            cpu_offs: share(total.cpu_offs),
            ..Exposure::default()
        };
        let budget = self.fixed_budget(report, &wanted);
        let numbers = before + 1..=before + guests;
        numbers
            .map(|number| {
                CellJob::new(self.cell(true, number, Some(wanted)), Arc::clone(&self.fixed), budget)
            })
            .collect()
    }
}

/// What the fixed side still lacks; `None` if it lacks nothing, or can have none.
fn missing(report: &RunReport) -> Option<Exposure> {
    let proofs = report.proofs();
    let missing = proofs.first()?.missing()?.exposure;
    (missing != Exposure::default()).then_some(missing)
}

impl Campaign for Repro {
    fn begin(&mut self) -> Vec<CellJob> {
        let buggy = 1..=self.buggy_cells();
        buggy
            .map(|number| {
                let cell = self.cell(false, number, None);
                CellJob::new(cell, Arc::clone(&self.buggy), self.budget)
            })
            .collect()
    }

    fn foresee(&self) -> Vec<(Arc<Group>, String)> {
        vec![(Arc::clone(&self.fixed), "fixed-1".to_owned())]
    }

    fn missed(&mut self, group: &Arc<Group>) -> Option<CellJob> {
        let (cell, budget) = (self.cell(true, 1, None), self.budget);
        let group = Arc::ptr_eq(group, &self.fixed).then(|| Arc::clone(group))?;
        Some(CellJob::new(cell, group, budget))
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        let open = report.cells.iter().any(|cell| !cell.finished);
        if open || self.rounds >= MOST_ROUNDS {
            return Vec::new();
        }
        // A kernel whose guests never came up is no measure for another.
        if !report.cells.iter().any(|cell| cell.boots.iter().any(Boot::ready)) {
            return Vec::new();
        }
        self.fixed_cells(report)
    }
}

#[cfg(test)]
mod tests;
