// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading `events.jsonl`, whatever state it was left in.

use memchr::memchr;

use crate::escape::printable;
use crate::event::{FORMAT, RunEvent, What};

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
    /// Written by a newer program; nothing from here on is read.
    #[error(
        "event format {found} is newer than {FORMAT}, the newest this program reads: update swapstorm"
    )]
    NewerFormat {
        /// The format that the log names.
        found: u32,
    },
}

/// Reads a log. Lines that cannot be used are left out and named.
///
/// A log may end anywhere: a last line without its line end is used if it is whole.
pub fn read_log(bytes: &[u8]) -> (Vec<RunEvent>, Vec<LogProblem>) {
    let mut events = Vec::new();
    let mut problems = Vec::new();
    let mut rest = bytes;
    let mut line = 0;
    while !rest.is_empty() && problems.len() < MAX_PROBLEMS {
        line += 1;
        let end = memchr(b'\n', rest);
        let (text, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = after;
        let kind = match read_event(text) {
            Ok(Some(RunEvent { what: What::RunStarted { format, .. }, .. })) if format > FORMAT => {
                problems
                    .push(LogProblem { line, kind: LogProblemKind::NewerFormat { found: format } });
                break;
            }
            Ok(Some(event)) => {
                events.push(event);
                continue;
            }
            Ok(None) => continue,
            Err(_) if end.is_none() => LogProblemKind::HalfWritten,
            Err(kind) => kind,
        };
        problems.push(LogProblem { line, kind });
    }
    (events, problems)
}

fn read_event(line: &[u8]) -> Result<Option<RunEvent>, LogProblemKind> {
    if line.len() > MAX_EVENT_BYTES {
        return Err(LogProblemKind::TooLong);
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(line)
        .map(Some)
        .map_err(|error| LogProblemKind::NotAnEvent(printable(&error.to_string()).into_owned()))
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
        assert!(problems[0].starts_with("line 2: not an event: unknown variant `from-the-future`"));
        assert_eq!(problems[1], "line 3: longer than 1048576 bytes");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let text = text().replacen("\"format\":1", "\"format\":2", 1);
        let (events, problems) = read_log(text.as_bytes());
        assert_eq!(events, []);
        assert_eq!(problems[0].kind, LogProblemKind::NewerFormat { found: 2 });
    }

    #[test]
    fn garbage_without_end_is_given_up_on() {
        let (events, problems) = read_log("x\n".repeat(100_000).as_bytes());
        assert_eq!((events.len(), problems.len()), (0, MAX_PROBLEMS));
    }

    proptest! {
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
            if !report.finished {
                prop_assert_ne!(report.exit_code(Purpose::Repro), ExitCode::Clean);
            }
            if showed {
                prop_assert_eq!(report.cell(BUGGY).unwrap().verdict.word(), "expected bug");
            }
        }
    }
}
