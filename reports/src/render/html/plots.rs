// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cells were exposed to, as pictures: a bar for each cell, on linear axes that begin at 0.
//!
//! A picture is no wider than a telephone, and has its words at their natural size.

use super::look;
use crate::exit::Purpose;
use crate::render::outcome::{case_name, outcome};
use crate::render::svg::{Anchor, Svg};
use crate::render::words::{count, duration};
use crate::run::{CellReport, RunReport};

const WIDTH: f64 = 360.0;
/// Where bars begin and may end: the last axis mark has room for half its words behind.
const BARS: (f64, f64) = (4.0, 330.0);
/// Height of a cell's name and bar, and of what stands below.
const ROW: f64 = 40.0;
const FOOT: f64 = 44.0;
/// Most cells that are drawn, and characters of their names.
const MOST: usize = 24;
const NAME: usize = 34;
/// Most marks on an axis, 0 not counted.
const MARKS: f64 = 4.0;

/// A picture and its heading.
pub(super) struct Figure {
    pub(super) title: String,
    /// Safe: its words are escaped.
    pub(super) svg: String,
}

/// What is drawn.
struct Quantity {
    title: &'static str,
    /// What the axis counts.
    unit: &'static str,
    /// Its marks are no nearer to each other: there is no half of a page.
    least_step: f64,
    value: fn(&CellReport) -> Option<f64>,
    words: fn(f64) -> String,
}

const QUANTITIES: [Quantity; 5] = [
    Quantity {
        title: "Windows stretched",
        unit: "windows",
        least_step: 1.0,
        value: |cell| (cell.cell.technique == "stretch").then_some(cell.exposure.windows as f64),
        words: |n| count(n as u64),
    },
    Quantity {
        title: "Swapoffs",
        unit: "swapoffs",
        least_step: 1.0,
        value: |cell| Some(cell.exposure.swapoffs as f64),
        words: |n| count(n as u64),
    },
    Quantity {
        title: "Pages that zswap wrote back",
        unit: "pages",
        least_step: 1.0,
        value: |cell| Some(cell.exposure.writebacks as f64),
        words: |n| count(n as u64),
    },
    Quantity {
        title: "Pages written back for each 100 stored",
        unit: "pages written back per 100 stored",
        least_step: 0.0,
        value: |cell| {
            let exposure = &cell.exposure;
            let per_store = exposure.writebacks as f64 / exposure.stores as f64;
            (exposure.stores > 0).then_some(100.0 * per_store)
        },
        words: |n| format!("{n:.1}"),
    },
    Quantity {
        title: "Guest time",
        unit: "seconds of the guest",
        least_step: 0.0,
        value: |cell| Some(cell.exposure.guest_ms as f64 / 1000.0),
        words: |s| duration((s * 1000.0) as u64),
    },
];

/// A picture of each quantity that any cell has, and how many cells none of them shows.
pub(super) fn figures(report: &RunReport, purpose: Purpose) -> (Vec<Figure>, usize) {
    let ran: Vec<&CellReport> = report.cells.iter().filter(|cell| !cell.boots.is_empty()).collect();
    let shown = &ran[..ran.len().min(MOST)];
    let figures = QUANTITIES.iter().filter_map(|quantity| figure(quantity, shown, report, purpose));
    (figures.collect(), ran.len() - shown.len())
}

fn figure(
    quantity: &Quantity,
    cells: &[&CellReport],
    report: &RunReport,
    purpose: Purpose,
) -> Option<Figure> {
    let values: Vec<_> =
        cells.iter().filter_map(|cell| Some((*cell, (quantity.value)(cell)?))).collect();
    let largest = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if largest <= 0.0 {
        return None;
    }
    let step = step(largest).max(quantity.least_step);
    let marks = (largest / step).ceil();
    let place_of = |value: f64| BARS.0 + value / (step * marks) * (BARS.1 - BARS.0);
    let bottom = ROW * values.len() as f64 + 4.0;
    let mut svg = Svg::new(WIDTH, bottom + FOOT);
    for mark in 0..=marks as u32 {
        let value = f64::from(mark) * step;
        let (x, class) = (place_of(value), if mark == 0 { "axis" } else { "grid" });
        svg.line(class, (x, 0.0), (x, bottom));
        let anchor = if mark == 0 { Anchor::Start } else { Anchor::Middle };
        svg.text("note", (x, bottom + 16.0), anchor, &marked(value));
    }
    svg.text("note", (BARS.0, bottom + 34.0), Anchor::Start, quantity.unit);
    let mut told = Vec::new();
    for (row, (cell, value)) in values.iter().enumerate() {
        let y = ROW * row as f64;
        let (class, sign) = look(outcome(cell, purpose));
        let name = match report.is_merged() {
            true => report.name_of(cell),
            false => case_name(cell),
        };
        let shown = (quantity.words)(*value);
        let clipped = clipped(&name);
        svg.text(
            "",
            (BARS.0 + 4.0, y + 15.0),
            Anchor::Start,
            &format!("{sign} {clipped}: {shown}"),
        );
        told.push(format!("{clipped} {shown}"));
        svg.rect(class, BARS.0, y + 21.0, place_of(*value) - BARS.0, 12.0);
    }
    // Whoever cannot see the bars is told the numbers.
    let title = format!("{}: {}", quantity.title, told.join(", "));
    Some(Figure { title: quantity.title.to_owned(), svg: svg.finish_inline(&title) })
}

/// The distance of an axis's marks: 1, 2 or 5 times a power of ten, at most [`MARKS`] of them up to `largest`.
fn step(largest: f64) -> f64 {
    let least = largest / MARKS;
    let power = 10f64.powf(least.log10().floor());
    let step =
        [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|step| *step >= least * 0.999_999);
    step.unwrap_or(10.0 * power)
}

/// `40k` of 40,000; an axis has no room for more.
fn marked(value: f64) -> String {
    let (value, suffix) = match value {
        v if v >= 1e12 => return format!("{v:.0e}"),
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e4 => (v / 1e3, "k"),
        v => (v, ""),
    };
    // Without the noise of sums of binary fractions.
    format!("{}{suffix}", (value * 1e6).round() / 1e6)
}

/// What a name ends with tells cells apart; what it begins with may be the run, which is all the same.
fn clipped(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    "...".chars().chain(name.chars().skip(length - (NAME - 3))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_few_round_marks_that_reach_the_largest_value() {
        for largest in [0.003, 0.7, 1.0, 3.0, 4.1, 18.0, 408.0, 999.0, 1e6, 123_456_789.0] {
            let step = step(largest);
            let marks = (largest / step).ceil();
            assert!((1.0..=5.0).contains(&marks), "{largest}: {marks} of {step}");
            assert!(step * marks >= largest, "{largest}");
        }
        assert_eq!([step(408.0), step(18.0), step(4.0)], [200.0, 5.0, 1.0]);
        let words = [0.0, 0.30000000000000004, 200.0, 40_000.0, 2e6].map(marked);
        assert_eq!(words, ["0", "0.3", "200", "40k", "2M"]);
    }
}
