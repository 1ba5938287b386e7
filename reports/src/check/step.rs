// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to run next to know more of a series.

use super::{Build, Cells, Check, CheckFacts, Standing, Statistics};
use crate::comparison::Answer;
use crate::proof::Proof;
use crate::search::evidence::is_fault;
use crate::statistics::rule::LOOKS;

/// The bug is seen so often on the base before the tip is measured by it: after one sight a fixed kernel has to stand 19 times
/// its exposure, after three 1.7 times that of all three.
const SIGHTS: u64 = 3;
/// So many guests of the base are run to see a bug.
const PATIENCE: u64 = 12;
/// So many guests are asked for at a time.
const MOST_AT_ONCE: u64 = 8;
/// So many guests are run in place of one that says nothing.
const MOST_IN_PLACE: usize = 3;

/// What to run next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Guests that storm for bugs.
    Storms {
        /// Positions; each gets as many, in turns and with the same seeds.
        at: Vec<usize>,
        /// How many of each.
        times: u32,
    },
    /// Pairs of storms for the statistics.
    Statistics {
        /// How many.
        pairs: u32,
    },
    /// Nothing: the answer is in, or there will be none.
    Done,
}

impl Step {
    /// Guests of one position.
    pub(super) fn at(at: usize, times: u32) -> Self {
        Self::Storms { at: vec![at], times: times.max(1) }
    }

    /// What brings a fix nearer to its proof; `None` if nothing does.
    pub(super) fn towards(proof: &Proof, facts: &CheckFacts) -> Option<Self> {
        let (hits, machines) = (proof.buggy.hits, proof.buggy.machines);
        if hits < SIGHTS && machines < PATIENCE {
            let times = u32::try_from(SIGHTS - hits).unwrap_or(1);
            return Some(Self::Storms { at: vec![0, facts.tip()], times });
        }
        let missing = proof.missing()?;
        // Without a pace one more guest tells.
        let storms = missing.guest_ms.map_or(1, |ms| ms.div_ceil(facts.storm_ms.max(1)));
        Some(Self::at(facts.tip(), u32::try_from(storms.clamp(1, MOST_AT_ONCE)).unwrap_or(1)))
    }
}

impl Check {
    /// What to run next, as far as the budget reaches.
    pub(super) fn next(&self, cells: &Cells<'_>) -> Step {
        let tip = self.facts.tip();
        let planned = |at: usize| cells.at(at).count();
        if planned(0) == 0 || planned(tip) == 0 {
            let at = if self.facts.each { (0..=tip).collect() } else { vec![0, tip] };
            return Step::Storms { at, times: 1 };
        }
        let works = |at: &usize| self.builds.get(*at) == Some(&Build::Works);
        if let Some(at) = [0, tip].into_iter().find(|at| !works(at)) {
            // What the machine failed may come off another time.
            return match cells.at(at).last() {
                Some(cell) if is_fault(cell) => Step::at(at, 1),
                _ => Step::Done,
            };
        }
        let wanted = |is_new: bool| {
            let mut found = self.bugs.iter().filter(|found| (found.base.hits == 0) == is_new);
            found.find_map(|found| found.wants.clone())
        };
        if let Some(step) = wanted(true) {
            return step;
        }
        if let Some(step) = self.pairs(cells) {
            return step;
        }
        // Guests that end by another bug bring no fix nearer to its proof.
        let spoiled = planned(tip).saturating_sub(cells.clean_exposure(tip).0 as usize);
        if spoiled < PATIENCE as usize
            && let Some(step) = wanted(false)
        {
            return step;
        }
        let is_seen = self.bugs.iter().any(|found| found.is_expected() && found.base.hits > 0);
        if self.facts.fixes
            && !is_seen
            && self.guests[0] < PATIENCE
            && planned(0) < 2 * PATIENCE as usize
        {
            return Step::Storms { at: vec![0, tip], times: 1 };
        }
        self.statistics().unwrap_or(Step::Done)
    }

    /// What is missing of the guests that are run in any case.
    fn pairs(&self, cells: &Cells<'_>) -> Option<Step> {
        let pairs = u64::from(self.facts.pairs);
        let most = self.facts.pairs as usize * MOST_IN_PLACE;
        let lacking: Vec<usize> = [0, self.facts.tip()]
            .into_iter()
            .zip(self.guests)
            .filter(|(at, guests)| *guests < pairs && cells.at(*at).count() < most)
            .map(|(at, _)| at)
            .collect();
        let fewest = self.guests.into_iter().filter(|guests| *guests < pairs).max()?;
        let times = u32::try_from(pairs - fewest).unwrap_or(1);
        (!lacking.is_empty()).then_some(Step::Storms { at: lacking, times })
    }

    /// More pairs of storms, while the statistics are open and nothing else speaks against the series.
    fn statistics(&self) -> Option<Step> {
        let facts = self.facts.statistics.as_ref()?;
        let is_broken = |found: &super::Found| {
            matches!(found.standing, Standing::Introduced { .. } | Standing::New { .. })
        };
        if self.bugs.iter().any(is_broken) {
            return None;
        }
        let have = match &self.statistics {
            Statistics::NotAsked => return None,
            Statistics::NotMeasured { .. } if self.storms_for_statistics > 0 => return None,
            Statistics::NotMeasured { .. } => 0,
            Statistics::Compared(comparison) => match comparison.answer {
                Answer::TooFew { .. } => comparison.pairs.len(),
                _ => return None,
            },
        };
        let look = LOOKS.iter().find(|look| look.pairs > have)?;
        let left = (facts.most as usize).saturating_sub(self.storms_for_statistics);
        let pairs = u32::try_from((look.pairs - have).min(left)).unwrap_or(0);
        (pairs > 0).then_some(Step::Statistics { pairs })
    }
}
