// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the compiler warns of since the series is there.

use super::Cells;

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

/// The warnings of `tip` that `base` has not. Lines move when something is added above them, so that a warning is the same if
/// file and words are, and counts as often as it is there.
pub fn new_warnings(base: &[String], tip: &[String]) -> Vec<String> {
    let mut known: Vec<(&str, &str)> = base.iter().map(|line| key(line)).collect();
    let mut new = Vec::new();
    for line in tip {
        let own = key(line);
        match known.iter().position(|other| *other == own) {
            Some(at) => {
                known.swap_remove(at);
            }
            None => new.push(line.clone()),
        }
    }
    new
}

/// File and words: `mm/zswap.c` and `warning: unused variable 'x'` of `mm/zswap.c:12:3: warning: unused variable 'x'`.
fn key(line: &str) -> (&str, &str) {
    let Some((place, words)) = line.split_once(" warning: ") else { return ("", line) };
    let is_number = |c: char| c.is_ascii_digit() || c == ':';
    (place.trim_end_matches(is_number), words)
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
}
