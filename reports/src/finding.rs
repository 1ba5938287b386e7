// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the console reader finds: one kernel bug report as data.

use serde::{Deserialize, Serialize};

/// One kernel bug report read from a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Normalised title, the key for grouping: `KASAN: use-after-free Write in _raw_spin_lock`.
    pub title: String,
    /// Other titles under which the same bug is known to appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_titles: Vec<String>,
    /// Type word, e.g. `KASAN-USE-AFTER-FREE-WRITE`, `WARNING`, `HANG`; `UNKNOWN` if none fits.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function that is blamed; empty if the title names none.
    pub frame: String,
    /// Why the report cannot be trusted in full; `None` if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupted: Option<String>,
    /// The first line as it was printed, control characters removed, at most 512 bytes.
    pub head: String,
    /// Stacks in the order in which they were printed.
    #[serde(default)]
    pub stacks: Vec<Stack>,
    /// The report's own lines, escaped and bounded (64 KiB).
    pub text: String,
    /// Offset of the first byte of the report in the console stream.
    pub offset: u64,
}

/// What a stack is evidence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackRole {
    /// The access, or the place where the report was made.
    Access,
    /// "Allocated by task N".
    AllocatedBy,
    /// "Freed by task N".
    FreedBy,
    /// Any other stack in the report.
    Other,
}

/// One stack of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// What the stack is evidence of.
    pub role: StackRole,
    /// The task that the stack's header names (`kworker/1:1/21` or `35`), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Frames, innermost first, unreliable ones left out.
    pub frames: Vec<Frame>,
}

/// One frame of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Function name without offset and compiler suffix (`.isra.0`).
    pub function: String,
    /// Offset in the function and the function's size in bytes, when printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<(u64, u64)>,
}
