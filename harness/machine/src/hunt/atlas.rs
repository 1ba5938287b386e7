// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hunt knows of its sites, and where it goes next.
//!
//! It goes in rounds. In each, sites are mapped batch by batch, the most promising first, and those at which
//! somebody may sleep are visited before the next batch is mapped. At a site that was slept at, the actor
//! comes next that has been there least often; a site at which all of them had to wait, and nothing ever
//! passed, is protected, and not visited again.

use std::collections::{BTreeSet, VecDeque};

use crate::random::Random;
use crate::stretch::Refusal;

use super::note::{Actor, Learnt, Mapped, Met, Outcome};
use super::plan::{HuntPlan, Place};

/// So many sleeps beside which nothing was done, and none beside which something was, make a site protected.
const MOST_BLOCKED: u64 = 2;

/// What is known of the sites of one plan.
#[derive(Debug)]
pub(super) struct Atlas {
    names: Vec<String>,
    sites: Vec<Known>,
    /// Who may be asked for.
    beside: Vec<Actor>,
    /// Sites that are not mapped yet in this round.
    unmapped: VecDeque<usize>,
    /// Sites that are to be visited before more is mapped.
    to_visit: VecDeque<usize>,
    changed: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Known {
    mapped: Mapped,
    met: [Met; Actor::ALL.len()],
    /// Whether it is in `to_visit`, or was in this round.
    called_on: bool,
}

/// Whether the actor seems to wait for whoever sleeps.
fn is_protected(met: Met) -> bool {
    met.passed == 0 && met.blocked >= MOST_BLOCKED
}

impl Known {
    /// Whether somebody came by who may sleep.
    fn may_sleep(&self) -> bool {
        self.mapped.reached > self.mapped.refused.values().sum()
    }

    fn is_protected(&self, beside: &[Actor]) -> bool {
        beside.iter().all(|actor| is_protected(self.met[*actor as usize]))
    }

    /// Beside whomever.
    fn sleeps(&self) -> u64 {
        self.met.iter().map(|met| met.passed + met.blocked).sum()
    }

    fn after(learnt: &Learnt) -> Self {
        let met = Actor::ALL.map(|actor| learnt.met.get(&actor).copied().unwrap_or_default());
        Self { mapped: learnt.mapped.clone(), met, called_on: false }
    }
}

impl Atlas {
    /// Nothing is known but what the plan has learnt. Sites that were slept at least often come first, and of these those that promise
    /// most, in an order that is drawn.
    pub(super) fn new(plan: &HuntPlan, mut random: Random) -> Self {
        let known = |site: &Place| plan.learnt.get(&site.name).map(Known::after);
        let sites: Vec<Known> =
            plan.sites().iter().map(|site| known(site).unwrap_or_default()).collect();
        let both = plan.sites().iter().zip(&sites).enumerate();
        let mut order: Vec<(u64, u32, u64, usize)> = both
            .map(|(at, (site, known))| (known.sleeps(), site.rank, random.draw(), at))
            .collect();
        order.sort_unstable();
        Self {
            names: plan.sites().iter().map(|site| site.name.clone()).collect(),
            sites,
            beside: plan.beside.clone(),
            unmapped: order.into_iter().map(|(.., at)| at).collect(),
            to_visit: VecDeque::new(),
            changed: BTreeSet::new(),
        }
    }

    /// A task came by; `why` it must not sleep there.
    pub(super) fn reached(&mut self, site: usize, why: Option<Refusal>) {
        let known = &mut self.sites[site];
        known.mapped.reached += 1;
        if let Some(why) = why {
            *known.mapped.refused.entry(why).or_default() += 1;
        }
        self.changed.insert(site);
        let wanted = known.may_sleep() && !known.is_protected(&self.beside);
        if wanted && !std::mem::replace(&mut known.called_on, true) {
            self.to_visit.push_back(site);
        }
    }

    /// A sleep beside an actor is over.
    pub(super) fn slept(&mut self, site: usize, actor: Actor, outcome: Outcome) {
        let met = &mut self.sites[site].met[actor as usize];
        match outcome {
            Outcome::Overlapped | Outcome::Partly => met.passed += 1,
            Outcome::Blocked => met.blocked += 1,
            Outcome::Cut => {}
        }
    }

    /// Whom the next task that sleeps there is to meet.
    pub(super) fn actor(&self, site: usize) -> Actor {
        let met = |actor: &Actor| {
            let met = self.sites[site].met[*actor as usize];
            (is_protected(met), met.passed + met.blocked)
        };
        self.beside.iter().copied().min_by_key(met).unwrap_or(Actor::Swapoff)
    }

    /// The next site to be visited; `None`: more is to be mapped first.
    pub(super) fn next_visit(&mut self) -> Option<usize> {
        self.to_visit.pop_front()
    }

    /// The next sites to be mapped, at most so many. After the last ones a new round begins.
    pub(super) fn next_batch(&mut self, most: usize) -> Vec<usize> {
        if self.unmapped.is_empty() {
            let mut all: Vec<usize> = (0..self.sites.len()).collect();
            // In the order in which they came last time: least often slept at first.
            all.sort_by_key(|at| self.sites[*at].sleeps());
            self.unmapped = all.into();
            for site in &mut self.sites {
                site.called_on = false;
            }
        }
        let most = most.min(self.unmapped.len());
        self.unmapped.drain(..most).collect()
    }

    /// What has changed since the last call.
    pub(super) fn changed(&mut self) -> Vec<(String, Mapped)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.map(|at| (self.names[at].clone(), self.sites[at].mapped.clone())).collect()
    }
}
