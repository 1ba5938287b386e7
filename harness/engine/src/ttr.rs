// SPDX-License-Identifier: MIT OR Apache-2.0
//! The campaign of `bench ttr`: guests of a kernel with a bug, provoked in several ways.
//!
//! The ways take turns, so that a machine that is slow for a while slows all of them alike, and every guest has a
//! seed of its own.

use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use reports::event::Cell;
use reports::rule::Rule;
use reports::run::RunReport;
use reports::ttr::without;
use workloads::Profile;
use workloads::profile::{Part, Technique};

use crate::dispatcher::Campaign;
use crate::job::{CellJob, Ground, Group};

/// What to run.
#[derive(Debug)]
pub struct Trials {
    /// The ways to provoke the bug.
    pub arms: Vec<Arc<Group>>,
    /// The run's seed.
    pub seed: u64,
    /// Guests of each arm.
    pub runs: u32,
    /// Longest storm of a guest, in its own time.
    pub bound: Duration,
}

/// The arms: each technique, and with `ablation` stretching with each part of the profile's recipe left out once.
pub fn arms(
    ground: &Ground,
    profile: &Profile,
    rule: &Rule,
    techniques: &[Technique],
    ablation: bool,
) -> Vec<Arc<Group>> {
    let group = |profile: Profile, technique| {
        Arc::new(Group::new(ground.clone(), profile, Some(rule.clone()), technique))
    };
    let mut arms: Vec<Arc<Group>> = Vec::new();
    for technique in techniques {
        if !arms.iter().any(|arm| arm.technique == *technique) {
            arms.push(group(profile.clone(), *technique));
        }
    }
    let parts = if ablation { &Part::ALL[..] } else { &[] };
    for part in parts {
        if let Some(rest) = profile.without(*part) {
            let name = without(&profile.name, part.name());
            arms.push(group(Profile { name, ..rest }, Technique::Stretch));
        }
    }
    arms
}

impl Trials {
    fn job(&self, arm: &Arc<Group>, number: u32) -> CellJob {
        let own = arm.cell();
        let part = own.profile.rsplit_once("-without-").map_or("", |(_, part)| part);
        let word = format!("{}-{part}", own.technique.replace('+', "-"));
        let word = word.trim_end_matches('-');
        let mut cell = Cell {
            id: format!("{word}-{number}"),
            number,
            seed: Random::new(self.seed, &format!("ttr {word} {number}")).draw(),
            // The watch goes on until it shows, whatever else is reported.
            should_show: Some(true),
            ..own
        };
        cell.key = cell.stable_key();
        CellJob::new(cell, Arc::clone(arm), self.bound)
    }
}

impl Campaign for Trials {
    fn begin(&mut self) -> Vec<CellJob> {
        let turn = |number| self.arms.iter().map(|arm| self.job(arm, number)).collect::<Vec<_>>();
        (1..=self.runs).flat_map(turn).collect()
    }

    fn more(&mut self, _report: &RunReport) -> Vec<CellJob> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::job::tests::debian_6_1;

    const PROFILE: &str = "zswap-writeback-swapoff";

    fn trials(techniques: &[Technique], ablation: bool) -> Trials {
        let group = debian_6_1(None, PROFILE, Technique::Natural);
        let rule = Rule::built_in(PROFILE).unwrap();
        let arms = arms(&group.ground, &group.profile, &rule, techniques, ablation);
        Trials { arms, seed: 7, runs: 3, bound: Duration::from_secs(30) }
    }

    #[test]
    fn arms_take_turns_with_seeds_of_their_own() {
        let both = [Technique::Natural, Technique::PreemptStretch, Technique::Natural];
        let jobs = trials(&both, false).begin();
        let ids: Vec<&str> = jobs.iter().map(|job| job.cell.id.as_str()).collect();
        let turns = ["natural-1", "preempt-stretch-1", "natural-2", "preempt-stretch-2"];
        assert_eq!(ids[..4], turns);
        assert_eq!(ids.len(), 6, "a technique that is named twice is one arm");
        let seeds: BTreeSet<u64> = jobs.iter().map(|job| job.cell.seed).collect();
        assert_eq!(seeds.len(), 6);
        assert!(jobs.iter().all(|job| job.budget == Duration::from_secs(30)));
        assert!(jobs.iter().all(|job| job.cell.should_show == Some(true)));
        let again = trials(&both, true).begin();
        assert_eq!(again[0].cell.seed, jobs[0].cell.seed, "whatever else is measured");
    }

    #[test]
    fn each_part_of_the_recipe_is_left_out_once() {
        let trials = trials(&[Technique::Stretch], true);
        let jobs = trials.arms.iter().map(|arm| trials.job(arm, 1));
        let ids: Vec<String> = jobs.map(|job| job.cell.id).collect();
        let all = [
            "stretch-1",
            "stretch-expedited-rcu-1",
            "stretch-many-disks-1",
            "stretch-small-pool-1",
            "stretch-small-memory-1",
            "stretch-few-pages-1",
            "stretch-pageout-1",
            "stretch-chance-1",
        ];
        assert_eq!(ids, all);
        let cells: Vec<Cell> = trials.arms.iter().map(|arm| arm.cell()).collect();
        let digests: BTreeSet<&str> =
            cells.iter().map(|cell| cell.profile_digest.as_str()).collect();
        assert_eq!(digests.len(), all.len(), "each is another profile");
        assert!(cells.iter().all(|cell| cell.expect.as_deref() == Some(PROFILE)));
    }
}
