// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a file of baselines.

use serde::{Deserialize, Serialize};

use super::{Accepted, Baseline, FORMAT};
use crate::escape::printable;

/// Longest line that is read or written, in bytes: a thousand storms with a hundred counters each take less.
pub const MAX_LINE_BYTES: usize = 4 << 20;
/// Most counters of a baseline; storms have about a hundred.
pub(super) const MAX_COUNTERS: usize = 1024;
/// Most conditions.
const MAX_CONDITIONS: usize = 64;
/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 32;
/// Longest name, value or note, in bytes: a path, or [`super::MAX_WORDS`] of any script.
const MAX_TEXT_BYTES: usize = 4096;
/// Longest name or word of a message about a line, in characters.
const MAX_QUOTED: usize = 64;

/// Something in the file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The last line is cut: the writer was killed, or the disk was full.
    #[error("it is cut, whoever wrote it was killed or had no room: it is skipped")]
    Cut,
    /// No record of this format.
    #[error("it is skipped, it is no record: {0}")]
    NotARecord(String),
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("it is skipped, it is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// A newer program wrote it.
    #[error("it is skipped, its format {0} is newer than {FORMAT}: update swapstorm")]
    NewerFormat(u32),
    /// A kind of record that a newer program with the same format wrote.
    #[error("it is skipped, a newer swapstorm wrote it: `{0}`")]
    UnknownKind(String),
    /// There was a baseline with this id.
    #[error("it is skipped, there is a baseline {0} before it")]
    Twice(String),
    /// It accepts what is not there.
    #[error("it is skipped, it accepts {0}, and there is no such baseline before it")]
    Nowhere(String),
    /// More than what is read of a file.
    #[error("it is skipped with all that follow, the file is too large: begin another one")]
    TooMuch,
}

/// A line that is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    Baseline(Box<Baseline>),
    Accepted(Accepted),
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
    record: String,
}

#[derive(Serialize)]
struct Written<'a, T> {
    format: u32,
    record: &'a str,
    #[serde(flatten)]
    what: &'a T,
}

/// A record as a line that ends with a line feed.
fn write(record: &str, what: &impl Serialize) -> Result<String, &'static str> {
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let line = serde_json::to_string(&Written { format: FORMAT, record, what });
    let line = line.expect("plain data is JSON");
    if line.len() > MAX_LINE_BYTES { Err("it has too many storms") } else { Ok(line + "\n") }
}

impl Baseline {
    /// Its line, which ends with a line feed.
    ///
    /// # Errors
    /// Says why a reader would not take it.
    pub fn line(&self) -> Result<String, &'static str> {
        check(self).and_then(|()| write("baseline", self))
    }
}

impl Accepted {
    /// Its line, which ends with a line feed.
    ///
    /// # Errors
    /// Says why a reader would not take it.
    pub fn line(&self) -> Result<String, &'static str> {
        check_accepted(self).and_then(|()| write("accepted", self))
    }
}

/// Reads a line without its end; `None` if it is empty.
pub(super) fn read(line: &[u8]) -> Result<Option<Record>, ProblemKind> {
    if line.len() > MAX_LINE_BYTES {
        return Err(ProblemKind::TooLong);
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let wrong = |error: serde_json::Error| ProblemKind::NotARecord(quoted(&error.to_string()));
    let Head { format, record } = serde_json::from_slice(line).map_err(wrong)?;
    if format > FORMAT {
        return Err(ProblemKind::NewerFormat(format));
    }
    let no_record = |words: &str| ProblemKind::NotARecord(words.to_owned());
    let record = match record.as_str() {
        "baseline" => {
            let baseline: Box<Baseline> = serde_json::from_slice(line).map_err(wrong)?;
            check(&baseline).map_err(no_record)?;
            Record::Baseline(baseline)
        }
        "accepted" => {
            let accepted: Accepted = serde_json::from_slice(line).map_err(wrong)?;
            check_accepted(&accepted).map_err(no_record)?;
            Record::Accepted(accepted)
        }
        other => return Err(ProblemKind::UnknownKind(quoted(other))),
    };
    Ok(Some(record))
}

/// Whether a baseline is one with which storms can be compared.
fn check(baseline: &Baseline) -> Result<(), &'static str> {
    let Baseline { id, at, note, run, started, kernel, profile, conditions, counters, storms } =
        baseline;
    let series = kernel.series.as_deref().unwrap_or_default();
    let texts = [at, note, started, &kernel.name, series, &kernel.release, &kernel.key, profile];
    check_texts(texts.into_iter().chain([run.as_str()]))?;
    check_texts(conditions.iter().flat_map(|(name, value)| [name.as_str(), value]))?;
    check_texts(counters.iter().map(String::as_str))?;
    if conditions.len() > MAX_CONDITIONS || counters.len() > MAX_COUNTERS {
        return Err("it has too many conditions or counters");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(is_word) {
        return Err("its id is no word of letters, digits and -");
    }
    if storms.is_empty() {
        return Err("it has no storm");
    }
    if storms.iter().any(|storm| storm.values.len() != counters.len()) {
        return Err("a storm has other counters than are named");
    }
    if storms.iter().flat_map(|storm| &storm.values).flatten().any(|[.., samples]| *samples == 0) {
        return Err("a counter has values, but no sample");
    }
    Ok(())
}

fn check_accepted(accepted: &Accepted) -> Result<(), &'static str> {
    let Accepted { baseline, at, reason } = accepted;
    check_texts([baseline.as_str(), at, reason].into_iter())
}

fn check_texts<'a>(mut texts: impl Iterator<Item = &'a str>) -> Result<(), &'static str> {
    match texts.any(|text| text.len() > MAX_TEXT_BYTES) {
        true => Err("a name or a text of it is too long"),
        false => Ok(()),
    }
}

/// Words of the file's for a message.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED).collect();
    printable(&short).into_owned()
}
