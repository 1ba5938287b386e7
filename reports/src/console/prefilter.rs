// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the few places in a clean console that need a closer look.

use std::sync::LazyLock;

use super::words::Words;

/// One of these is in every line that begins a report, is a note, or tells a fact about
/// the whole log. At most 32 words of at least 4 bytes: that many the search looks for at
/// once in 32 bytes of a console, and more of them halve its speed.
///
/// The search first looks for anything like the first four bytes of any word, and stops to look
/// closer where it finds that. So words begin where four bytes are rare in consoles: with `ace:`
/// and not with `Trac`. It takes every eighth word into one group, and what is like one word in its
/// first byte and like another of the group in its second stops it, too. The order is one in which
/// few texts do.
pub const WORDS: &[&str] = &[
    "int3:",
    "opcode:", // invalid opcode
    "ck s",    // stack segment, stack smashing
    "BUG:",
    "unregister_netdevice: w",
    "Alignment trap:",
    "n failure", // allocation failure
    "segfault at",
    "UBSAN:",
    "ace:", // the line above a stack
    "d LOCKUP",
    "Booting the kernel.",
    "VFS: ",
    "VM disconnected",
    "oom-kill",
    " fault", // general protection, unhandled
    "FAULT_", // ends what a title may use
    "SYZFA",
    "illed ", // what the out-of-memory killer says
    "BUG ",
    "ut of memory",
    "wap: ", // zswap
    "panic",
    "p-device", // swap-device
    "INFO:",
    "SIGBUS",
    "d swap", // bad, unused
    "WARNING:",
    "ror:", // internal, fatal, divide, vmalloc error
    "to handle kernel",
    "PANIC: ", // double fault; init
    "zram",
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
