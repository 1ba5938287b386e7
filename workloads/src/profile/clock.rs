// SPDX-License-Identifier: MIT OR Apache-2.0
//! By which clock a guest lives.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// By which clock a guest lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The host's: the guest gets as far as the host lets it.
    #[default]
    Wall,
    /// The guest's own instructions: the same kernel, image, words and seed give the same run, whatever the
    /// host does beside it. It takes one CPU, a translated guest, and swap devices in the guest's memory.
    Virtual,
}

impl Clock {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Wall, Self::Virtual];

    /// Its name in profiles and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Virtual => "virtual",
        }
    }

    /// Whether it is [`Clock::Virtual`].
    pub fn is_virtual(self) -> bool {
        self == Self::Virtual
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
