// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console reader on whole logs: our own, made-up ones, and any bytes at all.

use proptest::prelude::*;
use reports::console::{NoteKind, Options, Reader, Seen};
use reports::finding::{Finding, StackRole};

const WRITEBACK: &[u8] = include_bytes!("../corpus/zswap-writeback-6.1.log");
const SHRINK: &[u8] = include_bytes!("../corpus/zswap-shrink-6.12.log");
const CLEAN: &[u8] = include_bytes!("../corpus/clean-6.1.log");

fn read(log: &[u8]) -> Vec<Seen> {
    let mut reader = Reader::new(Options::default());
    let mut seen = reader.push(log);
    seen.extend(reader.finish());
    seen
}

fn reports(log: &[u8]) -> Vec<Finding> {
    let reports = read(log).into_iter().filter_map(|seen| match seen {
        Seen::Report(finding) => Some(*finding),
        Seen::Note(_) => None,
    });
    reports.collect()
}

fn titles(log: &str) -> Vec<String> {
    reports(log.as_bytes()).into_iter().map(|finding| finding.title).collect()
}

fn functions(finding: &Finding, role: StackRole) -> Vec<&str> {
    let stack = finding.stacks.iter().find(|stack| stack.role == role);
    stack.map_or(Vec::new(), |s| s.frames.iter().map(|f| f.function.as_str()).collect())
}

#[test]
fn the_race_is_read_with_all_its_stacks() {
    let found = reports(WRITEBACK);
    assert_eq!(found.len(), 2);
    let first = &found[0];
    assert_eq!(first.title, "KASAN: use-after-free Write in zswap_writeback_entry");
    assert_eq!(first.kind, "KASAN-USE-AFTER-FREE-WRITE");
    assert_eq!(first.frame, "zswap_writeback_entry");
    assert_eq!(first.corrupted, None);
    assert_eq!(first.head, "BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0");
    assert_eq!(first.scene.workqueue, "zswap-shrink shrink_worker");
    assert_eq!((first.scene.cpu, first.scene.pid), (Some(1), Some(44)));
    assert!(functions(first, StackRole::Access).contains(&"shrink_worker"));
    assert!(functions(first, StackRole::FreedBy).contains(&"__x64_sys_swapoff"));
    assert!(functions(first, StackRole::AllocatedBy).contains(&"__x64_sys_swapon"));
    let at = usize::try_from(first.offset).expect("a small log");
    assert!(WRITEBACK[at..].starts_with(b"[    2.681714][   T44] BUG: KASAN"));
    assert_eq!(WRITEBACK[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1, first.line);
}

#[test]
fn the_other_kernel_shows_it_elsewhere() {
    let found = reports(SHRINK);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].title, "KASAN: slab-use-after-free Write in shrink_memcg_cb");
    assert!(functions(&found[0], StackRole::FreedBy).contains(&"zswap_swapoff"));
}

#[test]
fn the_last_line_of_a_panic_is_no_report_of_its_own() {
    let log = "Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled\n\
        CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n panic+0x1/0x2\n \
        out_of_memory+0x1/0x2\n a+0x1/0x2\n\
        ---[ end Kernel panic - not syncing: Out of memory: compulsory ]---\n";
    let log: String = log.lines().map(|line| format!("[    1.000000] {line}\n")).collect();
    let titles: Vec<String> = reports(log.as_bytes()).into_iter().map(|f| f.title).collect();
    assert_eq!(titles, ["kernel panic: Out of memory: compulsory panic_on_oom is enabled"]);
}

#[test]
fn a_storm_without_a_bug_is_clean() {
    assert_eq!(reports(CLEAN), []);
}

#[test]
fn signatures_tell_bugs_apart_and_nothing_else() {
    let [first, second] = &reports(WRITEBACK)[..] else { panic!("two reports") };
    assert_ne!(first.signature, second.signature);
    // Another boot: other addresses, tasks, CPUs, offsets and times.
    let other = String::from_utf8(WRITEBACK.to_vec())
        .expect("the log is text")
        .replace("T44]", "T7]")
        .replace("kworker/1:2/44", "kworker/0:0/7")
        .replace("ffff8880008be908", "ffff888003abc908")
        .replace("+0x60/0xb0", "+0x5c/0xa0")
        .replace("[    2.", "[   17.");
    let again = reports(other.as_bytes());
    assert_eq!(again[0].signature, first.signature);
    assert_eq!(again[1].signature, second.signature);
    // The same access, but somebody else freed the object.
    let other = other.replace("zswap_frontswap_invalidate_area", "somebody_else");
    assert_ne!(reports(other.as_bytes())[0].signature, first.signature);
}

/// A use-after-free as an architecture and a kernel print it.
fn shrinker_race(access: &str, top: &str, bottom: &str, freed: &str) -> String {
    let log = format!(
        "BUG: KASAN: {access} in _raw_spin_lock+0x60/0xb0\nWrite of size 4 at addr 12 by task k/4\n\
         {top}\n kasan_report+0x1/0x2\n _raw_spin_lock+0x60/0xb0\n shrink_memcg_cb+0x1/0x2\n{bottom}\n\n\
         Freed by task 7:\n kasan_save_stack+0x1/0x2\n kfree+0x1/0x2\n zswap_swapoff+0x1/0x2\n\
         {freed}\n"
    );
    log.lines().map(|line| format!("[    1.000000] {line}\n")).collect()
}

#[test]
fn signatures_are_the_same_on_another_architecture_and_the_next_kernel() {
    let signature = |log: String| reports(log.as_bytes())[0].signature.clone();
    let x86 = |work: &str, call: &str| {
        shrinker_race(
            "use-after-free",
            "Call Trace:\n <TASK>\n dump_stack_lvl+0x1/0x2",
            &format!(" process_one_work+0x1/0x2\n{work} worker_thread+0x1/0x2\n kthread+0x1/0x2"),
            &format!(" __x64_sys_swapoff+0x1/0x2\n{call} do_syscall_64+0x1/0x2"),
        )
    };
    let first = signature(x86("", ""));
    let next = x86(" process_scheduled_works+0x1/0x2\n", " x64_sys_call+0x1/0x2\n");
    assert_eq!(signature(next), first);
    let arm64 = shrinker_race(
        "slab-use-after-free",
        "Call trace:\n show_stack+0x1/0x2 (C)\n dump_stack_lvl+0x1/0x2",
        " process_one_work+0x1/0x2\n worker_thread+0x1/0x2\n ret_from_fork+0x1/0x2",
        " __arm64_sys_swapoff+0x1/0x2\n invoke_syscall.constprop.0+0x1/0x2\n \
         do_el0_svc+0x1/0x2\n el0t_64_sync+0x1/0x2",
    );
    assert_eq!(signature(arm64), first);
    let riscv = shrinker_race(
        "slab-use-after-free",
        "Call Trace:\n[<ffffffff80001234>] dump_backtrace+0x1/0x2",
        "[<ffffffff80001234>] process_one_work+0x1/0x2\n[<ffffffff80001234>] kthread+0x1/0x2",
        " __do_sys_swapoff+0x1/0x2\n __riscv_sys_swapoff+0x1/0x2\n do_trap_ecall_u+0x1/0x2",
    );
    assert_eq!(signature(riscv), first);
    let another = x86("", "").replace("shrink_memcg_cb", "zswap_store");
    assert_ne!(signature(another), first);
}

#[test]
fn a_report_is_announced_when_its_tail_is_complete() {
    let mut reader = Reader::new(Options::default());
    let end = {
        let finding = &reports(WRITEBACK)[0];
        let from = usize::try_from(finding.offset).expect("a small log");
        let rule = "=".repeat(66) + "\n";
        let text = String::from_utf8_lossy(&WRITEBACK[from..]);
        from + text.find(&rule).expect("KASAN rules off its reports") + rule.len()
    };
    assert_eq!(reader.push(&WRITEBACK[..end - 1]), []);
    assert!(reader.has_open_report());
    assert_eq!(reader.push(&WRITEBACK[end - 1..end]).len(), 1);
    assert!(!reader.has_open_report());
    assert_eq!(reader.idle(), []);
}

#[test]
fn a_quiet_console_ends_what_has_no_tail() {
    let mut reader = Reader::new(Options::default());
    let hang = "[  1.0] INFO: task swapoff:7 blocked for more than 120 seconds.\n\
                [  1.0] Call Trace:\n[  1.0]  __schedule+0x1/0x2\n[  1.0]  try_to_unuse+0x1/0x2\n";
    assert_eq!(reader.push(hang.as_bytes()), []);
    let [Seen::Report(finding)] = &reader.idle()[..] else { panic!("one report") };
    assert_eq!(finding.title, "INFO: task hung in try_to_unuse");
}

#[test]
fn silence_and_idle_talk_are_told_apart() {
    let mut reader = Reader::new(Options::default());
    assert_eq!((reader.stats().bytes, reader.stats().lines), (0, 0));
    reader.push(b"a\nb\nhalf a line");
    assert_eq!((reader.stats().bytes, reader.stats().lines), (15, 2));
}

#[test]
fn cpus_are_un_mixed_by_their_callers() {
    let log = "[ 1.0][   T7] BUG: sleeping function called from invalid context at mm/swapfile.c:1\n\
               [ 1.0][   T8] Call Trace:\n[ 1.0][   T8]  wrong_one+0x1/0x2\n\
               [ 1.0][   T7] Call Trace:\n[ 1.0][   T7]  dump_stack+0x1/0x2\n\
               [ 1.0][   T8]  wrong_two+0x1/0x2\n[ 1.0][   T7]  right_one+0x1/0x2\n[ 1.0][   T7]  x+0x1/0x2\n";
    assert_eq!(titles(log), ["BUG: sleeping function called from invalid context in right_one"]);
}

#[test]
fn what_follows_from_a_report_belongs_to_it() {
    let log = "[ 1.0] ------------[ cut here ]------------\n[ 1.0] kernel BUG at mm/zswap.c:1!\n\
               [ 1.0] invalid opcode: 0000 [#1] SMP\n[ 1.0] RIP: 0010:zswap_load+0x1/0x2\n\
               [ 1.0] Call Trace:\n[ 1.0]  zswap_load+0x1/0x2\n[ 1.0]  swap_read_folio+0x1/0x2\n\
               [ 1.0] ---[ end trace 0 ]---\n[ 1.0] Kernel panic - not syncing: Fatal exception\n";
    let found = reports(log.as_bytes());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].title, "kernel BUG in zswap_load");
    assert_eq!(found[0].follow_ups, ["invalid opcode: 0000 [#1] SMP"]);
    // Who can wait gets what came after the end, too.
    let mut reader = Reader::new(Options { await_panic: true, ..Options::default() });
    assert_eq!(reader.push(log.as_bytes()), []);
    let [Seen::Report(finding)] = &reader.finish()[..] else { panic!("one report") };
    let panic = "Kernel panic - not syncing: Fatal exception";
    assert_eq!(finding.follow_ups, ["invalid opcode: 0000 [#1] SMP", panic]);
}

#[test]
fn a_replayed_first_line_counts_once() {
    let log = "[ 1.0] WARNING: CPU: 0 PI\n\
               ** replaying previous printk message **\n\
               [ 1.0] WARNING: CPU: 0 PID: 7 at mm/zswap.c:1 zswap_load+0x1/0x2\n\
               [ 1.0] RIP: 0010:zswap_load+0x1/0x2\n[ 1.0] Call Trace:\n\
               [ 1.0]  swap_read_folio+0x1/0x2\n[ 1.0]  f+0x1/0x2\n";
    assert_eq!(titles(log), ["WARNING in zswap_load"]);
}

#[test]
fn notes_are_no_reports() {
    let log = b"[ 1.0] hog invoked oom-killer: gfp_mask=0x1, order=0\n\
        [ 1.0] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/storm,task_memcg=/storm,task=hog,pid=7,uid=0\n\
        [ 1.0] get_swap_device: Bad swap file entry 3ff00000001\n";
    let kinds: Vec<NoteKind> = read(log)
        .into_iter()
        .map(|seen| match seen {
            Seen::Note(note) => note.kind,
            Seen::Report(finding) => panic!("{}", finding.title),
        })
        .collect();
    assert_eq!(kinds, [NoteKind::OomInvoked, NoteKind::OomKill, NoteKind::BadSwapEntry]);
}

#[test]
fn a_report_read_again_stays_the_same() {
    for log in [WRITEBACK, SHRINK] {
        for finding in reports(log) {
            let [again] = &reports(finding.text.as_bytes())[..] else { panic!("one report") };
            // Times and callers are cut off; all else is in the text.
            let same = Finding { offset: finding.offset, line: finding.line, ..again.clone() };
            assert_eq!(
                Finding { text: String::new(), ..same },
                Finding { text: String::new(), ..finding }
            );
        }
    }
}

#[test]
fn a_report_begins_behind_carriage_returns_wherever_the_log_is_cut() {
    let log = b"x\n\r\rBUG: Bad rss-counter state mm:1 idx:0 val:15\r\n";
    for cut in 0..=log.len() {
        let mut reader = Reader::new(Options::default());
        let mut seen = reader.push(&log[..cut]);
        seen.extend(reader.push(&log[cut..]));
        seen.extend(reader.finish());
        let [Seen::Report(finding)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(finding.offset, 4, "cut at {cut}");
    }
}

#[test]
fn carriage_returns_change_nothing_but_offsets() {
    let dos = String::from_utf8_lossy(WRITEBACK).replace('\n', "\r\n").into_bytes();
    let (unix, dos_reports) = (reports(WRITEBACK), reports(&dos));
    for (a, b) in unix.iter().zip(&dos_reports) {
        let at = usize::try_from(b.offset).expect("a small log");
        assert!(
            dos[at..].starts_with(&WRITEBACK[usize::try_from(a.offset).expect("small")..][..40])
        );
        assert_eq!(Finding { offset: 0, ..a.clone() }, Finding { offset: 0, ..b.clone() });
    }
    assert_eq!(unix.len(), dos_reports.len());
}

#[test]
fn hostile_consoles_cost_little() {
    let mut reader = Reader::new(Options::default());
    let long = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        assert_eq!(reader.push(&long), []);
        assert_eq!(reader.push(&vec![0; 1 << 20]), []);
    }
    let heads = b"BUG: KASAN: \x1b[31m\xff\n".repeat(50_000);
    let seen = reader.push(&heads);
    let findings = seen.len() + reader.finish().len();
    // The first one is on the endless line.
    assert_eq!(findings, 49_999);
    for seen in seen {
        let Seen::Report(finding) = seen else { panic!("no notes here") };
        assert!(finding.text.len() <= 64 << 10 && finding.head.len() <= 512);
        assert!(!finding.text.contains('\x1b') && !finding.head.contains('\x1b'));
    }
}

#[test]
fn work_grows_as_a_hostile_console_does() {
    let work = |log: &[u8]| {
        let mut reader = Reader::new(Options::default());
        log.chunks(64 << 10).for_each(|chunk| drop(reader.push(chunk)));
        reader.finish();
        reader.work()
    };
    let stack = "Call Trace:\n f+0x1/0x2\n";
    let lines = [
        "BUG:\n",
        "BUG: KASAN: use-after-free in f+0x1/0x2\nRead of size 8\n",
        "WARNING: CPU: 0 PID: 7 at mm/a.c:1 f+0x1/0x2\n",
        "INFO: task a:1 blocked for more than 1 seconds\n",
        "Kernel panic - not syncing: x\n",
        "Killed process 1 (a)\n",
        "\n\n\n\nBUG:\n",
        stack,
    ];
    let heads = [
        "",
        "> ",
        "[    1.000000] ",
        "[    1.000000][   T{n}] ",
        "[Sun Nov 22 13:41:46 2026] ",
        "Nov 22 13:41:46 box kernel: ",
        "Nov 22 13:41:46 box app[7]: ",
        "6,1234,5678901,-,caller=T{n};",
        "2026-11-22T13:41:46.123456789Z stdout F ",
        "(rig-7/ttyUSB0) {n} | ",
        "\x1b[32m",
    ];
    for (line, head) in lines.iter().flat_map(|line| heads.map(|head| (line, head))) {
        let log = |count: usize| {
            let one = |n: usize| {
                let head = head.replace("{n}", &n.to_string());
                line.split_inclusive('\n').map(|line| format!("{head}{line}")).collect::<String>()
            };
            (0..count).map(one).collect::<String>()
        };
        let (short, long) = (log(400), log(800));
        let (little, much) = (work(short.as_bytes()), work(long.as_bytes()));
        let bytes = long.len() as u64;
        assert!(much <= 2 * little + bytes, "{little} {much} {head:?} {line:?}");
        assert!(much <= MOST_WORK * bytes, "{much} of {bytes} {head:?} {line:?}");
    }
}

/// How often a byte may be looked at: twelve reports may be open at a time, and each keeps what
/// led to it.
const MOST_WORK: u64 = 40;

/// Bytes that look like a console now and then.
fn console() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "[    1.000000] ",
        "[    1.000000][   T44] ",
        "[    1.000000][    C0] ",
        "BUG: ",
        "KASAN: ",
        "KMSAN: ",
        "use-after-free in ",
        "WARNING: ",
        "INFO: task ",
        "blocked for more than 1 seconds",
        "CPU: 0 PID: 7 at mm/a.c:1 ",
        "f+0x1/0x2",
        "zswap_load+0x1/0x2\n",
        "Call Trace:\n",
        "Read of size 8\n",
        "Freed by task 7:\n",
        "Allocated by task 7:\n",
        "RIP: 0010:",
        " ? ",
        "<EOI>",
        "=".repeat(66).leak(),
        "\n",
        "\r\n",
        "\r",
        "at: ",
        "is trying to acquire lock",
        "possible circular locking dependency detected",
        "rcu: INFO: rcu_preempt detected stalls",
        "apic_timer_interrupt+0x1/0x2\n",
        "Kernel panic - not syncing: ",
        "---[ end trace 0 ]---\n",
        "Sending NMI from CPU",
        "** replaying previous printk message **",
        "oom-kill:constraint=A,task=b,",
        "should_fail+0x1/0x2\n",
        "general protection fault",
        "\x1b[31m",
        "\0",
        "login: ",
        "** 12 printk messages dropped ** ",
        "_RNvC1a1b+0x1/0x2\n",
        "kernel BUG at ",
        "a.c:12 [inline]\n",
        "UBSAN: x in y\n",
    ];
    let word = prop_oneof![
        8 => proptest::sample::select(words.to_vec()).prop_map(|w| w.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(word, 0..200).prop_map(|words| words.concat())
}

/// As many cases as `PROPTEST_CASES` asks for; few without it, as each reads a log twice.
fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { 120 };
    ProptestConfig { cases, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn chunks_do_not_matter(log in console(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
        cuts.sort_unstable();
        let mut reader = Reader::new(Options::default());
        let mut seen = Vec::new();
        let mut from = 0;
        for cut in cuts {
            seen.extend(reader.push(&log[from..cut]));
            from = cut;
        }
        seen.extend(reader.push(&log[from..]));
        seen.extend(reader.finish());
        let mut whole = Reader::new(Options::default());
        let mut all = whole.push(&log);
        all.extend(whole.finish());
        prop_assert_eq!(seen, all);
        prop_assert_eq!(reader.stats(), whole.stats());
        prop_assert_eq!(reader.facts(), whole.facts());
    }

    #[test]
    fn nothing_printed_can_break_a_terminal(log in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let log = [b"BUG: \xff\x1b[2J".as_slice(), &log, b"\nWARNING: ", &log].concat();
        for finding in reports(&log) {
            for text in [&finding.title, &finding.frame, &finding.head, &finding.text] {
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{:?}", text);
            }
        }
    }
}
