// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reachability gate: what a kernel must have for the expected bug to show.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{KernelUnderTest, Storm, pool, scalar, schemas};

/// One thing that the kernel must have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NeedFile")]
pub struct Need {
    /// What it is.
    pub what: Needed,
    /// Why the bug cannot show without.
    pub why: String,
}

/// What a kernel must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// One of these options.
    AnyOf(Vec<Alternative>),
    /// The zswap pool that the storm will use on it must be able to write back.
    PoolWriteback,
}

/// As it is written: one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Need", extend("oneOf" = [{"required": ["any_of"]}, {"required": ["pool"]}]))]
pub(super) struct NeedFile {
    /// One of these options.
    #[serde(default)]
    #[schemars(extend("minItems" = 1))]
    any_of: Vec<Alternative>,
    /// What the zswap pool that the storm will use must be able to do.
    pool: Option<PoolFile>,
    /// Why the bug cannot show without.
    why: String,
}

/// What a pool must be able to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum PoolFile {
    /// It can write back.
    Writeback,
}

impl TryFrom<NeedFile> for Need {
    type Error = &'static str;

    fn try_from(file: NeedFile) -> Result<Self, Self::Error> {
        let what = match (file.any_of, file.pool) {
            (any_of, None) if !any_of.is_empty() => Needed::AnyOf(any_of),
            (any_of, Some(PoolFile::Writeback)) if any_of.is_empty() => Needed::PoolWriteback,
            _ => return Err("expected one of `any_of`, `pool`"),
        };
        Ok(Self { what, why: file.why })
    }
}

/// An option and its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// `CONFIG_PREEMPT`.
    #[serde(deserialize_with = "scalar::option")]
    #[schemars(schema_with = "schemas::option")]
    pub option: String,
    /// `y` if it is left out; `n` means not set.
    #[serde(default = "yes")]
    pub value: String,
}

fn yes() -> String {
    "y".to_owned()
}

impl Alternative {
    pub(super) fn is_met(&self, kernel: &KernelUnderTest<'_>) -> bool {
        kernel.value(&self.option) == self.value
    }
}

/// A need that a kernel does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet<'a> {
    /// What was needed.
    pub need: &'a Need,
    /// What there is instead: `needs CONFIG_PREEMPT=y (it is n)`.
    pub found: String,
}

impl Need {
    pub(super) fn unmet(&self, storm: &Storm, kernel: &KernelUnderTest<'_>) -> Option<Unmet<'_>> {
        let found = match &self.what {
            Needed::AnyOf(any_of) if any_of.iter().any(|one| one.is_met(kernel)) => return None,
            Needed::AnyOf(any_of) => {
                let words = |one: &Alternative| {
                    format!("{}={} (it is {})", one.option, one.value, kernel.value(&one.option))
                };
                let words: Vec<String> = any_of.iter().map(words).collect();
                format!("needs {}", words.join(" or "))
            }
            Needed::PoolWriteback => {
                let obstacle = pool::obstacle(storm, kernel)?;
                format!("needs a zswap pool that can write back ({obstacle})")
            }
        };
        Some(Unmet { need: self, found })
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.need.why)
    }
}
