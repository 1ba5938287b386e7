// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a file of history.

use serde::{Deserialize, Serialize};

use super::{Cells, FORMAT, Night, Run};
use crate::escape::printable;

/// Longest line that is read or written, in bytes: thousands of settings take less.
pub const MAX_LINE_BYTES: usize = 4 << 20;
/// Most bugs of cells that differ in their number only. More only come from a guest that forges them.
pub(super) const MOST_BUGS: usize = 16;
/// Most words with a count, and metrics, of such cells.
const MOST_WORDS: usize = 64;
/// Longest text, in bytes.
const MAX_TEXT_BYTES: usize = 512;
/// Largest value of a metric, either way.
const LARGEST: f64 = 1e15;
/// Most cells that are alike but for their number.
const MOST_RUNS: u32 = 1_000_000;
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
    /// More than what is read of a file.
    #[error(
        "it is skipped with all that follow, the file is too large: shorten it with `swapstorm history prune`"
    )]
    TooMuch,
}

/// A line that is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The run.
    pub run: Run,
    /// The night in which it began.
    pub night: Night,
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
    record: String,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    record: &'a str,
    #[serde(flatten)]
    run: &'a Run,
}

impl Run {
    /// Its line, which ends with a line feed. Where it would be too long for a reader, the rarest are left out: bugs
    /// beyond the first ones of each setting.
    ///
    /// # Errors
    /// Says why a reader would not take it.
    pub fn line(&self) -> Result<String, &'static str> {
        check(self)?;
        let mut run = self.clone();
        for most in [MOST_BUGS, 4, 1] {
            run.cells.iter_mut().for_each(|cells| cells.keep(most));
            // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
            let line = serde_json::to_string(&Written { format: FORMAT, record: "run", run: &run });
            let line = line.expect("plain data is JSON");
            if line.len() <= MAX_LINE_BYTES {
                return Ok(line + "\n");
            }
        }
        Err("it has too many settings")
    }
}

impl Cells {
    fn keep(&mut self, most: usize) {
        let cut = self.bugs.len().saturating_sub(most);
        self.bugs.truncate(most);
        self.more_bugs = self.more_bugs.saturating_add(u32::try_from(cut).unwrap_or(u32::MAX));
    }
}

/// Reads a line without its end; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &[u8]) -> Result<Option<Reading>, ProblemKind> {
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
    if record != "run" {
        return Err(ProblemKind::UnknownKind(quoted(&record)));
    }
    let run: Run = serde_json::from_slice(line).map_err(wrong)?;
    let night = check(&run).map_err(|words| ProblemKind::NotARecord(words.to_owned()))?;
    Ok(Some(Reading { run, night }))
}

/// Whether a run is one that can be counted; if so, its night.
fn check(run: &Run) -> Result<Night, &'static str> {
    if run.run.is_empty() {
        return Err("it does not say which run it is");
    }
    let texts = [run.run.as_str(), &run.started, &run.host, &run.version];
    let night = Night::of(&run.started).ok_or("its start is no time")?;
    let is_long = |text: &str| text.len() > MAX_TEXT_BYTES;
    if texts.into_iter().any(is_long) || run.cells.iter().any(|cells| cells.texts().any(is_long)) {
        return Err("a name or a text of it is too long");
    }
    run.cells.iter().try_for_each(check_cells)?;
    Ok(night)
}

fn check_cells(cells: &Cells) -> Result<(), &'static str> {
    let Cells { runs, storms, verdicts, bugs, trouble, metrics, .. } = cells;
    if *runs > MOST_RUNS || storms > runs {
        return Err("it has more storms than there can be");
    }
    if bugs.iter().any(|bug| bug.storms == 0 || bug.storms > *storms) {
        return Err("a bug of it showed in more storms than there were, or in none");
    }
    let most = [verdicts.len(), trouble.len(), metrics.len(), bugs.len()];
    if most.into_iter().any(|n| n > MOST_WORDS) {
        return Err("cells of it have too many verdicts, bugs or metrics");
    }
    let same = |at: usize| bugs[..at].iter().any(|bug| bug.is_same(&bugs[at]));
    if (1..bugs.len()).any(same) {
        return Err("a bug of it is there twice");
    }
    if metrics.values().any(|value| !is_measured(*value)) {
        return Err("a metric of it is larger than anything that is measured");
    }
    Ok(())
}

/// Whether a metric can have this value: it can be added and drawn.
pub(super) fn is_measured(value: f64) -> bool {
    value.abs() <= LARGEST
}

impl Cells {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let Self { kernel, series, release, arch, toolchain, kasan, profile, digest, .. } = self;
        let words = [kernel, release, arch, toolchain, kasan, profile, digest];
        let more = [&self.technique, &self.clock, &self.accel];
        let counted = self.verdicts.keys().chain(self.trouble.keys()).chain(self.metrics.keys());
        let words = words.into_iter().chain(more).chain(series.as_ref()).chain(counted);
        let bugs = self.bugs.iter();
        let of_bugs =
            bugs.flat_map(|bug| [&*bug.signature, &*bug.rule, &*bug.title, &*bug.standing]);
        words.map(|word| word.as_str()).chain(of_bugs).chain([self.why.as_str()])
    }
}

/// Text that a line has room for.
pub(super) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned()
}

/// Words of the file's for a message.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED).collect();
    printable(&short).into_owned()
}
