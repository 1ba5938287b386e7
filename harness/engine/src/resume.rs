// SPDX-License-Identifier: MIT OR Apache-2.0
//! Going on with a run that was killed, interrupted, or ran out of time or disk.
//!
//! Its log says which cells have their answer. All others are run again: those that were under way, that were
//! cancelled, or that the machine under us failed; and where a line of the log is damaged, those that it may have
//! been about. What machines of such cells had reported stays; of the others the report says nothing, as if nobody had disturbed it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use host::lock::FileLock;
use reports::event::{Fault, PlanFacts, RunEvent, VmEnd, What};
use reports::log::{Entry, LogReader};
use reports::run::{CellReport, RunReport};
use reports::verdict::CellVerdict;

use crate::error::Error;
use crate::event_log::FILE_NAME;

/// Bytes that are read in one go.
const CHUNK: usize = 64 << 10;

/// A run that can be gone on with.
#[derive(Debug)]
pub struct Resumable {
    /// Its folder.
    pub dir: PathBuf,
    /// What it came to so far.
    pub report: RunReport,
    /// Its plan.
    pub plan: PlanFacts,
    /// Cells that are run again, each with the number of its next machine.
    pub again: BTreeMap<String, u32>,
    /// Damaged lines of the log: all can be about those cells only.
    pub(crate) healed: u64,
    /// Holds off every other swapstorm.
    pub(crate) lock: FileLock,
}

impl Resumable {
    /// Reads the run in the folder `dir`. A last line that is cut is taken away from its log.
    ///
    /// # Errors
    /// No run, one that still goes on, one that was no `run`, and one that has all its answers.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let dir = std::path::absolute(dir)?;
        let file = dir.join(FILE_NAME);
        let wrong = |words: String| {
            Error::new(Fault::Configuration, format!("{}: {words}", file.display()))
        };
        if !file.exists() {
            return Err(wrong(
                "there is no such event log\n  hint: name the folder of a run".into(),
            ));
        }
        let Some(lock) = FileLock::try_take(&file)? else {
            return Err(wrong("another swapstorm is at work on this run".into()));
        };
        let mut reading = Reading::default();
        let length = reading.log(&file)?;
        let Reading { report, doubtful, .. } = reading;
        let damaged = report.damaged;
        let run = match &report.runs[..] {
            [run] if run.format > 0 => run,
            [] | [_] => return Err(wrong("it does not begin with the start of its run".into())),
            _ => return Err(wrong("it holds several runs: only one can be gone on with".into())),
        };
        let Some(plan) = run.plan.clone() else {
            let command = run.command.first().map_or("run", String::as_str);
            return Err(wrong(format!(
                "it has no plan, so there is nothing to go on with\n  hint: only `swapstorm run` can be resumed, and \
                 this was `swapstorm {}`",
                command.escape_debug()
            )));
        };
        let again = |cell: &&CellReport| doubtful.contains(&cell.cell.id) || is_open(cell);
        let again: BTreeMap<String, u32> = report
            .cells
            .iter()
            .filter(again)
            .map(|cell| (cell.cell.id.clone(), cell.next_boot()))
            .collect();
        if again.is_empty() && report.is_whole() {
            return Err(wrong(format!(
                "this run has ended, and all its cells have their answers\n  hint: to see them: swapstorm report {}",
                dir.display()
            )));
        }
        cut(&file, length)?;
        Ok(Self { dir, report, plan, again, healed: damaged, lock })
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.report.runs.first().map_or(0, |run| run.seed)
    }

    /// The command line that it was begun with, program name left out.
    pub fn command(&self) -> &[String] {
        self.report.runs.first().map_or(&[], |run| &run.command)
    }
}

/// How a run was begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The run's seed.
    pub seed: u64,
    /// The command line, program name left out.
    pub command: Vec<String>,
    /// Its plan.
    pub plan: PlanFacts,
}

impl Begun {
    /// Reads the begin of the log in the folder `dir`, whose run may go on.
    ///
    /// # Errors
    /// No log; one that does not begin with a run and its plan.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE_NAME);
        let mut log = fs::File::open(&file)?;
        let mut reader = LogReader::new();
        let mut buffer = vec![0; CHUNK];
        let (mut start, mut plan) = (None, None);
        while plan.is_none() && !reader.has_given_up() {
            let count = log.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            reader.push(&buffer[..count], |entry| {
                let Entry::Event(event) = entry else { return };
                match event.what {
                    What::RunStarted { seed, command, .. } => start = Some((seed, command)),
                    What::PlanLoaded { plan: loaded } => plan = Some(loaded),
                    _ => {}
                }
            });
        }
        match (start, plan) {
            (Some((seed, command)), Some(plan)) => Ok(Self { seed, command, plan }),
            _ => {
                let words =
                    format!("{}: it does not begin with a run and its plan", file.display());
                Err(Error::new(Fault::Configuration, words))
            }
        }
    }
}

/// Whether a cell has no answer yet that another try could not give.
fn is_open(cell: &CellReport) -> bool {
    let cut = |end| matches!(end, Some(VmEnd::Interrupted | VmEnd::Cancelled));
    let was_cut = cell.boots.last().is_some_and(|boot| cut(boot.end));
    let failed = matches!(cell.verdict, CellVerdict::Infrastructure { .. });
    // The line that planned it may be lost.
    let is_unplanned = cell.cell.key.is_empty();
    is_unplanned
        || !cell.finished
        || cell.cancelled.is_some()
        || failed
        || (was_cut && !cell.verdict.is_bug())
}

/// What is learnt of a log line by line.
#[derive(Default)]
struct Reading {
    report: RunReport,
    /// Cells that have begun and not finished.
    under_way: BTreeSet<String>,
    /// Cells that a damaged line may have been about.
    doubtful: BTreeSet<String>,
    /// Whether a line was lost before.
    damaged: bool,
}

impl Reading {
    /// Reads a log; the result is its length without a last line that is cut.
    fn log(&mut self, file: &Path) -> Result<u64, Error> {
        let mut log = fs::File::open(file)?;
        let mut reader = LogReader::new();
        let mut buffer = vec![0; CHUNK];
        let (mut length, mut whole) = (0_u64, 0_u64);
        while !reader.has_given_up() {
            let count = log.read(&mut buffer)?;
            let bytes = &buffer[..count];
            if let Some(end) = memchr::memrchr(b'\n', bytes) {
                whole = length + end as u64 + 1;
            }
            length += count as u64;
            if count == 0 {
                break;
            }
            reader.push(bytes, |entry| self.entry(entry));
        }
        if reader.has_given_up() {
            let words = format!("{}: it cannot be read to its end", file.display());
            return Err(Error::new(Fault::Configuration, words));
        }
        // What stands behind the last line's end was not written to its end, whatever it looks like.
        Ok(whole)
    }

    fn entry(&mut self, entry: Entry) {
        match entry {
            Entry::Event(event) => {
                self.track(&event);
                self.report.push(&event);
            }
            Entry::Problem(problem) => {
                if problem.is_damage() {
                    self.damaged = true;
                    self.doubtful.extend(self.under_way.iter().cloned());
                }
                self.report.lost(&problem);
            }
        }
    }

    fn track(&mut self, event: &RunEvent) {
        match &event.what {
            What::CellPlanned { .. } | What::CellCancelled { .. } => {}
            What::CellFinished { cell } => {
                self.under_way.remove(cell);
            }
            What::RunResumed { again, .. } => {
                // What was in doubt before was run again.
                self.under_way.clear();
                self.doubtful.clear();
                self.under_way.extend(again.iter().cloned());
            }
            what => {
                let Some(cell) = what.cell() else { return };
                let fresh = self.under_way.insert(cell.to_owned());
                let begins = matches!(
                    what,
                    What::Building { .. }
                        | What::KernelReady { .. }
                        | What::CellFailed { .. }
                        | What::Notice { .. }
                );
                // Its begin may be the line that was lost.
                if fresh && self.damaged && !begins {
                    self.doubtful.insert(cell.to_owned());
                }
            }
        }
    }
}

/// Takes a line that is cut away from the end of a log.
fn cut(file: &Path, length: u64) -> Result<(), Error> {
    let mut log = fs::OpenOptions::new().write(true).open(file)?;
    if log.seek(SeekFrom::End(0))? > length {
        log.set_len(length)?;
        log.sync_data()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
