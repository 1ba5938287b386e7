// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where to hunt in one kernel.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use host::arch::Arch;
use kernels::vmlinux::{Call, PARTS, RunningTask, Site, Vmlinux};

use super::note::{Actor, Learnt};
use crate::Accel;
use crate::stretch::PlanError;
use crate::stretch::abi::{self, Abi};
use crate::stretch::{NEVER_RUNS, SLEEP};

/// Breakpoints that processors have for a hypervisor: x86_64 has four debug registers.
const KVM_BREAKPOINTS: usize = 4;
/// With more of them a translated guest becomes slow.
const TCG_BREAKPOINTS: usize = 33;

/// Where to hunt in one kernel.
#[derive(Debug)]
pub struct HuntPlan {
    pub(super) abi: &'static Abi,
    pub(super) task: RunningTask,
    pub(super) sites: Vec<Place>,
    pub(super) sleep: u64,
    pub(super) trap: u64,
    pub(super) most_breakpoints: usize,
    /// Who is asked to overtake sleepers; never empty.
    pub(super) beside: Vec<Actor>,
    pub(super) by_address: HashMap<u64, usize>,
    /// What is known of sites, by name.
    pub(super) learnt: HashMap<String, Learnt>,
}

/// A site of a plan.
#[derive(Debug, Clone)]
pub struct Place {
    /// `function:callee#n`.
    pub name: String,
    /// The function in which it stands.
    pub function: String,
    /// The instruction.
    pub(super) call: Call,
    /// Those that promise most have the lowest rank; sites of one rank come in any order.
    pub(super) rank: u32,
}

impl HuntPlan {
    /// Finds the calls of all functions that fit one of `patterns`; of the whole of swap and zswap if there is none.
    /// `beside` are those who are asked to overtake sleepers, [`Actor::Swapoff`] if it is empty;
    /// `accel` is what bounds the number of breakpoints.
    ///
    /// # Errors
    /// Those of reading the image, and of a kernel that does not have what a sleep needs.
    pub fn resolve(
        arch: &Arch,
        vmlinux: &Vmlinux,
        patterns: &[String],
        beside: &[Actor],
        accel: Accel,
    ) -> Result<Self, PlanError> {
        let sites = match patterns {
            [] => {
                let all: Vec<&str> =
                    PARTS.iter().flat_map(|part| part.functions).copied().collect();
                vmlinux.sites(&all)?
            }
            some => vmlinux.sites(some)?,
        };
        let class = |site: &Site| (Reverse(site.promise), site.pattern);
        let mut classes: Vec<_> = sites.iter().map(class).collect();
        classes.dedup();
        let place = |site: Site| Place {
            name: site.name(),
            rank: classes.partition_point(|other| *other < class(&site)) as u32,
            function: site.function,
            call: site.call,
        };
        let sites: Vec<Place> = sites.into_iter().map(place).collect();
        Ok(Self {
            abi: abi::of(arch.isa),
            task: vmlinux.running_task()?,
            by_address: sites.iter().enumerate().map(|(at, site)| (site.call.at, at)).collect(),
            sites,
            sleep: vmlinux.function(SLEEP)?.address,
            trap: vmlinux.function(NEVER_RUNS)?.address,
            learnt: HashMap::new(),
            beside: if beside.is_empty() { vec![Actor::Swapoff] } else { beside.to_vec() },
            most_breakpoints: match accel {
                Accel::Kvm => KVM_BREAKPOINTS,
                Accel::Tcg => TCG_BREAKPOINTS,
            },
        })
    }

    /// Goes on from what an earlier hunt in the same kernel learnt, by the names of sites; those that are none are ignored.
    pub fn learn(&mut self, learnt: impl IntoIterator<Item = (String, Learnt)>) {
        self.learnt.extend(learnt);
    }

    /// The sites, those that promise most first.
    pub fn sites(&self) -> &[Place] {
        &self.sites
    }

    /// In how many functions they are.
    pub fn functions(&self) -> usize {
        self.sites.iter().map(|site| &site.function).collect::<BTreeSet<_>>().len()
    }

    /// The site whose call stands there.
    pub(super) fn site_at(&self, address: u64) -> Option<usize> {
        self.by_address.get(&address).copied()
    }
}
