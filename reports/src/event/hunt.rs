// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hunt tells of its sites.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who came by at a site, as far as somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCounts {
    /// Tasks that came by.
    pub reached: u64,
    /// Those among them that must not sleep there, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

impl SiteCounts {
    /// Whether a task came by that may sleep.
    pub fn may_sleep(&self) -> bool {
        self.refused.values().fold(0u64, |sum, n| sum.saturating_add(*n)) < self.reached
    }
}

/// What a sleep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The other side did all that it was asked for meanwhile: to each device, say.
    Overlapped,
    /// It did some of it, and had to wait with the rest, or was slow.
    Partly,
    /// It did nothing of it.
    Blocked,
    /// The guest's end cut it short.
    Cut,
}

impl Outcome {
    /// Whether anything was done while the task slept: such a sleep counts as a window.
    pub fn is_overtaken(self) -> bool {
        matches!(self, Self::Overlapped | Self::Partly)
    }
}

/// A task slept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// Where: `function:callee#n`.
    pub site: String,
    /// Who was asked to overtake it: `swapoff`, ...
    pub actor: String,
    /// What it came to.
    pub outcome: Outcome,
    /// To how many things something was done meanwhile.
    pub done: u64,
    /// Milliseconds of guest time that it was to sleep.
    pub ms: u64,
}

/// A sleeper that a report may be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Where it slept.
    pub site: String,
    /// Who was asked to overtake it.
    pub actor: String,
    /// To how many things that was done until the report, or the end of the sleep.
    pub done: u64,
    /// Whether it slept still.
    pub asleep: bool,
    /// Whether the report's stack holds the site's function.
    pub in_stack: bool,
}
