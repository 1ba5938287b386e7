// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which source file a symbolised report points at.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::blame::line_end;
use super::words::Words;

/// Files whose code runs in everybody's stacks.
const GENERIC: &[&str] = &[
    // Headers and library code.
    r"\.h$",
    r"^include/",
    r"^lib/",
    r"^rust/",
    r"^virt/lib/",
    r"^trusty/",
    r"^tools/",
    // Sanitizers, allocators, the page cache's helpers.
    r"^mm/kasan/",
    r"^mm/kmsan/",
    r"^mm/kfence/",
    r"^mm/kmemleak",
    r"^mm/sl.b\.c",
    r"^mm/slab_common\.c",
    r"^mm/util\.c",
    r"^mm/percpu",
    r"^mm/page_alloc\.c",
    r"^mm/page_owner\.c",
    r"^mm/mempolicy\.c",
    r"^mm/mempool\.c",
    r"^mm/memory\.c",
    r"^mm/vmalloc\.c",
    r"^mm/filemap\.c",
    r"^mm/truncate\.c",
    r"^mm/usercopy\.c",
    r"^mm/debug",
    // Locks, scheduling, deferred work, reporting.
    r"^kernel/kcov\.c",
    r"^kernel/kcsan/",
    r"^kernel/locking/",
    r"^kernel/rcu/",
    r"^kernel/sched/",
    r"^kernel/printk/",
    r"^kernel/panic\.c",
    r"^kernel/stacktrace\.c",
    r"^kernel/softirq\.c",
    r"^kernel/fork\.c",
    r"^kernel/exit\.c",
    r"^kernel/kthread\.c",
    r"^kernel/task_work\.c",
    r"^kernel/time/(?:timer|hrtimer|tick-)",
    r"^kernel/workqueue\.c",
    r"^kernel/entry/",
    r"^kernel/irq/",
    r"^kernel/hung_task\.c",
    r"^kernel/watchdog",
    // Entry, traps and stack walkers of the architectures.
    r"^arch/.*/entry",
    r"^arch/.*/traps",
    r"^arch/.*/mm/",
    r"^arch/.*/unwind",
    r"^arch/.*/stacktrace",
    r"^arch/.*/debug-monitors",
    r"^arch/.*/return_address",
    r"^arch/.*/kernel/(?:process|irq|smp|apic)",
    r"^arch/.*/lib/",
    r"^arch/.*/include/",
    // The networking core's helpers.
    r"^net/core/dev\.c",
    r"^net/core/sock\.c",
    r"^net/core/skbuff\.c",
    r"^net/core/dst\.c",
    r"^fs/proc/generic\.c",
    r"^drivers/clocksource/",
];

static IS_GENERIC: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSetBuilder::new(GENERIC).unicode(false).build().expect("checked by a test")
});

static FILE: LazyLock<Regex> = LazyLock::new(|| {
    RegexBuilder::new(r"(?:^|[ (])([a-zA-Z0-9_./\-]+\.(?:c|h|rs)):[0-9]+")
        .unicode(false)
        .build()
        .expect("checked by a test")
});

/// Lines that name places which only tell the history of locks and interrupts.
const ASIDE: &[&[u8]] = &[
    b", at: ",
    b"last  enabled at",
    b"last disabled at",
    b"lock at: ",
    b" #0: ",
    b" #1: ",
    b" #2: ",
    b" #3: ",
];

/// The file to look at first, if the report names any.
pub(super) fn find(text: &[u8]) -> Option<String> {
    let mut files: Vec<String> = Vec::new();
    let mut aside: Option<String> = None;
    // What a stalled CPU did is below the interrupt that noticed the stall.
    let head = &text[..text.len().min(200)];
    let from = if memchr::memmem::find(head, b"detected ").is_some()
        && memchr::memmem::find(head, b"stall").is_some()
    {
        INTERRUPTS
            .iter()
            .filter_map(|word| memchr::memmem::find(text, word))
            .min()
            .map_or(text.len(), |at| line_end(text, at))
    } else {
        0
    };
    let mut rest = &text[from..];
    while let Some(at) = PLACE.find(rest) {
        let start = memchr::memrchr(b'\n', &rest[..at]).map_or(0, |nl| nl + 1);
        let end = line_end(rest, at);
        let line = rest[start..end].trim_ascii_end();
        rest = &rest[end..];
        let Some(found) = FILE.captures(line) else { continue };
        let file = tidy(&String::from_utf8_lossy(&found[1]));
        if ASIDE.iter().any(|word| memchr::memmem::find(line, word).is_some()) {
            aside.get_or_insert(file);
            continue;
        }
        files.push(file);
        if files.len() >= MAX_FILES {
            break;
        }
    }
    let is_generic = |file: &String| IS_GENERIC.is_match(file.as_bytes());
    let Some(at) = files.iter().position(|file| !is_generic(file)) else {
        return aside.or_else(|| files.into_iter().next());
    };
    let folder = folder_of(&files[at]);
    // A file further down in the same part of the tree is closer to the cause.
    let deeper = files[at + 1..].iter().find(|file| {
        let other = folder_of(file);
        other.len() > folder.len() && other.starts_with(folder) && !is_generic(file)
    });
    Some(deeper.unwrap_or(&files[at]).clone())
}

/// Parts of a place in the source. Few lines have one.
static PLACE: LazyLock<Words> = LazyLock::new(|| Words::new(&[".c:", ".h:", ".rs:"]));

/// Files of a report that are looked at.
const MAX_FILES: usize = 256;

/// Where an interrupt entered the kernel.
const INTERRUPTS: &[&[u8]] =
    &[b"apic_timer_interrupt", b"el1h_64_irq", b"el1_irq", b"Exception stack"];

/// Resolves `a/../b` and drops `./`.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder with its slash.
fn folder_of(file: &str) -> &str {
    file.rfind('/').map_or("", |at| &file[..=at])
}
