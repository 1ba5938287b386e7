// SPDX-License-Identifier: MIT OR Apache-2.0
//! The map of a hunt as a picture: a square for each call that somebody came to, function by function, the stronger its colour the more
//! often a task that slept there was overtaken. One picture for each actor.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::plots::Figure;
use crate::escape::printable;
use crate::event::{Beside, Site};
use crate::hunt::HuntMap;
use crate::render::svg::{Anchor, Svg};
use crate::render::words::{count, several};

const WIDTH: f64 = 360.0;
/// From one square to the next, and how large one is.
const PITCH: f64 = 14.0;
const SQUARE: f64 = 11.0;
const LEFT: f64 = 4.0;
/// Squares in a line.
const IN_A_LINE: usize = 25;
/// Height of a function's name, and of an entry of the legend.
const NAME: f64 = 20.0;
const LEGEND: f64 = 18.0;
/// Most functions that are drawn, squares of one, and characters of its name.
const MOST: usize = 60;
const MOST_SQUARES: usize = 4 * IN_A_LINE;
const LONGEST: usize = 44;
/// Steps of darkness: from so many overlaps on, and what the legend calls them.
const STEPS: [(u64, &str, &str); 4] = [
    (1, "heat-1", "overtaken once"),
    (2, "heat-2", "2 or 3 times"),
    (4, "heat-3", "4 to 9 times"),
    (10, "heat-4", "10 times or more"),
];
/// The other squares.
const WAITED: (&str, &str) = ("heat-waited", "slept at, and never overtaken");
const OPEN: (&str, &str) = ("heat-open", "nobody has slept yet");
const REFUSED: (&str, &str) = ("heat-refused", "nobody came by who may sleep");

/// A picture for each actor, and how many functions none of them shows.
pub(super) fn figures(map: &HuntMap) -> (Vec<Figure>, usize) {
    let mut functions: BTreeMap<&str, Vec<&Site>> = BTreeMap::new();
    for (name, site) in map.sites.iter().filter(|(_, site)| site.counts.reached > 0) {
        let function = name.split_once(':').map_or(name.as_str(), |(function, _)| function);
        functions.entry(function).or_default().push(site);
    }
    let shown = functions.len().min(MOST);
    let left_out = functions.len() - shown;
    let figure = |actor: &str| {
        let mut rows: Vec<(&str, &[&Site])> =
            functions.iter().map(|(name, sites)| (*name, &sites[..])).collect();
        // The same functions in each picture, in an order of its own.
        let all = |sites: &[&Site]| -> u64 {
            sites.iter().flat_map(|site| site.beside.values()).map(overlaps).sum()
        };
        rows.sort_by_key(|(_, sites)| Reverse(all(sites)));
        rows.truncate(shown);
        rows.sort_by_key(|(_, sites)| Reverse(of_actor(sites, actor)));
        picture(actor, &rows)
    };
    (map.actors().into_iter().map(figure).collect(), left_out)
}

fn overlaps(beside: &Beside) -> u64 {
    beside.overlapped.saturating_add(beside.partly)
}

fn of_actor(sites: &[&Site], actor: &str) -> u64 {
    sites.iter().filter_map(|site| site.beside.get(actor)).map(overlaps).sum()
}

/// The class of a call's square.
fn class(site: &Site, actor: &str) -> &'static str {
    let beside = site.beside.get(actor).copied().unwrap_or_default();
    let times = overlaps(&beside);
    let step = STEPS.iter().rfind(|(least, ..)| times >= *least);
    match step {
        Some((_, class, _)) => class,
        None if beside.blocked > 0 => WAITED.0,
        None if site.counts.may_sleep() => OPEN.0,
        None => REFUSED.0,
    }
}

fn picture(actor: &str, rows: &[(&str, &[&Site])]) -> Figure {
    let lines = |sites: &[&Site]| sites.len().min(MOST_SQUARES).div_ceil(IN_A_LINE) as f64;
    let height: f64 = rows.iter().map(|(_, sites)| NAME + PITCH * lines(sites) + 4.0).sum();
    let legend: Vec<(&str, &str)> = STEPS
        .iter()
        .map(|(_, class, words)| (*class, *words))
        .chain([WAITED, OPEN, REFUSED])
        .collect();
    let mut svg = Svg::new(WIDTH, height + LEGEND * legend.len() as f64 + 10.0);
    let (mut y, mut overtaken) = (0.0, 0);
    for (function, sites) in rows {
        let function: String = printable(function).chars().take(LONGEST).collect();
        let more = match sites.len().saturating_sub(MOST_SQUARES) {
            0 => String::new(),
            more => format!(" (and {more} more calls)"),
        };
        svg.text("", (LEFT, y + 13.0), Anchor::Start, &format!("{function}{more}"));
        for (at, site) in sites.iter().take(MOST_SQUARES).enumerate() {
            let (row, column) = (at / IN_A_LINE, at % IN_A_LINE);
            let (x, y) = (LEFT + PITCH * column as f64, y + NAME + PITCH * row as f64);
            svg.rect(class(site, actor), x, y, SQUARE, SQUARE);
        }
        overtaken += of_actor(sites, actor);
        y += NAME + PITCH * lines(sites) + 4.0;
    }
    for (class, words) in legend {
        y += LEGEND;
        svg.rect(class, LEFT, y - SQUARE + 1.0, SQUARE, SQUARE);
        svg.text("note", (LEFT + 18.0, y), Anchor::Start, words);
    }
    let actor: String = printable(actor).chars().take(LONGEST).collect();
    let title = format!("Beside {actor}");
    // Whoever cannot see the squares finds the same in the table.
    let told = format!(
        "{title}: {} overtaken in {}",
        several(overtaken, "sleep"),
        several(rows.len() as u64, "function")
    );
    Figure { title, svg: svg.finish_inline(&told) }
}

/// How many functions no picture shows, in words; nothing if there are none.
pub(super) fn left_out(functions: usize) -> String {
    match functions {
        0 => String::new(),
        n => format!(
            "{} more functions, in which less was overtaken, are not drawn.",
            count(n as u64)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SiteCounts;

    fn site(refused: u64, overlapped: u64, blocked: u64) -> Site {
        let refused = BTreeMap::from([("rcu-reader".to_owned(), refused)]);
        let beside = Beside { overlapped, partly: 0, blocked };
        let met = overlapped + blocked > 0;
        Site {
            counts: SiteCounts { reached: 3, refused },
            beside: met.then(|| ("swapoff".to_owned(), beside)).into_iter().collect(),
        }
    }

    #[test]
    fn a_call_is_the_darker_the_more_often_its_sleepers_were_overtaken() {
        for (site, expected) in [
            (site(3, 0, 0), "heat-refused"),
            (site(0, 0, 0), "heat-open"),
            (site(0, 0, 1), "heat-waited"),
            (site(0, 1, 5), "heat-1"),
            (site(0, 3, 0), "heat-2"),
            (site(0, 9, 0), "heat-3"),
            (site(0, 400, 0), "heat-4"),
        ] {
            assert_eq!(class(&site, "swapoff"), expected);
        }
        assert_eq!(class(&site(0, 9, 0), "cpu"), "heat-open");
    }

    #[test]
    fn all_that_is_drawn_is_within_the_picture_and_nothing_of_a_name_is_markup() {
        let mut map = HuntMap::default();
        for n in 0..70 {
            map.sites.insert(format!("<f{n}>:g#1"), site(0, n, 0));
        }
        for n in 0..130 {
            map.sites.insert(format!("many:g#{n}"), site(0, 9, 0));
        }
        map.sites.insert("absent:g#1".to_owned(), Site::default());
        let (figures, left) = figures(&map);
        assert_eq!((figures.len(), left), (1, 11));
        let svg = &figures[0].svg;
        assert!(!svg.contains("<f6") && svg.contains("&lt;f69&gt;") && !svg.contains("absent"));
        assert!(svg.contains("many (and 30 more calls)"));
        let numbers = |attribute: &str| -> Vec<f64> {
            let parts = svg.split(attribute).skip(1);
            parts.map(|part| part.split('"').next().unwrap().parse().unwrap()).collect()
        };
        let height: f64 =
            svg.split("0 0 360 ").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(numbers(" y=\"").iter().all(|y| *y <= height), "{height}");
        assert!(numbers(" x=\"").iter().all(|x| *x + SQUARE <= WIDTH));
        assert_eq!(super::figures(&HuntMap::default()).0.len(), 0);
    }
}
