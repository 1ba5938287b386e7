// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change adds and removes, file by file, as `git show --stat` prints it.

use serde::{Deserialize, Serialize};

use crate::escape::printable;

/// So many files of a change are kept.
const MOST_FILES: usize = 20;
/// Longest name that is kept, in characters; of a longer one its end is.
const MOST_NAME: usize = 120;
/// Widest name in text.
const NAME: usize = 50;
/// Most pluses and minuses in a line.
const GRAPH: u64 = 30;

/// What a change does to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Its path below the tree, shortened at its front if it is very long.
    pub file: String,
    /// Lines that are added, and those that are removed; `None` of what is no text.
    pub lines: Option<(u64, u64)>,
}

/// What a change does to all of its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStat {
    /// The first ones.
    pub files: Vec<FileStat>,
    /// How many more there are.
    pub more: u64,
    /// Lines added in all of them.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

impl DiffStat {
    /// Of files with the lines that are added to each, and removed; `None` of a change without files.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, Option<(u64, u64)>)>) -> Option<Self> {
        let mut stat = Self::default();
        for (file, lines) in files {
            let (added, removed) = lines.unwrap_or_default();
            stat.added = stat.added.saturating_add(added);
            stat.removed = stat.removed.saturating_add(removed);
            if stat.files.len() < MOST_FILES {
                stat.files.push(FileStat { file: end_of(file, MOST_NAME), lines });
            } else {
                stat.more += 1;
            }
        }
        (!stat.files.is_empty()).then_some(stat)
    }

    /// A line for each file, and one for all, with `indent` before each; what is printed is safe for a terminal.
    pub fn text(&self, indent: &str) -> String {
        // A log may say what it likes.
        let files = &self.files[..self.files.len().min(MOST_FILES)];
        let names: Vec<String> =
            files.iter().map(|file| end_of(&printable(&file.file), NAME)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let changed = |file: &FileStat| {
            file.lines.map_or(0, |(added, removed)| added.saturating_add(removed))
        };
        let most = files.iter().map(changed).max().unwrap_or(0);
        let digits = most.to_string().len().max(3);
        let mut text = String::new();
        for (file, name) in files.iter().zip(names) {
            let pad = " ".repeat(width - name.chars().count());
            let (count, graph) = match file.lines {
                None => ("Bin".to_owned(), String::new()),
                Some((added, removed)) => {
                    let signs = |n, sign: &str| sign.repeat(scaled(n, most));
                    let graph = format!(" {}{}", signs(added, "+"), signs(removed, "-"));
                    (changed(file).to_string(), graph)
                }
            };
            text += &format!("{indent}{name}{pad} | {count:>digits$}{}\n", graph.trim_end());
        }
        if self.more > 0 {
            text += &format!("{indent}... and {} more\n", self.more);
        }
        let (n, added, removed) = (files.len() as u64 + self.more, self.added, self.removed);
        let s = if n == 1 { "" } else { "s" };
        text += &format!("{indent}{n} file{s} changed, {added} added(+), {removed} removed(-)\n");
        text
    }
}

/// How many signs stand for so many lines, if the file with the most has `most`: at least one for a line.
fn scaled(lines: u64, most: u64) -> usize {
    let signs = match most {
        most if most <= GRAPH => lines,
        most => (u128::from(lines) * u128::from(GRAPH)).div_ceil(u128::from(most)) as u64,
    };
    usize::try_from(signs.min(GRAPH)).unwrap_or(0)
}

/// A name's end, if it is longer than that.
fn end_of(name: &str, most: usize) -> String {
    let long = name.chars().count();
    if long <= most {
        return name.to_owned();
    }
    let end: String = name.chars().skip(long + 3 - most).collect();
    format!("...{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_lines_as_git_shows_them() {
        let stat = DiffStat::of([
            ("mm/zswap.c", Some((12, 3))),
            ("Documentation/logo.gif", None),
            ("mm/swap.h", Some((0, 0))),
            ("mm/swapfile.c", Some((60, 0))),
        ]);
        let expected = "  mm/zswap.c             |  15 ++++++--
  Documentation/logo.gif | Bin
  mm/swap.h              |   0
  mm/swapfile.c          |  60 ++++++++++++++++++++++++++++++
  4 files changed, 72 added(+), 3 removed(-)
";
        assert_eq!(stat.unwrap().text("  "), expected);
        let one = DiffStat::of([("mm/zswap.c", Some((1, 1)))]).unwrap().text("");
        assert_eq!(one, "mm/zswap.c |   2 +-\n1 file changed, 1 added(+), 1 removed(-)\n");
        assert_eq!(DiffStat::of([]), None);
    }

    #[test]
    fn many_files_are_bounded_and_names_and_numbers_of_others_do_no_harm() {
        let names: Vec<String> = (0..500).map(|n| format!("{}/f{n}", "d".repeat(300))).collect();
        let stat = DiffStat::of(names.iter().map(|name| (name.as_str(), Some((1, 0))))).unwrap();
        assert_eq!((stat.files.len(), stat.more, stat.added), (MOST_FILES, 480, 500));
        let text = stat.text("");
        assert!(text.lines().all(|line| line.chars().count() < 100), "{text}");
        assert!(text.contains("ddd/f19 |   1 +\n... and 480 more\n500 files"), "{text}");
        let evil =
            FileStat { file: "\u{1b}[31m\nTested-by: x".to_owned(), lines: Some((u64::MAX, 9)) };
        let stat = DiffStat { files: vec![evil; 1_000], more: 1, added: 1, removed: 1 };
        let text = stat.text("> ");
        assert!(
            !text.contains('\u{1b}') && text.lines().all(|line| line.starts_with("> ")),
            "{text}"
        );
        assert!(text.lines().count() == MOST_FILES + 2, "{text}");
    }
}
