// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a cell of a run says to a search.

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::run::{Bug, CellReport, Moment, Standing};
use crate::verdict::CellVerdict;

/// What is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predicate {
    /// The bug that the cell's rule describes. Any other crash says nothing of it.
    #[default]
    Expected,
    /// Any bug of the kernel's.
    AnyCrash,
    /// The bug whose reports have this title, or name it as another title of theirs.
    Title(String),
    /// Pages that come back with wrong contents.
    Corruption,
}

impl Predicate {
    /// Which bug a report is one of; `None` if it is no bug of the kernel's own, or a consequence of another.
    pub fn of(bug: &Bug) -> Option<Self> {
        match bug.standing {
            Standing::Expected => Some(Self::Expected),
            Standing::Another | Standing::Related => Some(Self::Title(bug.finding.title.clone())),
            Standing::FollowUp | Standing::Cut | Standing::Method | Standing::Starved => None,
        }
    }

    /// When the cell first showed it; `None` if it did not.
    pub fn first_sight(&self, cell: &CellReport) -> Option<Moment> {
        let is_own = |bug: &Bug| match (self, Self::of(bug)) {
            (_, None) => false,
            (Self::AnyCrash, Some(_)) => true,
            (Self::Title(title), Some(Self::Title(own))) => {
                own == *title || bug.finding.alt_titles.contains(title)
            }
            (own, Some(other)) => *own == other,
        };
        let bug = cell.bugs.iter().find(|bug| is_own(bug)).map(|bug| bug.first);
        let wrong = cell.corruptions.iter().find(|one| one.standing == Standing::Another);
        let wrong = wrong.filter(|_| matches!(self, Self::Corruption | Self::AnyCrash));
        // Of wrong contents only the machine and the time of the run are known.
        let wrong =
            wrong.map(|one| Moment { boot: one.boot, run_ms: one.run_ms, vm_ms: 0, guest_ms: 0 });
        let expected = cell.time_to_bug.filter(|_| *self == Self::Expected);
        expected.or(bug).or(wrong)
    }
}

/// What a finished cell came to; `None` of one that is not finished, or was cancelled. A clean cell counts by the share of
/// `storm_ms`, a whole storm in guest time, that its guests had.
pub fn outcome(cell: &CellReport, predicate: &Predicate, storm_ms: u64) -> Option<Outcome> {
    if !cell.finished || cell.cancelled.is_some() {
        return None;
    }
    let is_hit = match predicate {
        Predicate::Expected => cell.showed_expected(),
        Predicate::AnyCrash => cell.verdict.is_bug(),
        Predicate::Title(_) | Predicate::Corruption => predicate.first_sight(cell).is_some(),
    };
    Some(match &cell.verdict {
        _ if is_hit => Outcome::Hit,
        CellVerdict::Clean { .. } | CellVerdict::NotShown { .. } => {
            let share = cell.exposure.guest_ms as f64 / storm_ms.max(1) as f64;
            Outcome::Clean(share.min(1.0))
        }
        CellVerdict::BuildFailure { .. }
        | CellVerdict::PatchConflict { .. }
        | CellVerdict::Configuration { .. }
        | CellVerdict::Unreachable { .. }
        | CellVerdict::BootFailure { .. } => Outcome::Untestable,
        CellVerdict::KernelBug { .. }
        | CellVerdict::KnownBug { .. }
        | CellVerdict::LeftOut { .. }
        | CellVerdict::Infrastructure { .. }
        | CellVerdict::Inconclusive { .. } => Outcome::Barren,
    })
}

/// So many faults of the machine in a row end a campaign: it will not mend itself.
pub const MOST_FAULTS: usize = 5;

/// Whether the machine under us fails again and again.
pub fn is_stalled(cells: &[CellReport]) -> bool {
    let last = cells.iter().rev().take(MOST_FAULTS);
    cells.len() >= MOST_FAULTS && last.into_iter().all(is_fault)
}

/// Whether the machine under us failed a cell.
pub fn is_fault(cell: &CellReport) -> bool {
    matches!(cell.verdict, CellVerdict::Infrastructure { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Exposure, What};
    use crate::rate::RateBound;
    use crate::run::{Moment, RunReport};
    use crate::sample::events::{BUGGY, Log, cell};

    /// A cell with this verdict, of which half a storm of ten seconds was seen.
    fn report(verdict: CellVerdict, showed: bool) -> CellReport {
        let planned = Log::new().then(What::CellPlanned { cell: cell(BUGGY) });
        let report: RunReport = planned.report();
        let moment = Moment { boot: 1, run_ms: 1, vm_ms: 1, guest_ms: 1 };
        CellReport {
            verdict,
            finished: true,
            time_to_bug: showed.then_some(moment),
            exposure: Exposure { guest_ms: 5_000, ..Exposure::default() },
            ..report.cells[0].clone()
        }
    }

    #[test]
    fn only_the_bug_that_is_searched_for_counts() {
        let another = CellVerdict::KernelBug { expected: false, title: String::new() };
        let of = |verdict: &CellVerdict, showed, predicate| {
            outcome(&report(verdict.clone(), showed), &predicate, 10_000)
        };
        assert_eq!(of(&another, false, Predicate::Expected), Some(Outcome::Barren));
        assert_eq!(of(&another, false, Predicate::AnyCrash), Some(Outcome::Hit));
        // The expected bug and another one behind it.
        assert_eq!(of(&another, true, Predicate::Expected), Some(Outcome::Hit));
        let clean = CellVerdict::Clean { bounds: Vec::<RateBound>::new() };
        assert_eq!(of(&clean, false, Predicate::Expected), Some(Outcome::Clean(0.5)));
        let mut open = report(clean, false);
        open.finished = false;
        assert_eq!(outcome(&open, &Predicate::Expected, 10_000), None);
    }

    #[test]
    fn what_a_kernel_is_not_to_blame_for_is_no_evidence() {
        let reason = String::new;
        let untestable = [
            CellVerdict::BuildFailure { reason: reason() },
            CellVerdict::BootFailure { reason: reason() },
            CellVerdict::PatchConflict { reason: reason() },
        ];
        for verdict in untestable {
            let got = outcome(&report(verdict, false), &Predicate::AnyCrash, 1);
            assert_eq!(got, Some(Outcome::Untestable));
        }
        let faults = [
            CellVerdict::Infrastructure { reason: reason() },
            CellVerdict::Inconclusive { reason: reason() },
        ];
        for verdict in faults {
            let got = outcome(&report(verdict, false), &Predicate::AnyCrash, 1);
            assert_eq!(got, Some(Outcome::Barren));
        }
    }
}
