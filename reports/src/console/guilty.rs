// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which source file a symbolised report points at.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::blame::line_end;
use super::escaped::lossy;
use super::words::Words;

/// Files whose code runs in everybody's stacks, as that of headers does.
const GENERIC: &[&str] = &[
    // Library code.
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
    r"^kernel/smp\.c",
    r"^kernel/notifier\.c",
    r"^kernel/stop_machine\.c",
    // Cores of buses: they do for drivers what those ask for.
    r"^drivers/base/(?:core|bus|dd|driver|devres|platform)\.c",
    r"^drivers/usb/core/(?:urb|message|hcd)\.c",
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

/// The source files that a line names with a line number: `mm/zswap.c:12`, at the line's
/// beginning or behind a blank or a bracket. Of a decoded frame the innermost comes first.
fn files(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let in_path = |b: &u8| b.is_ascii_alphanumeric() || b"_./-".contains(b);
    memchr::memchr_iter(b':', line).filter_map(move |colon| {
        let path = &line[..colon];
        let stem = [&b".c"[..], b".h", b".rs"].iter().find_map(|end| path.strip_suffix(*end))?;
        line.get(colon + 1).filter(|b| b.is_ascii_digit())?;
        let start = stem.iter().rposition(|b| !in_path(b)).map_or(0, |at| at + 1);
        (start < stem.len() && (start == 0 || matches!(stem[start - 1], b' ' | b'(')))
            .then(|| &path[start..])
    })
}

/// True for `mm/zswap.c:12`.
pub(super) fn is_place(text: &str) -> bool {
    files(text.as_bytes()).next().is_some_and(|file| text.as_bytes().starts_with(file))
}

/// Lines that name places which only tell the history of locks and interrupts.
static ASIDE: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&[
        ", at: ",
        "last  enabled at",
        "last disabled at",
        "lock at: ",
        " #0: ",
        " #1: ",
        " #2: ",
        " #3: ",
    ])
});

/// The file to look at first, if the report names any: of its own lines, and of those of what
/// came behind it where they name none that could be the cause.
pub(super) fn of_report(own: &[u8], all: &[u8]) -> Option<String> {
    let own_file = find(own);
    match &own_file {
        Some(file) if !is_generic(file) => own_file,
        _ if own.len() == all.len() => own_file,
        _ => find(all).filter(|file| !is_generic(file)).or(own_file),
    }
}

fn find(text: &[u8]) -> Option<String> {
    // What a stalled CPU did is below the interrupt that noticed the stall.
    let head = &text[..text.len().min(200)];
    static DETECTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"detected "));
    let from = if DETECTED.find(head).is_some() && memchr::memmem::find(head, b"stall").is_some() {
        INTERRUPTS.find(text).map_or(text.len(), |at| line_end(text, at))
    } else {
        0
    };
    let mut guilty: Option<Cow<'_, str>> = None;
    // Better than none if nothing else is there.
    let mut first: Option<Cow<'_, str>> = None;
    let mut rest = &text[from..];
    let mut count = 0;
    while count < MAX_FILES
        && let Some(at) = PLACE.find(rest)
    {
        let start = memchr::memrchr(b'\n', &rest[..at]).map_or(0, |nl| nl + 1);
        let end = line_end(rest, at);
        let line = rest[start..end].trim_ascii_end();
        rest = &rest[end..];
        for file in files(line).take(MAX_FILES).map(|file| tidy(lossy(file))) {
            if ASIDE.are_in(line) {
                first.get_or_insert(file);
                break;
            }
            count += 1;
            match &guilty {
                // A file further down in the same part of the tree is closer to the cause.
                Some(above) if !is_below(&file, above) || is_generic(&file) => {}
                Some(_) => return Some(file.into_owned()),
                None if is_generic(&file) => {
                    first.get_or_insert(file);
                }
                None => guilty = Some(file),
            }
        }
    }
    guilty.or(first).map(Cow::into_owned)
}

fn is_generic(file: &str) -> bool {
    file.ends_with(".h") || IS_GENERIC.is_match(file.as_bytes())
}

/// True for a file in a folder below the other file's folder.
fn is_below(file: &str, other: &str) -> bool {
    let (folder, other) = (folder_of(file), folder_of(other));
    folder.len() > other.len() && folder.starts_with(other)
}

/// Parts of a place in the source. Few lines have one.
static PLACE: LazyLock<Words> = LazyLock::new(|| Words::new(&[".c:", ".h:", ".rs:"]));

/// Files of a report that are looked at.
const MAX_FILES: usize = 256;

/// Where an interrupt entered the kernel.
static INTERRUPTS: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&["apic_timer_interrupt", "el1h_64_irq", "el1_irq", "Exception stack"])
});

/// Resolves `a/../b` and drops `./`.
fn tidy(path: Cow<'_, str>) -> Cow<'_, str> {
    // Most paths are tidy.
    if !path.starts_with(['.', '/'])
        && !path.as_bytes().windows(2).any(|two| matches!(two, b"/." | b"//"))
    {
        return path;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Cow::Owned(parts.join("/"))
}

/// The folder with its slash.
fn folder_of(file: &str) -> &str {
    memchr::memrchr(b'/', file.as_bytes()).map_or("", |at| &file[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_with_a_line_number() {
        for (line, want) in [
            (" zswap_load+0x67/0x570 mm/zswap.c:1275", "mm/zswap.c"),
            ("mm/zswap.c:1", "mm/zswap.c"),
            (" f (./include/linux/swap.h:9 (discriminator 1))", "./include/linux/swap.h"),
            (" x rust/kernel/a.rs:9", "rust/kernel/a.rs"),
            (" a:.c:1 b.c:x c.S:1 [d.c:1] .h:3 e/f.c:2", "e/f.c"),
            ("time 12:30 and nothing else", ""),
        ] {
            let found = files(line.as_bytes()).next().unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(found), want, "{line}");
        }
    }

    #[test]
    fn where_no_file_is_the_cause_the_first_is_named() {
        let lock = " #0: ffff888000000000 (&l){+.+.}-{3:3}, at: f+0x1/0x2 fs/a.c:1\n";
        let generic = " kfree+0x1/0x2 mm/slub.c:2\n";
        let cause = " g+0x1/0x2 mm/zswap.c:3\n";
        for (text, want) in [
            ([lock, generic].concat(), Some("fs/a.c")),
            ([generic, lock].concat(), Some("mm/slub.c")),
            ([lock, generic, cause].concat(), Some("mm/zswap.c")),
            (" g (./include/linux/mm.h:1 mm/zswap.c:3)\n".to_owned(), Some("mm/zswap.c")),
            (String::new(), None),
        ] {
            assert_eq!(find(text.as_bytes()).as_deref(), want, "{text}");
        }
    }
}
