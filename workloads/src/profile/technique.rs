// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the bug of a profile is provoked.

use std::fmt;

use serde::Deserialize;

/// How a bug is provoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Technique {
    /// By load alone: it is quicker where each task that is put to sleep costs more of the storm than it gains.
    Natural,
    /// By making tasks sleep at the profile's points.
    #[default]
    Stretch,
}

impl Technique {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Natural, Self::Stretch];

    /// Its name in plans and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Stretch => "stretch",
        }
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
