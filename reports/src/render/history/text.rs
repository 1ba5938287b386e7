// SPDX-License-Identifier: MIT OR Apache-2.0
//! A history for a terminal.

use super::words::{
    answer, badge, by_setting, identity, is_alarming, night, place, rate, span, trouble, turn, when,
};
use super::{MOST_BUGS, MOST_NIGHTS, MOST_PLACES, MOST_SETTINGS, spark};
use crate::history::{Course, History, Known, Turn};
use crate::render::Look;
use crate::render::comparison::value;
use crate::render::layout::{Line, Style, wrapped, write};

/// Widest text.
const WIDTH: usize = 100;

/// The history as text: what is new, what is known, nights, troubles, numbers.
pub fn render(history: &History, look: Look) -> String {
    let width = look.width.min(WIDTH);
    let mut lines = wrapped(Style::Bold, &answer(history), width);
    if history.nights.is_empty() {
        return write(&lines, look.colour);
    }
    lines.extend(wrapped(Style::Dim, &span(history), width));
    if !history.bugs.is_empty() {
        heading(&mut lines, "Bugs");
    }
    for bug in history.bugs.iter().take(MOST_BUGS) {
        self::bug(&mut lines, bug, history, width);
    }
    more(&mut lines, history.bugs.len(), MOST_BUGS, "bugs");
    heading(&mut lines, "Nights");
    let newest = history.nights.iter().rev().take(MOST_NIGHTS);
    for sum in newest {
        hanging(&mut lines, &sum.night.to_string(), &night(sum), width);
    }
    more(&mut lines, history.nights.len(), MOST_NIGHTS, "earlier nights");
    if !history.trouble.is_empty() {
        heading(&mut lines, "Trouble");
    }
    for one in &history.trouble {
        hanging(&mut lines, &one.kind, &trouble(one, history), width);
        if !one.why.is_empty() {
            indented(&mut lines, Style::Dim, &one.why, width, 4);
        }
    }
    let settings = by_setting(history);
    if !settings.is_empty() {
        heading(&mut lines, "Metrics: newest night, median of all nights, the newest nights");
    }
    for (setting, courses) in settings.iter().take(MOST_SETTINGS) {
        lines.extend(wrapped(Style::Dim, setting, width));
        lines.extend(courses.iter().map(|course| row(course)));
    }
    more(&mut lines, settings.len(), MOST_SETTINGS, "settings");
    write(&lines, look.colour)
}

fn heading(lines: &mut Vec<Line>, words: &str) {
    lines.push(Line::blank());
    lines.push(Line::new(Style::Bold, words));
}

fn bug(lines: &mut Vec<Line>, bug: &Known, history: &History, width: usize) {
    let style = match bug.turn {
        _ if is_alarming(bug) => Style::Bad,
        Turn::Vanished { .. } | Turn::Better { .. } => Style::Good,
        _ => Style::Doubtful,
    };
    lines.extend(wrapped(style, &format!("{}: {}", badge(bug), bug.title), width));
    let mut add = |text: &str| indented(lines, Style::Plain, text, width, 2);
    add(&turn(bug, history.newest));
    add(&format!("Shown {}.", rate(bug)));
    add(&when(bug));
    for one in bug.places.iter().take(MOST_PLACES) {
        indented(lines, Style::Dim, &format!("{}: {}", one.setting, place(one)), width, 4);
    }
    let others = bug.places.len().saturating_sub(MOST_PLACES);
    let others = if others > 0 { format!("{others} more settings; ") } else { String::new() };
    indented(lines, Style::Dim, &format!("{others}{}", identity(bug)), width, 4);
}

/// A metric in a setting: its newest value, its median, and the newest nights in blocks.
fn row(course: &Course) -> Line {
    let (newest, median) = (value(course.newest()), value(course.median()));
    let (name, unit) = (course.metric.name, course.metric.unit);
    let blocks = spark::blocks(course);
    Line::plain(&format!("  {name:<20} {newest:>8} {median:>8}  {blocks} {unit}"))
}

fn hanging(lines: &mut Vec<Line>, head: &str, text: &str, width: usize) {
    let mut rest = wrapped(Style::Plain, &format!("{head}: {text}"), width.saturating_sub(2));
    let first = (!rest.is_empty()).then(|| rest.remove(0));
    lines.extend(first);
    lines.extend(rest.into_iter().map(|line| shifted(line, 4)));
}

fn indented(lines: &mut Vec<Line>, style: Style, text: &str, width: usize, by: usize) {
    let own = wrapped(style, text, width.saturating_sub(by));
    lines.extend(own.into_iter().map(|line| shifted(line, by)));
}

fn shifted(line: Line, by: usize) -> Line {
    Line::plain(&" ".repeat(by)).followed_by(line)
}

/// Says how many more there are than are shown.
fn more(lines: &mut Vec<Line>, all: usize, shown: usize, what: &str) {
    if all > shown {
        let words = format!("{} more {what}: --format json has all", all - shown);
        lines.push(Line::new(Style::Dim, &words));
    }
}
