// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run showed: a fold over its event log.
//!
//! [`RunReport::push`] takes one event after the other, and the report is whole after each of them. An event
//! costs a look-up, whatever came before it, and what is kept of a machine is bounded: of samples the newest,
//! and what all of them came to, of reports the first of each title.

mod fold;
mod measured;
mod proofs;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use measured::Measured;
use serde::Serialize;
use smol_str::SmolStr;

use crate::check::CheckFacts;
use crate::event::{
    Cell, Digest, Exposure, Fault, KernelFacts, LeftOutPoint, Meaning, PlacedPoint, PlanFacts,
    PointCounts, ProfileFacts, RunEvent, VmEnd,
};
use crate::exit::Purpose;
use crate::finding::Finding;
use crate::history::News;
use crate::hunt::HuntMap;
use crate::known::KnownBug;
use crate::proof::DEFAULT_CONFIDENCE;
use crate::rule::Rule;
use crate::search::range::Range;
use crate::telemetry::{Counters, Health};
use crate::verdict::CellVerdict;

/// What stands for the accelerator of a machine that already ran and was reached over SSH.
pub const REMOTE: &str = "ssh";
/// The technique of a cell that provokes nothing: its guest belongs to whoever logs in to it.
pub const NO_TECHNIQUE: &str = "none";

/// One run or several, as their logs tell them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunReport {
    /// The runs, in the order in which their logs were read.
    pub runs: Vec<RunFacts>,
    /// The cells, in the order in which they were planned.
    pub cells: Vec<CellReport>,
    /// What could not be understood, for a person: a rule that is missing, a cell never planned.
    pub problems: Vec<String>,
    /// Lines of the logs that are lost, cut last lines not counted: any of them may have been a report.
    pub damaged: u64,
    /// The runs beside the nights before them, where somebody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub news: Option<News>,
    #[serde(skip)]
    state: fold::State,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunFacts {
    /// What tells it from other runs. Of format 1, start and seed.
    pub id: SmolStr,
    /// Format of its log; 0 if the log does not begin with the run's start.
    pub format: u32,
    /// Program version.
    pub version: String,
    /// The command line, program name left out.
    pub command: Vec<String>,
    /// Wall-clock start, RFC 3339, UTC.
    pub started: String,
    /// The run's seed.
    pub seed: u64,
    /// What it was for.
    pub purpose: Purpose,
    /// Probability with which an unfixed kernel must have shown its bug before another is called fixed.
    pub confidence: f64,
    /// Name of the machine that led it; empty if not known.
    pub host_name: String,
    /// Facts about that machine.
    pub host: BTreeMap<String, String>,
    /// The profiles that its cells use, by name.
    #[serde(skip)]
    pub profiles: BTreeMap<String, ProfileFacts>,
    /// Milliseconds from the run's start to its last event.
    pub ms: u64,
    /// False if the log has no last line: the run goes on or was killed.
    pub finished: bool,
    /// True after Ctrl-C.
    pub interrupted: bool,
    /// How often it was resumed.
    #[serde(skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// Bugs that its plan knows of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownBug>,
    /// Its plan, if it has one.
    #[serde(skip)]
    pub plan: Option<PlanFacts>,
    /// What it asks of a series, if that is what it is for.
    #[serde(skip)]
    pub check: Option<CheckFacts>,
    /// What it searches among kernels, if that is what it is for.
    #[serde(skip)]
    pub range: Option<Range>,
    /// The searches in branches of merges that those before them named.
    #[serde(skip)]
    pub branches: Vec<Range>,
    /// Who wanted it to end, if somebody did.
    pub cancelled_by: Option<String>,
    /// What a reader should know of the run.
    pub notices: Vec<String>,
}

/// A cell as the log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellReport {
    /// [`RunFacts::id`] of its run.
    pub run: SmolStr,
    /// What was to be run.
    pub cell: Cell,
    /// The expected-bug rule that judged its findings.
    #[serde(skip)]
    pub rule: Option<Arc<Rule>>,
    /// Whose fault it is.
    #[serde(flatten)]
    pub verdict: CellVerdict,
    /// When the expected bug first showed.
    pub time_to_bug: Option<Moment>,
    /// Exposure of all boots together, but for those that [do not count](Boot::counts).
    pub exposure: Exposure,
    /// What is being done for its kernel, until that is ready.
    pub building: Option<Building>,
    /// The kernel, once it was built or found.
    pub kernel: Option<KernelFacts>,
    /// Where its machines are stretched, with the counts of the boots that count.
    pub points: Vec<PointReport>,
    /// The variant of the profile that its kernel wants, if the profile has variants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a hunt has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hunt: Option<HuntMap>,
    /// Stretch points of the profile that its kernel does not have.
    pub left_out: Vec<LeftOutPoint>,
    /// Bugs by title, in the order in which they first showed.
    pub bugs: Vec<Bug>,
    /// The first data corruptions.
    pub corruptions: Vec<Corruption>,
    /// How many there were.
    pub corruption_count: u64,
    /// How often all invariants were looked at.
    pub checks: u64,
    /// What the guest could not do as it was asked to, each once.
    pub warnings: Vec<String>,
    /// What a reader should know of it, each once.
    pub notices: Vec<String>,
    /// The last failure that no retry has made good.
    pub failure: Option<Failure>,
    /// Why it was not run, or not to its end.
    pub cancelled: Option<String>,
    /// Whether the plan itself wanted it not to be run.
    #[serde(skip)]
    pub(crate) left_out_by_plan: bool,
    /// Whether another cell of its run that should show the expected bug has shown it.
    #[serde(skip)]
    pub(crate) others_showed: bool,
    /// Status of a command of the user's that was run with its kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<i32>,
    /// When it was finished, in milliseconds of the run.
    #[serde(skip)]
    pub(crate) finished_ms: u64,
    /// Bugs that its run's plan knows of, and that may show in it.
    #[serde(skip)]
    pub(crate) known: Vec<Arc<KnownBug>>,
    /// The virtual machines, but for those of a run that was killed and resumed, unless one of them made a report.
    pub boots: Vec<Boot>,
    /// Number of the newest machine, also if it is not among them.
    #[serde(skip)]
    pub(crate) last_boot: u32,
    /// Whether the log says that the cell is finished.
    pub finished: bool,
    /// Format of the log that tells of it.
    #[serde(skip)]
    pub(crate) format: u32,
}

/// What is being done for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Building {
    /// `unpack`, `configure`, `compile`, ...
    pub stage: String,
    /// Objects compiled so far.
    pub done: u64,
    /// Objects in all, if known.
    pub expected: Option<u64>,
}

/// A stretch point and what happened there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PointReport {
    /// Where it is.
    #[serde(flatten)]
    pub point: PlacedPoint,
    /// What happened there, in all boots that count.
    #[serde(flatten)]
    pub counts: PointCounts,
}

/// One virtual machine: an attempt at a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// From 1.
    pub number: u32,
    /// Its seed; `None` in format 1, where it is the cell's.
    pub seed: Option<u64>,
    /// Name of the machine that carried it; empty: the one that led the run.
    pub host: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// Why this one.
    pub accel_why: String,
    /// QEMU's argument vector.
    pub argv: Vec<String>,
    /// The kernel command line.
    pub cmdline: String,
    /// When QEMU was started, in milliseconds of the run.
    pub started_ms: u64,
    /// Milliseconds from there until the guest agent was ready; `None` if it never was.
    pub boot_ms: Option<u64>,
    /// How much the bug had a chance to show, as far as is known.
    pub exposure: Exposure,
    /// The newest sample in full; `None` in format 1.
    pub counters: Option<Counters>,
    /// How many samples there were.
    pub samples: u64,
    /// What all counters came to over the storm.
    #[serde(skip)]
    pub measured: Measured,
    /// What happened at its stretch points.
    pub points: BTreeMap<String, PointCounts>,
    /// How far the counters can be trusted.
    pub health: Option<Health>,
    /// Reports read from its console.
    pub findings: u64,
    /// Whether one of them is the expected bug.
    pub showed_expected: bool,
    /// Whether the agent could not get rid of its tasks when it was to stop.
    pub stuck: bool,
    /// The stretch point at which the method itself brought about a report, if it did.
    pub method_fault: Option<String>,
    /// By what measure the host gave it too little time, if a report came of that.
    pub starved: Option<String>,
    /// The reason that the agent's last line gave; `None` if it never came.
    pub done: Option<String>,
    /// Why it ended; `None` if the log does not say.
    pub end: Option<VmEnd>,
    /// More words on that.
    pub end_detail: String,
    /// What it did, if it lived by the virtual clock and came to its end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Names of a sample's numbers, while it runs.
    #[serde(skip)]
    columns: Arc<Vec<String>>,
    /// Whether the expected bug, or in a cell that should show it a related one, was reported.
    #[serde(skip)]
    struck: bool,
    /// When its agent was ready, the newest sample came, and the expected bug first showed, in
    /// milliseconds of the run.
    #[serde(skip)]
    times: Times,
}

/// Moments of a machine, in milliseconds of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    ready: u64,
    sample: u64,
    bug: Option<u64>,
    /// The guest's own time at that moment, in milliseconds since its agent was ready.
    bug_guest: u64,
}

impl Boot {
    /// Whether the guest agent has spoken.
    pub fn ready(&self) -> bool {
        self.boot_ms.is_some()
    }

    /// The word behind an option of QEMU's; `None` if QEMU was not given it, or the machine is not QEMU's.
    pub fn option(&self, option: &str) -> Option<&str> {
        self.argv.iter().skip_while(|word| *word != option).nth(1).map(String::as_str)
    }

    /// Whether its exposure says anything about the kernel: neither the machine under it nor the
    /// method was at fault.
    pub fn counts(&self) -> bool {
        self.method_fault.is_none()
            && !matches!(self.meaning(), Some(Meaning::Host | Meaning::Method))
    }

    /// What its end says about the kernel; `None` while the log does not tell. Whatever end a machine came to
    /// whose detectors spoke because the host starved it, it is the host's.
    pub fn meaning(&self) -> Option<Meaning> {
        match &self.starved {
            Some(_) => Some(Meaning::Host),
            None => self.end.map(VmEnd::meaning),
        }
    }
}

/// What a bug is to the cell's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The expected bug.
    Expected,
    /// A consequence of the expected bug, or of one related to it: later in the same boot, from the same code
    /// or from a kernel that says itself that it had died before.
    FollowUp,
    /// A report that was cut, of the expected type and later in the same boot: which bug it is
    /// cannot be told. The end of a machine that had shown what was waited for cuts reports so.
    Cut,
    /// Not the expected bug but [related](Rule::is_related) to it, in a cell that should show it.
    Related,
    /// Brought about by the stretcher, or behind such a report in the same boot: see
    /// [`crate::method`]. It says nothing about the kernel.
    Method,
    /// About time, in a guest that the host starved: see [`crate::starved`]. It says nothing about the
    /// kernel.
    Starved,
    /// Another bug.
    Another,
}

/// Reports with one title.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bug {
    /// What it is to the cell's rule.
    pub standing: Standing,
    /// Why it is not the expected bug; `None` if it is, or none is expected.
    pub why_not: Option<String>,
    /// What the plan says of it, if it knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// True if the expected bug had struck before in the same boot, so memory was damaged already.
    pub after_expected: bool,
    /// How often it was reported.
    pub count: u64,
    /// When first.
    pub first: Moment,
    /// The first report.
    pub finding: Finding,
}

/// A moment by every clock that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Virtual machine.
    pub boot: u32,
    /// Milliseconds since the run began.
    pub run_ms: u64,
    /// Milliseconds since QEMU was started.
    pub vm_ms: u64,
    /// Milliseconds since the guest agent was ready.
    pub guest_ms: u64,
}

/// A page that came back with wrong contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corruption {
    /// Virtual machine.
    pub boot: u32,
    /// What it is to the cell's rule.
    pub standing: Standing,
    /// Milliseconds since the run began.
    pub run_ms: u64,
    /// The agent's words.
    pub detail: String,
    /// What the plan says of it, if it knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}

/// A failure of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which kind.
    pub fault: Fault,
    /// The error and its hint.
    pub detail: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RunReport {
    /// Folds a log, complete or not, into what it shows.
    pub fn fold(events: impl IntoIterator<Item = RunEvent>) -> Self {
        let mut report = Self::default();
        for event in events {
            report.push(&event);
        }
        report
    }

    /// The first cell of this id; of a merged report, [`RunReport::cell_of`] tells the runs apart.
    pub fn cell(&self, id: &str) -> Option<&CellReport> {
        self.runs.iter().find_map(|run| self.cell_of(&run.id, id))
    }

    /// The run of a cell.
    pub fn run_of(&self, cell: &CellReport) -> Option<&RunFacts> {
        self.runs.iter().find(|run| run.id == cell.run)
    }

    /// Whether this is more than one run.
    pub fn is_merged(&self) -> bool {
        self.runs.len() > 1
    }

    /// A name that no other cell of the report has: its id, behind its run's where there are several.
    pub fn name_of(&self, cell: &CellReport) -> String {
        if self.is_merged() {
            format!("{}/{}", cell.run, cell.cell.id)
        } else {
            cell.cell.id.clone()
        }
    }

    /// Whether every run came to its end. A report without a run did not.
    pub fn finished(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.finished)
    }

    /// Whether nothing is missing that could change a verdict: every log has its first line and its
    /// last, and no other is lost.
    pub fn is_whole(&self) -> bool {
        self.finished() && self.damaged == 0 && self.runs.iter().all(|run| run.format > 0)
    }

    /// Whether a run was interrupted.
    pub fn interrupted(&self) -> bool {
        self.runs.iter().any(|run| run.interrupted)
    }

    /// What the runs were for: [`Purpose::Repro`] only if every one was.
    pub fn purpose(&self) -> Purpose {
        let repro = |run: &RunFacts| run.purpose == Purpose::Repro;
        if !self.runs.is_empty() && self.runs.iter().all(repro) {
            Purpose::Repro
        } else {
            Purpose::Search
        }
    }

    /// The highest confidence that a run asked for.
    pub fn confidence(&self) -> f64 {
        let asked = self.runs.iter().map(|run| run.confidence);
        asked.max_by(f64::total_cmp).unwrap_or(DEFAULT_CONFIDENCE)
    }

    /// The words of a command that repeats the first run.
    pub fn repeat_command(&self) -> Vec<String> {
        self.runs.first().map_or_else(Vec::new, |run| self.repeat_command_of(run))
    }

    /// The words of a command that repeats a run: the same one, with the seed that it had if
    /// anything was drawn from it.
    pub fn repeat_command_of(&self, run: &RunFacts) -> Vec<String> {
        let mut words = vec!["swapstorm".to_owned()];
        let mut own = self.cells.iter().filter(|cell| cell.run == run.id);
        if own.any(|cell| cell.cell.technique == NO_TECHNIQUE) {
            words.extend(run.command.iter().cloned());
            return words;
        }
        let mut rest = run.command.iter();
        while let Some(word) = rest.next() {
            if word == "--seed" {
                rest.next();
            } else if !word.starts_with("--seed=") {
                words.push(word.clone());
            }
        }
        words.extend(["--seed".to_owned(), run.seed.to_string()]);
        words
    }
}

impl CellReport {
    /// Number of the machine that would come next.
    pub fn next_boot(&self) -> u32 {
        self.last_boot.saturating_add(1)
    }

    /// Milliseconds from the start of its machines in the run's last life to its end; `None` if it did not come to an end of
    /// its own.
    pub fn took_ms(&self) -> Option<u64> {
        let alive = self.boots.iter().find(|boot| boot.end != Some(VmEnd::Orphaned))?;
        let cut = self.cancelled.is_some() || !self.finished;
        (!cut).then(|| self.finished_ms.saturating_sub(alive.started_ms))
    }

    /// The first report of the bug that decided the verdict, if one did.
    pub fn deciding_bug(&self) -> Option<&Bug> {
        let expected = match &self.verdict {
            CellVerdict::KernelBug { expected, .. } => expected,
            CellVerdict::KnownBug { .. } => {
                return self.bugs.iter().find(|bug| bug.known.is_some());
            }
            _ => return None,
        };
        let alarming =
            |standing: Standing| move |bug: &&Bug| bug.standing == standing && bug.known.is_none();
        let first = |standing| self.bugs.iter().find(alarming(standing));
        if *expected {
            first(Standing::Expected)
        } else {
            first(Standing::Another).or_else(|| first(Standing::Related))
        }
    }

    /// The machine that decided the verdict, or else the last one.
    pub fn deciding_boot(&self) -> Option<&Boot> {
        let number = self.deciding_bug().map(|bug| bug.first.boot);
        self.boots.iter().find(|boot| Some(boot.number) == number).or(self.boots.last())
    }

    /// Whether the expected bug showed, whatever else did.
    pub fn showed_expected(&self) -> bool {
        self.time_to_bug.is_some()
    }
}

#[cfg(test)]
mod tests;
