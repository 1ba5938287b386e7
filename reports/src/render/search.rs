// SPDX-License-Identifier: MIT OR Apache-2.0
//! The searches of a report: in words, and how probable each commit is as a picture.

use super::svg::{Anchor, Svg};
use crate::run::RunReport;
use crate::search::{Search, told};

const WIDTH: f64 = 360.0;
/// Where bars begin and end, from the left.
const BARS: (f64, f64) = (4.0, 356.0);
/// Height of the bars, and of the runs below.
const HIGH: f64 = 120.0;
const RUNS: f64 = 60.0;
const FOOT: f64 = 54.0;
/// More hypotheses than this share bars.
const MOST: usize = 88;

/// All searches as text; each ends with an empty line.
pub(super) fn text(report: &RunReport) -> String {
    let searches = report.searches();
    if searches.is_empty() {
        return String::new();
    }
    told::text(&searches) + "\n"
}

/// A bar: hypotheses that share it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bar {
    probability: f64,
    hits: f64,
    clean: f64,
}

/// The probability of each commit, and below it its runs: those with the bug, and clean ones.
pub(super) fn plot(search: &Search) -> String {
    let bars = bars(search);
    let step = (BARS.1 - BARS.0) / bars.len() as f64;
    let width = (step * 0.8).max(1.0);
    let most = bars.iter().map(|bar| bar.hits + bar.clean).fold(1.0, f64::max);
    let mut svg = Svg::new(WIDTH, HIGH + RUNS + FOOT);
    let ground = HIGH + 14.0;
    svg.text("note", (BARS.0, 11.0), Anchor::Start, "probability, up to 100 %");
    for (at, bar) in bars.iter().enumerate() {
        let left = BARS.0 + step * at as f64;
        let height = HIGH * bar.probability - 14.0 * bar.probability;
        // Classes of the page, which is where this picture stands.
        svg.rect("doubt", left, ground - height, width, height);
        let of_runs = |runs: f64| RUNS * runs / most;
        svg.rect("bad", left, ground + 4.0, width, of_runs(bar.hits));
        svg.rect("good", left, ground + 4.0 + of_runs(bar.hits), width, of_runs(bar.clean));
    }
    svg.line("axis", (BARS.0, ground), (BARS.1, ground));
    let below = ground + RUNS + 18.0;
    let runs = format!("below: runs with the bug, then clean ones, up to {most:.0}");
    svg.text("note", (BARS.0, below), Anchor::Start, &runs);
    svg.text("note", (BARS.0, below + 16.0), Anchor::Start, "good end");
    svg.text("note", (BARS.1, below + 16.0), Anchor::End, "none of them");
    svg.finish_inline("How probable each commit is, from the good end to none of them")
}

fn bars(search: &Search) -> Vec<Bar> {
    let mass = search.posterior().mass();
    let per_bar = mass.len().div_ceil(MOST).max(1);
    let mut bars = vec![Bar::default(); mass.len().div_ceil(per_bar)];
    for (at, probability) in mass.iter().enumerate() {
        let bar = &mut bars[at / per_bar];
        bar.probability += probability;
        if let Some(tally) = search.tallies().get(at) {
            bar.hits += f64::from(tally.hits);
            bar.clean += tally.clean;
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Commit, Options, Outcome};

    #[test]
    fn each_commit_has_its_share_and_many_share_bars() {
        for commits in [4, 1_000] {
            let all = vec![Commit { weight: 1.0, build: 1.0 }; commits];
            let mut search = Search::new(Options::default(), 1.0, &all).unwrap();
            search.seen(commits, Outcome::Hit);
            search.seen(0, Outcome::Clean(0.5));
            let bars = bars(&search);
            assert!(bars.len() <= MOST && bars.len() >= commits.min(MOST / 2), "{}", bars.len());
            let sum: f64 = bars.iter().map(|bar| bar.probability).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            assert_eq!(bars.iter().map(|bar| bar.hits).sum::<f64>(), 1.0);
            assert_eq!(bars[0].clean, 0.5);
            let picture = plot(&search);
            assert_eq!(picture.matches("<rect").count(), 3 * bars.len() + 1, "{picture}");
        }
    }
}
