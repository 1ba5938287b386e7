// SPDX-License-Identifier: MIT OR Apache-2.0
//! Titles of made-up reports whose first lines take the rarer of their forms.

use reports::console::{Options, Reader, Seen};

/// A stack that names no function worth blaming but `owner`.
const STACK: &str =
    "Call Trace:\n dump_stack+0x1/0x2\n owner+0x1/0x2\n caller+0x1/0x2\n main+0x1/0x2";

/// The titles of a log. `|` stands for a line end and `{STACK}` for a stack.
fn titles(log: &str) -> Vec<String> {
    let log: String = log
        .replace("{STACK}", STACK)
        .split(['|', '\n'])
        .map(|line| format!("[    1.000000] {line}\n"))
        .collect();
    let mut reader = Reader::new(Options::default());
    let mut seen = reader.push(log.as_bytes());
    seen.extend(reader.finish());
    let titles = seen.into_iter().filter_map(|seen| match seen {
        Seen::Report(finding) if finding.corrupted.is_some() => {
            Some(format!("{} (corrupted)", finding.title))
        }
        Seen::Report(finding) => Some(finding.title),
        Seen::Note(_) => None,
    });
    titles.collect()
}

#[test]
fn every_form_of_a_first_line_has_its_title() {
    for (log, want) in [
        // PowerPC begins its oopses with capitals.
        (
            "BUG: Unable to handle kernel data access on read at 0x10|NIP [c0000000001] bad+0x1/0x2|{STACK}",
            "BUG: unable to handle kernel paging request in bad",
        ),
        (
            "BUG: Kernel NULL pointer dereference on write at 0x00000010|NIP [c0000000001] bad+0x1/0x2|{STACK}",
            "BUG: unable to handle kernel NULL pointer dereference in bad",
        ),
        (
            "BUG: kernel NULL pointer dereference, address: 0000000000000010|RIP: 0010:bad+0x1/0x2|{STACK}",
            "BUG: unable to handle kernel NULL pointer dereference in bad",
        ),
        ("BUG: Unable to handle kernel", "BUG: unable to handle kernel (corrupted)"),
        // What is left of a freed mm is only named where it is one of two old counters.
        ("BUG: non-zero nr_pmds on freeing mm: 2", "BUG: non-zero nr_pmds on freeing mm"),
        (
            "BUG: non-zero pgtables_bytes on freeing mm: 4096",
            "BUG: non-zero pgtables_bytes on freeing mm: NUM",
        ),
        // Lockdep tells readers' states apart.
        (
            "WARNING: HARDIRQ-READ-safe -> HARDIRQ-READ-unsafe lock order detected|which became HARDIRQ-READ-irq-safe at:| lock_acquire+0x1/0x2| reader+0x1/0x2|{STACK}",
            "possible deadlock in reader",
        ),
        // The end of a function's name is no register.
        (
            "WARNING: CPU: 0 PID: 1 at net/a.c:1 owner+0x1/0x2|Call Trace:| owner+0x1/0x2| rpc_release+0x1/0x2| main+0x1/0x2",
            "WARNING in owner",
        ),
        // A word that begins with "in" is no place.
        (
            "Internal error: UBSAN: array index out of bounds: 00000000f2005512 [#1] SMP|pc : bad+0x1/0x2|{STACK}",
            "UBSAN: array index out of bounds: ADDR [#NUM] SMP",
        ),
        ("UBSAN: shift-out-of-bounds in a.c:1:2|{STACK}", "UBSAN: shift-out-of-bounds in owner"),
        // Newer kernels dispatch system calls through a function of its own.
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]|RIP: 0010:spin+0x1/0x2|Call Trace:| loop_once+0x1/0x2| __x64_sys_bpf+0x1/0x2| x64_sys_call+0x1/0x2| do_syscall_64+0x1/0x2",
            "BUG: soft lockup in sys_bpf",
        ),
        // A page fault on the way says nothing about who is stuck.
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]|Call Trace:| clear_it+0x1/0x2| handle_mm_fault+0x1/0x2| do_user_addr_fault+0x1/0x2| asm_exc_page_fault+0x1/0x2| fill_it+0x1/0x2| __x64_sys_read+0x1/0x2| do_syscall_64+0x1/0x2",
            "BUG: soft lockup in sys_read",
        ),
        // A question mark that no frame follows on is part of the message.
        ("WARNING: is this bad ? or not|x", "WARNING: is this bad ? or not"),
        // Newer 32-bit ARM kernels name callee and caller, from the unwinder on.
        (
            "WARNING: CPU: 0 PID: 1 at mm/a.c:1 owner+0x1/0x2|Call trace: | unwind_backtrace from show_stack+0x18/0x1c| show_stack from __warn+0x1/0x2| __warn from owner+0x1/0x2| owner from main+0x1/0x2",
            "WARNING in owner",
        ),
        // Only three and more underscores belong to the macros.
        (
            "BUG: scheduling while atomic: sh/1/0x2|Call Trace:| __sys_bind+0x1/0x2| f+0x1/0x2| g+0x1/0x2",
            "BUG: scheduling while atomic in __sys_bind",
        ),
        (
            "BUG: scheduling while atomic: sh/1/0x2|Call Trace:| ___sys_sendmsg+0x1/0x2| f+0x1/0x2| g+0x1/0x2",
            "BUG: scheduling while atomic in sendmsg",
        ),
    ] {
        assert_eq!(titles(log), [want], "{log}");
    }
}

#[test]
fn notes_about_the_hardware_and_old_options_are_no_reports() {
    for log in [
        "WARNING: the mand mount option is being deprecated and",
        "WARNING: the mand mount option has been deprecated and",
        "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled, data leaks possible",
    ] {
        assert_eq!(titles(log), [] as [&str; 0], "{log}");
    }
}

#[test]
fn an_old_sanitizer_report_goes_on_behind_the_allocators() {
    let rule = "=".repeat(77);
    let log = format!(
        "BUG: KASAN: use-after-free in bad+0x1/0x2 at addr ffff8800|Read of size 8 by task sh/1|{rule}|\
         BUG kmalloc-64 (Not tainted): kasan: bad access detected|INFO: Slab 0xffff8800 objects=1|{{STACK}}"
    );
    assert_eq!(titles(&log)[0], "KASAN: use-after-free Read in bad");
}
