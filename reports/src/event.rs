// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event log: a run *is* its events.
//!
//! `events.jsonl` holds one [`RunEvent`] a line, appended as things happen. Every
//! report is a fold over these lines, so a run that was killed, merged from several
//! machines or replayed from disk is read in the same way.

use std::collections::BTreeMap;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::rule::Rule;
use crate::telemetry::Health;

/// Version of the event format; a reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Milliseconds since the run began, by a monotonic clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. `cell` is the id of a [`Cell`]; `boot` counts virtual machines within a cell from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "events are written and folded one at a time")]
pub enum What {
    /// First line of every log.
    RunStarted {
        /// [`FORMAT`].
        format: u32,
        /// Program version.
        version: String,
        /// The command line, program name left out.
        command: Vec<String>,
        /// Wall-clock start, RFC 3339, UTC.
        started: String,
        /// The run's seed; every cell derives its own from it.
        seed: u64,
        /// Facts about the machine: cpus, memory_mib, qemu, ...
        host: BTreeMap<String, String>,
    },
    /// A cell will be run.
    CellPlanned {
        /// The cell.
        cell: Cell,
    },
    /// The text of a rule that cells of this run name in `expect`, so that the log can be judged
    /// without the file. Needed for rules of the user's own; the program's are known by name.
    RuleLoaded {
        /// The rule.
        rule: Rule,
    },
    /// The kernel of a cell was built or found in the store.
    KernelReady {
        /// Cell id.
        cell: String,
        /// What was built.
        kernel: KernelFacts,
    },
    /// A virtual machine was started.
    VmStarted {
        /// Cell id.
        cell: String,
        /// Which virtual machine of this cell, from 1.
        boot: u32,
        /// `tcg` or `kvm`; [`crate::run::REMOTE`] for a machine that is not QEMU's.
        accel: String,
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
    /// Counters so far, for this virtual machine.
    Exposure {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The counters.
        exposure: Exposure,
    },
    /// The console showed a report.
    Found {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// Milliseconds since the guest agent was ready (0 if it never was).
        guest_ms: u64,
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
    /// The guest agent says that something is not as it was asked for.
    GuestWarned {
        /// Cell id.
        cell: String,
        /// Virtual machine.
        boot: u32,
        /// The agent's words, escaped.
        detail: String,
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
    /// Last line of a run that ended by itself or was asked to stop.
    RunFinished {
        /// True after Ctrl-C.
        interrupted: bool,
    },
}

/// One point of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Short unique name within the run, fit for a file name.
    pub id: String,
    /// Manifest name, e.g. `debian-6.1`.
    pub kernel: String,
    /// Series name; `None` for the kernel as it is.
    pub series: Option<String>,
    /// Architecture name.
    pub arch: String,
    /// Profile name.
    pub profile: String,
    /// `natural` or `stretch`; [`crate::run::NO_TECHNIQUE`] for a guest to log in to.
    pub technique: String,
    /// The cell's seed.
    pub seed: u64,
    /// Name of the expected-bug rule, if the cell has one.
    pub expect: Option<String>,
    /// Whether the expected bug should show (`Some(true)`), must not (`Some(false)`), or is not known.
    pub should_show: Option<bool>,
    /// Exposure that a clean result must reach, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Exposure>,
}

/// What is known of a kernel. One that we did not build has no `key`, and its `source` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// `6.1.192`.
    pub release: String,
    /// First line of `gcc --version`.
    pub compiler: String,
    /// Store key, hexadecimal.
    pub key: String,
    /// True if the store had it.
    pub cached: bool,
    /// Milliseconds spent on it in this run.
    pub ms: u64,
    /// Source identity: package, version and the digest of what was fetched.
    pub source: String,
    /// Subjects of the patches, in order.
    #[serde(default)]
    pub patches: Vec<String>,
}

/// Counters that say how much the bug had a chance to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exposure {
    /// Guest milliseconds since the agent was ready.
    pub guest_ms: u64,
    /// Completed swapon calls.
    pub swapons: u64,
    /// Completed swapoff calls.
    pub swapoffs: u64,
    /// Pages that zswap stored.
    pub stores: u64,
    /// Pages that zswap wrote back.
    pub writebacks: u64,
    /// Windows stretched to their end or not yet ended.
    pub windows: u64,
    /// Stretch points reached where sleeping was not allowed.
    pub refused: u64,
    /// Pages read back and verified.
    pub verified: u64,
    /// Workers killed for lack of memory and started again.
    pub oom_kills: u64,
}

impl Add for Exposure {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            guest_ms: self.guest_ms.saturating_add(other.guest_ms),
            swapons: self.swapons.saturating_add(other.swapons),
            swapoffs: self.swapoffs.saturating_add(other.swapoffs),
            stores: self.stores.saturating_add(other.stores),
            writebacks: self.writebacks.saturating_add(other.writebacks),
            windows: self.windows.saturating_add(other.windows),
            refused: self.refused.saturating_add(other.refused),
            verified: self.verified.saturating_add(other.verified),
            oom_kills: self.oom_kills.saturating_add(other.oom_kills),
        }
    }
}

/// Why a virtual machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmEnd {
    /// Stopped by us: what we waited for was seen.
    Enough,
    /// Stopped by us: the budget was used up.
    Budget,
    /// Stopped by us: a report related to the expected bug came before it.
    Derailed,
    /// Stopped by us: Ctrl-C.
    Interrupted,
    /// The guest powered off by itself after its time.
    PoweredOff,
    /// The guest panicked or reset.
    Crashed,
    /// The kernel never printed a byte.
    NeverSpoke,
    /// The kernel printed, but the agent was never ready.
    NeverReady,
    /// Nothing was printed for too long.
    WentSilent,
    /// Lines were printed, but the counters stood still for too long.
    NoProgress,
    /// QEMU died or could not be spoken to.
    QemuDied,
    /// A machine that is not QEMU's could no longer be reached, or its agent ended unasked.
    ConnectionLost,
}

/// Failures before a virtual machine ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// This configuration cannot show the bug.
    Unreachable,
    /// The kernel or the guest programs did not compile.
    Build,
    /// A patch did not apply.
    PatchConflict,
    /// The machine under us: disk, network, a missing tool.
    Infrastructure,
    /// Usage or configuration.
    Configuration,
}
