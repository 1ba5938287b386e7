// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run in the terms of test runners: suites, cases, outcomes, and what a failure rests on.

use std::collections::HashMap;

use super::safe::{self, MAX_BLOCK, MAX_LINE};
use super::words::{duration, proof_sentence, standing_words, verdict_lines, what_is_missing};
use crate::event::Exposure;
use crate::exit::{ExitCode, Purpose};
use crate::run::{Bug, CellReport, RunFacts, RunReport, Standing};
use crate::verdict::CellVerdict;

/// Most bugs that a cell is told with.
const MOST_BUGS: usize = 32;

/// What a test runner calls a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Clean, or in a `repro` the expected bug where it should show.
    Passed,
    /// A kernel bug.
    Failed,
    /// No answer, and it is not the kernel's fault as far as is known.
    Error,
    /// Never run, since that could not have given an answer.
    Skipped,
}

/// What the cell's verdict is to a test runner. It passes where the exit code of a run of this cell alone would be 0, and
/// fails where it would be 1.
pub(super) fn outcome(cell: &CellReport, purpose: Purpose) -> Outcome {
    let never_ran = cell.cancelled.is_some() && cell.boots.is_empty();
    match (cell.exit_code(purpose), &cell.verdict) {
        (_, CellVerdict::LeftOut { .. }) => Outcome::Skipped,
        (ExitCode::Clean, _) => Outcome::Passed,
        (ExitCode::KernelBug, _) => Outcome::Failed,
        (_, CellVerdict::Unreachable { .. }) => Outcome::Skipped,
        (_, CellVerdict::Inconclusive { .. }) if never_ran => Outcome::Skipped,
        _ => Outcome::Error,
    }
}

/// The cells of one kernel on one architecture.
pub(super) struct Suite<'a> {
    /// `debian-6.1 + series, x86_64`, of merged runs behind the run's id: safe to show, in one line.
    pub(super) name: String,
    /// The run that they are of.
    pub(super) run: Option<&'a RunFacts>,
    /// The cells, in the order in which they were planned.
    pub(super) cells: Vec<&'a CellReport>,
}

/// All cells, by run, kernel and architecture, in the order in which these first come.
pub(super) fn suites(report: &RunReport) -> Vec<Suite<'_>> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut places = HashMap::new();
    for cell in &report.cells {
        let (run, kernel, arch) = (&cell.run, cell.cell.kernel_name(), &cell.cell.arch);
        let name = match report.is_merged() {
            true => format!("{run}: {kernel}, {arch}"),
            false => format!("{kernel}, {arch}"),
        };
        let at = *places.entry((run, kernel, arch)).or_insert_with(|| {
            let name = safe::line(&name, MAX_LINE);
            suites.push(Suite { name, run: report.run_of(cell), cells: Vec::new() });
            suites.len() - 1
        });
        if let Some(suite) = suites.get_mut(at) {
            suite.cells.push(cell);
        }
    }
    suites
}

/// Name of a cell within its suite: the same in every night of one plan.
pub(super) fn case_name(cell: &CellReport) -> String {
    safe::line(&cell.cell.id, MAX_LINE)
}

/// `another bug: kernel BUG in ext4_writepages`, in one line.
pub(super) fn message(cell: &CellReport) -> String {
    // Behind the first line of an error stand a compiler's words or a hint.
    match cell.verdict.reason().lines().next() {
        None => cell.verdict.word().to_owned(),
        Some(reason) => safe::line(&format!("{}: {reason}", cell.verdict.word()), MAX_LINE),
    }
}

/// Why the run as a whole has no answer although its cells may have theirs: `None` if nothing is missing.
pub(super) fn doubt(report: &RunReport, purpose: Purpose) -> Option<String> {
    if report.interrupted() {
        return Some("it was interrupted".to_owned());
    }
    if let Some(missing) = what_is_missing(report) {
        return Some(missing.to_owned());
    }
    let unproven = (purpose == Purpose::Repro).then(|| report.unproven()).flatten();
    unproven.map(|proof| safe::line(&proof_sentence(&proof), MAX_LINE))
}

/// What the cell was exposed to, as numbers under the names that `report.json` has.
pub(super) fn counters(cell: &CellReport) -> [(&'static str, u64); 10] {
    let Exposure {
        guest_ms,
        swapons,
        swapoffs,
        stores,
        writebacks,
        windows,
        refused,
        verified,
        oom_kills,
        cpu_offs,
    } = cell.exposure;
    [
        ("windows", windows),
        ("refused", refused),
        ("swapoffs", swapoffs),
        ("swapons", swapons),
        ("cpu_offs", cpu_offs),
        ("writebacks", writebacks),
        ("stores", stores),
        ("verified", verified),
        ("oom_kills", oom_kills),
        ("guest_ms", guest_ms),
    ]
}

/// What the verdict rests on, in lines that are safe to show: first words, then each report that is no consequence of another.
pub(super) fn evidence(cell: &CellReport) -> Vec<String> {
    let mut blocks = Vec::new();
    let words: Vec<String> =
        verdict_lines(cell).iter().map(|words| safe::line(words, MAX_LINE)).collect();
    blocks.push(words.join("\n"));
    let mut room = 4 * MAX_BLOCK;
    for bug in cell.bugs.iter().take(MOST_BUGS) {
        let told = match bug.standing {
            Standing::FollowUp | Standing::Cut => String::new(),
            _ => safe::block(&bug.finding.text, room.min(MAX_BLOCK)),
        };
        room -= told.len().min(room);
        blocks.push(format!("{}\n{told}", bug_words(bug)).trim_end().to_owned());
    }
    if cell.bugs.len() > MOST_BUGS {
        blocks.push(format!("{} more kinds of reports", cell.bugs.len() - MOST_BUGS));
    }
    blocks.extend(cell.corruptions.iter().map(|corruption| {
        safe::line(&format!("data corruption: {}", corruption.detail), MAX_LINE)
    }));
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// What a bug is to the cell, how often it came and when first, in one line.
pub(super) fn bug_words(bug: &Bug) -> String {
    let times = if bug.count == 1 { String::new() } else { format!(", {} times", bug.count) };
    let words = format!(
        "{}: {}{times}; first in boot {}, {} after the guest was ready",
        standing_words(bug),
        bug.finding.title,
        bug.first.boot,
        duration(bug.first.guest_ms),
    );
    safe::line(&words, MAX_LINE)
}
