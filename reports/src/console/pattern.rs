// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns of the tables.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Compiles a table's pattern, its `{FUNC}`, `{PC}` and `{SRC}` filled in.
///
/// Panics on a bad pattern: all patterns are in this crate, and a test compiles them.
pub(super) fn compile(pattern: &str) -> Regex {
    RegexBuilder::new(&expand(pattern))
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("pattern of a table: {error}"))
}

/// Compiles several patterns into one search. Panics as [`compile`] does.
pub(super) fn compile_set<'a>(patterns: impl Iterator<Item = &'a str>) -> RegexSet {
    RegexSetBuilder::new(patterns.map(expand))
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("patterns of a table: {error}"))
}

fn expand(pattern: &str) -> String {
    pattern
        .replace("{FUNC}", r"([a-zA-Z0-9_]+)[.+]")
        .replace("{PC}", r"\[<?(?:0x)?[0-9a-f]+>?\]")
        .replace("{SRC}", r"([a-zA-Z0-9_./\-]+\.[a-z]+:[0-9]+)")
}
