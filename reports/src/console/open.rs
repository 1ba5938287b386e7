// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report whose end has not been seen yet: which lines are its own, and where it ends.

use super::analyse::CompiledDetector;
use super::frames::FrameLine;
use super::line::{Context, Line, digits, trim_blanks};
use super::starts;

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
    /// Length of its own text before the next report began among its lines.
    pub(super) next: Option<usize>,
    /// Why the first line may be no kernel's.
    pub(super) doubt: Doubt,
    /// Length of the longest line as it came, and lines that may go on behind the last one.
    pub(super) longest: usize,
    pub(super) wrapped: Vec<Wrapped>,
    /// The last line was the report's: how long it was as it came, and whether a mail's form says
    /// that it goes on.
    pub(super) last: Option<(usize, bool)>,
}

/// Why a first line without a stamp may be no kernel's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubt {
    /// The word is not where a kernel's line begins.
    pub(super) in_sentence: bool,
    /// The kernel's lines around it have stamps.
    pub(super) unlike_others: bool,
    /// Nobody else says such a thing.
    pub(super) is_certain: bool,
}

/// A line that may go on behind one of the report's.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// Number of that one, from 1.
    line: u32,
    /// The mail's form says so, and there is no blank between them.
    is_certain: bool,
    text: Vec<u8>,
}

/// Lines of a report that may be continued on the next line.
const MAX_WRAPPED: usize = 64;
/// No mail program leaves longer lines than this when it wraps them.
const WRAPPED: usize = 80;
/// A line that was wrapped and the next word do not fit into so much.
const WRAP_FROM: usize = 60;

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

    /// True if lines followed on the first one, and none of them was the report's.
    pub(super) fn is_alone(&self) -> bool {
        const MANY: u32 = 4;
        self.kept == 1 && self.lines >= MANY && self.next.is_none()
    }

    /// Its own text before another report's. Where lines name their callers there is no other's.
    pub(super) fn before_next(&self) -> &[u8] {
        let next = self.next.filter(|_| !self.context.has_caller());
        &self.own()[..next.unwrap_or(self.own().len())]
    }

    /// The lines of this.
    pub(super) fn lines_before_next(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let end = self.before_next().len();
        self.own_lines().take_while(move |(at, _)| *at < end)
    }

    /// True if a symboliser wrote the first line once more for a function that is inlined, and this
    /// is the kernel's own: the two are alike up to that function.
    pub(super) fn is_doubled_by(&self, line: &[u8]) -> bool {
        let first = self.own().trim_ascii_end();
        if self.kept != 1 || !first.ends_with(b"[inline]") {
            return false;
        }
        let Some(at) = memchr::memmem::find(first, b" in ") else { return false };
        line.starts_with(&first[..at + b" in ".len()])
    }

    /// True for a line that would begin a report, but tells more of the slab object that this one
    /// is about.
    pub(super) fn is_about(&self, line: &[u8]) -> bool {
        self.detector.is_slab() && starts::is_of_slab(line)
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
        let last = self.last.take();
        self.look_at(read, marks, last);
        self.done
    }

    fn look_at(&mut self, read: &Line<'_>, marks: &Marks, last: Option<(usize, bool)>) {
        self.lines += 1;
        if self.lines > MAX_LINES {
            self.done = true;
            return;
        }
        // A symboliser may have doubled the first line, for a function that is inlined.
        const ALIKE: usize = 16;
        let is_doubled = || {
            self.kept == 1
                && self.own().get(..ALIKE).is_some_and(|own| read.message.starts_with(own))
        };
        if marks.begins && self.next.is_none() && !is_doubled() {
            self.next = Some(self.own().len());
        }
        if marks.ends_title && !self.context.has_caller() && self.titled.is_none() {
            self.titled = Some(self.own().len());
        }
        self.doubt.unlike_others |= read.prefix.is_kernels();
        let own = read.prefix.matches(&self.context);
        // Another report begins: a long one has said what it has to say.
        if marks.ends_title && self.kept >= LONG && (own || !self.context.has_caller()) {
            self.done = true;
            return;
        }
        if !(own || self.all_cpus && read.prefix.is_cpu()) {
            if read.prefix.is_none()
                && let Some(last) = last
            {
                self.may_go_on(read.message, last, marks);
            }
            return;
        }
        self.longest = self.longest.max(marks.length);
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
            self.last = Some((marks.length, marks.goes_on));
        }
        if is_tail(self.detector, self.own(), read.text) {
            self.done = true;
        }
    }

    /// Remembers a line without a stamp that a mail program may have cut off the last one.
    fn may_go_on(&mut self, line: &[u8], (length, is_certain): (usize, bool), marks: &Marks) {
        let word = line.iter().take_while(|&&b| b != b' ').count();
        self.longest = self.longest.max(marks.length);
        // The end of what somebody quotes is no word of it.
        let is_fence = line.starts_with(b"```") || line.starts_with(b"~~~");
        let fits = word > 0 && !is_fence && length + 1 + word >= WRAP_FROM;
        if (fits || is_certain) && self.wrapped.len() < MAX_WRAPPED {
            let text = line[..line.len().min(WRAPPED)].to_vec();
            self.wrapped.push(Wrapped { line: self.kept, is_certain, text });
            self.last = Some((marks.length, marks.goes_on));
        }
    }

    /// Puts lines together again that a mail program has wrapped.
    pub(super) fn unwrap(&mut self) {
        if self.context == Context::Bare {
            self.unwrap_bare();
            return;
        }
        let is_wrapped = self.longest <= WRAPPED;
        let lines = self.own_lines().collect::<Vec<_>>();
        let belongs = |line: u32| {
            let line = line.checked_sub(1).and_then(|at| lines.get(at as usize));
            line.is_some_and(|(_, line)| is_wrapped || lacks_end(line))
        };
        let belong: Vec<bool> =
            self.wrapped.iter().map(|rest| rest.is_certain || belongs(rest.line)).collect();
        let mut belong = belong.into_iter();
        self.wrapped.retain(|_| belong.next().unwrap_or(false));
        if self.wrapped.is_empty() {
            return;
        }
        let wrapped = std::mem::take(&mut self.wrapped);
        let mut wrapped = wrapped.iter().peekable();
        self.rewrite(|at, line, out| {
            out.extend_from_slice(line);
            while let Some(rest) = wrapped.next_if(|rest| rest.line as usize == at + 1) {
                if !rest.is_certain {
                    out.push(b' ');
                }
                out.extend_from_slice(&rest.text);
            }
            Place::OfItsOwn
        });
    }

    /// The same without stamps, where every line is the report's. Only lines that are taken apart
    /// get their ends back: the first one, and those that say what was read and by whom.
    fn unwrap_bare(&mut self) {
        if self.longest > WRAPPED {
            return;
        }
        let longest = self.longest.max(WRAP_FROM);
        // Whether the last line is one that is taken apart, how long it was, and if it lacks its end.
        let mut last: Option<(usize, bool)> = None;
        let joins: Vec<bool> = self
            .own_lines()
            .enumerate()
            .map(|(at, (_, line))| {
                let word = line.iter().take_while(|&&b| b != b' ').count();
                let goes_on = last.is_some_and(|(length, lacks_end)| {
                    !begins_anew(line, lacks_end) && (lacks_end || length + 1 + word > longest)
                });
                let matters = at == 0 || goes_on || is_taken_apart(line);
                last = matters.then(|| (line.len(), lacks_end(line)));
                goes_on
            })
            .collect();
        if !joins.contains(&true) {
            return;
        }
        self.rewrite(|at, line, out| {
            out.extend_from_slice(line);
            if joins.get(at + 1) == Some(&true) { Place::WithTheNext } else { Place::OfItsOwn }
        });
    }

    /// Writes its own lines anew.
    fn rewrite(&mut self, mut write: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Place) {
        let mut text = Vec::with_capacity(self.text.len() + 1024);
        text.extend_from_slice(&self.text[..self.own]);
        let mut ends = Vec::with_capacity(self.ends.len());
        let (mut titled, mut next) = (None, None);
        for (line, (from, old)) in self.own_lines().enumerate() {
            let now = text.len() - self.own;
            titled = titled.or(self.titled.filter(|at| *at == from).map(|_| now));
            next = next.or(self.next.filter(|at| *at == from).map(|_| now));
            match write(line, old, &mut text) {
                Place::OfItsOwn => {
                    ends.push((text.len() - self.own) as u32);
                    text.push(b'\n');
                }
                Place::WithTheNext => text.push(b' '),
            }
        }
        (self.text, self.ends, self.titled, self.next) = (text, ends, titled, next);
    }

    /// Takes off what stands before most of its lines alike, whatever it is: a program that wrote
    /// down the console put it there.
    pub(super) fn take_off_heads(&mut self) {
        let Some((_, first)) = self.own_lines().next() else { return };
        let Some(word) = memchr::memmem::find(first, self.detector.header().as_bytes()) else {
            return;
        };
        // No program puts more than this before a line.
        const MOST: usize = 128;
        if word == 0 || word > MOST {
            return;
        }
        let head = &first[..word];
        let heads: Vec<(usize, usize)> =
            self.own_lines().map(|(_, line)| common_head(head, line)).collect();
        // The longest that three lines in four have.
        let mut lengths: Vec<usize> = heads.iter().skip(1).map(|(in_first, _)| *in_first).collect();
        if lengths.len() < 3 {
            return;
        }
        lengths.sort_unstable();
        let length = lengths[lengths.len() / 4];
        if length == 0 {
            return;
        }
        let head = head[..length].to_vec();
        self.rewrite(|_, line, out| {
            let (all, in_line) = common_head(&head, line);
            out.extend_from_slice(if all == length { &line[in_line..] } else { line });
            Place::OfItsOwn
        });
        let first = self.own_lines().next().map(|(_, line)| line).unwrap_or_default();
        self.doubt.in_sentence = !self.detector.begins(first);
    }

    /// True if the first line only mentions a bug, or a program complains: no line of a report
    /// comes behind it.
    pub(super) fn is_hearsay(&self) -> bool {
        let doubt = &self.doubt;
        if self.context != Context::Bare
            || doubt.is_certain
            || !(doubt.in_sentence || doubt.unlike_others)
        {
            return false;
        }
        !self.lines_before_next().skip(1).any(|(_, line)| is_evidence(line))
    }
}

/// How much of a head a line begins with, and how much of the line that is. Numbers may differ.
/// Ends where the head has something that separates it from a message.
fn common_head(head: &[u8], line: &[u8]) -> (usize, usize) {
    let (mut at, mut to) = (0, 0);
    let mut common = (0, 0);
    while at < head.len() && to < line.len() {
        let numbers = (digits(&head[at..]), digits(&line[to..]));
        if numbers.0 > 0 && numbers.1 > 0 {
            at += numbers.0;
            to += numbers.1;
        } else if head[at] == b' ' && line[to] == b' ' {
            // Numbers are often padded.
            at += 1;
            to += 1;
            let is_padding = |text: &[u8]| digits(trim_blanks(text)) > 0;
            if is_padding(&head[at..]) && is_padding(&line[to..]) {
                at = head.len() - trim_blanks(&head[at..]).len();
                to = line.len() - trim_blanks(&line[to..]).len();
            }
        } else if head[at] == line[to] {
            at += 1;
            to += 1;
        } else {
            break;
        }
        if at > 0 && b" :|]>)\t".contains(&head[at - 1]) {
            common = (at, to);
        }
    }
    common
}

/// Where a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    OfItsOwn,
    /// The next line is the rest of it.
    WithTheNext,
}

/// True for a line without a stamp whose parts are read.
fn is_taken_apart(line: &[u8]) -> bool {
    const STARTS: &[&[u8]] = &[b"CPU: ", b"Pid: ", b"Read of size ", b"Write of size ", b"RIP: "];
    STARTS.iter().any(|start| line.starts_with(start))
}

/// True for a line without a stamp that is no rest of the one before it. The rest of one that names
/// a place may be the function, which else is a frame.
fn begins_anew(line: &[u8], may_be_frame: bool) -> bool {
    const NAME: usize = 24;
    let near = &line[..line.len().min(NAME)];
    matches!(line.first(), None | Some(b' ' | b'\t' | b'<' | b'[' | b'-' | b'='))
        || memchr::memmem::find(near, b": ").is_some()
        || line.ends_with(b":")
        || !may_be_frame && is_evidence(line)
        || is_taken_apart(line)
}

/// True for a line that says that more comes.
fn lacks_end(line: &[u8]) -> bool {
    const WORDS: &[&[u8]] =
        &[b" in", b" at", b" by", b" of", b" task", b" tainted", b" Not", b":", b",", b"("];
    let line = line.trim_ascii_end();
    WORDS.iter().any(|word| line.ends_with(word)) || lacks_function(line)
}

/// True for a warning's first line that ends behind the place in the source: the function follows.
fn lacks_function(line: &[u8]) -> bool {
    let digits = line.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    digits > 0
        && line[..line.len() - digits].ends_with(b".c:")
        && memchr::memmem::find(line, b"WARNING: ").is_some()
}

/// True for a line that comes in reports, and nowhere else.
fn is_evidence(line: &[u8]) -> bool {
    const STARTS: &[&[u8]] = &[
        b"CPU: ",
        b"Pid: ",
        b"RIP: ",
        b"EIP: ",
        b"NIP:",
        b"NIP [",
        b"pc : ",
        b"PC is at ",
        b"epc : ",
        b"Krnl PSW",
        b"Call Trace:",
        b"Call trace:",
        b"Backtrace:",
        b"Modules linked in:",
        b"Hardware name:",
        b"Workqueue: ",
        b"Oops: ",
        b"Internal error: ",
        b"Read of size ",
        b"Write of size ",
        b"Allocated by task ",
        b"Freed by task ",
        b"invalid opcode: ",
        b"task:",
        b"goroutine ",
        b"[signal ",
    ];
    let line = line.trim_ascii_start();
    STARTS.iter().any(|start| line.starts_with(start)) || FrameLine::read(line).is_some()
}

/// What a line means to the reports that are open.
pub(super) struct Marks {
    /// A title that cannot tell its lines from others' must not use what follows.
    pub(super) ends_title: bool,
    /// Another report begins, be it one that follows from this one.
    pub(super) begins: bool,
    /// Length of the line as it came.
    pub(super) length: usize,
    /// A mail's form says that the line goes on in the next one.
    pub(super) goes_on: bool,
    /// Belongs to no report.
    pub(super) noise: bool,
    /// From here on all CPUs' stacks are printed for the report.
    pub(super) all_cpus: bool,
    /// What follows was said before.
    pub(super) repeats: bool,
}

/// True if a line is the last of a report that begins with this header.
fn is_tail(detector: &CompiledDetector, text: &[u8], line: &[u8]) -> bool {
    let header = detector.header();
    let line = line.trim_ascii();
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
        // The allocator has mended what it complained about.
        Some(b'F') => detector.is_slab() && line.starts_with(b"FIX "),
        Some(b'L') => line.starts_with(b"Linux version "),
        Some(b'R') => line.starts_with(b"Rebooting in "),
        _ => false,
    }
}
