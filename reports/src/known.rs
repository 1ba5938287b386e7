// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bugs that a plan knows of: they are counted and raise no alarm, and it is said when they stay away.

use std::fmt;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::run::{CellReport, RunFacts, RunReport, Standing};

/// A bug that is known, with the cells in which it may show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBug {
    /// Its title, or `data corruption: ` and the agent's words; `*` stands for any text, `?` for one character. Empty if
    /// `rule` says what it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Name of the rule whose expected bug it is. Empty if `title` says what it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Why it is no news, for a person.
    pub note: String,
    /// The day from which on it is known: `2026-11-26`.
    pub since: String,
    /// The last day on which it raises no alarm. Empty: without end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// The cells in which it may show.
    #[serde(default)]
    pub cells: Selection,
}

/// Cells, by what they are. A list that is empty takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Names of manifests, or trees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<String>,
    /// Names of series; `none`: the kernel as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<String>,
    /// Architectures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arch: Vec<String>,
    /// Compiler families.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub toolchains: Vec<String>,
    /// Modes of KASAN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kasan: Vec<String>,
    /// Names of profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Techniques.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<String>,
}

/// What stands for the kernel as it is in a list of series.
pub const NO_SERIES: &str = "none";

impl Selection {
    /// Whether a cell is one of these.
    pub fn has(&self, cell: &crate::event::Cell) -> bool {
        let takes = |list: &[String], word: &str| {
            list.is_empty() || list.iter().any(|listed| listed == word)
        };
        takes(&self.kernels, &cell.kernel)
            && takes(&self.series, cell.series.as_deref().unwrap_or(NO_SERIES))
            && takes(&self.arch, &cell.arch)
            && takes(&self.toolchains, &cell.toolchain)
            && takes(&self.kasan, &cell.kasan)
            && takes(&self.profiles, &cell.profile)
            && takes(&self.techniques, &cell.technique)
    }
}

impl KnownBug {
    /// Whether it raises no alarm in a run that began at `started` (RFC 3339, UTC). Days compare as text.
    pub fn holds(&self, started: &str) -> bool {
        let day = started.get(..10).unwrap_or(started);
        self.until.is_empty() || day <= self.until.as_str()
    }

    /// Whether a report with this title, which is the cell's expected bug or not, is it.
    pub(crate) fn is(&self, cell: &CellReport, title: &str, standing: Standing) -> bool {
        let by_rule = || {
            standing == Standing::Expected
                && cell.cell.expect.as_deref() == Some(self.rule.as_str())
        };
        self.cells.has(&cell.cell)
            && match self.title.as_str() {
                "" => by_rule(),
                pattern => WildMatch::new(pattern).matches(title),
            }
    }
}

impl fmt::Display for KnownBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.title.as_str() {
            "" => write!(f, "the bug of the rule {}", self.rule),
            title => f.write_str(title),
        }
    }
}

/// What became of a known bug in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownStanding<'a> {
    /// The bug.
    pub bug: &'a KnownBug,
    /// Whether the run was begun after the last day on which it raises no alarm.
    pub expired: bool,
    /// Cells that showed it.
    pub shown: usize,
    /// Cells that may show it and came to an answer.
    pub cells: usize,
}

impl KnownStanding<'_> {
    /// Whether it stayed away although it may have shown.
    pub fn stayed_away(&self) -> bool {
        self.shown == 0 && self.cells > 0
    }
}

impl RunReport {
    /// What became of the bugs that the runs' plans know of, in the plans' order.
    pub fn known_bugs(&self) -> Vec<KnownStanding<'_>> {
        self.runs.iter().flat_map(|run| self.known_of(run)).collect()
    }

    fn known_of<'a>(&'a self, run: &'a RunFacts) -> impl Iterator<Item = KnownStanding<'a>> {
        let answered = |cell: &&CellReport| {
            cell.run == run.id && (cell.verdict.is_clean() || cell.verdict.is_bug())
        };
        run.known.iter().map(move |bug| {
            let own =
                || self.cells.iter().filter(answered).filter(|cell| bug.cells.has(&cell.cell));
            let expects = |cell: &&CellReport| {
                bug.rule.is_empty() || cell.cell.expect.as_deref() == Some(bug.rule.as_str())
            };
            KnownStanding {
                bug,
                expired: !bug.holds(&run.started),
                shown: own().filter(|cell| cell.shows(bug)).count(),
                cells: own().filter(expects).count(),
            }
        })
    }
}

impl CellReport {
    /// Whether a report of this cell is that bug.
    pub fn shows(&self, bug: &KnownBug) -> bool {
        self.bugs.iter().any(|one| bug.is(self, &one.finding.title, one.standing))
            || self
                .corruptions
                .iter()
                .any(|one| bug.is(self, &format!("data corruption: {}", one.detail), one.standing))
    }
}

#[cfg(test)]
mod tests;
