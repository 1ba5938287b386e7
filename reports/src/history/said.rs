// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a history says: bugs and how often they show, what came, what went, what got better or worse, what failed that is not
//! the kernel's fault, and the numbers from night to night.

mod bugs;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use bugs::{Known, Place, Seen, Turn};
pub use rest::{Course, NightSum, Point, Trouble};

use super::{Cells, Ledger, Night, Run};

/// How many of the newest nights are held against those before, where nobody says otherwise.
pub const DEFAULT_NEWEST: usize = 7;
/// What is called worse comes about by chance with at most this probability, and so does what is called better or gone.
pub(crate) const UNLIKELY: f64 = 0.025;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Nights before this one do not count; only whether a bug was known by then is asked of them.
    pub since: Option<Night>,
    /// Only this architecture.
    pub arch: Option<String>,
    /// Only this kernel: by its name, with its series (`NAME + SERIES`), or by its release.
    pub kernel: Option<String>,
    /// How many of the newest nights are held against those before, at least 1.
    pub newest: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { since: None, arch: None, kernel: None, newest: DEFAULT_NEWEST }
    }
}

impl Filter {
    fn takes(&self, cells: &Cells) -> bool {
        let is_kernel = |name: &str| {
            cells.kernel == name || cells.release == name || cells.kernel_name() == name
        };
        self.arch.as_ref().is_none_or(|arch| cells.arch == arch.as_str())
            && self.kernel.as_ref().is_none_or(|name| is_kernel(name))
    }
}

/// What the nights of a ledger say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    /// Runs that have a cell which counts.
    pub runs: usize,
    /// Names of the machines that led them.
    pub hosts: BTreeSet<String>,
    /// The nights, the earliest first.
    pub nights: Vec<NightSum>,
    /// From which night on nights are held against those before; `None` of none.
    pub newest_from: Option<Night>,
    /// How many nights these are.
    pub newest: usize,
    /// Bugs: those that want a look first.
    pub bugs: Vec<Known>,
    /// What went wrong that is no bug, the most frequent first.
    pub trouble: Vec<Trouble>,
    /// Metrics from night to night.
    pub courses: Vec<Course>,
}

impl History {
    /// What a ledger says of what the filter takes.
    pub fn of(ledger: &Ledger, filter: &Filter) -> Self {
        let mut runs: Vec<(Night, &Run)> = ledger.runs.iter().map(|(n, run)| (*n, run)).collect();
        runs.sort_by(|(a, one), (b, other)| {
            (a, &one.started, &one.run).cmp(&(b, &other.started, &other.run))
        });
        let counts = |night: Night| filter.since.is_none_or(|since| night >= since);
        let mut history = Self::default();
        let (mut bugs, mut rest) = (bugs::Fold::default(), rest::Fold::default());
        for (night, run) in runs {
            let mut cells = run.cells.iter().filter(|cells| filter.takes(cells)).peekable();
            if cells.peek().is_none() {
                continue;
            }
            if counts(night) {
                history.runs += 1;
                if !run.host.is_empty() {
                    history.hosts.insert(run.host.clone());
                }
                rest.begin(night);
            }
            for cells in cells {
                bugs.push(night, run, cells, counts(night));
                if counts(night) {
                    rest.push(run, cells);
                }
            }
        }
        let nights: Vec<Night> = rest.nights.iter().map(|sum| sum.night).collect();
        history.newest = filter.newest.max(1).min(nights.len());
        history.newest_from = nights.iter().nth_back(history.newest.saturating_sub(1)).copied();
        if let (Some(from), Some(last)) = (history.newest_from, nights.last()) {
            history.bugs = bugs.finish(from, *last);
        }
        (history.nights, history.trouble, history.courses) = rest.finish(history.newest_from);
        let mut new: BTreeMap<Night, usize> = BTreeMap::new();
        for bug in &history.bugs {
            *new.entry(bug.first.night).or_default() += 1;
        }
        for sum in &mut history.nights {
            sum.new_bugs = new.get(&sum.night).copied().unwrap_or(0);
        }
        history
    }

    /// Bugs that came to this end.
    pub fn turned(&self, is_it: impl Fn(&Turn) -> bool) -> impl Iterator<Item = &Known> {
        self.bugs.iter().filter(move |bug| is_it(&bug.turn))
    }

    /// Storms of all nights.
    pub fn storms(&self) -> u64 {
        self.nights.iter().map(|sum| sum.storms).sum()
    }
}
