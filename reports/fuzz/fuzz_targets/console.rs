// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a console, in chunks of any size.
//!
//! Nothing may panic, hang or leak; chunks must not matter; texts must be bounded and safe
//! to show.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reports::console::{Form, Options, Reader, SAMPLE, Seen, Unwrapper, pstore_in_order};

fuzz_target!(|data: &[u8]| {
    // The first byte says how large the chunks are.
    let Some((&size, log)) = data.split_first() else { return };
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
        assert!(finding.offset <= log.len() as u64);
        for text in [&finding.title, &finding.frame, &finding.head, &finding.text] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
    let mut unwrapper = Unwrapper::new(Form::of(&log[..log.len().min(SAMPLE)]));
    let mut plain = Vec::new();
    unwrapper.push(log, &mut plain);
    unwrapper.finish(&mut plain);
    pstore_in_order(plain);
});
