// SPDX-License-Identifier: MIT OR Apache-2.0
//! What people paste: decoded traces, mails, journals, old and odd kernels, half a log.

use std::path::Path;

use reports::console::{Note, NoteKind, Options, Reader, Seen};
use reports::finding::{Finding, StackRole};

fn read(log: &str) -> (Vec<Finding>, Vec<Note>) {
    let mut reader = Reader::new(Options { await_panic: true, ..Options::default() });
    let mut seen = reader.push(log.as_bytes());
    seen.extend(reader.finish());
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    for seen in seen {
        match seen {
            Seen::Report(finding) => findings.push(*finding),
            Seen::Note(note) => notes.push(note),
        }
    }
    (findings, notes)
}

/// Lines with the kernel's stamp; `|` stands for a line end.
fn stamped(log: &str) -> String {
    log.split('|').map(|line| format!("[    1.000000] {line}\n")).collect()
}

fn titles(log: &str) -> Vec<String> {
    read(log).0.into_iter().map(|finding| finding.title).collect()
}

fn one(log: &str) -> Finding {
    let (findings, _) = read(log);
    let [finding] = &findings[..] else { panic!("one report, not {findings:#?}") };
    finding.clone()
}

fn functions(finding: &Finding, role: StackRole) -> Vec<&str> {
    let stack = finding.stacks.iter().find(|stack| stack.role == role);
    stack.map_or(Vec::new(), |s| s.frames.iter().map(|f| f.function.as_str()).collect())
}

const HANG: &str = "INFO: task dd:41 blocked for more than 120 seconds.|      Not tainted 6.9.1 #1|\
    task:dd state:D|Call Trace:| <TASK>| __schedule+0x1/0x2| take_slot+0x1/0x2| read_slot+0x1/0x2| </TASK>";
const OOPS: &str = "BUG: kernel NULL pointer dereference, address: 0000000000000010|\
    CPU: 0 PID: 7 Comm: dd Not tainted 6.9.1 #1|RIP: 0010:take_slot+0x1/0x2|Call Trace:| <TASK>|\
     read_slot+0x1/0x2| do_read+0x1/0x2| do_it+0x1/0x2| </TASK>|---[ end trace 0000000000000000 ]---";

#[test]
fn a_decoded_trace_keeps_its_places() {
    let finding = one(&stamped(
        "BUG: KASAN: slab-use-after-free in take_slot (mm/slots.c:10 mm/slots.c:20)|\
         Read of size 8 at addr ffff888012345678 by task dd/7|CPU: 0 PID: 7 Comm: dd Not tainted 6.9.1 #1|\
         Call Trace:|kasan_report (mm/kasan/report.c:603)|take_slot (mm/slots.c:10 mm/slots.c:20)|\
         read_slot.isra.0 (mm/slots.c:90 (discriminator 2)) slots|? guessed (mm/other.c:1)||\
         Freed by task 9:|kfree (mm/slub.c:4)|drop_slot (mm/slots.c:70)|more (mm/slots.c:71)",
    ));
    assert_eq!(finding.title, "KASAN: slab-use-after-free Read in take_slot");
    assert_eq!(finding.corrupted, None);
    assert_eq!(finding.guilty_file, "mm/slots.c");
    assert_eq!(functions(&finding, StackRole::Access), ["kasan_report", "take_slot", "read_slot"]);
    assert_eq!(functions(&finding, StackRole::FreedBy), ["kfree", "drop_slot", "more"]);
    let places = &finding.stacks[0].frames[1].source;
    assert_eq!(places.as_deref(), Some("mm/slots.c:10 mm/slots.c:20"));
}

#[test]
fn a_first_line_that_a_symboliser_doubled_counts_once() {
    let finding = one(&stamped(
        "BUG: KASAN: null-ptr-deref in atomic_read include/linux/atomic.h:32 [inline]|\
         BUG: KASAN: null-ptr-deref in is_busy mm/slots.c:5 [inline]|\
         BUG: KASAN: null-ptr-deref in take_slot+0x1/0x2 mm/slots.c:12|\
         Read of size 4 at addr 0000000000000018 by task dd/7|Call Trace:|\
          kasan_report+0x1/0x2 mm/kasan/report.c:588| take_slot+0x1/0x2 mm/slots.c:12| f+0x1/0x2",
    ));
    assert_eq!(finding.title, "KASAN: null-ptr-deref Read in take_slot");
    assert_eq!((finding.corrupted, finding.guilty_file.as_str()), (None, "mm/slots.c"));
}

#[test]
fn a_decoded_oops_goes_on_behind_its_code() {
    let log = stamped(
        "BUG: unable to handle page fault for address: ffffd3a1c0b8a008|RIP: 0010:take_slot (mm/slots.c:1)|\
         Code: 90 90",
    ) + "All code\n========\n   0:\t90\tnop\n\nCode starting with the faulting instruction\n=====\n"
        + &stamped("Call Trace:| <TASK>|read_slot (mm/slots.c:2)|f (mm/slots.c:3)| </TASK>");
    let finding = one(&log);
    assert_eq!(finding.title, "BUG: unable to handle kernel paging request in take_slot");
    assert_eq!(functions(&finding, StackRole::Access), ["take_slot", "read_slot", "f"]);
}

#[test]
fn words_of_programs_are_no_reports() {
    for log in [
        "Mar 04 12:00:02 box backupd[812]: WARNING: no end date\n\
         Mar 04 12:00:04 box webapp[99]: BUG: negative total\n\
         Mar 04 12:00:05 box kernel: Adding 1k swap on /dev/vda\n",
        "[    1.000000] Run /init as init process\n  WARNING: Failed to connect to a daemon.\n\
         crypt: WARNING: no key\nld: fatal error: no memory\nINFO: swap file made\n\
         [    2.000000] Adding 1k swap on /dev/vda\n",
    ] {
        assert_eq!(titles(log), [] as [&str; 0], "{log}");
    }
    // What the kernel says in the same form is one.
    let log = "Mar 04 12:00:04 box kernel: BUG: Bad rss-counter state mm:1 idx:1 val:2\n";
    assert_eq!(titles(log), ["BUG: Bad rss-counter state"]);
}

#[test]
fn who_only_mentions_a_bug_reports_none() {
    for prose in [
        "It dies with a general protection fault: always in reclaim, and once with a kernel BUG at mm/x.c\n",
        "Subject: WARNING: CPU: 2 PID: 94 at mm/x.c:1 foo+0x1/0x2\n\n",
        "Fixes: 123 (\"mm: BUG: unable to handle page fault for address: 1\")\n",
        "mm/x.c:12:\tpr_err(\"Kernel panic - not syncing: %s\\n\", why);\n",
    ] {
        assert_eq!(titles(prose), [] as [&str; 0], "{prose}");
        assert_eq!(titles(&format!("{prose}\n{}", stamped(OOPS))).len(), 1, "{prose}");
        assert_eq!(titles(&format!("{}\n{prose}", stamped(OOPS))).len(), 1, "{prose}");
    }
    // Without stamps, with the lines of a report behind it.
    let pasted = OOPS.replace('|', "\n");
    assert_eq!(titles(&format!("It says BUG: and then:\n{pasted}\n")).len(), 1);
}

#[test]
fn who_wrote_to_a_freed_object_is_known_without_kasan() {
    let log = "BUG slot_cache (Not tainted): Poison overwritten|-----------------------------||\
         {I}0xffff888012345648-0xffff88801234564f @offset=1608. First byte 0x98 instead of 0x6b|\
         {I}Allocated in take_slot+0x1/0x2 age=1 cpu=1 pid=7|{A}{I}Freed in drop_slot+0x1/0x2 age=2 cpu=0 pid=9|\
         {F}{I}Slab 0xffffea0000123400 objects=36 used=36|{I}Object 0xffff888012345648 @offset=1608||\
         CPU: 1 PID: 7 Comm: dd Not tainted 6.9.1 #1|Call Trace:| check_object+0x1/0x2| take_slot+0x1/0x2|\
         FIX slot_cache: Restoring Poison 0xffff888012345648";
    let stacks =
        [("{A}", " kmem_cache_alloc+0x1/0x2| take_slot+0x1/0x2| user+0x1/0x2|"), ("{F}", "")];
    for (info, with_stacks) in [("", true), ("INFO: ", false)] {
        let mut log = log.replace("{I}", info);
        for (mark, stack) in stacks {
            log = log.replace(mark, if with_stacks { stack } else { "" });
        }
        let finding = one(&stamped(&log));
        assert_eq!(finding.title, "BUG: Poison overwritten in drop_slot", "{log}");
        assert_eq!(finding.kind, "MEMORY_SAFETY_BUG");
        assert_eq!(finding.corrupted, None);
        assert_eq!(functions(&finding, StackRole::FreedBy), ["drop_slot"]);
        assert!(functions(&finding, StackRole::AllocatedBy).contains(&"take_slot"));
        let freed = finding.stacks.iter().find(|stack| stack.role == StackRole::FreedBy);
        assert_eq!(freed.and_then(|stack| stack.task.as_deref()), Some("9"));
    }
    // What KASAN has the allocator say is no second report.
    let log = "BUG slot_cache (Tainted: G    B          ): kasan: bad access detected";
    assert_eq!(titles(&stamped(log)), [] as [&str; 0]);
}

#[test]
fn stacks_of_sanitizers_that_print_no_trace_are_read() {
    let finding = one(&stamped(
        "BUG: KFENCE: use-after-free read in take_slot+0x1/0x2||\
         Use-after-free read at 0x00000000deadbeef (in kfence-#12):| take_slot+0x1/0x2| scan+0x1/0x2||\
         kfence-#12: 0x1234-0x12ff, size=192, cache=kmalloc-192||\
         allocated by task 5 on cpu 0 at 12.000000s:| new_slot+0x1/0x2| f+0x1/0x2||\
         freed by task 6 on cpu 0 at 13.000000s:| put_slot+0x1/0x2| f+0x1/0x2||\
         CPU: 1 PID: 77 Comm: kswapd0 Not tainted 6.6.0 #1",
    ));
    assert_eq!(functions(&finding, StackRole::Access), ["take_slot", "scan"]);
    assert_eq!(functions(&finding, StackRole::AllocatedBy), ["new_slot", "f"]);
    assert_eq!(functions(&finding, StackRole::FreedBy), ["put_slot", "f"]);
    assert_eq!(finding.stacks[2].task.as_deref(), Some("6"));
    let finding = one(&stamped(
        "BUG: KCSAN: data-race in get_slot / put_slot||\
         write to 0xffff888012345678 of 8 bytes by task 77 on cpu 1:| put_slot+0x1/0x2||\
         read to 0xffff888012345678 of 8 bytes by task 78 on cpu 0:| get_slot+0x1/0x2||value changed",
    ));
    assert_eq!(functions(&finding, StackRole::Access), ["put_slot"]);
    assert_eq!(functions(&finding, StackRole::Other), ["get_slot"]);
}

#[test]
fn riscv_says_twice_that_there_is_a_bug() {
    let finding = one(&stamped(
        "kernel BUG at mm/slots.c:1!|Kernel BUG [#1]|CPU: 0 PID: 1 Comm: dd Not tainted 6.9.1 #1|\
         epc : take_slot+0x1/0x2| ra : take_slot+0x1/0x2|\
         status: 0000000000000120 badaddr: 0000000000000000 cause: 0000000000000003|\
         [<ffffffff801ca72a>] take_slot+0x1/0x2|[<ffffffff801b9f20>] read_slot+0x1/0x2|[<ffffffff801b9f24>] f+0x1/0x2",
    ));
    assert_eq!(finding.title, "kernel BUG in take_slot");
    assert_eq!(finding.corrupted, None);
    assert_eq!(functions(&finding, StackRole::Access), ["take_slot", "read_slot", "f"]);
    assert_eq!(finding.follow_ups, ["Kernel BUG [#1]"]);
}

#[test]
fn s390_names_the_place_in_its_status_word() {
    let log = "Unable to handle kernel pointer dereference in virtual kernel address space|\
         Krnl PSW : 0704c00180000000 00000000735d720c (take_slot+0x1/0x2)|Call Trace:|\
          [<00000000735d720c>] take_slot+0x1/0x2 |([<00000000735d7208>] take_slot+0x1/0x2)|\
          [<00000000735a1234>] read_slot+0x1/0x2 | [<0000000073aa0000>] system_call+0x1/0x2 |\
         Last Breaking-Event-Address:| [<00000000735d7000>] elsewhere+0x1/0x2";
    let finding = one(&stamped(log));
    assert_eq!(finding.title, "BUG: unable to handle kernel pointer dereference in take_slot");
    let stack = functions(&finding, StackRole::Access);
    assert_eq!(stack, ["take_slot", "read_slot", "system_call"]);
}

#[test]
fn a_panic_of_its_own_is_a_report_and_one_that_follows_is_not() {
    let rss = "BUG: Bad rss-counter state mm:1 type:MM_SWAPENTS val:-1";
    let own = "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: take_slot+0x1/0x2|\
               CPU: 0 PID: 7 Comm: dd Not tainted 6.9.1 #1|Call Trace:| panic+0x1/0x2| take_slot+0x1/0x2| f+0x1/0x2";
    let (findings, _) = read(&stamped(&format!("{rss}|{own}")));
    let [first, second] = &findings[..] else { panic!("two reports, not {findings:#?}") };
    assert_eq!(second.title, "kernel panic: stack is corrupted in take_slot");
    assert_eq!((first.stacks.len(), first.scene.pid), (0, None));
    let panic = "Kernel panic - not syncing: Fatal exception";
    assert_eq!(one(&stamped(&format!("{OOPS}|x|{panic}"))).follow_ups, [panic]);
}

#[test]
fn the_first_line_names_the_function_where_the_trace_is_lost() {
    let head = "WARNING: CPU: 0 PID: 7 at mm/slots.c:1 take_slot+0x1/0x2";
    let finding = one(&stamped(&format!("{head}|Modules linked in: zram")));
    assert_eq!(finding.title, "WARNING in take_slot");
    assert!(finding.corrupted.is_some());
    // Helpers are not to blame, and where the kernel was set to panic the stack is the panic's.
    for log in [
        head.replace("take_slot", "kmalloc_slot"),
        format!("{head}|Kernel panic - not syncing: panic_on_warn set ...|Call Trace:"),
    ] {
        assert_eq!(one(&stamped(&log)).frame, "corrupted", "{log}");
    }
}

#[test]
fn stacks_end_where_the_next_report_begins() {
    let map = "BUG: Bad page map in process hog  pte:17057e3c pmd:b1809067|\
               CPU: 0 PID: 940 Comm: hog Tainted: G    B   6.9.1 #1|Call Trace:| print_bad_pte+0x1/0x2| zap+0x1/0x2";
    let (findings, _) = read(&stamped(&format!("{map}|{OOPS}")));
    assert_eq!(functions(&findings[0], StackRole::Access), ["print_bad_pte", "zap"]);
    assert_eq!(findings[0].stacks.len(), 1);
    assert_eq!(findings[0].scene.comm, "hog");
    assert_eq!(findings[1].scene.comm, "dd");
}

#[test]
fn a_trace_without_its_head_is_told() {
    let tail = OOPS.split_once('|').expect("a first line").1;
    let (findings, notes) = read(&stamped(tail));
    assert_eq!(findings, []);
    let kinds: Vec<NoteKind> = notes.iter().map(|note| note.kind).collect();
    assert_eq!(kinds, [NoteKind::HeadlessTrace]);
    assert_eq!(notes[0].text, "RIP: 0010:take_slot+0x1/0x2");
    // With its head it is a report, and a trace that somebody asked for is none.
    assert_eq!(read(&stamped(OOPS)).1, []);
    let asked = "hog invoked oom-killer: gfp_mask=0x1, order=0|Call Trace:| dump_header+0x1/0x2";
    assert_eq!(read(&stamped(asked)).1.len(), 1);
    // A log may begin below even that.
    let (findings, notes) =
        read(&stamped(" read_slot+0x1/0x2| do_read+0x1/0x2| </TASK>|Modules linked in: zram"));
    assert_eq!(findings, []);
    let told: Vec<_> = notes.iter().map(|note| (note.kind, note.text.as_str())).collect();
    assert_eq!(told, [(NoteKind::HeadlessTrace, "read_slot+0x1/0x2")]);
}

#[test]
fn registers_of_mips_and_loongarch_name_the_place() {
    let stack = "Call Trace:|[<8010ad80>] read_slot+0x20/0x40|[<8010b000>] f+0x1/0x2|[<8010b100>] g+0x1/0x2";
    for (head, pointer) in [
        (
            "CPU 0 Unable to handle kernel paging request at virtual address 00000000, epc == 8010ad9c",
            "epc   : 8010ad9c take_slot+0x1c/0x40|ra    : 8010ad80 read_slot+0x20/0x40",
        ),
        (
            "CPU 1 Unable to handle kernel paging request at virtual address 0000000000000008, era == 90",
            "pc 90000000002e5a14 ra 90000000002e5a00|   ra: 90000000002e5a00 read_slot+0x1/0x2|  ERA: 90000000002e5a14 take_slot+0x1/0x2",
        ),
    ] {
        let finding = one(&stamped(&format!("{head}|Oops[#1]:|{pointer}|{stack}")));
        assert_eq!(finding.title, "BUG: unable to handle kernel paging request in take_slot");
    }
}

#[test]
fn who_holds_the_lock_is_part_of_the_hang() {
    let holder = "INFO: task dd:41 is blocked on a mutex likely owned by task cp:42.|task:cp state:D|\
                  Call Trace:| <TASK>| __schedule+0x1/0x2| put_slot+0x1/0x2| </TASK>";
    let finding = one(&stamped(&format!("{HANG}|{holder}")));
    assert_eq!(finding.title, "INFO: task hung in take_slot");
    assert_eq!(finding.scene.comm, "dd");
}

#[test]
fn a_wrapped_line_is_put_together_again() {
    let stack = stamped("Call Trace:| <TASK>| take_slot+0x1/0x2| f+0x1/0x2| g+0x1/0x2");
    let log = format!(
        "[  785.477183] BUG: KASAN: slab-out-of-bounds in\ntake_slot+0x17b8/0x1bc0\n\
         [  785.484752] Read of size 8 at addr ffff00886ecaffe8 by task\nhog/8727\n{stack}"
    );
    let finding = one(&log);
    assert_eq!(finding.title, "KASAN: slab-out-of-bounds Read in take_slot");
    assert!(finding.text.contains("by task hog/8727"), "{}", finding.text);
}

#[test]
fn lines_without_stamps_are_put_together_where_the_log_is_wrapped() {
    let log = "BUG: KASAN: slab-use-after-free in\ntake_slot+0x14/0x120\n\
               Read of size 8 at addr ffff888012345678 by\ntask kswapd0/77\n\n\
               CPU: 1 UID: 0 PID: 77 Comm: kswapd0 Not\ntainted 6.12.9 #1\n\
               Call Trace:\n <TASK>\n kasan_report+0x1/0x2\n take_slot+0x14/0x120\n f+0x14/0x120\n </TASK>\n";
    let finding = one(log);
    assert_eq!(finding.title, "KASAN: slab-use-after-free Read in take_slot");
    let scene = &finding.scene;
    assert_eq!((scene.comm.as_str(), scene.release.as_str()), ("kswapd0", "6.12.9"));
    assert_eq!(functions(&finding, StackRole::Access), ["kasan_report", "take_slot", "f"]);
    // One that was not wrapped stays as it is.
    let log = OOPS.replace('|', "\n");
    assert_eq!(one(&log).text, format!("{log}\n"));
}

#[test]
fn only_consoles_have_kernels() {
    let has = |log: &str| {
        let mut reader = Reader::new(Options::default());
        reader.push(log.as_bytes());
        reader.finish();
        reader.has_kernel_lines()
    };
    assert!(has(&stamped("zswap: x")) && has(&HANG.replace('|', "\n")));
    assert!(!has("") && !has("Dear list,\n\nit hangs.\n") && !has("\x7fELF\0\0"));
}

/// Logs that are not ours to copy: `shared/console-kinds` beside the checkout. What each has to
/// give: titles in order, then tasks, then notes' kinds with their tasks.
#[test]
fn kinds_of_others_logs_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/console-kinds");
    if !folder.exists() {
        return;
    }
    let hang = "INFO: task hung in shmem_unuse";
    let poison = |function: &str| format!("BUG: Poison overwritten in {function}");
    for (name, want, task) in [
        ("base-oom", vec![], ""),
        ("k01-journal-userspace-words", vec![], ""),
        (
            "k02-prose-names-a-bug",
            vec!["BUG: unable to handle kernel paging request in swap_writepage"],
            "kswapd0/94",
        ),
        ("k02b-mail-headers", vec!["WARNING in shrink_foo"], "kswapd0/94"),
        (
            "k03-decoded-kasan",
            vec!["KASAN: slab-use-after-free Read in zswap_example"],
            "kswapd0/94",
        ),
        (
            "k03b-decoded-oops",
            vec!["BUG: unable to handle kernel paging request in swap_writepage"],
            "kswapd0/94",
        ),
        ("k03c-decoded-warning-hung", vec!["WARNING in list_lru_example", hang], "kswapd0/94"),
        ("k04-quoted-and-indented", vec![hang], "swapoff/900"),
        ("k04b-indented", vec![hang], "swapoff/900"),
        ("k05-kmsg-netconsole-ext", vec![hang], "swapoff/900"),
        ("k06-dmesgT-locale", vec![hang], "swapoff/900"),
        ("k06b-journal-locale", vec![hang], "swapoff/900"),
        ("k07-kernel-only", vec![hang], "swapoff/900"),
        ("k07b-serial-tool-stamp", vec![hang], "swapoff/900"),
        ("k07c-lab-stamp", vec![hang], "swapoff/900"),
        ("k07d-logcat-kernel", vec![hang], "swapoff/900"),
        ("k07e-cpu-in-stamp", vec![hang], "swapoff/900"),
        ("k07f-line-numbers", vec![hang], "swapoff/900"),
        ("k07g-cri", vec![hang], "swapoff/900"),
        ("k07h-wall", vec![hang], "swapoff/900"),
        ("k08-utf16le", vec![hang], "swapoff/900"),
        ("k08b-utf8-bom", vec![hang], "swapoff/900"),
        ("k08c-dmesg-colour", vec![hang], "swapoff/900"),
        ("k12-comm-of-kdump-kernels", vec!["kernel BUG in exit_mmap"], "swapoff/18440"),
        ("k12b-comm-kdump-tainted", vec!["kernel BUG in exit_mmap"], "swapoff/18440"),
        (
            "k12c-pid-comm-before-3.9",
            vec!["BUG: unable to handle kernel NULL pointer dereference in balance_example"],
            "kswapd0/700",
        ),
        ("k12d-comm-line-ends-at-taint", vec!["WARNING in list_lru_example"], "kswapd0/94"),
        ("k13-hung-task-names-its-task", vec![hang], "swapoff/900"),
        (
            "k14-stacks-of-the-next-report",
            vec![
                "BUG: Bad page map",
                "BUG: unable to handle kernel NULL pointer dereference in do_swap_page",
            ],
            "hog/940",
        ),
        (
            "k15-own-panic-swallowed",
            vec!["BUG: Bad rss-counter state", "kernel panic: corrupted stack end in sys_futex"],
            "/",
        ),
        ("k16-riscv-kernel-bug-twice", vec!["kernel BUG in folio_example"], "hog/1"),
        ("k16b-riscv-wrapped", vec!["kernel BUG in folio_example"], "hog/1"),
        ("k17-s390-trace", vec!["WARNING in swap_example"], "swapoff/2156"),
        ("k17b-s390-cut-before-trace", vec!["WARNING in swap_example"], "swapoff/2156"),
        (
            "k17c-s390-oops",
            vec!["BUG: unable to handle kernel pointer dereference in swap_example"],
            "swapoff/2156",
        ),
        ("k18-warning-head-only", vec!["WARNING in pool_example"], "kswapd0/4490"),
        (
            "k19-panic-after-long-report",
            vec!["BUG: unable to handle kernel paging request in swap_writepage"],
            "kswapd0/94",
        ),
        ("k20-prose-around-journal", vec![hang], "swapoff/900"),
        ("k20b-two-forms-in-one", vec![hang, hang], "swapoff/900"),
        ("k20c-journal-after-16k", vec![hang], "swapoff/900"),
        ("k21-slub-poison-other-cache", vec![&poison("zswap_entry_free")], "hog/714"),
        (
            "k21b-slub-poison-kmalloc",
            vec!["BUG kmalloc-NUM (Not tainted): Poison overwritten"],
            "hog/714",
        ),
        ("k21c-slub-poison-before-5.13", vec![&poison("zswap_free_entry")], "/"),
        ("k22-other-mm-complaints", vec![], ""),
        ("k23-console-userspace-warnings", vec![], ""),
        (
            "k24-head-wrapped-by-mailer",
            vec!["KASAN: slab-out-of-bounds Read in swapin_example"],
            "hog/8727",
        ),
    ] {
        let log = std::fs::read(folder.join(format!("{name}.log")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut reader = Reader::new(Options::default());
        let mut seen = reader.push(&log);
        seen.extend(reader.finish());
        let findings: Vec<Finding> = seen
            .into_iter()
            .filter_map(|seen| match seen {
                Seen::Report(finding) => Some(*finding),
                Seen::Note(_) => None,
            })
            .collect();
        let titles: Vec<&str> = findings.iter().map(|finding| finding.title.as_str()).collect();
        assert_eq!(titles, want, "{name}");
        if let Some(first) = findings.first() {
            let pid = first.scene.pid.map(|pid| pid.to_string()).unwrap_or_default();
            assert_eq!(format!("{}/{pid}", first.scene.comm), task, "{name}");
        }
    }
}
