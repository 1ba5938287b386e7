// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a mail: `report.md`.
//!
//! It reads well as plain text, wraps where mails wrap, and holds all that somebody else needs
//! to judge or repeat the run. Whatever came from a guest stands in code blocks that its
//! contents cannot end.

use super::Look;
use super::hunt;
use super::layout::{Style, wrapped, write as write_lines};
use super::night;
use super::text::plain_cells;
use super::words::{
    VIRTUAL_CLOCK, boot_words, common_rule, count, duration, elsewhere, headline, proof_sentences,
    standing_words,
};
use super::{check, search};
use crate::escape::{printable, printable_lines};
use crate::exit::{ExitCode, Purpose};
use crate::run::{Bug, CellReport, PointReport, REMOTE, RunFacts, RunReport, Standing};
use crate::shell;

/// Columns: a mail may be quoted twice and still fit 80.
const WIDTH: usize = 72;
/// Most bytes of one report's text.
const MAX_TEXT: usize = 64 * 1024;

/// The run as Markdown.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let mut out = String::new();
    let rule = common_rule(report);
    let title = rule.map_or("swapstorm report", |rule| rule.title.as_str());
    heading(&mut out, 1, title);
    for check in report.checks() {
        fenced(&mut out, &check::text(&check, Look { width: WIDTH, colour: false }));
    }
    if !report.searches().is_empty() {
        fenced(&mut out, &search::text(report));
    }
    paragraph(&mut out, &headline(report, purpose));
    for words in proof_sentences(report) {
        paragraph(&mut out, &words);
    }
    // Words of plans are in them, and of guests.
    let sentences = night::sentences(report, purpose);
    if !sentences.is_empty() {
        let lines = sentences.iter().flat_map(|words| wrapped(Style::Plain, words, WIDTH));
        fenced(&mut out, &write_lines(&lines.collect::<Vec<_>>(), false));
    }
    fenced(&mut out, &plain_cells(report, WIDTH));
    if let Some(rule) = rule {
        paragraph(&mut out, rule.description.trim());
    }
    heading(&mut out, 2, "How to repeat it");
    for run in &report.runs {
        fenced(&mut out, &shell::command(&report.repeat_command_of(run), WIDTH));
        list(&mut out, &run_facts(report, run));
    }
    for series in earned(report, purpose) {
        paragraph(&mut out, &format!("Whoever ran this may say of {series}:"));
        fenced(&mut out, "Tested-by: NAME <ADDRESS>");
    }
    for cell in &report.cells {
        self::cell(&mut out, report, cell);
    }
    if !report.problems.is_empty() {
        heading(&mut out, 2, "Problems with the event log");
        let problems: Vec<_> = report.problems.iter().map(|p| (String::new(), p.clone())).collect();
        list(&mut out, &problems);
    }
    out
}

/// The series that have earned a tag: the run came to its answer, the bug showed without them, and with them it stayed away for
/// so long that luck does not explain it.
fn earned(report: &RunReport, purpose: Purpose) -> Vec<String> {
    if purpose != Purpose::Repro || report.exit_code(purpose) != ExitCode::Clean {
        return Vec::new();
    }
    let proofs = report.proofs();
    let is_proven = |cell: &CellReport| {
        let population = cell.cell.population();
        proofs.iter().any(|proof| proof.population == population && proof.is_reached())
    };
    let fixed = report.cells.iter().filter(|cell| cell.cell.should_show == Some(false));
    let mut earned: Vec<String> =
        fixed.filter(|cell| is_proven(cell)).filter_map(|cell| cell.cell.series.clone()).collect();
    earned.sort();
    earned.dedup();
    earned
}

fn run_facts(report: &RunReport, run: &RunFacts) -> Vec<(String, String)> {
    let mut facts = vec![
        ("seed".to_owned(), run.seed.to_string()),
        ("started".to_owned(), run.started.clone()),
        ("took".to_owned(), duration(run.ms)),
        ("swapstorm".to_owned(), run.version.clone()),
    ];
    if report.is_merged() {
        facts.insert(0, ("run".to_owned(), run.id.to_string()));
    }
    if !run.host_name.is_empty() {
        facts.push(("host".to_owned(), run.host_name.clone()));
    }
    facts.extend(run.host.clone());
    facts.extend(run.notices.iter().map(|notice| (String::new(), notice.clone())));
    facts
}

fn cell(out: &mut String, report: &RunReport, cell: &CellReport) {
    heading(out, 2, &format!("{}: {}", cell.cell.kernel_name(), cell.verdict.word()));
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| facts.push((name.to_owned(), value.to_owned()));
    if !cell.verdict.reason().is_empty() {
        fact("verdict", cell.verdict.reason());
    }
    fact("cell", &report.name_of(cell));
    fact("key", &cell.cell.key);
    fact("seed", &cell.cell.seed.to_string());
    if cell.cell.is_virtual() {
        fact("clock", VIRTUAL_CLOCK);
    }
    for boot in &cell.boots {
        fact(&format!("boot {}", boot.number), &boot_words(boot));
        if let Some(digest) = &boot.digest {
            fact(&format!("SHA-256 of boot {}'s console", boot.number), &digest.console);
        }
    }
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
    if let Some(variant) = &cell.variant {
        fact("variant of the profile", variant);
    }
    for point in &cell.points {
        fact("stretch point", &point_words(point));
        if let Some(words) = elsewhere(&point.point) {
            fact("stretch point chosen", &words);
        }
    }
    for point in &cell.left_out {
        fact("stretch point left out", &format!("{}: {}", point.id, point.why));
    }
    for notice in &cell.notices {
        fact("notice", notice);
    }
    for warning in &cell.warnings {
        fact("guest warning", warning);
    }
    if cell.checks > 0 {
        fact("invariants looked at", &format!("{} times", cell.checks));
    }
    for corruption in &cell.corruptions {
        fact("data corruption", &corruption.detail);
    }
    list(out, &facts);
    if let Some(map) = &cell.hunt {
        for words in hunt::sentences(map) {
            paragraph(out, &words);
        }
        fenced(out, &hunt::table(map, usize::MAX).join("\n"));
    }
    for bug in &cell.bugs {
        self::bug(out, bug);
    }
    if let Some(boot) = cell.deciding_boot() {
        heading(out, 3, if boot.accel == REMOTE { "Machine" } else { "QEMU" });
        fenced(out, &shell::command(&boot.argv, WIDTH));
    }
}

fn point_words(point: &PointReport) -> String {
    let counts = &point.counts;
    let role = if point.point.bug { "" } else { ", not the bug's window" };
    let windows = if counts.stretched == 1 { "window" } else { "windows" };
    let mut words =
        format!("{}{role}: {} {windows} stretched", point.point.id, count(counts.stretched));
    for (reason, n) in &counts.refused {
        words.push_str(&format!(", {} refused ({reason})", count(*n)));
    }
    words
}

fn bug(out: &mut String, bug: &Bug) {
    let what = standing_words(bug);
    let title = format!("{what}: {}", bug.finding.title);
    // A heading is one line.
    if inline(&title).chars().count() + 4 <= WIDTH {
        heading(out, 3, &title);
    } else {
        heading(out, 3, what);
        paragraph(out, &bug.finding.title);
    }
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

pub(super) fn heading(out: &mut String, level: usize, text: &str) {
    out.push_str(&format!("{} {}\n\n", "#".repeat(level), inline(text)));
}

pub(super) fn paragraph(out: &mut String, text: &str) {
    out.push_str(&write_lines(&wrapped(Style::Plain, &inline(text), WIDTH), false));
    out.push('\n');
}

/// A list of names and values; values wrap below themselves.
pub(super) fn list(out: &mut String, facts: &[(String, String)]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::events::good_repro;
    use crate::sample::rich::night;

    #[test]
    fn a_mail_has_no_wide_line_but_those_of_consoles_and_words_that_cannot_be_broken() {
        for (report, purpose) in
            [(good_repro().report(), Purpose::Repro), (night(), Purpose::Search)]
        {
            let mail = render(&report, purpose);
            let wide = |line: &&str| line.chars().count() > WIDTH;
            for line in mail.lines().filter(wide) {
                let is_word = line.trim_start().starts_with("-append '");
                let is_console = report.cells.iter().flat_map(|cell| &cell.bugs).any(|bug| {
                    printable_lines(&bug.finding.text).lines().any(|told| told.trim_end() == line)
                });
                assert!(is_word || is_console, "{line}");
            }
        }
    }

    #[test]
    fn a_tag_is_earned_by_a_fix_that_is_proven_and_by_nothing_else() {
        let tagged = |report: &RunReport, purpose| render(report, purpose).contains("Tested-by:");
        let good = good_repro();
        assert!(tagged(&good.report(), Purpose::Repro));
        assert!(!tagged(&good.report(), Purpose::Search));
        assert!(!tagged(&night(), Purpose::Search));
        // The log of a run that was killed, and a fixed kernel that may have been lucky.
        let mut cut = good.events.clone();
        cut.pop();
        assert!(!tagged(&RunReport::fold(cut), Purpose::Repro));
        let mut lucky = good.report();
        lucky.runs[0].confidence = 0.999;
        assert!(!tagged(&lucky, Purpose::Repro));
    }
}
