// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for fixed words.

use aho_corasick::AhoCorasick;

/// A few words that are looked for over and over.
#[derive(Debug)]
pub(super) struct Words(AhoCorasick);

impl Words {
    pub(super) fn new(words: &[&str]) -> Self {
        Words(AhoCorasick::new(words).expect("a few short literals fit any automaton"))
    }

    /// True if the text holds one of them.
    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// Where the first of them begins.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        self.0.find(text).map(|found| found.start())
    }
}
