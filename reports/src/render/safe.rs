// SPDX-License-Identifier: MIT OR Apache-2.0
//! Foreign words, bounded and without anything active, for the formats that other programs read.
//!
//! Each format escapes on top of this what is markup in it.

use crate::escape::{printable, printable_lines};

/// Most bytes that one line of foreign words keeps.
pub(super) const MAX_LINE: usize = 1024;
/// Most bytes that several lines keep: as much as a report's text may have.
pub(super) const MAX_BLOCK: usize = 64 << 10;

/// One line, at most `most` bytes of it, with everything invisible or active made visible.
pub(super) fn line(text: &str, most: usize) -> String {
    let kept = cut(text, most);
    let mut safe = plain(&printable(kept));
    if kept.len() < text.len() {
        safe.push_str("...");
    }
    safe
}

/// Lines, at most `most` bytes of them, without a line feed at the end; what is left out is said in a line of its own.
pub(super) fn block(text: &str, most: usize) -> String {
    let text = text.trim_end();
    let kept = cut(text, most);
    let mut safe = plain(printable_lines(kept).trim_end());
    if kept.len() < text.len() {
        safe.push_str(&format!("\n[{} more bytes]", text.len() - kept.len()));
    }
    safe
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Without the two characters that [`printable`] leaves and XML 1.0 and HTML have no place for.
fn plain(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_nothing_in_them_is_active() {
        assert_eq!(line("a\x1b[m\n\u{202e}\u{ffff}", 99), "a\\x1b[m\\n\\u{202e}\u{fffd}");
        assert_eq!(line("aéb", 2), "a...");
        assert_eq!(block("a\n\tb\x07\n\n", 99), "a\n    b\\x07");
        assert_eq!(block(&"x".repeat(1 << 20), 4), "xxxx\n[1048572 more bytes]");
    }
}
