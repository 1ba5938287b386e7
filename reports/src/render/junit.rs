// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as JUnit XML: a suite for each kernel and architecture, a case for each cell.
//!
//! It keeps to the schema that Jenkins publishes (`junit-10.xsd` of its xUnit plugin, by G. Boissinot), the strictest of those in
//! use. That one has properties in suites only, so a cell's exposure stands in its suite, behind the cell's name.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::outcome::{
    Outcome, Suite, case_name, counters, doubt, evidence, message, outcome, suites,
};
use super::safe::{self, MAX_BLOCK, MAX_LINE};
use super::words::headline;
use crate::event::KernelFacts;
use crate::exit::Purpose;
use crate::run::{CellReport, RunFacts, RunReport};
use crate::shell;

/// Name of the report, and of the suite and case that stand for the run as a whole.
const RUN: (&str, &str) = ("swapstorm", "run");

/// The run as an XML file. Kernel bugs are failures; whatever else left a cell without an answer is an error, unless the
/// cell could not have given one: then it is skipped. A case of its own fails if the run as a whole has no answer. Times are guests'.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let mut document = Report::new(RUN.0);
    for suite in suites(report) {
        document.add_test_suite(self::suite(&suite, purpose));
    }
    document.add_test_suite(whole(report, purpose));
    // Writing to memory does not fail.
    let text = document.to_string().expect("memory takes all");
    // The schema has this count in suites only. Nothing before the first one is anybody else's.
    text.replacen(&format!(" skipped=\"{}\"", document.skipped), "", 1)
}

fn suite(suite: &Suite, purpose: Purpose) -> TestSuite {
    let mut xml = TestSuite::new(&suite.name);
    let mut guest_ms = 0u64;
    if let Some(run) = suite.run {
        of_run(&mut xml, run);
    }
    if let Some(kernel) = suite.cells.iter().find_map(|cell| cell.kernel.as_ref()) {
        for (name, value) in kernel_facts(kernel) {
            property(&mut xml, name, &value);
        }
    }
    for cell in &suite.cells {
        let name = case_name(cell);
        property(&mut xml, &format!("{name}: key"), &cell.cell.key);
        property(&mut xml, &format!("{name}: seed"), &cell.cell.seed.to_string());
        property(&mut xml, &format!("{name}: verdict"), cell.verdict.word());
        for (counter, value) in counters(cell) {
            property(&mut xml, &format!("{name}: {counter}"), &value.to_string());
        }
        xml.add_test_case(case(cell, &suite.name, purpose));
        guest_ms = cell.exposure.guest_ms.saturating_add(guest_ms);
    }
    xml.set_time(Duration::from_millis(guest_ms));
    xml
}

fn of_run(xml: &mut TestSuite, run: &RunFacts) {
    for (name, value) in [("timestamp", &run.started), ("hostname", &run.host_name)] {
        if !value.is_empty() {
            xml.extra.insert(name.into(), safe::line(value, MAX_LINE).into());
        }
    }
    property(xml, "swapstorm", &run.version);
    property(xml, "run", &run.id);
}

fn kernel_facts(kernel: &KernelFacts) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("kernel release", kernel.release.clone()),
        ("compiler", kernel.compiler.clone()),
        ("source", kernel.source.clone()),
        ("build key", kernel.key.clone()),
    ];
    facts.extend(kernel.patches.iter().map(|patch| ("patch", patch.clone())));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn property(xml: &mut TestSuite, name: &str, value: &str) {
    xml.add_property((safe::line(name, MAX_LINE).as_str(), safe::line(value, MAX_LINE).as_str()));
}

fn case(cell: &CellReport, suite: &str, purpose: Purpose) -> TestCase {
    let told = evidence(cell).join("\n\n");
    let status = match outcome(cell, purpose) {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed => {
            failed(NonSuccessKind::Failure, cell.verdict.word(), &message(cell), &told)
        }
        Outcome::Error => failed(NonSuccessKind::Error, cell.verdict.word(), &message(cell), &told),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message(cell));
            status
        }
    };
    let is_passed = matches!(status, TestCaseStatus::Success { .. });
    let mut xml = TestCase::new(case_name(cell), status);
    xml.set_classname(suite);
    xml.set_time(Duration::from_millis(cell.exposure.guest_ms));
    if is_passed && !told.is_empty() {
        xml.set_system_out(format!("{}\n{told}", cell.verdict.word()));
    }
    xml
}

fn failed(kind: NonSuccessKind, ty: &str, message: &str, told: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(message).set_description(told);
    status
}

/// The suite of one case that says whether the run as a whole came to an answer, and how to repeat it.
fn whole(report: &RunReport, purpose: Purpose) -> TestSuite {
    let mut xml = TestSuite::new(RUN.0);
    let status = match doubt(report, purpose) {
        None => TestCaseStatus::success(),
        Some(why) => {
            let problems = safe::block(&report.problems.join("\n"), MAX_BLOCK);
            failed(NonSuccessKind::Error, "no answer", &why, &problems)
        }
    };
    let mut case = TestCase::new(RUN.1, status);
    case.set_classname(RUN.0).set_time(Duration::ZERO);
    let mut said = vec![safe::line(&headline(report, purpose), MAX_LINE)];
    for run in &report.runs {
        let command = shell::command(&report.repeat_command_of(run), usize::MAX);
        said.push(format!("To repeat it: {}", safe::line(&command, MAX_LINE)));
    }
    case.set_system_out(said.join("\n"));
    xml.add_test_case(case);
    xml.set_time(Duration::ZERO);
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::events::good_repro;
    use crate::sample::rich::{hostile, night};

    #[test]
    fn a_night_as_junit() {
        insta::assert_snapshot!(render(&night(), Purpose::Search), @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="swapstorm" tests="7" failures="2" errors="2">
    <testsuite name="debian-6.1, x86_64" tests="1" skipped="0" errors="0" failures="1" time="0.740" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="kernel release" value="6.1.192"/>
            <property name="compiler" value="gcc (Debian 12.2.0-14+deb12u1) 12.2.0"/>
            <property name="source" value="linux-source-6.1 6.1.192-2, sha256 9d0f51c2"/>
            <property name="build key" value="3f1c9a0be27d4458"/>
            <property name="plain-x86_64: key" value="debian-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="plain-x86_64: seed" value="1552301884"/>
            <property name="plain-x86_64: verdict" value="expected bug"/>
            <property name="plain-x86_64: windows" value="3"/>
            <property name="plain-x86_64: refused" value="0"/>
            <property name="plain-x86_64: swapoffs" value="18"/>
            <property name="plain-x86_64: swapons" value="22"/>
            <property name="plain-x86_64: cpu_offs" value="0"/>
            <property name="plain-x86_64: writebacks" value="147"/>
            <property name="plain-x86_64: stores" value="2310"/>
            <property name="plain-x86_64: verified" value="4096"/>
            <property name="plain-x86_64: oom_kills" value="0"/>
            <property name="plain-x86_64: guest_ms" value="740"/>
        </properties>
        <testcase name="plain-x86_64" classname="debian-6.1, x86_64" time="0.740">
            <failure message="expected bug: KASAN: use-after-free Write in zswap_writeback_entry" type="expected bug">KASAN: use-after-free Write in zswap_writeback_entry
311 ms after the guest was ready
1.7 s after QEMU&apos;s start

The expected bug: KASAN: use-after-free Write in zswap_writeback_entry; first in boot 1, 311 ms after the guest was ready
BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0
Write of size 4 at addr ff11000000836e68 by task kworker/1:1/21

CPU: 1 PID: 21 Comm: kworker/1:1 Not tainted 6.1.192 #1

A consequence of it: general protection fault in zswap_writeback_entry; first in boot 1, 702 ms after the guest was ready</failure>
        </testcase>
    </testsuite>
    <testsuite name="debian-6.1, arm64" tests="1" skipped="0" errors="1" failures="0" time="0.000" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="plain-arm64: key" value="debian-6.1/arm64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="plain-arm64: seed" value="1552301884"/>
            <property name="plain-arm64: verdict" value="infrastructure"/>
            <property name="plain-arm64: windows" value="0"/>
            <property name="plain-arm64: refused" value="0"/>
            <property name="plain-arm64: swapoffs" value="0"/>
            <property name="plain-arm64: swapons" value="0"/>
            <property name="plain-arm64: cpu_offs" value="0"/>
            <property name="plain-arm64: writebacks" value="0"/>
            <property name="plain-arm64: stores" value="0"/>
            <property name="plain-arm64: verified" value="0"/>
            <property name="plain-arm64: oom_kills" value="0"/>
            <property name="plain-arm64: guest_ms" value="0"/>
        </properties>
        <testcase name="plain-arm64" classname="debian-6.1, arm64" time="0.000">
            <error message="infrastructure: qemu-system-aarch64 was not found" type="infrastructure">qemu-system-aarch64 was not found
  hint: apt install qemu-system-arm</error>
        </testcase>
    </testsuite>
    <testsuite name="debian-6.1, riscv64" tests="1" skipped="0" errors="1" failures="0" time="9.000" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="kernel release" value="6.1.192"/>
            <property name="compiler" value="gcc (Debian 12.2.0-14+deb12u1) 12.2.0"/>
            <property name="source" value="linux-source-6.1 6.1.192-2, sha256 9d0f51c2"/>
            <property name="build key" value="3f1c9a0be27d4458"/>
            <property name="plain-riscv64: key" value="debian-6.1/riscv64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="plain-riscv64: seed" value="1552301884"/>
            <property name="plain-riscv64: verdict" value="inconclusive"/>
            <property name="plain-riscv64: windows" value="0"/>
            <property name="plain-riscv64: refused" value="0"/>
            <property name="plain-riscv64: swapoffs" value="2"/>
            <property name="plain-riscv64: swapons" value="0"/>
            <property name="plain-riscv64: cpu_offs" value="0"/>
            <property name="plain-riscv64: writebacks" value="0"/>
            <property name="plain-riscv64: stores" value="0"/>
            <property name="plain-riscv64: verified" value="0"/>
            <property name="plain-riscv64: oom_kills" value="0"/>
            <property name="plain-riscv64: guest_ms" value="9000"/>
        </properties>
        <testcase name="plain-riscv64" classname="debian-6.1, riscv64" time="9.000">
            <error message="inconclusive: nothing was put to the test: 2 swapoffs beside 0 writebacks" type="inconclusive">nothing was put to the test: 2 swapoffs beside 0 writebacks</error>
        </testcase>
    </testsuite>
    <testsuite name="debian-6.1 + zswap-writeback-swapoff-6.1, x86_64" tests="1" skipped="0" errors="0" failures="0" time="13.280" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="kernel release" value="6.1.192"/>
            <property name="compiler" value="gcc (Debian 12.2.0-14+deb12u1) 12.2.0"/>
            <property name="source" value="linux-source-6.1 6.1.192-2, sha256 9d0f51c2"/>
            <property name="build key" value="3f1c9a0be27d4458"/>
            <property name="fix-x86_64: key" value="debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="fix-x86_64: seed" value="9130547722"/>
            <property name="fix-x86_64: verdict" value="clean"/>
            <property name="fix-x86_64: windows" value="60"/>
            <property name="fix-x86_64: refused" value="2"/>
            <property name="fix-x86_64: swapoffs" value="408"/>
            <property name="fix-x86_64: swapons" value="412"/>
            <property name="fix-x86_64: cpu_offs" value="0"/>
            <property name="fix-x86_64: writebacks" value="2913"/>
            <property name="fix-x86_64: stores" value="41877"/>
            <property name="fix-x86_64: verified" value="96512"/>
            <property name="fix-x86_64: oom_kills" value="1"/>
            <property name="fix-x86_64: guest_ms" value="13280"/>
        </properties>
        <testcase name="fix-x86_64" classname="debian-6.1 + zswap-writeback-swapoff-6.1, x86_64" time="13.280">
            <system-out>clean
at most 1 in 20 stretched windows
at most 1 in 136 swapoffs (95 %)</system-out>
        </testcase>
    </testsuite>
    <testsuite name="debian-6.1 + zswap-writeback-swapoff-6.1, arm64" tests="1" skipped="0" errors="0" failures="1" time="2.100" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="kernel release" value="6.1.192"/>
            <property name="compiler" value="gcc (Debian 12.2.0-14+deb12u1) 12.2.0"/>
            <property name="source" value="linux-source-6.1 6.1.192-2, sha256 9d0f51c2"/>
            <property name="build key" value="3f1c9a0be27d4458"/>
            <property name="fix-arm64: key" value="debian-6.1+zswap-writeback-swapoff-6.1/arm64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="fix-arm64: seed" value="9130547722"/>
            <property name="fix-arm64: verdict" value="another bug"/>
            <property name="fix-arm64: windows" value="11"/>
            <property name="fix-arm64: refused" value="0"/>
            <property name="fix-arm64: swapoffs" value="61"/>
            <property name="fix-arm64: swapons" value="0"/>
            <property name="fix-arm64: cpu_offs" value="0"/>
            <property name="fix-arm64: writebacks" value="502"/>
            <property name="fix-arm64: stores" value="9001"/>
            <property name="fix-arm64: verified" value="20480"/>
            <property name="fix-arm64: oom_kills" value="0"/>
            <property name="fix-arm64: guest_ms" value="2100"/>
        </properties>
        <testcase name="fix-arm64" classname="debian-6.1 + zswap-writeback-swapoff-6.1, arm64" time="2.100">
            <failure message="another bug: kernel BUG in ext4_writepages" type="another bug">kernel BUG in ext4_writepages
52 ms after the guest was ready
1.7 s after QEMU&apos;s start

Another bug: kernel BUG in ext4_writepages; first in boot 1, 52 ms after the guest was ready
kernel BUG at fs/ext4/inode.c:2721!
invalid opcode: 0000 [#1] PREEMPT SMP KASAN</failure>
        </testcase>
    </testsuite>
    <testsuite name="debian-6.1 + zswap-writeback-swapoff-6.1, riscv64" tests="1" skipped="1" errors="0" failures="0" time="0.000" timestamp="2026-11-22T13:37:02Z" hostname="box">
        <properties>
            <property name="swapstorm" value="0.1.0"/>
            <property name="run" value="night-1"/>
            <property name="fix-riscv64: key" value="debian-6.1+zswap-writeback-swapoff-6.1/riscv64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1"/>
            <property name="fix-riscv64: seed" value="9130547722"/>
            <property name="fix-riscv64: verdict" value="unreachable"/>
            <property name="fix-riscv64: windows" value="0"/>
            <property name="fix-riscv64: refused" value="0"/>
            <property name="fix-riscv64: swapoffs" value="0"/>
            <property name="fix-riscv64: swapons" value="0"/>
            <property name="fix-riscv64: cpu_offs" value="0"/>
            <property name="fix-riscv64: writebacks" value="0"/>
            <property name="fix-riscv64: stores" value="0"/>
            <property name="fix-riscv64: verified" value="0"/>
            <property name="fix-riscv64: oom_kills" value="0"/>
            <property name="fix-riscv64: guest_ms" value="0"/>
        </properties>
        <testcase name="fix-riscv64" classname="debian-6.1 + zswap-writeback-swapoff-6.1, riscv64" time="0.000">
            <skipped message="unreachable: this kernel is built without preemption, so the window cannot open"/>
        </testcase>
    </testsuite>
    <testsuite name="swapstorm" tests="1" skipped="0" errors="0" failures="0" time="0.000">
        <testcase name="run" classname="swapstorm" time="0.000">
            <system-out>A kernel bug was found on debian-6.1.
To repeat it: swapstorm run nightly --seed 42</system-out>
        </testcase>
    </testsuite>
</testsuites>
"#);
    }

    #[test]
    fn a_guest_adds_no_element_and_nothing_that_xml_has_no_place_for() {
        let text = render(&hostile(), Purpose::Search);
        let document = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((document.tests, document.failures, document.test_suites.len()), (2, 1, 2));
        for word in ["<script", "<svg", "<img", "<b "] {
            assert!(!text.contains(word), "{word}");
        }
        let is_bad = |c: char| {
            (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{fffe}' | '\u{ffff}')
        };
        assert!(!text.contains(is_bad));
        assert!(text.len() < 3 * MAX_BLOCK, "{}", text.len());
    }

    #[test]
    fn the_bug_where_it_should_show_is_no_failure() {
        let counts = |purpose| {
            let text = render(&good_repro().report(), purpose);
            let document = Report::deserialize_from_str(&text).unwrap();
            (document.tests, document.failures, document.errors)
        };
        assert_eq!(counts(Purpose::Repro), (3, 0, 0));
        assert_eq!(counts(Purpose::Search), (3, 1, 0));
    }

    #[test]
    fn a_run_without_an_answer_is_never_green() {
        let mut cut = good_repro().events;
        cut.pop();
        for report in [RunReport::default(), RunReport::fold(cut)] {
            let text = render(&report, Purpose::Repro);
            let document = Report::deserialize_from_str(&text).unwrap();
            assert_eq!((document.failures, document.errors), (0, 1), "{text}");
        }
    }
}
