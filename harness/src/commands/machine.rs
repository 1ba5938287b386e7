// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that change a guest's machine: what the architecture table and the profile say
//! holds without them.

use clap::Args;
use host::arch::Kasan;
use workloads::Profile;

use crate::error::Error;
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

    /// Refuses what the kernel's KASAN does not work on: such a kernel boots and reports nothing.
    pub fn suits(&self, kasan: Option<&Kasan>) -> Result<(), Error> {
        let Some(Kasan { mode, cpus, kvm, .. }) = kasan else { return Ok(()) };
        if self.accel == Some(Accel::Kvm) && !kvm {
            let hint = "leave out --accel, or use --accel tcg";
            return Err(super::usage(format!(
                "KASAN's {mode} do not work in QEMU's guests under KVM\n  hint: {hint}"
            )));
        }
        let model = self.cpu.as_deref().map(|cpu| cpu.split(',').next().unwrap_or(cpu));
        match model {
            Some(model) if !cpus.is_empty() && !cpus.contains(&model) => {
                Err(super::usage(format!(
                    "the CPU model {model} is none that is known to have what KASAN's {mode} need\n  \
                     hint: leave out --cpu, or use one of {}",
                    cpus.join(", ")
                )))
            }
            _ => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(accel: Option<Accel>, cpu: Option<&str>) -> Machine {
        Machine { accel, cpu: cpu.map(str::to_owned), cpus: None, memory: None }
    }

    #[test]
    fn kasan_is_not_run_where_it_would_be_silent() {
        let mode = |mode| host::arch::ARM64.kasan.iter().find(|kasan| kasan.mode == mode).unwrap();
        let refused = |machine: Machine, name| {
            machine.suits(Some(mode(name))).err().map(|error| error.to_string())
        };
        let words = refused(machine(None, Some("cortex-a57,pmu=off")), "hw_tags").unwrap();
        assert!(words.contains("cortex-a57") && words.contains("use one of max"), "{words}");
        let words = refused(machine(Some(Accel::Kvm), None), "hw_tags").unwrap();
        assert!(words.contains("under KVM"), "{words}");
        for (accel, cpu, name) in [
            (None, None, "hw_tags"),
            (Some(Accel::Tcg), Some("max,sve=off"), "hw_tags"),
            (Some(Accel::Kvm), Some("host"), "sw_tags"),
            (None, Some("cortex-a57"), "generic"),
        ] {
            assert_eq!(refused(machine(accel, cpu), name), None);
        }
        assert!(machine(Some(Accel::Kvm), Some("any")).suits(None).is_ok());
    }
}
