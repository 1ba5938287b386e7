// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a run ends before all its cells are run, because its plan wants it so.

use std::time::Duration;

use reports::event::Cell;
use reports::run::{CellReport, RunReport};
use reports::verdict::CellVerdict;
use tokio::time::Instant;

/// A run's limits. Without any, all cells are run.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// When its time is used up, and in words of what kind.
    pub end: Option<(Instant, String)>,
    /// When it has seen enough.
    pub stop: StopRules,
    /// Whether it waits while the machine is in trouble. Somebody who sits before it would rather hear of it.
    pub waits: bool,
}

impl Limits {
    /// The run may take so long from now on, and until a moment that is so far away; the earlier one counts.
    pub fn within(run: Option<Duration>, until: Option<(Duration, String)>) -> Self {
        let now = Instant::now();
        let run = run.map(|length| (length, "the run's time is used up".to_owned()));
        let earlier = run.into_iter().chain(until).min_by_key(|(length, _)| *length);
        // A time that no clock can hold is none.
        let end = earlier.and_then(|(length, why)| Some((now.checked_add(length)?, why)));
        Self { end, ..Self::default() }
    }
}

/// How much is enough. What is left out then is said to be so, and raises no alarm of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopRules {
    /// Cells with a bug that the plan does not know of, before nothing more is begun.
    pub bugs: Option<u32>,
    /// Runs of one cell that showed a bug, before the others are left out.
    pub same_cell: Option<u32>,
    /// Cells in a row that the machine under us failed, before nothing more is begun.
    pub infrastructure: Option<u32>,
}

/// What is not to be begun any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All goes on.
    GoOn,
    /// Further runs of a cell are left out.
    LeaveOut(String),
    /// Nothing more is begun. `planned`: it is no fault.
    Stop {
        /// Why.
        why: String,
        /// Whether the plan has its answer.
        planned: bool,
    },
}

/// Counts, cell by cell, towards the [`StopRules`].
#[derive(Debug, Default)]
pub struct Tally {
    bugs: u32,
    failures: u32,
}

impl Tally {
    /// Takes in a cell that has finished.
    pub fn finished(
        &mut self,
        cell: &CellReport,
        report: &RunReport,
        rules: &StopRules,
    ) -> Verdict {
        match &cell.verdict {
            CellVerdict::KernelBug { .. } => self.bugs += 1,
            CellVerdict::Infrastructure { .. } => self.failures += 1,
            _ => {}
        }
        if !matches!(cell.verdict, CellVerdict::Infrastructure { .. }) {
            self.failures = 0;
        }
        if let Some(most) = rules.bugs.filter(|most| self.bugs >= *most) {
            let why = format!("{most} cells have shown bugs: the plan asks for no more");
            return Verdict::Stop { why, planned: true };
        }
        if let Some(most) = rules.infrastructure.filter(|most| self.failures >= *most) {
            let reason = cell.verdict.reason().lines().next().unwrap_or_default();
            let why = format!("{most} cells in a row failed for this machine's fault: {reason}");
            return Verdict::Stop { why, planned: false };
        }
        if let Some(most) = rules.same_cell.filter(|_| cell.verdict.is_bug()) {
            let same = |other: &&CellReport| is_same(&other.cell, &cell.cell);
            let shown = report.cells.iter().filter(same).filter(|other| other.verdict.is_bug());
            if shown.take(most as usize).count() == most as usize {
                return Verdict::LeaveOut(format!("{most} runs of it have shown a bug"));
            }
        }
        Verdict::GoOn
    }
}

/// Whether two cells differ in number and seed only.
pub fn is_same(one: &Cell, other: &Cell) -> bool {
    one.population() == other.population()
}
