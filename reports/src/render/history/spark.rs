// SPDX-License-Identifier: MIT OR Apache-2.0
//! A metric from night to night as a small picture, in blocks or in lines.

use crate::history::{Course, Point};
use crate::render::comparison::value;
use crate::render::svg::{Anchor, Svg};

/// Nights that a line of text has room for.
const NIGHTS: usize = 30;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Size of the picture, and where its line may be.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 84.0;
const LEFT: f64 = 6.0;
const RIGHT: f64 = 268.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 58.0;

/// The newest nights in blocks, from the lowest of them to the highest.
pub(super) fn blocks(course: &Course) -> String {
    let points = &course.points[course.points.len().saturating_sub(NIGHTS)..];
    let (low, high) = range(points);
    let block = |point: &Point| {
        let share = if high > low { (point.value - low) / (high - low) } else { 0.5 };
        // A float becomes the nearest integer below it.
        let at = (share * BLOCKS.len() as f64) as usize;
        BLOCKS[at.min(BLOCKS.len() - 1)]
    };
    points.iter().map(block).collect()
}

fn range(points: &[Point]) -> (f64, f64) {
    let values = || points.iter().map(|point| point.value);
    (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
}

/// All nights as a line over days, with the lowest and the highest value beside it, and a dot at the newest.
pub(super) fn svg(course: &Course) -> String {
    let points = &course.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let (low, high) = range(points);
    let days = f64::from(last.night.days_since(first.night).max(1));
    let place = |point: &Point| {
        let across = f64::from(point.night.days_since(first.night)) / days;
        let up = if high > low { (point.value - low) / (high - low) } else { 0.5 };
        let across = if points.len() == 1 { 1.0 } else { across };
        (LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP))
    };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.line("grid", (LEFT, TOP), (RIGHT, TOP));
    svg.line("grid", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    svg.path("spark", &points.iter().map(place).collect::<Vec<_>>());
    svg.circle("newest", place(last), 3.5);
    if high > low {
        svg.text("note", (RIGHT + 8.0, TOP + 5.0), Anchor::Start, &value(high));
    }
    svg.text("note", (RIGHT + 8.0, BOTTOM + 4.0), Anchor::Start, &value(low));
    if points.len() > 1 {
        svg.text("note", (LEFT, HEIGHT - 8.0), Anchor::Start, &first.night.to_string());
    }
    svg.text("note", (RIGHT, HEIGHT - 8.0), Anchor::End, &last.night.to_string());
    let title = format!(
        "{} from {} to {}: lowest {}, highest {}, newest {}",
        course.metric.name,
        first.night,
        last.night,
        value(low),
        value(high),
        value(last.value)
    );
    svg.finish_inline(&title)
}
