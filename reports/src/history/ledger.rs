// SPDX-License-Identifier: MIT OR Apache-2.0
//! What files of history hold: each run once, whatever is damaged named.

use std::collections::HashSet;

use smol_str::SmolStr;

use super::line::{self, MAX_LINE_BYTES, Problem, ProblemKind, Reading};
use super::{Night, Run};
use crate::lines::Lines;

/// Most that is read of a file, in bytes: decades of nights.
const MAX_BYTES: usize = 1 << 30;
/// Most problems that are kept.
const MAX_PROBLEMS: usize = 20;

/// Runs, each once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// The runs and their nights, in the order in which they were read.
    pub runs: Vec<(Night, Run)>,
    /// How many lines were left out since their run was there already.
    pub twice: usize,
    /// Lines that were skipped, the first ones by name.
    pub problems: Vec<Problem>,
    /// How many there were.
    pub damaged: usize,
    /// Whether a file is larger than what is read of it.
    pub is_cut: bool,
    known: HashSet<SmolStr>,
}

impl Ledger {
    /// Whether the run of this id is there.
    pub fn has(&self, run: &str) -> bool {
        self.known.contains(run)
    }

    /// Adds a run. The result is false if it was there already, or its start is no time.
    pub fn add(&mut self, run: Run) -> bool {
        let night = Night::of(&run.started).filter(|_| !self.has(&run.run));
        let Some(night) = night else { return false };
        self.push(Reading { run, night })
    }

    fn push(&mut self, Reading { run, night }: Reading) -> bool {
        let is_new = self.known.insert(run.run.clone());
        if is_new {
            self.runs.push((night, run));
        } else {
            self.twice += 1;
        }
        is_new
    }
}

/// Reads a file piece by piece.
#[derive(Debug, Default)]
pub struct LedgerReader {
    lines: Lines<MAX_LINE_BYTES>,
    line: usize,
    bytes: usize,
    ledger: Ledger,
}

impl LedgerReader {
    /// Reads another file into the same ledger.
    pub fn onto(ledger: Ledger) -> Self {
        Self { ledger, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line, true));
        self.lines = lines;
    }

    /// Says that nothing follows. A last line without its end is used if it is whole.
    pub fn finish(mut self) -> Ledger {
        if let Some(line) = std::mem::take(&mut self.lines).rest() {
            self.line(&line, false);
        }
        self.ledger
    }

    fn line(&mut self, text: &[u8], is_whole: bool) {
        self.line += 1;
        self.bytes = self.bytes.saturating_add(text.len() + 1);
        let ledger = &mut self.ledger;
        let kind = match (ledger.is_cut, self.bytes > MAX_BYTES) {
            (true, _) => return,
            (false, true) => {
                ledger.is_cut = true;
                ProblemKind::TooMuch
            }
            (false, false) => match line::read(text) {
                Ok(None) => return,
                Ok(Some(reading)) => {
                    ledger.push(reading);
                    return;
                }
                Err(ProblemKind::NotARecord(_)) if !is_whole => ProblemKind::Cut,
                Err(kind) => kind,
            },
        };
        ledger.damaged += 1;
        if ledger.problems.len() < MAX_PROBLEMS {
            ledger.problems.push(Problem { line: self.line, kind });
        }
    }
}
