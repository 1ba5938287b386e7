// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the few places in a clean console that need a closer look.

use std::sync::LazyLock;

use super::words::Words;

/// One of these is in every line that begins a report, is a note, or tells a fact about
/// the whole log. At most 32 words of at least 4 bytes: that many the search looks for at
/// once in 32 bytes of a console, and more of them halve its speed.
pub const WORDS: &[&str] = &[
    // Report headers.
    "BUG:",
    "BUG ",
    "WARNING:",
    "INFO:",
    "nable to handle kernel",
    "general protection fault",
    "panic",
    "PANIC: ", // double fault; init
    "divide",
    "invalid opcode:",
    "int3:",
    "UBSAN:",
    "Booting the kernel.",
    "unregister_netdevice: w",
    "VFS: ",
    "al error:", // internal, fatal
    "Unhandled fault:",
    "Alignment trap:",
    "SYZFA",
    // Lines that end what a title may use.
    "FAULT_",
    // Notes.
    "ut of memory",
    "oom-kill",
    "allocation failure",
    "hard LOCKUP",
    "Bad swap",
    "Unused swap",
    "swap-device",
    "zswap: ",
    // Facts.
    "VM disconnected",
    "stack s", // segment, smashing
    "SIGBUS",
    "segfault at",
];

/// The words as a matcher.
pub(super) static PREFILTER: LazyLock<Words> = LazyLock::new(|| Words::new(WORDS));

#[cfg(test)]
mod tests {
    use super::super::detectors;
    use super::*;

    #[test]
    fn no_line_that_matters_is_passed_over() {
        let headers = detectors::all().map(|detector| detector.header);
        let lines = [detectors::FOLLOW_UPS, detectors::INTRUSIONS].concat();
        for line in headers.chain(lines) {
            assert!(PREFILTER.are_in(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn the_words_fit_the_fast_search() {
        assert!(WORDS.len() <= 32 && WORDS.iter().all(|word| word.len() >= 4));
    }
}
