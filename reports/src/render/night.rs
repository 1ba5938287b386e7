// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of many cells in a few sentences: how many of which verdict, what is known and what stayed away.

use super::words::{count as number, several};
use crate::escape::printable;
use crate::exit::Purpose;
use crate::known::KnownStanding;
use crate::run::RunReport;

/// From so many cells on they are counted.
const MANY: usize = 3;

/// The sentences, in the order in which a tired person wants them.
pub(crate) fn sentences(report: &RunReport, purpose: Purpose) -> Vec<String> {
    // Of a `repro`, the headline says it.
    let counted = (purpose == Purpose::Search).then(|| counted(report)).flatten();
    let mut sentences: Vec<String> = counted.into_iter().collect();
    // A `repro` makes the bug show: that is no news.
    let news = report.news.as_ref().filter(|_| purpose == Purpose::Search);
    sentences.extend(news.into_iter().flat_map(super::history::news));
    sentences.extend(report.known_bugs().iter().filter_map(known));
    let resumed: u64 = report.runs.iter().map(|run| run.resumed).sum();
    if resumed > 0 {
        sentences.push(format!("It was resumed {}.", several(resumed, "time")));
    }
    // Words of a plan are in them, and of guests.
    sentences.iter().map(|words| printable(words).into_owned()).collect()
}

/// `12 cells: 9 clean, 2 known bug, 1 left out.`
fn counted(report: &RunReport) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for cell in &report.cells {
        let word = cell.verdict.word();
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    if report.cells.len() < MANY {
        return None;
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts: Vec<String> =
        counts.iter().map(|(word, count)| format!("{} {word}", number(*count as u64))).collect();
    Some(format!("{} cells: {}.", number(report.cells.len() as u64), parts.join(", ")))
}

/// What became of a known bug; `None` if no cell could tell.
fn known(standing: &KnownStanding<'_>) -> Option<String> {
    let KnownStanding { bug, expired, shown, cells } = standing;
    let cells_words = several(*cells as u64, "cell");
    if *expired && *shown > 0 {
        return Some(format!(
            "{bug} raises an alarm again: it was to be known until {} only.",
            bug.until
        ));
    }
    if *shown > 0 {
        return Some(format!(
            "Known since {}: {bug}, in {shown} of {cells_words} ({}).",
            bug.since, bug.note
        ));
    }
    standing
        .stayed_away()
        .then(|| format!("Known and not seen in any of {cells_words}: {bug} ({}).", bug.note))
}
