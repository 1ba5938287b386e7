// SPDX-License-Identifier: MIT OR Apache-2.0
//! `INFO:` lines: stalls, hangs, and lockdep as it was before v4.12.

use super::*;

/// The code under the timer interrupt that noticed the stall.
const RCU_STALL: Blame = Blame {
    ways: &[
        &[Look::Line(r"apic_timer_interrupt"), IP, FRAMES],
        &[Look::Line(r"apic_timer_interrupt"), FRAMES],
        &[Look::Line(r"Exception stack|el1h_64_irq"), FRAMES],
    ],
    skip: &[],
    pick: Pick::Stall,
};

pub(super) static INFO: Detector = Detector {
    header: "INFO:",
    only: "",
    except: &[
        r"INFO: lockdep is turned off",
        r"INFO: Stall ended before state dump start",
        r"INFO: NMI handler",
        r"(?:handler|interrupt).*took too long",
        r"INFO: recovery required on readonly filesystem",
        // More of a hang that was told just before.
        r"INFO: task .* is blocked on an? .* likely ",
        // Drivers' and host programs' own marks.
        r"_INFO:",
        r"rmt_storage:INFO:",
        r"INFO: sys_.* is not present in /proc/kallsyms",
        r"INFO: no syscalls can create resource",
    ],
    formats: &[
        Format {
            first: r"INFO: rcu_(?:preempt|sched|bh|tasks) (?:self-)?detected(?: expedited)? stall",
            title: "INFO: rcu detected stall in {F}",
            alt: &["stall in {F}"],
            blame: Some(&RCU_STALL),
            ..BASE
        },
        Format {
            first: r"INFO: possible circular locking dependency detected",
            then: r"INFO: possible circular locking dependency detected(?:.*\n)+?.*is trying to acquire lock(?:.*\n)+?.*at: (?:{PC} +)?{FUNC}",
            title: "possible deadlock in {1}",
            ..BASE
        },
        Format {
            first: r"INFO: possible irq lock inversion dependency detected",
            then: r"INFO: possible irq lock inversion dependency detected(?:.*\n)+?.*just changed the state of lock(?:.*\n)+?.*at: (?:{PC} +)?{FUNC}",
            title: "possible deadlock in {1}",
            ..BASE
        },
        Format {
            first: r"INFO: [A-Z_-]+-safe -> [A-Z_-]+-unsafe lock order detected",
            then: r"INFO: [A-Z_-]+-safe -> [A-Z_-]+-unsafe lock order detected(?:.*\n)+?.*is trying to acquire(?:.*\n)+?.*at: (?:{PC} +)?{FUNC}",
            title: "possible deadlock in {1}",
            ..BASE
        },
        Format {
            first: r"INFO: possible recursive locking detected",
            then: r"INFO: possible recursive locking detected(?:.*\n)+?.*is trying to acquire lock(?:.*\n)+?.*at: (?:{PC} +)?{FUNC}",
            title: "possible deadlock in {1}",
            ..BASE
        },
        Format {
            first: r"INFO: inconsistent lock state",
            then: r"INFO: inconsistent lock state(?:.*\n)+?.*takes(?:.*\n)+?.*at: (?:{PC} +)?{FUNC}",
            title: "inconsistent lock state in {1}",
            ..BASE
        },
        Format {
            first: r"INFO: suspicious RCU usage",
            then: r"INFO: suspicious RCU usage(?:.*\n)+?.*?{SRC}",
            title: "INFO: suspicious RCU usage in {F}",
            blame: Some(&Blame {
                ways: &[&[TRACE, FRAMES]],
                skip: &["rcu", "kmem", "slab"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            // A task's name may be anything, line ends included.
            first: r"INFO: task (?s:.){1,100} blocked (?:in I/O wait )?for more than [0-9]+ seconds",
            title: "INFO: task hung in {F}",
            alt: &["hang in {F}"],
            blame: Some(&Blame { ways: &[&[TRACE, FRAMES]], skip: &[], pick: Pick::Hang }),
            ..BASE
        },
        Format {
            first: r"INFO: task (?s:.){1,100} can't die for more than [0-9]+ seconds",
            title: "INFO: task can't die in {F}",
            alt: &["hang in {F}"],
            blame: Some(&Blame { ways: &[&[TRACE, FRAMES]], skip: &[], pick: Pick::Hang }),
            ..BASE
        },
        Format {
            first: r"INFO: trying to register non-static key",
            title: "INFO: trying to register non-static key in {F}",
            blame: Some(&FROM_TRACE),
            ..BASE
        },
        Format {
            // Part of a dump of the slab allocator whose first line is lost.
            first: r"INFO: (Freed|Allocated) in (.*)",
            title: "INFO: {1} in {2}",
            trust: Trust::Never,
            ..BASE
        },
        Format {
            first: r"INFO:[ \t\r]*(?:\n|$)",
            title: "INFO: corrupted",
            trust: Trust::Never,
            ..BASE
        },
    ],
};
