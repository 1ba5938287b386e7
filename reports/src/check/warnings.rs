// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the compiler, and sparse, warn of since the series is there.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Cells;

/// Most new warnings of sparse that are kept.
const MOST: usize = 50;

/// What sparse says of the C files that a series touches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseFacts {
    /// As it calls itself.
    pub version: String,
    /// Files that it was asked about, of base and tip.
    pub files: Vec<String>,
    /// Those that it was not asked about, since they do not compile on their own in this configuration.
    pub left_out: Vec<String>,
    /// Warnings of the tip that the base has not; the first ones.
    pub new: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl SparseFacts {
    /// Compares what it said of base and tip.
    pub fn compared(self, base: &[String], tip: &[String]) -> Self {
        let mut new = new_warnings(base, tip);
        let more = new.len().saturating_sub(MOST);
        new.truncate(MOST);
        Self { new, more, ..self }
    }
}

impl Cells<'_> {
    /// Warnings of the tip that the base has not; `None`: those of one of them are not known.
    pub(super) fn new_warnings(&self) -> Option<Vec<String>> {
        let of = |at: usize| {
            let kernel = self.at(at).find_map(|cell| cell.kernel.as_ref())?;
            kernel.warnings.as_deref()
        };
        Some(new_warnings(of(0)?, of(self.facts.tip())?))
    }
}

/// The warnings of `tip` that `base` has not, of the compiler or of sparse. Lines move when something is added above them, so
/// that a warning is the same if file and words are, and counts as often as it is there.
pub fn new_warnings(base: &[String], tip: &[String]) -> Vec<String> {
    let mut known: HashMap<String, usize> = HashMap::new();
    for line in base {
        *known.entry(key(line)).or_default() += 1;
    }
    let mut new = Vec::new();
    for line in tip {
        match known.get_mut(&key(line)).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => new.push(line.clone()),
        }
    }
    new
}

/// A warning without its lines and columns, also those of a declaration that it names: `mm/zswap.c: warning: unused variable 'x'`
/// of `mm/zswap.c:12:3: warning: unused variable 'x'`.
fn key(line: &str) -> String {
    let mut key = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(':') {
        let (before, behind) = rest.split_at(at + 1);
        key.push_str(before);
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    }
    key + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_that_moved_is_not_new_and_one_more_of_the_same_is() {
        let lines =
            |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let base = lines(&["mm/a.c:1:2: warning: unused 'x'", "mm/b.c:9: warning: old"]);
        let moved = lines(&["mm/a.c:31:12: warning: unused 'x'"]);
        assert_eq!(new_warnings(&base, &moved), lines(&[]));
        let more = lines(&[
            "mm/a.c:31:12: warning: unused 'x'",
            "mm/a.c:40:2: warning: unused 'x'",
            "mm/a.c:1:2: warning: unused 'y'",
            "mm/c.c:1:2: warning: unused 'x'",
        ]);
        assert_eq!(new_warnings(&base, &more), more[1..]);
    }

    #[test]
    fn sparses_warnings_are_compared_with_their_types_and_without_their_lines_and_bounded() {
        let one = |line: u32, other: u32, type_: &str| {
            format!(
                "mm/a.c:{line}:2: warning: symbol 'x' redeclared (originally declared at mm/a.h:{other}); got {type_}"
            )
        };
        let base = [one(1, 2, "int"), "mm/a.c:3:1: error: Expected )".to_owned()];
        let tip = [one(7, 9, "int"), one(7, 9, "long"), "mm/a.c:5:1: error: Expected )".to_owned()];
        let facts = SparseFacts::default().compared(&base, &tip);
        assert_eq!((facts.new, facts.more), (vec![tip[1].clone()], 0));
        let many: Vec<String> = (0..60).map(|n| format!("mm/a.c:1: warning: w{n}.")).collect();
        let facts = SparseFacts::default().compared(&[], &many);
        assert_eq!((facts.new.len(), facts.more), (MOST, 10));
    }
}
