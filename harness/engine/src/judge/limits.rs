// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a machine has done enough, and when patience with it ends.

use std::time::Duration;

use reports::event::{Exposure, VmEnd};
use tokio::time::Instant;

use super::found::Held;
use super::given::STARVED_SHARE;
use super::{Judge, Order};

/// Counters are logged at most so often.
const WINDOWS_PERIOD: Duration = Duration::from_millis(900);
/// A guest that still prints while it is stopping is given so many times the usual.
pub(super) const STOP_FACTOR: u32 = 4;
/// A storm may take so many times its budget of the host's time, and [`HOST_SPARE`] more.
const HOST_FACTOR: u32 = 4;
/// The same on the virtual clock, where the host's pace must not end anything.
const VIRTUAL_FACTOR: u32 = 40;
/// See [`HOST_FACTOR`].
const HOST_SPARE: Duration = Duration::from_secs(60);

impl Judge {
    /// Looks at the clocks and the counters. Everything that lies in the pipes was read before.
    pub fn tick(&mut self, now: Instant) {
        self.now = self.clock.read(now);
        let limits = self.job.timeouts;
        if self.since(self.last_kernel_line) > limits.report_tail {
            let seen = self.reader.idle();
            self.saw(seen);
        }
        if self.since(self.windows_logged.0) > WINDOWS_PERIOD {
            self.log_windows();
        }
        let waited = |held: &Held| self.since(held.at) > limits.answer;
        if self.ready.is_some() && self.held.iter().any(waited) && !self.given.is_starving(now) {
            self.release(false);
        }
        if let Some(why) = self.due() {
            self.order = Some(Order::End(why));
            return;
        }
        if self.stopping.is_some() {
            return;
        }
        let Some(ready) = self.ready else { return };
        let Some(budget) = self.job.budget else { return };
        let by_itself = self.job.clock.is_virtual();
        let wanted = self.job.wanted;
        let factor = if by_itself { VIRTUAL_FACTOR } else { HOST_FACTOR };
        if !by_itself && wanted.is_some_and(|wanted| reached(&self.exposure, &wanted)) {
            self.log_windows();
            self.ask_to_stop(VmEnd::Enough);
        } else if !by_itself && Duration::from_millis(self.exposure.guest_ms) >= budget {
            self.ask_to_stop(VmEnd::Budget);
        } else if self.since(ready) > budget.saturating_mul(factor).saturating_add(HOST_SPARE) {
            self.ask_to_stop(VmEnd::HostBudget);
        }
    }

    pub(super) fn since(&self, moment: Duration) -> Duration {
        self.now.saturating_sub(moment)
    }

    /// Why the machine is to be ended now.
    fn due(&self) -> Option<VmEnd> {
        let reported = if self.job.clock.is_virtual() { None } else { self.due_by_reports() };
        reported.or_else(|| self.due_by_patience())
    }

    /// The same, for what the machine reported.
    fn due_by_reports(&self) -> Option<VmEnd> {
        let limits = self.job.timeouts;
        let told = |moment: Duration| self.since(moment) > limits.report_tail;
        if self.method_fault.as_ref().is_some_and(|(at, _)| told(*at)) {
            return Some(VmEnd::MethodFault);
        }
        if self.enough.is_some_and(|seen| self.is_all_told(seen)) {
            return Some(VmEnd::Enough);
        }
        if self.enough.is_none() && self.derailed.is_some_and(told) {
            return Some(VmEnd::Derailed);
        }
        // A guest without a storm is somebody's to work in: it goes on.
        if self.job.budget.is_some() && self.starved.as_ref().is_some_and(|(at, _)| told(*at)) {
            return Some(VmEnd::Starved);
        }
        None
    }

    /// Whether nothing more is to be expected of a machine that reported at the moment `seen`.
    fn is_all_told(&self, seen: Duration) -> bool {
        let newest = self.telemetry.last_sample().map_or(0, |sample| sample.ms);
        match self.others_hang_ms {
            // The agent lives, but what it has printed of stacks takes its time.
            Some(until) => newest >= until || self.since(seen) > self.job.timeouts.answer,
            // One more sample, if the guest still can, says how much exposure the bug took.
            None => {
                self.last_sample.is_some_and(|at| at > seen)
                    || self.since(seen) > self.job.timeouts.report_tail
            }
        }
    }

    /// The same, for what it does not do.
    fn due_by_patience(&self) -> Option<VmEnd> {
        let limits = self.job.timeouts;
        if let Some(stopping) = self.stopping {
            let waited = self.since(stopping.asked);
            let quiet = |last: Duration| self.since(last) > limits.answer;
            let mute = waited > limits.answer && quiet(self.last_byte);
            let idle = waited > limits.stop && quiet(self.last_sample.unwrap_or_default());
            let overdue = mute || idle || waited > limits.stop.saturating_mul(STOP_FACTOR);
            return overdue.then_some(VmEnd::DidNotStop);
        }
        if self.ready.is_none() {
            let running = self.before + self.now;
            return if self.reader.stats().bytes == 0 {
                (running > limits.first_byte).then_some(VmEnd::NeverSpoke)
            } else {
                (running > limits.ready).then_some(VmEnd::NeverReady)
            };
        }
        if self.since(self.last_byte) > limits.silence {
            return Some(VmEnd::WentSilent);
        }
        let still = self.since(self.last_growth.at);
        if still > limits.progress {
            // A guest whose own clock hardly moved had no time to work.
            let ms = self.exposure.guest_ms.saturating_sub(self.last_growth.guest_ms);
            let starved = Duration::from_millis(ms).saturating_mul(STARVED_SHARE) < still
                && !self.job.clock.is_virtual();
            return Some(if starved { VmEnd::Starved } else { VmEnd::NoProgress });
        }
        None
    }
}

/// True if every counter that was asked for has been reached.
pub(super) fn reached(have: &Exposure, wanted: &Exposure) -> bool {
    have.swapoffs >= wanted.swapoffs
        && have.windows >= wanted.windows
        && have.cpu_offs >= wanted.cpu_offs
        && have.writebacks >= wanted.writebacks
        && have.guest_ms >= wanted.guest_ms
}
