// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the few places in a clean console that need a closer look.

use std::sync::LazyLock;

use super::words::Words;

/// One of these is in every line that begins a report, is a note, or tells a fact about
/// the whole log. They are as few and as long as that allows: each one costs speed.
pub const WORDS: &[&str] = &[
    // Report headers.
    "BUG",
    "WARNING:",
    "INFO:",
    "nable to handle kernel",
    "general protection fault",
    "stack segment: ",
    "ernel panic",
    "PANIC: double",
    "panicked",
    "divide error:",
    "divide_error:",
    "invalid opcode:",
    "int3:",
    "UBSAN:",
    "Booting the kernel.",
    "unregister_netdevice: w",
    "VFS: Close:",
    "VFS: Busy in",
    "Internal error:",
    "Unhandled fault:",
    "Alignment trap:",
    "trusty: panic",
    "fatal error:",
    "SYZFA",
    "panic:",
    // Lines that end what a title may use.
    "allocation failure:",
    "FAULT_INJECTION: forcing",
    "FAULT_FLAG_ALLOW_RETRY",
    // Notes.
    "ut of memory",
    "oom-kill",
    "invoked oom-killer",
    "page allocation failure",
    "hard LOCKUP",
    "swap file entry",
    "swap_info_get",
    "swap_free: ",
    "swap_dup: ",
    "get_swap_device",
    "swap-device",
    "zswap: ",
    // Facts.
    "VM disconnected",
    "stack smashing",
    "SIGBUS",
    "segfault at",
];

/// The words as a matcher.
pub(super) static PREFILTER: LazyLock<Words> = LazyLock::new(|| Words::new(WORDS));
