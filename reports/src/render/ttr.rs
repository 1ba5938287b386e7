// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times to a bug as text: for a terminal, for a program, as a picture.

mod plot;

use serde::Serialize;

pub use plot::render as svg;

use super::Look;
use super::layout::{Line, Style, wrapped, write};
use super::words::{count, duration};
use crate::statistics::survival::{Between, Rate};
use crate::ttr::{Arm, Times, Ttr};

/// Version of the JSON. It changes when a field changes its meaning or goes away; fields may be added at any time.
pub const JSON_FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    #[serde(flatten)]
    ttr: &'a Ttr,
}

/// The measurement as one JSON object that ends with a line feed: the fields of [`Ttr`], and `format`. Times are
/// milliseconds, rates events per hour of the guest's time.
pub fn json(ttr: &Ttr) -> String {
    let document = Document { format: JSON_FORMAT, ttr };
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let mut text = serde_json::to_string_pretty(&document).expect("plain data is JSON");
    text.push('\n');
    text
}

/// What was measured, in a sentence.
fn title(ttr: &Ttr) -> String {
    let bound = duration(ttr.bound_ms);
    format!(
        "time from the storm's start to the bug of {}; guests are watched for {bound} of their time",
        ttr.profile
    )
}

/// On what.
fn conditions(ttr: &Ttr) -> String {
    let Ttr { kernel, release, arch, accel, .. } = ttr;
    [format!("Linux {release}"), kernel.clone(), arch.clone(), accel.clone()]
        .into_iter()
        .filter(|word| !word.is_empty() && word != "Linux ")
        .collect::<Vec<_>>()
        .join(", ")
}

/// The measurement as text.
pub fn text(ttr: &Ttr, look: Look) -> String {
    let names = ttr.arms.iter().map(|arm| arm.name.chars().count());
    let width = names.max().unwrap_or(0).max("exposure of all".len());
    let mut lines = wrapped(Style::Bold, &title(ttr), look.width);
    lines.push(Line::new(Style::Dim, &conditions(ttr)));
    lines.push(Line::blank());
    let row = |name: &str, cells: [&str; 6]| {
        let [runs, shown, median, interval, host, rate] = cells;
        format!("{name:width$} {runs:>5} {shown:>6} {median:>9} {interval:>17} {host:>9}  {rate}")
    };
    let head = ["runs", "shown", "median", "95 %", "host's", "per guest hour (95 %)"];
    lines.push(Line::new(Style::Dim, &row("", head)));
    for arm in &ttr.arms {
        let (runs, shown) = (arm.trials.len().to_string(), arm.shown.to_string());
        let longest = |ms: fn(&crate::ttr::Run) -> u64| arm.trials.iter().map(ms).max();
        let median = median(&arm.guest, longest(|run| run.guest_ms));
        let host = self::median(&arm.host, longest(|run| run.host_ms));
        let rate = arm.rate.as_ref().map_or_else(|| "-".to_owned(), rate);
        let cells = [&*runs, &shown, &median, &between(arm), &host, &rate];
        lines.push(Line::plain(&row(&arm.name, cells)));
    }
    lines.push(Line::blank());
    let row = |name: &str, cells: [&str; 5]| {
        let [time, swapoffs, writebacks, windows, bursts] = cells;
        format!(
            "{name:width$} {time:>13} {swapoffs:>10} {writebacks:>11} {windows:>9} {bursts:>10}"
        )
    };
    let head = ["guest time", "swapoffs", "writebacks", "windows", "bursts"];
    lines.push(Line::new(Style::Dim, &row("exposure of all", head)));
    for arm in &ttr.arms {
        let exposure = &arm.exposure;
        let counts = [exposure.swapoffs, exposure.writebacks, exposure.windows, arm.bursts];
        let [swapoffs, writebacks, windows, bursts] = counts.map(count);
        let time = duration(exposure.guest_ms);
        let cells = [&*time, &swapoffs, &writebacks, &windows, &bursts];
        lines.push(Line::plain(&row(&arm.name, cells)));
    }
    if !ttr.notes.is_empty() {
        lines.push(Line::blank());
    }
    for note in &ttr.notes {
        lines.extend(wrapped(Style::Plain, &format!("* {note}"), look.width));
    }
    write(&lines, look.colour)
}

/// `1.02 s`; `> 60.0 s` where the watch ended before half of the trials had shown the bug.
fn median(times: &Times, longest_ms: Option<u64>) -> String {
    match (times.median, longest_ms) {
        (Some(ms), _) => seconds(ms),
        (None, Some(ms)) => format!("> {}", seconds(ms as f64)),
        (None, None) => "-".to_owned(),
    }
}

/// `0.90-1.30 s`, `16.0 s-` where there is no upper end.
fn between(arm: &Arm) -> String {
    match arm.guest.interval {
        Between { low: Some(low), high: Some(high) } => {
            let low = seconds(low);
            format!("{}-{}", low.trim_end_matches(" s"), seconds(high))
        }
        Between { low: Some(low), high: None } => format!("{} or more", seconds(low)),
        _ => "-".to_owned(),
    }
}

fn rate(rate: &Rate) -> String {
    let number = |value: f64| match value {
        0.0 => "0".to_owned(),
        v if v < 10.0 => format!("{v:.2}"),
        v => count(v.round() as u64),
    };
    format!("{} ({}-{})", number(rate.estimate), number(rate.low), number(rate.high))
}

/// Three digits, in seconds.
fn seconds(ms: f64) -> String {
    let s = ms / 1000.0;
    match s {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests;
