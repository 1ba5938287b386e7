// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports that a starved host brings about.
//!
//! The kernel's detectors of lockups, stalls and hung tasks measure time by the guest's clock. Where that ran on
//! while the guest's processors did not, because the host was busy, stopped QEMU or was itself stopped, they find
//! a kernel that stands still. Such a report says nothing about the kernel; nor does a boot in which it came.
//!
//! Whether the host starved the guest is measured by whoever watches it. Here is only what such a measure can
//! excuse: reports about *time*, whatever it says.

use crate::finding::Finding;

/// What titles of reports about time begin with.
const TITLES: &[&str] = &[
    "BUG: soft lockup",
    "BUG: workqueue lockup",
    "INFO: rcu detected stall",
    "INFO: task hung",
    "INFO: task can't die",
    // Their panics, where a kernel was told to end with them.
    "kernel panic: softlockup: hung tasks",
    "kernel panic: hung_task: blocked tasks",
    "kernel panic: RCU Stall",
];

/// Whether a report is about time that has passed: by one of the kernel's detectors or by the guest agent, which counts
/// no time but that in which it ran itself. That is not enough after a starved time: the task that was on a processor
/// when the clock ran on is charged with all of it by the fair scheduler, waits until the others have made up for it, and
/// keeps its locks and its RCU reader meanwhile.
pub fn is_about_time(finding: &Finding) -> bool {
    TITLES.iter().any(|title| finding.title.starts_with(title))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Options, Reader, Seen};
    use crate::sample::{bug_elsewhere, race_6_1};

    /// What the console reader makes of these lines.
    fn read(lines: &[&str]) -> Vec<Finding> {
        let text: String = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("[   30.0000{n:02}] {line}\n"))
            .collect();
        let mut reader = Reader::new(Options::default());
        let mut seen = reader.push(text.as_bytes());
        seen.extend(reader.finish());
        let report = |seen| match seen {
            Seen::Report(finding) => Some(*finding),
            _ => None,
        };
        seen.into_iter().filter_map(report).collect()
    }

    #[test]
    fn the_kernels_detectors_of_time_are_known_by_what_they_print() {
        let firsts = [
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapoff:77]",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "INFO: task swapstorm-loop:71 blocked for more than 60 seconds.",
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            "Kernel panic - not syncing: softlockup: hung tasks",
            "Kernel panic - not syncing: hung_task: blocked tasks",
            "Kernel panic - not syncing: RCU Stall",
        ];
        for first in firsts {
            let found = read(&[
                first,
                "CPU: 1 PID: 77 Comm: swapoff Not tainted 6.1.192 #1",
                "RIP: 0010:try_to_unuse+0x4a/0x5e0",
                "Call Trace:",
                " <TASK>",
                " __do_sys_swapoff+0x90/0xa00",
                " do_syscall_64+0x60/0xb0",
                " </TASK>",
            ]);
            let about_time: Vec<bool> = found.iter().map(is_about_time).collect();
            assert_eq!(about_time, [true], "{first}: {:?}", found.first().map(|f| &f.title));
        }
    }

    #[test]
    fn a_report_about_memory_is_never_about_time() {
        assert!(!is_about_time(&race_6_1()));
        assert!(!is_about_time(&bug_elsewhere()));
        let panic = read(&["Kernel panic - not syncing: Attempted to kill init! exitcode=0xb"]);
        assert_eq!(panic.iter().map(is_about_time).collect::<Vec<_>>(), [false]);
    }
}
