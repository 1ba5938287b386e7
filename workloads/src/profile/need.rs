// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reachability gate: kernel options without which the expected bug cannot show.

use std::fmt;

use serde::Deserialize;

use super::scalar;

/// One thing that the kernel must have, in one of several ways.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// One of these is enough.
    pub any_of: Vec<Alternative>,
    /// Why the bug cannot show without.
    pub why: String,
}

/// An option and its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// `CONFIG_PREEMPT`.
    #[serde(deserialize_with = "scalar::option")]
    pub option: String,
    /// `y` if it is left out; `n` means not set.
    #[serde(default = "yes")]
    pub value: String,
}

fn yes() -> String {
    "y".to_owned()
}

/// A need that a configuration does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet<'a> {
    /// What was needed.
    pub need: &'a Need,
    /// The value that each alternative has in that configuration, `n` if it is not set.
    pub found: Vec<String>,
}

impl Need {
    pub(super) fn unmet(&self, option: &impl Fn(&str) -> Option<String>) -> Option<Unmet<'_>> {
        let value = |alternative: &Alternative| {
            option(&alternative.option).unwrap_or_else(|| "n".to_owned())
        };
        let found: Vec<String> = self.any_of.iter().map(value).collect();
        let met = self.any_of.iter().zip(&found).any(|(wanted, found)| wanted.value == *found);
        (!met).then_some(Unmet { need: self, found })
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (wanted, found)) in self.need.any_of.iter().zip(&self.found).enumerate() {
            let or = if at == 0 { "needs " } else { " or " };
            write!(f, "{or}{}={} (it is {found})", wanted.option, wanted.value)?;
        }
        write!(f, ": {}", self.need.why)
    }
}
