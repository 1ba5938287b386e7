// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a dispatcher hands out: cells, each in a group that shares everything but the seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use host::arch::Arch;
use host::store::KeyHasher;
use machine::hunt::Actor;
use machine::target::{Credentials, Target};
use reports::event::Cell;
use reports::rule::Rule;
use workloads::Profile;
use workloads::profile::{Preempt, Technique};

use crate::hunt::Earlier;
use crate::visit::Terms;
use crate::workshop::KernelChoice;

/// What cells run on.
#[derive(Debug, Clone)]
pub enum Ground {
    /// A kernel of ours, in QEMU.
    Qemu(KernelChoice),
    /// A machine that runs its kernel already.
    Target(Place),
}

impl Ground {
    /// The architecture.
    pub fn arch(&self) -> &'static Arch {
        match self {
            Self::Qemu(choice) => choice.arch,
            Self::Target(place) => place.arch,
        }
    }
}

/// A machine that runs its kernel already.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it is.
    pub target: Target,
    /// What it should be.
    pub arch: &'static Arch,
    /// How to log in.
    pub credentials: Credentials,
    /// What is allowed there.
    pub terms: Terms,
}

/// Cells that share a ground, a profile and a technique, and so everything but the seed. What they need
/// is made once.
#[derive(Debug, Clone)]
pub struct Group {
    /// What they run on.
    pub ground: Ground,
    /// What the guest is made to do; the command line's changes are in it.
    pub profile: Profile,
    /// The bug that the profile expects.
    pub rule: Option<Rule>,
    /// How it is provoked.
    pub technique: Technique,
    /// Of a hunt, patterns of the functions in which tasks are made to sleep; empty: all of swap and zswap.
    pub functions: Vec<String>,
    /// Who is asked to overtake them; empty: swapoff.
    pub beside: Vec<Actor>,
    /// The hunt that it goes on from.
    pub earlier: Option<Arc<Earlier>>,
}

impl Group {
    /// These, with the technique in the profile.
    pub fn new(ground: Ground, profile: Profile, rule: Option<Rule>, technique: Technique) -> Self {
        let profile = Profile { technique, ..profile };
        Self {
            ground,
            profile,
            rule,
            technique,
            functions: Vec::new(),
            beside: Vec::new(),
            earlier: None,
        }
    }

    /// A cell of this group that has neither id, number nor seed yet.
    pub fn cell(&self) -> Cell {
        let cell = Cell {
            arch: self.ground.arch().name.to_owned(),
            profile: self.profile.name.clone(),
            profile_digest: profile_digest(&self.profile),
            technique: self.technique.to_string(),
            clock: self.profile.clock.to_string(),
            expect: self.profile.expect.clone(),
            number: 1,
            ..Cell::default()
        };
        match &self.ground {
            Ground::Qemu(choice) => Cell {
                kernel: choice.manifest.name.clone(),
                series: choice.series.as_ref().map(|series| series.name.clone()),
                toolchain: choice.manifest.toolchain.to_string(),
                kasan: choice.kasan.clone(),
                ..cell
            },
            Ground::Target(place) => Cell { kernel: place.target.to_string(), ..cell },
        }
    }
}

/// Identifies everything in a profile that a guest can notice.
pub fn profile_digest(profile: &Profile) -> String {
    let Profile { guest, stretch, needs, variants, preempt, .. } = profile;
    // How it is provoked stands beside the digest.
    let plain = Profile { technique: Technique::Natural, ..profile.clone() };
    let hasher = KeyHasher::new("profile", 1).field("words", plain.cmdline(0, "", 0));
    // Those that say nothing of it have the digest that they had before there was such a technique.
    let hasher = match preempt {
        preempt if *preempt == Preempt::default() => hasher,
        preempt => hasher.field("preempt", format!("{preempt:?}")),
    };
    hasher
        .field("guest", format!("{guest:?}"))
        .field("needs", format!("{needs:?}"))
        .field("variants", format!("{variants:?}"))
        .field("stretch", format!("{stretch:?}"))
        .finish()
        .to_string()
}

/// A cell to be run.
#[derive(Debug, Clone)]
pub struct CellJob {
    /// The cell as it stands in the event log.
    pub cell: Cell,
    /// What it shares with others.
    pub group: Arc<Group>,
    /// Longest storm, in guest time.
    pub budget: Duration,
    /// Longest time on this machine, from its first boot on; `None`: as long as it takes.
    pub time: Option<Duration>,
    /// So many machines are started before its trouble is taken for lasting.
    pub tries: u32,
    /// Number of its first machine.
    pub first_boot: u32,
    /// What has a lower rank is begun earlier, as far as there is room.
    pub rank: u32,
}

/// So many machines are started for a cell before its trouble is taken for lasting, unless a plan says otherwise.
pub const TRIES: u32 = 3;

impl CellJob {
    /// A cell that storms for `budget`, as long as it takes.
    pub fn new(cell: Cell, group: Arc<Group>, budget: Duration) -> Self {
        Self { cell, group, budget, time: None, tries: TRIES, first_boot: 1, rank: 0 }
    }
}

/// What a unit takes of a machine while it runs, or what a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Processors.
    pub cpus: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
}

/// What QEMU takes beside its guest's memory, in MiB.
const QEMU_MIB: u64 = 160;
/// What a console and its reports may take on disk, in MiB.
const CONSOLE_MIB: u64 = 80;

impl Room {
    /// True if `wanted` fits in beside what is `taken` already.
    pub fn fits(&self, taken: &Self, wanted: &Self) -> bool {
        let sum = taken.plus(wanted);
        sum.cpus <= self.cpus && sum.memory_mib <= self.memory_mib && sum.disk_mib <= self.disk_mib
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.saturating_add(other.cpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            disk_mib: self.disk_mib.saturating_add(other.disk_mib),
        }
    }

    /// Nothing.
    pub const NONE: Self = Self { cpus: 0, memory_mib: 0, disk_mib: 0 };

    /// What a guest of this profile takes of this machine.
    pub fn of_guest(profile: &Profile, arch: &Arch) -> Self {
        let guest = &profile.guest;
        Self {
            cpus: guest.cpus,
            memory_mib: guest.memory_mib + arch.kasan_mib + QEMU_MIB,
            disk_mib: guest.disks.saturating_mul(guest.disk_mib) + CONSOLE_MIB,
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpus, memory_mib, disk_mib } = self;
        write!(f, "{cpus} CPUs, {memory_mib} MiB of memory, {disk_mib} MiB of disk")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kernels::Library;

    use super::*;

    /// Debian's 6.1 for x86_64, with or without a shipped series, under a shipped profile.
    pub(crate) fn debian_6_1(
        series: Option<&str>,
        profile: &str,
        technique: Technique,
    ) -> Arc<Group> {
        let library = Library::default();
        let choice = KernelChoice {
            manifest: library.manifest("debian-6.1").unwrap(),
            series: series.map(|name| library.series(name).unwrap()),
            fragments: Vec::new(),
            kasan: String::new(),
            arch: &host::arch::X86_64,
        };
        let profile = Profile::load(profile, None).unwrap();
        Arc::new(Group::new(Ground::Qemu(choice), profile, None, technique))
    }
}
