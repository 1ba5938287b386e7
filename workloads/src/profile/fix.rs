// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which series fixes the bug that a profile is made to show.
//!
//! ```yaml
//! fixes:                        # the first one that fits a kernel is taken
//!   - series: my-fix-6.6        # a shipped series, or one of the user's data folder
//!     kernels: [stable-6.6]     # as the command line names them; without it, every kernel
//!   - series: my-fix-6.1
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Profile, scalar, schemas};

/// A series that fixes the profile's bug in some kernels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Name of the series.
    #[serde(deserialize_with = "scalar::name")]
    #[schemars(schema_with = "schemas::name")]
    pub series: String,
    /// The kernels that it is for; every kernel if there are none.
    #[serde(default)]
    pub kernels: Vec<String>,
}

impl Profile {
    /// Name of the series that fixes the profile's bug in `kernel`, which is named as on the command
    /// line; `None` if the profile names none for it.
    pub fn fix_for(&self, kernel: &str) -> Option<&str> {
        let fits =
            |fix: &&Fix| fix.kernels.is_empty() || fix.kernels.iter().any(|one| one == kernel);
        self.fixes.iter().find(fits).map(|fix| fix.series.as_str())
    }
}
