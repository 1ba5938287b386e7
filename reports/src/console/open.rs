// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report whose end has not been seen yet: which lines are its own, and where it ends.

use super::analyse::CompiledDetector;
use super::line::{Context, Line};

/// Longest text of one report.
const MAX_TEXT: usize = 64 << 10;
/// A report without an end of its own ends this many lines after its first.
const MAX_LINES: u32 = 1500;
/// Lines after which a report has had its stack, so that another one may end it.
const LONG: u32 = 40;
/// Length of the line that `slab_bug()` rules off with. Before v4.9 KASAN had it describe the
/// object in the middle of a report.
const SLUB_RULE: usize = 77;

/// A report whose end has not been seen yet.
pub(super) struct Open {
    pub(super) detector: &'static CompiledDetector,
    pub(super) context: Context,
    pub(super) offset: u64,
    pub(super) line: u64,
    /// Lines that led to the report, then its own.
    pub(super) text: Vec<u8>,
    /// Where its own lines begin in the text.
    pub(super) own: usize,
    /// Where each of its own lines ends, counted from `own`.
    pub(super) ends: Vec<u32>,
    /// Length of its own text that the title may use, once that is known to end.
    pub(super) titled: Option<usize>,
    pub(super) kept: u32,
    pub(super) lines: u32,
    pub(super) kmsan: bool,
    pub(super) all_cpus: bool,
    pub(super) follow_ups: Vec<String>,
    pub(super) done: bool,
}

impl Open {
    /// The text of the report's own lines.
    pub(super) fn own(&self) -> &[u8] {
        &self.text[self.own..]
    }

    /// The report's own lines without their ends, and where in its text they begin.
    pub(super) fn own_lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let own = self.own();
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&end| end as usize + 1));
        starts.zip(&self.ends).map(|(start, &end)| (start, &own[start..end as usize]))
    }

    pub(super) fn keep(&mut self, text: &[u8]) {
        let end = self.own().len() + text.len();
        if end + 1 > MAX_TEXT {
            self.done = true;
            return;
        }
        self.kept += 1;
        self.text.extend_from_slice(text);
        self.text.push(b'\n');
        self.ends.push(end as u32);
    }

    /// Takes a line if it is the report's; true if the report has ended.
    pub(super) fn feed(&mut self, read: &Line<'_>, marks: &Marks) -> bool {
        self.look_at(read, marks);
        self.done
    }

    fn look_at(&mut self, read: &Line<'_>, marks: &Marks) {
        self.lines += 1;
        if self.lines > MAX_LINES {
            self.done = true;
            return;
        }
        if marks.ends_title && !self.context.has_caller() && self.titled.is_none() {
            self.titled = Some(self.own().len());
        }
        let own = read.prefix.matches(&self.context);
        // Another report begins: a long one has said what it has to say.
        if marks.ends_title && self.kept >= LONG && (own || !self.context.has_caller()) {
            self.done = true;
            return;
        }
        if !(own || self.all_cpus && read.prefix.is_cpu()) {
            return;
        }
        if marks.noise {
            return;
        }
        if marks.all_cpus {
            self.all_cpus = true;
        }
        // With panic_on_warn the same stack is printed once more; and printing an oops
        // provokes lockdep. Both say nothing new about a report that has said enough.
        let enough = if self.kmsan { 16 } else { 22 };
        if marks.repeats && self.kept > enough {
            self.done = true;
            return;
        }
        if !read.unreliable {
            self.keep(read.text);
        }
        if is_tail(self.detector.header(), self.own(), read.text) {
            self.done = true;
        }
    }
}

/// What a line means to the reports that are open.
pub(super) struct Marks {
    /// A title that cannot tell its lines from others' must not use what follows.
    pub(super) ends_title: bool,
    /// Belongs to no report.
    pub(super) noise: bool,
    /// From here on all CPUs' stacks are printed for the report.
    pub(super) all_cpus: bool,
    /// What follows was said before.
    pub(super) repeats: bool,
}

/// True if a line is the last of a report that begins with this header.
fn is_tail(header: &str, text: &[u8], line: &[u8]) -> bool {
    match line.first() {
        Some(b'=') => {
            // Sanitizers rule off their reports above and below.
            line.len() >= 50
                && line.len() != SLUB_RULE
                && line.iter().all(|&b| b == b'=')
                && (header == "UBSAN:" || text.starts_with(b"BUG: K"))
        }
        Some(b'-') => {
            line.starts_with(b"---[ end trace") && header != "INFO:"
                || line.starts_with(b"---[ end Kernel panic")
        }
        Some(b'L') => line.starts_with(b"Linux version "),
        Some(b'R') => line.starts_with(b"Rebooting in "),
        _ => false,
    }
}
