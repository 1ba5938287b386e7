// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it means how a machine ended.

use std::time::Duration;

use machine::Kind;
use reports::event::{Meaning, VmEnd};

use super::Judge;

/// QEMU's word for a guest that powered off.
const ORDERLY: &str = "guest-shutdown";
/// Guest milliseconds after which a task that was slow to end is taken for one that hangs.
const SLOW_MS: u64 = 5_000;

impl Judge {
    /// What it means that the machine ended by itself.
    pub(super) fn own_end(&self) -> VmEnd {
        if self.method_fault.is_some() {
            return VmEnd::MethodFault;
        }
        match (&self.stopping, &self.done, self.guest_ended.as_deref()) {
            (Some(stopping), Some(_), _) => stopping.why,
            (None, Some(done), _) => left(self.job.kind, &done.reason),
            // The agent's last line may be lost on a way out that was orderly all the same. Such a
            // machine is not clean, but it did not crash either.
            (Some(stopping), None, Some(ORDERLY)) => stopping.why,
            (None, None, Some(ORDERLY)) => VmEnd::PoweredOff,
            (_, None, Some(_)) => VmEnd::Crashed,
            (_, None, None) => lost(self.job.kind),
        }
    }

    /// What an end is worth that was meant, or would have been had the guest stopped when it was asked to.
    pub(super) fn amend(&mut self, why: VmEnd) -> VmEnd {
        if why == VmEnd::DidNotStop {
            // The agent had no time left to say more of them.
            let now = self.telemetry.last_sample().map_or(0, |sample| sample.ms);
            for hung in std::mem::take(&mut self.slow) {
                if now.saturating_sub(hung.ms) >= SLOW_MS {
                    self.hung(hung);
                }
            }
        }
        let meaning = why.meaning();
        let meant = matches!(meaning, Meaning::Sound | Meaning::CutShort);
        let judged = matches!(meaning, Meaning::Sound | Meaning::Doubtful);
        match self.findings + self.corruptions {
            0 if judged && self.starved.is_some() => VmEnd::Starved,
            0 if meant && self.stuck => VmEnd::DidNotStop,
            0 if meant && self.excused.is_some() => VmEnd::NoProgress,
            _ => why,
        }
    }

    /// Words on the end for a person; `said` are those of whoever ended the machine.
    pub(super) fn end_detail(&self, why: VmEnd, said: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.guest_ended.as_ref().map(|reason| format!("QEMU says {reason}")));
        parts.extend(Some(self.detail.clone()).filter(|detail| !detail.is_empty()));
        match (&self.method_fault, why) {
            (Some((_, fault)), VmEnd::MethodFault) => parts.push(fault.clone()),
            (_, VmEnd::DidNotStop) => {
                let waited = self.stopping.map_or(Duration::ZERO, |s| self.since(s.asked));
                parts.push(format!("asked to stop, it did not within {} s", waited.as_secs()));
            }
            (_, VmEnd::NoProgress) => parts.extend(self.excused.clone()),
            (_, VmEnd::Starved) => parts.extend(self.starved.iter().map(|(_, why)| why.clone())),
            _ => {}
        }
        if let Some(gap) = self.clock.longest_gap() {
            let gap = gap.as_secs_f64();
            parts.push(format!("this program was kept from running for {gap:.1} s"));
        }
        if parts.is_empty() && !said.is_empty() && why == lost(self.job.kind) {
            parts.push(said.to_owned());
        }
        parts.join("; ")
    }
}

/// How a machine ends when nobody meant it to.
pub(super) fn lost(kind: Kind) -> VmEnd {
    match kind {
        Kind::Qemu => VmEnd::QemuDied,
        Kind::Target => VmEnd::ConnectionLost,
    }
}

/// What it means that the agent ended unasked, by the reason that it gave.
fn left(kind: Kind, reason: &str) -> VmEnd {
    match (kind, reason) {
        (Kind::Qemu, _) => VmEnd::PoweredOff,
        (Kind::Target, "time" | "stuck") => VmEnd::Budget,
        (Kind::Target, "stop") => VmEnd::Enough,
        (Kind::Target, "hangup" | "signal") => VmEnd::ConnectionLost,
        (Kind::Target, _) => VmEnd::NeverReady,
    }
}
