// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as KTAP version 1 (Documentation/dev-tools/ktap.rst in Linux): a test for each kernel and architecture with a subtest
//! for each cell, and one for the run as a whole.
//!
//! Names and words are those of a guest in part, so none can begin a line, open a directive, or end the log for the kernel's own
//! parser, which stops at what a console prints last.

use super::outcome::{
    Outcome, Suite, case_name, counters, doubt, evidence, message, outcome, suites,
};
use super::safe::{self, MAX_LINE};
use super::words::headline;
use crate::exit::Purpose;
use crate::run::{CellReport, RunReport};
use crate::shell;

/// Words at which `tools/testing/kunit/kunit_parser.py` takes the log for ended, wherever they stand in a line.
const ENDS: [&str; 3] =
    ["List of all partitions:", "Kernel panic - not syncing: VFS:", "reboot: System halted"];

/// The run as KTAP. A kernel bug is `not ok`; so is whatever else left a cell without an answer, with the directive ERROR;
/// a cell that could not have given one is skipped.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let suites = suites(report);
    let mut out = format!("KTAP version 1\n1..{}\n", suites.len() + 1);
    for (at, suite) in suites.iter().enumerate() {
        test(&mut out, at + 1, suite, purpose);
    }
    diagnostics(&mut out, "", &safe::line(&headline(report, purpose), MAX_LINE));
    for run in &report.runs {
        let command = shell::command(&report.repeat_command_of(run), usize::MAX);
        diagnostics(&mut out, "", &format!("to repeat it: {}", safe::line(&command, MAX_LINE)));
    }
    let number = suites.len() + 1;
    match doubt(report, purpose) {
        None => out.push_str(&format!("ok {number} run\n")),
        Some(why) => out.push_str(&format!("not ok {number} run # ERROR {}\n", name(&why))),
    }
    out
}

fn test(out: &mut String, number: usize, suite: &Suite, purpose: Purpose) {
    let title = name(&suite.name);
    let count = suite.cells.len();
    out.push_str(&format!("    KTAP version 1\n    # Subtest: {title}\n    1..{count}\n"));
    for (at, cell) in suite.cells.iter().enumerate() {
        subtest(out, at + 1, cell, purpose);
    }
    let outcomes = || suite.cells.iter().map(|cell| outcome(cell, purpose));
    if outcomes().any(|outcome| matches!(outcome, Outcome::Failed | Outcome::Error)) {
        out.push_str(&format!("not ok {number} {title}\n"));
    } else if outcomes().all(|outcome| outcome == Outcome::Skipped) {
        out.push_str(&format!("ok {number} {title} # SKIP\n"));
    } else {
        out.push_str(&format!("ok {number} {title}\n"));
    }
}

fn subtest(out: &mut String, number: usize, cell: &CellReport, purpose: Purpose) {
    const INDENT: &str = "    ";
    let told = |out: &mut String, name: &str, value: &str| {
        diagnostics(out, INDENT, &format!("{name}: {}", safe::line(value, MAX_LINE)));
    };
    told(out, "verdict", cell.verdict.word());
    told(out, "key", &cell.cell.key);
    told(out, "seed", &cell.cell.seed.to_string());
    if let Some(kernel) = &cell.kernel {
        told(out, "kernel release", &kernel.release);
    }
    for (counter, value) in counters(cell) {
        told(out, counter, &value.to_string());
    }
    for block in evidence(cell) {
        diagnostics(out, INDENT, &block);
    }
    let case = name(&case_name(cell));
    let line = match outcome(cell, purpose) {
        Outcome::Passed => format!("ok {number} {case}"),
        Outcome::Failed => format!("not ok {number} {case}"),
        Outcome::Error => format!("not ok {number} {case} # ERROR {}", name(&message(cell))),
        Outcome::Skipped => format!("ok {number} {case} # SKIP {}", name(&message(cell))),
    };
    out.push_str(&format!("{INDENT}{line}\n"));
}

/// Lines that mean nothing to a parser. Two blanks behind the sign: with one, `Subtest:` would be a heading.
fn diagnostics(out: &mut String, indent: &str, lines: &str) {
    for line in lines.lines() {
        out.push_str(format!("{indent}#  {}", without_ends(line)).trim_end());
        out.push('\n');
    }
}

/// A name, or what stands behind a directive: it opens no directive of its own.
fn name(words: &str) -> String {
    without_ends(&words.replace('#', "\\x23"))
}

fn without_ends(line: &str) -> String {
    ENDS.iter().fold(line.to_owned(), |line, end| line.replace(end, &end.replacen(':', "\\x3a", 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::rich::{hostile, night};

    #[test]
    fn a_night_as_ktap() {
        insta::assert_snapshot!(render(&night(), Purpose::Search), @r#"
KTAP version 1
1..7
    KTAP version 1
    # Subtest: debian-6.1, x86_64
    1..1
    #  verdict: expected bug
    #  key: debian-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 1552301884
    #  kernel release: 6.1.192
    #  windows: 3
    #  refused: 0
    #  swapoffs: 18
    #  swapons: 22
    #  cpu_offs: 0
    #  writebacks: 147
    #  stores: 2310
    #  verified: 4096
    #  oom_kills: 0
    #  guest_ms: 740
    #  KASAN: use-after-free Write in zswap_writeback_entry
    #  311 ms after the guest was ready
    #  1.7 s after QEMU's start
    #  The expected bug: KASAN: use-after-free Write in zswap_writeback_entry; first in boot 1, 311 ms after the guest was ready
    #  BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
    #  Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21
    #
    #  CPU: 1 PID: 21 Comm: kworker/1:1 Not tainted 6.1.192 #1
    #  A consequence of it: general protection fault in zswap_writeback_entry; first in boot 1, 702 ms after the guest was ready
    not ok 1 plain-x86_64
not ok 1 debian-6.1, x86_64
    KTAP version 1
    # Subtest: debian-6.1, arm64
    1..1
    #  verdict: infrastructure
    #  key: debian-6.1/arm64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 1552301884
    #  windows: 0
    #  refused: 0
    #  swapoffs: 0
    #  swapons: 0
    #  cpu_offs: 0
    #  writebacks: 0
    #  stores: 0
    #  verified: 0
    #  oom_kills: 0
    #  guest_ms: 0
    #  qemu-system-aarch64 was not found
    #    hint: apt install qemu-system-arm
    not ok 1 plain-arm64 # ERROR infrastructure: qemu-system-aarch64 was not found
not ok 2 debian-6.1, arm64
    KTAP version 1
    # Subtest: debian-6.1, riscv64
    1..1
    #  verdict: inconclusive
    #  key: debian-6.1/riscv64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 1552301884
    #  kernel release: 6.1.192
    #  windows: 0
    #  refused: 0
    #  swapoffs: 2
    #  swapons: 0
    #  cpu_offs: 0
    #  writebacks: 0
    #  stores: 0
    #  verified: 0
    #  oom_kills: 0
    #  guest_ms: 9000
    #  nothing was put to the test: 2 swapoffs beside 0 writebacks
    not ok 1 plain-riscv64 # ERROR inconclusive: nothing was put to the test: 2 swapoffs beside 0 writebacks
not ok 3 debian-6.1, riscv64
    KTAP version 1
    # Subtest: debian-6.1 + zswap-writeback-swapoff-6.1, x86_64
    1..1
    #  verdict: clean
    #  key: debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 9130547722
    #  kernel release: 6.1.192
    #  windows: 60
    #  refused: 2
    #  swapoffs: 408
    #  swapons: 412
    #  cpu_offs: 0
    #  writebacks: 2913
    #  stores: 41877
    #  verified: 96512
    #  oom_kills: 1
    #  guest_ms: 13280
    #  at most 1 in 20 stretched windows
    #  at most 1 in 136 swapoffs (95 %)
    ok 1 fix-x86_64
ok 4 debian-6.1 + zswap-writeback-swapoff-6.1, x86_64
    KTAP version 1
    # Subtest: debian-6.1 + zswap-writeback-swapoff-6.1, arm64
    1..1
    #  verdict: another bug
    #  key: debian-6.1+zswap-writeback-swapoff-6.1/arm64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 9130547722
    #  kernel release: 6.1.192
    #  windows: 11
    #  refused: 0
    #  swapoffs: 61
    #  swapons: 0
    #  cpu_offs: 0
    #  writebacks: 502
    #  stores: 9001
    #  verified: 20480
    #  oom_kills: 0
    #  guest_ms: 2100
    #  kernel BUG in ext4_writepages
    #  52 ms after the guest was ready
    #  1.7 s after QEMU's start
    #  Another bug: kernel BUG in ext4_writepages; first in boot 1, 52 ms after the guest was ready
    #  kernel BUG at fs/ext4/inode.c:2721!
    #  invalid opcode: 0000 [#1] PREEMPT SMP KASAN
    not ok 1 fix-arm64
not ok 5 debian-6.1 + zswap-writeback-swapoff-6.1, arm64
    KTAP version 1
    # Subtest: debian-6.1 + zswap-writeback-swapoff-6.1, riscv64
    1..1
    #  verdict: unreachable
    #  key: debian-6.1+zswap-writeback-swapoff-6.1/riscv64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1
    #  seed: 9130547722
    #  windows: 0
    #  refused: 0
    #  swapoffs: 0
    #  swapons: 0
    #  cpu_offs: 0
    #  writebacks: 0
    #  stores: 0
    #  verified: 0
    #  oom_kills: 0
    #  guest_ms: 0
    #  this kernel is built without preemption, so the window cannot open
    ok 1 fix-riscv64 # SKIP unreachable: this kernel is built without preemption, so the window cannot open
ok 6 debian-6.1 + zswap-writeback-swapoff-6.1, riscv64 # SKIP
#  A kernel bug was found on debian-6.1.
#  to repeat it: swapstorm run nightly --seed 42
ok 7 run
"#);
    }

    #[test]
    fn a_guest_writes_no_line_of_its_own() {
        let text = render(&hostile(), Purpose::Search);
        assert!(text.contains("Kernel panic - not syncing\\x3a VFS:"), "{text}");
        for end in ENDS {
            assert!(!text.contains(end), "{end}");
        }
        let is_ours = |line: &str| {
            let line = line.trim_start();
            line == "KTAP version 1"
                || line.starts_with("#  ")
                || line == "#"
                || line == "# Subtest: debian-6.1 + \\x23 SKIP, x86_64\\nok 7, x86_64"
                || line.starts_with("1..")
                || line.starts_with("not ok 1 ")
                || line == "ok 2 run"
        };
        let others: Vec<&str> = text.lines().filter(|line| !is_ours(line)).collect();
        assert_eq!(others, Vec::<&str>::new());
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')));
    }
}
