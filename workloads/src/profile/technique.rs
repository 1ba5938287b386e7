// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the bug of a profile is provoked.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// How a bug is provoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Technique {
    /// By load alone: it is quicker where each task that is put to sleep costs more of the storm than it gains.
    #[serde(rename = "natural")]
    Natural,
    /// By making tasks sleep at the profile's points.
    #[default]
    #[serde(rename = "stretch")]
    Stretch,
    /// By taking the processors away from tasks in the middle of what they do, from inside the guest.
    #[serde(rename = "preempt")]
    Preempt,
    /// Both at once.
    #[serde(rename = "preempt+stretch")]
    PreemptStretch,
    /// By making tasks sleep everywhere, one after the other, and driving the other side past them. Only `swapstorm hunt`
    /// does so.
    #[serde(skip)]
    Hunt,
}

impl Technique {
    /// All that can be asked for by name.
    pub const ALL: [Self; 4] = [Self::Natural, Self::Stretch, Self::Preempt, Self::PreemptStretch];

    /// Its name in plans, in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Stretch => "stretch",
            Self::Preempt => "preempt",
            Self::PreemptStretch => "preempt+stretch",
            Self::Hunt => "hunt",
        }
    }

    /// The technique of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether tasks are made to sleep, which takes QEMU's gdbstub.
    pub fn stretches(self) -> bool {
        matches!(self, Self::Stretch | Self::PreemptStretch)
    }

    /// Whether tasks are made to sleep where nobody has asked for it.
    pub fn hunts(self) -> bool {
        self == Self::Hunt
    }

    /// Whether the guest's processors are taken away from tasks.
    pub fn preempts(self) -> bool {
        matches!(self, Self::Preempt | Self::PreemptStretch)
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
