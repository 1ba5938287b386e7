// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes in events, one after the other. What a cell makes of its own is in `cell.rs`.

mod cell;

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

#[cfg(test)]
pub(super) use cell::MAX_BUGS;

use super::{CellReport, RunFacts, RunReport};
use crate::event::{Cell, RunEvent, What};
use crate::exit::Purpose;
use crate::known::KnownBug;
use crate::log::LogProblem;
use crate::proof::DEFAULT_CONFIDENCE;
use crate::rule::Rule;
use crate::search::branch::MOST_BRANCHES;

/// Most distinct warnings, and notices, kept of a cell or a run.
const MAX_WORDS: usize = 32;
/// Most known bugs kept of a run.
const MAX_KNOWN: usize = 256;
/// Most problems kept.
const MAX_PROBLEMS: usize = 100;

/// What the fold needs beside the report itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// The run that events without one belong to.
    current: Option<usize>,
    /// True while the events of a run that is known already are passed over.
    skipping: bool,
    /// Name of the log that is being read.
    log: String,
    /// By run: places of its cells by id, and its rules.
    runs: Vec<RunState>,
    /// Bytes of reports' texts kept so far.
    texts: usize,
    /// The newest table of columns: nearly all machines have the same.
    columns: Arc<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct RunState {
    cells: BTreeMap<String, usize>,
    known: Vec<Arc<KnownBug>>,
    /// Whether a cell that should show the expected bug has shown it.
    shown: bool,
    rules: BTreeMap<String, Arc<Rule>>,
}

impl RunReport {
    /// Says that the events that follow come from another log, whose run may not be named: `name`
    /// then stands for it. Needed only where several logs are read.
    pub fn begin_log(&mut self, name: &str) {
        self.state.current = None;
        self.state.skipping = false;
        name.clone_into(&mut self.state.log);
    }

    /// Takes note of a line that could not be read.
    pub fn lost(&mut self, problem: &LogProblem) {
        if problem.is_damage() {
            self.damaged += 1;
        }
        match self.state.log.as_str() {
            "" => self.problem(problem.to_string()),
            log => self.problem(format!("{log}: {problem}")),
        }
    }

    /// The cell of this id in the run of this id.
    pub fn cell_of(&self, run: &str, id: &str) -> Option<&CellReport> {
        let run = self.runs.iter().position(|known| known.id == run)?;
        self.state.runs.get(run)?.cells.get(id).map(|at| &self.cells[*at])
    }

    /// Takes in the next event. Its cost does not grow with what came before.
    pub fn push(&mut self, event: &RunEvent) {
        if let What::RunStarted { .. } = &event.what {
            return self.run_started(event);
        }
        let Some(run) = self.run(event.run.as_deref()) else { return };
        let at_ms = event.at_ms;
        self.runs[run].ms = self.runs[run].ms.max(at_ms);
        let cell = match &event.what {
            // Dealt with above.
            What::RunStarted { .. } => return,
            What::RuleLoaded { rule } => {
                let name = rule.name.as_str().to_owned();
                self.state.runs[run].rules.insert(name, Arc::new(rule.clone()));
                return;
            }
            What::ProfileLoaded { profile } => {
                self.runs[run].profiles.insert(profile.name.clone(), profile.clone());
                return;
            }
            What::PlanLoaded { plan } => {
                self.runs[run].plan = Some(plan.clone());
                return;
            }
            What::CheckLoaded { check } => {
                self.runs[run].check = Some(check.clone());
                return;
            }
            What::RangeLoaded { range } => {
                let run = &mut self.runs[run];
                match (&range.merge, &run.range) {
                    (Some(_), Some(_)) if run.branches.len() < MOST_BRANCHES => {
                        run.branches.push(range.clone());
                    }
                    (Some(_), Some(_)) => {}
                    _ => run.range = Some(range.clone()),
                }
                return;
            }
            What::KnownLoaded { bug } => {
                let known = &self.runs[run].known;
                if known.len() < MAX_KNOWN && !known.contains(bug) {
                    self.runs[run].known.push(bug.clone());
                    let bug = Arc::new(bug.clone());
                    self.state.runs[run].known.push(Arc::clone(&bug));
                    // Where its line was lost and the run resumed, cells are there already.
                    if bug.holds(&self.runs[run].started) {
                        for at in self.state.runs[run].cells.values() {
                            self.cells[*at].learn(&bug);
                        }
                    }
                }
                return;
            }
            What::RunResumed { again, healed, .. } => return self.resumed(run, again, *healed),
            What::Notice { cell: None, text } => {
                keep(&mut self.runs[run].notices, text);
                return;
            }
            What::CancelRequested { by, .. } => {
                self.runs[run].cancelled_by.get_or_insert_with(|| by.clone());
                return;
            }
            What::RunFinished { interrupted } => {
                let run = &mut self.runs[run];
                run.finished = true;
                run.interrupted |= interrupted;
                return;
            }
            What::CellPlanned { cell } => return self.plan(run, cell),
            What::Columns { cell, columns, .. } => {
                if *self.state.columns != *columns {
                    self.state.columns = Arc::new(columns.clone());
                }
                cell
            }
            what => match what.cell() {
                Some(cell) => cell,
                None => return,
            },
        };
        let at = self.place(run, cell);
        let State { texts, columns, .. } = &mut self.state;
        let cell = &mut self.cells[at];
        cell.push(at_ms, &event.what, texts, columns);
        cell.settle();
        if cell.cell.should_show == Some(true)
            && cell.showed_expected()
            && !std::mem::replace(&mut self.state.runs[run].shown, true)
        {
            let cells = self.state.runs[run].cells.values();
            for at in cells.copied().collect::<Vec<_>>() {
                self.cells[at].others_showed = true;
            }
        }
    }

    /// Somebody goes on with a run: what its last life left open begins anew.
    fn resumed(&mut self, run: usize, again: &[String], healed: u64) {
        self.damaged = self.damaged.saturating_sub(healed);
        let facts = &mut self.runs[run];
        facts.resumed += 1;
        (facts.finished, facts.interrupted, facts.cancelled_by) = (false, false, None);
        for id in again {
            let Some(at) = self.state.runs[run].cells.get(id) else { continue };
            let cell = &mut self.cells[*at];
            (cell.finished, cell.left_out_by_plan) = (false, false);
            (cell.cancelled, cell.building, cell.failure) = (None, None, None);
            cell.orphaned();
            cell.settle();
        }
    }

    fn run_started(&mut self, event: &RunEvent) {
        let What::RunStarted {
            format,
            id,
            version,
            command,
            started,
            seed,
            purpose,
            confidence,
            host_name,
            host,
            minor: _,
        } = &event.what
        else {
            return;
        };
        let id = match id.as_str() {
            "" => format_smolstr!("{started}/{seed}"),
            id => SmolStr::from(id),
        };
        // A run may be known by events that came before its start in a log that was sorted or damaged.
        let known = self.runs.iter().position(|run| run.id == id);
        if known.is_some_and(|at| self.runs[at].format > 0) {
            self.state.skipping = true;
            return self.problem(format!("run {id} is there twice: it is counted once"));
        }
        let of_command = || match command.first().map(String::as_str) {
            Some("repro") => Purpose::Repro,
            _ => Purpose::Search,
        };
        let at = known.unwrap_or_else(|| self.add_run(id.clone()));
        self.state.current = Some(at);
        self.state.skipping = false;
        let run = &mut self.runs[at];
        run.format = *format;
        (run.version, run.command, run.started) =
            (version.clone(), command.clone(), started.clone());
        (run.seed, run.host_name, run.host) = (*seed, host_name.clone(), host.clone());
        run.purpose = purpose.unwrap_or_else(of_command);
        run.confidence =
            confidence.filter(|c| (0.0..1.0).contains(c)).unwrap_or(DEFAULT_CONFIDENCE);
        run.ms = run.ms.max(event.at_ms);
    }

    /// The run that an event belongs to; `None` if it is to be passed over.
    fn run(&mut self, named: Option<&str>) -> Option<usize> {
        if let Some(id) = named {
            let known = self.runs.iter().position(|run| run.id == id);
            return Some(known.unwrap_or_else(|| self.add_run(id.into())));
        }
        if self.state.skipping {
            return None;
        }
        if self.state.current.is_none() {
            let name = match self.state.log.as_str() {
                "" => "unnamed".to_owned(),
                log => log.to_owned(),
            };
            self.problem(format!("{name}: the log does not begin with the start of its run"));
            let at = self.add_run(name.into());
            self.state.current = Some(at);
        }
        self.state.current
    }

    fn add_run(&mut self, id: SmolStr) -> usize {
        let confidence = DEFAULT_CONFIDENCE;
        self.runs.push(RunFacts { id, confidence, ..RunFacts::default() });
        self.state.runs.push(RunState::default());
        self.runs.len() - 1
    }

    fn problem(&mut self, words: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(words);
        }
    }

    fn plan(&mut self, run: usize, cell: &Cell) {
        let state = &self.state.runs[run];
        let rule = cell.expect.as_ref().and_then(|name| {
            state.rules.get(name).cloned().or_else(|| Rule::built_in(name).map(Arc::new))
        });
        if let (Some(name), Some(rule)) = (&cell.expect, &rule) {
            self.state.runs[run].rules.insert(name.clone(), Arc::clone(rule));
        } else if let Some(name) = &cell.expect {
            let words = "so every report counts as another bug";
            self.problem(format!("cell {}: the log has no rule `{name}`, {words}", cell.id));
        }
        let mut cell = cell.clone();
        if cell.key.is_empty() {
            cell.key = cell.stable_key();
        }
        match self.state.runs[run].cells.get(&cell.id) {
            // The line that planned it was lost, and the run resumed.
            Some(at) if self.cells[*at].cell == unplanned(&cell.id) => {
                let known = &mut self.cells[*at];
                (known.cell, known.rule) = (cell, rule);
                return known.settle();
            }
            Some(_) => return self.problem(format!("cell {} was planned twice", cell.id)),
            None => {}
        }
        self.add_cell(run, cell, rule);
    }

    fn add_cell(&mut self, run: usize, cell: Cell, rule: Option<Arc<Rule>>) -> usize {
        let at = self.cells.len();
        self.state.runs[run].cells.insert(cell.id.clone(), at);
        let RunFacts { id, format, started, .. } = &self.runs[run];
        let mut report = CellReport::new(id.clone(), *format, cell, rule);
        let known = self.state.runs[run].known.iter();
        let may_show = |bug: &&Arc<KnownBug>| bug.holds(started) && bug.cells.has(&report.cell);
        report.known = known.filter(may_show).cloned().collect();
        report.others_showed = self.state.runs[run].shown;
        report.settle();
        self.cells.push(report);
        at
    }

    /// Where the cell of this id is. One that was never planned is shown too, or its bugs would be lost.
    fn place(&mut self, run: usize, id: &str) -> usize {
        if let Some(at) = self.state.runs[run].cells.get(id) {
            return *at;
        }
        self.problem(format!("cell {id} was never planned"));
        self.add_cell(run, unplanned(id), None)
    }
}

fn unplanned(id: &str) -> Cell {
    Cell { id: id.to_owned(), kernel: "unknown".to_owned(), number: 1, ..Cell::default() }
}

/// Keeps words once each, and not without end.
fn keep(kept: &mut Vec<String>, words: &str) {
    if kept.len() < MAX_WORDS && !kept.iter().any(|known| known == words) {
        kept.push(words.to_owned());
    }
}
