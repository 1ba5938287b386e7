// SPDX-License-Identifier: MIT OR Apache-2.0
//! The map of a hunt as a table, with what it is worth.

use super::words::{count, percent_up, several};
use crate::escape::printable;
use crate::event::{Beside, Suspect};
use crate::hunt::{FunctionSum, HuntMap, Sum};

/// What was seen, a sentence each.
pub(super) fn sentences(map: &HuntMap) -> Vec<String> {
    let mut sentences = vec![format!(
        "hunted at {} of {}: {} were reached, tasks may sleep at {}, and did so {}",
        several(map.chosen, "call"),
        several(map.functions, "function"),
        count(map.reached()),
        count(map.may_sleep()),
        several(map.sleeps(), "time"),
    )];
    if let Some(run) = &map.after {
        sentences
            .push(format!("what the hunt of run {} had seen is counted with it", printable(run)));
    }
    for actor in map.actors() {
        sentences.push(of_actor(&printable(actor), &map.sum(actor)));
    }
    for (title, suspect) in &map.suspects {
        sentences.push(of_report(title, suspect.as_ref()));
    }
    sentences
}

fn of_actor(actor: &str, sum: &Sum) -> String {
    let mut words = format!(
        "{actor} overtook {} at {}",
        several(sum.overlaps, "sleep"),
        several(sum.overtaken, "call")
    );
    if let Some(bound) = sum.bound() {
        words.push_str(&format!(
            ", each {} at least, so that what needs one such overlap and showed nothing is less likely than {} there",
            several(sum.fewest, "time"),
            percent_up(bound)
        ));
    }
    if sum.protected > 0 {
        words.push_str(&format!(
            "; it seems to wait for whoever sleeps at {} others",
            count(sum.protected)
        ));
    }
    words
}

/// Who a report may be about, or why it may be an artefact.
fn of_report(title: &str, suspect: Option<&Suspect>) -> String {
    let title = printable(title);
    let Some(Suspect { site, actor, done, asleep, in_stack }) = suspect else {
        return format!("{title}: nobody slept, or had lately: the storm alone may bring it about");
    };
    let (site, actor) = (printable(site), printable(actor));
    let when = if *asleep { "a task sleeps" } else { "a task had just slept" };
    let stack = if *in_stack { ", whose function is in the report's stacks" } else { "" };
    match done {
        0 => format!(
            "{title}: {when} at {site}{stack}, and nothing had been done beside it: it may be an artefact of the sleep"
        ),
        done => format!(
            "{title}: {when} at {site}{stack}, overtaken by {actor} ({})",
            several(*done, "time")
        ),
    }
}

/// Functions by actors, at most so many rows, most overtaken first. A cell is how many sleeps were overtaken, and beside how
/// many nothing was done.
pub(super) fn table(map: &HuntMap, most: usize) -> Vec<String> {
    let actors: Vec<&str> = map.actors().into_iter().collect();
    if actors.is_empty() {
        return Vec::new();
    }
    let mut rows: Vec<(&str, FunctionSum<'_>)> = map.by_function().into_iter().collect();
    let overlaps = |sum: &FunctionSum<'_>| -> u64 {
        sum.beside.values().map(|beside| beside.overlapped + beside.partly).sum()
    };
    rows.retain(|(_, sum)| sum.reached > 0);
    rows.sort_by_key(|(_, sum)| std::cmp::Reverse((overlaps(sum), sum.may_sleep, sum.reached)));
    let left_out = rows.len().saturating_sub(most);
    rows.truncate(most);
    let name = |name: &str| -> String { printable(name).chars().take(WIDEST_NAME).collect() };
    let widest = rows.iter().map(|(function, _)| name(function).len()).max().unwrap_or(0).max(8);
    let line = |function: &str, reached: &str, may_sleep: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:>12}")).collect();
        format!("{function:widest$}  {reached:>7}  {may_sleep:>9}{cells}")
    };
    let heads = actors.iter().map(|actor| name(actor)).collect();
    let mut lines = vec![line("function", "reached", "may sleep", heads)];
    for (function, sum) in rows {
        let cells = actors.iter().map(|actor| match sum.beside.get(actor) {
            None => "-".to_owned(),
            Some(Beside { overlapped, partly, blocked }) => {
                format!("{} / {}", count(overlapped + partly), count(*blocked))
            }
        });
        let (reached, may_sleep) = (count(sum.reached), count(sum.may_sleep));
        lines.push(line(&name(function), &reached, &may_sleep, cells.collect()));
    }
    if left_out > 0 {
        lines.push(format!("... {left_out} more"));
    }
    lines
}

/// Longer names are cut.
const WIDEST_NAME: usize = 36;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{Outcome, SiteCounts, Sleep};

    fn map() -> HuntMap {
        let mut map = HuntMap::default();
        map.chosen(9, 3);
        let counts = SiteCounts { reached: 3, refused: BTreeMap::new() };
        let sites = ["f:a#1", "g:a#1", "h:a#1"].map(|site| (site.to_owned(), counts.clone()));
        map.mapped(&BTreeMap::from(sites));
        for (site, outcome) in [
            ("f:a#1", Outcome::Blocked),
            ("f:a#1", Outcome::Blocked),
            ("g:a#1", Outcome::Overlapped),
            ("g:a#1", Outcome::Overlapped),
        ] {
            let (site, actor) = (site.to_owned(), "swapoff".to_owned());
            map.slept(&Sleep { site, actor, outcome, done: 0, ms: 20 });
        }
        map
    }

    #[test]
    fn clean_is_told_with_what_was_seen_and_what_it_is_worth() {
        let told = sentences(&map());
        assert!(
            told[0].starts_with("hunted at 9 calls of 3 functions: 3 were reached"),
            "{told:?}"
        );
        let second = "swapoff overtook 2 sleeps at 1 call, each 2 times at least, so that";
        assert!(
            told[1].starts_with(second) && told[1].contains("less likely than 77.7 %"),
            "{told:?}"
        );
        assert!(told[1].ends_with("it seems to wait for whoever sleeps at 1 others"), "{told:?}");
        let lines = table(&map(), 2);
        assert_eq!(lines.len(), 4);
        assert!(lines[1].starts_with("g ") && lines[1].ends_with("2 / 0"), "{lines:?}");
        assert!(lines[2].starts_with("f ") && lines[2].ends_with("0 / 2"), "{lines:?}");
        assert_eq!(lines[3], "... 1 more");
        assert_eq!(table(&HuntMap::default(), 2), Vec::<String>::new());
    }

    #[test]
    fn a_report_beside_which_nothing_was_done_is_told_as_an_artefact() {
        let mut map = HuntMap::default();
        let suspect = |done| Suspect {
            site: "f:a#1".to_owned(),
            actor: "swapoff".to_owned(),
            done,
            asleep: false,
            in_stack: true,
        };
        map.suspected("A", Some(&suspect(0)));
        map.suspected("B", Some(&suspect(3)));
        map.suspected("C\u{1b}", None);
        let told = sentences(&map);
        assert!(told[1].ends_with("it may be an artefact of the sleep"), "{told:?}");
        assert!(told[2].ends_with("overtaken by swapoff (3 times)"), "{told:?}");
        assert!(told[3].contains("nobody slept") && !told[3].contains('\u{1b}'), "{told:?}");
    }
}
