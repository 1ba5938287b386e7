// SPDX-License-Identifier: MIT OR Apache-2.0
//! All other first lines.

use super::*;

const fn plain(header: &'static str, formats: &'static [Format]) -> Detector {
    Detector { header, only: "", except: &[], formats }
}

pub(super) static REST: &[Detector] = &[
    plain(
        "Unable to handle kernel",
        &[
            Format {
                // s390 says where; a null pointer is not told apart.
                first: r"Unable to handle kernel pointer dereference in virtual",
                title: "BUG: unable to handle kernel pointer dereference in {F}",
                alt: &["bad-access in {F}"],
                blame: Some(&FROM_IP_OR_TRACE),
                ..BASE
            },
            Format {
                first: r"Unable to handle kernel (paging request|NULL pointer dereference|access to user memory)",
                title: "BUG: unable to handle kernel {1} in {F}",
                alt: &["bad-access in {F}"],
                blame: Some(&FROM_IP_OR_TRACE),
                ..BASE
            },
        ],
    ),
    Detector {
        header: "general protection fault",
        only: "",
        except: &[
            // A user-space program's own fault.
            r"general protection fault .*error:[0-9]+ in ",
            r"general protection .* error:[0-9]+ in ",
        ],
        formats: &[Format {
            first: r"general protection fault",
            title: "general protection fault in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&FROM_IP),
            ..BASE
        }],
    },
    plain(
        "stack segment: ",
        &[Format {
            first: r"stack segment: ",
            title: "stack segment fault in {F}",
            blame: Some(&FROM_IP),
            ..BASE
        }],
    ),
    plain(
        "Kernel panic",
        &[
            Format {
                // The place may be a bare address; then the stack has to tell.
                first: r"Kernel panic - not syncing: stack-protector:",
                then: r"Kernel panic - not syncing: stack-protector: .* corrupted in: {FUNC}",
                title: "kernel panic: stack is corrupted in {1}",
                trust: Trust::Always,
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: stack-protector:",
                title: "kernel panic: stack is corrupted in {F}",
                blame: Some(&Blame {
                    ways: &[&[TRACE, FRAMES]],
                    skip: &["stack_chk"],
                    pick: Pick::Top,
                }),
                trust: Trust::Always,
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: corrupted stack end detected inside scheduler",
                title: "kernel panic: corrupted stack end in {F}",
                alt: &["stack-overflow in {F}"],
                blame: Some(&STALLED),
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: kernel stack overflow",
                title: "kernel stack overflow in {F}",
                alt: &["stack-overflow in {F}"],
                blame: Some(&STALLED),
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: Attempted to kill init!",
                title: "kernel panic: Attempted to kill init!",
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: Couldn't open N_TTY ldisc for [^ ]+ --- error -[0-9]+",
                title: "kernel panic: Couldn't open N_TTY ldisc",
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: Fatal exception",
                title: "kernel panic: Fatal exception",
                trust: Trust::Never,
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: panic_on_warn set",
                title: "kernel panic: panic_on_warn set",
                trust: Trust::Never,
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: hung_task: blocked tasks",
                title: "kernel panic: hung_task: blocked tasks",
                trust: Trust::Never,
                ..BASE
            },
            Format {
                first: r"Kernel panic - not syncing: (.*)",
                title: "kernel panic: {1}",
                ..BASE
            },
        ],
    ),
    plain(
        "PANIC: double fault",
        &[Format {
            first: r"PANIC: double fault",
            title: "PANIC: double fault in {F}",
            blame: Some(&FROM_IP_ONLY),
            ..BASE
        }],
    ),
    plain("rust_kernel: panicked", RUST_PANIC),
    plain(
        "kernel BUG ",
        &[
            Format {
                first: r"kernel BUG at mm/usercopy\.c",
                title: "BUG: bad usercopy in {F}",
                blame: Some(&Blame {
                    ways: &[&[TRACE, FRAMES]],
                    skip: &["usercopy", "__check"],
                    pick: Pick::Top,
                }),
                ..BASE
            },
            Format {
                first: r"kernel BUG at lib/list_debug\.c",
                title: "BUG: corrupted list in {F}",
                alt: &["bad-access in {F}"],
                blame: Some(&FROM_TRACE),
                ..BASE
            },
            Format {
                first: r"kernel BUG at (.*)",
                title: "kernel BUG in {F}",
                blame: Some(&Blame {
                    ways: &[&[IP, TRACE, FRAMES]],
                    skip: &[
                        "skb_panic",
                        "skb_under_panic",
                        "skb_over_panic",
                        "skb_push",
                        "skb_put",
                        "skb_pull",
                        "skb_trim",
                    ],
                    pick: Pick::Top,
                }),
                ..BASE
            },
        ],
    ),
    plain("Kernel BUG ", &[Format { first: r"Kernel BUG (.*)", title: "kernel BUG {1}", ..BASE }]),
    plain(
        "BUG kmalloc-",
        &[Format {
            first: r"BUG kmalloc-.*: Object already free",
            title: "BUG: Object already free",
            ..BASE
        }],
    ),
    Detector {
        header: "BUG ",
        only: SLAB_LINE,
        // KASAN has SLUB describe the object in the middle of its report.
        except: &[r"kasan: bad access detected"],
        formats: &[
            Format { first: SLAB_OF_KMALLOC, title: "{0}", trust: Trust::Always, ..BASE },
            Format {
                first: r"BUG [^ ]+ \([^)]*\): (Poison overwritten|Left Redzone overwritten|Right Redzone overwritten|Redzone overwritten|Padding overwritten)",
                title: "BUG: {1} in {F}",
                blame: Some(&SLAB_USER),
                trust: Trust::Always,
                ..BASE
            },
            Format {
                first: r"BUG [^ ]+ \([^)]*\): (.*)",
                title: "BUG: {1} in {F}",
                blame: Some(&FROM_TRACE),
                trust: Trust::Always,
                ..BASE
            },
        ],
    },
    plain("divide error:", &[Format { first: r"divide error:", ..DIVIDE }]),
    plain("divide_error:", &[Format { first: r"divide_error:", ..DIVIDE }]),
    plain(
        "invalid opcode:",
        &[Format {
            first: r"invalid opcode:",
            title: "invalid opcode in {F}",
            blame: Some(&FROM_IP_ONLY),
            ..BASE
        }],
    ),
    plain(
        "int3:",
        &[Format { first: r"int3:", title: "int3 in {F}", blame: Some(&FROM_IP), ..BASE }],
    ),
    plain(
        "UBSAN:",
        &[
            Format {
                first: r"UBSAN: Undefined behaviour in",
                title: "UBSAN: undefined-behaviour in {F}",
                blame: Some(&UBSAN),
                ..BASE
            },
            Format {
                first: r"UBSAN: array-index-out-of-bounds in",
                title: "UBSAN: array-index-out-of-bounds in {F}",
                alt: &["bad-access in {F}"],
                blame: Some(&UBSAN),
                ..BASE
            },
            Format {
                first: r"UBSAN: (.*?) in ",
                title: "UBSAN: {1} in {F}",
                blame: Some(&UBSAN),
                ..BASE
            },
        ],
    ),
    Detector {
        header: "Booting the kernel.",
        only: "",
        except: &[
            // Only a line of its own is a boot; the words also turn up in echoed program text.
            r"^[^b]",
            r"Parsing ELF",
            r"Decompressing Linux",
        ],
        formats: &[Format {
            first: r"Booting the kernel\.",
            title: "unexpected kernel reboot",
            trust: Trust::Always,
            ..BASE
        }],
    },
    plain(
        "unregister_netdevice: waiting for",
        &[Format {
            first: r"unregister_netdevice: waiting for (?:.*) to become free",
            title: "unregister_netdevice: waiting for DEV to become free",
            trust: Trust::Always,
            ..BASE
        }],
    ),
    plain(
        "VFS: Close: file count is 0",
        &[Format {
            first: r"VFS: Close: file count is 0",
            title: "VFS: Close: file count is zero (use-after-free)",
            trust: Trust::Always,
            ..BASE
        }],
    ),
    plain(
        "VFS: Busy inodes after unmount",
        &[Format {
            first: r"VFS: Busy inodes after unmount",
            title: "VFS: Busy inodes after unmount (use-after-free)",
            trust: Trust::Always,
            ..BASE
        }],
    ),
    plain(
        "Internal error:",
        &[Format {
            first: r"Internal error:",
            title: "Internal error in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&FROM_IP_OR_TRACE),
            ..BASE
        }],
    ),
    plain(
        "Unhandled fault:",
        &[Format {
            first: r"Unhandled fault:",
            title: "Unhandled fault in {F}",
            alt: &["bad-access in {F}"],
            blame: Some(&FROM_IP_OR_TRACE),
            ..BASE
        }],
    ),
    plain(
        "Alignment trap:",
        &[Format {
            first: r"Alignment trap:",
            title: "Alignment trap in {F}",
            blame: Some(&FROM_IP_OR_TRACE),
            ..BASE
        }],
    ),
    plain(
        "trusty: panic",
        &[
            Format {
                first: r"trusty: panic.* ASSERT FAILED",
                then: r"trusty: panic.* ASSERT FAILED at \(.*\): *([^ \n].*)",
                title: "trusty: ASSERT FAILED: {1}",
                trust: Trust::Always,
                ..BASE
            },
            Format {
                first: r"trusty: panic.* ASSERT FAILED",
                title: "trusty: ASSERT FAILED:",
                trust: Trust::Never,
                ..BASE
            },
            Format {
                first: r"trusty: panic \(caller [^)]*\): (.+)",
                title: "trusty: panic: {1}",
                trust: Trust::Always,
                ..BASE
            },
            Format {
                first: r"trusty: panic:? ?(.*)",
                title: "trusty: panic: {1}",
                trust: Trust::Always,
                ..BASE
            },
        ],
    ),
    Detector {
        header: "fatal error:",
        only: "",
        except: &[
            // A compiler's complaint: `file.c:1:2: fatal error:`.
            r"[a-zA-Z0-9_./]+\.[chS]:[0-9:]+ fatal error:",
            r"ALSA",
        ],
        formats: &[Format {
            first: r"fatal error:",
            title: "go runtime error",
            trust: Trust::Always,
            ..BASE
        }],
    },
    plain(
        "SYZFAIL:",
        &[Format { first: r"SYZFAIL:.*", title: "{0}", trust: Trust::Always, ..BASE }],
    ),
    plain(
        "SYZFATAL:",
        &[Format { first: r"SYZFATAL:.*", title: "{0}", trust: Trust::Always, ..BASE }],
    ),
    Detector {
        header: "panic:",
        only: "",
        except: &[
            // Function names, and settings that drivers echo at boot.
            r"_panic:",
            r"xlog_status:",
            r"ddb\.onpanic:",
            r"evtlog_status:",
        ],
        formats: &[Format { first: r"panic:.*", title: "{0}", trust: Trust::Always, ..BASE }],
    },
];

const DIVIDE: Format = Format { title: "divide error in {F}", blame: Some(&FROM_IP_ONLY), ..BASE };

/// How `slab_bug()` of mm/slub.c begins.
const SLAB_LINE: &str = r"^[^a-z]*BUG [^ ]+ \((?:Not tainted|Tainted: [^)]*)\): ";
/// Its caches are everybody's: the line says more than a function that uses them.
const SLAB_OF_KMALLOC: &str = r"BUG kmalloc-.*";
/// Who freed the object that was written to since, or asked for the one that was written over.
const SLAB_USER: Blame = Blame {
    ways: &[
        &[Look::Line(r"Freed in {FUNC}[^ ]* age="), FRAMES],
        &[Look::Line(r"Allocated in {FUNC}[^ ]* age="), FRAMES],
        &[TRACE, FRAMES],
    ],
    skip: &[],
    pick: Pick::Top,
};

const UBSAN: Blame =
    Blame { ways: &[&[TRACE, FRAMES]], skip: &["ubsan", "overflow"], pick: Pick::Top };

const RUST_PANIC: &[Format] = &[Format {
    // The message is on the line after the place.
    first: r"rust_kernel: panicked at .*\n(.*)",
    title: "{1} in {F}",
    blame: Some(&Blame {
        ways: &[&[TRACE, FRAMES]],
        skip: &["rust_begin_unwind"],
        pick: Pick::Top,
    }),
    ..BASE
}];
