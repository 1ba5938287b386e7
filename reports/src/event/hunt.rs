// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hunt tells of its sites.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// So many sleeps that nobody overtook, and none that somebody did, make a site protected.
const BLOCKED: u64 = 2;

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

/// A site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Who came by.
    #[serde(flatten)]
    pub counts: SiteCounts,
    /// Sleeps there, by the actor that was to overtake them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beside: BTreeMap<String, Beside>,
}

/// Sleeps at a site beside one actor, by what they came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The actor did all that it was asked for.
    pub overlapped: u64,
    /// It did some of it.
    pub partly: u64,
    /// It did nothing.
    pub blocked: u64,
}

impl Beside {
    /// Whether the actor seems to wait for whoever sleeps here.
    pub fn is_protected(&self) -> bool {
        self.overlapped + self.partly == 0 && self.blocked >= BLOCKED
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
