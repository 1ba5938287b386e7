// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event log: a run *is* its events.
//!
//! `events.jsonl` holds one [`RunEvent`] a line, appended as things happen. Every
//! report is a fold over these lines, so a run that was killed, merged from several
//! machines or replayed from disk is read in the same way. `EVENTS.md` is the format.

mod cell;
mod digest;
mod end;
mod exposure;
mod hunt;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use cell::kernel_name;
pub use cell::{Cell, KernelFacts, PlanFacts, ProfileFacts, VIRTUAL, WALL};
pub use digest::Digest;
pub use end::{Fault, Meaning, VmEnd};
pub use exposure::{Exposure, PointCounts, SampleTable};
pub use hunt::{Beside, Outcome, Site, SiteCounts, Sleep, Suspect};

use crate::check::CheckFacts;
use crate::exit::Purpose;
use crate::finding::Finding;
use crate::known::KnownBug;
use crate::rule::Rule;
use crate::search::range::Range;
use crate::telemetry::Health;

/// Version of the event format; a reader refuses a newer one.
pub const FORMAT: u32 = 2;
/// Version within [`FORMAT`]: a newer one may add events and fields, which a reader skips.
pub const MINOR: u32 = 6;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Milliseconds since the run began, by a monotonic clock.
    pub at_ms: u64,
    /// The run that it belongs to. Left out where it is the run whose `run-started` stands above:
    /// only logs in which the lines of several runs alternate need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. `cell` is the id of a [`Cell`]; `boot` counts virtual machines within a cell from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// First line of every log.
    RunStarted {
        /// [`FORMAT`].
        format: u32,
        /// [`MINOR`].
        #[serde(default)]
        minor: u32,
        /// Identifies the run among all that a report may merge: a word without blanks, at most 64
        /// bytes. Empty in format 1.
        #[serde(default)]
        id: String,
        /// Program version.
        version: String,
        /// The command line, program name left out.
        command: Vec<String>,
        /// Wall-clock start, RFC 3339, UTC.
        started: String,
        /// The run's seed; every cell derives its own from it.
        seed: u64,
        /// What the run is for. `None` in format 1, where the command says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<Purpose>,
        /// Probability, from 0 to 1, with which an unfixed kernel must have shown its bug before a
        /// clean one is called fixed. `None` in format 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
        /// Name of the machine that leads the run. Empty in format 1.
        #[serde(default)]
        host_name: String,
        /// Facts about that machine: cpus, memory_mib, qemu, ...
        host: BTreeMap<String, String>,
    },
    /// The text of a rule that cells of this run name in `expect`, so that the log can be judged
    /// without the file. Needed for rules of the user's own; the program's are known by name.
    RuleLoaded {
        /// The rule.
        rule: Rule,
    },
    /// The text of a profile that cells of this run name.
    ProfileLoaded {
        /// The profile.
        profile: ProfileFacts,
    },
    /// The text of the plan, so that the run can be resumed without the file.
    PlanLoaded {
        /// The plan.
        plan: PlanFacts,
    },
    /// What is asked of a series. Written before the cells that answer it.
    CheckLoaded {
        /// The question.
        check: CheckFacts,
    },
    /// What is searched among kernels. Written before the cells of the search.
    RangeLoaded {
        /// The kernels and the search.
        range: Range,
    },
    /// A bug that the plan knows of. Written before the cells in which it may show.
    KnownLoaded {
        /// The bug.
        bug: KnownBug,
    },
    /// Somebody went on with a run that had been killed or interrupted.
    RunResumed {
        /// Program version.
        version: String,
        /// Wall clock, RFC 3339, UTC.
        resumed: String,
        /// Name of the machine that leads the run from here on.
        #[serde(default)]
        host_name: String,
        /// Ids of the cells that are run again: those that were under way, interrupted or cancelled, and those of which a
        /// line may be lost. What their machines had reported stays, and their exposure no longer counts.
        again: Vec<String>,
        /// So many damaged lines above can belong to those cells only, so nothing is missing any more.
        #[serde(default)]
        healed: u64,
    },
    /// A cell will be run.
    CellPlanned {
        /// The cell.
        cell: Cell,
    },
    /// A planned cell, or what is left of one that was begun, will not be run.
    CellCancelled {
        /// Cell id.
        cell: String,
        /// Why, for a person: `Ctrl-C`, `another cell has shown the bug`.
        why: String,
        /// True if the plan itself wanted it so: its time is used up, or it has its answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        planned: bool,
    },
    /// The kernel of a cell is being made. Written when a stage begins, and within one at most once
    /// in some seconds.
    Building {
        /// Cell id.
        cell: String,
        /// What is being done: `unpack`, `configure`, `compile`, ...
        stage: String,
        /// Objects compiled so far.
        #[serde(default)]
        done: u64,
        /// Objects in all, where an earlier build tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<u64>,
    },
    /// The kernel of a cell was built or found in the store.
    KernelReady {
        /// Cell id.
        cell: String,
        /// What was built.
        kernel: KernelFacts,
        /// The variant of the profile that this kernel wants, if the profile has variants.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
    },
    /// Where the kernel of a cell can be stretched, and where not.
    PointsPlaced {
        /// Cell id.
        cell: String,
        /// The points that its machines will be stretched at.
        points: Vec<PlacedPoint>,
        /// The points of the profile that this kernel does not have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LeftOutPoint>,
    },
    /// Where the machines of a cell will be hunted in.
    SitesChosen {
        /// Cell id.
        cell: String,
        /// How many sites there are: calls at which a task can be made to sleep.
        sites: u64,
        /// In how many functions.
        functions: u64,
    },
    /// What an earlier hunt in the same kernel knew of sites, which this one goes on from. There may be several, for different sites.
    SitesKnown {
        /// Cell id.
        cell: String,
        /// Id of the run that the earlier hunt was. `run` is the name of the run that an event belongs to.
        after: String,
        /// By the site's name, `function:callee#n`.
        sites: BTreeMap<String, Site>,
    },
    /// A virtual machine was started: an attempt at the cell.
    VmStarted {
        /// Cell id.
        cell: String,
        /// Which attempt, from 1.
        boot: u32,
        /// `tcg` or `kvm`; [`crate::run::REMOTE`] for a machine that is not QEMU's.
        accel: String,
        /// Why this accelerator, for a person: `/dev/kvm is missing`, `--accel`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        accel_why: String,
        /// The attempt's seed: token, guest and stretcher draw from it. `None` in format 1, where all
        /// attempts have the cell's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// Name of the machine on which it runs; empty: the one that leads the run.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        host: String,
        /// QEMU's argument vector, paths relative to the run's folder where they lie in it; or
        /// the `ssh` command that reaches the machine.
        argv: Vec<String>,
        /// The kernel command line, or the agent's words.
        cmdline: String,
    },
    /// The guest agent has spoken.
    GuestReady {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Milliseconds since QEMU was started.
        boot_ms: u64,
    },
    /// What the numbers of the following `sample` events of this machine are. Written before the
    /// first, and again if it changes. See [`SampleTable`].
    Columns {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Names: `guest_ms`, `seq`, then counters as the agent names them.
        columns: Vec<String>,
    },
    /// One sample of the guest agent.
    Sample {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// One value a column; `None` where the kernel does not have the counter.
        row: Vec<Option<u64>>,
    },
    /// What the kernel counts of one worker's cgroup. The cgroups of a machine take turns, one with each sample.
    Memcg {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Milliseconds since the agent was ready.
        guest_ms: u64,
        /// The cgroup's name: `w3` is worker 3's, and `x3` the other one of a worker that changes its own.
        cgroup: String,
        /// Its counters by name; what the kernel does not have is not there.
        numbers: BTreeMap<String, u64>,
    },
    /// What has happened at the stretch points of this machine so far.
    Windows {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// By the point's id.
        points: BTreeMap<String, PointCounts>,
    },
    /// Who has come by at these sites of this machine so far.
    SitesMapped {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// By the site's name, `function:callee#n`; those that have changed since the event before.
        sites: BTreeMap<String, SiteCounts>,
    },
    /// A task slept at a site, and goes on.
    Slept {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The sleep.
        #[serde(flatten)]
        sleep: Sleep,
    },
    /// Who had slept when a report came.
    Suspected {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The report's title.
        title: String,
        /// The sleeper that it may be about; `None`: nobody slept, or had slept lately.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suspect: Option<Suspect>,
    },
    /// Counters so far, for this virtual machine. Format 1 has these in place of `columns`, `sample`
    /// and `windows`.
    Exposure {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The counters.
        exposure: Exposure,
    },
    /// The console showed a report, or the agent told of a hung task and gave its stack, or of an
    /// invariant that does not hold.
    Found {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Milliseconds since the guest agent was ready (0 if it never was).
        guest_ms: u64,
        /// The stretch point at which the reporting task was put to sleep, if the stretcher knows
        /// that it is asleep or was when it reported.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diverted: Option<String>,
        /// By what measure the host gave the guest too little time around the report, for a person.
        /// A report [about time](crate::starved) then says nothing about the kernel.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starved: Option<String>,
        /// The report.
        finding: Finding,
    },
    /// The guest agent read back a page with wrong contents.
    Corruption {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The agent's words, escaped.
        detail: String,
    },
    /// The storm stood still, everything was swapped off, and the guest agent looked at all
    /// invariants. What did not hold is a [`What::Found`] of its own.
    GuestChecked {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Which time it is on this machine, from 1.
        phase: u64,
        /// The numbers that were looked at, escaped. What the kernel does not have is left out.
        detail: String,
    },
    /// The guest agent says that something is not as it was asked for.
    GuestWarned {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The agent's words, escaped; the first one says what it is about (`stuck left=4`).
        detail: String,
    },
    /// The guest agent said its last line: the storm is over and the guest will end.
    GuestDone {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// `time`, `stop`, `no-disks`, ...
        reason: String,
    },
    /// How far the telemetry of a virtual machine can be trusted; logged before it is stopped.
    TelemetryChecked {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// What was believed and what was not.
        health: Health,
    },
    /// What a machine on the virtual clock did; logged before it is stopped, if it came to its end by itself.
    Digested {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The digest.
        digest: Digest,
    },
    /// A virtual machine ended.
    VmStopped {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Why.
        why: VmEnd,
        /// More words for a person: QEMU's last error line, the exit status.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A command of the user's that was run with the cell's kernel ended.
    CommandEnded {
        /// Cell id.
        cell: String,
        /// Its status as a shell has it: 128 and the signal's number where a signal ended it.
        status: i32,
    },
    /// A stage of a cell failed before a virtual machine could judge it.
    CellFailed {
        /// Cell id.
        cell: String,
        /// Which kind of failure.
        fault: Fault,
        /// The error and its hint.
        detail: String,
    },
    /// A cell is finished; what it showed follows from the events before.
    CellFinished {
        /// Cell id.
        cell: String,
    },
    /// Something that a reader of the report should know and that changes no verdict.
    Notice {
        /// Cell id; `None`: about the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<String>,
        /// One sentence or two.
        text: String,
    },
    /// Somebody wants the run to end.
    CancelRequested {
        /// `Ctrl-C`, `SIGTERM`, ...
        by: String,
        /// True if it is not to wait for guests that end kindly.
        #[serde(default)]
        at_once: bool,
    },
    /// Last line of a run that ended by itself or was asked to stop.
    RunFinished {
        /// True after Ctrl-C.
        interrupted: bool,
    },
    /// An event that a newer program with the same [`FORMAT`] wrote. It is never written.
    #[serde(other)]
    Unknown,
}

impl What {
    /// Id of the cell that it is about.
    pub fn cell(&self) -> Option<&str> {
        match self {
            Self::CellPlanned { cell } => Some(&cell.id),
            Self::CellCancelled { cell, .. }
            | Self::Building { cell, .. }
            | Self::KernelReady { cell, .. }
            | Self::PointsPlaced { cell, .. }
            | Self::SitesChosen { cell, .. }
            | Self::SitesKnown { cell, .. }
            | Self::SitesMapped { cell, .. }
            | Self::Slept { cell, .. }
            | Self::Suspected { cell, .. }
            | Self::VmStarted { cell, .. }
            | Self::GuestReady { cell, .. }
            | Self::Columns { cell, .. }
            | Self::Sample { cell, .. }
            | Self::Memcg { cell, .. }
            | Self::Windows { cell, .. }
            | Self::Exposure { cell, .. }
            | Self::Found { cell, .. }
            | Self::Corruption { cell, .. }
            | Self::GuestChecked { cell, .. }
            | Self::GuestWarned { cell, .. }
            | Self::GuestDone { cell, .. }
            | Self::TelemetryChecked { cell, .. }
            | Self::Digested { cell, .. }
            | Self::VmStopped { cell, .. }
            | Self::CommandEnded { cell, .. }
            | Self::CellFailed { cell, .. }
            | Self::CellFinished { cell }
            | Self::Notice { cell: Some(cell), .. } => Some(cell),
            Self::RunStarted { .. }
            | Self::RuleLoaded { .. }
            | Self::ProfileLoaded { .. }
            | Self::PlanLoaded { .. }
            | Self::CheckLoaded { .. }
            | Self::RangeLoaded { .. }
            | Self::KnownLoaded { .. }
            | Self::RunResumed { .. }
            | Self::Notice { cell: None, .. }
            | Self::CancelRequested { .. }
            | Self::RunFinished { .. }
            | Self::Unknown => None,
        }
    }

    /// Number of the virtual machine that it is about.
    pub fn boot_mut(&mut self) -> Option<&mut u32> {
        match self {
            Self::VmStarted { boot, .. }
            | Self::GuestReady { boot, .. }
            | Self::Columns { boot, .. }
            | Self::Sample { boot, .. }
            | Self::Memcg { boot, .. }
            | Self::Windows { boot, .. }
            | Self::Exposure { boot, .. }
            | Self::Found { boot, .. }
            | Self::Corruption { boot, .. }
            | Self::GuestChecked { boot, .. }
            | Self::GuestWarned { boot, .. }
            | Self::GuestDone { boot, .. }
            | Self::TelemetryChecked { boot, .. }
            | Self::Digested { boot, .. }
            | Self::SitesMapped { boot, .. }
            | Self::Slept { boot, .. }
            | Self::Suspected { boot, .. }
            | Self::VmStopped { boot, .. } => Some(boot),
            Self::RunStarted { .. }
            | Self::RuleLoaded { .. }
            | Self::ProfileLoaded { .. }
            | Self::PlanLoaded { .. }
            | Self::KnownLoaded { .. }
            | Self::CheckLoaded { .. }
            | Self::RangeLoaded { .. }
            | Self::RunResumed { .. }
            | Self::CellPlanned { .. }
            | Self::CellCancelled { .. }
            | Self::Building { .. }
            | Self::KernelReady { .. }
            | Self::PointsPlaced { .. }
            | Self::CommandEnded { .. }
            | Self::SitesChosen { .. }
            | Self::SitesKnown { .. }
            | Self::CellFailed { .. }
            | Self::CellFinished { .. }
            | Self::Notice { .. }
            | Self::CancelRequested { .. }
            | Self::RunFinished { .. }
            | Self::Unknown => None,
        }
    }
}

/// A stretch point in the kernel of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedPoint {
    /// Names it within the profile: `zswap_writeback_entry:_raw_spin_lock:1`.
    pub id: String,
    /// The function whose call is the window's end, then the functions that the compiler put it
    /// into, innermost first.
    pub functions: Vec<String>,
    /// Whether its windows are the expected bug's: only those count as exposure.
    #[serde(default = "yes")]
    pub bug: bool,
    /// Where the profile would rather have it, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<LeftOutPoint>,
}

/// A stretch point that the kernel of a cell does not have, or a place for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutPoint {
    /// `function:call` of the place; of a point that of its first one.
    pub id: String,
    /// Why, for a person.
    pub why: String,
}

fn yes() -> bool {
    true
}
