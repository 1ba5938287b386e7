// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `bisect`: runs the kernels that the search asks for ([`reports::search`]).
//!
//! The search is folded from the report each time ([`reports::search::range`]), so it is in the log alone: a run that was cut is
//! gone on with from its log, and what earlier runs saw of the same kernels counts.

use std::sync::Arc;
use std::time::Duration;

use reports::event::Fault;
use reports::run::{CellReport, RunReport};
use reports::search::answer::{Answer, Verdict};
use reports::search::branch::{self, Entry};
use reports::search::evidence::{BROKEN, Predicate, is_stalled};
use reports::search::range::{Position, Range};
use reports::search::{Search, Step};
use reports::verdict::CellVerdict;

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};
use crate::position::{job, prepared_anew};

/// What to run.
#[derive(Debug)]
pub struct Bisect {
    /// The kernels with their storm, one for each position of the range.
    pub groups: Vec<Arc<Group>>,
    /// What is searched.
    pub range: Range,
    /// The run's seed.
    pub seed: u64,
    /// How long each guest storms, in guest time.
    pub storm: Duration,
    /// Guests side by side.
    pub side_by_side: u32,
    /// What earlier runs saw.
    pub before: Option<RunReport>,
    /// Of a search in the branch of a merge: which of them it is, from 1. 0 for the first search.
    pub depth: usize,
    /// What the run has seen by its beginning, if it is not the first search of it.
    pub so_far: RunReport,
}

impl Bisect {
    /// The search as far as `report`, and the runs before it, tell. `None` if there is nothing to search, or an option is not
    /// what it must be.
    pub fn fold(&self, report: &RunReport) -> Option<Search> {
        let spent = report.runs.iter().map(|run| run.ms as f64 / 1000.0).sum();
        self.range.fold(self.cells(report), spent)
    }

    /// The merge that is the answer, if it has a branch to be searched.
    pub fn merge(&self, report: &RunReport) -> Option<Entry> {
        match self.fold(report)?.next() {
            Step::Done(answer) => branch::entry(&self.range, &answer),
            _ => None,
        }
    }

    /// The search in that branch. `groups` and `positions` are those of the commit that it follows, of its own, and of the merge;
    /// the other way round where a fix is searched.
    #[must_use]
    pub fn in_branch(
        &self,
        merge: Entry,
        (groups, positions): (Vec<Arc<Group>>, Vec<Position>),
        report: &RunReport,
    ) -> Self {
        let (confidence, merge) = (merge.confidence, Some(merge.merge));
        Self {
            groups,
            range: Range { positions, confidence, merge, ..self.range.clone() },
            depth: self.depth + 1,
            so_far: report.clone(),
            before: self.before.clone(),
            ..*self
        }
    }

    /// What became of the end that cannot be tested, if the answer is that one cannot.
    pub fn why_untestable<'r>(
        &'r self,
        answer: &Answer,
        report: &'r RunReport,
    ) -> Option<&'r CellVerdict> {
        let end = match answer.verdict {
            Verdict::BadEndUntestable => self.range.positions.len().checked_sub(1)?,
            Verdict::GoodEndUntestable { .. } => 0,
            _ => return None,
        };
        let own = self.cells(report).filter(|cell| self.range.position_of(cell) == Some(end));
        own.last().map(|cell| &cell.verdict)
    }

    fn cells<'r>(&'r self, report: &'r RunReport) -> impl Iterator<Item = &'r CellReport> + Clone {
        self.before.iter().chain([report]).flat_map(|report| &report.cells)
    }

    /// Pairs of storms at both ends, begun in the turns A B B A, so that whatever drifts on this machine meets both alike.
    fn pairs(&mut self, pairs: u32, report: &RunReport) -> Vec<CellJob> {
        let last = self.groups.len() - 1;
        let ends = [self.jobs(0, pairs, report), self.jobs(last, pairs, report)];
        let mut jobs: Vec<((usize, bool), CellJob)> = Vec::new();
        for (is_bad, end) in [false, true].into_iter().zip(ends) {
            let turned = |turn: usize| is_bad != (turn % 2 == 1);
            jobs.extend(end.into_iter().enumerate().map(|(turn, job)| ((turn, turned(turn)), job)));
        }
        jobs.sort_by_key(|(turn, _)| *turn);
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn jobs(&mut self, at: usize, times: u32, report: &RunReport) -> Vec<CellJob> {
        let own = |cell: &&CellReport| self.range.position_of(cell) == Some(at);
        let cells: Vec<&CellReport> = self.cells(report).filter(own).collect();
        // Those of earlier runs have taken their numbers, and with them their seeds.
        let begun = u32::try_from(cells.len()).unwrap_or(u32::MAX - 1_000);
        let group = prepared_anew(&self.groups[at], cells.last().copied());
        self.groups[at] = group;
        let one = |number| {
            let id = match self.depth {
                0 => format!("at{at}-{number}"),
                depth => format!("branch{depth}-at{at}-{number}"),
            };
            // Storms that are measured are compared: those of the same number have the same seed.
            let words = match self.range.predicate {
                Predicate::Regression(_) => format!("pair {number}"),
                _ => format!("bisect {at} {number}"),
            };
            job(&self.groups[at], id, number, (self.seed, &words), self.storm)
        };
        (begun + 1..=begun + times).map(one).collect()
    }

    fn next(&mut self, report: &RunReport) -> Vec<CellJob> {
        if is_stalled(&report.cells) || broken(&self.range, report).is_some() {
            return Vec::new();
        }
        match self.fold(report).map(|search| search.next()) {
            Some(Step::Build { at }) => self.jobs(at, 1, report),
            Some(Step::Run { at, times }) => {
                self.jobs(at, times.min(self.side_by_side.max(1)), report)
            }
            Some(Step::Ends { pairs }) => self.pairs(pairs, report),
            Some(Step::Done(_)) | None => Vec::new(),
        }
    }
}

/// The cell whose command of the user's ended the search of `report`, for it did not end by itself, or said so.
pub fn broken<'r>(range: &Range, report: &'r RunReport) -> Option<&'r CellReport> {
    let is_broken = |cell: &&CellReport| {
        cell.command.is_some_and(|status| status >= BROKEN)
            || cell.failure.as_ref().is_some_and(|failure| failure.fault == Fault::Configuration)
    };
    matches!(range.predicate, Predicate::Command(_))
        .then(|| report.cells.iter().find(is_broken))
        .flatten()
}

impl Campaign for Bisect {
    fn begin(&mut self) -> Vec<CellJob> {
        let so_far = std::mem::take(&mut self.so_far);
        self.next(&so_far)
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        if report.cells.iter().any(|cell| !cell.finished) {
            return Vec::new();
        }
        self.next(report)
    }
}

#[cfg(test)]
mod tests;
