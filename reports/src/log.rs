// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading `events.jsonl`, whatever state it was left in.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::escape::printable;
use crate::event::{FORMAT, RunEvent, What};
use crate::lines::Lines;

/// Longest line that is read, in bytes: a finding holds at most 64 KiB of text, escaped.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Most problems that are kept; a log with more is no event log.
const MAX_PROBLEMS: usize = 100;

/// Something in the log that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct LogProblem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: LogProblemKind,
}

impl LogProblem {
    /// Whether an event was lost that may have mattered.
    pub fn is_damage(&self) -> bool {
        match self.kind {
            LogProblemKind::NotAnEvent(_) | LogProblemKind::TooLong | LogProblemKind::TooMany => {
                true
            }
            LogProblemKind::HalfWritten
            | LogProblemKind::UnknownKind { .. }
            | LogProblemKind::NewerFormat { .. } => false,
        }
    }
}

/// What is wrong with a line of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProblemKind {
    /// The last line is cut: the writer was killed or the disk was full. Harmless.
    #[error("the last event is cut, the run was killed while writing it")]
    HalfWritten,
    /// A line that is no event of this format.
    #[error("not an event: {0}")]
    NotAnEvent(String),
    /// A line longer than [`MAX_EVENT_BYTES`].
    #[error("longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    /// One problem too many.
    #[error("too many lines cannot be read, the rest is left out")]
    TooMany,
    /// An event of a newer program with the same format, skipped; only the first of a kind is named.
    #[error("events of the kind `{name}` are skipped: a newer swapstorm wrote them")]
    UnknownKind {
        /// The kind.
        name: String,
    },
    /// Written by a newer program; nothing from here on is read.
    #[error(
        "event format {found} is newer than {FORMAT}, the newest this program reads: update swapstorm"
    )]
    NewerFormat {
        /// The format that the log names.
        found: u32,
    },
}

/// What a line comes to.
#[derive(Debug)]
pub enum Entry {
    /// An event.
    Event(Box<RunEvent>),
    /// Something that could not be used.
    Problem(LogProblem),
}

/// Reads a log piece by piece, in memory that does not grow with it. Lines that cannot be used are named.
///
/// A log may end anywhere: a last line without its line end is used if it is whole.
#[derive(Debug, Default)]
pub struct LogReader {
    lines: Lines<MAX_EVENT_BYTES>,
    line: usize,
    events: u64,
    problems: usize,
    unknown: BTreeMap<String, u64>,
    given_up: bool,
}

impl LogReader {
    /// A reader at the begin of a log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and hands on what they complete.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Entry)) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| {
            if !self.given_up {
                self.line(line, true, &mut take);
            }
        });
        self.lines = lines;
    }

    /// Says that nothing follows. The result is how many events were read.
    pub fn finish(mut self, mut take: impl FnMut(Entry)) -> u64 {
        let rest = std::mem::take(&mut self.lines).rest();
        if let Some(line) = rest.filter(|_| !self.given_up) {
            self.line(&line, false, &mut take);
        }
        self.events
    }

    /// Whether nothing more will be read: a newer format, or no event log at all.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    fn line(&mut self, text: &[u8], whole: bool, take: &mut impl FnMut(Entry)) {
        self.line += 1;
        let kind = match read_event(text) {
            Ok(None) => return,
            Ok(Some(event)) => match &event.what {
                What::RunStarted { format, .. } if *format > FORMAT => {
                    self.given_up = true;
                    LogProblemKind::NewerFormat { found: *format }
                }
                _ => {
                    self.events += 1;
                    return take(Entry::Event(event));
                }
            },
            Err(_) if !whole => LogProblemKind::HalfWritten,
            Err(LogProblemKind::NewerFormat { found }) => {
                self.given_up = true;
                LogProblemKind::NewerFormat { found }
            }
            Err(LogProblemKind::UnknownKind { name }) => {
                let seen = self.unknown.len();
                let known = self.unknown.entry(name.clone()).or_default();
                *known += 1;
                if *known > 1 || seen >= MAX_PROBLEMS {
                    return;
                }
                LogProblemKind::UnknownKind { name }
            }
            Err(kind) => kind,
        };
        self.problems += 1;
        let too_many = self.problems >= MAX_PROBLEMS;
        self.given_up |= too_many;
        let kind = if too_many { LogProblemKind::TooMany } else { kind };
        take(Entry::Problem(LogProblem { line: self.line, kind }));
    }
}

/// Reads a whole log.
pub fn read_log(bytes: &[u8]) -> (Vec<RunEvent>, Vec<LogProblem>) {
    let mut events = Vec::new();
    let mut problems = Vec::new();
    let mut take = |entry| match entry {
        Entry::Event(event) => events.push(*event),
        Entry::Problem(problem) => problems.push(problem),
    };
    let mut reader = LogReader::new();
    reader.push(bytes, &mut take);
    reader.finish(&mut take);
    (events, problems)
}

fn read_event(line: &[u8]) -> Result<Option<Box<RunEvent>>, LogProblemKind> {
    if line.len() > MAX_EVENT_BYTES {
        return Err(LogProblemKind::TooLong);
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice::<Box<RunEvent>>(line) {
        Ok(event) if event.what == What::Unknown => {
            let name = head(line).map_or_else(String::new, |head| head.event);
            Err(LogProblemKind::UnknownKind { name: printable(&name).chars().take(64).collect() })
        }
        Ok(event) => Ok(Some(event)),
        // The first line of another format need not have the fields of this one.
        Err(error) => Err(match head(line) {
            Some(head) if head.event == "run-started" && head.format > FORMAT => {
                LogProblemKind::NewerFormat { found: head.format }
            }
            _ => LogProblemKind::NotAnEvent(printable(&error.to_string()).into_owned()),
        }),
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    event: String,
    #[serde(default)]
    format: u32,
}

fn head(line: &[u8]) -> Option<Head> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exit::{ExitCode, Purpose};
    use crate::run::RunReport;
    use crate::sample::events::{BUGGY, good_repro};

    fn text() -> String {
        let events = good_repro().events;
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    #[test]
    fn a_whole_log_comes_back_as_it_was_written() {
        let (events, problems) = read_log(text().as_bytes());
        assert_eq!((events, problems), (good_repro().events, Vec::new()));
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_is_read() {
        let text = text();
        let mut lines: Vec<&str> = text.lines().collect();
        let long = "x".repeat(MAX_EVENT_BYTES + 1);
        lines.insert(1, "{\"at_ms\":1,\"event\":\"from-the-future\",\"cell\":\"\\u001b[m\"}");
        lines.insert(2, &long);
        lines.insert(3, "");
        let (events, problems) = read_log(lines.join("\r\n").as_bytes());
        assert_eq!(events, good_repro().events);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2);
        assert_eq!(
            problems[0],
            "line 2: events of the kind `from-the-future` are skipped: a newer swapstorm wrote them"
        );
        assert_eq!(problems[1], "line 3: longer than 1048576 bytes");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let text = text().replacen("\"format\":2", "\"format\":3", 1);
        let (events, problems) = read_log(text.as_bytes());
        assert_eq!(events, []);
        assert_eq!(problems[0].kind, LogProblemKind::NewerFormat { found: 3 });
    }

    #[test]
    fn garbage_without_end_is_given_up_on() {
        let (events, problems) = read_log("x\n".repeat(100_000).as_bytes());
        assert_eq!((events.len(), problems.len()), (0, MAX_PROBLEMS));
    }

    #[test]
    fn a_log_as_it_is_written_is_read_and_written_alike() {
        let text = include_str!("../testdata/run-2.jsonl");
        let (events, problems) = read_log(text.as_bytes());
        assert_eq!(problems, []);
        let mut kinds = std::collections::BTreeSet::new();
        for (line, event) in text.lines().zip(&events) {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut written = serde_json::to_value(event).unwrap();
            if let Some(full) = written.get_mut("finding").and_then(|f| f.as_object_mut()) {
                full.retain(|key, _| read["finding"].get(key).is_some());
            }
            assert_eq!(written, read);
            kinds.insert(read["event"].as_str().unwrap().to_owned());
        }
        assert_eq!(kinds.len(), 18);
    }

    #[test]
    fn kinds_that_are_not_known_are_named_once_each() {
        let unknown = |name: &str| format!("{{\"at_ms\":1,\"event\":\"{name}\",\"x\":[1]}}\n");
        let text = [unknown("b"), text(), unknown("a"), unknown("b")].concat();
        let (events, problems) = read_log(text.as_bytes());
        assert_eq!(events, good_repro().events);
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| !problem.is_damage()));
        // A kind that is known but whose fields are wrong is damage.
        let (_, problems) = read_log(b"{\"at_ms\":1,\"event\":\"cell-finished\"}\n");
        assert!(problems[0].is_damage(), "{problems:?}");
    }

    #[test]
    fn a_newer_format_is_refused_even_if_its_first_line_is_quite_another() {
        let text = "{\"event\":\"run-started\",\"format\":9,\"when\":[]}\n{}\n";
        let (events, problems) = read_log(text.as_bytes());
        assert_eq!((events.len(), problems.len()), (0, 1));
        assert_eq!(problems[0].kind, LogProblemKind::NewerFormat { found: 9 });
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(sizes in proptest::collection::vec(1..900usize, 1..40)) {
            let whole = text();
            let mut bytes = whole.as_bytes();
            let mut reader = LogReader::new();
            let mut events = Vec::new();
            let mut take = |entry| match entry {
                Entry::Event(event) => events.push(*event),
                Entry::Problem(problem) => panic!("{problem}"),
            };
            for size in sizes.iter().cycle() {
                if bytes.is_empty() {
                    break;
                }
                let (chunk, rest) = bytes.split_at(bytes.len().min(*size));
                reader.push(chunk, &mut take);
                bytes = rest;
            }
            prop_assert_eq!(reader.finish(&mut take), good_repro().events.len() as u64);
            prop_assert_eq!(events, good_repro().events);
        }

        #[test]
        fn a_log_that_ends_anywhere_is_read_up_to_there(cut in 0.0..1.0f64) {
            let text = text();
            // Truncation to a byte of the log is what is wanted.
            let cut = (text.len() as f64 * cut) as usize;
            let (events, problems) = read_log(&text.as_bytes()[..cut]);
            let whole = good_repro().events;
            prop_assert_eq!(&events[..], &whole[..events.len()]);
            prop_assert!(problems.iter().all(|p| p.kind == LogProblemKind::HalfWritten));
            prop_assert!(problems.len() <= 1);

            let report = RunReport::fold(events);
            let showed = report.cell(BUGGY).is_some_and(|cell| cell.showed_expected());
            if !report.finished() {
                prop_assert_ne!(report.exit_code(Purpose::Repro), ExitCode::Clean);
            }
            if showed {
                prop_assert_eq!(report.cell(BUGGY).unwrap().verdict.word(), "expected bug");
            }
        }
    }
}
