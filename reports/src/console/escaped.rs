// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console's bytes as text: what is not printable is escaped, and nothing is dropped.

use std::borrow::Cow;

/// Longest text kept of a report.
const MAX_TEXT: usize = 64 << 10;

/// Text that need not be UTF-8 but nearly always is, which is quicker to see than to mend.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Text that a terminal can be given: what is not printable is escaped.
pub(super) fn escaped(bytes: &[u8], most: usize) -> String {
    if bytes.len() <= most && is_plain(bytes) && !bytes.contains(&b'\n') {
        // What was just checked is ASCII.
        return String::from_utf8(bytes.to_vec()).unwrap_or_default();
    }
    let mut out = String::with_capacity(bytes.len().min(most));
    push_escaped(&mut out, bytes, most);
    out
}

pub(super) fn escaped_lines(text: &[u8]) -> String {
    if text.len() <= MAX_TEXT && is_plain(text) {
        // What was just checked is ASCII. A copy, as a block can hold thousands of short
        // reports, and each was written into the room of a usual one.
        return String::from_utf8(text.to_vec()).unwrap_or_default();
    }
    let mut out = String::with_capacity(text.len().min(MAX_TEXT));
    for line in text.split_inclusive(|&b| b == b'\n') {
        if out.len() + line.len() > MAX_TEXT {
            break;
        }
        let room = MAX_TEXT - out.len();
        push_escaped(&mut out, line.strip_suffix(b"\n").unwrap_or(line), room);
        out.push('\n');
    }
    out
}

/// True for lines of printable ASCII, which nearly all reports are.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out in the middle the compiler looks at many bytes at once.
    let odd = |b: &u8| u8::from(!matches!(b, b' '..=b'~' | b'\t' | b'\n'));
    bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |any, b| any | odd(b)) == 0)
}

fn push_escaped(out: &mut String, bytes: &[u8], most: usize) {
    let end = out.len() + most;
    // Nearly all lines are plain.
    let plain = bytes.iter().take_while(|&&b| (b' '..=b'~').contains(&b) || b == b'\t').count();
    let (plain, bytes) = bytes.split_at(plain.min(most));
    // What was just checked is ASCII.
    out.push_str(std::str::from_utf8(plain).unwrap_or_default());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if out.len() + 10 > end && out.len() + c.len_utf8() > end {
                return;
            }
            if c == '\t' || !c.is_control() && !is_format_control(c) {
                out.push(c);
            } else {
                out.extend(c.escape_default());
            }
        }
        for byte in chunk.invalid() {
            if out.len() + 4 > end {
                return;
            }
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

/// Marks that change the direction of text and could make it read as something else.
fn is_format_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(escaped(b"a\x1b[31mb\xff\tc", 99), "a\\u{1b}[31mb\\xff\tc");
        assert!(escaped(&[b'x'; 999], 99).len() <= 99);
    }
}
