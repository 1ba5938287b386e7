// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for fixed words.

use aho_corasick::{AhoCorasick, packed};

/// Words that are looked for over and over, many bytes at once where the processor can.
#[derive(Debug)]
pub(super) enum Words {
    Fast(packed::Searcher),
    Any(AhoCorasick),
}

impl Words {
    pub(super) fn new(words: &[&str]) -> Self {
        match packed::Searcher::new(words) {
            Some(fast) => Words::Fast(fast),
            None => Words::Any(AhoCorasick::new(words).expect("short literals fit any automaton")),
        }
    }

    /// True if the text holds one of them.
    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        self.find(text).is_some()
    }

    /// Where the first of them begins.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Words::Fast(fast) => fast.find(text).map(|found| found.start()),
            Words::Any(any) => any.find(text).map(|found| found.start()),
        }
    }
}
