// SPDX-License-Identifier: MIT OR Apache-2.0
//! Baselines as text and as JSON.

use serde::Serialize;

use super::Look;
use super::comparison::{share_of, value};
use super::layout::{Line, Style, wrapped, write};
use crate::baseline::{Accepted, Book, Entry, MAX_WORDS, Standing, Told};
use crate::comparison::Levels;
use crate::comparison::metric::Metric;
use crate::statistics::{median, relative, spread};

/// Version of the JSON. It changes when a field changes its meaning or goes away; fields may be added at any time.
pub const JSON_FORMAT: u32 = 1;

/// Widest text.
const WIDTH: usize = 80;
/// Names of kernels and profiles in a table are cut to so many characters.
const MOST_OF_A_NAME: usize = 32;

/// All baselines as a table, the oldest first.
pub fn list(book: &Book, look: Look) -> String {
    let head = ["id", "date", "kernel", "arch", "profile", "clock", "accel", "storms", ""];
    let mut rows = vec![head.map(str::to_owned)];
    for entry in &book.entries {
        let Entry { baseline, key, .. } = entry;
        let standing = match book.standing(entry) {
            Standing::Accepted => "accepted",
            Standing::WasAccepted => "was accepted",
            Standing::Newest => "newest",
            Standing::Other => "",
        };
        let cells = [
            &baseline.id,
            day(&baseline.at),
            &key.kernel,
            key.condition("architecture"),
            key.condition("profile"),
            key.condition("clock"),
            key.condition("accelerator"),
            &baseline.storms.len().to_string(),
            standing,
        ];
        rows.push(cells.map(cut));
    }
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |(at, row): (usize, &[String; 9])| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let style = if at == 0 { Style::Dim } else { Style::Plain };
        Line::new(style, &cells.collect::<Vec<_>>().join("  "))
    };
    let lines: Vec<Line> = rows.iter().enumerate().map(line).collect();
    write(&lines, look.colour)
}

/// One baseline of the book: where it is from, what became of it, and its metrics.
pub fn show(book: &Book, entry: &Entry, look: Look) -> String {
    let width = look.width.min(WIDTH);
    let Entry { baseline, key, accepted, .. } = entry;
    let mut lines = vec![Line::new(Style::Bold, &format!("{}  {}", baseline.id, cut(&key.kernel)))];
    let mut add = |style, text: &str| lines.extend(wrapped(style, text, width));
    add(Style::Dim, &key.to_string());
    let kernel = match (baseline.kernel.release.as_str(), baseline.kernel.key.as_str()) {
        ("", "") => String::new(),
        (release, key) => format!(", Linux {release}, key {key}"),
    };
    let began = day(&baseline.started);
    add(
        Style::Plain,
        &format!("recorded {} from run {} of {began}{kernel}", baseline.at, baseline.run),
    );
    if !baseline.note.is_empty() {
        add(Style::Plain, &format!("note: {}", words(&baseline.note)));
    }
    for Accepted { at, reason, .. } in accepted {
        add(Style::Plain, &format!("accepted {at}: {}", words(reason)));
    }
    let taken = book.reference(key).map_or("", |taken| taken.baseline.id.as_str());
    add(
        Style::Plain,
        &match book.standing(entry) {
            Standing::Accepted => "storms of this key are measured by it".to_owned(),
            Standing::Newest => {
                "storms of this key are measured by it, as the newest: none was accepted".to_owned()
            }
            Standing::WasAccepted | Standing::Other => {
                format!("storms of this key are measured by {taken}")
            }
        },
    );
    add(Style::Plain, &numbers(&baseline.storms));
    lines.push(Line::blank());
    lines.push(Line::new(Style::Dim, &columns("", ["median", "spread", "lowest", "highest"], "")));
    let (mut never, mut absent) = (Vec::new(), Vec::new());
    for (metric, levels) in baseline.storms().metrics() {
        match levels {
            Levels::Values(values) => {
                let Some(Summary { median, spread, lowest, highest, .. }) =
                    Summary::of(metric, &values)
                else {
                    continue;
                };
                let (median, lowest, highest) = (value(median), value(lowest), value(highest));
                let cells = [&*median, &*share_of(spread), &*lowest, &*highest];
                lines.push(Line::plain(&columns(metric.name, cells, metric.unit)));
            }
            Levels::Never => never.push(metric.name),
            Levels::Absent => absent.push(metric.name),
        }
    }
    for (what, names) in [("never happened", never), ("not counted there", absent)] {
        if !names.is_empty() {
            lines.push(Line::blank());
            lines.extend(wrapped(Style::Dim, &format!("{what}: {}", names.join(", ")), width));
        }
    }
    write(&lines, look.colour)
}

/// `8 storms: 1 to 8`, or which numbers there are.
fn numbers(storms: &[Told]) -> String {
    let all: Vec<u32> = storms.iter().map(|storm| storm.number).collect();
    let words = match (all.first(), all.last()) {
        (Some(first), Some(last)) if all.iter().copied().eq(*first..=*last) && first < last => {
            format!("{first} to {last}")
        }
        _ => all.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    };
    format!("{} {}, number {words}", all.len(), if all.len() == 1 { "storm" } else { "storms" })
}

/// A row of the table of metrics.
fn columns(name: &str, cells: [&str; 4], unit: &str) -> String {
    let [median, spread, lowest, highest] = cells;
    format!("{name:<20} {median:>8} {spread:>8} {lowest:>9} {highest:>9}  {unit}")
}

/// A metric in all storms of a baseline.
#[derive(Serialize)]
struct Summary<'a> {
    metric: &'a Metric,
    median: f64,
    /// Standard deviation of the logarithms, as a share.
    spread: f64,
    lowest: f64,
    highest: f64,
    values: &'a [f64],
}

impl<'a> Summary<'a> {
    /// `None` without values.
    fn of(metric: &'a Metric, values: &'a [f64]) -> Option<Self> {
        let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        Some(Self {
            metric,
            median: median(values)?,
            spread: relative(spread(&logarithms)),
            lowest: values.iter().copied().reduce(f64::min)?,
            highest: values.iter().copied().reduce(f64::max)?,
            values,
        })
    }
}

/// A baseline as a list has it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    at: &'a str,
    note: &'a str,
    run: &'a str,
    started: &'a str,
    kernel: &'a crate::baseline::Kernel,
    conditions: serde_json::Value,
    seconds: f64,
    storms: usize,
    standing: Standing,
    accepted: &'a [Accepted],
}

impl<'a> Row<'a> {
    fn of(book: &Book, entry: &'a Entry) -> Self {
        let Entry { baseline, key, accepted, .. } = entry;
        Self {
            id: &baseline.id,
            at: &baseline.at,
            note: &baseline.note,
            run: &baseline.run,
            started: &baseline.started,
            kernel: &baseline.kernel,
            conditions: serde_json::json!(baseline.conditions),
            seconds: key.seconds,
            storms: baseline.storms.len(),
            standing: book.standing(entry),
            accepted,
        }
    }
}

/// All baselines as one JSON object that ends with a line feed: `format`, `baselines`, and `problems` with the file.
pub fn list_json(book: &Book) -> String {
    let rows: Vec<Row> = book.entries.iter().map(|entry| Row::of(book, entry)).collect();
    let problems: Vec<String> = book.problems.iter().map(ToString::to_string).collect();
    let value =
        serde_json::json!({ "format": JSON_FORMAT, "baselines": rows, "problems": problems });
    format!("{value:#}\n")
}

/// One baseline as one JSON object that ends with a line feed: what a list has of it, `format`, and `metrics`. `spread` is a
/// share.
pub fn show_json(book: &Book, entry: &Entry) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        #[serde(flatten)]
        row: Row<'a>,
        metrics: Vec<Summary<'a>>,
    }
    let all = entry.baseline.storms().metrics();
    let metrics = all.iter().filter_map(|(metric, levels)| match levels {
        Levels::Values(values) => Summary::of(metric, values),
        Levels::Never | Levels::Absent => None,
    });
    let metrics = metrics.collect();
    let document = Document { format: JSON_FORMAT, row: Row::of(book, entry), metrics };
    format!("{:#}\n", serde_json::json!(document))
}

/// The day of a time in RFC 3339.
fn day(at: &str) -> &str {
    at.split('T').next().unwrap_or_default()
}

/// A name that fits into a table.
fn cut(name: &str) -> String {
    let printable = crate::escape::printable(name);
    match printable.char_indices().nth(MOST_OF_A_NAME) {
        None => printable.into_owned(),
        Some((end, _)) => format!("{}...", &printable[..end]),
    }
}

fn words(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}
