// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user may change of a guest's machine: what the architecture table and the profile say
//! holds without it.

use host::arch::Kasan;
use machine::Accel;
use reports::event::Fault;
use workloads::Profile;
use workloads::profile::Clock;

use crate::error::Error;

/// What was asked for; `None` leaves it to the architecture or the profile.
#[derive(Debug, Clone, Default)]
pub struct GuestOptions {
    /// The clock by which the guest lives.
    pub clock: Option<Clock>,
    /// Accelerator, used unproven.
    pub accel: Option<Accel>,
    /// QEMU's name of the CPU model, features included.
    pub cpu: Option<String>,
    /// Number of CPUs.
    pub cpus: Option<u64>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Memory in MiB that a guest gets at least, where the user has not said how much.
    pub least_memory_mib: u64,
}

impl GuestOptions {
    /// Puts what was asked for into the profile's guest.
    pub fn change(&self, profile: &mut Profile) {
        profile.clock = self.clock.unwrap_or(profile.clock);
        let guest = &mut profile.guest;
        // QEMU counts the instructions of one CPU.
        let cpus = if profile.clock.is_virtual() { 1 } else { guest.cpus };
        guest.cpus = self.cpus.unwrap_or(cpus);
        let least = guest.memory_mib.max(self.least_memory_mib);
        guest.memory_mib = self.memory_mib.unwrap_or(least);
    }

    /// Refuses what cannot go by the clock of `profile`, which has been [changed](Self::change).
    pub fn suits_clock(&self, profile: &Profile) -> Result<(), Error> {
        if !profile.clock.is_virtual() {
            return Ok(());
        }
        let refused = |what: &str, why: &str, hint: &str| {
            let name = &profile.name;
            let words = format!(
                "{what} does not go with the virtual clock (profile {name}): {why}\n  hint: {hint}"
            );
            Err(wrong(words))
        };
        if self.accel == Some(Accel::Kvm) {
            let hint = "leave out --accel, or use --clock wall";
            return refused("--accel kvm", "only TCG counts instructions", hint);
        }
        if profile.guest.cpus > 1 {
            let what = format!("--cpus {}", profile.guest.cpus);
            let hint = "leave out --cpus, or use --clock wall";
            return refused(&what, "it counts the instructions of one CPU", hint);
        }
        Ok(())
    }

    /// Refuses what the kernel's KASAN does not work on: such a kernel boots and reports nothing.
    pub fn suits(&self, kasan: Option<&Kasan>) -> Result<(), Error> {
        let Some(Kasan { mode, cpus, kvm, .. }) = kasan else { return Ok(()) };
        if self.accel == Some(Accel::Kvm) && !kvm {
            let hint = "leave out --accel, or use --accel tcg";
            return Err(wrong(format!(
                "KASAN's {mode} do not work in QEMU's guests under KVM\n  hint: {hint}"
            )));
        }
        let model = self.cpu.as_deref().map(|cpu| cpu.split(',').next().unwrap_or(cpu));
        match model {
            Some(model) if !cpus.is_empty() && !cpus.contains(&model) => Err(wrong(format!(
                "the CPU model {model} is none that is known to have what KASAN's {mode} need\n  \
                     hint: leave out --cpu, or use one of {}",
                cpus.join(", ")
            ))),
            _ => Ok(()),
        }
    }
}

fn wrong(words: String) -> Error {
    Error::new(Fault::Configuration, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(accel: Option<Accel>, cpu: Option<&str>) -> GuestOptions {
        GuestOptions { accel, cpu: cpu.map(str::to_owned), ..GuestOptions::default() }
    }

    #[test]
    fn kasan_is_not_run_where_it_would_be_silent() {
        let mode = |mode| host::arch::ARM64.kasan.iter().find(|kasan| kasan.mode == mode).unwrap();
        let refused = |machine: GuestOptions, name| {
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

    #[test]
    fn the_virtual_clock_has_one_cpu_and_counts_instructions() {
        let profile = |options: &GuestOptions, clock| {
            let mut profile = Profile::load("hotplug", None).unwrap();
            assert!(profile.guest.cpus > 1);
            profile.clock = clock;
            options.change(&mut profile);
            profile
        };
        let none = GuestOptions::default();
        let own = profile(&none, Clock::Virtual);
        assert_eq!((own.guest.cpus, own.clock), (1, Clock::Virtual));
        assert!(none.suits_clock(&own).is_ok());
        let asked = GuestOptions { clock: Some(Clock::Virtual), ..machine(Some(Accel::Tcg), None) };
        assert_eq!(profile(&asked, Clock::Wall).guest.cpus, 1);
        assert!(asked.suits_clock(&profile(&asked, Clock::Wall)).is_ok());

        let kvm = GuestOptions { accel: Some(Accel::Kvm), ..asked.clone() };
        let two = GuestOptions { cpus: Some(2), ..asked };
        for (options, what) in [(kvm, "--accel kvm"), (two, "--cpus 2")] {
            let error = options.suits_clock(&profile(&options, Clock::Wall)).unwrap_err();
            assert_eq!(error.fault, Fault::Configuration);
            assert!(error.to_string().starts_with(what), "{error}");
            let wall = GuestOptions { clock: Some(Clock::Wall), ..options };
            assert!(wall.suits_clock(&profile(&wall, Clock::Virtual)).is_ok());
        }
    }
}
