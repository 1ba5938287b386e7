// SPDX-License-Identifier: MIT OR Apache-2.0
//! What time the host gave the guest.
//!
//! A guest's clock runs on while its processors do not: the host is busy, QEMU or the whole host was stopped. Its
//! detectors of lockups and stalls then find a kernel that stands still. Two things are seen together only
//! where the host is to blame: the agent's samples come late, *and* QEMU had hardly any CPU time meanwhile. A kernel
//! that spins uses its processors; one that sleeps for good lets the agent sample.
//!
//! All moments are readings of the host's clock as it is: time in which this program did not run either is
//! time that the guest may not have had.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A guest that had less than this share of the time was starved.
pub(super) const STARVED_SHARE: u32 = 4;
/// Samples may be so many times as far apart as they should be.
const LATE_FACTOR: u32 = 4;
/// However often they should come, it takes this long until one is late.
const LATE_LEAST: Duration = Duration::from_secs(2);
/// How far a report about time looks back: the longest limit of the kernel's detectors, that of hung tasks.
const AROUND: Duration = Duration::from_secs(60);
/// So much starved time explains such a report: half the shortest limit, the 20 s of soft lockups.
const ENOUGH: Duration = Duration::from_secs(10);

/// Keeps count of the time that a guest was given.
#[derive(Debug)]
pub(super) struct Given {
    late: Duration,
    /// CPU time that the machine has had, by the newest reading; `None` if nobody knows.
    had: Option<Duration>,
    /// The last sign of life, and what the machine had had by then.
    sign: (Instant, Option<Duration>),
    /// The starved times of late, the newest last.
    starved: VecDeque<Starved>,
}

/// A time in which the guest was starved.
#[derive(Debug, Clone, Copy)]
struct Starved {
    end: Instant,
    length: Duration,
    had: Duration,
}

impl Given {
    /// For a guest that samples every `sampling` of its time.
    pub(super) fn new(sampling: Duration, now: Instant) -> Self {
        let late = sampling.saturating_mul(LATE_FACTOR).max(LATE_LEAST);
        Self { late, had: None, sign: (now, None), starved: VecDeque::new() }
    }

    /// The CPU time that the machine has had since its start.
    pub(super) fn had(&mut self, had: Option<Duration>) {
        self.had = had;
        if self.sign.1.is_none() {
            self.sign.1 = had;
        }
    }

    /// The guest gave a sign of life: a sample, or before there are any, some bytes.
    pub(super) fn lives(&mut self, now: Instant) {
        self.starved.extend(self.since_sign(now));
        self.sign = (now, self.had);
        while self.starved.front().is_some_and(|past| !is_near(past, now)) {
            self.starved.pop_front();
        }
    }

    /// The time since the last sign of life, if it was starved time.
    fn since_sign(&self, now: Instant) -> Option<Starved> {
        let (began, before) = self.sign;
        let length = now.saturating_duration_since(began);
        let had = self.had?.saturating_sub(before?);
        let starved = length > self.late && had.saturating_mul(STARVED_SHARE) < length;
        starved.then_some(Starved { end: now, length, had })
    }

    /// Whether the guest is being starved.
    pub(super) fn is_starving(&self, now: Instant) -> bool {
        self.since_sign(now).is_some()
    }

    /// By what measure the host starved the guest around `now`, in words; `None` if the guest had its time.
    pub(super) fn starved(&self, now: Instant) -> Option<String> {
        let open = self.since_sign(now);
        let near = self.starved.iter().chain(&open).filter(|past| is_near(past, now));
        let (length, had) = near.fold((Duration::ZERO, Duration::ZERO), |(length, had), past| {
            (length + past.length, had + past.had)
        });
        (length >= ENOUGH).then(|| {
            format!(
                "the agent was late for {:.1} s, in which QEMU had {:.1} s of CPU time",
                length.as_secs_f64(),
                had.as_secs_f64()
            )
        })
    }
}

fn is_near(past: &Starved, now: Instant) -> bool {
    now.saturating_duration_since(past.end) < AROUND
}
