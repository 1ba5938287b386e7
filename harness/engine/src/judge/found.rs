// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a report means for the watch: an end, trouble with the method, or that the host starved the guest.

use std::time::Duration;

use reports::console::Seen;
use reports::event::What;
use reports::finding::Finding;
use reports::hunt::artefact;
use reports::method;
use reports::rule::Match;
use reports::starved::is_about_time;
use reports::telemetry::{Checked, Hung, Violation};

use super::{Judge, millis};

/// A guest that reports without end is not written down without end.
pub(super) const MOST_FINDINGS: u32 = 200;

/// Guest milliseconds, some looks of the agent's, in which it tells of all that hang with the first one: that one may
/// only wait for another, which began later.
const OTHERS_MS: u64 = 2_000;

/// A report about time that came while the host seemed to starve the guest. If the guest goes on, it was the host;
/// a kernel that hangs does not.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) at: Duration,
    finding: Finding,
    /// By what measure.
    why: String,
}

impl Judge {
    /// Notes are counted by whoever reads the console log; only reports decide anything here.
    pub(super) fn saw(&mut self, seen: Vec<Seen>) {
        for seen in seen {
            if let Seen::Report(finding) = seen {
                self.reported(*finding);
            }
        }
    }

    fn reported(&mut self, finding: Finding) {
        match self.hosts(&finding) {
            Some(why) => self.hold(Held { at: self.now, finding, why }),
            None => self.found(finding),
        }
    }

    /// By what measure a report seems to be the host's.
    fn hosts(&self, finding: &Finding) -> Option<String> {
        // Where the guest's time is its own, the host cannot take it away.
        let excusable = !self.job.clock.is_virtual()
            && is_about_time(finding)
            && method::own_report(finding, self.job.points.iter(), None).is_none();
        self.given.starved(self.clock.last()).filter(|_| excusable)
    }

    /// Holds a report back. So many of them decide what more would.
    fn hold(&mut self, held: Held) {
        if self.held.len() < MOST_FINDINGS as usize {
            self.held.push(held);
        }
    }

    /// Lets go of the reports that were held back, as the host's or as the kernel's.
    pub(super) fn release(&mut self, hosts: bool) {
        for held in std::mem::take(&mut self.held) {
            if hosts {
                let said = format!("{}: {}", held.finding.title, held.why);
                self.starved.get_or_insert((self.now, said));
                self.starved_reports += 1;
                if self.starved_reports <= MOST_FINDINGS {
                    self.log_found(held.finding, None, Some(held.why));
                }
            } else {
                self.found(held.finding);
            }
        }
    }

    pub(super) fn found(&mut self, finding: Finding) {
        let suspect = self.suspect(&finding);
        let own = method::own_report(&finding, self.job.points.iter(), None)
            .or_else(|| artefact(&finding, suspect.as_ref()));
        let mut diverted = None;
        if let Some(own) = own {
            diverted = self.sleeper(&finding, &own.point);
            let point = diverted.as_ref().unwrap_or(&own.point);
            let fault = format!("{} at the stretch point {point}", finding.title);
            self.method_fault.get_or_insert((self.now, fault));
        } else if self.method_fault.is_none() || !method::may_follow(&finding) {
            self.findings += 1;
            let rule = self.job.expected.as_ref();
            let expected = rule.is_some_and(|rule| rule.matches(&finding) == Match::Yes);
            if self.job.only_expected && rule.is_some_and(|rule| rule.is_related(&finding)) {
                // Anew with each one: an oops that follows a sanitizer's report is read to its end.
                self.derailed = Some(self.now);
            }
            if expected || !self.job.only_expected {
                self.enough.get_or_insert(self.now);
            }
        }
        self.log_found(finding, diverted, None);
    }

    /// Where the task was put to sleep that made a report of the method's own, if its stack leaves that open:
    /// it was the last one on the report's CPU. That it sleeps at all, only its stack can tell.
    fn sleeper(&self, finding: &Finding, blamed: &str) -> Option<String> {
        if finding.kind == "HANG" || self.job.points.iter().any(|point| point.id == blamed) {
            return None;
        }
        self.asleep.get(&finding.scene.cpu?).cloned()
    }

    fn log_found(&mut self, finding: Finding, diverted: Option<String>, starved: Option<String>) {
        if self.findings > MOST_FINDINGS {
            return;
        }
        self.log_windows();
        let (cell, boot) = self.whose();
        let guest_ms = match self.ready {
            // The host's time means nothing there. The newest sample is the best that is known.
            Some(_) if self.job.clock.is_virtual() => self.exposure.guest_ms,
            Some(ready) => millis(self.now.saturating_sub(ready)),
            None => 0,
        };
        self.events.push(What::Found { cell, boot, guest_ms, diverted, starved, finding });
    }

    /// An invariant does not hold. Nobody is looked at before all are gone who were slow to end.
    pub(super) fn violated(&mut self, violation: &Violation) {
        self.slow.clear();
        self.found(violation.report());
    }

    /// All invariants were looked at.
    pub(super) fn checked(&mut self, checked: &Checked) {
        self.slow.clear();
        let (cell, boot) = self.whose();
        let (phase, detail) = (checked.phase, checked.detail());
        self.events.push(What::GuestChecked { cell, boot, phase, detail });
    }

    /// A process does not get on: a kernel bug, unless the agent's numbers tell another reason or the host starved
    /// the guest.
    pub(super) fn hung(&mut self, hung: Hung) {
        match hung.excuse() {
            None => {
                self.others_hang_ms = Some(hung.ms.saturating_add(OTHERS_MS));
                self.reported(hung.finding);
            }
            Some(excuse) => {
                self.excused = Some(excuse);
                let (cell, boot) = self.whose();
                self.events.push(What::GuestWarned { cell, boot, detail: hung.detail() });
            }
        }
    }
}
