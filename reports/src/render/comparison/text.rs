// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison for a terminal of 80 columns.

use super::words::{answer, conditions, interval, kernel, level, looks, per_cent, value, verdict};
use crate::comparison::{Answer, Comparison, Outcome, Row};
use crate::render::Look;
use crate::render::layout::{Line, Style, wrapped, write};
use crate::statistics::rule::Verdict;

/// Widest text.
const WIDTH: usize = 80;

/// The comparison as text, no wider than 80 columns.
pub fn render(comparison: &Comparison, look: Look) -> String {
    let width = look.width.min(WIDTH);
    let mut lines = Vec::new();
    for (name, side) in [("A", &comparison.a), ("B", &comparison.b)] {
        lines.extend(indented(Line::new(Style::Bold, name), 2, Style::Plain, &kernel(side), width));
    }
    for words in [conditions(comparison), looks(comparison)] {
        lines.extend(indented(Line::blank(), 2, Style::Dim, &words, width));
    }
    lines.push(Line::blank());
    lines.push(Line::new(Style::Dim, &columns("", "A", "B", "shift", "95 % interval", "")));
    let is_chosen = |row: &&Row| !matches!(row.outcome, Outcome::Shown { .. });
    lines.extend(comparison.rows.iter().filter(is_chosen).map(line));
    let mut shown = comparison.rows.iter().filter(|row| !is_chosen(row)).peekable();
    if shown.peek().is_some() {
        lines.push(Line::blank());
        lines.push(Line::new(Style::Dim, "not tested"));
        lines.extend(shown.map(line));
    }
    let absent = comparison.rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Absent { why } => Some(format!("{}: {why}", row.metric.name)),
        _ => None,
    });
    let expected = comparison.rows.iter().filter_map(|row| {
        row.expected.as_ref().map(|why| format!("{}: a shift is expected: {why}", row.metric.name))
    });
    let notes: Vec<String> = absent
        .chain(expected)
        .chain(comparison.notes.clone())
        .chain(left_out(comparison))
        .collect();
    if !notes.is_empty() {
        lines.push(Line::blank());
    }
    for note in notes {
        lines.extend(indented(Line::plain("*"), 2, Style::Plain, &note, width));
    }
    lines.push(Line::blank());
    let style = match comparison.answer {
        Answer::Regression => Style::Bad,
        Answer::NoRegression => Style::Good,
        Answer::TooFew { .. } | Answer::Nothing => Style::Doubtful,
    };
    lines.extend(wrapped(style, &answer(comparison), width));
    let allowed = format!(
        "Kernels that do not differ are told apart in at most {} of all comparisons.",
        level()
    );
    lines.extend(wrapped(Style::Dim, &allowed, width));
    write(&lines, look.colour)
}

/// Storms that were left out, the first ones by name.
fn left_out(comparison: &Comparison) -> Vec<String> {
    const MOST: usize = 5;
    let all = &comparison.left_out;
    let mut words: Vec<String> =
        all.iter().take(MOST).map(|one| format!("left out: {one}")).collect();
    if all.len() > MOST {
        words.push(format!("left out: {} more", all.len() - MOST));
    }
    words
}

fn line(row: &Row) -> Line {
    let (a, b) = row
        .medians()
        .map_or_else(|| ("-".to_owned(), "-".to_owned()), |(a, b)| (value(a), value(b)));
    let (shift, between) = match row.shift() {
        Some((shift, between)) => {
            let between = between.as_ref().map_or_else(|| "-".to_owned(), interval);
            (format!("{} %", per_cent(shift)), between)
        }
        None => ("-".to_owned(), "-".to_owned()),
    };
    let style = match row.tested().map(|assessment| assessment.verdict) {
        Some(Verdict::Regression) if row.expected.is_none() => Style::Bad,
        Some(Verdict::Improvement) => Style::Good,
        Some(Verdict::TooFew { .. }) => Style::Doubtful,
        _ => Style::Plain,
    };
    let columns = columns(row.metric.name, &a, &b, &shift, &between, "");
    let verdict = match row.outcome {
        Outcome::Shown { .. } => String::new(),
        _ => verdict(row),
    };
    Line::plain(&columns).and(style, &verdict)
}

/// A row of the table: 61 columns, and the verdict's 18.
fn columns(name: &str, a: &str, b: &str, shift: &str, interval: &str, verdict: &str) -> String {
    format!("{name:<20} {a:>7} {b:>7} {shift:>8} {interval:>13}  {verdict}")
}

/// Words behind a mark, so that all lines begin where the first one's words do.
fn indented(mark: Line, indent: usize, style: Style, words: &str, width: usize) -> Vec<Line> {
    let lines = wrapped(style, words, width.saturating_sub(indent));
    let height = lines.len();
    let marks =
        std::iter::once(mark).chain(std::iter::repeat_n(Line::blank(), height)).take(height);
    crate::render::layout::beside(marks.collect(), lines, indent)
}
