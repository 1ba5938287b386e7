// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a mail: `report.md`.
//!
//! It reads well as plain text, wraps where mails wrap, and holds all that somebody else needs
//! to judge or repeat the run. Whatever came from a guest stands in code blocks that its
//! contents cannot end.

use super::layout::{Style, wrapped, write as write_lines};
use super::text::plain_cells;
use super::words::{duration, headline, kernel_name};
use crate::escape::{printable, printable_lines};
use crate::exit::Purpose;
use crate::run::{Bug, CellReport, REMOTE, RunReport, Standing};
use crate::shell;

/// Columns: a mail may be quoted twice and still fit 80.
const WIDTH: usize = 72;
/// Most bytes of one report's text.
const MAX_TEXT: usize = 64 * 1024;

/// The run as Markdown.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let mut out = String::new();
    let rule = report.cells.iter().find_map(|cell| cell.rule.as_ref());
    let title = rule.map_or("swapstorm report", |rule| rule.title.as_str());
    heading(&mut out, 1, title);
    paragraph(&mut out, &headline(report, purpose));
    fenced(&mut out, &plain_cells(report, WIDTH));
    if let Some(rule) = rule {
        paragraph(&mut out, rule.description.trim());
    }
    heading(&mut out, 2, "How to repeat it");
    fenced(&mut out, &shell::command(&report.repeat_command(), WIDTH));
    list(&mut out, &run_facts(report));
    for cell in &report.cells {
        self::cell(&mut out, cell);
    }
    if !report.problems.is_empty() {
        heading(&mut out, 2, "Problems with the event log");
        let problems: Vec<_> = report.problems.iter().map(|p| (String::new(), p.clone())).collect();
        list(&mut out, &problems);
    }
    out
}

fn run_facts(report: &RunReport) -> Vec<(String, String)> {
    let mut facts = vec![
        ("seed".to_owned(), report.seed.to_string()),
        ("started".to_owned(), report.started.clone()),
        ("took".to_owned(), duration(report.ms)),
        ("swapstorm".to_owned(), report.version.clone()),
    ];
    facts.extend(report.host.clone());
    facts
}

fn cell(out: &mut String, cell: &CellReport) {
    heading(out, 2, &format!("{}: {}", kernel_name(&cell.cell), cell.verdict.word()));
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| facts.push((name.to_owned(), value.to_owned()));
    if !cell.verdict.reason().is_empty() {
        fact("verdict", cell.verdict.reason());
    }
    fact("cell", &cell.cell.id);
    fact("technique", &cell.cell.technique);
    fact("seed", &cell.cell.seed.to_string());
    if let Some(kernel) = &cell.kernel {
        fact("kernel release", &kernel.release);
        fact("compiler", &kernel.compiler);
        fact("source", &kernel.source);
        if !kernel.key.is_empty() {
            fact("build key", &kernel.key);
        }
        for patch in &kernel.patches {
            fact("patch", patch);
        }
    }
    for warning in &cell.warnings {
        fact("guest warning", warning);
    }
    for corruption in &cell.corruptions {
        fact("data corruption", &corruption.detail);
    }
    list(out, &facts);
    for bug in &cell.bugs {
        self::bug(out, bug);
    }
    if let Some(boot) = cell.deciding_boot() {
        heading(out, 3, if boot.accel == REMOTE { "Machine" } else { "QEMU" });
        fenced(out, &shell::command(&boot.argv, WIDTH));
    }
}

fn bug(out: &mut String, bug: &Bug) {
    let what = match bug.standing {
        Standing::Expected => "The expected bug",
        Standing::FollowUp => "A consequence of it",
        Standing::Cut => "A report that was cut after it",
        Standing::Related => "A report related to it",
        Standing::Another => "Another bug",
    };
    heading(out, 3, &format!("{what}: {}", bug.finding.title));
    let mut words = format!(
        "Reported {}; first in boot {}, {} after the guest was ready and {} after QEMU's start.",
        if bug.count == 1 { "once".to_owned() } else { format!("{} times", bug.count) },
        bug.first.boot,
        duration(bug.first.guest_ms),
        duration(bug.first.vm_ms)
    );
    if let Some(why) = &bug.why_not {
        words.push_str(&format!(" It does not count as the expected bug: {why}."));
    }
    if bug.after_expected && bug.standing == Standing::Another {
        words.push_str(" Memory was already damaged by the expected bug in the same boot.");
    }
    paragraph(out, &words);
    if !matches!(bug.standing, Standing::FollowUp | Standing::Cut) {
        let mut text = bug.finding.text.as_str();
        if text.len() > MAX_TEXT {
            text = &text[..text.floor_char_boundary(MAX_TEXT)];
        }
        fenced(out, text);
    }
}

fn heading(out: &mut String, level: usize, text: &str) {
    out.push_str(&format!("{} {}\n\n", "#".repeat(level), inline(text)));
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(&write_lines(&wrapped(Style::Plain, &inline(text), WIDTH), false));
    out.push('\n');
}

/// A list of names and values; values wrap below themselves.
fn list(out: &mut String, facts: &[(String, String)]) {
    for (name, value) in facts {
        let item = match name.as_str() {
            "" => inline(value),
            name => format!("{}: {}", inline(name), inline(value)),
        };
        let text = write_lines(&wrapped(Style::Plain, &item, WIDTH - 2), false);
        for (at, line) in text.lines().enumerate() {
            out.push_str(if at == 0 { "* " } else { "  " });
            out.push_str(line);
            out.push('\n');
        }
    }
    out.push('\n');
}

/// A code block that its text cannot end: the fence is longer than any in it.
fn fenced(out: &mut String, text: &str) {
    let text = printable_lines(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("{fence}\n{}\n{fence}\n\n", text.trim_end()));
}

/// Text in a paragraph, a heading or a list: nothing in it is markup.
fn inline(text: &str) -> String {
    let text = printable(text);
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // `_` within a word is no markup, and function names are full of it.
        let within_word = before.is_alphanumeric()
            && chars.peek().is_some_and(|next| next.is_alphanumeric() || *next == '_');
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '_' if within_word || before == '_' => safe.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
        before = c;
    }
    if safe.starts_with(['#', '-', '+', '=']) {
        safe.insert(0, '\\');
    }
    safe
}
