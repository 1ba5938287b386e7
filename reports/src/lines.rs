// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of a file that comes piece by piece, in memory that does not grow with it.

use memchr::memchr;

/// Splits at line feeds. A line that is longer than `MOST` bytes comes cut to one byte more, by which it is known.
#[derive(Debug, Default)]
pub(crate) struct Lines<const MOST: usize> {
    /// The line that has begun.
    begun: Vec<u8>,
}

impl<const MOST: usize> Lines<MOST> {
    /// Takes the next bytes and hands on each line that they complete, without its line feed.
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            if self.begun.is_empty() {
                take(&rest[..end.min(MOST + 1)]);
            } else {
                self.begin(&rest[..end]);
                take(&self.begun);
                self.begun.clear();
            }
            rest = &rest[end + 1..];
        }
        self.begin(rest);
    }

    /// The last line, if it has no line feed.
    pub(crate) fn rest(self) -> Option<Vec<u8>> {
        Some(self.begun).filter(|line| !line.is_empty())
    }

    fn begin(&mut self, bytes: &[u8]) {
        let room = (MOST + 1).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
