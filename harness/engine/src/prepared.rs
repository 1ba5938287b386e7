// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel that cells can boot, with everything around it.

use std::path::PathBuf;
use std::sync::Arc;

use host::arch::{Arch, Kasan};
use images::ImageArtifact;
use kernels::KernelArtifact;
use machine::accel::Proof;
use machine::hunt::HuntPlan;
use machine::stretch::StretchPlan;
use machine::{Accel, Timeouts, VmSpec};
use reports::event::{KernelFacts, What};
use workloads::Profile;

use crate::workshop::KernelChoice;

/// A kernel that cells can boot, with everything around it.
#[derive(Debug)]
pub struct Prepared {
    /// What was asked for.
    pub choice: KernelChoice,
    /// The kernel.
    pub kernel: KernelArtifact,
    /// What the event log says of it.
    pub facts: KernelFacts,
    /// Its mode of KASAN.
    pub kasan: Option<&'static Kasan>,
    /// The profile as this kernel wants it.
    pub profile: Profile,
    /// Where it is stretched; `None` for the natural technique.
    pub stretch: Option<Arc<StretchPlan>>,
    /// Where it is hunted in; `None` for other techniques.
    pub hunt: Option<Arc<HuntPlan>>,
    /// What it is booted with.
    pub initramfs: ImageArtifact,
    /// What carries its guests, and why.
    pub accel: Proof,
    /// A CPU model other than the architecture's.
    pub cpu: Option<String>,
}

impl Prepared {
    /// The event that says that the kernel is there.
    pub fn ready(&self, cell: &str) -> What {
        let (kernel, variant) = (self.facts.clone(), self.profile.variant.clone());
        What::KernelReady { cell: cell.to_owned(), kernel, variant }
    }

    /// A machine in the folder `dir`: the first of the kernel's images, and an agent that draws from `seed` and
    /// signs with `token`, and storms for so many `seconds` (0: until it is told to stop).
    pub fn machine(&self, seed: u64, token: &str, seconds: u64, dir: PathBuf) -> VmSpec {
        let (arch, accel) = (self.choice.arch, self.accel.accel);
        let guest = &self.profile.guest;
        let is_virtual = self.profile.clock.is_virtual();
        VmSpec {
            arch,
            accel,
            cpu: self.cpu.clone(),
            kasan: self.kasan,
            kernel: self.kernel.image(&arch.images[0]),
            initramfs: self.initramfs.path.clone(),
            cmdline: cmdline(arch, accel, &self.profile, (seed, token, seconds)),
            memory_mib: guest.memory_mib,
            cpus: guest.cpus,
            virtual_clock: is_virtual.then_some(seed),
            disks: if is_virtual { 0 } else { guest.disks },
            disk_mib: guest.disk_mib,
            dir,
            gdb: false,
            debugger: None,
            ssh: false,
            keep_disks: false,
        }
    }

    /// Limits of patience with its machines; `scale` is the user's own factor.
    pub fn timeouts(&self, scale: f64) -> Timeouts {
        Timeouts::new(self.accel.accel, self.profile.clock, scale)
    }

    /// The event that says that a machine is started, for the attempt `boot` with a seed of its own.
    pub fn started(&self, cell: &str, boot: u32, seed: u64, machine: &VmSpec) -> What {
        let qemu = machine.arch.qemu.to_owned();
        What::VmStarted {
            cell: cell.to_owned(),
            boot,
            accel: machine.accel.to_string(),
            accel_why: self.accel.why.clone(),
            seed: Some(seed),
            host: String::new(),
            argv: [qemu].into_iter().chain(machine.argv()).collect(),
            cmdline: machine.cmdline.clone(),
        }
    }
}

/// null_blk makes a device unasked otherwise.
const NO_STRAY_DISK: &str = "null_blk.nr_devices=0";

/// The kernel command line for a guest, whose agent draws from a seed, signs with a token, and storms for so many seconds
/// (0: until it is told to stop).
pub(crate) fn cmdline(
    arch: &Arch,
    accel: Accel,
    profile: &Profile,
    (seed, token, seconds): (u64, &str, u64),
) -> String {
    let storm = profile.cmdline(seed, token, seconds);
    let fast = if accel == Accel::Tcg { arch.cmdline_tcg } else { "" };
    let (console, end) =
        (format!("console={}", arch.console), format!("swapstorm.end={}", arch.end));
    let words = [&console, arch.cmdline, fast, "panic=-1", NO_STRAY_DISK, &storm, &end];
    words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}
