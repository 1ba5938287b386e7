// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of the recipe by which a profile shows its bug, and the profile without one of them: what each is worth can then
//! be measured.

use super::{Profile, Push, Storm};

/// A part of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// RCU's grace periods are expedited; without it, they take the time that they take.
    ExpeditedRcu,
    /// Several devices are swapped on and off; without it, there is one.
    ManyDisks,
    /// zswap's pool is limited; without it, limits are the kernel's.
    SmallPool,
    /// The guest has less memory for some kernels; without it, as much as the profile gives to others.
    SmallMemory,
    /// Few workers have few pages; without it, as many as the agent has by itself.
    FewPages,
    /// Pages are pushed out; without it, they leave by chance.
    Pageout,
    /// Not every task that comes by a point is put to sleep; without it, each one is.
    Chance,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ExpeditedRcu,
        Self::ManyDisks,
        Self::SmallPool,
        Self::SmallMemory,
        Self::FewPages,
        Self::Pageout,
        Self::Chance,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExpeditedRcu => "expedited-rcu",
            Self::ManyDisks => "many-disks",
            Self::SmallPool => "small-pool",
            Self::SmallMemory => "small-memory",
            Self::FewPages => "few-pages",
            Self::Pageout => "pageout",
            Self::Chance => "chance",
        }
    }
}

/// The kernel's word for expedited grace periods.
const EXPEDITED: &str = "rcupdate.rcu_expedited=1";

impl Profile {
    /// The profile without a part of its recipe, in all of its variants; `None` if it does not have that part.
    pub fn without(&self, part: Part) -> Option<Self> {
        let mut profile = self.clone();
        match part {
            Part::ExpeditedRcu => profile.cmdline.retain(|word| word != EXPEDITED),
            Part::ManyDisks => {
                profile.guest.disks = 1;
                profile.variants.iter_mut().for_each(|variant| variant.guest.disks = None);
            }
            Part::SmallMemory => {
                profile.variants.iter_mut().for_each(|variant| variant.guest.memory_mib = None);
            }
            Part::SmallPool => profile.change_storms(|storm| {
                storm.max_pool_percent = None;
                storm.zswap_max = None;
            }),
            Part::FewPages => profile.change_storms(|storm| {
                storm.workers = None;
                storm.pages = None;
            }),
            Part::Pageout => profile.change_storms(|storm| {
                if storm.push == Some(Push::Pageout) {
                    storm.push = Some(Push::None);
                }
            }),
            Part::Chance => {
                let own = profile.stretch.iter_mut();
                let variants = profile.variants.iter_mut().flat_map(|v| v.stretch.iter_mut());
                own.chain(variants).for_each(|point| point.probability = 1.0);
            }
        }
        (profile != *self).then_some(profile)
    }

    fn change_storms(&mut self, change: impl Fn(&mut Storm)) {
        change(&mut self.storm);
        self.variants.iter_mut().for_each(|variant| change(&mut variant.storm));
    }
}
