// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a search came to, with the evidence.

use serde::Serialize;

use super::level::Shift;
use super::posterior::Tally;
use super::rate::Rate;
use super::{Search, Step};
use crate::exit::ExitCode;
use crate::statistics::rule::Assessment;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Verdict {
    /// The bug came with one of these commits. It is one, unless those before the last cannot be tested.
    Culprit {
        /// First position.
        first: usize,
        /// Last position.
        last: usize,
    },
    /// The good end has the bug already.
    BugAtGoodEnd,
    /// The bad end was run for as long as one may, and did not show it; or what it showed is likelier a false alarm.
    NoBugAtBadEnd,
    /// The good end has the bug, and the bad end does not.
    WrongWayRound,
    /// The statistic that is searched by does not differ between the ends, or by less than matters.
    EndsAlike,
    /// All kernels are the same, bit by bit.
    SameKernel,
    /// The bad end cannot be run.
    BadEndUntestable,
    /// The good end cannot be run, and what can be has the bug from the first one on.
    GoodEndUntestable {
        /// The first position that can be run.
        last: usize,
    },
    /// It cost what it may, and no commit is probable enough.
    OutOfBudget,
    /// Nothing that could be run would tell more.
    Undecided,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What was found.
    pub verdict: Verdict,
    /// The most probable commits that no kernel tells apart, as positions, first and last; `n + 1` says that no kernel has
    /// the bug.
    pub likeliest: (usize, usize),
    /// Their probability.
    pub probability: f64,
    /// The fewest hypotheses that hold the truth with 95 %.
    pub credible: Vec<usize>,
    /// The bug's rate at the likeliest commit and behind it.
    pub rate: Rate,
    /// What the kernels before it showed; reports there are taken for false alarms.
    pub before: Rate,
    /// Probability that the kernel before it would have been silent so long if it had the bug. 1 if it was not run.
    pub silence: f64,
    /// What the good end showed.
    pub good_end: Rate,
    /// What the bad end showed.
    pub bad_end: Rate,
    /// How much likelier what the ends showed is if each has a rate of its own than if they share one. Far above 1 beside
    /// [`Verdict::BugAtGoodEnd`]: a commit of the range did not bring the bug, but made it show more often, or less.
    pub rates_differ: f64,
    /// How the statistic that is searched by differs between the kernels before the likeliest commit, and it and those behind
    /// it; `None` if it is not searched by one, or too little was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// What a test says of both ends by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Assessment>,
    /// What was spent, in seconds.
    pub spent: f64,
}

impl Answer {
    /// The program's exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self.verdict {
            Verdict::Culprit { .. } => ExitCode::Clean,
            Verdict::WrongWayRound | Verdict::SameKernel => ExitCode::Usage,
            Verdict::BugAtGoodEnd
            | Verdict::NoBugAtBadEnd
            | Verdict::EndsAlike
            | Verdict::BadEndUntestable
            | Verdict::GoodEndUntestable { .. }
            | Verdict::OutOfBudget
            | Verdict::Undecided => ExitCode::Inconclusive,
        }
    }
}

impl Search {
    /// The answer as far as it is known.
    pub fn answer(&self, verdict: Verdict) -> Answer {
        let (class, probability) = self.best_class();
        let (first, last) = (*class.start(), *class.end());
        let [before, behind] = self.sides(last);
        let prior = &self.options.rate;
        let parent = first.checked_sub(1).filter(|at| *at <= self.bad());
        let parent = parent.map(|at| self.seen[self.stands_for[at]]).unwrap_or_default();
        let hits = f64::from(behind.hits);
        let silence = match parent.hits {
            0 => prior.silence(hits, behind.clean, parent.clean),
            _ => 1.0,
        };
        let [good, bad] = [0, self.bad()].map(|at| self.seen[self.stands_for[at]]);
        let marginal = |hits: u32, clean: f64| prior.ln_marginal(f64::from(hits), clean);
        let apart = marginal(good.hits, good.clean) + marginal(bad.hits, bad.clean);
        let together = marginal(good.hits + bad.hits, good.clean + bad.clean);
        Answer {
            verdict,
            likeliest: (first, last),
            probability,
            credible: self.posterior.credible(0.95),
            rate: prior.after(behind.hits, behind.clean),
            before: prior.after(before.hits, before.clean),
            silence,
            good_end: prior.after(good.hits, good.clean),
            bad_end: prior.after(bad.hits, bad.clean),
            rates_differ: (apart - together).exp(),
            shift: Shift::between(&before.values, &behind.values)
                .filter(|_| self.options.is_measured && self.is_opened()),
            ends: self.ends.as_ref().map(|(_, assessment)| assessment.clone()),
            spent: self.spent,
        }
    }

    pub(super) fn done(&self, verdict: Verdict) -> Step {
        Step::Done(Box::new(self.answer(verdict)))
    }

    /// What was seen before a position, and at it and behind it.
    fn sides(&self, at: usize) -> [Tally; 2] {
        let sum =
            |tallies: &[Tally]| tallies.iter().fold(Tally::default(), |sum, tally| sum.plus(tally));
        let (before, behind) = self.seen.split_at(at.min(self.seen.len()));
        [sum(before), sum(behind)]
    }
}
