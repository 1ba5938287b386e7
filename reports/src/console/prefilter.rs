// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the few places in a clean console that need a closer look.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind, packed};

/// One of these is in every line that begins a report, is a note, or tells a fact about
/// the whole log. They are as few and as long as that allows: each one costs speed.
const WORDS: &[&str] = &[
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

pub(super) struct Prefilter {
    fast: Option<packed::Searcher>,
    any: AhoCorasick,
}

impl Prefilter {
    pub(super) fn new() -> Self {
        let fast = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(WORDS)
            .build();
        let any = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(WORDS)
            .expect("a few dozen short literals fit any automaton");
        Prefilter { fast, any }
    }

    /// Where the first word begins.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match &self.fast {
            Some(fast) if bytes.len() >= fast.minimum_len() => fast.find(bytes).map(|m| m.start()),
            _ => self.any.find(bytes).map(|m| m.start()),
        }
    }
}

impl fmt::Debug for Prefilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefilter").field("simd", &self.fast.is_some()).finish_non_exhaustive()
    }
}
