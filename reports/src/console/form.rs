// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel logs that were not taken from a console: dmesg, journald, pstore.
//!
//! A console line begins with `[   12.345678] `. Tools that store or show kernel messages
//! put other things there; [`Unwrapper`] turns them back.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::line::Line;
use super::reader::MAX_LINE;

/// How a log's lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As on a console, or in no way that is known.
    Console,
    /// `dmesg -T`: `[Sun Nov 22 13:41:46 2026] `, and its other ways of telling the time.
    Clock,
    /// `dmesg -x`: `kern  :warn  : [   12.345678] `.
    Decoded,
    /// `journalctl` in its short forms, and syslog's files: `Nov 22 13:41:46 host kernel: `.
    Journal,
}

/// So much of a log is looked at to see its form.
pub const SAMPLE: usize = 16 << 10;

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?x)^(?:<[0-9]+>)?(?:
            \[[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ +[0-9]+\ [0-9:]{8}\ [0-9]{4}\]                # -T
            | [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[,.][0-9]+(?:Z|[+-][0-9:]{5})            # iso
            | \[[A-Z][a-z]{2}[0-9\ ][0-9]\ [0-9]{2}:[0-9]{2}\] | \[\ *[+-][0-9]+\.[0-9]+\] # -H
            | \[(?:\ *[0-9]+\.[0-9]+\ )?<\ *[0-9]+\.[0-9]+>\]                               # -d
        )(?:\ ?(?P<caller>\[\ *[CT][0-9]+\]))?\ ",
    )
});
static DECODED: LazyLock<Regex> =
    LazyLock::new(|| compile(r"^(?:kern|user|daemon|syslog) *:[a-z]+ *: (?:\[)"));
/// With others' lines, which a journal has between the kernel's.
static JOURNAL: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?x)^(?:
            (?:
                [A-Z][a-z]{2}\ +[0-9]+\ [0-9:.]{8,15}                       # short, short-precise
                | [A-Z][a-z]{2}\ [0-9-]{10}\ [0-9:.]{8,15}\ [A-Z0-9+-]{1,6} # short-full
                | [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]{4,5})  # short-iso, rsyslog
                | [0-9]{10}\.[0-9]{6}                                       # short-unix
            )(?:\ [^\ :]{1,64})?\ [a-zA-Z0-9_.()@/-]{1,64}(?:\[[0-9]+\])?
            | \[\ *[0-9]+\.[0-9]+\]\ [^\ ]{1,64}\ kernel                   # short-monotonic
        ):\ ",
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
            let votes = votes.iter_mut();
            for (vote, regex) in votes.zip([&*JOURNAL, &*CLOCK, &*DECODED]) {
                *vote += usize::from(regex.is_match(line));
            }
        }
        // What begins a line of the journal may itself be a clock.
        [Form::Journal, Form::Clock, Form::Decoded]
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
        match self.form.take_off(&self.partial) {
            None => out.extend_from_slice(&self.partial),
            Some((caller, message)) => {
                // The message may have kept its own time stamp.
                let is_stamped = message.starts_with(b"[") && !Line::read(message).prefix.is_none();
                if !is_stamped {
                    out.extend_from_slice(b"[    0.000000]");
                    out.extend_from_slice(caller);
                    out.push(b' ');
                }
                out.extend_from_slice(message);
            }
        }
        self.partial.clear();
    }
}

impl Form {
    /// Takes off what the form puts before a message of the kernel; the caller is kept.
    fn take_off(self, line: &[u8]) -> Option<(&[u8], &[u8])> {
        const NOBODY: &[u8] = b"";
        match self {
            Form::Console => None,
            Form::Clock => {
                let found = CLOCK.captures(line)?;
                let caller = found.name("caller").map_or(NOBODY, |caller| &line[caller.range()]);
                Some((caller, &line[found.get_match().end()..]))
            }
            Form::Journal => {
                let (prefix, message) = line.split_at(JOURNAL.find(line)?.end());
                prefix.ends_with(b" kernel: ").then_some((NOBODY, message))
            }
            Form::Decoded => {
                // The bracket stays.
                let message = &line[DECODED.find(line)?.end() - 1..];
                // `dmesg -xT` has both.
                Form::Clock.take_off(message).or(Some((NOBODY, message)))
            }
        }
    }
}

/// Puts the parts of a pstore dump into the order in which they were printed.
///
/// `fs/pstore` numbers the parts of a dump from the newest to the oldest, and begins each with a
/// line such as `Panic#2 Part1`, which says that this is the second dump. A log without such
/// lines is given back as it is.
pub fn pstore_in_order(log: Vec<u8>) -> Vec<u8> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        compile(r"(?m)^(?:Panic|Oops|Emergency|Restart|Shutdown)#([0-9]+) Part([0-9]+)\r?$")
    });
    let mut starts: Vec<((u32, u32), usize)> = PART
        .captures_iter(&log)
        .filter_map(|found| {
            let number = |at| std::str::from_utf8(&found[at]).ok()?.parse().ok();
            Some(((number(1)?, number(2)?), found.get_match().start()))
        })
        .collect();
    if starts.len() < 2 || starts[0].1 != 0 || starts.len() > 1000 {
        return log;
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|s| s.1).chain([log.len()]).collect();
    let mut parts: Vec<((u32, u32), &[u8])> =
        starts.drain(..).zip(ends).map(|((n, from), to)| (n, &log[from..to])).collect();
    parts.sort_by_key(|((dump, part), _)| (*dump, std::cmp::Reverse(*part)));
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
            ("2026-11-22T13:41:46.123456+01:00 ci kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
            ("2026-11-22T13:41:46.123456+01:00 ci kernel: [  1.5] BUG: x\n", "[  1.5] BUG: x\n"),
            ("Nov  2 13:41:46 kernel: BUG: x\n", "[    0.000000] BUG: x\n"),
            ("Nov  2 13:41:46 ci systemd[1]: x\n", "Nov  2 13:41:46 ci systemd[1]: x\n"),
            ("[Sun Nov  2 13:41:46 2026][   T7] BUG: x\n", "[    0.000000][   T7] BUG: x\n"),
            ("[Sun Nov  2 13:41:46 2026] [   C1] BUG: x\n", "[    0.000000][   C1] BUG: x\n"),
            (
                "[Nov22 13:41] BUG: x\n[  +0.000012] y\n",
                "[    0.000000] BUG: x\n[    0.000000] y\n",
            ),
            ("[<    0.000012>] BUG: x\n", "[    0.000000] BUG: x\n"),
            ("[   12.345678 <    0.000012>] BUG: x\n", "[    0.000000] BUG: x\n"),
            ("2026-11-22T13:41:46.1234567Z [  1.5][  T1] BUG: x\n", "[  1.5][  T1] BUG: x\n"),
        ] {
            assert_eq!(unwrap(log), want);
        }
    }

    #[test]
    fn consoles_stay_as_they_are() {
        let chatty = "[   12.345678] zswap: x\n[   12.345678] zram: kernel: y\n";
        for log in ["[   12.345678] BUG: x\nfoo", "", "<4>[   12.345678][  T1] x\n", "\n\n", chatty]
        {
            assert_eq!(Form::of(log.as_bytes()), Form::Console, "{log:?}");
            assert_eq!(unwrap(log), log);
        }
    }

    #[test]
    fn a_journal_with_others_lines_in_it_is_one() {
        let others = "Nov 22 13:41:46 ci systemd[1]: Started a thing.\n".repeat(20);
        let log = format!("{others}Nov 22 13:41:46 ci kernel: BUG: x\n");
        assert_eq!(unwrap(&log), format!("{others}[    0.000000] BUG: x\n"));
    }

    #[test]
    fn newest_pstore_part_goes_last() {
        let log = b"Panic#1 Part1\nc\nPanic#1 Part2\nb\nPanic#1 Part3\na\n".to_vec();
        assert_eq!(pstore_in_order(log), b"Panic#1 Part3\na\nPanic#1 Part2\nb\nPanic#1 Part1\nc\n");
        assert_eq!(pstore_in_order(b"x\n".to_vec()), b"x\n");
        let two =
            b"Panic#2 Part1\nd\nPanic#2 Part2\nc\nOops#1 Part1\nb\nOops#1 Part2\na\n".to_vec();
        let order = b"Oops#1 Part2\na\nOops#1 Part1\nb\nPanic#2 Part2\nc\nPanic#2 Part1\nd\n";
        assert_eq!(pstore_in_order(two), order);
    }
}
