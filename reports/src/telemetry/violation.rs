// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invariants that do not hold: what the agent says of one, and the report that it makes.

use super::words_to_text;
use crate::console::signature;
use crate::escape::printable;
use crate::finding::Finding;

/// Longest first line of a report.
const MAX_HEAD: usize = 512;

/// The type word of such a report.
pub const INVARIANT: &str = "INVARIANT";

/// The agent's word for an invariant, and what is wrong where it does not hold.
const CHECKS: &[(&str, &str)] = &[
    ("zswap-empty", "zswap stores something after swapoff"),
    ("zswap-slab", "zswap entries are left after swapoff"),
    ("memcg-zswap", "a memcg has something in zswap after swapoff"),
    ("memcg-gone", "a memcg dies for ever"),
    ("swap-sums", "the sums of swap differ"),
    ("swap-lost", "swap entries are lost"),
    ("swapoff-error", "swapoff fails"),
];

/// `violated`: while the storm stood still, something was not as every kernel must have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violation {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// The invariant's word: `zswap-empty`, `memcg-gone`, ...
    pub check: String,
    /// Whose number it is: a file and a key in it, or a device.
    pub what: String,
    /// The number.
    pub got: u64,
    /// What it should have come to.
    pub want: u64,
    /// Milliseconds for which it was waited for, as far as the guest ran.
    pub awake_ms: u64,
    /// All keys but `ms`, in the order in which they were printed.
    pub words: Vec<(String, String)>,
}

impl Violation {
    /// The agent's words in one printable line.
    pub fn detail(&self) -> String {
        words_to_text(&self.words)
    }

    /// The report that it makes. It has no stack: the damage was done before.
    pub fn report(&self) -> Finding {
        let known = CHECKS.iter().find(|(check, _)| *check == self.check);
        let wrong = known.map_or_else(|| printable(&self.check), |(_, wrong)| (*wrong).into());
        let head = format!(
            "swapstorm: {} is {}, expected {}, after {} ms",
            printable(&self.what),
            self.got,
            self.want,
            self.awake_ms
        );
        let mut finding = Finding {
            title: format!("{INVARIANT}: {wrong}"),
            kind: INVARIANT.to_owned(),
            head: head.chars().take(MAX_HEAD).collect(),
            text: format!("{head}\n{}\n", self.detail()),
            ..Finding::default()
        };
        finding.signature = signature::of(&finding);
        finding
    }
}

/// `checked`: everything was swapped off while the storm stood still, and looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// Which time it is, from 1.
    pub phase: u64,
    /// The numbers that were looked at, in the order in which they were printed. One that this kernel
    /// does not have is not among them.
    pub words: Vec<(String, String)>,
}

impl Checked {
    /// The agent's words in one printable line.
    pub fn detail(&self) -> String {
        words_to_text(&self.words)
    }
}
