// SPDX-License-Identifier: MIT OR Apache-2.0
//! A metric over guest time as a picture: a line for each storm, and below them when swapoffs ended, windows were stretched and
//! reports came.

use super::plot::{LARGE, SMALL, mark, wrapped};
use super::words::{conditions, kernel, value, verdict};
use crate::comparison::Comparison;
use crate::comparison::course::Course;
use crate::comparison::metric::Metric;
use crate::render::svg::{Anchor, Svg};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 20.0;
/// Where time begins and ends.
const TIME: (f64, f64) = (120.0, 975.0);
/// How high the lines' field is, and each lane of marks below it.
const FIELD: f64 = 300.0;
const LANE: f64 = 20.0;
/// What came before this share of the time does not matter for the scale: a few counts make any ratio.
const EARLY: f64 = 0.1;
/// Most marks on the scale of the metric, and on that of time.
const VALUES: f64 = 6.0;
const TIMES: f64 = 10.0;
/// Reports are named up to this number.
const MOST_NAMED: usize = 8;

/// What is marked in a lane.
type Marks = fn(&Course) -> Vec<f64>;

/// The metric in these storms as an SVG picture, for light and for dark ground.
pub fn render(comparison: &Comparison, metric: &Metric, courses: &[Course]) -> String {
    let about = [metric.about, metric.unit].into_iter().filter(|words| !words.is_empty());
    let about = about.collect::<Vec<_>>().join(", ");
    let row = comparison.rows.iter().find(|row| row.metric.name == metric.name);
    let says = row.map_or_else(String::new, |row| format!(" ({})", verdict(row)));
    let title = format!("{}: {about}{says}", metric.name);
    let mut heads = vec![("bold", title.clone(), LARGE)];
    heads.push(("a", format!("A: {}", kernel(&comparison.a)), LARGE));
    heads.push(("b", format!("B: {}", kernel(&comparison.b)), LARGE));
    heads.push(("small", conditions(comparison), SMALL));
    let words = "each line is a storm, and at each time what its counters had come to until then; dashed: storms that \
                 are not compared";
    heads.push(("small", words.to_owned(), SMALL));
    let heads: Vec<(&str, String)> = heads
        .into_iter()
        .flat_map(|(class, words, width)| {
            wrapped(&words, width).into_iter().map(move |line| (class, line))
        })
        .collect();
    let lanes = lanes(courses);
    let named = named(courses);
    let top = 30.0 + 18.0 * heads.len() as f64 + 10.0;
    let bottom = top + FIELD;
    let end = bottom + 40.0 + LANE * lanes.len() as f64;
    let mut svg = Svg::new(WIDTH, end + 18.0 * named.len() as f64 + MARGIN);
    for (at, (class, line)) in heads.iter().enumerate() {
        let y = 30.0 + 18.0 * at as f64;
        if matches!(*class, "a" | "b") {
            mark(&mut svg, class, (MARGIN + 5.0, y - 4.5));
            svg.text("", (MARGIN + 16.0, y), Anchor::Start, line);
        } else {
            svg.text(class, (MARGIN, y), Anchor::Start, line);
        }
    }
    let Some(scale) = Scale::of(courses, (top, bottom)) else {
        svg.text("", (MARGIN, top + 20.0), Anchor::Start, "no storm has samples of this metric");
        return svg.finish(&title);
    };
    scale.draw(&mut svg, metric.unit);
    for course in courses {
        let class = match (course.is_b, course.is_compared) {
            (false, true) => "curve middle-a",
            (false, false) => "curve middle-a dashed",
            (true, true) => "curve middle-b",
            (true, false) => "curve middle-b dashed",
        };
        let shown = course.points.iter().filter(|(_, value)| scale.holds(*value));
        let points: Vec<(f64, f64)> =
            shown.map(|(seconds, value)| (scale.x(*seconds), scale.y(*value))).collect();
        svg.path(class, &points);
    }
    for (at, (name, class, times)) in lanes.iter().enumerate() {
        let y = bottom + 40.0 + LANE * at as f64;
        svg.text("small", (MARGIN, y + 4.0), Anchor::Start, name);
        svg.line("grid", (TIME.0, y), (TIME.1, y));
        for seconds in times {
            let x = scale.x(*seconds);
            svg.line(class, (x, y - 6.0), (x, y + 6.0));
        }
    }
    for (at, words) in named.iter().enumerate() {
        svg.text("small", (MARGIN, end + 14.0 + 18.0 * at as f64), Anchor::Start, words);
    }
    svg.finish(&title)
}

/// Lanes that have marks: name, class and times.
fn lanes(courses: &[Course]) -> Vec<(String, &'static str, Vec<f64>)> {
    let kinds: [(&str, Marks); 3] = [
        ("swapoffs", |course| course.swapoffs.clone()),
        ("windows", |course| course.windows.clone()),
        ("reports", |course| course.findings.iter().map(|(seconds, _)| *seconds).collect()),
    ];
    let mut lanes = Vec::new();
    for (kind, marks) in kinds {
        for (side, is_b, class) in [("A", false, "middle-a"), ("B", true, "middle-b")] {
            let own = courses.iter().filter(|course| course.is_b == is_b);
            let times: Vec<f64> = own.flat_map(marks).collect();
            if !times.is_empty() {
                let class = if kind == "reports" { "bad" } else { class };
                lanes.push((format!("{kind} of {side}"), class, times));
            }
        }
    }
    lanes
}

/// The first reports in words.
fn named(courses: &[Course]) -> Vec<String> {
    let all = courses.iter().flat_map(|course| {
        let side = if course.is_b { "B" } else { "A" };
        let number = course.number;
        course.findings.iter().map(move |(seconds, title)| {
            format!("{side}, storm {number}, after {seconds:.1} s: {title}")
        })
    });
    let count = courses.iter().map(|course| course.findings.len()).sum::<usize>();
    let cut = |words: String| words.chars().take(SMALL).collect::<String>();
    let mut named: Vec<String> = all.take(MOST_NAMED).map(cut).collect();
    if count > MOST_NAMED {
        named.push(format!("and {} more", count - MOST_NAMED));
    }
    named
}

/// Axes of time and of the metric, both linear.
struct Scale {
    seconds: f64,
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Scale {
    /// Wide enough for all storms, but for what their first moments came to. `None` without a point.
    fn of(courses: &[Course], (top, bottom): (f64, f64)) -> Option<Self> {
        let points = || courses.iter().flat_map(|course| &course.points);
        let seconds = points().map(|(seconds, _)| *seconds).reduce(f64::max)?;
        let late = points().filter(|(at, _)| *at >= EARLY * seconds).map(|(_, value)| *value);
        let (low, high) = (late.clone().reduce(f64::min)?, late.reduce(f64::max)?);
        // A metric that stands still has a scale, too.
        let room = (0.05 * (high - low)).max(1e-3 * high.abs()).max(f64::MIN_POSITIVE);
        Some(Self { seconds, low: low - room, high: high + room, top, bottom })
    }

    fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn x(&self, seconds: f64) -> f64 {
        let way = if self.seconds > 0.0 { (seconds / self.seconds).clamp(0.0, 1.0) } else { 0.0 };
        TIME.0 + way * (TIME.1 - TIME.0)
    }

    fn y(&self, value: f64) -> f64 {
        let way = (value - self.low) / (self.high - self.low);
        self.bottom - way * (self.bottom - self.top)
    }

    fn draw(&self, svg: &mut Svg, unit: &str) {
        for (value, words) in marks(self.low, self.high) {
            let y = self.y(value);
            svg.line("grid", (TIME.0, y), (TIME.1, y));
            svg.text("small", (TIME.0 - 8.0, y + 4.0), Anchor::End, &words);
        }
        svg.text("small", (TIME.0 - 8.0, self.top - 10.0), Anchor::End, unit);
        let step = step(self.seconds, TIMES).max(0.1);
        let mut seconds = 0.0;
        while seconds <= self.seconds {
            let x = self.x(seconds);
            svg.line("grid", (x, self.top), (x, self.bottom));
            let words = format!("{} s", (seconds * 10.0).round() / 10.0);
            svg.text("small", (x, self.bottom + 16.0), Anchor::Middle, &words);
            seconds += step;
        }
    }
}

/// Round numbers on an axis of values, all with as many digits behind the point as the step between them has.
fn marks(low: f64, high: f64) -> Vec<(f64, String)> {
    let step = step(high - low, VALUES);
    // Beyond that, the words are wider than the margin.
    let digits = (-step.log10().floor()).max(0.0);
    let plain = digits <= 7.0 && high.abs().max(low.abs()) < 1e10;
    let steps = (0..=VALUES as usize).map(|at| ((low / step).ceil() + at as f64) * step);
    // -0 is 0.
    let within = steps.filter(|mark| (low..=high).contains(mark)).map(|mark| mark + 0.0);
    within
        .map(|mark| (mark, if plain { format!("{mark:.*}", digits as usize) } else { value(mark) }))
        .collect()
}

/// What is between two of at most so many marks on an axis of that length: 1, 2 or 5 times a power of ten.
fn step(length: f64, most: f64) -> f64 {
    let least = length / most;
    let power = 10.0_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|times| times * power);
    steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_few_round_numbers_that_can_be_told_apart() {
        let words = |low, high| -> Vec<String> {
            marks(low, high).into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(words(0.1873, 0.2291), ["0.19", "0.20", "0.21", "0.22"]);
        assert_eq!(words(-0.3, 1.04), ["0.0", "0.5", "1.0"]);
        assert_eq!(words(9_990.0, 10_010.0), ["9990", "9995", "10000", "10005", "10010"]);
        for (low, high) in
            [(0.1873, 0.2291), (-1e-9, 1e-9), (1e15, 1.001e15), (0.2, 0.200_000_01), (0.0, 7.0)]
        {
            let marks = marks(low, high);
            assert!((2..=VALUES as usize + 1).contains(&marks.len()), "{marks:?}");
            assert!(marks.iter().all(|(mark, _)| (low..=high).contains(mark)), "{marks:?}");
            // They fit into what is left of the axis.
            assert!(marks.iter().all(|(_, words)| words.len() <= 14), "{marks:?}");
        }
    }
}
