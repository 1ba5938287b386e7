// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Look, json, markdown, text};
use crate::event::{Fault, LeftOutPoint, PlacedPoint, VmEnd, What};
use crate::exit::Purpose;
use crate::run::RunReport;
use crate::sample::events::{BUGGY, FIXED, Log, good_repro};
use crate::sample::{bug_elsewhere, race_6_1};

fn shown(report: &RunReport, width: usize) -> String {
    text(report, Purpose::Repro, Look { width, colour: false })
}

#[test]
fn a_repro_at_80_columns() {
    insta::assert_snapshot!(shown(&good_repro().report(), 80), @r#"
Reproduced: the bug shows on debian-6.1, not with zswap-writeback-swapoff-6.1.
With a probability of 4.8 %, a kernel that is not fixed would have looked like
this: the bug showed in 1 of 1 guests within 3 windows and 18 swapoffs, and here
not within 60 windows and 408 swapoffs.

debian-6.1                               debian-6.1
as it is                                 + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0        Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────   ──────────────────────────────────────
EXPECTED BUG                             CLEAN
KASAN: use-after-free Write in           at most 1 in 20 stretched windows
zswap_writeback_entry                    at most 1 in 136 swapoffs (95 %)
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                    3   windows stretched                   60
swapoffs                            18     refused, preempt-count             2
pages written back                 147   swapoffs                           408
pages stored                     2,310   pages written back               2,913
pages verified                   4,096   pages stored                    41,877
guest time                      740 ms   pages verified                  96,512
                                         OOM kills                            1
                                         guest time                      13.2 s

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

access by kworker/1:1/21                 freed by task 35
  _raw_spin_lock                           __kmem_cache_free
> zswap_writeback_entry                    kfree
  zbud_zpool_evict                       > zswap_frontswap_invalidate_area
  zbud_zpool_shrink                        __frontswap_invalidate_area
  zpool_shrink                           > __x64_sys_swapoff
  shrink_worker                            x64_sys_call
  process_one_work                         do_syscall_64
  worker_thread                            entry_SYSCALL_64_after_hwframe
  kthread
  ret_from_fork

buggy: as its consequence: general protection fault in zswap_writeback_entry
the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left out: there is no
function shrink_memcg_cb
"#);
}

#[test]
fn a_repro_at_120_columns() {
    insta::assert_snapshot!(shown(&good_repro().report(), 120), @r#"
Reproduced: the bug shows on debian-6.1, not with zswap-writeback-swapoff-6.1.
With a probability of 4.8 %, a kernel that is not fixed would have looked like this: the bug showed in 1 of 1 guests
within 3 windows and 18 swapoffs, and here not within 60 windows and 408 swapoffs.

debian-6.1                                                   debian-6.1
as it is                                                     + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0                            Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────────────────────────   ──────────────────────────────────────────────────────────
EXPECTED BUG                                                 CLEAN
KASAN: use-after-free Write in zswap_writeback_entry         at most 1 in 20 stretched windows
311 ms after the guest was ready                             at most 1 in 136 swapoffs (95 %)
1.7 s after QEMU's start

windows stretched                      3                     windows stretched                     60
swapoffs                              18                       refused, preempt-count               2
pages written back                   147                     swapoffs                             408
pages stored                       2,310                     pages written back                 2,913
pages verified                     4,096                     pages stored                      41,877
guest time                        740 ms                     pages verified                    96,512
                                                             OOM kills                              1
                                                             guest time                        13.2 s

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

access by kworker/1:1/21                                     freed by task 35
  _raw_spin_lock+0x60/0xb0                                     __kmem_cache_free+0x146/0x250
> zswap_writeback_entry+0x1dd/0x1070                           kfree+0x5b/0x80
  zbud_zpool_evict+0x86/0xd0                                 > zswap_frontswap_invalidate_area+0xb3/0x110
  zbud_zpool_shrink+0x463/0x970                                __frontswap_invalidate_area+0xa3/0x190
  zpool_shrink+0x78/0xc0                                     > __x64_sys_swapoff+0x2347/0x2870
  shrink_worker+0x35/0x90                                      x64_sys_call+0x506/0x9a0
  process_one_work+0x74e/0x1170                                do_syscall_64+0x2f/0x50
  worker_thread+0xdc/0x1310                                    entry_SYSCALL_64_after_hwframe+0x4b/0xb5
  kthread+0x26a/0x310
  ret_from_fork+0x1f/0x30

buggy: as its consequence: general protection fault in zswap_writeback_entry
the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left out: there is no function shrink_memcg_cb
"#);
}

#[test]
fn a_repro_below_80_columns() {
    insta::assert_snapshot!(shown(&good_repro().report(), 60), @r#"
Reproduced: the bug shows on debian-6.1, not with
zswap-writeback-swapoff-6.1.
With a probability of 4.8 %, a kernel that is not fixed
would have looked like this: the bug showed in 1 of 1 guests
within 3 windows and 18 swapoffs, and here not within 60
windows and 408 swapoffs.

debian-6.1
as it is
Linux 6.1.192, x86_64, gcc 12.2.0
────────────────────────────────────────────────────────────
EXPECTED BUG
KASAN: use-after-free Write in zswap_writeback_entry
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                      3
swapoffs                              18
pages written back                   147
pages stored                       2,310
pages verified                     4,096
guest time                        740 ms

debian-6.1
+ zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0
────────────────────────────────────────────────────────────
CLEAN
at most 1 in 20 stretched windows
at most 1 in 136 swapoffs (95 %)

windows stretched                     60
  refused, preempt-count               2
swapoffs                             408
pages written back                 2,913
pages stored                      41,877
pages verified                    96,512
OOM kills                              1
guest time                        13.2 s

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task
kworker/1:1/21

access by kworker/1:1/21
  _raw_spin_lock+0x60/0xb0
> zswap_writeback_entry+0x1dd/0x1070
  zbud_zpool_evict+0x86/0xd0
  zbud_zpool_shrink+0x463/0x970
  zpool_shrink+0x78/0xc0
  shrink_worker+0x35/0x90
  process_one_work+0x74e/0x1170
  worker_thread+0xdc/0x1310
  kthread+0x26a/0x310
  ret_from_fork+0x1f/0x30

freed by task 35
  __kmem_cache_free+0x146/0x250
  kfree+0x5b/0x80
> zswap_frontswap_invalidate_area+0xb3/0x110
  __frontswap_invalidate_area+0xa3/0x190
> __x64_sys_swapoff+0x2347/0x2870
  x64_sys_call+0x506/0x9a0
  do_syscall_64+0x2f/0x50
  entry_SYSCALL_64_after_hwframe+0x4b/0xb5

buggy: as its consequence: general protection fault in
zswap_writeback_entry
the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left
out: there is no function shrink_memcg_cb
"#);
}

fn other_bug() -> RunReport {
    Log::new()
        .planned(BUGGY)
        .planned(FIXED)
        .buggy_cell()
        .kernel(FIXED)
        .started(FIXED, 1)
        .ready(FIXED, 1)
        .found(FIXED, 1, 52, bug_elsewhere())
        .finished(FIXED)
        .end(false)
        .report()
}

#[test]
fn another_bug_comes_first_and_says_why_it_is_not_the_one() {
    insta::assert_snapshot!(shown(&other_bug(), 100), @r#"
Another bug than the expected one, on debian-6.1 + zswap-writeback-swapoff-6.1.

debian-6.1                                         debian-6.1
as it is                                           + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0                  Linux 6.1.192, x86_64, gcc 12.2.0
────────────────────────────────────────────────   ────────────────────────────────────────────────
EXPECTED BUG                                       ANOTHER BUG
KASAN: use-after-free Write in                     kernel BUG in ext4_writepages
zswap_writeback_entry                              52 ms after the guest was ready
311 ms after the guest was ready                   1.7 s after QEMU's start
1.7 s after QEMU's start

windows stretched                      3           windows stretched                      0
swapoffs                              18           swapoffs                               0
pages written back                   147           pages written back                     0
pages stored                       2,310           pages stored                           0
pages verified                     4,096           pages verified                         0
guest time                        740 ms           guest time                          0 ms

debian-6.1 + zswap-writeback-swapoff-6.1 reports:
kernel BUG at fs/ext4/inode.c:2721!
Not the expected bug: its type is BUG, not KASAN-USE-AFTER-FREE*, KASAN-SLAB-USE-AFTER-FREE*.

stack of task 62
  ext4_writepages+0x12f/0x3b10
  do_writepages+0x181/0x610
  __writeback_single_inode+0xfb/0xd40

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

access by kworker/1:1/21                           freed by task 35
  _raw_spin_lock+0x60/0xb0                           __kmem_cache_free+0x146/0x250
> zswap_writeback_entry+0x1dd/0x1070                 kfree+0x5b/0x80
  zbud_zpool_evict+0x86/0xd0                       > zswap_frontswap_invalidate_area+0xb3/0x110
  zbud_zpool_shrink+0x463/0x970                      __frontswap_invalidate_area+0xa3/0x190
  zpool_shrink+0x78/0xc0                           > __x64_sys_swapoff+0x2347/0x2870
  shrink_worker+0x35/0x90                            x64_sys_call+0x506/0x9a0
  process_one_work+0x74e/0x1170                      do_syscall_64+0x2f/0x50
  worker_thread+0xdc/0x1310                          entry_SYSCALL_64_after_hwframe+0x4b/0xb5
  kthread+0x26a/0x310
  ret_from_fork+0x1f/0x30

buggy: as its consequence: general protection fault in zswap_writeback_entry
buggy: the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left out: there is no function
shrink_memcg_cb
"#);
}

#[test]
fn an_interrupted_run() {
    let report =
        Log::new().planned(BUGGY).planned(FIXED).buggy_cell().kernel(FIXED).end(true).report();
    insta::assert_snapshot!(shown(&report, 80), @r#"
Interrupted; this is what had been seen.

debian-6.1                               debian-6.1
as it is                                 + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0        Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────   ──────────────────────────────────────
EXPECTED BUG                             INCONCLUSIVE
KASAN: use-after-free Write in           it was not run
zswap_writeback_entry
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                    3
swapoffs                            18
pages written back                 147
pages stored                     2,310
pages verified                   4,096
guest time                      740 ms

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

access by kworker/1:1/21                 freed by task 35
  _raw_spin_lock                           __kmem_cache_free
> zswap_writeback_entry                    kfree
  zbud_zpool_evict                       > zswap_frontswap_invalidate_area
  zbud_zpool_shrink                        __frontswap_invalidate_area
  zpool_shrink                           > __x64_sys_swapoff
  shrink_worker                            x64_sys_call
  process_one_work                         do_syscall_64
  worker_thread                            entry_SYSCALL_64_after_hwframe
  kthread
  ret_from_fork

buggy: as its consequence: general protection fault in zswap_writeback_entry
buggy: the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left out: there is
no function shrink_memcg_cb
"#);
}

/// Cells of one kernel are told apart by their names alone.
#[test]
fn a_kernel_that_all_cells_share_is_not_repeated() {
    let mut report = good_repro().report();
    report.cells.truncate(1);
    report.cells.extend(vec![report.cells[0].clone(); 2]);
    let table = |width| {
        let text = shown(&report, width);
        let from = text.find("cell  ").unwrap();
        text[from..].lines().take(2).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(table(100), @r"
    cell   verdict          bug after    guest time   windows   swapoffs
    buggy  expected bug        311 ms        740 ms         3         18
    ");
    insta::assert_snapshot!(table(70), @r"
    cell   verdict          bug after   windows   swapoffs
    buggy  expected bug        311 ms         3         18
    ");
}

#[test]
fn many_cells_become_a_table() {
    let mut report = good_repro().report();
    let again = report.cells.clone();
    report.cells.extend(again);
    insta::assert_snapshot!(shown(&report, 100), @r#"
Reproduced: the bug shows on debian-6.1 in 2 of 2 runs, not with zswap-writeback-swapoff-6.1 in 2 of
2 runs.
With a probability of 0.3 %, a kernel that is not fixed would have looked like this: the bug showed
in 2 of 2 guests within 6 windows and 36 swapoffs, and here not within 120 windows and 816 swapoffs.

cell                                   verdict          bug after    guest time   windows   swapoffs
buggy  debian-6.1                      expected bug        311 ms        740 ms         3         18
fixed  debian-6.1 + zswap-writebac...  clean                             13.2 s        60        408
buggy  debian-6.1                      expected bug        311 ms        740 ms         3         18
fixed  debian-6.1 + zswap-writebac...  clean                             13.2 s        60        408
debian-6.1 + zswap-writeback-swapoff-6.1, x86_64, zswap-writeback-swapoff, stretch, 2 cells
together: at most 1 in 40 stretched windows, at most 1 in 272 swapoffs (95 %)

debian-6.1 reports, 2 times:
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

access by kworker/1:1/21                           freed by task 35
  _raw_spin_lock+0x60/0xb0                           __kmem_cache_free+0x146/0x250
> zswap_writeback_entry+0x1dd/0x1070                 kfree+0x5b/0x80
  zbud_zpool_evict+0x86/0xd0                       > zswap_frontswap_invalidate_area+0xb3/0x110
  zbud_zpool_shrink+0x463/0x970                      __frontswap_invalidate_area+0xa3/0x190
  zpool_shrink+0x78/0xc0                           > __x64_sys_swapoff+0x2347/0x2870
  shrink_worker+0x35/0x90                            x64_sys_call+0x506/0x9a0
  process_one_work+0x74e/0x1170                      do_syscall_64+0x2f/0x50
  worker_thread+0xdc/0x1310                          entry_SYSCALL_64_after_hwframe+0x4b/0xb5
  kthread+0x26a/0x310
  ret_from_fork+0x1f/0x30

buggy: as its consequence: general protection fault in zswap_writeback_entry
buggy: as its consequence: general protection fault in zswap_writeback_entry
the stretch point shrink_memcg_cb:_raw_spin_lock:1 is left out: there is no function shrink_memcg_cb
"#);
}

#[test]
fn what_stopped_several_cells_is_said_once() {
    let missing = "qemu-system-x86_64 is not installed\n  hint: install qemu-system-x86";
    let log = ["buggy-1", "buggy-2", "fixed-1"].iter().fold(Log::new(), |log, id| {
        let detail = if *id == "fixed-1" { "the disk is full" } else { missing };
        log.planned(id).failed(id, Fault::Infrastructure, detail).finished(id)
    });
    let text = shown(&log.end(false).report(), 100);
    let reasons: Vec<&str> = text.lines().skip_while(|line| !line.contains(": ")).skip(1).collect();
    let said = "buggy-1, buggy-2: qemu-system-x86_64 is not installed\nhint: install qemu-system-x86\n\
                fixed-1: the disk is full";
    assert!(reasons.join("\n").contains(said), "{text}");
}

/// A guest that tries to leave its code block, to colour the terminal and to write HTML.
fn hostile() -> RunReport {
    let mut finding = race_6_1();
    finding.head = "BUG: \x1b]0;owned\x07 `x` <script>".to_owned();
    finding.title = "KASAN: ``` <img src=x> [a](b) *c* \u{202e}".to_owned();
    finding.text = "a\n````\n<script>\n\x1b[31m\r\n```\nb\n".to_owned();
    finding.stacks[0].frames[5].function = "f\x1b[2J\u{9b}1m".into();
    Log::new()
        .planned(BUGGY)
        .kernel(BUGGY)
        .started(BUGGY, 1)
        .ready(BUGGY, 1)
        .found(BUGGY, 1, 9, finding)
        .then(What::GuestWarned { cell: BUGGY.into(), boot: 1, detail: "<b>\x1b[m\n# x".into() })
        .finished(BUGGY)
        .end(false)
        .report()
}

#[test]
fn how_often_invariants_were_looked_at_is_told() {
    let look =
        |phase| What::GuestChecked { cell: FIXED.into(), boot: 1, phase, detail: "x=0".into() };
    let log = Log::new().planned(FIXED).kernel(FIXED).started(FIXED, 1).ready(FIXED, 1);
    let report = log.then(look(1)).then(look(2)).finished(FIXED).end(false).report();
    let text = shown(&report, 80);
    let row = text.lines().find(|line| line.starts_with("looks at invariants"));
    assert_eq!(row.map(|row| row.split_whitespace().last()), Some(Some("2")), "{text}");
    assert!(markdown(&report, Purpose::Search).contains("invariants looked at"), "{text}");
}

#[test]
fn a_guest_reaches_neither_terminal_nor_markup() {
    let active = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    for width in [40, 80, 120] {
        assert!(!shown(&hostile(), width).contains(active));
    }
    let mail = markdown(&hostile(), Purpose::Repro);
    assert!(!mail.contains(active));
    assert!(mail.contains("\n`````\na\n````\n<script>\n\\x1b[31m\n```\nb\n`````\n"), "{mail}");
    let mut fence = None;
    let mut outside = String::new();
    for line in mail.lines() {
        let is_fence = line.len() > 2 && line.bytes().all(|b| b == b'`');
        match fence {
            None if is_fence => fence = Some(line),
            None => outside.push_str(&format!("{line}\n")),
            // A block ends with a fence that is at least as long as the one it began with.
            Some(begun) if is_fence && line.len() >= begun.len() => fence = None,
            Some(_) => {}
        }
    }
    assert!(!outside.contains('<') && !outside.contains("[a](b)"), "{outside}");
    assert!(!outside.contains("\n# x"));
}

#[test]
fn colour_is_the_only_difference_it_makes() {
    let report = good_repro().report();
    let colour = text(&report, Purpose::Repro, Look { width: 80, colour: true });
    assert!(colour.contains("\x1b[1;31mEXPECTED BUG\x1b[0m"));
    let codes = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m"];
    let plain = codes.iter().fold(colour, |text, code| text.replace(code, ""));
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, shown(&report, 80).lines().collect::<Vec<_>>());
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut reports = vec![good_repro().report(), other_bug(), hostile(), RunReport::default()];
    let mut many = good_repro().report();
    many.cells.extend(many.cells.clone());
    reports.push(many);
    for report in reports {
        for width in 64..=160 {
            for line in shown(&report, width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

/// The report's text is pinned elsewhere, and long.
fn short_report() -> RunReport {
    let mut report = good_repro().report();
    for bug in &mut report.cells[0].bugs {
        bug.finding.text = bug.finding.text.lines().take(4).collect::<Vec<_>>().join("\n");
    }
    report
}

#[test]
fn a_repro_as_a_mail() {
    insta::assert_snapshot!(markdown(&short_report(), Purpose::Repro), @r#"
# use-after-free of a zswap tree, writeback against swapoff

Reproduced: the bug shows on debian-6.1, not with
zswap-writeback-swapoff-6.1.

With a probability of 4.8 %, a kernel that is not fixed would have
looked like this: the bug showed in 1 of 1 guests within 3 windows and
18 swapoffs, and here not within 60 windows and 408 swapoffs.

```
debian-6.1                           debian-6.1
as it is                             + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0    Linux 6.1.192, x86_64, gcc 12.2.0
----------------------------------   ----------------------------------
EXPECTED BUG                         CLEAN
KASAN: use-after-free Write in       at most 1 in 20 stretched windows
zswap_writeback_entry                at most 1 in 136 swapoffs (95 %)
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                3   windows stretched               60
swapoffs                        18     refused, preempt-count         2
pages written back             147   swapoffs                       408
pages stored                 2,310   pages written back           2,913
pages verified               4,096   pages stored                41,877
guest time                  740 ms   pages verified              96,512
                                     OOM kills                        1
                                     guest time                  13.2 s
```

zswap's writeback takes an entry off an LRU, drops the LRU's lock, and
then uses the zswap tree of the entry's swap device. Nothing holds the
swap device at that moment, so swapoff can free the tree under it. Fixed
in 6.9 by 5878303c5353 ("mm/zswap: fix race between lru writeback and
swapoff"). Any access by writeback to what swapoff freed counts: the
lock, the tree, the entry.

## How to repeat it

```
swapstorm repro --kernel debian-6.1 --seed 42
```

* seed: 42
* started: 2026-11-22T13:37:02Z
* took: 5.8 s
* swapstorm: 0.1.0
* host: box
* accel: tcg
* cpus: 2
* memory_mib: 7955
* qemu: QEMU emulator version 7.2.19

Whoever ran this may say of zswap-writeback-swapoff-6.1:

```
Tested-by: NAME <ADDRESS>
```

## debian-6.1: expected bug

* verdict: KASAN: use-after-free Write in zswap_writeback_entry
* cell: buggy
* key:
  debian-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2
  b9/stretch/1
* seed: 1552301884
* boot 1: tcg (/dev/kvm is missing), seed 1; what was waited for was
  seen
* kernel release: 6.1.192
* compiler: gcc (Debian 12.2.0-14+deb12u1) 12.2.0
* source: linux-source-6.1 6.1.192-2, sha256 9d0f51c2
* build key: 3f1c9a0be27d4458
* stretch point: zswap_writeback_entry:\_raw_spin_lock:1: 3 windows
  stretched
* stretch point: zswap_writeback_entry:\__zswap_load:1, not the bug's
  window: 0 windows stretched
* stretch point left out: shrink_memcg_cb:\_raw_spin_lock:1: there is no
  function shrink_memcg_cb

### The expected bug

KASAN: use-after-free Write in zswap_writeback_entry

Reported 2 times; first in boot 1, 311 ms after the guest was ready and
1.7 s after QEMU's start.

```
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

CPU: 1 PID: 21 Comm: kworker/1:1 Not tainted 6.1.192 #1
```

### A consequence of it

general protection fault in zswap_writeback_entry

Reported once; first in boot 1, 702 ms after the guest was ready and 2.3
s after QEMU's start. It does not count as the expected bug: its type is
DoS, not KASAN-USE-AFTER-FREE\*, KASAN-SLAB-USE-AFTER-FREE\*.

### QEMU

```
qemu-system-x86_64 -nodefaults -no-user-config -display none -nic none \
    -no-reboot -machine q35 -accel tcg,thread=multi -cpu max -smp 2 \
    -m 256M -kernel /cache/kernels/3f1c9a0be27d4458/vmlinux \
    -initrd /cache/images/77d0/initramfs \
    -append 'console=ttyS0 nokaslr kasan_multi_shot swapstorm.token=k3x9' \
    -chardev stdio,id=console,signal=off -serial chardev:console \
    -chardev socket,id=qmp,path=qmp.sock -mon chardev=qmp,mode=control \
    -chardev socket,id=gdb,path=gdb.sock -gdb chardev:gdb -S \
    -drive file=disk0.img,if=none,id=disk0,format=raw \
    -device virtio-blk-pci,drive=disk0 \
    -drive file=disk1.img,if=none,id=disk1,format=raw \
    -device virtio-blk-pci,drive=disk1
```

## debian-6.1 + zswap-writeback-swapoff-6.1: clean

* cell: fixed
* key:
  debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-
  writeback-swapoff@5d1e0c87f2b9/stretch/1
* seed: 9130547722
* boot 1: tcg (/dev/kvm is missing), seed 1; what was waited for was
  seen
* kernel release: 6.1.192
* compiler: gcc (Debian 12.2.0-14+deb12u1) 12.2.0
* source: linux-source-6.1 6.1.192-2, sha256 9d0f51c2
* build key: a7720e51bc94d00f
* patch: mm/zswap: hold the swap device before touching its tree
* stretch point: zswap_writeback_entry:\_raw_spin_lock:1: 60 windows
  stretched, 2 refused (preempt-count)
* stretch point: zswap_writeback_entry:\__zswap_load:1, not the bug's
  window: 0 windows stretched
* stretch point left out: shrink_memcg_cb:\_raw_spin_lock:1: there is no
  function shrink_memcg_cb

### QEMU

```
qemu-system-x86_64 -nodefaults -no-user-config -display none -nic none \
    -no-reboot -machine q35 -accel tcg,thread=multi -cpu max -smp 2 \
    -m 256M -kernel /cache/kernels/3f1c9a0be27d4458/vmlinux \
    -initrd /cache/images/77d0/initramfs \
    -append 'console=ttyS0 nokaslr kasan_multi_shot swapstorm.token=k3x9' \
    -chardev stdio,id=console,signal=off -serial chardev:console \
    -chardev socket,id=qmp,path=qmp.sock -mon chardev=qmp,mode=control \
    -chardev socket,id=gdb,path=gdb.sock -gdb chardev:gdb -S \
    -drive file=disk0.img,if=none,id=disk0,format=raw \
    -device virtio-blk-pci,drive=disk0 \
    -drive file=disk1.img,if=none,id=disk1,format=raw \
    -device virtio-blk-pci,drive=disk1
```
"#);
}

#[test]
fn a_program_gets_verdicts_and_numbers() {
    let report = good_repro().report();
    let json: serde_json::Value = serde_json::from_str(&json(&report, Purpose::Repro)).unwrap();
    assert_eq!((&json["format"], &json["exit_code"]), (&2.into(), &0.into()));
    let mut fixed = json["cells"][1].clone();
    assert_eq!(json["cells"][0]["verdict"], "kernel-bug");
    assert_eq!(json["cells"][0]["expected"], true);
    assert_eq!(json["cells"][0]["time_to_bug"]["guest_ms"], 311);
    assert_eq!(json["cells"][0]["bugs"][1]["standing"], "follow-up");
    fixed["boots"][0]["argv"] = "...".into();
    let proof = &json["proofs"][0];
    assert_eq!((&proof["reached"], &proof["wanted"]["windows"]), (&true.into(), &57.into()));
    let sentence = proof["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("With a probability of 4.8 %, a kernel that is not"),
        "{sentence}"
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&fixed).unwrap(), @r#"
{
  "boots": [
    {
      "accel": "tcg",
      "accel_why": "/dev/kvm is missing",
      "argv": "...",
      "boot_ms": 1430,
      "cmdline": "console=ttyS0 nokaslr kasan_multi_shot swapstorm.token=k3x9",
      "counters": {
        "corruptions": 0,
        "cpu_offs": 0,
        "cpu_ons": 0,
        "cpu_refused": 0,
        "oom_kills": 1,
        "respawns": 0,
        "rounds": 0,
        "swapoff": 408,
        "swapoff_ebusy": 0,
        "swapoff_eintr": 0,
        "swapoff_einval": 0,
        "swapoff_enomem": 0,
        "swapoff_other": 0,
        "swapon": 412,
        "swapon_ebusy": 0,
        "swapon_einval": 0,
        "swapon_enomem": 0,
        "swapon_other": 0,
        "touched": 0,
        "verified": 96512,
        "zswpout": 41877,
        "zswpwb": 2913
      },
      "done": "stop",
      "end": "enough",
      "end_detail": "",
      "exposure": {
        "cpu_offs": 0,
        "guest_ms": 13280,
        "oom_kills": 1,
        "refused": 2,
        "stores": 41877,
        "swapoffs": 408,
        "swapons": 412,
        "verified": 96512,
        "windows": 60,
        "writebacks": 2913
      },
      "findings": 0,
      "health": {
        "believed": 31,
        "foreign": 0,
        "malformed": 0,
        "missing": 0,
        "suspicious": 0,
        "unknown": 0
      },
      "host": "",
      "method_fault": null,
      "number": 1,
      "points": {
        "zswap_writeback_entry:_raw_spin_lock:1": {
          "refused": {
            "preempt-count": 2
          },
          "returned": 60,
          "stretched": 60
        }
      },
      "samples": 1,
      "seed": 1,
      "showed_expected": false,
      "started_ms": 3630,
      "starved": null,
      "stuck": false
    }
  ],
  "bounds": [
    {
      "at_most": 0.04870291331009749,
      "chances": 60.0,
      "per": "window"
    },
    {
      "at_most": 0.007315590902302243,
      "chances": 408.0,
      "per": "swapoff"
    },
    {
      "at_most": 812.0960982525877,
      "chances": 0.0036888888888888887,
      "per": "guest-hour"
    }
  ],
  "bugs": [],
  "building": null,
  "cancelled": null,
  "cell": {
    "arch": "x86_64",
    "clock": "wall",
    "expect": "zswap-writeback-swapoff",
    "id": "fixed",
    "kasan": "generic",
    "kernel": "debian-6.1",
    "key": "debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1",
    "number": 1,
    "profile": "zswap-writeback-swapoff",
    "profile_digest": "5d1e0c87f2b94a36",
    "seed": 9130547722,
    "series": "zswap-writeback-swapoff-6.1",
    "should_show": false,
    "technique": "stretch",
    "toolchain": "gcc",
    "wanted": {
      "cpu_offs": 0,
      "guest_ms": 0,
      "oom_kills": 0,
      "refused": 0,
      "stores": 0,
      "swapoffs": 342,
      "swapons": 0,
      "verified": 0,
      "windows": 57,
      "writebacks": 0
    }
  },
  "checks": 0,
  "corruption_count": 0,
  "corruptions": [],
  "exposure": {
    "cpu_offs": 0,
    "guest_ms": 13280,
    "oom_kills": 1,
    "refused": 2,
    "stores": 41877,
    "swapoffs": 408,
    "swapons": 412,
    "verified": 96512,
    "windows": 60,
    "writebacks": 2913
  },
  "failure": null,
  "finished": true,
  "kernel": {
    "cached": true,
    "compiler": "gcc (Debian 12.2.0-14+deb12u1) 12.2.0",
    "key": "a7720e51bc94d00f",
    "ms": 212,
    "patches": [
      "mm/zswap: hold the swap device before touching its tree"
    ],
    "release": "6.1.192",
    "source": "linux-source-6.1 6.1.192-2, sha256 9d0f51c2"
  },
  "left_out": [
    {
      "id": "shrink_memcg_cb:_raw_spin_lock:1",
      "why": "there is no function shrink_memcg_cb"
    }
  ],
  "notices": [],
  "points": [
    {
      "bug": true,
      "functions": [
        "zswap_writeback_entry"
      ],
      "id": "zswap_writeback_entry:_raw_spin_lock:1",
      "refused": {
        "preempt-count": 2
      },
      "returned": 60,
      "stretched": 60
    },
    {
      "bug": false,
      "functions": [
        "zswap_writeback_entry"
      ],
      "id": "zswap_writeback_entry:__zswap_load:1",
      "returned": 0,
      "stretched": 0
    }
  ],
  "run": "night-1",
  "time_to_bug": null,
  "verdict": "clean",
  "warnings": []
}
"#);
}

#[test]
fn failures_say_what_to_do() {
    let report = Log::new()
        .planned(BUGGY)
        .planned(FIXED)
        .kernel(BUGGY)
        .failed(
            BUGGY,
            Fault::Unreachable,
            "the kernel is not preemptible (CONFIG_PREEMPT_NONE=y): the window holds no quiescent \
             state, so no grace period can end in it\nhint: build with CONFIG_PREEMPT=y, or boot a \
             PREEMPT_DYNAMIC kernel with preempt=full",
        )
        .finished(BUGGY)
        .failed(
            FIXED,
            Fault::PatchConflict,
            "0001-mm-zswap-hold-the-swap-device.patch does not apply: mm/zswap.c, hunk 3 at line 1021",
        )
        .finished(FIXED)
        .end(false)
        .report();
    insta::assert_snapshot!(shown(&report, 80), @r#"
No answer: patch conflict on debian-6.1 + zswap-writeback-swapoff-6.1.

debian-6.1                               debian-6.1
as it is                                 + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────   ──────────────────────────────────────
UNREACHABLE                              PATCH CONFLICT
the kernel is not preemptible            0001-mm-zswap-hold-the-swap-device.pat
(CONFIG_PREEMPT_NONE=y): the window      ch does not apply: mm/zswap.c, hunk 3
holds no quiescent state, so no grace    at line 1021
period can end in it
hint: build with CONFIG_PREEMPT=y, or
boot a PREEMPT_DYNAMIC kernel with
preempt=full
"#);
}

#[test]
fn the_variant_that_a_kernel_wants_is_named() {
    let report = good_repro().report();
    let kernel = report.cell(BUGGY).unwrap().kernel.clone().unwrap();
    let plain = Log::new().planned(BUGGY).kernel(BUGGY).report();
    assert!(
        !shown(&plain, 80).contains("variant")
            && !markdown(&plain, Purpose::Repro).contains("variant")
    );
    let variant = Some("shrinker\u{1b}[31m".to_owned());
    let ready = What::KernelReady { cell: BUGGY.to_owned(), kernel, variant };
    let report = Log::new().planned(BUGGY).then(ready).report();
    let text = shown(&report, 80);
    assert!(text.contains("the kernel wants the variant shrinker"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(markdown(&report, Purpose::Repro).contains("shrinker"));
}

#[test]
fn a_place_that_was_passed_over_is_told_with_its_reason() {
    let gone = |id: &str, why: &str| LeftOutPoint { id: id.to_owned(), why: why.to_owned() };
    let first =
        gone("zswap_writeback_entry:lock", "this kernel has no function f (inlined?); it has g");
    let second = gone("g:lock", "g makes no call number 1 to lock; its calls are, in order: a, b");
    let with = |passed_over: &[LeftOutPoint]| {
        let point = PlacedPoint {
            id: "shrink_memcg_cb:xa_load#1".to_owned(),
            functions: vec!["shrink_memcg_cb".to_owned()],
            bug: true,
            passed_over: passed_over.to_vec(),
        };
        let (cell, left_out) = (BUGGY.to_owned(), Vec::new());
        let placed = What::PointsPlaced { cell, points: vec![point], left_out };
        Log::new().planned(BUGGY).kernel(BUGGY).then(placed).report()
    };
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = "a stretch point stands at shrink_memcg_cb:xa_load#1; passed over: \
                 zswap_writeback_entry:lock because this kernel has no function f";
    assert!(one_line(shown(&with(std::slice::from_ref(&first)), 80)).contains(words));
    // The mail tells all of several, the terminal how many.
    let both = with(&[first, second]);
    let words = "a stretch point stands at shrink_memcg_cb:xa_load#1; report.md says why at none of \
                 the 2 places before it";
    let text = one_line(shown(&both, 80));
    assert!(text.contains(words), "{text}");
    let mail = one_line(markdown(&both, Purpose::Repro));
    assert!(mail.contains("zswap_writeback_entry:lock because this kernel has no function f"));
    assert!(mail.contains("g:lock because g makes no call number 1 to lock"), "{mail}");
    // Of one that stands where the profile wants it there is nothing to say.
    let report = Log::new().planned(BUGGY).kernel(BUGGY).points(BUGGY).report();
    assert!(!shown(&report, 80).contains("passed over"));
}

#[test]
fn a_report_of_a_starved_guest_is_told_as_the_hosts() {
    let mut finding = bug_elsewhere();
    finding.title = "BUG: soft lockup in try_to_unuse".to_owned();
    let log = Log::new().planned(FIXED).kernel(FIXED).started(FIXED, 1).ready(FIXED, 1);
    let log = log.found_starved(FIXED, 1, finding).stopped(FIXED, 1, VmEnd::Starved);
    let report = log.finished(FIXED).end(false).report();
    let text = shown(&report, 100);
    let words = "fixed: brought about by a starved host, no bug: BUG: soft lockup in try_to_unuse";
    assert!(text.contains(words) && text.contains("INFRASTRUCTURE"), "{text}");
    let mail = markdown(&report, Purpose::Search);
    assert!(mail.contains("Brought about by a starved host, no bug"), "{mail}");
}
