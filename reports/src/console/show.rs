// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports for people: on a terminal, and as annotations of a CI run.

use std::fmt::Write;

use super::digest::Digest;
use super::facts::Facts;
use super::notes::{Note, NoteKind};
use super::skip::never_blamed;
use crate::finding::{Finding, Frame, Scene, Stack, StackRole};
use crate::render::Look;

/// Lines of a stack that are shown.
const ROWS: usize = 12;

/// One report: title, scene, and its stacks side by side.
pub fn report(finding: &Finding, expected_by: Option<&str>, look: Look) -> String {
    let mut out = String::new();
    let colour = if expected_by.is_some() { "33" } else { "1;31" };
    line(&mut out, &paint(&finding.title, colour, look));
    let mut facts = vec![finding.kind.clone(), format!("line {}", finding.line)];
    let scene = &finding.scene;
    facts.extend(task(scene));
    if let Some(cpu) = scene.cpu {
        facts.push(format!("CPU {cpu}"));
    }
    for (what, value) in
        [("", &scene.release), ("tainted ", &scene.taint), ("", &finding.guilty_file)]
    {
        if !value.is_empty() {
            facts.push(format!("{what}{value}"));
        }
    }
    facts.push(format!("signature {}", finding.signature));
    line(&mut out, &format!("  {}", facts.join(" · ")));
    if !scene.workqueue.is_empty() {
        line(&mut out, &format!("  work queue {}", scene.workqueue));
    }
    if let Some(rule) = expected_by {
        line(&mut out, &format!("  expected: {rule}"));
    }
    if let Some(reason) = &finding.corrupted {
        line(&mut out, &format!("  not to be trusted in full: {reason}"));
    }
    line(&mut out, &format!("  {}", finding.head));
    out.push_str(&stacks(finding, look));
    for follow_up in &finding.follow_ups {
        out.push_str(&self::follow_up(follow_up));
    }
    out
}

/// The first line of what a report brought about.
pub fn follow_up(first: &str) -> String {
    format!("  then: {first}\n")
}

/// Who was running, if the report says: `kswapd0/94`.
pub fn task(scene: &Scene) -> Option<String> {
    scene.pid.map(|pid| format!("{}/{pid}", scene.comm))
}

/// A report whose like was shown already, and the tasks that it was about.
pub fn again(title: &str, count: u64, tasks: &[String]) -> String {
    let tasks = if tasks.is_empty() { String::new() } else { format!(": {}", tasks.join(", ")) };
    format!("{count} more x {title}{tasks}\n")
}

/// How many reports there were in how many lines, and what became of the kernel.
pub fn summary(reports: u64, lines: u64, facts: Facts) -> String {
    let panicked = if facts.panicked { "; the kernel panicked" } else { "" };
    format!("{} in {}{panicked}\n", count(reports, "report"), count(lines, "line"))
}

/// The same of several logs.
pub fn sum(reports: u64, lines: u64, logs: u64) -> String {
    let (reports, lines) = (count(reports, "report"), count(lines, "line"));
    format!("together: {reports} in {lines} of {}\n", count(logs, "log"))
}

fn count(number: u64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// How many notes of each kind there were; nothing if there were none.
pub fn notes(digest: &Digest) -> String {
    let mut out = String::new();
    for (kind, note) in digest.notes() {
        let word = serde_json::to_value(kind).ok();
        let word = word.as_ref().and_then(|w| w.as_str()).unwrap_or("note");
        if *kind == NoteKind::HeadlessTrace {
            let what =
                "trace of the kernel whose first lines are lost, so that nothing names the bug";
            line(&mut out, &format!("{} x {what}: {}", note.count, note.first.text));
            continue;
        }
        line(&mut out, &format!("{} x {word}, first: {}", note.count, note.first.text));
        let victims: Vec<String> = note.each.iter().filter_map(victim).collect();
        if victims.len() > 1 {
            line(&mut out, &format!("  {}", victims.join(", ")));
        }
    }
    out
}

/// The task that was killed, and the memcg whose limit it was.
fn victim(note: &Note) -> Option<String> {
    let task = (note.kind == NoteKind::OomKill).then_some(&note.task)?;
    Some(if note.place.is_empty() { task.clone() } else { format!("{task} ({})", note.place) })
}

/// One report as an annotation of a GitHub Actions run:
/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
pub fn github(file: &str, finding: &Finding, expected_by: Option<&str>) -> String {
    let level = if expected_by.is_some() { "notice" } else { "error" };
    let mut message = finding.head.clone();
    for stack in finding.stacks.iter().filter(|s| s.role != StackRole::Other) {
        let frames = telling(stack).iter().take(8);
        let frames: Vec<&str> = frames.map(|f| f.function.as_str()).collect();
        let _ = write!(message, "\n{}: {}", name(stack), frames.join(" < "));
    }
    format!(
        "::{level} file={},line={},title={}::{}\n",
        property(file),
        finding.line,
        property(&finding.title),
        data(&message)
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn name(stack: &Stack) -> String {
    let role = match stack.role {
        StackRole::Access => "access",
        StackRole::AllocatedBy => "allocated by",
        StackRole::FreedBy => "freed by",
        StackRole::Other => "other",
    };
    match &stack.task {
        Some(task) => format!("{role} task {task}"),
        None => role.to_owned(),
    }
}

/// A stack without the frames on its top that only noticed the bug, or served it.
fn telling(stack: &Stack) -> &[Frame] {
    let helper = |f: &Frame| f.inlined || never_blamed(&f.function);
    &stack.frames[stack.frames.iter().position(|f| !helper(f)).unwrap_or(0)..]
}

/// Access, freed by, allocated by, side by side; one below the other where that is too narrow.
fn stacks(finding: &Finding, look: Look) -> String {
    let order = [StackRole::Access, StackRole::FreedBy, StackRole::AllocatedBy];
    let stacks: Vec<&Stack> =
        order.iter().filter_map(|role| finding.stacks.iter().find(|s| s.role == *role)).collect();
    if stacks.is_empty() {
        return String::new();
    }
    let columns: Vec<Vec<String>> = stacks
        .iter()
        .map(|stack| {
            let frames = telling(stack);
            let more = frames.len().saturating_sub(ROWS);
            let mut rows: Vec<String> = frames.iter().take(ROWS).map(row).collect();
            if more > 0 {
                rows.push(format!("({more} more)"));
            }
            rows
        })
        .collect();
    let width = look.width.max(40) - 2;
    let each = (width / columns.len()).saturating_sub(2);
    let mut out = String::new();
    if each < 28 {
        for (stack, rows) in stacks.iter().zip(&columns) {
            line(&mut out, &format!("  {}", paint(&name(stack), "1", look)));
            for row in rows {
                line(&mut out, &format!("    {row}"));
            }
        }
        return out;
    }
    let heads: Vec<String> = stacks.iter().map(|s| name(s)).collect();
    let cells = |row: &dyn Fn(usize) -> String| {
        (0..columns.len()).map(|c| fit(&row(c), each)).collect::<Vec<_>>().join("  ")
    };
    line(&mut out, &format!("  {}", paint(cells(&|c| heads[c].clone()).trim_end(), "1", look)));
    for at in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
        let row = cells(&|c| columns[c].get(at).cloned().unwrap_or_default());
        line(&mut out, &format!("  {}", row.trim_end()));
    }
    out
}

fn row(frame: &Frame) -> String {
    let mut row = frame.function.to_string();
    if frame.inlined {
        row.push_str(" [inlined]");
    }
    if let Some(source) = &frame.source {
        let _ = write!(row, " {source}");
    }
    row
}

/// Cuts or pads to a number of characters.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

fn paint(text: &str, code: &str, look: Look) -> String {
    if look.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Options, Reader, Seen};

    #[test]
    fn an_annotation_names_the_frames_that_mean_something() {
        let log = include_bytes!("../../corpus/zswap-writeback-6.1.log");
        let mut reader = Reader::new(Options::default());
        let seen = [reader.push(log), reader.finish()].concat();
        let finding = seen.into_iter().find_map(|seen| match seen {
            Seen::Report(finding) => Some(finding),
            Seen::Note(_) => None,
        });
        let text = github("a,b.log", &finding.expect("a report"), None);
        assert!(text.starts_with("::error file=a%2Cb.log,line=18,title=KASAN%3A "), "{text}");
        for words in [
            "%0Aaccess: zswap_writeback_entry < zbud_zpool_evict",
            "%0Afreed by task 30: zswap_frontswap_invalidate_area < ",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
}
