// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making text from the guest safe to show.
//!
//! A console may hold terminal escapes, carriage returns that overwrite, and characters that
//! reorder or hide text. Nothing of that reaches a terminal or a mail: it is shown as an
//! escape instead.

use std::borrow::Cow;

/// One line of text with everything invisible or active made visible: `\x1b`, `\t`, `\u{202e}`.
/// A backslash stays as it is, so the result is for reading, not for decoding.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\n' || is_active(c))
}

/// The same for text of several lines: line feeds stay, tabs become blanks, and a carriage
/// return at a line's end is dropped.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if text.contains(['\t', '\r']) {
        let plain = text.replace("\r\n", "\n").replace('\t', "    ");
        Cow::Owned(escape(&plain, is_active).into_owned())
    } else {
        escape(text, is_active)
    }
}

fn escape(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !bad(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if c.is_ascii() => safe.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => safe.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(safe)
}

/// Control characters, and what reorders, joins or hides text (bidirectional controls,
/// zero-width characters, line and paragraph separators, tags, private use).
fn is_active(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_and_hidden_characters_become_visible() {
        assert_eq!(printable("a\x1b[31mb\r\n\u{202e}\u{9b}"), "a\\x1b[31mb\\r\\n\\u{202e}\\u{9b}");
        assert!(matches!(printable("plain ünïcode \\"), Cow::Borrowed(_)));
    }

    #[test]
    fn several_lines_keep_their_line_feeds_only() {
        assert_eq!(printable_lines("a\r\n\tb\x07\nc\rd"), "a\n    b\\x07\nc\\rd");
    }
}
