// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encodings: a log that was saved as UTF-16 becomes UTF-8.
//!
//! The `>` of a Windows shell writes UTF-16, and a serial program there may too.

/// Bytes that are looked at before it is known how a log is encoded.
const ENOUGH: usize = 4;

/// Turns the bytes of a log into those of a console, as they come.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    /// What the last bytes were turned into.
    out: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Nothing is known yet.
    Start(Vec<u8>),
    /// ASCII, UTF-8 or whatever a kernel printed.
    Plain,
    Utf16 {
        big: bool,
        half: Option<u8>,
        high: Option<u16>,
    },
}

impl Default for State {
    fn default() -> Self {
        State::Start(Vec::with_capacity(ENOUGH))
    }
}

impl Decoder {
    /// Takes the next bytes. Of bytes that need no decoding nothing is copied.
    pub(super) fn decode<'a>(&'a mut self, mut bytes: &'a [u8]) -> [&'a [u8]; 2] {
        self.out.clear();
        if let State::Start(first) = &mut self.state {
            let (more, rest) = bytes.split_at(bytes.len().min(ENOUGH - first.len()));
            first.extend_from_slice(more);
            if first.len() < ENOUGH {
                return [b"", b""];
            }
            bytes = rest;
            self.begin();
        }
        if matches!(self.state, State::Plain) {
            return [&self.out, bytes];
        }
        self.utf16(bytes);
        [&self.out, b""]
    }

    /// The log has ended: what was held back until its encoding was known.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.out.clear();
        if matches!(self.state, State::Start(_)) {
            self.begin();
        }
        &self.out
    }

    /// Sees the encoding from the first bytes: a byte order mark, or every other byte a zero.
    fn begin(&mut self) {
        let State::Start(first) = std::mem::take(&mut self.state) else { return };
        let big = match first[..] {
            [0xff, 0xfe, ..] => Some(false),
            [0xfe, 0xff, ..] => Some(true),
            [1..=0x7f, 0, 1..=0x7f, 0] => Some(false),
            [0, 1..=0x7f, 0, 1..=0x7f] => Some(true),
            _ => None,
        };
        match big {
            Some(big) => {
                self.state = State::Utf16 { big, half: None, high: None };
                self.utf16(&first);
            }
            None => {
                self.state = State::Plain;
                self.out.extend_from_slice(&first);
            }
        }
    }

    fn utf16(&mut self, bytes: &[u8]) {
        let State::Utf16 { big, half, high } = &mut self.state else { return };
        for &byte in bytes {
            let Some(first) = half.take() else {
                *half = Some(byte);
                continue;
            };
            let pair = [first, byte];
            let unit = if *big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            let c = match (high.take(), unit) {
                (Some(first), 0xdc00..=0xdfff) => {
                    char::decode_utf16([first, unit]).next().and_then(Result::ok)
                }
                (_, 0xd800..=0xdbff) => {
                    *high = Some(unit);
                    continue;
                }
                // The byte order mark.
                (_, 0xfeff) => continue,
                (_, unit) => char::from_u32(unit.into()),
            };
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(log: &[u8], size: usize) -> Vec<u8> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for chunk in log.chunks(size) {
            decoder.decode(chunk).iter().for_each(|part| out.extend_from_slice(part));
        }
        out.extend_from_slice(decoder.finish());
        out
    }

    #[test]
    fn utf16_is_read_in_both_orders_however_it_is_cut() {
        let text = "[ 1.0] BUG: \u{20ac}\u{1f427}\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for log in
            [[b"\xff\xfe", &little[..]].concat(), [b"\xfe\xff", &big[..]].concat(), little, big]
        {
            for size in 1..8 {
                assert_eq!(decode(&log, size), text.as_bytes(), "in pieces of {size}");
            }
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for log in [&b""[..], b"a", b"abc", b"abcde\0\xff\xfe", b"\0\0\0\0a", b"a\0b"] {
            for size in 1..8 {
                assert_eq!(decode(log, size), log);
            }
        }
    }
}
