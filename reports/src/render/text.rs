// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a terminal.
//!
//! Two cells, as of a `repro`, stand beside each other, and so do the two stacks of a report.
//! Below 80 columns everything stands in one column. More cells become a table.

use std::collections::{BTreeMap, HashMap};

use super::hunt;
use super::layout::{Line, Style, beside, wrapped, write};
use super::night;
use super::words::{
    ShownFrame, VIRTUAL_CLOCK, bound_lines, compiler, count, duration, elsewhere, exposure_rows,
    head_lines, headline, proof_sentences, shown_frames, stack_title, telling_stacks,
    verdict_lines,
};
use super::{check, search};
use crate::escape::printable;
use crate::event::{Cell, Exposure};
use crate::exit::{ExitCode, Purpose};
use crate::rate;
use crate::rule::Rule;
use crate::run::{Bug, CellReport, RunReport, Standing};
use crate::verdict::CellVerdict;

/// From this width on there are two columns.
const TWO_COLUMNS: usize = 80;
/// Wider than this, lines are hard to read.
const WIDEST: usize = 140;
/// Blank columns between two columns.
const GAP: usize = 3;

/// Rows of the map of a hunt.
const FUNCTIONS: usize = 20;

/// What the terminal is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
}

/// The run as text that ends with a line feed.
pub fn render(report: &RunReport, purpose: Purpose, look: Look) -> String {
    let width = look.width.clamp(40, WIDEST);
    let style = match report.exit_code(purpose) {
        ExitCode::Clean => Style::Good,
        ExitCode::KernelBug => Style::Bad,
        _ => Style::Doubtful,
    };
    let answers = answers(report, look);
    let mut lines = wrapped(style, &headline(report, purpose), width);
    for words in night::sentences(report, purpose).into_iter().chain(proof_sentences(report)) {
        lines.extend(wrapped(Style::Plain, &words, width));
    }
    lines.push(Line::blank());
    lines.extend(cells(report, width, width >= TWO_COLUMNS));
    lines.extend(hunts(report, width));
    for bug in bugs_worth_showing(report) {
        lines.push(Line::blank());
        lines.extend(self::bug(bug.0, bug.1, width));
    }
    lines.extend(notes(report, width));
    answers + &write(&lines, look.colour)
}

/// What runs that had a question of their own came to, before anything else; nothing of others.
pub(super) fn answers(report: &RunReport, look: Look) -> String {
    let checks = report.checks();
    let checks: String = checks.iter().map(|check| check::text(check, look) + "\n").collect();
    checks + &search::text(report)
}

/// Cells beside each other, without colour and in ASCII, for other renderings.
pub(super) fn plain_cells(report: &RunReport, width: usize) -> String {
    write(&cells(report, width, true), false).replace('─', "-")
}

fn cells(report: &RunReport, width: usize, two_columns: bool) -> Vec<Line> {
    match &report.cells[..] {
        [left, right] if two_columns => {
            let column = (width - GAP) / 2;
            [heading, verdict, exposure]
                .into_iter()
                .flat_map(|part| beside(part(left, column), part(right, column), column + GAP))
                .collect()
        }
        few if few.len() <= 2 => few
            .iter()
            .enumerate()
            .flat_map(|(at, cell)| {
                let mut lines = if at > 0 { vec![Line::blank()] } else { Vec::new() };
                for part in [heading, verdict, exposure] {
                    lines.extend(part(cell, width));
                }
                lines
            })
            .collect(),
        _ => table(report, width),
    }
}

/// Which kernel it is.
fn heading(cell: &CellReport, width: usize) -> Vec<Line> {
    let series = cell.cell.series.as_ref().map(|series| format!("+ {series}"));
    let mut lines = wrapped(Style::Bold, &cell.cell.kernel, width);
    lines.extend(wrapped(Style::Bold, series.as_deref().unwrap_or("as it is"), width));
    if let Some(kernel) = &cell.kernel {
        let facts = format!("Linux {}, {}, {}", kernel.release, cell.cell.arch, compiler(kernel));
        lines.extend(wrapped(Style::Dim, &facts, width));
    }
    lines
}

/// The verdict and what stands behind it.
fn verdict(cell: &CellReport, width: usize) -> Vec<Line> {
    let mut lines = vec![
        Line::new(Style::Dim, &"─".repeat(width)),
        Line::new(verdict_style(&cell.verdict), &cell.verdict.word().to_uppercase()),
    ];
    for line in verdict_lines(cell) {
        lines.extend(wrapped(Style::Plain, &line, width));
    }
    lines
}

fn verdict_style(verdict: &CellVerdict) -> Style {
    match verdict {
        CellVerdict::Clean { .. } => Style::Good,
        CellVerdict::KernelBug { .. } => Style::Bad,
        CellVerdict::LeftOut { .. } => Style::Dim,
        _ => Style::Doubtful,
    }
}

fn exposure(cell: &CellReport, width: usize) -> Vec<Line> {
    if cell.boots.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::blank()];
    for (name, value) in exposure_rows(cell) {
        let blanks = width.min(40).saturating_sub(name.chars().count() + value.len());
        lines.push(
            Line::new(Style::Dim, &name)
                .and(Style::Plain, &" ".repeat(blanks))
                .and(Style::Plain, &value),
        );
    }
    lines
}

/// One line a cell. The kernel is named where there are several, the time where there is room.
fn table(report: &RunReport, width: usize) -> Vec<Line> {
    let cells = &report.cells;
    let several = cells.iter().any(|cell| cell.cell.kernel_name() != cells[0].cell.kernel_name());
    let timed = width >= TWO_COLUMNS;
    let numbers = |after: &str, time: &str, windows: &str, swapoffs: &str| {
        let time = if timed { format!("  {time:>12}") } else { String::new() };
        format!("  {after:>10}{time}  {windows:>8}  {swapoffs:>9}")
    };
    // The verdict takes 14 columns, and two blanks before it.
    let room = width.saturating_sub(16 + numbers("", "", "", "").len()).max(12);
    let name = |cell: &CellReport| {
        let kernel = if several { format!("  {}", cell.cell.kernel_name()) } else { String::new() };
        clipped(&printable(&format!("{}{kernel}", report.name_of(cell))), room)
    };
    let widest = cells.iter().map(|cell| name(cell).chars().count()).max().unwrap_or(0).max(4);
    let heads = numbers("bug after", "guest time", "windows", "swapoffs");
    let heads = format!("{:widest$}  {:14}{}", "cell", "verdict", heads);
    let mut lines = vec![Line::new(Style::Dim, &heads)];
    for cell in cells {
        let after = cell.deciding_bug().map_or_else(String::new, |b| duration(b.first.guest_ms));
        let Exposure { guest_ms, windows, swapoffs, .. } = cell.exposure;
        let numbers = numbers(&after, &duration(guest_ms), &count(windows), &count(swapoffs));
        lines.push(
            Line::plain(&format!("{:widest$}  ", name(cell)))
                .and(verdict_style(&cell.verdict), &format!("{:14}", cell.verdict.word()))
                .and(Style::Plain, &numbers),
        );
    }
    for (names, reason) in reasons(report) {
        let text = format!("{}: {reason}", names.join(", "));
        lines.extend(text.lines().flat_map(|line| wrapped(Style::Plain, line, width)));
    }
    lines.extend(together(report, width));
    lines
}

/// What stands behind verdicts that are neither a bug nor clean, each once, with the names of its cells.
fn reasons(report: &RunReport) -> Vec<(Vec<String>, &str)> {
    let mut reasons: Vec<(Vec<String>, &str)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for cell in &report.cells {
        if cell.verdict.is_clean() || cell.verdict.is_bug() {
            continue;
        }
        let reason = cell.verdict.reason();
        let place = *places.entry(reason).or_insert(reasons.len());
        match reasons.get_mut(place) {
            Some((names, _)) => names.push(report.name_of(cell)),
            None => reasons.push((vec![report.name_of(cell)], reason)),
        }
    }
    reasons
}

/// What clean cells of one kernel in one setting say together.
fn together(report: &RunReport, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (cells, exposure) in report.clean_together() {
        let bounds = bound_lines(&rate::bounds(&exposure)).join(", ");
        let Cell { arch, profile, technique, .. } = &cells[0].cell;
        let clock = if cells[0].cell.is_virtual() { ", virtual clock" } else { "" };
        let name =
            format!("{}, {arch}, {profile}, {technique}{clock}", cells[0].cell.kernel_name());
        let text = format!("{}, {} cells together: {bounds}", printable(&name), cells.len());
        lines.extend(wrapped(Style::Plain, &text, width));
    }
    lines
}

/// What hunts have seen.
fn hunts(report: &RunReport, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for map in report.cells.iter().filter_map(|cell| cell.hunt.as_ref()) {
        lines.push(Line::blank());
        lines.extend(hunt::sentences(map).iter().flat_map(|s| wrapped(Style::Plain, s, width)));
        lines.push(Line::blank());
        let table = hunt::table(map, FUNCTIONS);
        lines.extend(table.iter().map(|row| Line::plain(&clipped(row, width))));
    }
    lines
}

/// Other bugs, each once by title, and then the expected one as it first showed. The rest is
/// only noted.
fn bugs_worth_showing(report: &RunReport) -> Vec<(&CellReport, &Bug)> {
    let mut shown: Vec<(&CellReport, &Bug)> = Vec::new();
    for standing in [Standing::Another, Standing::Expected] {
        for cell in &report.cells {
            for bug in cell.bugs.iter().filter(|bug| bug.standing == standing) {
                let known = |other: &Bug| {
                    other.standing == standing
                        && (standing == Standing::Expected
                            || other.finding.title == bug.finding.title)
                };
                if !shown.iter().any(|(_, other)| known(other)) {
                    shown.push((cell, bug));
                }
            }
        }
    }
    shown.truncate(5);
    shown
}

/// A report's head and its stacks.
fn bug(cell: &CellReport, bug: &Bug, width: usize) -> Vec<Line> {
    let times = if bug.count == 1 { String::new() } else { format!(", {} times", bug.count) };
    let whose = format!("{} reports{times}:", cell.cell.kernel_name());
    let mut lines = wrapped(Style::Dim, &whose, width);
    for (at, head) in head_lines(&bug.finding).into_iter().enumerate() {
        let style = if at == 0 { Style::Bold } else { Style::Plain };
        lines.extend(wrapped(style, head, width));
    }
    if let (Standing::Another, Some(why)) = (bug.standing, &bug.why_not) {
        lines.extend(wrapped(Style::Dim, &format!("Not the expected bug: {why}."), width));
    }
    if bug.after_expected && bug.standing == Standing::Another {
        let note = "It came after the expected bug in the same boot, when memory was already \
                    damaged: it may be its consequence.";
        lines.extend(wrapped(Style::Dim, note, width));
    }
    if let Some(why) = &bug.finding.corrupted {
        lines.extend(wrapped(Style::Doubtful, &format!("The report is damaged: {why}."), width));
    }
    let stacks = stacks(bug, cell.rule.as_deref(), width);
    if !stacks.is_empty() {
        lines.push(Line::blank());
        lines.extend(stacks);
    }
    lines
}

fn stacks(bug: &Bug, rule: Option<&Rule>, width: usize) -> Vec<Line> {
    let stacks = telling_stacks(&bug.finding);
    let two_columns = stacks.len() == 2 && width >= TWO_COLUMNS;
    let column = if two_columns { (width - GAP) / 2 } else { width };
    let shown: Vec<(String, Vec<ShownFrame>, usize)> = stacks
        .iter()
        .map(|stack| {
            let (frames, left_out) = shown_frames(stack, rule);
            (stack_title(stack, &bug.finding), frames, left_out)
        })
        .collect();
    // Offsets for all frames or for none: a ragged column is hard to read.
    let places = shown
        .iter()
        .flat_map(|(_, frames, _)| frames)
        .all(|frame| 2 + frame.function.len() + frame.place.len() <= column);
    let mut blocks = shown.into_iter().map(|(title, frames, left_out)| {
        let mut lines = vec![Line::new(Style::Dim, &title)];
        for frame in frames {
            let (mark, style) =
                if frame.marked { ("> ", Style::Bold) } else { ("  ", Style::Plain) };
            let line = Line::new(style, mark).and(style, &clipped(&frame.function, column - 2));
            let place = if places { frame.place.as_str() } else { "" };
            lines.push(line.and(Style::Dim, place));
        }
        if left_out > 0 {
            lines.push(Line::new(Style::Dim, &format!("  ... {left_out} more")));
        }
        lines
    });
    match (blocks.next(), blocks.next()) {
        (Some(left), Some(right)) if two_columns => beside(left, right, column + GAP),
        (Some(mut first), Some(second)) => {
            first.push(Line::blank());
            first.extend(second);
            first
        }
        (first, _) => first.unwrap_or_default(),
    }
}

/// Cut to `width` characters, with dots where it was cut.
fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    kept + "..."
}

/// What else is worth a line: repetitions, consequences, corruptions, warnings, problems.
fn notes(report: &RunReport, width: usize) -> Vec<Line> {
    let mut notes = Vec::new();
    for cell in &report.cells {
        let name = report.name_of(cell);
        let first = cell.time_to_bug.map_or(0, |moment| moment.run_ms);
        for bug in &cell.bugs {
            let what = match bug.standing {
                Standing::Expected if bug.first.run_ms == first => continue,
                Standing::Another => continue,
                Standing::Expected => "the expected bug as well",
                Standing::FollowUp => "as its consequence",
                Standing::Cut => "after it, cut",
                Standing::Related => "a report related to it",
                Standing::Method => "brought about by the stretcher, no bug",
                Standing::Starved => "brought about by a starved host, no bug",
            };
            let times = if bug.count == 1 { "" } else { &format!(", {} times", bug.count) };
            notes.push(format!("{name}: {what}{times}: {}", bug.finding.title));
        }
        for corruption in &cell.corruptions {
            let what = match corruption.standing {
                Standing::Related => "data corruption, as the expected bug may bring it about",
                _ => "data corruption",
            };
            notes.push(format!("{name}: {what}: {}", corruption.detail));
        }
        for warning in &cell.warnings {
            notes.push(format!("{name}: the guest warns: {warning}"));
        }
    }
    notes.extend(shared_notes(report));
    for run in &report.runs {
        notes.extend(run.notices.iter().cloned());
    }
    notes.extend(report.problems.iter().map(|problem| format!("event log: {problem}")));
    if notes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::blank()];
    lines.extend(notes.iter().flat_map(|note| wrapped(Style::Dim, note, width)));
    lines
}

/// What cells have in common, each once: a clock of their own, variants of profiles, points that stand elsewhere or are left out, and
/// notices.
fn shared_notes(report: &RunReport) -> Vec<String> {
    let mut whose: BTreeMap<String, Vec<&CellReport>> = BTreeMap::new();
    for cell in &report.cells {
        let left_out = cell
            .left_out
            .iter()
            .map(|point| format!("the stretch point {} is left out: {}", point.id, point.why));
        // Newer kernels pass over a page of places.
        let standing = cell.points.iter().filter_map(|point| match point.point.passed_over.len() {
            0 | 1 => elsewhere(&point.point),
            n => Some(format!(
                "a stretch point stands at {}; report.md says why at none of the {n} places before it",
                point.point.id
            )),
        });
        let variant = cell.variant.iter().map(|name| {
            let words = format!("the kernel wants the variant {name} of {}", cell.cell.profile);
            printable(&words).into_owned()
        });
        let clock = cell.cell.is_virtual().then(|| VIRTUAL_CLOCK.to_owned());
        for words in clock
            .into_iter()
            .chain(variant)
            .chain(standing)
            .chain(left_out)
            .chain(cell.notices.iter().cloned())
        {
            whose.entry(words).or_default().push(cell);
        }
    }
    let told = |(words, cells): (String, Vec<&CellReport>)| match &cells[..] {
        [cell] => format!("{}: {words}", report.name_of(cell)),
        all if all.len() == report.cells.len() => words,
        some => format!("{words} ({} of {} cells)", some.len(), report.cells.len()),
    };
    whose.into_iter().map(told).collect()
}
