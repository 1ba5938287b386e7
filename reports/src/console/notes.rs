// SPDX-License-Identifier: MIT OR Apache-2.0
//! Things a swap harness wants to count that are no kernel bugs.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::escaped::escaped;
use super::reader::Seen;
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
    /// zram failed to pack or unpack a page, or said something else.
    Zram,
    /// A trace of the kernel without the first lines of its report: they are lost.
    HeadlessTrace,
}

/// Captures: `task`, `pid` and `place`. The first pattern that matches counts.
const PATTERNS: [(NoteKind, &str); 14] = {
    use NoteKind::*;
    [
        // mm/oom_kill.c: the line for machines, since v4.20, which also names the memcg.
        (
            OomKill,
            r"^oom-kill:.*?(?:oom_memcg=(?P<place>[^,]*),.*?|task_memcg=(?P<other>[^,]*),)task=(?P<task>.*?),pid=(?P<pid>[0-9]+),",
        ),
        // The line for people, which older kernels have alone.
        (OomKill, r"(?:^|: )Killed process (?P<pid>[0-9]+) \((?P<task>.*?)\)(?:,| |$)"),
        // Before v4.20 the killer named its choice first, and took one of its children if it could.
        (
            OomKill,
            r"(?:^|: )[Kk]ill process (?P<pid>[0-9]+) \((?P<task>.*?)\) .*(?:sacrifice|a) child",
        ),
        (OomInvoked, r"^(?P<task>.{1,64}?) invoked oom-killer:"),
        (AllocationFailure, r"^(?P<task>.{1,64}?): page allocation failure:"),
        (AllocationFailure, r"vmalloc(?: error)?: .*allocation failure"),
        (AllocationFailure, r"vmalloc error: size "),
        (HardLockup, r"Watchdog detected hard LOCKUP on cpu (?P<place>[0-9]+)"),
        // mm/swapfile.c, mm/swap_state.c, mm/memory.c.
        (
            BadSwapEntry,
            r"(?:^|: )(?P<place>[A-Za-z_]+): (?:Bad|Unused) swap (?:file |offset )?entry",
        ),
        // mm/page_io.c.
        (SwapIo, r"^(?:Read-|Write-|I/O )error on swap-device \((?P<place>[0-9]+:[0-9]+)"),
        (SwapIo, r"I/O error (?:on|, )?.*?dev (?P<place>zram[0-9]+)"),
        (Zswap, r"^zswap: "),
        (Zram, r"^zram: .*(?:fail|rror|annot|an't|nable)"),
        (Zram, r"^(?P<place>zram[0-9]+): .*(?:fail|rror|annot|an't|nable)"),
    ]
};

/// The pattern of a choice that need not be what was killed.
const CHOICE: usize = 2;

/// One of these is in every line that is a note.
static HINTS: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&[
        "oom-kill",
        "illed process",
        "ill process",
        "allocation failure",
        "vmalloc error",
        "hard LOCKUP",
        "Bad swap ",
        "Unused swap ",
        "swap-device",
        "zswap: ",
        "zram",
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

/// Longest line that is read: a memcg that is as deep as can be is named in it twice.
const MAX_LINE: usize = 8 << 10;
/// Lines after which what is said of a kill is about another one.
const SAME_KILL: u64 = 100;

/// Before v4.20 the memory cgroup whose limit was reached has a line of its own, and the list of
/// tasks comes between it and the kill.
static LIMIT: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b" killed as a result of limit of "));

/// Reads lines without their prefixes, and puts together what several of them say of one kill.
#[derive(Debug, Default)]
pub(super) struct NoteReader {
    /// The memory cgroup that reached its limit, until something was killed for it.
    limit: Option<String>,
    /// The last kill, and the line in which it was told.
    killed: Option<(Note, u32, u64)>,
    /// What the killer chose, until it is known what it killed.
    chosen: Option<(Note, u64)>,
}

impl NoteReader {
    /// Reads a line, and adds what it says to `out`.
    pub(super) fn read(&mut self, text: &[u8], offset: u64, line: u64, out: &mut Vec<Seen>) {
        if let Some(limit) = limit(text) {
            self.limit = Some(limit);
            return;
        }
        let Some((pattern, mut note, pid)) = read(text, offset) else { return };
        if self.chosen.as_ref().is_some_and(|(_, at)| line - at > SAME_KILL) {
            self.finish(out);
        }
        let Some(pid) = pid else {
            if note.kind == NoteKind::OomInvoked {
                self.limit = None;
            }
            out.push(Seen::Note(note));
            return;
        };
        if note.text.starts_with("Memory cgroup out of memory") {
            note.place = self.limit.take().unwrap_or_default();
        }
        if pattern == CHOICE {
            self.finish(out);
            self.chosen = Some((note, line));
            return;
        }
        // The choice was this task, or a child of it.
        if let Some((chosen, _)) = self.chosen.take()
            && note.place.is_empty()
        {
            note.place = chosen.place;
        }
        let is_told = self.killed.as_ref().is_some_and(|(last, last_pid, at)| {
            *last_pid == pid && line - at <= SAME_KILL && last.text.starts_with("oom-kill:")
        });
        if is_told && !note.text.starts_with("oom-kill:") {
            self.killed = None;
            return;
        }
        self.killed = Some((note.clone(), pid, line));
        out.push(Seen::Note(note));
    }

    /// Nothing more comes: what was chosen was killed.
    pub(super) fn finish(&mut self, out: &mut Vec<Seen>) {
        out.extend(self.chosen.take().map(|(note, _)| Seen::Note(note)));
    }
}

impl Note {
    /// Of a trace whose head is lost, by the line that tells where it happened.
    pub(super) fn of_headless(text: String, offset: u64) -> Self {
        let (task, place) = (String::new(), String::new());
        Note { kind: NoteKind::HeadlessTrace, task, place, text, offset }
    }
}

/// `Task in /storm/w1 killed as a result of limit of /storm`.
fn limit(text: &[u8]) -> Option<String> {
    let at = text.starts_with(b"Task in ").then(|| LIMIT.find(text)).flatten()?;
    Some(escaped(text[at + LIMIT.needle().len()..].trim_ascii(), MAX_NAME))
}

/// Reads a line: which pattern matches, what it says, and the task that was killed.
fn read(text: &[u8], offset: u64) -> Option<(usize, Note, Option<u32>)> {
    let text = &text[..text.len().min(MAX_LINE)];
    if !HINTS.are_in(text) {
        return None;
    }
    let first = ANY.matches(text).into_iter().next()?;
    let found = EACH[first].captures(text)?;
    let bytes = |name| found.name(name).map(|m| m.as_bytes());
    let get = |name| bytes(name).map(|m| escaped(m, MAX_NAME)).unwrap_or_default();
    let mut place = get("place");
    if place.is_empty() && PATTERNS[first].1.contains("<other>") {
        place = get("other");
    }
    let pid = bytes("pid").and_then(|pid| std::str::from_utf8(pid).ok()?.parse().ok());
    let note = Note {
        kind: PATTERNS[first].0,
        task: get("task"),
        place,
        text: escaped(text, 256),
        offset,
    };
    Some((first, note, pid))
}

/// Longest name of a task, a device or a memcg that is kept: paths may be as long as a page.
const MAX_NAME: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds, tasks and places of what some lines say.
    fn notes(lines: &[&str]) -> Vec<(NoteKind, String, String)> {
        let (mut reader, mut out) = (NoteReader::default(), Vec::new());
        for (line, text) in (1..).zip(lines) {
            reader.read(text.as_bytes(), 0, line, &mut out);
        }
        reader.finish(&mut out);
        let notes = out.into_iter().map(|seen| match seen {
            Seen::Note(note) => (note.kind, note.task, note.place),
            Seen::Report(finding) => panic!("{}", finding.title),
        });
        notes.collect()
    }

    #[test]
    fn a_kill_counts_once_however_many_lines_tell_of_it() {
        let told = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/storm,task_memcg=/storm/w,task=a,b,pid=71,uid=0";
        let global = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/b,task=second,pid=2,uid=0";
        let kill = |task: &str, place: &str| (NoteKind::OomKill, task.to_owned(), place.to_owned());
        for (lines, kills) in [
            (vec![told], vec![kill("a,b", "/storm")]),
            (
                vec![
                    told,
                    "Memory cgroup out of memory: Killed process 71 (a,b) total-vm:1kB",
                    global,
                ],
                vec![kill("a,b", "/storm"), kill("second", "/b")],
            ),
            (
                vec![
                    "Out of memory: Kill process 700 (bash) score 5 or sacrifice child",
                    "Killed process 701 (git) total-vm:187104kB, anon-rss:612kB, file-rss:1988kB",
                    "Out of memory: Killed process 701 (git) total-vm:1kB",
                ],
                vec![kill("git", ""), kill("git", "")],
            ),
            (
                vec!["Out of memory: Kill process 700 (bash) score 5 or sacrifice child"],
                vec![kill("bash", "")],
            ),
            (
                vec![
                    "Task in /storm/w killed as a result of limit of /storm",
                    "Memory cgroup out of memory: Kill process 71 (hog) score 5 or sacrifice child",
                    "Killed process 72 (child) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
                    "Out of memory: Kill process 73 (git) score 5 or sacrifice child",
                    "Killed process 73 (git) total-vm:1kB",
                ],
                vec![kill("child", "/storm"), kill("git", "")],
            ),
            (
                vec![
                    "Out of memory (oom_kill_allocating_task): Killed process 801 (a (b)) total-vm:1kB",
                ],
                vec![kill("a (b)", "")],
            ),
        ] {
            assert_eq!(notes(&lines), kills, "{lines:?}");
        }
    }

    #[test]
    fn swap_complaints_are_told_apart() {
        for (line, kind) in [
            ("kswapd0 invoked oom-killer: gfp_mask=0x1", NoteKind::OomInvoked),
            ("hog: page allocation failure: order:0, mode:0x1", NoteKind::AllocationFailure),
            ("vmalloc error: size 4096, failed to allocate pages", NoteKind::AllocationFailure),
            ("get_swap_device: Bad swap file entry 3ff00000001", NoteKind::BadSwapEntry),
            ("_swap_info_get: Unused swap offset entry 00000001", NoteKind::BadSwapEntry),
            ("swap_entry_free: Unused swap offset entry 00003cbb", NoteKind::BadSwapEntry),
            ("VM: Bad swap entry 000f3100", NoteKind::BadSwapEntry),
            ("Read-error on swap-device (252:0:8)", NoteKind::SwapIo),
            ("I/O error on swap-device (252:0:8)", NoteKind::SwapIo),
            ("Buffer I/O error on dev zram0, logical block 0, async page read", NoteKind::SwapIo),
            ("zswap: loaded using pool lzo/zbud", NoteKind::Zswap),
            ("zram: Decompression failed! err=-22, page=336112", NoteKind::Zram),
            ("Watchdog detected hard LOCKUP on cpu 1", NoteKind::HardLockup),
        ] {
            let kinds: Vec<NoteKind> = notes(&[line]).into_iter().map(|(kind, ..)| kind).collect();
            assert_eq!(kinds, [kind], "{line}");
        }
        for line in
            ["Adding 102396k swap on /dev/vda", "zram0: detected capacity change from 0 to 8"]
        {
            assert_eq!(notes(&[line]), [], "{line}");
        }
    }
}
