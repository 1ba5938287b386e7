// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which function a report is about.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::detectors::{Blame, Look, Pick};
use super::frames::{FrameLine, demangle};
use super::ip;
use super::pattern::{self, Pattern};
use super::skip::never_blamed;
use super::starts;
use super::word_set::WordSet;

/// Stands for a function where the report does not tell.
pub(super) const CORRUPTED: &str = "corrupted";

/// The blamed function: first as the title names it, then other names for it.
pub(super) struct Blamed {
    pub(super) names: Vec<String>,
    pub(super) found: bool,
}

impl Blamed {
    fn nobody() -> Self {
        Blamed { names: vec![CORRUPTED.to_owned()], found: false }
    }
}

/// A [`Blame`] with its patterns compiled.
#[derive(Debug)]
pub(super) struct Rule {
    ways: Vec<Vec<Step>>,
    skip: Option<WordSet>,
    pick: Pick,
}

#[derive(Debug)]
enum Step {
    Line(Pattern),
    InstructionPointer,
    Frames,
}

impl Step {
    /// Where the line ends that the step goes to, and the functions that it names. Without such
    /// a line it is the text's end.
    fn go<'t>(&self, text: &'t [u8]) -> (usize, Vec<&'t [u8]>) {
        match self {
            // No pattern of a step matches across lines.
            Step::Line(pattern) => pattern.find(text).map(|at| {
                let end = line_end(text, at);
                (end, pattern.parts_here(&text[at..end]))
            }),
            Step::InstructionPointer => ip::find(text)
                .map(|(at, function)| (line_end(text, at), function.into_iter().collect())),
            Step::Frames => None,
        }
        .unwrap_or((text.len(), Vec::new()))
    }
}

impl Rule {
    pub(super) fn compile(blame: &Blame) -> Self {
        let step = |look: &Look| match look {
            Look::Line(pattern) => Step::Line(Pattern::new(pattern)),
            Look::InstructionPointer => Step::InstructionPointer,
            Look::Frames => Step::Frames,
        };
        Rule {
            ways: blame.ways.iter().map(|way| way.iter().map(step).collect()).collect(),
            skip: (!blame.skip.is_empty()).then(|| WordSet::new(blame.skip.iter().copied())),
            pick: blame.pick,
        }
    }

    /// Follows the ways through the text until one ends at a function.
    pub(super) fn find(&self, text: &[u8]) -> Blamed {
        static INJECTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"should_fail"));
        let injected = INJECTED.find(text).is_some();
        for way in &self.ways {
            // Fault injection prints a stack of its own into the report.
            let Some(candidates) = follow(way, self, text, injected) else {
                return Blamed::nobody();
            };
            let names = pick(self.pick, &candidates);
            if !names.is_empty() {
                return Blamed { names, found: true };
            }
        }
        Blamed::nobody()
    }

    /// Blames one function, unless it is never to blame.
    pub(super) fn blame(&self, function: &[u8]) -> Option<Blamed> {
        let mut names = Vec::new();
        self.take(function, &mut names);
        names.first().map(|name| Blamed { names: with_stripped(name), found: true })
    }

    fn take<'t>(&self, name: &'t [u8], into: &mut Vec<Cow<'t, str>>) {
        let name = demangle(name);
        if !never_blamed(&name) && !self.skip.as_ref().is_some_and(|s| s.matches(&name)) {
            into.push(name);
        }
    }
}

/// At most this many candidates are collected; stacks are shorter.
const MAX_CANDIDATES: usize = 256;

/// Collects candidates; `None` if fault injection got in the way.
fn follow<'t>(
    way: &[Step],
    rule: &Rule,
    text: &'t [u8],
    injected: bool,
) -> Option<Vec<Cow<'t, str>>> {
    let mut candidates = Vec::new();
    let mut rest = text;
    for step in way {
        // Who only wants the first candidate need not look at the others.
        if rule.pick == Pick::Top && !candidates.is_empty() && !injected {
            break;
        }
        match step {
            Step::Frames => {
                let mut lines = Lines { rest };
                for line in lines.by_ref() {
                    if injected && is_fault_injection(line) {
                        return None;
                    }
                    if let Some(frame) = FrameLine::read(line) {
                        let is_callee = frame.caller.is_some() || !frame.is_behind_call();
                        if is_callee {
                            rule.take(frame.function, &mut candidates);
                        }
                        if let Some(caller) = frame.caller
                            && !frame.is_behind_call()
                        {
                            rule.take(caller, &mut candidates);
                        }
                        if candidates.len() >= MAX_CANDIDATES
                            || rule.pick == Pick::Top && !candidates.is_empty() && !injected
                        {
                            break;
                        }
                    } else if starts::of_line(line).is_some() {
                        break;
                    }
                }
                rest = lines.rest;
            }
            line => {
                let (end, names) = line.go(rest);
                if injected && (Lines { rest: &rest[..end] }).any(is_fault_injection) {
                    return None;
                }
                for name in names {
                    rule.take(name, &mut candidates);
                }
                rest = &rest[end..];
            }
        }
    }
    Some(candidates)
}

/// Where the line that holds a place ends, its line end included.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end + 1)
}

/// Lines without their ends.
pub(super) struct Lines<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(line)
    }
}

fn is_fault_injection(line: &[u8]) -> bool {
    static RE: LazyLock<Regex> = LazyLock::new(|| {
        pattern::compile(
            r"should_fail(?:slab|_alloc_page|_ex|_bio|_futex|_usercopy)?(?:\.[a-z0-9.]+)?\+0x",
        )
    });
    RE.is_match(line)
}

fn pick(how: Pick, candidates: &[Cow<'_, str>]) -> Vec<String> {
    match how {
        Pick::Top => candidates.first().map(|name| with_stripped(name)).unwrap_or_default(),
        Pick::Stall => pick_stalled(candidates),
        Pick::Hang => pick_hung(candidates),
    }
}

/// What dispatches to the code that stalls. The frame above one of these is blamed.
const ANCHORS: &[&str] = &[
    // Work queues, threads, deferred work.
    "process_one_work",
    "process_scheduled_works",
    "^kthread$",
    "smpboot_thread_fn",
    "run_ksoftirqd",
    "task_work_run",
    "__fput",
    "exit_to_usermode",
    "exit_to_user_mode",
    "rcu_do_batch",
    // System call entry.
    "do_syscall_",
    "do_fast_syscall_",
    "do_int80_syscall",
    "x64_sys_call",
    "ia32_sys_call",
    "system_call_exception",
    "system_call_common",
    "do_trap_ecall_u",
    "sysenter_dispatch",
    "tracesys_phase2",
    "entry_SYSCALL",
    "system_call_fastpath",
    "el0_svc",
    "invoke_syscall",
    "ret_fast_syscall",
    "^ret_from_fork",
    // Interrupt, timer and network receive entry.
    "do_softirq",
    "handle_softirqs",
    "softirq_handle",
    "call_timer_fn",
    "run_timers",
    "run_timer_softirq",
    "hrtimer_run",
    "tasklet_action",
    "netif_receive_skb",
    "net_rx_action",
    // Idle and boot.
    "start_kernel",
    "cpu_startup_entry",
    "cpu_idle",
    "do_idle",
    // Page faults that end in a file system.
    "__do_fault",
    "__do_page_fault",
    // Files.
    "vfs_read",
    "vfs_write",
    "vfs_iter_read",
    "vfs_iter_write",
    "new_sync_read",
    "new_sync_write",
    "call_read_iter",
    "call_write_iter",
    "do_iter_read",
    "do_iter_write",
    "do_loop_readv_writev",
    "vfs_ioctl",
    "compat_ioctl",
    "SyS_ioctl",
    "SYSC_ioctl",
    "blkdev_ioctl",
    "vfs_open",
    "do_dentry_open",
    "mmap_region",
    "do_mmap",
    "call_mmap",
    // Sockets.
    "sock_sendmsg",
    "sock_recvmsg",
    "sock_read_iter",
    "sock_write_iter",
    "sock_common_setsockopt",
    "sock_common_getsockopt",
    "__sys_setsockopt",
    "__sys_getsockopt",
    "__sys_connect",
    "__sys_bind",
    "__sys_accept",
    "__sys_sendto",
    "__sys_recvfrom",
    "sock_close",
    "sock_release",
    "netlink_rcv_msg",
    "genl_rcv_msg",
    "genl_family_rcv_msg",
    "smp_call_function",
];

fn pick_stalled(candidates: &[Cow<'_, str>]) -> Vec<String> {
    static WORDS: LazyLock<WordSet> = LazyLock::new(|| WordSet::new(ANCHORS.iter().copied()));
    let Some(at) = candidates.iter().position(|name| WORDS.matches(name)) else {
        return Vec::new();
    };
    if candidates[at].contains("smp_call_function") {
        // The caller waits for another CPU; which variant it called means nothing.
        return unique(["smp_call_function".to_owned(), candidates[at].to_string()]);
    }
    with_stripped(&candidates[at.saturating_sub(1)])
}

/// Two hangs have victims everywhere, so these get one title each.
const COMMON_HANGS: &[(&str, &str)] = &[
    ("rtnl_lock", ""),
    ("synchronize_rcu", "synchronize_rcu"),
    ("synchronize_srcu", "synchronize_rcu"),
    ("synchronize_net", "synchronize_rcu"),
    ("synchronize_sched", "synchronize_rcu"),
];

/// Ways of waiting.
const WAITING: &[&str] = &[
    "sched",
    "_lock",
    "_slowlock",
    "down",
    "rwsem",
    "completion",
    "kthread",
    "wait",
    "synchronize",
    "context_switch",
    "__switch_to",
    "cancel_delayed_work",
    "rcu_barrier",
];

fn pick_hung(candidates: &[Cow<'_, str>]) -> Vec<String> {
    for name in candidates {
        if let Some((_, title)) = COMMON_HANGS.iter().find(|(word, _)| name.contains(word)) {
            let title = if title.is_empty() { name } else { *title };
            return unique([title.to_owned(), name.to_string()]);
        }
    }
    candidates
        .iter()
        .find(|name| !WAITING.iter().any(|word| name.contains(word)))
        .map(|name| with_stripped(name))
        .unwrap_or_default()
}

/// What the syscall macros put before a system call's name.
const SYSCALL_PREFIXES: &[&str] = &[
    "SYSC_",
    "SyS_",
    "sys_",
    "compat_SYSC_",
    "compat_SyS_",
    "ksys_",
    "__x64_",
    "__ia32_",
    "__arm64_",
    "__se_",
    "__se_sys_",
    "__do_sys_",
    "___sys_",
    "____sys_",
];

/// The name with the longest possible prefix taken off, then all other forms of it: at least one.
pub(super) fn with_stripped(name: &str) -> Vec<String> {
    let mut names: Vec<String> = SYSCALL_PREFIXES
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .filter(|rest| !rest.is_empty())
        .chain([name])
        .map(str::to_owned)
        .collect();
    names.sort_by_key(String::len);
    unique(names)
}

fn unique(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}
