// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times to a bug as a picture: of each arm, the share of trials that have not shown it yet.

use super::{conditions, median, title};
use crate::render::svg::{Anchor, Svg};
use crate::ttr::{Arm, Ttr};

const WIDTH: f64 = 1000.0;
/// The plot's left, right and upper edge.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 70.0;
/// Least height of the plot.
const HEIGHT: f64 = 320.0;
/// Below the plot, and what an arm's lines take beside it.
const FOOT: f64 = 50.0;
const ENTRY: f64 = 38.0;
/// Colours that can be told apart; more arms are dashed.
const HUES: usize = 6;
/// Times are not told apart below this, in milliseconds.
const SHORTEST: f64 = 10.0;

/// The curves as an SVG picture, for light and for dark ground. Time is on a logarithmic scale.
pub fn render(ttr: &Ttr) -> String {
    let bottom = TOP + HEIGHT.max(ENTRY * ttr.arms.len() as f64);
    let mut svg = Svg::new(WIDTH, bottom + FOOT);
    svg.text("bold", (20.0, 28.0), Anchor::Start, &title(ttr));
    svg.text("small", (20.0, 46.0), Anchor::Start, &conditions(ttr));
    let axis = Axis::of(ttr);
    let height = |share: f64| bottom - share * (bottom - TOP);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = height(share);
        svg.line(if share == 0.5 { "zero" } else { "grid" }, (LEFT, y), (RIGHT, y));
        svg.text("small", (LEFT - 6.0, y + 4.0), Anchor::End, &format!("{:.0} %", share * 100.0));
    }
    for (ms, words) in axis.ticks() {
        let x = axis.place(ms);
        svg.line("grid", (x, TOP), (x, bottom));
        svg.text("small", (x, bottom + 16.0), Anchor::Middle, &words);
    }
    let words = "guest's time since the storm's start, on a logarithmic scale";
    svg.text("small", ((LEFT + RIGHT) / 2.0, bottom + 36.0), Anchor::Middle, words);
    svg.text("small", (LEFT, TOP - 10.0), Anchor::Start, "trials that have not shown the bug");
    for (at, arm) in ttr.arms.iter().enumerate() {
        let dashed = if at >= HUES { " dashed" } else { "" };
        let class = format!("curve{dashed} hue-{}", at % HUES);
        draw(&mut svg, &class, arm, &axis, &height);
        let y = TOP + ENTRY * at as f64 + 10.0;
        svg.line(&class, (RIGHT + 20.0, y - 4.0), (RIGHT + 50.0, y - 4.0));
        svg.text("", (RIGHT + 58.0, y), Anchor::Start, &arm.name);
        let longest = arm.trials.iter().map(|run| run.guest_ms).max();
        let median = median(&arm.guest, longest);
        let words = format!("{} of {}, median {median}", arm.shown, arm.trials.len());
        svg.text("small", (RIGHT + 58.0, y + 15.0), Anchor::Start, &words);
    }
    svg.finish(&title(ttr))
}

/// The curve as steps, and a mark on it for each censored trial.
fn draw(svg: &mut Svg, class: &str, arm: &Arm, axis: &Axis, height: &dyn Fn(f64) -> f64) {
    let Some(end) = arm.trials.iter().map(|run| run.guest_ms).max() else { return };
    let steps = &arm.guest.curve.steps;
    let mut points = vec![(LEFT, height(1.0))];
    let mut share = 1.0;
    for step in steps {
        let x = axis.place(step.time);
        points.push((x, height(share)));
        share = step.survival;
        points.push((x, height(share)));
    }
    points.push((axis.place(end as f64), height(share)));
    svg.path(class, &points);
    for run in arm.trials.iter().filter(|run| !run.shown) {
        let by_then = steps.iter().take_while(|step| step.time <= run.guest_ms as f64).last();
        let (x, y) =
            (axis.place(run.guest_ms as f64), height(by_then.map_or(1.0, |step| step.survival)));
        svg.line(class, (x, y - 5.0), (x, y + 5.0));
    }
}

/// The axis of time, logarithmic from the decade of the shortest trial to the longest.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn of(ttr: &Ttr) -> Self {
        let times = || {
            ttr.arms
                .iter()
                .flat_map(|arm| &arm.trials)
                .map(|run| (run.guest_ms as f64).max(SHORTEST))
        };
        let least = times().fold(ttr.bound_ms as f64, f64::min).max(SHORTEST);
        let most = times().fold(ttr.bound_ms as f64, f64::max);
        let from = 10_f64.powf(least.log10().floor());
        Self { from, to: most.max(10.0 * from) }
    }

    fn place(&self, ms: f64) -> f64 {
        let way = (ms.max(self.from) / self.from).ln() / (self.to / self.from).ln();
        LEFT + way.min(1.0) * (RIGHT - LEFT)
    }

    /// 1, 2 and 5 of each decade, with words.
    fn ticks(&self) -> Vec<(f64, String)> {
        let decades = (0..12).map(|decade| self.from * 10_f64.powi(decade));
        decades
            .flat_map(|start| [1.0, 2.0, 5.0].map(|times| start * times))
            .take_while(|ms| *ms <= self.to * 1.0001)
            .map(|ms| match ms {
                ms if ms < 1000.0 => (ms, format!("{ms:.0} ms")),
                ms => (ms, format!("{:.0} s", ms / 1000.0)),
            })
            .collect()
    }
}
