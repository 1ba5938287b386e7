// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a terminal.
//!
//! Two cells, as of a `repro`, stand beside each other, and so do the two stacks of a report.
//! Below 80 columns everything stands in one column. More cells become a table.

use super::layout::{Line, Style, beside, wrapped, write};
use super::words::{
    ShownFrame, bound_lines, compiler, count, duration, exposure_rows, head_lines, headline,
    kernel_name, shown_frames, stack_title, telling_stacks, verdict_lines,
};
use crate::escape::printable;
use crate::event::Exposure;
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
    let mut lines = wrapped(style, &headline(report, purpose), width);
    lines.push(Line::blank());
    lines.extend(cells(report, width, width >= TWO_COLUMNS));
    for bug in bugs_worth_showing(report) {
        lines.push(Line::blank());
        lines.extend(self::bug(bug.0, bug.1, width));
    }
    lines.extend(notes(report, width));
    write(&lines, look.colour)
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
        many => table(many, width),
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
        _ => Style::Doubtful,
    }
}

fn exposure(cell: &CellReport, width: usize) -> Vec<Line> {
    if cell.boots.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::blank()];
    for (name, value) in exposure_rows(&cell.exposure, cell.cell.technique == "stretch") {
        let blanks = width.min(40).saturating_sub(name.len() + value.len());
        lines.push(
            Line::new(Style::Dim, name)
                .and(Style::Plain, &" ".repeat(blanks))
                .and(Style::Plain, &value),
        );
    }
    lines
}

/// One line a cell. The kernel is named where there are several, the time where there is room.
fn table(cells: &[CellReport], width: usize) -> Vec<Line> {
    let several = cells.iter().any(|cell| kernel_name(&cell.cell) != kernel_name(&cells[0].cell));
    let timed = width >= TWO_COLUMNS;
    let numbers = |after: &str, time: &str, windows: &str, swapoffs: &str| {
        let time = if timed { format!("  {time:>12}") } else { String::new() };
        format!("  {after:>10}{time}  {windows:>8}  {swapoffs:>9}")
    };
    // The verdict takes 14 columns, and two blanks before it.
    let room = width.saturating_sub(16 + numbers("", "", "", "").len()).max(12);
    let name = |cell: &CellReport| {
        let kernel = if several { format!("  {}", kernel_name(&cell.cell)) } else { String::new() };
        clipped(&printable(&format!("{}{kernel}", cell.cell.id)), room)
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
    for cell in cells {
        let clean_or_bug =
            matches!(cell.verdict, CellVerdict::Clean { .. } | CellVerdict::KernelBug { .. });
        if !clean_or_bug {
            let reason = format!("{}: {}", cell.cell.id, cell.verdict.reason());
            lines.extend(wrapped(Style::Plain, &reason, width));
        }
    }
    lines.extend(together(cells, width));
    lines
}

/// What the clean cells of a kernel say together, for kernels with several and nothing else:
/// leaving out a cell with a bug would make the bound of the others a lie.
fn together(cells: &[CellReport], width: usize) -> Vec<Line> {
    let mut names: Vec<String> = cells.iter().map(|cell| kernel_name(&cell.cell)).collect();
    names.sort_unstable();
    names.dedup();
    let mut lines = Vec::new();
    for name in names {
        let own: Vec<&CellReport> =
            cells.iter().filter(|cell| kernel_name(&cell.cell) == name).collect();
        let clean = own.iter().all(|cell| matches!(cell.verdict, CellVerdict::Clean { .. }));
        if clean && own.len() > 1 {
            let sum = own.iter().fold(Exposure::default(), |sum, cell| sum + cell.exposure);
            let bounds = bound_lines(&rate::bounds(&sum)).join(", ");
            let text = format!("{}, {} cells together: {bounds}", printable(&name), own.len());
            lines.extend(wrapped(Style::Plain, &text, width));
        }
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
    let whose = format!("{} reports{times}:", kernel_name(&cell.cell));
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
    let stacks = stacks(bug, cell.rule.as_ref(), width);
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
        let name = &cell.cell.id;
        let first = cell.time_to_bug.map_or(0, |moment| moment.run_ms);
        for bug in &cell.bugs {
            let what = match bug.standing {
                Standing::Expected if bug.first.run_ms == first => continue,
                Standing::Another => continue,
                Standing::Expected => "the expected bug as well",
                Standing::FollowUp => "as its consequence",
                Standing::Cut => "after it, cut",
                Standing::Related => "a report related to it",
            };
            let times = if bug.count == 1 { "" } else { &format!(", {} times", bug.count) };
            notes.push(format!("{name}: {what}{times}: {}", bug.finding.title));
        }
        for corruption in &cell.corruptions {
            notes.push(format!("{name}: data corruption: {}", corruption.detail));
        }
        for warning in &cell.warnings {
            notes.push(format!("{name}: the guest warns: {warning}"));
        }
    }
    notes.extend(report.problems.iter().map(|problem| format!("event log: {problem}")));
    if notes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::blank()];
    lines.extend(notes.iter().flat_map(|note| wrapped(Style::Dim, note, width)));
    lines
}
