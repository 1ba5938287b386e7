// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison for a mail or a page.

use super::words::{
    answer, conditions, interval, kernel, level, looks, p_value, per_cent, value, verdict,
};
use crate::comparison::{Comparison, Outcome, Row};
use crate::escape::printable;

/// The comparison as Markdown.
pub fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut add = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    add(format!("**{}**", plain(&answer(comparison))));
    add(String::new());
    for (name, side) in [("A", &comparison.a), ("B", &comparison.b)] {
        add(format!("* {name}: {}", plain(&kernel(side))));
    }
    add(format!("* {}", plain(&conditions(comparison))));
    add(format!("* {}", plain(&looks(comparison))));
    add(String::new());
    add("| metric | | A | B | shift | 95 % interval | p | |".to_owned());
    add("|---|---|---:|---:|---:|---:|---:|---|".to_owned());
    for row in &comparison.rows {
        add(line(row));
    }
    let notes = comparison.notes.iter().cloned();
    let left_out = comparison.left_out.iter().map(|one| format!("left out: {one}"));
    let absent = comparison.rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Absent { why } => Some(format!("{}: {why}", row.metric.name)),
        _ => None,
    });
    let expected = comparison.rows.iter().filter_map(|row| {
        row.expected.as_ref().map(|why| format!("{}: a shift is expected: {why}", row.metric.name))
    });
    add(String::new());
    for note in absent.chain(expected).chain(notes).chain(left_out) {
        add(format!("* {}", plain(&note)));
    }
    add(format!(
        "* A and B are medians; shift and interval are of the pairs. Kernels that do not differ are told apart in at most \
         {} of all comparisons.",
        level()
    ));
    text
}

fn line(row: &Row) -> String {
    let (a, b) = row.medians().map_or_else(Default::default, |(a, b)| (value(a), value(b)));
    let (shift, between) = match row.shift() {
        Some((shift, between)) => {
            let between = between.as_ref().map(|between| format!("{} %", interval(between)));
            (format!("{} %", per_cent(shift)), between.unwrap_or_default())
        }
        None => Default::default(),
    };
    let p = row.tested().and_then(|assessment| assessment.p).map_or_else(String::new, p_value);
    let metric = row.metric;
    let about = [metric.about, metric.unit].into_iter().filter(|words| !words.is_empty());
    let about = about.collect::<Vec<_>>().join(", ");
    format!(
        "| {} | {about} | {a} | {b} | {shift} | {between} | {p} | {} |",
        metric.name,
        verdict(row)
    )
}

/// Text of others that is neither markup nor a terminal's business.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if "\\`*_{}[]<>#|~&".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}
