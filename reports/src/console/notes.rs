// SPDX-License-Identifier: MIT OR Apache-2.0
//! Things a swap harness wants to count that are no kernel bugs.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::report::printable;
use super::words::Words;

/// Something worth counting that is no bug report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// The task it happened to, when the line names one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// The memory cgroup (OOM kills) or the device, when the line names one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The line, made printable, at most 256 bytes.
    pub text: String,
    /// Offset of the line in the console stream.
    pub offset: u64,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// The out-of-memory killer took a task.
    OomKill,
    /// The out-of-memory killer was called.
    OomInvoked,
    /// An allocation failed and was complained about.
    AllocationFailure,
    /// The NMI watchdog saw a CPU with interrupts off for too long.
    HardLockup,
    /// A swap entry names no swap area, or a free slot in one.
    BadSwapEntry,
    /// Reading or writing a swap device failed.
    SwapIo,
    /// zswap said something.
    Zswap,
}

/// Captures: `task` and `place`. The first pattern that matches counts.
const PATTERNS: [(NoteKind, &str); 9] = {
    use NoteKind::*;
    [
        // mm/oom_kill.c: the line for machines, which also names the memcg.
        (OomKill, r"^oom-kill:.*?(?:oom_memcg=(?P<place>[^,]*).*)?,task=(?P<task>[^,]*),"),
        (OomInvoked, r"^(?P<task>.{1,64}?) invoked oom-killer: "),
        (AllocationFailure, r"^(?P<task>.{1,64}?): page allocation failure: order:"),
        (AllocationFailure, r"vmalloc(?: error)?: .*allocation failure"),
        (HardLockup, r"Watchdog detected hard LOCKUP on cpu (?P<place>[0-9]+)"),
        // mm/swapfile.c, mm/swap_state.c.
        (
            BadSwapEntry,
            r"^(?P<place>swap_info_get|_swap_info_get|get_swap_device|swap_dup|swap_free|__swap_entry_free|swap_duplicate|swap_cluster_info)[^:]*: (?:Bad|Unused) swap",
        ),
        (BadSwapEntry, r"(?P<place>[a-z_]*swap[a-z_]*): Bad swap (?:file|offset) entry"),
        // mm/page_io.c.
        (SwapIo, r"^(?:Read|Write)-error on swap-device \((?P<place>[0-9]+:[0-9]+)"),
        (Zswap, r"^zswap: "),
    ]
};

/// One of these is in every line that is a note.
static HINTS: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&[
        "oom-kill",
        "allocation failure",
        "hard LOCKUP",
        "Bad swap",
        "Unused swap",
        "swap-device",
        "zswap: ",
    ])
});

static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = PATTERNS.map(|(_, pattern)| pattern);
    RegexSetBuilder::new(patterns).unicode(false).build().expect("checked by a test")
});
static EACH: LazyLock<[Regex; PATTERNS.len()]> = LazyLock::new(|| {
    PATTERNS.map(|(_, pattern)| {
        RegexBuilder::new(pattern).unicode(false).build().expect("checked by a test")
    })
});

/// Reads a line without its prefix.
pub(super) fn read(text: &[u8], offset: u64) -> Option<Note> {
    let text = &text[..text.len().min(1024)];
    if !HINTS.are_in(text) {
        return None;
    }
    let first = ANY.matches(text).into_iter().next()?;
    let found = EACH[first].captures(text)?;
    let get = |name| found.name(name).map(|m| printable(m.as_bytes(), 128)).unwrap_or_default();
    Some(Note {
        kind: PATTERNS[first].0,
        task: get("task"),
        place: get("place"),
        text: printable(text, 256),
        offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oom_kill_names_task_and_memcg() {
        let line = b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/storm,task_memcg=/storm,task=hog,pid=71,uid=0";
        let note = read(line, 7).expect("a note");
        assert_eq!(
            (note.kind, note.task.as_str(), note.place.as_str()),
            (NoteKind::OomKill, "hog", "/storm")
        );
    }

    #[test]
    fn swap_complaints_are_told_apart() {
        for (line, kind) in [
            ("kswapd0 invoked oom-killer: gfp_mask=0x1", NoteKind::OomInvoked),
            ("hog: page allocation failure: order:0, mode:0x1", NoteKind::AllocationFailure),
            ("get_swap_device: Bad swap file entry 3ff00000001", NoteKind::BadSwapEntry),
            ("_swap_info_get: Unused swap offset entry 00000001", NoteKind::BadSwapEntry),
            ("Read-error on swap-device (252:0:8)", NoteKind::SwapIo),
            ("zswap: loaded using pool lzo/zbud", NoteKind::Zswap),
            ("Watchdog detected hard LOCKUP on cpu 1", NoteKind::HardLockup),
        ] {
            assert_eq!(read(line.as_bytes(), 0).map(|n| n.kind), Some(kind), "{line}");
        }
        assert_eq!(read(b"Adding 102396k swap on /dev/vda", 0), None);
    }
}
