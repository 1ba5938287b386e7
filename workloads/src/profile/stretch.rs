// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where tasks are put to sleep: a window, and the calls that end it in one kernel or another.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{scalar, schemas};

/// A window in which a task is put to sleep.
///
/// The same window lies in other functions in other kernels, so a point lists calls, and stands at
/// the first one that the kernel has.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StretchPoint {
    /// Which window this is.
    pub why: String,
    /// Calls that end it, the ones that fit a kernel best first.
    #[serde(deserialize_with = "candidates")]
    #[schemars(extend("minItems" = 1))]
    pub candidates: Vec<Candidate>,
    /// What a sleep here is worth.
    #[serde(default)]
    pub role: Role,
    /// How long the task sleeps, in milliseconds.
    #[serde(deserialize_with = "scalar::number::<_, 1, 10000>")]
    #[schemars(schema_with = "schemas::number::<1, 10000>")]
    pub ms: u64,
    /// Which share of the tasks that come by is put to sleep, above 0 and up to 1.
    #[serde(default = "always", deserialize_with = "scalar::probability")]
    #[schemars(schema_with = "schemas::probability")]
    pub probability: f64,
    /// So many tasks may sleep here at the same time.
    #[serde(default = "one", deserialize_with = "scalar::number::<_, 1, 64>")]
    #[schemars(schema_with = "schemas::number::<1, 64>")]
    pub most_at_a_time: u64,
    /// A point that only some kernels have: its absence is no error.
    #[serde(default)]
    pub optional: bool,
}

/// A call, named by what stands around it. The order is that of addresses, which is the source's but
/// for what the compiler holds to be unlikely. Calls of a function that was inlined stand in the
/// function that it was inlined into.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The kernel function that makes the call.
    #[serde(deserialize_with = "scalar::symbol")]
    #[schemars(schema_with = "schemas::symbol")]
    pub function: String,
    /// The function that is called.
    #[serde(deserialize_with = "scalar::symbol")]
    #[schemars(schema_with = "schemas::symbol")]
    pub call: String,
    /// Which of the calls that fit `after` and `before`, from 1.
    #[serde(default = "one", deserialize_with = "scalar::number::<_, 1, 64>")]
    #[schemars(schema_with = "schemas::number::<1, 64>")]
    pub occurrence: u64,
    /// The call stands behind the first call to this function.
    #[serde(default, deserialize_with = "scalar::optional_symbol")]
    #[schemars(schema_with = "schemas::symbol")]
    pub after: Option<String>,
    /// The call stands before the first call to this function (behind `after`, if that is given).
    #[serde(default, deserialize_with = "scalar::optional_symbol")]
    #[schemars(schema_with = "schemas::symbol")]
    pub before: Option<String>,
}

/// What a sleep at a point is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It is the bug's window: a sleep here is exposure.
    #[default]
    Window,
    /// It helps the bug elsewhere, and proves nothing by itself.
    Help,
}

fn always() -> f64 {
    1.0
}

fn one() -> u64 {
    1
}

/// A list with something in it.
fn candidates<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Candidate>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        return Err(serde::de::Error::invalid_length(0, &"a list of at least one call"));
    }
    Ok(list)
}
