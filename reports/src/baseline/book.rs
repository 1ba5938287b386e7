// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file of baselines comes to: a fold over its lines.

use serde::Serialize;

use super::line::{self, MAX_LINE_BYTES, Problem, ProblemKind, Record, quoted};
use super::{Accepted, Baseline};
use crate::comparison::{Key, Refusal, Storms};
use crate::lines::Lines;

/// Most that is read of a file, in bytes: tens of thousands of baselines.
const MAX_BYTES: usize = 512 << 20;
/// Most problems that are kept.
const MAX_PROBLEMS: usize = 20;
/// Keys and ids are named up to this number.
const MOST_NAMED: usize = 12;

/// A baseline, and what was said of it later.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The baseline.
    pub baseline: Baseline,
    /// What it may be compared with.
    pub key: Key,
    /// When it was accepted, and why; the newest last.
    pub accepted: Vec<Accepted>,
    /// Which acceptance of the whole file the newest one was.
    rank: Option<usize>,
}

/// What a baseline is to its key now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Storms of its key are compared with it, since it was accepted last.
    Accepted,
    /// Storms of its key are compared with it, since it is the newest and none was accepted.
    Newest,
    /// Another one was accepted after it.
    WasAccepted,
    /// Storms are compared with it only if it is named.
    Other,
}

/// All baselines of a file, in the order in which they were recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    /// The baselines.
    pub entries: Vec<Entry>,
    /// Lines that were skipped, the first ones by name.
    pub problems: Vec<Problem>,
    /// Whether the file is larger than what is read of it.
    pub is_cut: bool,
    acceptances: usize,
}

impl Book {
    /// The baseline of this id.
    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.baseline.id == id)
    }

    /// The same, or an error that names some that are there.
    ///
    /// # Errors
    /// There is no such baseline.
    pub fn get(&self, id: &str) -> Result<&Entry, Refusal> {
        self.find(id).ok_or_else(|| {
            let newest = self.entries.iter().rev().take(MOST_NAMED);
            let ids: Vec<&str> = newest.map(|entry| entry.baseline.id.as_str()).collect();
            let hint = match ids.is_empty() {
                true => {
                    "there is none at all: `swapstorm baseline record RUN` makes one".to_owned()
                }
                false => format!("the newest are {}", ids.join(", ")),
            };
            Refusal { what: format!("there is no baseline `{}`", quoted(id)), hint }
        })
    }

    /// The baseline with which storms of this key are compared: of those that fit, the one that was accepted last, or
    /// the newest if none was.
    pub fn reference(&self, key: &Key) -> Option<&Entry> {
        let fitting = self.entries.iter().filter(|entry| entry.key.fits(key));
        // Of equal ones the last.
        fitting.max_by_key(|entry| entry.rank)
    }

    /// What a baseline of this book is to its key.
    pub fn standing(&self, entry: &Entry) -> Standing {
        let is_taken = self.reference(&entry.key).is_some_and(|taken| std::ptr::eq(taken, entry));
        match (is_taken, entry.rank) {
            (true, Some(_)) => Standing::Accepted,
            (true, None) => Standing::Newest,
            (false, Some(_)) => Standing::WasAccepted,
            (false, None) => Standing::Other,
        }
    }

    /// The storms with which those of this key are compared: those of the baseline that was named, or else of the key's
    /// [reference](Self::reference). One of another key has to be named and forced.
    ///
    /// # Errors
    /// There is no such baseline, or no baseline of this key.
    pub fn choose(&self, id: Option<&str>, key: &Key, force: bool) -> Result<Storms, Refusal> {
        let entry = match id {
            Some(id) => self.get(id)?,
            None => self.reference(key).ok_or_else(|| self.no_reference(key))?,
        };
        let differences = entry.key.differences(key);
        if !differences.is_empty() && !force {
            let (id, differences) = (&entry.baseline.id, differences.join("\n    "));
            return Err(Refusal {
                what: format!("the baseline {id} has another key than the run:\n    {differences}"),
                hint: "choose another one, or compare them all the same with --force".to_owned(),
            });
        }
        let mut storms = entry.baseline.storms();
        if let Some(Accepted { at, reason, .. }) = entry.accepted.last() {
            let id = &entry.baseline.id;
            let reason: String = reason.chars().take(super::MAX_WORDS).collect();
            storms.notes.push(format!("baseline {id} was accepted on {}: {reason}", day(at)));
        }
        Ok(storms)
    }

    /// Which keys there are, and what the most similar one differs by.
    fn no_reference(&self, key: &Key) -> Refusal {
        let mut what = format!("no baseline has the key of the run,\n    {key}");
        let mut keys: Vec<(&Key, &str)> = Vec::new();
        for Entry { key, baseline, .. } in self.entries.iter().rev() {
            if !keys.iter().any(|(known, _)| known.fits(key)) {
                keys.push((key, &baseline.id));
            }
        }
        if keys.is_empty() {
            let hint = "there is none at all: `swapstorm baseline record RUN` makes one".to_owned();
            return Refusal { what, hint };
        }
        what.push_str("\n  there are");
        for (key, id) in keys.iter().take(MOST_NAMED) {
            what.push_str(&format!("\n    {id}: {key}"));
        }
        if keys.len() > MOST_NAMED {
            what.push_str(&format!("\n    and {} more", keys.len() - MOST_NAMED));
        }
        let nearest = keys.iter().min_by_key(|(there, _)| there.differences(key).len());
        let hint = nearest.map_or_else(String::new, |(_, id)| {
            format!("record one of this key, or name one and force it: --baseline={id} --force")
        });
        Refusal { what, hint }
    }

    /// A new id: the day, and one more than the highest number of that day.
    pub fn new_id(&self, day: &str) -> String {
        let number = |entry: &Entry| {
            let (of, number) = entry.baseline.id.split_once('-')?;
            number.parse::<u32>().ok().filter(|_| of == day)
        };
        let highest = self.entries.iter().filter_map(number).max().unwrap_or(0);
        format!("{day}-{}", highest.saturating_add(1))
    }

    /// Adds a baseline.
    ///
    /// # Errors
    /// Its id is taken.
    pub fn add(&mut self, baseline: Baseline) -> Result<(), ProblemKind> {
        if self.find(&baseline.id).is_some() {
            return Err(ProblemKind::Twice(baseline.id));
        }
        let key = baseline.key();
        self.entries.push(Entry { baseline, key, accepted: Vec::new(), rank: None });
        Ok(())
    }

    fn accept(&mut self, accepted: Accepted) -> Result<(), ProblemKind> {
        let known = self.entries.iter_mut().find(|e| e.baseline.id == accepted.baseline);
        let Some(entry) = known else {
            return Err(ProblemKind::Nowhere(quoted(&accepted.baseline)));
        };
        entry.rank = Some(self.acceptances);
        self.acceptances += 1;
        entry.accepted.push(accepted);
        Ok(())
    }
}

/// The day of a time in RFC 3339.
fn day(at: &str) -> &str {
    at.split('T').next().unwrap_or_default()
}

/// Reads a file of baselines piece by piece.
#[derive(Debug, Default)]
pub struct BookReader {
    lines: Lines<MAX_LINE_BYTES>,
    line: usize,
    bytes: usize,
    book: Book,
}

impl BookReader {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line, true));
        self.lines = lines;
    }

    /// Says that nothing follows. A last line without its end is used if it is whole.
    pub fn finish(mut self) -> Book {
        if let Some(line) = std::mem::take(&mut self.lines).rest() {
            self.line(&line, false);
        }
        self.book
    }

    fn line(&mut self, text: &[u8], is_whole: bool) {
        self.line += 1;
        self.bytes += text.len();
        let kind = match (self.book.is_cut, self.bytes > MAX_BYTES) {
            (true, _) => Ok(()),
            (false, true) => {
                self.book.is_cut = true;
                Err(ProblemKind::TooMuch)
            }
            (false, false) => match line::read(text) {
                Ok(Some(Record::Baseline(baseline))) => self.book.add(*baseline),
                Ok(Some(Record::Accepted(accepted))) => self.book.accept(accepted),
                Ok(None) => Ok(()),
                Err(ProblemKind::NotARecord(_)) if !is_whole => Err(ProblemKind::Cut),
                Err(kind) => Err(kind),
            },
        };
        if let Err(kind) = kind
            && self.book.problems.len() < MAX_PROBLEMS
        {
            self.book.problems.push(Problem { line: self.line, kind });
        }
    }
}
