// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns of the tables.

use std::sync::OnceLock;

use regex::bytes::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// A table's pattern that is searched for and taken apart.
///
/// Captures from a search cost several passes over the text. Where a match begins is known
/// sooner, and one that is tied to its place is taken apart in a pass or two.
#[derive(Debug)]
pub(super) struct Pattern {
    source: &'static str,
    search: OnceLock<Regex>,
    here: OnceLock<Regex>,
}

impl Pattern {
    /// Nothing is compiled before it is used.
    pub(super) fn new(source: &'static str) -> Self {
        Pattern { source, search: OnceLock::new(), here: OnceLock::new() }
    }

    /// Where the first match begins.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        self.search().find(text).map(|found| found.start())
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.search().is_match(text)
    }

    /// Captures of a match with which the text begins.
    pub(super) fn captures_here<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.here.get_or_init(|| build(&here(&expand(self.source)))).captures(text)
    }

    /// Captures of the first match.
    pub(super) fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.captures_here(text).or_else(|| self.captures_here(&text[self.find(text)?..]))
    }

    /// The parts that the pattern asks for of a match with which the text begins.
    pub(super) fn parts_here<'t>(&self, text: &'t [u8]) -> Vec<&'t [u8]> {
        // Only where there are any is it worth to see which part matched.
        if self.search().captures_len() == 1 {
            return Vec::new();
        }
        let parts = self.captures_here(text);
        parts.iter().flat_map(|p| p.iter().skip(1)).flatten().map(|part| part.as_bytes()).collect()
    }

    fn search(&self) -> &Regex {
        self.search.get_or_init(|| compile(self.source))
    }
}

/// Compiles a table's pattern, its `{FUNC}`, `{PC}` and `{SRC}` filled in.
///
/// Panics on a bad pattern: all patterns are in this crate, and a test compiles them.
pub(super) fn compile(pattern: &str) -> Regex {
    build(&expand(pattern))
}

fn build(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("pattern of a table: {error}"))
}

/// Compiles several patterns into a search for any of them. Panics as [`compile`] does.
pub(super) fn compile_any<'a>(patterns: impl Iterator<Item = &'a str>) -> Regex {
    let each: Vec<String> = patterns.map(|pattern| format!("(?:{pattern})")).collect();
    compile(&each.join("|"))
}

/// Compiles several patterns, to see which of them a text begins with. Panics as [`compile`]
/// does.
pub(super) fn compile_set_here<'a>(patterns: impl Iterator<Item = &'a str>) -> RegexSet {
    // What may be anything decides nothing, and would keep the search busy to the line's end.
    let decisive = |pattern: &'a str| pattern.strip_suffix("(.*)").unwrap_or(pattern);
    RegexSetBuilder::new(patterns.map(|pattern| here(&expand(decisive(pattern)))))
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("patterns of a table: {error}"))
}

fn here(pattern: &str) -> String {
    format!(r"\A(?:{pattern})")
}

fn expand(pattern: &str) -> String {
    pattern
        .replace("{FUNC}", r"([a-zA-Z0-9_]+)(?:[.+]| \([a-zA-Z0-9_./\-?]+:[0-9?])")
        .replace("{PC}", r"\[<?(?:0x)?[0-9a-f]+>?\]")
        .replace("{SRC}", r"([a-zA-Z0-9_./\-]+\.[a-z]+:[0-9]+)")
}
