// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as GitHub's workflow commands: an annotation for each kind of bug, one for each reason of no answer, and one that says
//! what came out.
//!
//! The escapes are those of `@actions/core` (`command.ts` in actions/toolkit): `%`, carriage return and line feed, and in a
//! property `:` and `,` as well.

use std::collections::HashMap;

use super::outcome::{Outcome, doubt, message, outcome};
use super::safe::{self, MAX_LINE};
use super::words::{duration, head_lines, headline, shown_frames, stack_title, telling_stacks};
use crate::exit::Purpose;
use crate::finding::Frame;
use crate::run::{Bug, CellReport, RunReport};

/// Annotations of one level that GitHub shows of a step.
const MOST: usize = 10;
/// Names of cells in one annotation.
const MOST_NAMES: usize = 8;
/// Most bytes of one annotation's words.
const MAX_WORDS: usize = 4 << 10;

/// Cells that are told in one annotation.
struct Group<'a> {
    outcome: Outcome,
    title: String,
    first: &'a CellReport,
    names: Vec<String>,
    more: usize,
}

/// The run as lines for the log of a GitHub job. Bugs are errors, reasons of no answer are warnings; there are at most ten of each, and the
/// last says how many more there would be.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let groups = groups(report, purpose);
    let mut out = String::new();
    let errors: Vec<&Group> = groups.iter().filter(|g| g.outcome == Outcome::Failed).collect();
    level(&mut out, "error", &errors);
    let mut warnings: Vec<&Group> =
        groups.iter().filter(|g| g.outcome != Outcome::Failed).collect();
    // Errors of the machine before what could not have given an answer.
    warnings.sort_by_key(|group| group.outcome == Outcome::Skipped);
    level(&mut out, "warning", &warnings);
    if let Some(why) = doubt(report, purpose) {
        command(&mut out, "warning", None, "the run has no answer", &why);
    }
    command(&mut out, "notice", None, "swapstorm", &headline(report, purpose));
    out
}

fn groups(report: &RunReport, purpose: Purpose) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = HashMap::new();
    for cell in &report.cells {
        let outcome = outcome(cell, purpose);
        if outcome == Outcome::Passed {
            continue;
        }
        let title = message(cell);
        let at = *places.entry(title.clone()).or_insert_with(|| {
            groups.push(Group { outcome, title, first: cell, names: Vec::new(), more: 0 });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(at) else { continue };
        if group.names.len() < MOST_NAMES {
            let of = format!(
                "{} ({}, {})",
                report.name_of(cell),
                cell.cell.kernel_name(),
                cell.cell.arch
            );
            group.names.push(safe::line(&of, MAX_LINE));
        } else {
            group.more += 1;
        }
    }
    groups
}

fn level(out: &mut String, level: &str, groups: &[&Group]) {
    let shown = if groups.len() > MOST { MOST - 1 } else { groups.len() };
    for group in &groups[..shown] {
        let mut words = format!("in {}", group.names.join(", "));
        if group.more > 0 {
            words.push_str(&format!(" and {} more", group.more));
        }
        let bug = group.first.deciding_bug();
        if let Some(bug) = bug {
            words.push('\n');
            words.push_str(&bug_words(group.first, bug));
        } else {
            words.push('\n');
            words.push_str(group.first.verdict.reason());
        }
        command(out, level, bug.and_then(place), &group.title, &words);
    }
    if shown < groups.len() {
        let words = "report.md, and other formats of swapstorm report, have all of them";
        command(out, level, None, &format!("{} more", groups.len() - shown), words);
    }
}

/// Head and stacks of a report.
fn bug_words(cell: &CellReport, bug: &Bug) -> String {
    let mut lines: Vec<String> = head_lines(&bug.finding).into_iter().map(str::to_owned).collect();
    lines.push(format!("{} after the guest was ready", duration(bug.first.guest_ms)));
    for stack in telling_stacks(&bug.finding) {
        lines.push(String::new());
        lines.push(stack_title(stack, &bug.finding));
        let (frames, left_out) = shown_frames(stack, cell.rule.as_deref());
        lines.extend(frames.iter().map(|frame| format!("  {}{}", frame.function, frame.place)));
        if left_out > 0 {
            lines.push(format!("  ... {left_out} more"));
        }
    }
    let safe: Vec<String> = lines.iter().map(|line| safe::line(line, MAX_LINE)).collect();
    safe.join("\n")
}

/// File and line in the kernel's tree, if the report is symbolised and names such a place where it was made.
fn place(bug: &Bug) -> Option<(&str, u32)> {
    let stack = telling_stacks(&bug.finding).into_iter().next()?;
    let blamed = |frame: &&Frame| frame.function == bug.finding.frame;
    let frame = stack.frames.iter().find(blamed)?;
    let (file, line) = frame.source.as_deref()?.split_once(':')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_inside =
        !file.starts_with('/') && !file.split('/').any(|part| matches!(part, "" | ".."));
    (is_inside && file.len() < 256 && file.chars().all(is_plain)).then_some(())?;
    Some((file, line.split(':').next()?.parse().ok()?))
}

fn command(out: &mut String, level: &str, place: Option<(&str, u32)>, title: &str, words: &str) {
    let mut properties = match place {
        Some((file, line)) => format!("file={},line={line},", property(file)),
        None => String::new(),
    };
    properties.push_str(&format!("title={}", property(&safe::line(title, MAX_LINE))));
    out.push_str(&format!("::{level} {properties}::{}\n", data(&safe::block(words, MAX_WORDS))));
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::rich::{hostile, night};

    #[test]
    fn a_night_as_annotations() {
        insta::assert_snapshot!(render(&night(), Purpose::Search), @r#"
::error title=expected bug%3A KASAN%3A use-after-free Write in zswap_writeback_entry::in plain-x86_64 (debian-6.1, x86_64)%0ABUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0%0AWrite of size 4 at addr ff11000000836e68 by task kworker/1:1/21%0A311 ms after the guest was ready%0A%0Aaccess by kworker/1:1/21%0A  _raw_spin_lock+0x60/0xb0%0A  zswap_writeback_entry+0x1dd/0x1070%0A  zbud_zpool_evict+0x86/0xd0%0A  zbud_zpool_shrink+0x463/0x970%0A  zpool_shrink+0x78/0xc0%0A  shrink_worker+0x35/0x90%0A  process_one_work+0x74e/0x1170%0A  worker_thread+0xdc/0x1310%0A  kthread+0x26a/0x310%0A  ret_from_fork+0x1f/0x30%0A%0Afreed by task 35%0A  __kmem_cache_free+0x146/0x250%0A  kfree+0x5b/0x80%0A  zswap_frontswap_invalidate_area+0xb3/0x110%0A  __frontswap_invalidate_area+0xa3/0x190%0A  __x64_sys_swapoff+0x2347/0x2870%0A  x64_sys_call+0x506/0x9a0%0A  do_syscall_64+0x2f/0x50%0A  entry_SYSCALL_64_after_hwframe+0x4b/0xb5
::error title=another bug%3A kernel BUG in ext4_writepages::in fix-arm64 (debian-6.1 + zswap-writeback-swapoff-6.1, arm64)%0Akernel BUG at fs/ext4/inode.c:2721!%0A52 ms after the guest was ready%0A%0Astack of task 62%0A  ext4_writepages+0x12f/0x3b10%0A  do_writepages+0x181/0x610%0A  __writeback_single_inode+0xfb/0xd40
::warning title=infrastructure%3A qemu-system-aarch64 was not found::in plain-arm64 (debian-6.1, arm64)%0Aqemu-system-aarch64 was not found%0A  hint: apt install qemu-system-arm
::warning title=inconclusive%3A nothing was put to the test%3A 2 swapoffs beside 0 writebacks::in plain-riscv64 (debian-6.1, riscv64)%0Anothing was put to the test: 2 swapoffs beside 0 writebacks
::warning title=unreachable%3A this kernel is built without preemption%2C so the window cannot open::in fix-riscv64 (debian-6.1 + zswap-writeback-swapoff-6.1, riscv64)%0Athis kernel is built without preemption, so the window cannot open
::notice title=swapstorm::A kernel bug was found on debian-6.1.
"#);
    }

    #[test]
    fn a_guest_gives_no_command() {
        let text = render(&hostile(), Purpose::Search);
        let levels: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().0).collect();
        assert_eq!(levels, ["::error", "::notice"]);
        let error = text.lines().next().unwrap();
        let (properties, words) = error["::error ".len()..].split_once("::").unwrap();
        assert!(properties.starts_with("title=") && !properties.contains(','), "{properties}");
        assert!(properties.contains("100%25%3A%3Aset-output"), "{properties}");
        assert!(words.contains("%0A") && error.len() < 3 * MAX_WORDS, "{words}");
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')));
    }

    #[test]
    fn a_symbolised_report_stands_at_its_line_and_nowhere_outside_the_tree() {
        let at = |source: &str| {
            let mut report = night();
            let bug = &mut report.cells[0].bugs[0];
            let blamed = bug.finding.frame.clone();
            let frames = &mut bug.finding.stacks[0].frames;
            let frame = frames.iter_mut().find(|frame| frame.function == blamed).unwrap();
            frame.source = Some(source.to_owned());
            let text = render(&report, Purpose::Search);
            text.lines().next().unwrap().contains("file=mm/zswap.c,line=988,title=")
        };
        assert!(at("mm/zswap.c:988"));
        for outside in ["/mm/zswap.c:988", "../mm/zswap.c:988", "mm/zswap.c", "mm/zswap.c,x:988"] {
            assert!(!at(outside), "{outside}");
        }
    }

    #[test]
    fn no_more_annotations_than_are_shown() {
        let mut report = night();
        let bug = report.cells[0].clone();
        for n in 0..30 {
            let mut cell = bug.clone();
            cell.verdict = crate::verdict::CellVerdict::KernelBug {
                expected: false,
                title: format!("WARNING in f{n}"),
            };
            report.cells.push(cell);
        }
        let text = render(&report, Purpose::Search);
        let errors: Vec<&str> = text.lines().filter(|l| l.starts_with("::error")).collect();
        assert_eq!(errors.len(), MOST);
        assert!(errors[MOST - 1].contains("title=23 more::"), "{}", errors[MOST - 1]);
    }
}
