// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel logs that were not taken from a console: dmesg, journald, pstore.
//!
//! A console line begins with `[   12.345678] `. Tools that store or show kernel messages
//! put other things there; [`Unwrapper`] turns them back.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::reader::MAX_LINE;

/// How a log's lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As on a console, or in no way that is known.
    Console,
    /// `dmesg -T`, `dmesg --time-format=iso`: `[Sun Nov 22 13:41:46 2026] `.
    WallClock,
    /// `dmesg -x`: `kern  :warn  : [   12.345678] `.
    Decoded,
    /// `journalctl -k` in its short forms: `Nov 22 13:41:46 host kernel: `.
    Journal,
}

/// So much of a log is looked at to see its form.
pub const SAMPLE: usize = 16 << 10;

static WALL_CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"^(?:<[0-9]+>)?(?:\[[A-Z][a-z]{2} [A-Z][a-z]{2} +[0-9]+ [0-9:]{8} [0-9]{4}\]|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[,.][0-9]+[+-][0-9:]{5}) ",
    )
});
static DECODED: LazyLock<Regex> =
    LazyLock::new(|| compile(r"^(?:kern|user|daemon|syslog) *:[a-z]+ *: (?:\[)"));
static JOURNAL: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?x)^(?:
            [A-Z][a-z]{2}\ +[0-9]+\ [0-9:.]{8,15}                      # short, short-precise
            | [A-Z][a-z]{2}\ [0-9-]{10}\ [0-9:.]{8,15}\ [A-Z0-9+-]{1,6} # short-full
            | [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9:]{4,5}) # short-iso
            | [0-9]{10}\.[0-9]{6}                                       # short-unix
            | \[\ *[0-9]+\.[0-9]+\]                                    # short-monotonic
        )\ [^\ ]{1,64}\ kernel:\ ",
    )
});

fn compile(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("pattern of a log form: {error}"))
}

impl Form {
    /// Sees the form of a log from its first [`SAMPLE`] bytes: most lines have to agree.
    pub fn of(sample: &[u8]) -> Form {
        let mut lines = 0;
        let mut votes = [0_usize; 3];
        for line in sample.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            lines += 1;
            for (vote, regex) in votes.iter_mut().zip([&WALL_CLOCK, &DECODED, &JOURNAL]) {
                *vote += usize::from(regex.is_match(line));
            }
        }
        [Form::WallClock, Form::Decoded, Form::Journal]
            .into_iter()
            .zip(votes)
            .find(|(_, votes)| votes * 5 >= lines * 4 && lines > 0)
            .map_or(Form::Console, |(form, _)| form)
    }
}

/// Turns the lines of another form into a console's, as they come.
#[derive(Debug)]
pub struct Unwrapper {
    form: Form,
    partial: Vec<u8>,
}

impl Unwrapper {
    /// For a log of this form.
    pub fn new(form: Form) -> Self {
        Unwrapper { form, partial: Vec::new() }
    }

    /// Takes the next bytes and appends console bytes to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.line(out);
            out.push(b'\n');
        }
        self.extend(bytes);
    }

    /// The log has ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.line(out);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, out: &mut Vec<u8>) {
        let prefix = match self.form {
            Form::Console => None,
            Form::WallClock => WALL_CLOCK.find(&self.partial),
            // The bracket stays.
            Form::Decoded => DECODED.find(&self.partial),
            Form::Journal => JOURNAL.find(&self.partial),
        };
        let Some(prefix) = prefix else {
            out.append(&mut self.partial);
            return;
        };
        let message = match self.form {
            Form::Decoded => {
                let message = &self.partial[prefix.end() - 1..];
                // `dmesg -xT` has both.
                WALL_CLOCK.find(message).map_or(message, |clock| &message[clock.end()..])
            }
            _ => &self.partial[prefix.end()..],
        };
        // A message of the journal may have kept its own time stamp.
        if !message.starts_with(b"[") || super::line::Line::read(message).prefix.is_none() {
            out.extend_from_slice(b"[    0.000000] ");
        }
        out.extend_from_slice(message);
        self.partial.clear();
    }
}

/// Puts the parts of a pstore dump into the order in which they were printed.
///
/// `fs/pstore` numbers parts from the newest to the oldest, and begins each with a line
/// such as `Panic#1 Part2`. A log without such lines is given back as it is.
pub fn pstore_in_order(log: Vec<u8>) -> Vec<u8> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        compile(r"(?m)^(?:Panic|Oops|Emergency|Restart|Shutdown)#[0-9]+ Part([0-9]+)\r?$")
    });
    let mut starts: Vec<(u32, usize)> = PART
        .captures_iter(&log)
        .filter_map(|found| {
            let number = std::str::from_utf8(&found[1]).ok()?.parse().ok()?;
            Some((number, found.get_match().start()))
        })
        .collect();
    if starts.len() < 2 || starts[0].1 != 0 || starts.len() > 1000 {
        return log;
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|s| s.1).chain([log.len()]).collect();
    let mut parts: Vec<(u32, &[u8])> =
        starts.drain(..).zip(ends).map(|((n, from), to)| (n, &log[from..to])).collect();
    parts.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    parts.into_iter().flat_map(|(_, part)| part.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrap(log: &str) -> String {
        let mut unwrapper = Unwrapper::new(Form::of(log.as_bytes()));
        let mut out = Vec::new();
        unwrapper.push(log.as_bytes(), &mut out);
        unwrapper.finish(&mut out);
        String::from_utf8(out).expect("it was text before")
    }

    #[test]
    fn other_forms_become_console_lines() {
        for (log, want) in [
            ("[Sun Nov 22 13:41:46 2026] BUG: x\n", "[    0.000000] BUG: x\n"),
            ("2026-11-22T13:41:46,123456+00:00 BUG: x", "[    0.000000] BUG: x"),
            ("kern  :warn  : [   12.345678] BUG: x\n", "[   12.345678] BUG: x\n"),
            ("kern  :warn  : [Sun Nov 22 13:41:46 2026] BUG: x\n", "[    0.000000] BUG: x\n"),
            ("Nov 22 13:41:46 ci kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
            ("Sun 2026-11-22 13:41:46 UTC ci kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
            ("1795354906.123456 ci kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
            ("2026-11-22T13:41:46+0000 ci kernel: [  1.5] BUG: x\n", "[  1.5] BUG: x\n"),
            ("[   12.345678] ci kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
        ] {
            assert_eq!(unwrap(log), want);
        }
    }

    #[test]
    fn consoles_stay_as_they_are() {
        for log in ["[   12.345678] BUG: x\nfoo", "", "<4>[   12.345678][  T1] x\n", "\n\n"] {
            assert_eq!(unwrap(log), log);
        }
    }

    #[test]
    fn newest_pstore_part_goes_last() {
        let log = b"Panic#1 Part1\nc\nPanic#1 Part2\nb\nPanic#1 Part3\na\n".to_vec();
        assert_eq!(pstore_in_order(log), b"Panic#1 Part3\na\nPanic#1 Part2\nb\nPanic#1 Part1\nc\n");
        assert_eq!(pstore_in_order(b"x\n".to_vec()), b"x\n");
    }
}
