// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine on the virtual clock did, in a few bytes.

use serde::{Deserialize, Serialize};

/// What a machine on the virtual clock did, from its start to the end that it came to by itself. The same kernel, image,
/// words and seed give the same digest. It is SHA-256, so that `sha256sum console.log` tells the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// SHA-256 of every byte that it printed, hexadecimal.
    pub console: String,
    /// How many these were.
    pub console_bytes: u64,
    /// SHA-256 of its counters, hexadecimal: the columns and rows of its samples as the log has them, each as a JSON array and
    /// a line feed, and then what happened at its stretch points, as the last `windows` event has it.
    pub counters: String,
}
