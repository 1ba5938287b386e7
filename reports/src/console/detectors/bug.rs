// SPDX-License-Identifier: MIT OR Apache-2.0
//! `BUG:` lines.

use super::*;

const KASAN_LINE: Look = Look::Line(r"BUG: KASAN: [a-z\- ]+ in {FUNC}");

/// The stack follows on the first line, or in older kernels on a title of its own.
const KMSAN_WAYS: &[&[Look]] = &[&[Look::Line(r"BUG: KMSAN:"), FRAMES], &[TRACE, FRAMES]];

const KMSAN: Blame = Blame {
    ways: KMSAN_WAYS,
    skip: &[
        "alloc_skb",
        "netlink_ack",
        "netlink_rcv_skb",
        "_encrypt$",
        "^crypto_",
        "^cipher_",
        "^drbg_",
        "^rng_",
    ],
    pick: Pick::Top,
};

const KFENCE: Blame = Blame {
    ways: &[&[Look::Line(r"BUG: KFENCE: .* in {FUNC}"), FRAMES]],
    skip: &[],
    pick: Pick::Top,
};

/// The place in the code that `at:` or a bare `[<pc>] name` gives for a lock.
const LOCK_PLACE: &str = r"(?:{PC} +{FUNC}|at: (?:{PC} +)?{FUNC})";

const LOCK: Blame = Blame { ways: &[&[Look::Line(LOCK_PLACE)]], skip: &[], pick: Pick::Top };

pub(super) static BUG: Detector = Detector {
    header: "BUG:",
    only: "",
    except: &[
        // Debugging output of drivers that happens to end in the word.
        r"ODEBUG:",
        r"DEBUG:",
        r"Boot_DEBUG:",
        r"xlog_status:",
        r"no syscalls can create resource",
    ],
    formats: &[
        Format {
            first: r"BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in {FUNC}",
            title: "KASAN: invalid-free in {F}",
            alt: &["invalid-free in {F}"],
            blame: Some(&Blame {
                ways: &[&[KASAN_LINE, TRACE, FRAMES]],
                skip: &["slab_", "kfree", "vfree", "vunmap"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: KASAN:",
            then: r"BUG: KASAN: ([a-z\-]+) in {FUNC}(?:.*\n)+?.*(Read|Write) (?:of size [0-9]+|at addr [0-9a-f]+)",
            title: "KASAN: {1} {3} in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&Blame {
                ways: &[&[KASAN_LINE, TRACE, FRAMES]],
                skip: &["do_mem_abort", "tag_check"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: KASAN:",
            then: r"BUG: KASAN: ([a-z\-]+) on address(?:.*\n)+?.*(Read|Write) of size [0-9]+",
            title: "KASAN: {1} {2}",
            ..BASE
        },
        Format { first: r"BUG: KASAN: (.*)", title: "KASAN: {1}", trust: Trust::Never, ..BASE },
        Format {
            first: r"BUG: KMSAN: kernel-usb-infoleak",
            then: r"BUG: KMSAN: kernel-usb-infoleak in {FUNC}",
            title: "KMSAN: kernel-usb-infoleak in {F}",
            alt: &["KMSAN origin in {O}"],
            blame: Some(&Blame {
                ways: KMSAN_WAYS,
                skip: &[
                    "alloc_skb",
                    "usb_submit_urb",
                    "usb_start_wait_urb",
                    "usb_bulk_msg",
                    "usb_interrupt_msg",
                    "usb_control_msg",
                ],
                pick: Pick::Top,
            }),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: KMSAN:",
            then: r"BUG: KMSAN: ([a-z\-]+) in {FUNC}",
            title: "KMSAN: {1} in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&KMSAN),
            trust: Trust::Always,
            ..BASE
        },
        Format { first: r"BUG: KCSAN: (.*)", title: "KCSAN: {1}", trust: Trust::Always, ..BASE },
        Format {
            first: r"BUG: KFENCE: (use-after-free|out-of-bounds) (read|write) in {FUNC}",
            title: "KFENCE: {1} {2} in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&KFENCE),
            ..BASE
        },
        Format {
            first: r"BUG: KFENCE: (invalid (?:read|write)) in {FUNC}",
            title: "KFENCE: {1} in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&KFENCE),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: KFENCE: invalid free in {FUNC}",
            title: "KFENCE: invalid free in {F}",
            alt: &["invalid-free in {F}"],
            blame: Some(&KFENCE),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: KFENCE: memory corruption in {FUNC}",
            title: "KFENCE: memory corruption in {F}",
            blame: Some(&KFENCE),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: [uU]nable to handle (?:kernel paging request|page fault for address|kernel data access)",
            title: "BUG: unable to handle kernel paging request in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&FROM_IP),
            ..BASE
        },
        Format {
            first: r"BUG: (?:[uU]nable to handle )?[kK]ernel NULL pointer dereference",
            title: "BUG: unable to handle kernel NULL pointer dereference in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&FROM_IP),
            ..BASE
        },
        Format {
            // Sometimes nothing but this much of the line gets out.
            first: r"BUG: [uU]nable to handle kernel",
            title: "BUG: unable to handle kernel",
            trust: Trust::Never,
            ..BASE
        },
        Format {
            first: r"BUG: (spinlock|rwlock) (bad magic|lockup suspected|lockup|recursion|cpu recursion|cpu-recursion|already unlocked|wrong owner|wrong CPU|wrong cpu|trylock failure on UP)",
            title: "BUG: {1} {2} in {F}",
            blame: Some(&Blame {
                ways: &[&[TRACE, FRAMES]],
                skip: &["spin_", "_lock", "_unlock"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: soft lockup",
            title: "BUG: soft lockup in {F}",
            alt: &["stall in {F}"],
            blame: Some(&Blame {
                ways: &[&[IP, TRACE, FRAMES], &[TRACE, FRAMES]],
                skip: &[],
                pick: Pick::Stall,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: .*still has locks held!",
            title: "BUG: still has locks held in {F}",
            blame: Some(&LOCK),
            ..BASE
        },
        Format {
            first: r"BUG: scheduling while atomic",
            title: "BUG: scheduling while atomic in {F}",
            blame: Some(&Blame { ways: &[&[TRACE, FRAMES]], skip: &["schedule"], pick: Pick::Top }),
            ..BASE
        },
        Format {
            first: r"BUG: lock held when returning to user space",
            title: "BUG: lock held when returning to user space in {F}",
            blame: Some(&LOCK),
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: bad unlock balance detected!",
            title: "BUG: bad unlock balance in {F}",
            blame: Some(&LOCK),
            ..BASE
        },
        Format {
            first: r"BUG: held lock freed!",
            title: "BUG: held lock freed in {F}",
            blame: Some(&LOCK),
            ..BASE
        },
        Format {
            first: r"BUG: Bad rss-counter state",
            title: "BUG: Bad rss-counter state",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: non-zero (nr_ptes|nr_pmds) on freeing mm",
            title: "BUG: non-zero {1} on freeing mm",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: Bad page map",
            title: "BUG: Bad page map",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: Bad page (state|cache)",
            title: "BUG: Bad page {1} in {F}",
            blame: Some(&Blame {
                ways: &[&[Look::Line(r"page last allocated"), FRAMES]],
                skip: &[
                    "alloc_page",
                    "get_page",
                    "prep_new_page",
                    "post_alloc",
                    "free_page",
                    "free_unref",
                    "folio",
                    "vmap",
                    "page_owner",
                ],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: workqueue lockup",
            title: "BUG: workqueue lockup",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: sleeping function called from invalid context at",
            title: "BUG: sleeping function called from invalid context in {F}",
            blame: Some(&FROM_TRACE),
            ..BASE
        },
        Format {
            first: r"BUG: using ([a-z_]+)\(\) in preemptible",
            title: "BUG: using {1}() in preemptible code in {F}",
            blame: Some(&Blame {
                ways: &[&[TRACE, FRAMES]],
                skip: &["preemption", "preemptible", "this_cpu", "processor_id"],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: workqueue leaked (?:lock|lock or atomic)",
            then: r"last function: ([a-zA-Z0-9_]+)",
            title: "BUG: workqueue leaked lock or atomic in {1}",
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG: memory leak",
            title: "memory leak in {F}",
            blame: Some(&Blame {
                ways: &[&[Look::Line(r"backtrace(?: \(crc [0-9a-f]*\))?:"), FRAMES]],
                skip: &[
                    "kmemleak",
                    "mmap",
                    "kmem",
                    "slab",
                    "alloc",
                    "create_object",
                    "idr_get",
                    "list_lru_init",
                    "kasprintf",
                    "pcpu_create",
                    "strdup",
                    "strndup",
                    "memdup",
                ],
                pick: Pick::Top,
            }),
            ..BASE
        },
        Format {
            first: r"BUG: (?:TASK |IRQ |.*)?stack guard page was hit at",
            title: "BUG: stack guard page was hit in {F}",
            alt: &["stack-overflow in {F}"],
            blame: Some(&Blame { ways: &[&[IP, TRACE, FRAMES]], skip: &[], pick: Pick::Stall }),
            ..BASE
        },
        Format {
            first: r"BUG: Invalid wait context",
            title: "WARNING: locking bug in {F}",
            blame: Some(&FROM_TRACE),
            ..BASE
        },
        Format {
            first: r"BUG: Dentry .*still in use \([0-9]+\) \[unmount of ([^\]]+)\]",
            title: "BUG: Dentry still in use in unmount",
            alt: &["BUG: Dentry still in use [unmount of {1}]"],
            trust: Trust::Always,
            ..BASE
        },
        Format {
            first: r"BUG:[ \t\r]*(?:\n|$)",
            title: "BUG: corrupted",
            trust: Trust::Never,
            ..BASE
        },
    ],
};
