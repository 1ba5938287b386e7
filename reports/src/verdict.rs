// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose fault it is: the verdict on one cell.
//!
//! Bugs are looked at first, so neither a retry nor a later failure can hide one. "Clean"
//! comes last and is never assumed: it takes a guest that was exercised, telemetry that can
//! be believed, and the exposure that was asked for.

use serde::Serialize;

use crate::escape::printable;
use crate::event::{Exposure, Fault, VmEnd};
use crate::rate::{self, RateBound};
use crate::run::{Boot, CellReport, Standing};

/// The verdict on a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum CellVerdict {
    /// No bug, and the exposure says what that is worth.
    Clean {
        /// Upper bounds on the bug's rate, the most telling first.
        bounds: Vec<RateBound>,
    },
    /// The kernel has a bug.
    KernelBug {
        /// True if it is the one that the cell's rule describes, and no other was seen.
        expected: bool,
        /// The bug's title.
        title: String,
    },
    /// This configuration cannot show the bug.
    Unreachable {
        /// Why.
        reason: String,
    },
    /// The kernel or the guest programs did not compile.
    BuildFailure {
        /// The first errors.
        reason: String,
    },
    /// A patch did not apply.
    PatchConflict {
        /// Patch, file and hunk.
        reason: String,
    },
    /// The kernel did not get as far as the guest agent.
    BootFailure {
        /// How far it got.
        reason: String,
    },
    /// The machine under us; never blamed on the kernel.
    Infrastructure {
        /// What failed.
        reason: String,
    },
    /// Usage or configuration.
    Configuration {
        /// What is wrong.
        reason: String,
    },
    /// No answer.
    Inconclusive {
        /// What is missing for one.
        reason: String,
    },
}

impl CellVerdict {
    /// The verdict in a word or two: `clean`, `expected bug`, `another bug`, ...
    pub fn word(&self) -> &'static str {
        match self {
            Self::Clean { .. } => "clean",
            Self::KernelBug { expected: true, .. } => "expected bug",
            Self::KernelBug { expected: false, .. } => "another bug",
            Self::Unreachable { .. } => "unreachable",
            Self::BuildFailure { .. } => "build failure",
            Self::PatchConflict { .. } => "patch conflict",
            Self::BootFailure { .. } => "boot failure",
            Self::Infrastructure { .. } => "infrastructure",
            Self::Configuration { .. } => "configuration",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// What stands behind the word: a reason or a bug's title; empty for a clean cell.
    pub fn reason(&self) -> &str {
        match self {
            Self::Clean { .. } => "",
            Self::KernelBug { title, .. } => title,
            Self::Unreachable { reason }
            | Self::BuildFailure { reason }
            | Self::PatchConflict { reason }
            | Self::BootFailure { reason }
            | Self::Infrastructure { reason }
            | Self::Configuration { reason }
            | Self::Inconclusive { reason } => reason,
        }
    }
}

/// Judges a cell by everything that the log says of it.
pub(crate) fn judge(cell: &CellReport) -> CellVerdict {
    bug(cell)
        .or_else(|| failure(cell))
        .or_else(|| boot_failure(cell))
        .or_else(|| missing(cell).map(|reason| CellVerdict::Inconclusive { reason }))
        .unwrap_or_else(|| CellVerdict::Clean { bounds: rate::bounds(&cell.exposure) })
}

/// Bugs: first any other than the expected one, then the expected one. One related to it is
/// another, but decides nothing once the expected one has shown where it should.
fn bug(cell: &CellReport) -> Option<CellVerdict> {
    let titled = |standing| {
        cell.bugs.iter().find(|bug| bug.standing == standing).map(|bug| bug.finding.title.clone())
    };
    let another = titled(Standing::Another)
        .or_else(|| cell.corruptions.first().map(|c| format!("data corruption: {}", c.detail)))
        .or_else(|| {
            let crash = cell.boots.iter().find(|boot| {
                boot.ready() && boot.end == Some(VmEnd::Crashed) && boot.findings == 0
            })?;
            Some(format!("the guest crashed without a readable report (boot {})", crash.number))
        });
    let verdict = |expected| move |title| CellVerdict::KernelBug { expected, title };
    another
        .map(verdict(false))
        .or_else(|| titled(Standing::Expected).map(verdict(true)))
        .or_else(|| titled(Standing::Related).map(verdict(false)))
}

fn failure(cell: &CellReport) -> Option<CellVerdict> {
    let failure = cell.failure.as_ref()?;
    let reason = failure.detail.clone();
    Some(match failure.fault {
        Fault::Unreachable => CellVerdict::Unreachable { reason },
        Fault::Build => CellVerdict::BuildFailure { reason },
        Fault::PatchConflict => CellVerdict::PatchConflict { reason },
        Fault::Infrastructure => CellVerdict::Infrastructure { reason },
        Fault::Configuration => CellVerdict::Configuration { reason },
    })
}

/// Virtual machines that never came to speak for the kernel. One that did outweighs those
/// before it: they were retries.
fn boot_failure(cell: &CellReport) -> Option<CellVerdict> {
    let last = cell.boots.last()?;
    let reason = || described(last);
    match last.end {
        Some(VmEnd::QemuDied | VmEnd::ConnectionLost) => {
            Some(CellVerdict::Infrastructure { reason: reason() })
        }
        Some(VmEnd::Interrupted) | None => None,
        Some(_) if cell.boots.iter().any(Boot::ready) => None,
        Some(_) => Some(CellVerdict::BootFailure { reason: reason() }),
    }
}

/// What is missing for "clean"; `None` if nothing is.
fn missing(cell: &CellReport) -> Option<String> {
    let short = cell.cell.wanted.map(|wanted| shortfall(&cell.exposure, &wanted));
    let enough = short.as_ref().is_some_and(Vec::is_empty);
    let interrupted = cell.boots.iter().any(|boot| boot.end == Some(VmEnd::Interrupted));
    let hung = cell.boots.iter().find(|boot| {
        boot.ready() && matches!(boot.end, Some(VmEnd::WentSilent | VmEnd::NoProgress))
    });
    let doubt = cell.boots.iter().find_map(|boot| boot.health?.doubt());

    if cell.boots.is_empty() {
        return Some("it was not run".to_owned());
    }
    if let Some(boot) = hung {
        return Some(format!(
            "{}: a hung kernel or a starved host, the console may tell",
            described(boot)
        ));
    }
    if let Some(doubt) = doubt {
        return Some(format!("the guest's counters cannot be believed: {doubt}"));
    }
    if interrupted && !enough {
        return Some("it was interrupted".to_owned());
    }
    if !cell.finished && !enough {
        return Some("the log ends before the cell does".to_owned());
    }
    if !cell.boots.iter().any(Boot::ready) {
        return Some("the guest agent was never ready".to_owned());
    }
    if cell.cell.should_show == Some(true) {
        return Some("the expected bug did not show within the budget".to_owned());
    }
    match short {
        Some(short) if !short.is_empty() => {
            Some(format!("no bug, but too little exposure: {}", short.join(", ")))
        }
        None if !was_exercised(&cell.exposure) => Some(format!(
            "nothing was put to the test: {} swapoffs beside {} writebacks",
            cell.exposure.swapoffs, cell.exposure.writebacks
        )),
        _ => None,
    }
}

/// Whether there was any chance for a race of writeback and swapoff. A stretched window is a
/// writeback that was begun, even if no page came to be written.
fn was_exercised(had: &Exposure) -> bool {
    had.swapoffs > 0 && (had.writebacks > 0 || had.windows > 0)
}

/// The counters that are below what was wanted: `31 of 120 windows`.
fn shortfall(had: &Exposure, wanted: &Exposure) -> Vec<String> {
    [
        ("windows", had.windows, wanted.windows),
        ("swapoffs", had.swapoffs, wanted.swapoffs),
        ("swapons", had.swapons, wanted.swapons),
        ("writebacks", had.writebacks, wanted.writebacks),
        ("stores", had.stores, wanted.stores),
        ("pages verified", had.verified, wanted.verified),
        ("guest milliseconds", had.guest_ms, wanted.guest_ms),
    ]
    .into_iter()
    .filter(|(_, had, wanted)| had < wanted)
    .map(|(name, had, wanted)| format!("{had} of {wanted} {name}"))
    .collect()
}

/// A virtual machine's end in words.
fn described(boot: &Boot) -> String {
    let words = boot.end.map_or("it did not end", end_words);
    let detail = printable(&boot.end_detail);
    match detail.as_ref() {
        "" => format!("boot {}: {words}", boot.number),
        detail => format!("boot {}: {words} ({detail})", boot.number),
    }
}

/// Why a virtual machine ended, in words.
pub fn end_words(end: VmEnd) -> &'static str {
    match end {
        VmEnd::Enough => "what was waited for was seen",
        VmEnd::Budget => "the budget was used up",
        VmEnd::Derailed => "a related report came before the expected bug",
        VmEnd::Interrupted => "interrupted",
        VmEnd::PoweredOff => "the guest powered off",
        VmEnd::Crashed => "the guest panicked or reset",
        VmEnd::NeverSpoke => "the kernel never printed a byte",
        VmEnd::NeverReady => "the kernel printed, but the guest agent was never ready",
        VmEnd::WentSilent => "the guest stopped printing",
        VmEnd::NoProgress => "the guest went on printing, but its counters stood still",
        VmEnd::QemuDied => "QEMU died",
        VmEnd::ConnectionLost => "the machine could no longer be reached",
    }
}

#[cfg(test)]
mod tests;
