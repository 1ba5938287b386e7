// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that change a guest's machine: what the architecture table and the profile say
//! holds without them.

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use engine::GuestOptions;
use machine::Accel;
use workloads::profile::Clock;

/// What can be changed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Use this accelerator, unproven [default: KVM if a kernel speaks through it]
    #[arg(long, value_parser = accel())]
    accel: Option<Accel>,
    /// QEMU's name of the CPU model, e.g. `max` or `cortex-a76` [default: the architecture's]
    #[arg(long, value_name = "MODEL", value_parser = cpu_model)]
    cpu: Option<String>,
    /// Number of CPUs [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8))]
    cpus: Option<u64>,
    /// Memory in MiB [default: the profile's]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(32..=1_048_576))]
    memory: Option<u64>,
    /// Guests side by side [default: as twice the CPUs, and memory and disk, allow]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: Option<u64>,
}

impl MachineArgs {
    /// Guests side by side, if the user said how many.
    pub fn jobs(&self) -> Option<u64> {
        self.jobs
    }

    /// What was asked for. Guests live by the host's clock, whatever the profile says: who lets them live by their own says so.
    pub fn options(&self) -> GuestOptions {
        let Self { accel, cpu, cpus, memory, jobs: _ } = self.clone();
        GuestOptions {
            accel,
            cpu,
            cpus,
            memory_mib: memory,
            clock: Some(Clock::Wall),
            ..GuestOptions::default()
        }
    }
}

/// Reads the name of an accelerator.
pub fn accel() -> impl clap::builder::TypedValueParser<Value = Accel> {
    PossibleValuesParser::new(Accel::ALL.map(Accel::name))
        .map(|name| if name == Accel::Kvm.name() { Accel::Kvm } else { Accel::Tcg })
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
