// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Look, json, markdown, text};
use crate::event::{Fault, What};
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

debian-6.1                               debian-6.1
as it is                                 + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0        Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────   ──────────────────────────────────────
EXPECTED BUG                             CLEAN
KASAN: use-after-free Write in           at most 1 in 12 stretched windows
zswap_writeback_entry                    at most 1 in 136 swapoffs (95 %)
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                    3   windows stretched                   36
swapoffs                            18     refused, atomic                    2
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
"#);
}

#[test]
fn a_repro_at_120_columns() {
    insta::assert_snapshot!(shown(&good_repro().report(), 120), @r#"
Reproduced: the bug shows on debian-6.1, not with zswap-writeback-swapoff-6.1.

debian-6.1                                                   debian-6.1
as it is                                                     + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0                            Linux 6.1.192, x86_64, gcc 12.2.0
──────────────────────────────────────────────────────────   ──────────────────────────────────────────────────────────
EXPECTED BUG                                                 CLEAN
KASAN: use-after-free Write in zswap_writeback_entry         at most 1 in 12 stretched windows
311 ms after the guest was ready                             at most 1 in 136 swapoffs (95 %)
1.7 s after QEMU's start

windows stretched                      3                     windows stretched                     36
swapoffs                              18                       refused, atomic                      2
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
"#);
}

#[test]
fn a_repro_below_80_columns() {
    insta::assert_snapshot!(shown(&good_repro().report(), 60), @r#"
Reproduced: the bug shows on debian-6.1, not with
zswap-writeback-swapoff-6.1.

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
at most 1 in 12 stretched windows
at most 1 in 136 swapoffs (95 %)

windows stretched                     36
  refused, atomic                      2
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

cell                                   verdict          bug after    guest time   windows   swapoffs
buggy  debian-6.1                      expected bug        311 ms        740 ms         3         18
fixed  debian-6.1 + zswap-writebac...  clean                             13.2 s        36        408
buggy  debian-6.1                      expected bug        311 ms        740 ms         3         18
fixed  debian-6.1 + zswap-writebac...  clean                             13.2 s        36        408
debian-6.1 + zswap-writeback-swapoff-6.1, 2 cells together: at most 1 in 24 stretched windows, at
most 1 in 272 swapoffs (95 %)

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
"#);
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

```
debian-6.1                           debian-6.1
as it is                             + zswap-writeback-swapoff-6.1
Linux 6.1.192, x86_64, gcc 12.2.0    Linux 6.1.192, x86_64, gcc 12.2.0
----------------------------------   ----------------------------------
EXPECTED BUG                         CLEAN
KASAN: use-after-free Write in       at most 1 in 12 stretched windows
zswap_writeback_entry                at most 1 in 136 swapoffs (95 %)
311 ms after the guest was ready
1.7 s after QEMU's start

windows stretched                3   windows stretched               36
swapoffs                        18     refused, atomic                2
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
* accel: tcg
* cpus: 2
* memory_mib: 7955
* qemu: QEMU emulator version 7.2.19

## debian-6.1: expected bug

* verdict: KASAN: use-after-free Write in zswap_writeback_entry
* cell: buggy
* technique: stretch
* seed: 1552301884
* kernel release: 6.1.192
* compiler: gcc (Debian 12.2.0-14+deb12u1) 12.2.0
* source: linux-source-6.1 6.1.192-2, sha256 9d0f51c2
* build key: 3f1c9a0be27d4458

### The expected bug: KASAN: use-after-free Write in zswap_writeback_entry

Reported 2 times; first in boot 1, 311 ms after the guest was ready and
1.7 s after QEMU's start.

```
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

CPU: 1 PID: 21 Comm: kworker/1:1 Not tainted 6.1.192 #1
```

### A consequence of it: general protection fault in zswap_writeback_entry

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
* technique: stretch
* seed: 9130547722
* kernel release: 6.1.192
* compiler: gcc (Debian 12.2.0-14+deb12u1) 12.2.0
* source: linux-source-6.1 6.1.192-2, sha256 9d0f51c2
* build key: a7720e51bc94d00f
* patch: mm/zswap: hold the swap device before touching its tree

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
    assert_eq!((&json["format"], &json["exit_code"]), (&1.into(), &0.into()));
    let mut fixed = json["cells"][1].clone();
    assert_eq!(json["cells"][0]["verdict"], "kernel-bug");
    assert_eq!(json["cells"][0]["expected"], true);
    assert_eq!(json["cells"][0]["time_to_bug"]["guest_ms"], 311);
    assert_eq!(json["cells"][0]["bugs"][1]["standing"], "follow-up");
    fixed["boots"][0]["argv"] = "...".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&fixed).unwrap(), @r#"
{
  "boots": [
    {
      "accel": "tcg",
      "argv": "...",
      "boot_ms": 1430,
      "cmdline": "console=ttyS0 nokaslr kasan_multi_shot swapstorm.token=k3x9",
      "end": "enough",
      "end_detail": "",
      "exposure": {
        "guest_ms": 13280,
        "oom_kills": 1,
        "refused": 2,
        "stores": 41877,
        "swapoffs": 408,
        "swapons": 412,
        "verified": 96512,
        "windows": 36,
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
      "number": 1,
      "showed_expected": false,
      "started_ms": 3630
    }
  ],
  "bounds": [
    {
      "at_most": 0.07984650951989439,
      "chances": 36.0,
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
  "cell": {
    "arch": "x86_64",
    "expect": "zswap-writeback-swapoff",
    "id": "fixed",
    "kernel": "debian-6.1",
    "profile": "zswap-writeback-swapoff",
    "seed": 9130547722,
    "series": "zswap-writeback-swapoff-6.1",
    "should_show": false,
    "technique": "stretch",
    "wanted": {
      "guest_ms": 0,
      "oom_kills": 0,
      "refused": 0,
      "stores": 0,
      "swapoffs": 180,
      "swapons": 0,
      "verified": 0,
      "windows": 30,
      "writebacks": 0
    }
  },
  "corruption_count": 0,
  "corruptions": [],
  "exposure": {
    "guest_ms": 13280,
    "oom_kills": 1,
    "refused": 2,
    "stores": 41877,
    "swapoffs": 408,
    "swapons": 412,
    "verified": 96512,
    "windows": 36,
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
