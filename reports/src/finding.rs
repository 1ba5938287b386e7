// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the console reader finds: one kernel bug report as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One kernel bug report read from a console.
///
/// Build one with `..Finding::default()`: more facts may be added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Offset of the first byte of the report in the console stream; in a log that was saved as
    /// UTF-16, of its text in UTF-8.
    pub offset: u64,
    /// Number of the first line in the console stream, from 1.
    #[serde(default)]
    pub line: u64,
    /// Hash that the same bug has in every run: see [`crate::console::signature`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// `proc=P, id=N` of the fuzzer program that the report names (`Comm: syz.P.N`); else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub executor: String,
    /// Source file that the report points at, of a symbolised report: `mm/zswap.c`; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guilty_file: String,
    /// Where the report was made.
    #[serde(default)]
    pub scene: Scene,
    /// First lines of the panics, oopses and warnings that this report brought about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<String>,
}

/// Who was running what when a report was made, as far as the report says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// CPU number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Task id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Task name (`Comm:`); empty if not printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comm: String,
    /// Taint letters (`G    B   W`); empty if not tainted or not printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub taint: String,
    /// Kernel release (`6.1.0-13-amd64`); empty if not printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// Work queue and work function (`events shrink_worker`); empty outside one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workqueue: String,
    /// Registers that tell what went wrong (`RIP`, `CR2`, `pc`, `far`, ...) and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registers: BTreeMap<SmolStr, SmolStr>,
}

impl Scene {
    /// Whether the kernel says that it had an oops before this report (taint `D`). What it reports then may be
    /// no more than what the dead task left behind: locks, lists, counts of nesting.
    pub fn died_before(&self) -> bool {
        self.taint.contains('D')
    }
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
    /// Function name without offset and compiler suffix (`.isra.0`). A report has dozens, and
    /// most are short.
    pub function: SmolStr,
    /// Offset in the function and the function's size in bytes, when printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<(u64, u64)>,
    /// Source place, when printed or looked up in a vmlinux: `mm/zswap.c:988`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The compiler put this function's code into the next frame's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
}
