// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers, names and stacks in words that every rendering shares.

use std::collections::BTreeMap;

use crate::event::{Exposure, KernelFacts, PlacedPoint, PointCounts};
use crate::exit::{ExitCode, Purpose};
use crate::finding::{Finding, Stack, StackRole};
use crate::proof::{Evidence, Proof};
use crate::rate::{Chance, RateBound};
use crate::rule::Rule;
use crate::run::{Boot, Bug, CellReport, RunReport, Standing};
use crate::verdict::{CellVerdict, end_words};

/// Most frames shown of a stack.
const MAX_FRAMES: usize = 10;

/// `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `311 ms`, `1.7 s`, `12 min 03 s`, `2 h 05 min`.
pub(crate) fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..=59 => format!("{s}.{} s", ms % 1000 / 100),
        60..=3599 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

/// `at most 1 in 12 stretched windows`; rounded so that the bound stays one.
pub(crate) fn bound(bound: &RateBound) -> String {
    let names = bound.per.names();
    if bound.per == Chance::GuestHour {
        let most = if bound.at_most < 10.0 {
            format!("{:.2}", (bound.at_most * 100.0).ceil() / 100.0)
        } else {
            count(bound.at_most.ceil() as u64)
        };
        format!("at most {most} per guest hour")
    } else if bound.at_most > 0.5 {
        format!("at most {:.0} % of {names}", (bound.at_most * 100.0).ceil())
    } else {
        format!("at most 1 in {} {names}", count((1.0 / bound.at_most).floor() as u64))
    }
}

/// Where a stretch point stands, if the profile would rather have it elsewhere: `a stretch point stands at f:g#1;
/// passed over: h:g because this kernel has no function h`.
pub(crate) fn elsewhere(point: &PlacedPoint) -> Option<String> {
    let over: Vec<String> = point
        .passed_over
        .iter()
        .map(|place| format!("{} because {}", place.id, first_clause(&place.why)))
        .collect();
    let words = format!("a stretch point stands at {}; passed over: {}", point.id, over.join(", "));
    (!over.is_empty()).then_some(words)
}

/// A reason without the names that it goes on to list; the event log has them.
fn first_clause(why: &str) -> &str {
    let end = [" (", "; "].iter().filter_map(|mark| why.find(mark)).min();
    end.map_or(why, |end| &why[..end])
}

/// What tells a cell whose numbers must not be mixed with others'.
pub(crate) const VIRTUAL_CLOCK: &str =
    "guest time is virtual: it goes by the guest's instructions, not by the host's clock";

/// `gcc 12.2.0` of `gcc (Debian 12.2.0-14+deb12u1) 12.2.0`, and `clang 14.0.6` of
/// `Debian clang version 14.0.6`.
pub(crate) fn compiler(kernel: &KernelFacts) -> String {
    // The linker may be named behind a comma.
    let compiler = kernel.compiler.split(", ").next().unwrap_or_default();
    let compiler = compiler.find("clang version ").map_or(compiler, |at| &compiler[at..]);
    let mut words = compiler.split(' ');
    match (words.next(), words.next_back()) {
        (Some(first), Some(last)) => format!("{first} {last}"),
        _ => kernel.compiler.clone(),
    }
}

/// Counters that a person wants to see, with their names.
pub(crate) fn exposure_rows(cell: &CellReport) -> Vec<(String, String)> {
    let exposure = &cell.exposure;
    let mut rows = Vec::new();
    let mut row = |name: &str, n: u64| rows.push((name.to_owned(), count(n)));
    if cell.cell.stretches() {
        row("windows stretched", exposure.windows);
        for (reason, n) in refusals(cell) {
            row(&format!("  refused, {reason}"), n);
        }
        let others = cell.points.iter().filter(|point| !point.point.bug);
        match others.map(|point| point.counts.stretched).sum() {
            0 => {}
            n => row("  others, not the bug's", n),
        }
    }
    row("swapoffs", exposure.swapoffs);
    if exposure.cpu_offs > 0 {
        row("CPUs taken off", exposure.cpu_offs);
    }
    row("pages written back", exposure.writebacks);
    row("pages stored", exposure.stores);
    row("pages verified", exposure.verified);
    if cell.checks > 0 {
        row("looks at invariants", cell.checks);
    }
    if exposure.oom_kills > 0 {
        row("OOM kills", exposure.oom_kills);
    }
    rows.push(("guest time".to_owned(), duration(exposure.guest_ms)));
    rows
}

/// How often sleeping was refused at points of the bug, by reason. Format 1 knows a single one.
fn refusals(cell: &CellReport) -> BTreeMap<String, u64> {
    let mut sum = PointCounts::default();
    let bugs = cell.points.iter().filter(|point| point.point.bug);
    bugs.for_each(|point| sum.add(&point.counts));
    if cell.points.is_empty() && cell.exposure.refused > 0 {
        sum.refused.insert("atomic".to_owned(), cell.exposure.refused);
    }
    sum.refused
}

/// A virtual machine in a line: what carried it, its seed, how it ended.
pub(crate) fn boot_words(boot: &Boot) -> String {
    let mut words = boot.accel.clone();
    if !boot.accel_why.is_empty() {
        words.push_str(&format!(" ({})", boot.accel_why));
    }
    if !boot.host.is_empty() {
        words.push_str(&format!(" on {}", boot.host));
    }
    if let Some(seed) = boot.seed {
        words.push_str(&format!(", seed {seed}"));
    }
    let end = boot.end.map_or("the log does not say how it ended", end_words);
    words.push_str(&format!("; {end}"));
    if !boot.end_detail.is_empty() {
        words.push_str(&format!(" ({})", boot.end_detail));
    }
    words
}

/// What a stack is evidence of: `access by kworker/1:1/21`, `freed by task 35`, `stack of task 7`.
pub(crate) fn stack_title(stack: &Stack, finding: &Finding) -> String {
    let what = match stack.role {
        StackRole::Access if finding.kind.starts_with("KASAN") => "access by",
        StackRole::AllocatedBy => "allocated by",
        StackRole::FreedBy => "freed by",
        StackRole::Access | StackRole::Other => "stack of",
    };
    let scene = &finding.scene;
    let task = match (&stack.task, scene.pid, stack.role) {
        (Some(task), ..) => task.clone(),
        (None, Some(pid), StackRole::Access) if scene.comm.is_empty() => pid.to_string(),
        (None, Some(pid), StackRole::Access) => format!("{}/{pid}", scene.comm),
        _ => "a task without a name".to_owned(),
    };
    if task.bytes().all(|b| b.is_ascii_digit()) {
        format!("{what} task {task}")
    } else {
        format!("{what} {task}")
    }
}

/// One frame as shown.
pub(crate) struct ShownFrame {
    /// Function name.
    pub(crate) function: String,
    /// `+0x1dd/0x1070`, or empty.
    pub(crate) place: String,
    /// Whether the rule looks for it.
    pub(crate) marked: bool,
}

/// The telling frames of a stack: without the machinery that made the report, the ones that the
/// rule looks for always among them. The second value says how many were left out at the end.
pub(crate) fn shown_frames(stack: &Stack, rule: Option<&Rule>) -> (Vec<ShownFrame>, usize) {
    let machinery =
        stack.frames.iter().take_while(|frame| is_report_machinery(&frame.function)).count();
    // A stack of nothing else is shown as it is.
    let start = if machinery < stack.frames.len() { machinery } else { 0 };
    let frames = &stack.frames[start..];
    let marked = |function: &str| rule.is_some_and(|rule| rule.names(stack.role, function));
    let last_marked = frames.iter().rposition(|frame| marked(&frame.function));
    let shown = frames.len().min(MAX_FRAMES.max(last_marked.map_or(0, |at| at + 1).min(24)));
    let left_out = frames.len() - shown;
    let frames = frames[..shown]
        .iter()
        .map(|frame| ShownFrame {
            function: frame.function.to_string(),
            place: frame.offset.map_or(String::new(), |(at, size)| format!("+{at:#x}/{size:#x}")),
            marked: marked(&frame.function),
        })
        .collect();
    (frames, left_out)
}

/// Frames that every KASAN report begins with.
fn is_report_machinery(function: &str) -> bool {
    const WORDS: &[&str] = &[
        "dump_stack",
        "show_stack",
        "print_report",
        "print_address_description",
        "kasan_",
        "__asan",
    ];
    let function = function.trim_start_matches('_');
    WORDS.iter().any(|word| function.starts_with(word))
}

/// The stacks that tell a bug's story, at most two: the access, and who freed the memory, or, where
/// nobody did or KASAN has lost who, whose it was.
pub(crate) fn telling_stacks(finding: &Finding) -> Vec<&Stack> {
    let first = |role| finding.stacks.iter().find(|stack| stack.role == role);
    let owner = first(StackRole::FreedBy).or_else(|| first(StackRole::AllocatedBy));
    [first(StackRole::Access), owner].into_iter().flatten().collect()
}

/// What a bug is to its cell, as a heading begins.
pub(crate) fn standing_words(bug: &Bug) -> &'static str {
    match bug.standing {
        _ if bug.known.is_some() => "A known bug",
        Standing::Expected => "The expected bug",
        Standing::FollowUp => "A consequence of it",
        Standing::Cut => "A report that was cut after it",
        Standing::Related => "A report related to it",
        Standing::Method => "Brought about by the stretcher, no bug",
        Standing::Starved => "Brought about by a starved host, no bug",
        Standing::Another => "Another bug",
    }
}

/// The rule that all cells of a report have in common.
pub(crate) fn common_rule(report: &RunReport) -> Option<&Rule> {
    let rule = report.cells.first()?.rule.as_deref()?;
    let same = |cell: &CellReport| cell.cell.expect.as_deref() == Some(rule.name.as_str());
    report.cells.iter().all(same).then_some(rule)
}

/// The first line of the report and, of a KASAN report, the one that says what was accessed.
pub(crate) fn head_lines(finding: &Finding) -> Vec<&str> {
    let mut lines = vec![finding.head.as_str()];
    lines.extend(
        finding
            .text
            .lines()
            .take(8)
            .map(str::trim_end)
            .find(|line| line.contains(" of size ") && line.contains(" by task ")),
    );
    lines
}

/// The run in one sentence.
pub(crate) fn headline(report: &RunReport, purpose: Purpose) -> String {
    let code = report.exit_code(purpose);
    let decided = report.deciding_cell(purpose);
    let name = decided.map_or_else(String::new, |cell| cell.cell.kernel_name());
    let verdict = decided.map(|cell| &cell.verdict);
    match (code, purpose, verdict) {
        (ExitCode::Interrupted, ..) => "Interrupted; this is what had been seen.".to_owned(),
        (ExitCode::Clean, Purpose::Repro, _) => reproduced(report),
        (ExitCode::Clean, Purpose::Search, _) => "Clean.".to_owned(),
        (
            ExitCode::KernelBug,
            Purpose::Repro,
            Some(CellVerdict::KernelBug { expected: true, .. }),
        ) => {
            format!("Not fixed: {name} shows the bug that it must not show.")
        }
        (ExitCode::KernelBug, Purpose::Repro, _) => {
            format!("Another bug than the expected one, on {name}.")
        }
        (ExitCode::KernelBug, Purpose::Search, _) => format!("A kernel bug was found on {name}."),
        (.., None | Some(CellVerdict::Clean { .. } | CellVerdict::KernelBug { .. })) => {
            format!("No answer: {}.", without_answer(report))
        }
        (.., Some(verdict)) => format!("No answer: {} on {name}.", verdict.word()),
    }
}

/// Why there is no answer although no cell stands in its way.
fn without_answer(report: &RunReport) -> &'static str {
    what_is_missing(report).unwrap_or("the bug did not show, but that may be luck")
}

/// What is missing for an answer whatever the cells say; `None` if nothing is.
pub(crate) fn what_is_missing(report: &RunReport) -> Option<&'static str> {
    if report.runs.is_empty() {
        Some("there is no run")
    } else if !report.finished() {
        Some("the log ends before the run does")
    } else if !report.is_whole() {
        Some("lines of the log are lost, and any of them may have been a report")
    } else if report.cells.is_empty() {
        Some("the run had no cell")
    } else {
        None
    }
}

fn reproduced(report: &RunReport) -> String {
    let cells = |show| report.cells.iter().filter(move |c| c.cell.should_show == Some(show));
    // Each did as it should, but for those that missed the bug.
    let runs = |show| match cells(show).count() {
        0 | 1 => String::new(),
        n => {
            let did = cells(show).filter(|cell| cell.showed_expected() == show).count();
            format!(" in {did} of {n} runs")
        }
    };
    let Some(buggy) = cells(true).next() else { return "Clean.".to_owned() };
    let shows = format!("the bug shows on {}{}", buggy.cell.kernel_name(), runs(true));
    match cells(false).next() {
        None => format!("Reproduced: {shows}."),
        Some(fixed) => {
            let other = match &fixed.cell.series {
                Some(series) if fixed.cell.kernel == buggy.cell.kernel => format!("with {series}"),
                _ => format!("on {}", fixed.cell.kernel_name()),
            };
            format!("Reproduced: {shows}, not {other}{}.", runs(false))
        }
    }
}

/// What each proof that a kernel is fixed is worth, in a sentence; two if it is not worth enough.
pub(crate) fn proof_sentences(report: &RunReport) -> Vec<String> {
    report.proofs().iter().map(proof_sentence).collect()
}

pub(crate) fn proof_sentence(proof: &Proof) -> String {
    let Evidence { machines, hits, exposure: buggy } = &proof.buggy;
    if *hits == 0 {
        return "How likely it is that a kernel that is not fixed looks like this is not known: the bug \
                did not show at all."
            .to_owned();
    }
    let within = |exposure: &Exposure| {
        let mut parts = vec![several(exposure.swapoffs, "swapoff")];
        if buggy.windows > 0 {
            parts.insert(0, several(exposure.windows, "window"));
        }
        if buggy.cpu_offs > 0 {
            parts.push(cpus_off(exposure.cpu_offs));
        }
        listed(&parts)
    };
    let mut words = format!(
        "With a probability of {}, a kernel that is not fixed would have looked like this: the bug showed \
         in {hits} of {machines} guests within {}, and here not within {}.",
        percent_up(proof.pass_probability),
        within(buggy),
        within(&proof.fixed),
    );
    let missing = proof.missing().filter(|missing| missing.exposure != Exposure::default());
    if let Some(missing) = missing {
        let Exposure { windows, swapoffs, cpu_offs, .. } = missing.exposure;
        let parts = [(windows, "window"), (swapoffs, "swapoff")];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0);
        let mut parts: Vec<String> = parts.map(|(n, name)| several(n, name)).collect();
        parts.extend((cpu_offs > 0).then(|| cpus_off(cpu_offs)));
        let time = missing
            .guest_ms
            .map_or_else(String::new, |ms| format!(", about {} of storm", duration(ms)));
        words.push_str(&format!(
            " At most {} is asked for, which takes {} more{time}.",
            percent_up(1.0 - proof.confidence),
            listed(&parts)
        ));
    }
    words
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(parts: &[String]) -> String {
    match parts {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => parts.concat(),
    }
}

/// `1 CPU taken off`, `12 CPUs taken off`.
fn cpus_off(n: u64) -> String {
    format!("{} taken off", several(n, "CPU"))
}

/// `1 window`, `12,345 windows`.
pub(crate) fn several(n: u64, name: &str) -> String {
    format!("{} {name}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `4.8 %`, rounded up, so that it stays a bound.
pub(crate) fn percent_up(probability: f64) -> String {
    let tenths = (probability * 1000.0 - 1e-9).ceil();
    if tenths <= 0.0 {
        "less than 0.1 %".to_owned()
    } else if tenths % 10.0 == 0.0 {
        format!("{:.0} %", tenths / 10.0)
    } else {
        format!("{:.1} %", tenths / 10.0)
    }
}

/// The two most telling bounds.
pub(crate) fn bound_lines(bounds: &[RateBound]) -> Vec<String> {
    let mut lines: Vec<String> = bounds.iter().take(2).map(bound).collect();
    if let Some(last) = lines.last_mut() {
        last.push_str(" (95 %)");
    }
    lines
}

/// Lines that say what stands behind a cell's verdict.
pub(crate) fn verdict_lines(cell: &CellReport) -> Vec<String> {
    match &cell.verdict {
        CellVerdict::Clean { bounds } => bound_lines(bounds),
        CellVerdict::KernelBug { title, .. } => {
            let mut lines = vec![title.clone()];
            if let Some(bug) = cell.deciding_bug() {
                lines.push(format!("{} after the guest was ready", duration(bug.first.guest_ms)));
                let boot = bug.first.boot;
                let which = if boot == 1 { String::new() } else { format!(", boot {boot}") };
                let after = duration(bug.first.vm_ms);
                lines.push(format!("{after} after QEMU's start{which}"));
            }
            lines
        }
        verdict => verdict.reason().lines().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_memory_it_was_is_told_where_nobody_is_known_to_have_freed_it() {
        let roles = |roles: &[StackRole]| {
            let stack = |role: &StackRole| Stack { role: *role, task: None, frames: Vec::new() };
            let stacks = roles.iter().map(stack).collect();
            let finding = Finding { stacks, ..Finding::default() };
            telling_stacks(&finding).iter().map(|stack| stack.role).collect::<Vec<_>>()
        };
        use StackRole::{Access, AllocatedBy, FreedBy, Other};
        assert_eq!(roles(&[Access, AllocatedBy, FreedBy]), [Access, FreedBy]);
        assert_eq!(roles(&[Access, AllocatedBy, Other]), [Access, AllocatedBy]);
        assert_eq!(roles(&[Access]), [Access]);
    }

    #[test]
    fn compilers_have_a_name_and_a_version() {
        let shown = |versions: &str| {
            compiler(&KernelFacts {
                release: String::new(),
                compiler: versions.to_owned(),
                key: String::new(),
                cached: false,
                ms: 0,
                source: String::new(),
                patches: Vec::new(),
                warnings: None,
                image: None,
            })
        };
        assert_eq!(shown("gcc (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld 2.40"), "gcc 12.2.0");
        let llvm = "Debian clang version 14.0.6, Debian LLD 14.0.6 (compatible with GNU linkers)";
        assert_eq!(shown(llvm), "clang 14.0.6");
        assert_eq!(shown("clang version 17.0.6"), "clang 17.0.6");
    }
}
