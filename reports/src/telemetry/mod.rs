// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest agent's lines on the console, as typed data. `workloads/guest/PROTOCOL.md` is
//! the format.
//!
//! The console is shared with a kernel that may be out of its mind and with programs that
//! may print what they like. A line is believed only if it carries this run's token, is well
//! formed, and does not contradict the lines before it; everything else is counted in
//! [`Health`]. The token keeps accidents and other programs apart. It is no secret from the
//! guest's root, who can read it from the kernel command line.

mod columns;
mod counters;
mod hung;
mod line;
mod stream;
mod violation;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use columns::Columns;
pub use counters::Counters;
pub use hung::Hung;
pub use stream::{MAX_LINE, TelemetryReader};
pub use violation::{Checked, INVARIANT, Violation};

use crate::escape::printable;
use crate::event::Exposure;

/// One believed line of the guest agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Telemetry {
    /// The agent runs.
    Hello(Hello),
    /// The storm has begun.
    Ready(Ready),
    /// The names of all counters are known, for the first time or anew.
    Columns(Columns),
    /// Counters so far.
    Sample(Box<Sample>),
    /// What the kernel counts of one worker's cgroup.
    Memcg(Memcg),
    /// A process does not get on while others do, or did not end when it was to: a kernel bug,
    /// unless [`Hung::excuse`] says otherwise.
    Hung(Box<Hung>),
    /// A process has not ended yet a second after it was to: a kernel bug if the guest is given up
    /// before it says more.
    Slow(Box<Hung>),
    /// An invariant does not hold: a kernel bug.
    Violated(Violation),
    /// All invariants were looked at.
    Checked(Checked),
    /// What was asked for was done.
    Acted(Acted),
    /// A page came back with wrong contents: a kernel bug.
    Corrupt(Corrupt),
    /// Something in the guest is not as it was asked for.
    Warn(Warn),
    /// The storm is over and the guest will end.
    Done(Done),
}

/// `hello`: the agent has been started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Version of the agent's protocol.
    pub protocol: u64,
    /// Milliseconds since the kernel started, about.
    pub up_ms: u64,
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// CPUs online.
    pub cpus: u64,
    /// MemTotal in KiB.
    pub memory_kib: u64,
    /// Keys that this reader does not know.
    pub extra: BTreeMap<String, String>,
}

/// `ready`: everything is set up and the first loops were forked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// Swap devices in the storm.
    pub disks: u64,
    /// Workers.
    pub workers: u64,
    /// What the guest says of its zswap (`zswap`, `compressor`, `zpool`, ...) and any other key.
    pub extra: BTreeMap<String, String>,
}

/// `sample`: counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// Milliseconds since `ready`.
    pub since_ready_ms: u64,
    /// Number of the sample, from 1.
    pub seq: u64,
    /// The counters that a verdict rests on.
    pub counters: Counters,
    /// All counters, in the order of the last [`Telemetry::Columns`]; empty if the agent has no
    /// such table (protocol 1).
    pub row: Vec<u64>,
    /// Counters that no verdict rests on, and keys that this reader does not know.
    pub extra: BTreeMap<String, String>,
}

impl Sample {
    /// Sets the guest's part of `exposure`. Windows and refusals are the stretcher's and stay.
    pub fn apply(&self, exposure: &mut Exposure) {
        self.counters.apply(exposure);
        exposure.guest_ms = self.since_ready_ms;
    }
}

/// `memcg`: what the kernel counts of one worker's cgroup at one moment. The cgroups take turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memcg {
    /// Milliseconds since `ready`.
    pub since_ready_ms: u64,
    /// The cgroup: `w3` or, where workers change theirs, `x3`, the other one of worker 3. One that is made anew counts
    /// from 0 again.
    pub cgroup: String,
    /// Its counters as `memory.stat` names them, and `memory.current`, `memory.swap.current`. What the kernel does not have
    /// is not there.
    pub numbers: BTreeMap<String, u64>,
}

/// `acted`: what somebody asked for while the storm runs was done to one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acted {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// Number of the newest request that had been heard when it was done.
    pub number: u32,
    /// The same when it was begun; 0: none had.
    pub since: u32,
    /// Who acted: `swapoff`, `cpu`, `zswap`.
    pub actor: String,
    /// To what: the name of a device.
    pub to: String,
    /// Why it could not be done; empty if it was.
    pub errno: String,
}

/// `corrupt`: a page was read back with wrong contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corrupt {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// All keys but `ms`, in the order in which they were printed: `worker`, `page`, `offset`, ...
    pub words: Vec<(String, String)>,
}

impl Corrupt {
    /// The agent's words in one printable line, for [`crate::event::What::Corruption`].
    pub fn detail(&self) -> String {
        words_to_text(&self.words)
    }
}

/// `warn`: something in the guest is not as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warn {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// What is wrong, one word: `parameter`, `write`, `swap-device`, ...
    pub what: String,
    /// The other keys, in the order in which they were printed.
    pub words: Vec<(String, String)>,
}

impl Warn {
    /// The warning in one printable line.
    pub fn detail(&self) -> String {
        let what = printable(&self.what);
        if self.words.is_empty() {
            what.into_owned()
        } else {
            format!("{what} {}", words_to_text(&self.words))
        }
    }
}

/// `done`: the storm was stopped and the guest will end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// Why: `time`, `stop` or `no-disks`.
    pub reason: String,
    /// What comes next: `poweroff`, `reboot` or `halt`.
    pub end: String,
}

/// How far the telemetry of one virtual machine can be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Lines believed.
    pub believed: u64,
    /// Lines with another token: forged, or of another program.
    pub foreign: u64,
    /// Lines with our token that break the format, or longer than [`MAX_LINE`].
    pub malformed: u64,
    /// Well-formed lines that contradict earlier ones: counters that fell or leapt, a second `hello`.
    pub suspicious: u64,
    /// Samples that never arrived, by the gaps in their numbers.
    pub missing: u64,
    /// Words and keys that this reader does not know (a newer agent).
    pub unknown: u64,
}

impl Health {
    /// Why the counters of this machine cannot carry a verdict; `None` if they can.
    ///
    /// Foreign lines are harmless, as they were not believed, and so is a broken line or
    /// two on a console that lost bytes. Contradictions are not: someone else speaks with
    /// our token, or the guest's memory is damaged.
    pub fn doubt(&self) -> Option<String> {
        if self.suspicious > 0 {
            Some(format!("telemetry contradicts itself (lines refused: {})", self.suspicious))
        } else if self.malformed > 2 + self.believed / 10 {
            Some(format!(
                "{} of {} telemetry lines are malformed",
                self.malformed,
                self.malformed + self.believed
            ))
        } else {
            None
        }
    }
}

fn words_to_text(words: &[(String, String)]) -> String {
    let words: Vec<String> =
        words.iter().map(|(key, value)| format!("{key}={}", printable(value))).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
