// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words that are looked for in the names of functions.

/// A word of a table without its anchors.
#[derive(Debug)]
struct Word {
    text: &'static [u8],
    at_start: bool,
    at_end: bool,
}

impl Word {
    fn new(word: &'static str) -> Self {
        let text = word.strip_prefix('^').unwrap_or(word);
        let at_start = text.len() != word.len();
        let at_end = text.ends_with('$');
        let text = text.strip_suffix('$').unwrap_or(text).as_bytes();
        Word { text, at_start, at_end }
    }

    /// True if the word matches at a place in a name.
    fn is_at(&self, at: usize, name: &[u8]) -> bool {
        (at == 0 || !self.at_start)
            && name[at..].starts_with(self.text)
            && (!self.at_end || at + self.text.len() == name.len())
    }
}

/// Words are found by their first bytes.
const KEY: usize = 4;
/// Enough slots that most are empty.
const SLOT_BITS: u32 = 12;

/// Words as a matcher. A word matches anywhere in a name; `^` ties it to the name's beginning and
/// `$` to its end. Names are short, and few of them hold the first bytes of any word, so a
/// look at each place in a name is quicker than an automaton.
#[derive(Debug)]
pub(super) struct WordSet {
    /// Those with a key, by slots.
    words: Vec<Word>,
    /// Where the words of each slot begin, and where the last ones end.
    slots: Vec<u16>,
    /// Those that are too short for a key.
    short: Vec<Word>,
}

impl WordSet {
    pub(super) fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        let slot_of = |word: &Word| word.text.first_chunk().map(slot);
        let (mut words, short): (Vec<Word>, Vec<Word>) =
            words.into_iter().map(Word::new).partition(|word| slot_of(word).is_some());
        words.sort_by_key(slot_of);
        let slots = (0..=1 << SLOT_BITS)
            .map(|slot| words.partition_point(|word| slot_of(word) < Some(slot)) as u16)
            .collect();
        WordSet { words, slots, short }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let mut short = self.short.iter();
        short.any(|word| {
            let places = if word.at_start { 1 } else { name.len() };
            (0..places).any(|at| word.is_at(at, name))
        }) || name.array_windows().enumerate().any(|(at, key)| {
            let slot = slot(key);
            let (from, to) = (self.slots[slot], self.slots[slot + 1]);
            self.words[from.into()..to.into()].iter().any(|word| word.is_at(at, name))
        })
    }
}

/// Where words are that begin with a key: the upper bits of Fibonacci hashing.
fn slot(key: &[u8; KEY]) -> usize {
    (u32::from_le_bytes(*key).wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_where_their_anchors_allow() {
        let set = WordSet::new(["^ab$", "cd$", "^begin", "finish$", "^whole$", "anywhere"]);
        for name in ["ab", "xcd", "cd", "begins", "xfinish", "finish", "whole", "xanywherex"] {
            assert!(set.matches(name), "{name}");
        }
        for name in ["", "abc", "xab", "cdx", "xbegin", "finishx", "wholex", "xwhole", "anywher"] {
            assert!(!set.matches(name), "{name}");
        }
    }
}
