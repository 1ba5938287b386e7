// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streaming reader: bytes in, findings out.
//!
//! Clean stretches are only searched for the words that a report or a note can begin
//! with. While a report is open every line is looked at and handed to the reports that
//! it belongs to. All state is bounded: a line, a few reports' text, a little history.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::analyse::{self, CompiledDetector};
use super::decode::Decoder;
use super::detectors::{FOLLOW_UPS, INTRUSIONS};
use super::escaped::escaped;
use super::facts::{FactReader, Facts};
use super::head::{self, Plain};
use super::headless::{self, Beginning};
use super::line::{Context, Line, Prefix};
use super::notes::{Note, NoteReader};
use super::open::{Doubt, Marks, Open};
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
/// Lines in which a kernel's is looked for.
const MOST_SOUGHT: u32 = 10_000;
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
    /// A report that has ended is held back until the next one begins, so that a panic that
    /// follows on it is among its follow-ups. Without this a report is told at once, and the
    /// panic is only in the [`Facts`].
    pub await_panic: bool,
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
    decoder: Decoder,
    /// Bytes decoded before the block that is worked on.
    at: u64,
    /// Room for a line without colours.
    room: Vec<u8>,
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
    /// Line in which the first report began.
    first_report: Option<u64>,
    /// Line number after the last report closed, for follow-ups.
    last_report: Option<u64>,
    /// The report that closed last, if what follows on it is awaited.
    held: Option<Box<Finding>>,
    /// A line of the kernel was seen.
    kernel_seen: bool,
    /// Lines in which it was looked for.
    kernel_sought: u32,
    /// Where in the console without carriage returns the history was last searched for stamps,
    /// and the last stamp that was found.
    stamps: (u64, Option<u64>),
    /// Bytes without carriage returns before the block.
    plain_at: u64,
    /// Line of the last trace without a head.
    headless: Option<u64>,
    /// Whether the console begins within one.
    beginning: Beginning,
    notes: NoteReader,
    /// Bytes that were looked at one by one, as often as they were.
    work: u64,
    stats: Stats,
    facts: FactReader,
    out: Vec<Seen>,
}

impl Reader {
    /// A reader at the beginning of a console.
    pub fn new(options: Options) -> Self {
        Reader {
            options,
            decoder: Decoder::default(),
            at: 0,
            room: Vec::new(),
            partial: Vec::new(),
            partial_at: 0,
            plain: Vec::new(),
            history: Vec::new(),
            open: Vec::new(),
            just_opened: false,
            first_report: None,
            last_report: None,
            held: None,
            kernel_seen: false,
            kernel_sought: 0,
            stamps: (0, None),
            plain_at: 0,
            headless: None,
            beginning: Beginning::default(),
            notes: NoteReader::default(),
            work: 0,
            stats: Stats::default(),
            facts: FactReader::default(),
            out: Vec::new(),
        }
    }

    /// Takes the next bytes of the console and returns what they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut decoder = std::mem::take(&mut self.decoder);
        for chunk in bytes.chunks(BLOCK) {
            for block in decoder.decode(chunk) {
                self.blocks(block);
            }
            self.stats.bytes += chunk.len() as u64;
        }
        self.decoder = decoder;
        std::mem::take(&mut self.out)
    }

    fn blocks(&mut self, decoded: &[u8]) {
        for block in decoded.chunks(BLOCK) {
            self.block(block);
            self.at += block.len() as u64;
        }
    }

    /// The console has been quiet for a while: what is open is as complete as it will be.
    pub fn idle(&mut self) -> Vec<Seen> {
        self.close_all();
        std::mem::take(&mut self.out)
    }

    /// The console has ended.
    pub fn finish(&mut self) -> Vec<Seen> {
        let mut decoder = std::mem::take(&mut self.decoder);
        self.blocks(decoder.finish());
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            let at = self.partial_at;
            self.stats.lines += 1;
            let hit = PREFILTER.find(&line).is_some();
            self.look_at_first(&line);
            self.line(&line, hit, at, Before { lines: &[], at: self.plain_at });
            self.stats.lines -= 1;
        }
        self.close_all();
        std::mem::take(&mut self.out)
    }

    /// False if no line of the first thousands, and none that was looked at since, is one of a
    /// kernel: neither its stamp nor what it prints at boot and in reports.
    pub fn has_kernel_lines(&self) -> bool {
        self.kernel_seen
    }

    /// How much has been read.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes that were looked at one by one, as often as they were: what hostile consoles are to
    /// keep small.
    #[doc(hidden)]
    pub fn work(&self) -> u64 {
        self.work
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
        let mut offsets = Offsets { raw: &[], base: self.at, raw_at: 0, plain_at: 0 };
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
            self.look_at_first(&line);
            self.line(&line, hit, self.partial_at, Before { lines: &[], at: self.plain_at });
            self.remember(&line);
            self.remember(b"\n");
            self.plain_at += line.len() as u64 + 1;
            self.partial = line;
            self.partial.clear();
            from = end + 1;
        }
        let whole = memchr::memrchr(b'\n', &block[from..]).map_or(from, |at| from + at + 1);
        self.lines(&block[from..whole], from, offsets);
        self.remember(&block[from..whole]);
        self.plain_at += (whole - from) as u64;
        if whole < block.len() {
            self.partial_at = offsets.raw(whole);
            self.extend_partial(&block[whole..]);
        }
    }

    /// Looks at the first lines: for one of a kernel, and for frames of a trace.
    fn look_at_first(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        for line in lines.strip_suffix(b"\n").unwrap_or(lines).split(|&b| b == b'\n') {
            let seeks_kernel = !self.kernel_seen && self.kernel_sought < MOST_SOUGHT;
            if !seeks_kernel && !self.beginning.is_open() {
                return;
            }
            let line = head::plain(&line[..line.len().min(MAX_LINE)], &mut self.room);
            let read = Line::read(line.text);
            if seeks_kernel {
                self.kernel_sought += 1;
                self.kernel_seen = headless::is_kernels(&read);
            }
            if self.beginning.is_open() {
                self.beginning.read(&read);
            }
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
        self.look_at_first(lines);
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
                let before = Before { lines: &lines[..at], at: self.plain_at + at as u64 };
                self.line(line, is_hit, offsets.raw(base + at), before);
            }
            at = end + 1;
        }
        if at < lines.len() {
            self.stats.lines += count_lines(&lines[at..]);
        }
    }

    /// Looks at one line.
    fn line(&mut self, line: &[u8], hit: bool, offset: u64, before: Before<'_>) {
        if std::mem::take(&mut self.just_opened) && REPLAY.find(line).is_some() {
            self.open.pop();
        }
        if !hit && self.open.is_empty() {
            return;
        }
        let mut room = std::mem::take(&mut self.room);
        self.plain_line(line.len(), &head::plain(line, &mut room), hit, offset, before);
        self.room = room;
    }

    /// The same without colours; `length` is that of the line as it came.
    fn plain_line(
        &mut self,
        length: usize,
        plain: &Plain<'_>,
        hit: bool,
        offset: u64,
        before: Before<'_>,
    ) {
        let line = plain.text;
        self.work += (line.len() * (1 + self.open.len())) as u64;
        let read = Line::read(line);
        // A journal says that this is a program's: nothing of the kernel's is in it.
        let hit = hit && read.prefix != Prefix::Program;
        let mut detector = if hit { self.detect(&read) } else { None };
        if detector.is_some() && self.open.iter().any(|open| open.is_about(read.message)) {
            detector = None;
        }
        if hit {
            self.facts.read(line);
            if detector.is_none() {
                let lines = self.stats.lines;
                self.notes.read(read.text, offset, lines, &mut self.out);
                self.seek_head(&read, offset, &before);
            }
        }
        if detector.is_some() && self.open.last().is_some_and(|open| open.is_doubled_by(read.text))
        {
            self.open.pop();
            self.stats.reports -= 1;
        }
        let follow_up = detector.is_some() && FOLLOW_UP.are_in(line);
        let ends_title = hit && (detector.is_some() && !follow_up || INTRUSION.are_in(line));
        let follows = follow_up && has_cause(line) && self.is_aftermath();
        let marks = Marks {
            ends_title,
            begins: detector.is_some() && !follows,
            length,
            goes_on: plain.goes_on,
            noise: starts_with(read.text, b"Disabling lock debugging due to kernel taint"),
            all_cpus: starts_with(read.text, b"Sending NMI from CPU"),
            repeats: hit && REPEAT.are_in(line),
        };
        let mut any_done = false;
        for open in &mut self.open {
            any_done |= open.feed(&read, &marks);
        }
        if let Some(detector) = detector {
            if follows {
                let first = escaped(read.text, 256);
                let follow_ups = match self.open.last_mut() {
                    Some(open) => Some(&mut open.follow_ups),
                    None => self.held.as_mut().map(|held| &mut held.follow_ups),
                };
                if let Some(follow_ups) = follow_ups.filter(|all| all.len() < 8) {
                    follow_ups.push(first);
                }
            } else {
                self.begin(detector, &read, line, offset, before, &marks);
            }
        }
        if any_done {
            self.close_done();
        }
    }

    /// Notes a trace whose first lines are lost.
    fn seek_head(&mut self, read: &Line<'_>, offset: u64, before: &Before<'_>) {
        const APART: u64 = 50;
        let lines = self.stats.lines;
        if !headless::is_trace(read.text)
            || self.is_aftermath()
            || self.headless.is_some_and(|last| lines - last <= APART)
        {
            return;
        }
        self.headless = Some(lines);
        let mut text = Vec::new();
        let most = 40;
        self.prelude(&read.prefix.to_context(), before.lines, most, &mut text);
        if let Some(line) = headless::pointer(&text) {
            let line = escaped(line, 256);
            self.out.push(Seen::Note(Note::of_headless(line, offset)));
        }
    }

    fn detect(&self, read: &Line<'_>) -> Option<&'static CompiledDetector> {
        let detector = analyse::detect(read.message)?;
        if head::is_programs(read.message) && detector.is_anybodys() {
            return None;
        }
        // A boot's first line comes before there is a clock.
        if detector.is_boot() && !read.prefix.is_none() {
            return None;
        }
        match &self.options.ignore {
            Some(ignore) if ignore.is_match(read.message) => None,
            _ => Some(detector),
        }
    }

    /// Why a first line without a stamp may be no kernel's.
    fn doubt(
        &mut self,
        detector: &CompiledDetector,
        read: &Line<'_>,
        before: &Before<'_>,
    ) -> Doubt {
        if !read.prefix.is_none() {
            return Doubt::default();
        }
        let in_sentence = !detector.begins(read.message);
        let is_certain = detector.is_no_others() && !in_sentence;
        Doubt { in_sentence, unlike_others: !is_certain && self.stamped_before(before), is_certain }
    }

    /// True if one of the lines just before has the kernel's stamp.
    fn stamped_before(&mut self, before: &Before<'_>) -> bool {
        let window = before.at.saturating_sub(HISTORY as u64);
        let (searched, found) = self.stamps;
        if found.is_none_or(|found| found < window) {
            let near = &before.lines[before.lines.len().saturating_sub(HISTORY)..];
            let far = &self.history[self.history.len().saturating_sub(HISTORY - near.len())..];
            let new = before.at - searched.max(window).min(before.at);
            let mut left = usize::try_from(new).unwrap_or(HISTORY);
            'search: for (bytes, behind) in [(near, 0), (far, near.len())] {
                let mut end = before.at - behind as u64;
                for line in bytes.rsplit(|&b| b == b'\n') {
                    if left == 0 {
                        break 'search;
                    }
                    if Line::read(&line[..line.len().min(MAX_LINE)]).prefix.is_kernels() {
                        self.stamps.1 = Some(end);
                        break 'search;
                    }
                    self.work += line.len() as u64 + 1;
                    left = left.saturating_sub(line.len() + 1);
                    end = end.saturating_sub(line.len() as u64 + 1);
                }
            }
            self.stamps.0 = before.at;
        }
        self.stamps.1.is_some_and(|found| found >= window)
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
        before: Before<'_>,
        marks: &Marks,
    ) {
        if self.open.len() >= MAX_OPEN {
            let oldest = self.open.remove(0);
            self.close(oldest);
        }
        let context = read.prefix.to_context();
        let mut text = Vec::with_capacity(USUAL_TEXT);
        let most = if context.is_task() { 50 } else { 5 };
        self.prelude(&context, before.lines, most, &mut text);
        let doubt = self.doubt(detector, read, &before);
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
            next: None,
            doubt,
            longest: marks.length,
            wrapped: Vec::new(),
            last: Some((marks.length, marks.goes_on)),
        };
        open.keep(read.text);
        self.open.push(open);
        self.just_opened = true;
        self.stats.reports += 1;
    }

    /// Lines of the same context just before a report: they tell what led to it.
    fn prelude(&mut self, context: &Context, lines: &[u8], most: usize, text: &mut Vec<u8>) {
        let near = &lines[lines.len().saturating_sub(HISTORY)..];
        let far = &self.history[self.history.len().saturating_sub(HISTORY - near.len())..];
        let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(most);
        let mut room = Vec::new();
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
                self.work += line.len() as u64 + 1;
                rest = &rest[..start.saturating_sub(1)];
                let line = &line[..line.len().min(MAX_LINE)];
                let is_coloured = memchr::memchr(0x1b, line).is_some();
                let plain = if is_coloured { head::plain(line, &mut room).text } else { line };
                let read = Line::read(plain);
                if read.prefix.matches(context) && !read.text.is_empty() && !read.unreliable {
                    kept.push(match is_coloured {
                        true => Cow::Owned(read.text.to_vec()),
                        // What has no colours is borrowed from where it lies.
                        false => Cow::Borrowed(Line::read(line).text),
                    });
                }
            }
        }
        for line in kept.into_iter().rev() {
            text.extend_from_slice(&line);
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
        self.release();
        self.notes.finish(&mut self.out);
        self.out.extend(self.beginning.take(self.first_report).map(Seen::Note));
    }

    fn close(&mut self, mut open: Open) {
        open.unwrap();
        open.take_off_heads();
        if open.is_hearsay() {
            return;
        }
        self.release();
        self.work += open.text.len() as u64;
        self.first_report = Some(self.first_report.map_or(open.line, |at| at.min(open.line)));
        self.last_report = Some(self.stats.lines);
        self.kernel_seen = true;
        let finding = Box::new(report::assemble(open));
        if self.options.await_panic {
            self.held = Some(finding);
        } else {
            self.out.push(Seen::Report(finding));
        }
    }

    /// Tells the report that was held back.
    fn release(&mut self) {
        self.out.extend(self.held.take().map(Seen::Report));
    }
}

/// False for panics that are news of their own wherever they come; their last line is none.
fn has_cause(line: &[u8]) -> bool {
    static PANIC: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(b"Kernel panic - not syncing"));
    static NETDEVICE: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(b"unregister_netdevice"));
    static CAUSES: LazyLock<Words> = LazyLock::new(|| Words::new(PANICS_THAT_FOLLOW));
    let Some(at) = PANIC.find(line) else { return NETDEVICE.find(line).is_none() };
    let message = &line[at + PANIC.needle().len()..];
    line[..at].ends_with(b"end ") || message.trim_ascii() == b"" || CAUSES.are_in(message)
}

/// What `panic()` says where an oops, a warning or a hang made it: `make_task_dead()`,
/// `oops_end()`, `check_panic_on_warn()`, the watchdogs, `panic_on_rcu_stall()` and the
/// architectures' words for the same.
const PANICS_THAT_FOLLOW: &[&str] = &[
    "Fatal exception",
    "panic_on",
    " set ...",
    "hung_task: blocked tasks",
    "softlockup: hung tasks",
    "hard LOCKUP",
    "Hard LOCKUP",
    "RCU Stall",
    "Attempted to kill ",
    "Aiee, killing interrupt handler",
    "BUG!",
    "Oops",
    "Machine halted",
];

/// What came just before a line, behind the history.
struct Before<'a> {
    lines: &'a [u8],
    /// Bytes of the console before the line, carriage returns left out.
    at: u64,
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
