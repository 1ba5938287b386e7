// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streaming reader: bytes in, findings out.
//!
//! Clean stretches are only searched for the words that a report or a note can begin
//! with. While a report is open every line is looked at and handed to the reports that
//! it belongs to. All state is bounded: a line, a few reports' text, a little history.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::analyse::{self, CompiledDetector};
use super::detectors::{FOLLOW_UPS, INTRUSIONS};
use super::facts::{FactReader, Facts};
use super::line::{Context, Line};
use super::notes::{self, Note};
use super::open::{Marks, Open};
use super::prefilter::PREFILTER;
use super::report;
use super::words::Words;
use crate::finding::Finding;

/// Longest line that is looked at; what is beyond it is dropped.
pub const MAX_LINE: usize = 8 << 10;
/// Bytes before a report in which its context is looked for.
const HISTORY: usize = 8 << 10;
/// Bytes that are worked on in one go.
const BLOCK: usize = 64 << 10;
/// Room that most reports' text fits in.
const USUAL_TEXT: usize = 8 << 10;
/// Room that most reports' lines fit in.
const USUAL_LINES: usize = 128;
/// Reports that are open at a time; one more closes the oldest.
const MAX_OPEN: usize = 12;
/// A panic or oops this many lines after a report still belongs to it.
const AFTERMATH: u64 = 300;

/// What the kernel puts before a line that it prints a second time.
static REPLAY: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"** replaying previous printk message **"));
/// With panic_on_warn a report's stack is printed once more, and printing an oops provokes
/// lockdep.
static REPEAT: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&[
        "Kernel panic - not syncing",
        "WARNING: possible circular locking dependency detected",
    ])
});
static FOLLOW_UP: LazyLock<Words> = LazyLock::new(|| Words::new(FOLLOW_UPS));
static INTRUSION: LazyLock<Words> = LazyLock::new(|| Words::new(INTRUSIONS));

/// How a console is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lines that match one of these begin no report.
    pub ignore: Option<regex::bytes::RegexSet>,
}

/// What the reader saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A kernel bug report, complete as far as the console has it.
    Report(Box<Finding>),
    /// Something worth counting that is no bug report.
    Note(Note),
}

/// How much went through a reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes pushed.
    pub bytes: u64,
    /// Line ends pushed.
    pub lines: u64,
    /// Reports begun.
    pub reports: u64,
}

/// Reads one console from its beginning.
///
/// The same bytes give the same findings however they are cut into chunks, as long as
/// [`Reader::idle`] is not called.
///
/// ```
/// use reports::console::{Options, Reader, Seen};
///
/// let mut reader = Reader::new(Options::default());
/// let mut seen = reader.push(b"[    1.0] BUG: Bad rss-counter state mm:1 idx:0 val:15\n");
/// seen.extend(reader.finish());
/// let [Seen::Report(finding)] = &seen[..] else { panic!("{seen:?}") };
/// assert_eq!(finding.title, "BUG: Bad rss-counter state");
/// ```
pub struct Reader {
    options: Options,
    /// The unfinished last line, cut to [`MAX_LINE`].
    partial: Vec<u8>,
    /// Where `partial` began in the stream.
    partial_at: u64,
    /// The block without carriage returns.
    plain: Vec<u8>,
    /// What came before the block that is worked on.
    history: Vec<u8>,
    open: Vec<Open>,
    /// The previous line opened the youngest report; a replay notice takes that back.
    just_opened: bool,
    /// Line number after the last report closed, for follow-ups.
    last_report: Option<u64>,
    stats: Stats,
    facts: FactReader,
    out: Vec<Seen>,
}

impl Reader {
    /// A reader at the beginning of a console.
    pub fn new(options: Options) -> Self {
        Reader {
            options,
            partial: Vec::new(),
            partial_at: 0,
            plain: Vec::new(),
            history: Vec::new(),
            open: Vec::new(),
            just_opened: false,
            last_report: None,
            stats: Stats::default(),
            facts: FactReader::default(),
            out: Vec::new(),
        }
    }

    /// Takes the next bytes of the console and returns what they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Seen> {
        for block in bytes.chunks(BLOCK) {
            self.block(block);
            self.stats.bytes += block.len() as u64;
        }
        std::mem::take(&mut self.out)
    }

    /// The console has been quiet for a while: what is open is as complete as it will be.
    pub fn idle(&mut self) -> Vec<Seen> {
        self.close_all();
        std::mem::take(&mut self.out)
    }

    /// The console has ended.
    pub fn finish(&mut self) -> Vec<Seen> {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            let at = self.partial_at;
            self.stats.lines += 1;
            let hit = PREFILTER.find(&line).is_some();
            self.line(&line, hit, at, &[], 0);
            self.stats.lines -= 1;
        }
        self.close_all();
        std::mem::take(&mut self.out)
    }

    /// How much has been read.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What is known about the log as a whole so far.
    pub fn facts(&self) -> Facts {
        self.facts.facts()
    }

    /// True while a report has begun whose end has not been seen.
    pub fn has_open_report(&self) -> bool {
        !self.open.is_empty()
    }

    fn block(&mut self, block: &[u8]) {
        let mut offsets = Offsets { raw: &[], base: self.stats.bytes, raw_at: 0, plain_at: 0 };
        if memchr::memchr(b'\r', block).is_none() {
            self.plain_block(block, &mut offsets);
            return;
        }
        offsets.raw = block;
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let mut from = 0;
        for at in memchr::memchr_iter(b'\r', block) {
            plain.extend_from_slice(&block[from..at]);
            from = at + 1;
        }
        plain.extend_from_slice(&block[from..]);
        self.plain_block(&plain, &mut offsets);
        self.plain = plain;
    }

    fn plain_block(&mut self, block: &[u8], offsets: &mut Offsets<'_>) {
        let mut from = 0;
        if !self.partial.is_empty() {
            let Some(end) = memchr::memchr(b'\n', block) else {
                self.extend_partial(block);
                return;
            };
            self.extend_partial(&block[..end]);
            let line = std::mem::take(&mut self.partial);
            self.stats.lines += 1;
            let hit = PREFILTER.find(&line).is_some();
            self.line(&line, hit, self.partial_at, &[], 0);
            self.remember(&line);
            self.remember(b"\n");
            self.partial = line;
            self.partial.clear();
            from = end + 1;
        }
        let whole = memchr::memrchr(b'\n', &block[from..]).map_or(from, |at| from + at + 1);
        self.lines(&block[from..whole], from, offsets);
        self.remember(&block[from..whole]);
        if whole < block.len() {
            self.partial_at = offsets.raw(whole);
            self.extend_partial(&block[whole..]);
        }
    }

    fn extend_partial(&mut self, more: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&more[..more.len().min(room)]);
    }

    fn remember(&mut self, bytes: &[u8]) {
        let keep = &bytes[bytes.len().saturating_sub(HISTORY)..];
        if self.history.len() + keep.len() > 2 * HISTORY {
            let drop = self.history.len().saturating_sub(HISTORY - keep.len().min(HISTORY));
            self.history.drain(..drop);
        }
        self.history.extend_from_slice(keep);
    }

    /// Works through whole lines; `base` is where they begin in the block.
    fn lines(&mut self, lines: &[u8], base: usize, offsets: &mut Offsets<'_>) {
        let mut at = 0;
        let mut hit = 0;
        while at < lines.len() {
            if hit <= at {
                hit = PREFILTER.find(&lines[at..]).map_or(usize::MAX, |found| at + found);
            }
            if self.open.is_empty() && !self.just_opened {
                if hit == usize::MAX {
                    break;
                }
                let start = memchr::memrchr(b'\n', &lines[at..hit]).map_or(at, |nl| at + nl + 1);
                self.stats.lines += count_lines(&lines[at..start]);
                at = start;
            }
            let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |nl| at + nl);
            self.stats.lines += 1;
            let line = &lines[at..end];
            // A word that is beyond the longest line, or cut by its end, counts for nothing.
            let cut = line.len() > MAX_LINE;
            let line = &line[..line.len().min(MAX_LINE)];
            let is_hit = hit < end && (!cut || PREFILTER.find(line).is_some());
            if is_hit || !self.open.is_empty() || self.just_opened {
                self.line(line, is_hit, offsets.raw(base + at), lines, at);
            }
            at = end + 1;
        }
        if at < lines.len() {
            self.stats.lines += count_lines(&lines[at..]);
        }
    }

    /// Looks at one line. `lines[..before]` came just before it, behind the history.
    fn line(&mut self, line: &[u8], hit: bool, offset: u64, lines: &[u8], before: usize) {
        if std::mem::take(&mut self.just_opened) && REPLAY.find(line).is_some() {
            self.open.pop();
        }
        if !hit && self.open.is_empty() {
            return;
        }
        let read = Line::read(line);
        let detector = if hit { self.detect(line) } else { None };
        if hit {
            self.facts.read(line);
            if detector.is_none()
                && let Some(note) = notes::read(read.text, offset)
            {
                self.out.push(Seen::Note(note));
            }
        }
        let follow_up = detector.is_some() && FOLLOW_UP.are_in(line);
        let ends_title = hit && (detector.is_some() && !follow_up || INTRUSION.are_in(line));
        let marks = Marks {
            ends_title,
            noise: starts_with(read.text, b"Disabling lock debugging due to kernel taint"),
            all_cpus: starts_with(read.text, b"Sending NMI from CPU"),
            repeats: hit && REPEAT.are_in(line),
        };
        let mut any_done = false;
        for open in &mut self.open {
            any_done |= open.feed(&read, &marks);
        }
        if let Some(detector) = detector {
            if follow_up && has_cause(line) && self.is_aftermath() {
                let head = report::printable(read.text, 256);
                if let Some(open) = self.open.last_mut()
                    && open.follow_ups.len() < 8
                {
                    open.follow_ups.push(head);
                }
            } else {
                self.begin(detector, &read, line, offset, lines, before);
            }
        }
        if any_done {
            self.close_done();
        }
    }

    fn detect(&self, line: &[u8]) -> Option<&'static CompiledDetector> {
        let detector = analyse::detect(line)?;
        match &self.options.ignore {
            Some(ignore) if ignore.is_match(line) => None,
            _ => Some(detector),
        }
    }

    fn is_aftermath(&self) -> bool {
        !self.open.is_empty()
            || self.last_report.is_some_and(|line| self.stats.lines - line <= AFTERMATH)
    }

    fn begin(
        &mut self,
        detector: &'static CompiledDetector,
        read: &Line<'_>,
        line: &[u8],
        offset: u64,
        lines: &[u8],
        before: usize,
    ) {
        if self.open.len() >= MAX_OPEN {
            let oldest = self.open.remove(0);
            self.close(oldest);
        }
        let context = read.prefix.to_context();
        let mut text = Vec::with_capacity(USUAL_TEXT);
        self.prelude(&context, &lines[..before], &mut text);
        let mut open = Open {
            detector,
            context,
            offset,
            line: self.stats.lines,
            own: text.len(),
            text,
            ends: Vec::with_capacity(USUAL_LINES),
            titled: None,
            kept: 0,
            lines: 0,
            kmsan: detector.is_kmsan(line),
            all_cpus: false,
            follow_ups: Vec::new(),
            done: false,
        };
        open.keep(read.text);
        self.open.push(open);
        self.just_opened = true;
        self.stats.reports += 1;
    }

    /// Lines of the same context just before a report: they tell what led to it.
    fn prelude(&self, context: &Context, lines: &[u8], text: &mut Vec<u8>) {
        let most = if context.is_task() { 50 } else { 5 };
        let near = &lines[lines.len().saturating_sub(HISTORY)..];
        let far = &self.history[self.history.len().saturating_sub(HISTORY - near.len())..];
        let mut kept: Vec<&[u8]> = Vec::with_capacity(most);
        for bytes in [near, far] {
            let mut rest = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            // Most lines are others', and are passed over where there is a caller to look for.
            let mut callers = match context {
                Context::Caller(text) => Some(memmem::find_iter(rest, text).collect::<Vec<_>>()),
                Context::Bare | Context::Console => None,
            };
            while !rest.is_empty() && kept.len() < most {
                if let Some(callers) = &mut callers {
                    let Some(at) = callers.pop() else { break };
                    // One line may hold it twice.
                    let Some(after) = rest.get(at..) else { continue };
                    rest = &rest[..memchr::memchr(b'\n', after).map_or(rest.len(), |nl| at + nl)];
                }
                let start = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
                let line = &rest[start..];
                rest = &rest[..start.saturating_sub(1)];
                let read = Line::read(&line[..line.len().min(MAX_LINE)]);
                if read.prefix.matches(context) && !read.text.is_empty() && !read.unreliable {
                    kept.push(read.text);
                }
            }
        }
        for line in kept.into_iter().rev() {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }

    fn close_done(&mut self) {
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].done {
                let open = self.open.remove(at);
                self.close(open);
            } else {
                at += 1;
            }
        }
    }

    fn close_all(&mut self) {
        self.just_opened = false;
        for open in std::mem::take(&mut self.open) {
            self.close(open);
        }
    }

    fn close(&mut self, open: Open) {
        self.last_report = Some(self.stats.lines);
        self.out.push(Seen::Report(Box::new(report::assemble(open))));
    }
}

/// False for panics that are news of their own wherever they come; their last line is none.
fn has_cause(line: &[u8]) -> bool {
    static CAUSES: LazyLock<Words> =
        LazyLock::new(|| Words::new(&["Out of memory", "unregister_netdevice"]));
    static END: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(b"---[ end Kernel panic - not syncing"));
    !CAUSES.are_in(line) || END.find(line).is_some()
}

/// As the method, but quick to see that not even the first byte is right.
fn starts_with(line: &[u8], what: &[u8]) -> bool {
    line.first() == what.first() && line.starts_with(what)
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Maps places in a block without carriage returns to places in the stream.
struct Offsets<'a> {
    /// The block as it came; empty if it has no carriage returns.
    raw: &'a [u8],
    base: u64,
    raw_at: usize,
    plain_at: usize,
}

impl Offsets<'_> {
    /// Places have to be asked for in rising order. Carriage returns at a place belong to
    /// what is before it, as they would if the block ended there.
    fn raw(&mut self, plain: usize) -> u64 {
        if self.raw.is_empty() {
            return self.base + plain as u64;
        }
        loop {
            let rest = &self.raw[self.raw_at..];
            self.raw_at += rest.iter().take_while(|&&b| b == b'\r').count();
            let rest = &self.raw[self.raw_at..];
            let rest = &rest[..rest.len().min(plain.saturating_sub(self.plain_at))];
            if rest.is_empty() {
                break;
            }
            let run = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
            self.plain_at += run;
            self.raw_at += run;
        }
        self.base + self.raw_at as u64
    }
}
