// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a console, in chunks of any size.
//!
//! Nothing may panic, hang or leak; chunks must not matter; texts must be bounded and safe
//! to show.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reports::console::{Options, Reader, Seen, pstore_in_order};

/// What others put before a kernel's line.
const HEADS: &[&str] = &[
    "",
    "",
    "> ",
    "[    1.000000] ",
    "[    1.000000][    T7] ",
    "[Sun Nov 22 13:41:46 2026] ",
    "Nov 22 13:41:46 box kernel: ",
    "Nov 22 13:41:46 box app[7]: ",
    "6,1234,5678901,-,caller=T12;",
    "11-22 13:41:46.123     0     0 E         : ",
    "2026-11-22T13:41:46.123456789Z stdout F ",
    "kern  :warn  : ",
    "(rig-7/ttyUSB0) 12 | ",
    "\x1b[32m",
];

fn behind(head: &str, log: &[u8]) -> Vec<u8> {
    if head.is_empty() {
        return log.to_vec();
    }
    let lines = log.split_inclusive(|&b| b == b'\n');
    lines.flat_map(|line| [head.as_bytes(), line].concat()).collect()
}

fuzz_target!(|data: &[u8]| {
    // The first byte says how large the chunks are, the second what stands before each line.
    let [size, head, log @ ..] = data else { return };
    let (size, log) = (*size, behind(HEADS[usize::from(*head) % HEADS.len()], log));
    let log = &log[..];
    let mut whole = Reader::new(Options::default());
    let mut all = whole.push(log);
    all.extend(whole.finish());
    let mut reader = Reader::new(Options::default());
    let mut seen = Vec::new();
    for chunk in log.chunks(usize::from(size) + 1) {
        seen.extend(reader.push(chunk));
    }
    seen.extend(reader.finish());
    assert_eq!(seen, all);
    assert_eq!(reader.stats(), whole.stats());
    for seen in &seen {
        let Seen::Report(finding) = seen else { continue };
        assert!(finding.title.len() <= 120 && !finding.title.is_empty());
        assert!(finding.text.len() <= 64 << 10);
        // UTF-16 becomes longer in UTF-8.
        assert!(finding.offset <= 2 * log.len() as u64);
        for text in [&finding.title, &finding.frame, &finding.head, &finding.text] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
    pstore_in_order(log.to_vec());
});
