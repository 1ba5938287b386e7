// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs say that the nights before them did not.

use serde::Serialize;

use super::{Filter, History, Known, Ledger, Night, Run};
use crate::run::RunReport;

/// Runs of a report beside the nights before them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct News {
    /// How many nights there were before.
    pub nights: usize,
    /// The first of them.
    pub from: Night,
    /// The last of them.
    pub to: Night,
    /// How many nights the runs are of.
    pub newest: usize,
    /// Bugs of all these nights, and what became of them: those that want a look first.
    pub bugs: Vec<Known>,
}

impl News {
    /// Holds the runs of a report against the nights of a ledger before the first of them. `None` if there is no such night, or a run
    /// does not say when it began: then nothing can be called new. Nor of a search or a check, which answer something else.
    pub fn of(report: &RunReport, ledger: &Ledger) -> Option<Self> {
        if report.runs.iter().any(|run| run.range.is_some() || run.check.is_some()) {
            return None;
        }
        let own = report.runs.iter().map(|run| Night::of(&run.started));
        let first = own.collect::<Option<Vec<Night>>>()?.into_iter().min()?;
        let mut beside = Ledger::default();
        for (_, run) in ledger.runs.iter().filter(|(night, _)| *night < first) {
            beside.add(run.clone());
        }
        for run in &report.runs {
            beside.add(Run::of(report, run));
        }
        let nights: Vec<Night> =
            History::of(&beside, &Filter::default()).nights.iter().map(|sum| sum.night).collect();
        let newest = nights.iter().filter(|night| **night >= first).count();
        let before = nights.len() - newest;
        // Of runs without a storm no night is left.
        if newest == 0 || before == 0 {
            return None;
        }
        let bugs = History::of(&beside, &Filter { newest, ..Filter::default() }).bugs;
        Some(Self { nights: before, from: nights[0], to: nights[before - 1], newest, bugs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Turn;
    use crate::sample::rich::night;
    use crate::search::evidence::Predicate;
    use crate::search::range::Range;

    /// The sample night on this day, with its bugs or without.
    fn report(day: u32, shows: bool) -> RunReport {
        let mut report = night();
        report.runs[0].id = format!("night-{day}").into();
        report.runs[0].started = format!("2026-11-{day:02}T22:00:00Z");
        for cell in &mut report.cells {
            cell.run = report.runs[0].id.clone();
            if !shows {
                cell.bugs.clear();
            }
        }
        report
    }

    fn ledger(nights: &[RunReport]) -> Ledger {
        let mut ledger = Ledger::default();
        nights.iter().for_each(|report| assert!(ledger.add(Run::of(report, &report.runs[0]))));
        ledger
    }

    fn range() -> Range {
        let (positions, predicate) = (Vec::new(), Predicate::default());
        let (confidence, budget, storm_ms, is_fix) = (0.95, None, 1_000, false);
        Range { positions, predicate, confidence, budget, storm_ms, is_fix, merge: None }
    }

    #[test]
    fn a_bug_is_new_only_beside_nights_that_had_it_not() {
        let turns = |news: News| news.bugs.iter().map(|bug| bug.turn).collect::<Vec<_>>();
        let tonight = report(20, true);
        assert_eq!(News::of(&tonight, &Ledger::default()), None);
        // That it is recorded itself, or that later nights are, does not matter.
        let later = ledger(&[tonight.clone(), report(21, true)]);
        assert_eq!(News::of(&tonight, &later), None);
        let mut search = tonight.clone();
        search.runs[0].range = Some(range());
        assert_eq!(News::of(&search, &ledger(&[report(18, false)])), None);

        let quiet = ledger(&[report(18, false), report(19, false), tonight.clone()]);
        let news = News::of(&tonight, &quiet).unwrap();
        assert_eq!((news.nights, news.newest), (2, 1));
        assert_eq!(turns(news), [Turn::New, Turn::New]);
        let known = News::of(&tonight, &ledger(&[report(18, true)])).unwrap();
        assert_eq!(turns(known), [Turn::Same, Turn::Same]);
        let gone = News::of(&report(20, false), &ledger(&[report(18, true)])).unwrap();
        assert!(turns(gone).iter().all(|turn| matches!(turn, Turn::Quiet { .. })));
    }
}
