// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's clock, by which patience is measured.

use std::time::Duration;

use tokio::time::Instant;

/// Between two ticks there is less time than this, unless this program was kept from running.
const STOPPED: Duration = Duration::from_secs(2);

/// The host's time, without that in which this program did not run.
#[derive(Debug)]
pub(super) struct HostClock {
    last: Instant,
    running: Duration,
    longest_gap: Duration,
}

impl HostClock {
    /// Begins at 0.
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, running: Duration::ZERO, longest_gap: Duration::ZERO }
    }

    /// How long this program has been running since the clock began.
    pub(super) fn read(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.last);
        self.last = now;
        if passed > STOPPED {
            self.longest_gap = self.longest_gap.max(passed);
        } else {
            self.running += passed;
        }
        self.running
    }

    /// When it was read last.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// The longest time in a row in which this program did not run; `None` if it always did.
    pub(super) fn longest_gap(&self) -> Option<Duration> {
        Some(self.longest_gap).filter(|gap| !gap.is_zero())
    }
}
