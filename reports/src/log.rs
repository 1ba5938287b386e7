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
