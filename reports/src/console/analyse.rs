// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the text of one report to its title.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use memchr::memmem::Finder;
use regex::bytes::{Captures, Regex, RegexSet, RegexSetBuilder, SetMatches};

use super::blame::{Blamed, Lines, Rule, line_end};
use super::detectors::{self, Detector, Format, Trust};
use super::frames::FrameLine;
use super::pattern::Pattern;
use super::starts::Start;
use super::words::Words;
use super::{kinds, pattern, title};

/// There is room for so many detectors; a test compares.
const MOST_DETECTORS: usize = 64;

/// What a report's text says.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) title: String,
    pub(super) alt_titles: Vec<String>,
    pub(super) kind: &'static str,
    pub(super) frame: String,
    pub(super) corrupted: Option<&'static str>,
}

/// A table entry with its patterns compiled when first asked for.
pub(super) struct CompiledDetector {
    data: &'static Detector,
    header: Finder<'static>,
    only: OnceLock<Regex>,
    except: OnceLock<RegexSet>,
    /// The first lines of all formats, to see at once which of them a place fits.
    firsts: OnceLock<RegexSet>,
    /// The same as one pattern, to find such a place.
    any_first: OnceLock<Regex>,
    formats: Vec<CompiledFormat>,
}

struct CompiledFormat {
    data: &'static Format,
    first: Pattern,
    then: Pattern,
    named: Pattern,
    /// True if a title is made of parts of the first line.
    wants_captures: bool,
    rule: OnceLock<Rule>,
}

static DETECTORS: LazyLock<Vec<CompiledDetector>> = LazyLock::new(|| {
    detectors::all()
        .map(|data| CompiledDetector {
            data,
            header: Finder::new(data.header),
            only: OnceLock::new(),
            except: OnceLock::new(),
            firsts: OnceLock::new(),
            any_first: OnceLock::new(),
            formats: data
                .formats
                .iter()
                .map(|data| CompiledFormat {
                    data,
                    first: Pattern::new(data.first),
                    then: Pattern::new(data.then),
                    named: Pattern::new(data.named),
                    wants_captures: wants_captures(data),
                    rule: OnceLock::new(),
                })
                .collect(),
        })
        .collect()
});

/// The words of all detectors, to see that none can fire.
static ANY_HEADER: LazyLock<Words> =
    LazyLock::new(|| Words::new(&detectors::all().map(|data| data.header).collect::<Vec<_>>()));

/// The same, to see which can.
static HEADERS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .kind(Some(AhoCorasickKind::DFA))
        .build(detectors::all().map(|data| data.header))
        .expect("a few short literals fit any automaton")
});

/// The detector that fires on a line, if any.
pub(super) fn detect(line: &[u8]) -> Option<&'static CompiledDetector> {
    // Most lines that are looked at hold a word of another kind.
    if !ANY_HEADER.are_in(line) {
        return None;
    }
    let mut there = [false; MOST_DETECTORS];
    for found in HEADERS.find_overlapping_iter(line) {
        there[found.pattern().as_usize()] = true;
    }
    let mut there = DETECTORS.iter().zip(there).filter(|(_, there)| *there);
    there
        .find(|(detector, _)| detector.is_fitting(line) && !detector.is_excepted(line))
        .map(|(detector, _)| detector)
}

impl CompiledDetector {
    fn is_fitting(&self, line: &[u8]) -> bool {
        self.data.only.is_empty()
            || self.only.get_or_init(|| pattern::compile(self.data.only)).is_match(line)
    }

    fn is_excepted(&self, line: &[u8]) -> bool {
        !self.data.except.is_empty()
            && self
                .except
                .get_or_init(|| {
                    RegexSetBuilder::new(self.data.except)
                        .unicode(false)
                        .case_insensitive(true)
                        .build()
                        .unwrap_or_else(|error| panic!("exception of a table: {error}"))
                })
                .is_match(line)
    }

    /// True for the first line of a KMSAN report, which says enough in fewer lines than others.
    pub(super) fn is_kmsan(&self, line: &[u8]) -> bool {
        static KMSAN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"KMSAN"));
        self.data.header == "BUG:" && KMSAN.find(line).is_some()
    }

    /// True for SLUB's complaint about an object, which has lines of its own kind.
    pub(super) fn is_slab(&self) -> bool {
        self.data.header.starts_with("BUG ")
    }

    /// True for the first line of a boot.
    pub(super) fn is_boot(&self) -> bool {
        self.data.header.starts_with("Booting")
    }

    /// True for words that programs begin their complaints with, too.
    pub(super) fn is_anybodys(&self) -> bool {
        ["BUG:", "WARNING:", "INFO:", "panic:", "fatal error:"].contains(&self.data.header)
    }

    /// True if only one program says so, and says no more.
    pub(super) fn is_no_others(&self) -> bool {
        ["SYZ", "trusty", "Booting"].iter().any(|word| self.data.header.starts_with(word))
    }

    /// True if the detector's word begins a line, or comes behind the name of a part of the
    /// kernel: `watchdog: BUG: `, `rcu: INFO: `, `Internal error: Oops - BUG: `.
    pub(super) fn begins(&self, line: &[u8]) -> bool {
        static OTHERS: LazyLock<Words> = LazyLock::new(|| Words::new(detectors::NO_BEGINNING));
        const MOST_WORDS: usize = 4;
        let Some(at) = self.header.find(line) else { return false };
        let before = line[..at].trim_ascii();
        before.is_empty()
            || before.ends_with(b"=")
            || before.len() <= 40
                && before.split(|&b| b == b' ').count() <= MOST_WORDS
                && matches!(before.last(), Some(b':' | b'[' | b'-' | b']'))
                && !OTHERS.are_in(before)
    }

    /// The word that the detector fires on.
    pub(super) fn header(&self) -> &'static str {
        self.data.header
    }

    /// Reads a report. `titled` is the text that a title may use, `whole` all of it, in which
    /// stacks follow on `starts`; lines end in `\n`, prefixes are cut off.
    pub(super) fn read(&self, titled: &[u8], whole: &[u8], starts: &[Start]) -> Reading {
        let found = self.describe(titled);
        let raw_title = title::normalise(&found.title);
        let raw_title = if raw_title.is_empty() { self.data.header.to_owned() } else { raw_title };
        let mut alt_titles: Vec<String> = Vec::new();
        for alt in &found.alt {
            let alt = title::normalise(alt);
            if alt != raw_title && !alt_titles.contains(&alt) {
                alt_titles.push(alt);
            }
        }
        alt_titles.sort();
        let corrupted =
            found.corrupted.or_else(|| distrust(&found.title, found.format, whole, starts));
        Reading {
            kind: kinds::of(&raw_title),
            frame: title::frame(&raw_title).to_owned(),
            title: raw_title,
            alt_titles,
            corrupted,
        }
    }

    fn describe(&self, text: &[u8]) -> Described {
        // Nearly always the first line decides; only where it fits nothing all has to be searched.
        let line = memchr::memchr(b'\n', text).unwrap_or(text.len());
        let near = &text[..text.len().min(line + 256)];
        let place = self.place(near).filter(|(at, _)| *at <= line).or_else(|| self.place(text));
        if let Some((at, formats)) = &place
            && let Some(described) =
                formats.iter().find_map(|format| self.formats[format].read(text, *at))
        {
            return described;
        }
        let from = self.header.find(text).unwrap_or(0);
        let end = memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |at| from + at);
        Described {
            title: String::from_utf8_lossy(&text[from..end]).into_owned(),
            alt: Vec::new(),
            corrupted: place.map(|_| "the first line fits, what must follow it does not"),
            format: None,
        }
    }

    /// The first place that fits formats' first lines, and which ones.
    fn place(&self, text: &[u8]) -> Option<(usize, SetMatches)> {
        let sources = || self.formats.iter().map(|format| format.data.first);
        let firsts = self.firsts.get_or_init(|| pattern::compile_set_here(sources()));
        // All these patterns begin with the detector's word, and nearly always fit where it is
        // seen first.
        let at = self.header.find(text)?;
        let fitting = firsts.matches(&text[at..]);
        if fitting.matched_any() {
            return Some((at, fitting));
        }
        let any = self.any_first.get_or_init(|| pattern::compile_any(sources()));
        let at = any.find(text)?.start();
        Some((at, firsts.matches(&text[at..])))
    }
}

fn wants_captures(format: &Format) -> bool {
    let numbered = |title: &str| ["{0", "{1", "{2"].iter().any(|n| title.contains(n));
    numbered(format.title) || format.alt.iter().any(|alt| numbered(alt))
}

struct Described {
    title: String,
    alt: Vec<String>,
    corrupted: Option<&'static str>,
    format: Option<&'static Format>,
}

impl CompiledFormat {
    /// Describes a report whose first line fits at a place, unless what must follow does not.
    fn read(&self, text: &[u8], at: usize) -> Option<Described> {
        let captures = match (self.data.then.is_empty(), self.wants_captures) {
            (true, false) => None,
            (true, true) => self.first.captures_here(&text[at..]),
            (false, false) if !self.then.is_match(text) => return None,
            (false, false) => None,
            (false, true) => Some(self.then.captures(text)?),
        };
        Some(self.fill(text, at, captures.as_ref()))
    }

    /// The function that the first line names.
    fn named_in(&self, text: &[u8]) -> Option<Blamed> {
        static PANIC: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"panic_on_warn"));
        if self.data.named.is_empty() || PANIC.find(text).is_some() {
            return None;
        }
        let line = &text[..line_end(text, 0)];
        let captures = self.named.captures_here(line)?;
        let rule = self.rule.get()?;
        rule.blame(captures.iter().skip(1).flatten().map(|name| name.as_bytes()).next()?)
    }

    fn fill(&self, text: &[u8], at: usize, captures: Option<&Captures<'_>>) -> Described {
        let mut corrupted = None;
        let blamed = match self.data.blame {
            None => Blamed { names: vec![String::new()], found: true },
            Some(blame) => self.rule.get_or_init(|| Rule::compile(blame)).find(&text[at..]),
        };
        let blamed = if blamed.found {
            blamed
        } else {
            corrupted = Some("no usable frame");
            // A warning's first line names its function. Where the kernel was set to panic, the
            // stack that is lost is one of the panic.
            self.named_in(&text[at..]).unwrap_or(blamed)
        };
        if self.data.trust == Trust::Never {
            corrupted = Some("the real first line is lost");
        }
        let make = |template: &str, name: &str| fill_in(template, captures, name, text, at);
        let mut names = blamed.names.iter();
        let title = names.next().map(|name| make(self.data.title, name)).unwrap_or_default();
        let mut alt: Vec<String> = names.map(|name| make(self.data.title, name)).collect();
        for template in self.data.alt {
            alt.extend(blamed.names.iter().map(|name| make(template, name)));
        }
        Described { title, alt, corrupted, format: Some(self.data) }
    }
}

/// Replaces `{1}` (a capture), `{F}` (the blamed function) and `{O}` (the origin).
fn fill_in(
    template: &str,
    captures: Option<&Captures<'_>>,
    name: &str,
    text: &[u8],
    at: usize,
) -> String {
    static ORIGIN: LazyLock<Rule> = LazyLock::new(|| Rule::compile(&detectors::ORIGIN));
    // Room for a name, too.
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('}') else { break };
        match &rest[open + 1..open + close] {
            "F" => out.push_str(name),
            "O" => out.push_str(&ORIGIN.find(&text[at..]).names[0]),
            number => {
                let capture = number.parse().ok().and_then(|n: usize| captures?.get(n));
                if let Some(capture) = capture {
                    // A title is cut to a short line later; no need to carry a long one.
                    let bytes = capture.as_bytes();
                    out.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]));
                }
            }
        }
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    out
}

/// Reasons not to believe a report that reads well.
fn distrust(
    title: &str,
    format: Option<&Format>,
    text: &[u8],
    starts: &[Start],
) -> Option<&'static str> {
    static STAMP: LazyLock<regex::Regex> =
        LazyLock::new(|| regex::Regex::new(r"\[ *[0-9]+\.[0-9]+\]").expect("checked by a test"));
    static NO_STACK: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(b"(stack is not available)"));
    if title.contains('[') && STAMP.is_match(title) {
        return Some("another line ran into the first one");
    }
    if format?.trust != Trust::Stack {
        return None;
    }
    let starts: Vec<&Start> = starts.iter().filter(|start| start.kind.is_evidence()).collect();
    for (at, start) in starts.iter().enumerate() {
        // The first of each kind tells enough.
        if starts[..at].iter().any(|other| other.kind == start.kind) {
            continue;
        }
        if memchr::memchr_iter(b'\n', &text[start.at..]).take(3).count() < 3 {
            return Some("a stack is cut off");
        }
        let next = starts[at + 1..].iter().find(|next| next.kind.is_title());
        let stack = &text[line_end(text, start.at)..next.map_or(text.len(), |next| next.at)];
        let is_frame = |line| FrameLine::read(line).is_some() || NO_STACK.find(line).is_some();
        if !(Lines { rest: stack }).take(15).any(is_frame) {
            return Some("a stack has no frames");
        }
    }
    if starts.is_empty() { Some("no stack") } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_detectors_have_room() {
        assert!(DETECTORS.len() <= MOST_DETECTORS, "{}", DETECTORS.len());
    }

    #[test]
    fn first_lines_are_looked_for_where_the_detectors_word_is() {
        for detector in detectors::all() {
            for format in detector.formats {
                let first = format.first.replace('\\', "");
                assert!(first.starts_with(detector.header), "{first}");
            }
        }
    }

    #[test]
    fn the_first_detector_whose_word_is_there_fires_unless_the_line_is_excepted() {
        let header = |line: &str| detect(line.as_bytes()).map(CompiledDetector::header);
        assert_eq!(header("WARNING: at x.c:1 BUG: y"), Some("BUG:"));
        assert_eq!(header("ODEBUG: free active"), None);
        assert_eq!(header("swapon: fine"), None);
    }
}
