// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `check`: runs what is still to be known of a series ([`reports::check`]).
//!
//! Guests with the same number have the same seed whatever patches their kernel has, and those of base and tip are begun in the
//! turns A B B A, so that whatever drifts on this machine meets all kernels alike.

use std::sync::Arc;
use std::time::Duration;

use reports::check::{CheckFacts, Step};
use reports::run::{CellReport, RunFacts, RunReport};

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Group};
use crate::position::{job, prepared_anew};

/// What to run.
#[derive(Debug)]
pub struct Check {
    /// What is asked.
    pub facts: CheckFacts,
    /// The kernels with the storm for bugs, one for each position.
    pub groups: Vec<Arc<Group>>,
    /// Base and tip with the storm for the statistics, and its length in guest time.
    pub statistics: Option<([Arc<Group>; 2], Duration)>,
    /// The run's seed.
    pub seed: u64,
    /// How long each guest storms for bugs, in guest time.
    pub storm: Duration,
    /// Guests side by side.
    pub side_by_side: u32,
}

impl Check {
    fn next(&mut self, report: &RunReport) -> Vec<CellJob> {
        let nothing = RunFacts::default();
        let run = report.runs.last().unwrap_or(&nothing);
        match self.facts.judge(report, run).step {
            Step::Storms { at, times } => {
                // A single kernel's guests are asked for by a search, which may have its answer before the last one.
                let times = if at.len() == 1 { times.min(self.side_by_side.max(1)) } else { times };
                self.storms(&at, times, report)
            }
            Step::Statistics { pairs } => self.pairs(pairs, report),
            Step::Done => Vec::new(),
        }
    }

    fn storms(&mut self, at: &[usize], times: u32, report: &RunReport) -> Vec<CellJob> {
        let mut jobs = Vec::new();
        for at in at.iter().copied() {
            let cells = of_group(&self.groups[at], report);
            let begun = number_of(&cells);
            self.groups[at] = prepared_anew(&self.groups[at], cells.last().copied());
            let name = self.name(at);
            for (turn, number) in (begun + 1..=begun + times).enumerate() {
                let (id, words) = (format!("{name}-{number}"), format!("pair {number}"));
                let mut job = job(&self.groups[at], id, number, (self.seed, &words), self.storm);
                job.cell.should_show = self.should_show(at);
                jobs.push((
                    (turn, if number.is_multiple_of(2) { usize::MAX - at } else { at }),
                    job,
                ));
            }
        }
        in_turns(jobs)
    }

    /// `base`, `patch2`, `tip`.
    fn name(&self, at: usize) -> String {
        match at {
            0 => "base".to_owned(),
            _ if at == self.facts.tip() => "tip".to_owned(),
            _ => format!("patch{at}"),
        }
    }

    /// Where a fix is claimed, a report that is only related to the bug costs the base another machine.
    fn should_show(&self, at: usize) -> Option<bool> {
        match at {
            0 if self.facts.fixes => Some(true),
            _ if self.facts.fixes && at == self.facts.tip() => Some(false),
            _ => None,
        }
    }

    fn pairs(&mut self, pairs: u32, report: &RunReport) -> Vec<CellJob> {
        let Some((groups, storm)) = &self.statistics else { return Vec::new() };
        let mut jobs = Vec::new();
        let begun = number_of(&of_group(&groups[1], report));
        for (turn, number) in (begun + 1..=begun + pairs).enumerate() {
            for (at, (group, name)) in groups.iter().zip(["base", "tip"]).enumerate() {
                let (id, words) = (format!("{name}-statistics-{number}"), format!("pair {number}"));
                let job = job(group, id, number, (self.seed, &words), *storm);
                jobs.push(((turn, if number.is_multiple_of(2) { 1 - at } else { at }), job));
            }
        }
        in_turns(jobs)
    }
}

/// The cells of a group, in the order in which they were planned.
fn of_group<'r>(group: &Group, report: &'r RunReport) -> Vec<&'r CellReport> {
    let population = group.cell().population();
    report.cells.iter().filter(|cell| cell.cell.population() == population).collect()
}

fn number_of(cells: &[&CellReport]) -> u32 {
    u32::try_from(cells.len()).unwrap_or(u32::MAX - 1_000)
}

fn in_turns(mut jobs: Vec<((usize, usize), CellJob)>) -> Vec<CellJob> {
    jobs.sort_by_key(|(turn, _)| *turn);
    jobs.into_iter().map(|(_, job)| job).collect()
}

impl Campaign for Check {
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

#[cfg(test)]
mod tests;
