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
    /// Any report that something does not get on: a hung task, a lockup, a stall.
    Hang,
    /// A kernel whose guests do not come up.
    BootFailure,
    /// A kernel that does not compile.
    BuildFailure,
    /// Storms in which the metric of this name is worse.
    Regression(String),
    /// A command of the user's, in the shell's words, that ends with another status than 0.
    Command(String),
}

/// Type of such reports.
const HANG: &str = "HANG";

impl Predicate {
    /// Which bug a report is one of; `None` if it is no bug of the kernel's own, or a consequence of another.
    pub fn of(bug: &Bug) -> Option<Self> {
        match bug.standing {
            Standing::Expected => Some(Self::Expected),
            Standing::Another | Standing::Related => Some(Self::Title(bug.finding.title.clone())),
            Standing::FollowUp | Standing::Cut | Standing::Method | Standing::Starved => None,
        }
    }

    /// Whether a kernel answers it alike each time, but for faults that nobody thought of.
    pub fn is_certain(&self) -> bool {
        matches!(self, Self::BootFailure | Self::BuildFailure)
    }

    /// When the cell first showed it; `None` if it did not.
    pub fn first_sight(&self, cell: &CellReport) -> Option<Moment> {
        let is_own = |bug: &Bug| match (self, Self::of(bug)) {
            (_, None) => false,
            (Self::AnyCrash, Some(_)) => true,
            (Self::Title(title), Some(Self::Title(own))) => {
                own == *title || bug.finding.alt_titles.contains(title)
            }
            (Self::Hang, Some(_)) => bug.finding.kind == HANG,
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
    match predicate {
        Predicate::BuildFailure => return Some(built(cell)),
        Predicate::BootFailure => return Some(booted(cell)),
        Predicate::Command(_) if cell.command.is_some() => return cell.command.map(judged),
        _ => {}
    }
    let is_hit = match predicate {
        Predicate::Expected => cell.showed_expected(),
        Predicate::AnyCrash => cell.verdict.is_bug(),
        _ => predicate.first_sight(cell).is_some(),
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

/// Status of a command that cannot tell, as `git bisect run` has it.
const CANNOT_TELL: i32 = 125;
/// From this status on a command did not end by itself, or wants the search to end, as `git bisect run` has it.
pub const BROKEN: i32 = 128;

/// What a command's status says.
pub(crate) fn judged(status: i32) -> Outcome {
    match status {
        0 => Outcome::Clean(1.0),
        CANNOT_TELL => Outcome::Untestable,
        _ if (1..BROKEN).contains(&status) => Outcome::Hit,
        _ => Outcome::Barren,
    }
}

/// What a finished cell came to whose storm came to `value`, a difference of logarithms.
pub(super) fn measured(cell: &CellReport, value: Option<f64>) -> Option<Outcome> {
    let usual = outcome(cell, &Predicate::Expected, 1)?;
    Some(match (usual, value) {
        (_, Some(value)) => Outcome::Measured(value),
        (Outcome::Untestable, None) => Outcome::Untestable,
        (_, None) => Outcome::Barren,
    })
}

/// Whether the kernel does not compile.
fn built(cell: &CellReport) -> Outcome {
    match &cell.verdict {
        CellVerdict::BuildFailure { .. } => Outcome::Hit,
        CellVerdict::PatchConflict { .. } | CellVerdict::Configuration { .. } => {
            Outcome::Untestable
        }
        _ if cell.kernel.is_some() => Outcome::Clean(1.0),
        _ => Outcome::Barren,
    }
}

/// Whether no guest comes up.
fn booted(cell: &CellReport) -> Outcome {
    let came_up = cell.boots.iter().any(|boot| boot.ready());
    match &cell.verdict {
        _ if came_up => Outcome::Clean(1.0),
        // A kernel that reports a bug on its way up does not come up.
        CellVerdict::BootFailure { .. } | CellVerdict::KernelBug { .. } => Outcome::Hit,
        CellVerdict::BuildFailure { .. }
        | CellVerdict::PatchConflict { .. }
        | CellVerdict::Configuration { .. }
        | CellVerdict::Unreachable { .. } => Outcome::Untestable,
        _ => Outcome::Barren,
    }
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
    fn kernels_that_do_not_build_or_boot_can_be_searched_for() {
        let reason = String::new;
        let of = |verdict: &CellVerdict, predicate: Predicate| {
            outcome(&report(verdict.clone(), false), &predicate, 1)
        };
        let no_build = CellVerdict::BuildFailure { reason: reason() };
        let no_boot = CellVerdict::BootFailure { reason: reason() };
        let no_machine = CellVerdict::Infrastructure { reason: reason() };
        assert_eq!(of(&no_build, Predicate::BuildFailure), Some(Outcome::Hit));
        assert_eq!(of(&no_build, Predicate::BootFailure), Some(Outcome::Untestable));
        assert_eq!(of(&no_boot, Predicate::BootFailure), Some(Outcome::Hit));
        for predicate in [Predicate::BuildFailure, Predicate::BootFailure] {
            assert_eq!(of(&no_machine, predicate), Some(Outcome::Barren));
        }
        // A whole repro, of which both kernels came up, whatever they showed then.
        let good = crate::sample::events::good_repro().report();
        for predicate in [Predicate::BuildFailure, Predicate::BootFailure] {
            let outcomes = good.cells.iter().map(|cell| outcome(cell, &predicate, 1));
            assert!(outcomes.into_iter().all(|outcome| outcome == Some(Outcome::Clean(1.0))));
        }
    }

    #[test]
    fn a_hang_is_told_from_other_bugs_by_its_type() {
        use crate::finding::Finding;
        let shown = |kind: &str| {
            let finding =
                Finding { title: "t".to_owned(), kind: kind.to_owned(), ..Finding::default() };
            let log = Log::new().planned(BUGGY).kernel(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
            let report = log.found(BUGGY, 1, 5, finding).finished(BUGGY).report();
            outcome(&report.cells[0], &Predicate::Hang, 10_000)
        };
        assert_eq!(shown("HANG"), Some(Outcome::Hit));
        assert_eq!(shown("WARNING"), Some(Outcome::Barren));
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
