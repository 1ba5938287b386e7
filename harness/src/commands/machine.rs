// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that change a guest's machine: what the architecture table and the profile say
//! holds without them.

use clap::Args;
use workloads::Profile;

use crate::vm::Accel;

/// What can be changed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Use this accelerator, unproven [default: KVM if a kernel speaks through it]
    #[arg(long, value_enum)]
    pub accel: Option<Accel>,
    /// QEMU's name of the CPU model, e.g. `max` or `cortex-a76` [default: the architecture's]
    #[arg(long, value_name = "MODEL", value_parser = cpu_model)]
    pub cpu: Option<String>,
    /// Number of CPUs [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8))]
    cpus: Option<u64>,
    /// Memory in MiB [default: the profile's]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(32..=1_048_576))]
    memory: Option<u64>,
}

impl Machine {
    /// Puts what was asked for into the profile's guest.
    pub fn change(&self, profile: &mut Profile) {
        let guest = &mut profile.guest;
        guest.cpus = self.cpus.unwrap_or(guest.cpus);
        guest.memory_mib = self.memory.unwrap_or(guest.memory_mib);
    }

    /// Gives the guest at least so much memory, unless the user has said how much.
    pub fn at_least(&self, memory_mib: u64, profile: &mut Profile) {
        if self.memory.is_none() {
            profile.guest.memory_mib = profile.guest.memory_mib.max(memory_mib);
        }
    }
}

/// The model becomes a part of QEMU's command line.
fn cpu_model(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.,=+-".contains(&b);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("expected a model of `qemu-system-ARCH -cpu help`, with features as `model,feature=on`"
        .to_owned())
}
