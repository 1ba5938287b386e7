// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose fault it is: the verdict on one cell.
//!
//! Bugs are looked at first, so neither a retry nor a later failure can hide one. "Clean"
//! comes last and is never assumed: it takes a guest that was exercised, telemetry that can
//! be believed, and the exposure that was asked for.

use serde::Serialize;

use crate::escape::printable;
use crate::event::{Exposure, Fault, Meaning, VmEnd};
use crate::rate::{self, RateBound};
use crate::run::{Boot, Building, CellReport, Standing};
use crate::search::Outcome;
use crate::search::evidence::judged;

/// What is missing of a cell that should show its bug, and for which nothing else is.
const DID_NOT_SHOW: &str = "the expected bug did not show within the budget";

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
    /// A bug that the plan knows of, and no other.
    KnownBug {
        /// Its title.
        title: String,
        /// The plan's words on it.
        note: String,
    },
    /// The plan itself left it out: its time was used up, or it had its answer.
    LeftOut {
        /// Why.
        reason: String,
    },
    /// A kernel that has the expected bug did not show it, whether by luck or for good.
    NotShown {
        /// How long it was waited for.
        reason: String,
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
            Self::KnownBug { .. } => "known bug",
            Self::LeftOut { .. } => "left out",
            Self::NotShown { .. } => "not shown",
            Self::Unreachable { .. } => "unreachable",
            Self::BuildFailure { .. } => "build failure",
            Self::PatchConflict { .. } => "patch conflict",
            Self::BootFailure { .. } => "boot failure",
            Self::Infrastructure { .. } => "infrastructure",
            Self::Configuration { .. } => "configuration",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Whether nothing was found, in an exposure that says something.
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Clean { .. })
    }

    /// Whether the kernel has a bug, known or not.
    pub fn is_bug(&self) -> bool {
        matches!(self, Self::KernelBug { .. } | Self::KnownBug { .. })
    }

    /// What stands behind the word: a reason or a bug's title; empty for a clean cell.
    pub fn reason(&self) -> &str {
        match self {
            Self::Clean { .. } => "",
            Self::KernelBug { title, .. } | Self::KnownBug { title, .. } => title,
            Self::LeftOut { reason }
            | Self::NotShown { reason }
            | Self::Unreachable { reason }
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
        .or_else(|| method_fault(cell))
        .or_else(|| failure(cell))
        .or_else(|| left_out(cell))
        .or_else(|| boot_failure(cell))
        .or_else(|| commanded(cell))
        .or_else(|| doubt(cell).map(inconclusive))
        .or_else(|| shortage(cell))
        .unwrap_or_else(|| CellVerdict::Clean { bounds: rate::bounds(&cell.exposure) })
}

/// Whether what was seen of a cell is worth something although it may be too little: there is no bug, no
/// failure, and no doubt.
pub(crate) fn adds_to_proof(cell: &CellReport) -> bool {
    bug(cell).is_none()
        && method_fault(cell).is_none()
        && failure(cell).is_none()
        && boot_failure(cell).is_none()
        && doubt(cell).is_none()
}

fn inconclusive(reason: String) -> CellVerdict {
    CellVerdict::Inconclusive { reason }
}

/// Bugs: first any other than the expected one, then the expected one. One related to it is
/// another, but decides nothing once the expected one has shown where it should.
fn bug(cell: &CellReport) -> Option<CellVerdict> {
    let titled = |standing| {
        let bug = cell.bugs.iter().find(|bug| bug.standing == standing && bug.known.is_none());
        let corruption = || {
            let mut corruptions = cell.corruptions.iter();
            corruptions.find(|c| c.standing == standing && c.known.is_none())
        };
        bug.map(|bug| bug.finding.title.clone())
            .or_else(|| corruption().map(|c| format!("data corruption: {}", c.detail)))
    };
    let verdict = |expected| move |title| CellVerdict::KernelBug { expected, title };
    titled(Standing::Another)
        .map(verdict(false))
        .or_else(|| titled(Standing::Expected).map(verdict(true)))
        .or_else(|| titled(Standing::Related).map(verdict(false)))
        .or_else(|| known(cell))
}

/// A bug that the plan knows of.
fn known(cell: &CellReport) -> Option<CellVerdict> {
    let mut bugs =
        cell.bugs.iter().filter_map(|bug| Some((&bug.finding.title, bug.known.as_ref()?)));
    let corruptions = || {
        let mut of = cell.corruptions.iter().filter_map(|c| Some((&c.detail, c.known.as_ref()?)));
        of.next().map(|(detail, note)| (format!("data corruption: {detail}"), note))
    };
    let first = bugs.next().map(|(title, note)| (title.clone(), note)).or_else(corruptions);
    first.map(|(title, note)| CellVerdict::KnownBug { title, note: note.clone() })
}

/// The stretcher brought about a report. What it did to that machine is its own fault, and the next one
/// would fare no better.
fn method_fault(cell: &CellReport) -> Option<CellVerdict> {
    let own = cell.bugs.iter().find(|bug| bug.standing == Standing::Method);
    let title = own.map_or("a report", |bug| bug.finding.title.as_str());
    let reason = cell.boots.iter().find_map(|boot| match (&boot.method_fault, boot.meaning()) {
        (Some(point), _) => Some(format!(
            "the method brought about {title} at the stretch point {point}: it says nothing about \
                 the kernel"
        )),
        (None, Some(Meaning::Method)) => Some(described(boot)),
        _ => None,
    })?;
    Some(CellVerdict::Infrastructure { reason })
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

/// What a command of the user's says of the kernel.
fn commanded(cell: &CellReport) -> Option<CellVerdict> {
    let status = cell.command?;
    let title = format!("the command ended with status {status}");
    Some(match judged(status) {
        Outcome::Clean(_) => CellVerdict::Clean { bounds: Vec::new() },
        Outcome::Hit => CellVerdict::KernelBug { expected: true, title },
        _ => inconclusive(title),
    })
}

/// The plan left it out before a machine had said anything of its kernel.
fn left_out(cell: &CellReport) -> Option<CellVerdict> {
    let reason = cell.cancelled.clone().filter(|_| cell.left_out_by_plan)?;
    let ran = cell.boots.iter().any(|boot| boot.ready() && boot.counts());
    (!ran).then_some(CellVerdict::LeftOut { reason })
}

/// What is missing for "clean" of a cell without a doubt. What the plan itself cut short is worth its exposure, or
/// nothing.
fn shortage(cell: &CellReport) -> Option<CellVerdict> {
    match &cell.cancelled {
        Some(why) if cell.left_out_by_plan => {
            let reason = why.clone();
            missing(cell, true).map(|_| CellVerdict::LeftOut { reason })
        }
        _ => missing(cell, false).map(|reason| match reason.as_str() {
            DID_NOT_SHOW => CellVerdict::NotShown { reason },
            _ => inconclusive(reason),
        }),
    }
}

/// Virtual machines that never came to speak for the kernel. One that did outweighs those
/// before it: they were retries.
fn boot_failure(cell: &CellReport) -> Option<CellVerdict> {
    let last = cell.boots.last()?;
    let reason = || described(last);
    match last.meaning()? {
        Meaning::Host => Some(CellVerdict::Infrastructure { reason: reason() }),
        Meaning::CutShort => None,
        _ if cell.boots.iter().any(Boot::ready) => None,
        _ => Some(CellVerdict::BootFailure { reason: reason() }),
    }
}

/// Why the cell cannot be clean, however much exposure it has; `None` if it can.
fn doubt(cell: &CellReport) -> Option<String> {
    let ready = || cell.boots.iter().filter(|boot| boot.ready());
    if cell.boots.is_empty() {
        return Some(match (&cell.cancelled, &cell.building) {
            (Some(why), _) => format!("it was not run: {why}"),
            (None, None) => "it was not run".to_owned(),
            (None, Some(Building { stage, done, expected })) => {
                let of = expected.map_or_else(String::new, |n| format!(" of {n}"));
                format!("it was not run: its kernel was being made ({stage}, {done}{of} objects)")
            }
        });
    }
    if let Some(boot) = ready().find(|boot| boot.meaning() == Some(Meaning::Doubtful)) {
        let words = match boot.end {
            Some(VmEnd::Crashed) => "a crash that could not print, or lines that were lost",
            _ => "a hung kernel or a starved host, the console may tell",
        };
        return Some(format!("{}: {words}", described(boot)));
    }
    if let Some(boot) = ready().find(|boot| boot.stuck && boot.counts()) {
        return Some(format!(
            "boot {}: tasks of the guest did not end when they were killed: a hung kernel or a starved \
             host, the console may tell",
            boot.number
        ));
    }
    // A storm that takes CPUs off counts what is refused.
    let kept = |boot: &Boot| boot.counters.filter(|n| n.cpu_refused > 0 && n.cpu_offs == 0);
    if let Some((boot, counters)) = ready().find_map(|boot| Some((boot, kept(boot)?))) {
        return Some(format!(
            "boot {}: no CPU could be taken off ({} refused)",
            boot.number, counters.cpu_refused
        ));
    }
    if cell.checks == 0 && ready().any(is_to_check) {
        return Some("the guest never came to look at the invariants".to_owned());
    }
    if let Some(doubt) = cell.boots.iter().find_map(|boot| boot.health?.doubt()) {
        return Some(format!("the guest's counters cannot be believed: {doubt}"));
    }
    // Before format 2 the log did not say what the agent said last.
    let ended = |boot: &&Boot| boot.meaning() == Some(Meaning::Sound);
    if cell.format >= 2
        && let Some(boot) = ready().filter(ended).find(|boot| boot.done.is_none())
    {
        return Some(format!(
            "boot {}: the guest ended, but its agent never said that it was done",
            boot.number
        ));
    }
    if cell.finished
        && let Some(boot) = ready().find(|boot| boot.end.is_none())
    {
        return Some(format!("boot {}: the log does not say how it ended", boot.number));
    }
    None
}

/// What is missing in words; `None` if nothing is. `may_be_cut`: an end before its time is none.
fn missing(cell: &CellReport, may_be_cut: bool) -> Option<String> {
    let short = cell.cell.wanted.map(|wanted| shortfall(&cell.exposure, &wanted));
    let enough = short.as_ref().is_some_and(Vec::is_empty);
    let cut = |end| cell.boots.iter().any(|boot| boot.end == Some(end));

    if cut(VmEnd::Interrupted) && !enough {
        return Some("it was interrupted".to_owned());
    }
    if !may_be_cut && (cell.cancelled.is_some() || cut(VmEnd::Cancelled)) && !enough {
        return Some(match &cell.cancelled {
            Some(why) => format!("it was cancelled: {why}"),
            None => "it was cancelled".to_owned(),
        });
    }
    if !cell.finished && !enough {
        return Some("the log ends before the cell does".to_owned());
    }
    if !cell.boots.iter().any(Boot::ready) {
        return Some("the guest agent was never ready".to_owned());
    }
    if cell.cell.should_show == Some(true) {
        return Some(DID_NOT_SHOW.to_owned());
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

/// Whether the agent was asked to look at the invariants, by a word of the kernel's command line.
fn is_to_check(boot: &Boot) -> bool {
    let mut words = boot.cmdline.split_ascii_whitespace();
    words.any(|word| word.strip_prefix("swapstorm.check_s=").is_some_and(|every| every != "0"))
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
        ("CPUs taken off", had.cpu_offs, wanted.cpu_offs),
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
    let (words, detail) = match (boot.end, &boot.starved) {
        (Some(VmEnd::Starved), _) | (_, None) => {
            (boot.end.map_or("it did not end", end_words), &boot.end_detail)
        }
        (_, Some(why)) => (end_words(VmEnd::Starved), why),
    };
    let detail = printable(detail);
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
        VmEnd::HostBudget => "the host's cap on its time was reached",
        VmEnd::Interrupted => "interrupted",
        VmEnd::Cancelled => "its result was no longer needed",
        VmEnd::PoweredOff => "the guest powered off",
        VmEnd::Crashed => "the guest panicked, reset or ended without its agent's last line",
        VmEnd::NeverSpoke => "the kernel never printed a byte",
        VmEnd::NeverReady => "the kernel printed, but the guest agent was never ready",
        VmEnd::WentSilent => "the guest stopped printing",
        VmEnd::NoProgress => "the guest went on printing, but its counters stood still",
        VmEnd::DidNotStop => "the guest did not stop when it was asked to",
        VmEnd::MethodFault => "the stretcher brought about a report of its own",
        VmEnd::StretcherDied => "the stretcher ended",
        VmEnd::QemuDied => "QEMU died",
        VmEnd::ConnectionLost => "the machine could no longer be reached",
        VmEnd::Starved => "the host gave the guest too little time",
        VmEnd::Suspended => "swapstorm itself was stopped for a while",
        VmEnd::Orphaned => "swapstorm was killed",
    }
}

#[cfg(test)]
mod tests;
