// SPDX-License-Identifier: MIT OR Apache-2.0
//! Baselines: what a kernel's storms came to in a good night, kept so that later nights can be compared with it.
//!
//! A file of baselines is append-only, a [`Baseline`] or an [`Accepted`] a line, and what holds now is a fold over its
//! lines: [`Book`]. `BASELINES.md` is the format. Nothing here opens a file or reads a clock.

mod book;
mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use book::{Book, BookReader, Entry, Standing};
pub use line::{MAX_LINE_BYTES, Problem, ProblemKind};

use crate::comparison::{Conditions, Key, Refusal, Side, Storm, Storms, gather, in_order};
use crate::run::{Measured, RunFacts, RunReport};

/// Version of the line format; lines of a newer one are named and skipped.
pub const FORMAT: u32 = 1;
/// Longest note or reason, in characters.
pub const MAX_WORDS: usize = 1000;

/// What a kernel's storms came to in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Names it in its file: the day on which it was recorded, and a number. Empty until it is [named](Self::named).
    pub id: String,
    /// When it was recorded, RFC 3339, UTC. Empty until it is named.
    pub at: String,
    /// What whoever recorded it had to say.
    #[serde(default)]
    pub note: String,
    /// Id of its run.
    pub run: SmolStr,
    /// When that began, RFC 3339, UTC.
    pub started: String,
    /// The kernel.
    pub kernel: Kernel,
    /// Name of the profile.
    pub profile: String,
    /// Conditions by name. What they are named is what comparisons name them.
    pub conditions: BTreeMap<SmolStr, String>,
    /// Names of the counters.
    pub counters: Vec<String>,
    /// The storms: at least one.
    pub storms: Vec<Told>,
}

/// A baseline's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Manifest, or the tree that was named instead.
    pub name: String,
    /// Series; `None` for the kernel as it is.
    pub series: Option<String>,
    /// `uname -r`; empty if not known.
    pub release: String,
    /// Its key in the store; empty if it has none.
    pub key: String,
}

/// A storm of a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which of several runs of the same, from 1.
    pub number: u32,
    /// The cell's seed.
    pub seed: u64,
    /// When it began, in milliseconds of its run.
    pub began_ms: u64,
    /// How long it was, in milliseconds of guest time.
    pub guest_ms: u64,
    /// For each of the counters its first value, its last, the sum of all and the number of samples that had it; `None` if
    /// the kernel does not have it.
    pub values: Vec<Option<[u64; 4]>>,
}

/// A baseline becomes the one that its key is measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// [`Baseline::id`].
    pub baseline: String,
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Why.
    pub reason: String,
}

impl Baseline {
    /// Storms of one kernel that a run told of.
    pub fn of(storms: &Storms, run: &RunFacts) -> Self {
        let mut counters: Vec<String> = Vec::new();
        for name in storms.storms.iter().flat_map(|storm| storm.measured.names()) {
            if counters.len() < line::MAX_COUNTERS && !counters.contains(name) {
                counters.push(name.clone());
            }
        }
        let told = |storm: &Storm| Told {
            number: storm.number,
            seed: storm.seed,
            began_ms: storm.began_ms,
            guest_ms: storm.guest_ms,
            values: counters.iter().map(|name| storm.measured.told(name)).collect(),
        };
        let first = storms.storms.first();
        let of_first = |what: fn(&Storm) -> &String| {
            first.map_or_else(String::new, |storm| what(storm).clone())
        };
        Self {
            id: String::new(),
            at: String::new(),
            note: String::new(),
            run: run.id.clone(),
            started: run.started.clone(),
            kernel: Kernel {
                name: storms.kernel.clone(),
                series: storms.series.clone(),
                release: of_first(|storm| &storm.release),
                key: of_first(|storm| &storm.kernel_key),
            },
            profile: of_first(|storm| &storm.profile),
            conditions: storms.key().conditions.into_iter().collect(),
            storms: storms.storms.iter().map(told).collect(),
            counters,
        }
    }

    /// The same with an id, a time and a note.
    pub fn named(self, id: String, at: &str, note: &str) -> Self {
        Self { id, at: at.to_owned(), note: note.to_owned(), ..self }
    }

    /// Its storms, for a comparison.
    pub fn storms(&self) -> Storms {
        let conditions = self.conditions();
        let counters = Arc::new(self.counters.clone());
        let storm = |told: &Told| Storm {
            run: self.run.clone(),
            number: told.number,
            seed: told.seed,
            profile: self.profile.clone(),
            release: self.kernel.release.clone(),
            kernel_key: self.kernel.key.clone(),
            began_ms: told.began_ms,
            guest_ms: told.guest_ms,
            conditions: conditions.clone(),
            measured: Measured::of(&counters, &told.values),
        };
        Storms {
            kernel: self.kernel.name.clone(),
            series: self.kernel.series.clone(),
            baseline: self.id.clone(),
            notes: Vec::new(),
            storms: self.storms.iter().map(storm).collect(),
        }
    }

    /// What it may be compared with.
    pub fn key(&self) -> Key {
        let Kernel { name, series, .. } = &self.kernel;
        let lengths = self.storms.iter().map(|told| told.guest_ms);
        Key::new(name, series.as_deref(), self.conditions(), lengths)
    }

    /// Whether it tells of the same storms.
    pub fn is_of_the_same_run(&self, other: &Self) -> bool {
        self.run == other.run && self.key().fits(&other.key())
    }

    fn conditions(&self) -> Conditions {
        let conditions = self.conditions.iter();
        in_order(conditions.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// What the storms of a side may be compared with.
///
/// # Errors
/// No cell is selected, none of its storms says what its kernel does, or there are several keys.
pub fn key_of(report: &RunReport, side: &Side) -> Result<Key, Refusal> {
    let (all, mut left_out) = gather(report, side)?;
    match &all[..] {
        [one] => Ok(one.key()),
        [] => {
            left_out.truncate(20);
            let what = format!("there is no finished storm:\n    {}", left_out.join("\n    "));
            Err(Refusal { what, hint: "name another run".to_owned() })
        }
        several => {
            let keys: Vec<String> = several.iter().map(|one| one.key().to_string()).collect();
            let (n, keys) = (several.len(), keys.join("\n    "));
            let what = format!("the run has {n} kernels or settings:\n    {keys}");
            let hint = "choose one by words that are in one of them only, such as --b WORD,WORD";
            Err(Refusal { what, hint: hint.to_owned() })
        }
    }
}
