// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison as a picture: a forest plot of the shifts, and beside it each metric's values in A and in B.

use super::words::{answer, conditions, kernel, looks, per_cent, share_of, value, verdict};
use crate::comparison::{Comparison, Row};
use crate::render::svg::{Anchor, Svg};
use crate::statistics::rule::Verdict;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 20.0;
/// Below the last row, and each row.
const FOOT: f64 = 70.0;
const ROW: f64 = 46.0;
/// Where the forest plot begins and ends, and the values.
const FOREST: (f64, f64) = (215.0, 560.0);
const VERDICT: f64 = 575.0;
const VALUES: (f64, f64) = (745.0, 975.0);
/// Shifts beyond this, a factor of two, are drawn as arrows.
const WIDEST: f64 = std::f64::consts::LN_2;
/// Per cents that an axis may be marked with.
const TICKS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Characters that fit into a line, of large letters and of small ones.
pub(super) const LARGE: usize = 115;
pub(super) const SMALL: usize = 150;
/// Most lines that words may take.
const MOST_LINES: usize = 4;

/// The comparison as an SVG picture, for light and for dark ground.
pub fn render(comparison: &Comparison) -> String {
    let is_drawn = |row: &&Row| row.shift().is_some();
    let rows: Vec<&Row> = comparison.rows.iter().filter(is_drawn).collect();
    let mut heads = vec![("bold", answer(comparison), LARGE)];
    heads.push(("a", format!("A: {}", kernel(&comparison.a)), LARGE));
    heads.push(("b", format!("B: {}", kernel(&comparison.b)), LARGE));
    heads.push(("small", conditions(comparison), SMALL));
    heads.push(("small", looks(comparison), SMALL));
    let heads: Vec<(&str, String)> = heads
        .into_iter()
        .flat_map(|(class, words, width)| {
            wrapped(&words, width).into_iter().map(move |line| (class, line))
        })
        .collect();
    let top = 30.0 + 18.0 * heads.len() as f64 + 30.0;
    let bottom = top + ROW * rows.len().max(1) as f64;
    let mut svg = Svg::new(WIDTH, bottom + FOOT);
    for (at, (class, line)) in heads.iter().enumerate() {
        let y = 30.0 + 18.0 * at as f64;
        if matches!(*class, "a" | "b") {
            mark(&mut svg, class, (MARGIN + 5.0, y - 4.5));
            svg.text("", (MARGIN + 16.0, y), Anchor::Start, line);
        } else {
            svg.text(class, (MARGIN, y), Anchor::Start, line);
        }
    }

    let scale = Scale::of(comparison, &rows);
    scale.draw(&mut svg, (top, bottom), comparison.margin);
    let head =
        |svg: &mut Svg, x, words: &str| svg.text("small", (x, top - 12.0), Anchor::Middle, words);
    head(&mut svg, (FOREST.0 + FOREST.1) / 2.0, "shift of B against A, with 95 % intervals");
    head(&mut svg, (VALUES.0 + VALUES.1) / 2.0, "every storm, and medians");
    for (at, row) in rows.iter().enumerate() {
        let middle = top + ROW * (at as f64 + 0.5);
        draw_row(&mut svg, &scale, row, middle);
    }
    if rows.is_empty() {
        let words = "no metric has values on both sides";
        svg.text("", (MARGIN, top + ROW / 2.0), Anchor::Start, words);
    }
    let unit = "per cent of A's value, on a logarithmic scale";
    svg.text("small", ((FOREST.0 + FOREST.1) / 2.0, bottom + 36.0), Anchor::Middle, unit);
    let band =
        format!("grey band: changes below {}, which do not matter", share_of(comparison.margin));
    svg.text("small", ((FOREST.0 + FOREST.1) / 2.0, bottom + 52.0), Anchor::Middle, &band);
    svg.finish(&answer(comparison))
}

fn draw_row(svg: &mut Svg, scale: &Scale, row: &Row, middle: f64) {
    svg.text("", (MARGIN, middle), Anchor::Start, row.metric.name);
    svg.text("small", (MARGIN, middle + 14.0), Anchor::Start, row.metric.unit);
    let class = match row.tested().map(|assessment| assessment.verdict) {
        Some(Verdict::Regression) if row.expected.is_none() => "bad",
        Some(Verdict::Improvement) => "good",
        Some(Verdict::TooFew { .. }) | None => "open",
        Some(_) => "mark",
    };
    if let Some((shift, interval)) = row.shift() {
        if let Some(interval) = &interval {
            scale.bar(svg, class, interval.low, interval.high, middle);
        }
        scale.point(svg, class, shift, middle);
        let shift = format!("{} %", per_cent(shift));
        svg.text("", (VERDICT, middle), Anchor::Start, &shift);
    }
    svg.text("small", (VERDICT, middle + 14.0), Anchor::Start, &verdict(row));
    draw_values(svg, row, middle);
}

/// A's values in a lane, B's in one below it, on one linear axis.
fn draw_values(svg: &mut Svg, row: &Row, middle: f64) {
    let all = || row.a.iter().chain(&row.b).copied();
    let (low, high) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let Some((median_a, median_b)) = row.medians() else { return };
    let place = |value: f64| {
        let way = if high > low { (value - low) / (high - low) } else { 0.5 };
        VALUES.0 + way * (VALUES.1 - VALUES.0)
    };
    for (values, median, class, y) in
        [(&row.a, median_a, "a", middle - 9.0), (&row.b, median_b, "b", middle + 3.0)]
    {
        svg.line("grid", (VALUES.0, y), (VALUES.1, y));
        for value in values {
            mark(svg, class, (place(*value), y));
        }
        let x = place(median);
        svg.line(&format!("middle-{class}"), (x, y - 6.0), (x, y + 6.0));
    }
    let y = middle + 19.0;
    svg.text("small", (VALUES.0, y), Anchor::Start, &value(low));
    svg.text("small", (VALUES.1, y), Anchor::End, &value(high));
}

/// A's storms are circles, B's are diamonds.
pub(super) fn mark(svg: &mut Svg, class: &str, (x, y): (f64, f64)) {
    const SIZE: f64 = 4.0;
    if class == "a" {
        svg.circle(class, (x, y), SIZE);
    } else {
        let reach = SIZE + 1.0;
        svg.shape(class, &[(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)]);
    }
}

/// The axis of shifts: differences of logarithms from `-reach` to `reach`.
struct Scale {
    reach: f64,
}

impl Scale {
    /// Wide enough for every interval and for twice the margin, up to [`WIDEST`].
    fn of(comparison: &Comparison, rows: &[&Row]) -> Self {
        let shifts = rows.iter().filter_map(|row| row.shift());
        let reaches =
            shifts.map(|(shift, interval)| interval.map_or(0.0, |i| i.reach()).max(shift.abs()));
        let least = 2.0 * comparison.margin.ln_1p();
        Self { reach: 1.08 * reaches.fold(least, f64::max).min(WIDEST) }
    }

    fn place(&self, shift: f64) -> f64 {
        let way = shift.clamp(-self.reach, self.reach) / self.reach;
        (FOREST.0 + FOREST.1) / 2.0 + way * (FOREST.1 - FOREST.0) / 2.0
    }

    fn draw(&self, svg: &mut Svg, (top, bottom): (f64, f64), margin: f64) {
        let band = self.place(margin.ln_1p()) - self.place(-margin.ln_1p());
        svg.rect("band", self.place(-margin.ln_1p()), top, band, bottom - top);
        for sign in [-1.0, 1.0] {
            // A handful of marks: those that are not too near to the one before.
            let mut last = 0.0;
            for per_cent in TICKS {
                let shift = (sign * per_cent / 100.0_f64).ln_1p();
                if shift.abs() > self.reach || shift.abs() < last + 0.17 * self.reach {
                    continue;
                }
                last = shift.abs();
                let x = self.place(shift);
                svg.line("grid", (x, top), (x, bottom));
                let words = format!("{:+}", sign * per_cent);
                svg.text("small", (x, bottom + 16.0), Anchor::Middle, &words);
            }
        }
        let zero = self.place(0.0);
        svg.line("zero", (zero, top), (zero, bottom));
        svg.text("small", (zero, bottom + 16.0), Anchor::Middle, "0");
    }

    /// An interval; an end beyond the axis is an arrow.
    fn bar(&self, svg: &mut Svg, class: &str, low: f64, high: f64, y: f64) {
        let (left, right) = (self.place(low), self.place(high));
        svg.line(class, (left, y), (right, y));
        for (end, x, way) in [(low, left, -1.0), (high, right, 1.0)] {
            if end.abs() > self.reach {
                let back = x - way * 7.0;
                svg.shape(class, &[(x, y), (back, y - 4.0), (back, y + 4.0)]);
            } else {
                svg.line(class, (x, y - 4.0), (x, y + 4.0));
            }
        }
    }

    fn point(&self, svg: &mut Svg, class: &str, shift: f64, y: f64) {
        if shift.abs() <= self.reach {
            let x = self.place(shift);
            svg.rect(class, x - 4.0, y - 4.0, 8.0, 8.0);
        }
    }
}

/// Words in lines of so many characters, broken at blanks where there are any.
pub(super) fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        let word: String = word.chars().take(width).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.truncate(MOST_LINES);
    lines
}
