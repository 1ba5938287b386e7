// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nights one after the other: which bugs come and go, and what became of the numbers.
//!
//! A file of history is append-only, a [`Run`] a line: what a run came to, a few hundred bytes for each of its settings.
//! Files of several machines are merged by putting one behind the other, since a run that is there twice counts once.
//! [`Ledger`] is what a file holds, [`History`] what it says. `HISTORY.md` is the format. Nothing here opens a file or
//! reads a clock.

mod fold;
mod ledger;
mod line;
mod news;
mod night;
mod said;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use ledger::{Ledger, LedgerReader};
pub use line::{MAX_LINE_BYTES, Problem, ProblemKind, Reading, read};
pub use news::News;
pub use night::Night;
pub use said::{
    Course, DEFAULT_NEWEST, Filter, History, Known, NightSum, Place, Point, Seen, Trouble, Turn,
};

use crate::event::{Exposure, VIRTUAL, kernel_name};

/// Version of the line format; lines of a newer one are named and skipped.
pub const FORMAT: u32 = 1;

/// What a run came to: a line of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Id of the run; no other run has it.
    pub run: SmolStr,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// Name of the machine that led it; empty if not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Version of swapstorm.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Whether somebody ended it before its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Its cells, those together whose keys differ in the number only.
    pub cells: Vec<Cells>,
}

/// Cells of a run that differ in their number only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    /// Manifest, or the tree that was named instead.
    pub kernel: SmolStr,
    /// Series; `None` for the kernel as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SmolStr>,
    /// `uname -r`; empty if not known.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub release: SmolStr,
    /// Architecture.
    pub arch: SmolStr,
    /// Compiler of the kernel; empty if it is not ours.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub toolchain: SmolStr,
    /// Mode of KASAN; empty where it is off or not known.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub kasan: SmolStr,
    /// Name of the profile.
    pub profile: SmolStr,
    /// Digest of the profile as it was used, its first twelve digits.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub digest: SmolStr,
    /// Technique.
    pub technique: SmolStr,
    /// By which clock guests lived: `wall` or `virtual`.
    pub clock: SmolStr,
    /// `tcg`, `kvm` or `ssh`; empty if no machine was started.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub accel: SmolStr,
    /// How many cells there are.
    pub runs: u32,
    /// How many of them could show a bug: a machine of theirs came up and its exposure counts, or they showed one.
    pub storms: u32,
    /// How many cells had which verdict, by its word.
    pub verdicts: BTreeMap<SmolStr, u32>,
    /// Exposure of all of them together.
    #[serde(default)]
    pub exposure: Exposure,
    /// Bugs that they showed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<Sighting>,
    /// How many more bugs they showed than the line has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_bugs: u32,
    /// What went wrong that is no bug, by its word, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trouble: BTreeMap<SmolStr, u32>,
    /// The first line of why the first of them without an answer has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Medians of the metrics over the storms that came to their end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<SmolStr, f64>,
}

/// A bug in cells that differ in their number only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// What the same bug has in every run, on every kernel and architecture: [`crate::finding::Finding::signature`].
    pub signature: SmolStr,
    /// Name of the rule that expects it; empty if none does.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub rule: SmolStr,
    /// Title of the rule that expects it, or else of the first report.
    pub title: String,
    /// What it is to the rule of the cells: `expected`, `related` or `another`.
    pub standing: SmolStr,
    /// How many of the cells showed it.
    pub storms: u32,
}

impl Cells {
    /// Kernel and series for a person.
    pub fn kernel_name(&self) -> String {
        kernel_name(&self.kernel, self.series.as_deref())
    }

    /// Names the setting, in which bugs show at one rate if nothing changes: kernel, architecture, compiler, KASAN, profile, technique
    /// and clock. The kernel's release and the profile's digest are no part of it: what becomes of a bug when these change is
    /// the question.
    pub fn setting(&self) -> String {
        let Self { arch, profile, technique, .. } = self;
        let mut words = format!("{}, {arch}", self.kernel_name());
        for (before, word) in [("", &self.toolchain), ("KASAN ", &self.kasan)] {
            if !word.is_empty() {
                words.push_str(&format!(", {before}{word}"));
            }
        }
        words.push_str(&format!(", {profile}, {technique}"));
        if self.clock == VIRTUAL {
            words.push_str(", virtual clock");
        }
        words
    }

    /// Names the setting in which numbers may stand beside each other: that of [`setting`](Self::setting), with the profile's digest
    /// and the accelerator.
    fn course(&self) -> String {
        let mut words = self.setting();
        for word in [&self.accel, &self.digest] {
            if !word.is_empty() {
                words.push_str(&format!(", {word}"));
            }
        }
        words
    }
}

impl Sighting {
    /// Whether both are the same bug: of the same rule, whose bug has many faces, or else of the same signature.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    fn key(&self) -> (bool, &SmolStr) {
        let is_of_rule = !self.rule.is_empty();
        (is_of_rule, if is_of_rule { &self.rule } else { &self.signature })
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
