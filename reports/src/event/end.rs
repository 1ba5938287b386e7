// SPDX-License-Identifier: MIT OR Apache-2.0
//! How things end, and what that says about the kernel.

use serde::{Deserialize, Serialize};

/// Why a virtual machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmEnd {
    /// Stopped by us: what we waited for was seen.
    Enough,
    /// Stopped by us: the budget, in guest time, was used up.
    Budget,
    /// Stopped by us: the cap in the host's time came before the end of the budget.
    HostBudget,
    /// Stopped by us: a report related to the expected bug came before it.
    Derailed,
    /// Stopped by us: Ctrl-C.
    Interrupted,
    /// Stopped by us: nobody needs its result any more.
    Cancelled,
    /// The guest powered off by itself after its time.
    PoweredOff,
    /// The guest ended by itself, without the agent's `done`: it panicked, it reset, or the line was
    /// lost on an orderly way out.
    Crashed,
    /// The kernel never printed a byte.
    NeverSpoke,
    /// The kernel printed, but the agent was never ready.
    NeverReady,
    /// Nothing was printed for too long.
    WentSilent,
    /// Lines were printed, but the counters stood still for too long.
    NoProgress,
    /// The guest was asked to stop and did not in time.
    DidNotStop,
    /// The stretcher brought about a report of its own.
    MethodFault,
    /// The stretcher ended: its task panicked, or gdbstub and it no longer understand each other.
    StretcherDied,
    /// QEMU died or could not be spoken to.
    QemuDied,
    /// A machine that is not QEMU's could no longer be reached, or its agent ended unasked.
    ConnectionLost,
    /// The machine under us gave the guest too little time to be judged by any clock.
    Starved,
    /// The harness itself was stopped and continued (SIGSTOP, a machine that slept), so that clocks and
    /// patience mean nothing.
    Suspended,
    /// The harness was killed, and the run resumed later. No log says so of a machine: it follows from `run-resumed`.
    Orphaned,
}

/// What the end of a machine whose agent was ready says about its kernel. Before the agent is ready,
/// [`Meaning::Sound`] and [`Meaning::Doubtful`] both are a boot that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// An end that was meant: reports decide, and without one its exposure counts.
    Sound,
    /// It was cut short by us: as [`Meaning::Sound`], but without a report it needs its exposure.
    CutShort,
    /// A hung kernel, a crash that could not print, or neither. Reports decide; without one the cell
    /// is never clean, whatever other machines showed.
    Doubtful,
    /// The machine under us. Its exposure does not count, and a later machine makes it good.
    Host,
    /// The method. Its exposure does not count, and the cell ends with it.
    Method,
}

impl VmEnd {
    /// What this end says about the kernel.
    pub fn meaning(self) -> Meaning {
        match self {
            Self::Enough | Self::Budget | Self::HostBudget | Self::Derailed | Self::PoweredOff => {
                Meaning::Sound
            }
            Self::Interrupted | Self::Cancelled => Meaning::CutShort,
            Self::Crashed
            | Self::NeverSpoke
            | Self::NeverReady
            | Self::WentSilent
            | Self::NoProgress
            | Self::DidNotStop => Meaning::Doubtful,
            Self::StretcherDied
            | Self::QemuDied
            | Self::ConnectionLost
            | Self::Starved
            | Self::Suspended
            | Self::Orphaned => Meaning::Host,
            Self::MethodFault => Meaning::Method,
        }
    }
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
