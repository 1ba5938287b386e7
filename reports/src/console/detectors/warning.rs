// SPDX-License-Identifier: MIT OR Apache-2.0
//! `WARNING:` lines: `WARN_ON()` in its several shapes, and lockdep.

use super::*;

/// A warning whose instruction pointer or stack names the function.
const WARNED: Blame = FROM_IP_OR_TRACE;

const fn warned_but(skip: &'static [&'static str]) -> Blame {
    Blame { ways: WARNED.ways, skip, pick: Pick::Top }
}

/// The place where the lock that is asked for is taken.
const AT: Look = Look::Line(r"at: (?:{PC} +)?{FUNC}");
const ACQUIRED: Blame = Blame { ways: &[&[AT]], skip: &[], pick: Pick::Top };
/// The same, unless that is a helper: then the stack has to tell.
const ACQUIRED_OR_TRACE: Blame =
    Blame { ways: &[&[AT, TRACE, FRAMES]], skip: &[], pick: Pick::Top };
/// Where the lock was taken that must not wait for the new one.
const BECAME: Blame = Blame {
    ways: &[&[Look::Line(r"which became .*-safe at:"), FRAMES], &[AT]],
    skip: &[],
    pick: Pick::Top,
};
const CIRCULAR: Blame = Blame {
    ways: &[&[AT, AT, FRAMES]],
    skip: &["process_one_work", "flush_work", "drain_workqueue", "destroy_workqueue"],
    pick: Pick::Top,
};

pub(super) static WARNING: Detector = Detector {
    header: "WARNING:",
    only: "",
    except: &[
        // User space and boot noise. A logger may have made capitals of it.
        r"WARNING: /etc/ssh/moduli does not exist, using fixed modulus",
        r"WARNING: workqueue cpumask:",
        r"WARNING: [Tt]he mand mount option",
        r"WARNING: Unsupported flag value\(s\) of 0x[0-9a-f]+ in DT_FLAGS_1",
        r"WARNING: .*with eIBRS",
        r"WARNING: See https?://.* for mitigation options",
        r"WARNING: Microcode not updated",
        r"Spectre V2 : WARNING",
        r"RETBleed: WARNING",
        r"TAA: |MDS: |MMIO Stale Data: ",
        r"WARNING: .*CPU_SRSO",
        r"WARNING: fbcon: Driver .* missed to adjust virtual screen size",
        r"EXT4-fs.*WARNING:",
        r"WARNING: .*uses? (?:deprecated v2 capabilities|wireless extensions)",
        r"XFS \([^)]*\): WARNING",
    ],
    formats: &[
        Format {
            first: r"WARNING: .*lib/debugobjects\.c",
            title: "WARNING: ODEBUG bug in {F}",
            blame: Some(&warned_but(&[
                "debug_",
                "timer",
                "work_",
                "rcu",
                "kfree",
                "kvfree",
                "vfree",
                "vunmap",
                "slab_free",
                "free_pages",
                "__free",
                "percpu_",
                "kmem_cache_free",
            ])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*mm/usercopy\.c",
            title: "WARNING: bad usercopy in {F}",
            blame: Some(&warned_but(&["usercopy", "__check"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*lib/kobject\.c",
            title: "WARNING: kobject bug in {F}",
            blame: Some(&warned_but(&["kobject_"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*fs/proc/generic\.c",
            title: "WARNING: proc registration bug in {F}",
            blame: Some(&warned_but(&["proc_"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*lib/refcount\.c",
            title: "WARNING: refcount bug in {F}",
            blame: Some(&warned_but(&["refcount", "kobject_"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*kernel/locking/lockdep\.c.*lock_",
            title: "WARNING: locking bug in {F}",
            blame: Some(&WARNED),
            ..BASE
        },
        Format {
            first: r"WARNING: .*mm/[a-z0-9_/]*\.c:[0-9]+ (?:at )?_*k.?malloc",
            title: "WARNING: kmalloc bug in {F}",
            blame: Some(&warned_but(&["kmalloc", "kcalloc", "kzalloc", "krealloc", "slab"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .*mm/vmalloc\.c.*__vmalloc_node",
            title: "WARNING: zero-size vmalloc in {F}",
            blame: Some(&warned_but(&["vmalloc", "vzalloc"])),
            ..BASE
        },
        Format {
            first: r"WARNING: .* usb_submit_urb",
            title: "WARNING in {F}/usb_submit_urb",
            blame: Some(&warned_but(&[
                "usb_submit_urb",
                "usb_start_wait_urb",
                "usb_bulk_msg",
                "usb_interrupt_msg",
                "usb_control_msg",
            ])),
            ..BASE
        },
        Format {
            first: r"WARNING: (?:.*at |\[.*\] )?[a-zA-Z0-9_./\-]+\.[a-zA-Z]+:[0-9]+",
            title: "WARNING in {F}",
            blame: Some(&WARNED),
            named: r"WARNING: (?:.*at |\[.*\] )?[a-zA-Z0-9_./\-]+\.[a-zA-Z]+:[0-9]+ (?:at )?{FUNC}",
            ..BASE
        },
        Format {
            first: r"WARNING: possible circular locking dependency detected",
            then: r"WARNING: possible circular locking dependency detected(?:.*\n)+?.*is trying to acquire lock",
            title: "possible deadlock in {F}",
            blame: Some(&CIRCULAR),
            ..BASE
        },
        Format {
            first: r"WARNING: possible irq lock inversion dependency detected",
            then: r"WARNING: possible irq lock inversion dependency detected(?:.*\n)+?.*just changed the state of lock",
            title: "possible deadlock in {F}",
            blame: Some(&ACQUIRED_OR_TRACE),
            ..BASE
        },
        Format {
            first: r"WARNING: [A-Z_-]+-safe -> [A-Z_-]+-unsafe lock order detected",
            then: r"WARNING: [A-Z_-]+-safe -> [A-Z_-]+-unsafe lock order detected(?:.*\n)+?.*which became .*-safe at:",
            title: "possible deadlock in {F}",
            blame: Some(&BECAME),
            ..BASE
        },
        Format {
            first: r"WARNING: possible recursive locking detected",
            then: r"WARNING: possible recursive locking detected(?:.*\n)+?.*is trying to acquire lock",
            title: "possible deadlock in {F}",
            blame: Some(&ACQUIRED_OR_TRACE),
            ..BASE
        },
        Format {
            first: r"WARNING: inconsistent lock state",
            then: r"WARNING: inconsistent lock state(?:.*\n)+?.*takes",
            title: "inconsistent lock state in {F}",
            blame: Some(&ACQUIRED_OR_TRACE),
            ..BASE
        },
        Format {
            first: r"WARNING: suspicious RCU usage",
            then: r"WARNING: suspicious RCU usage(?:.*\n)+?.*?{SRC}",
            title: "WARNING: suspicious RCU usage in {F}",
            blame: Some(&Blame {
                ways: &[&[TRACE, FRAMES]],
                skip: &["rcu", "kmem", "slab"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"WARNING: kernel stack regs at [0-9a-f]+ in .* has bad '([a-z]+)' value",
            title: "WARNING: kernel stack regs has bad '{1}' value",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"WARNING: kernel stack (?:regs|frame pointer) .*has bad .*value",
            title: "WARNING: kernel stack regs has bad value",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"WARNING: bad unlock balance detected!",
            title: "WARNING: bad unlock balance in {F}",
            blame: Some(&Blame {
                ways: &[&[Look::Line(r"(?:{PC} +{FUNC}|at: (?:{PC} +)?{FUNC})")], &[TRACE, FRAMES]],
                skip: &[],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"WARNING: held lock freed!",
            title: "WARNING: held lock freed in {F}",
            blame: Some(&ACQUIRED),
            ..BASE
        },
        Format {
            first: r"WARNING: .*still has locks held!",
            title: "WARNING: still has locks held in {F}",
            blame: Some(&ACQUIRED),
            ..BASE
        },
        Format {
            first: r"WARNING: Nested lock was not taken",
            title: "WARNING: nested lock was not taken in {F}",
            blame: Some(&WARNED),
            ..BASE
        },
        Format {
            first: r"WARNING: lock held when returning to user space",
            title: "WARNING: lock held when returning to user space in {F}",
            blame: Some(&ACQUIRED),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"WARNING:[ \t\r]*(?:\n|$)",
            title: "WARNING: corrupted",
            trust: Trust::Never,
            ..BASE
        },
    ],
};
