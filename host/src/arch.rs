// SPDX-License-Identifier: MIT OR Apache-2.0
//! One table describes an architecture. Code elsewhere asks the table; it never
//! asks which architecture it is dealing with.

use std::fmt;

/// Everything that differs between guest architectures.
///
/// Compared by name: there is one static row for each architecture.
#[derive(Debug)]
pub struct Arch {
    /// The name users type: `x86_64`.
    pub name: &'static str,
    /// Rust's name of it, [`std::env::consts::ARCH`] on such a machine, and `uname -m`: `aarch64`.
    pub rust: &'static str,
    /// The value of `ARCH=` for the kernel's make.
    pub kernel_arch: &'static str,
    /// Debian's name of the architecture: `amd64`.
    pub debian: &'static str,
    /// Debian's release that a guest's packages come from: Debian 12, unless it lacks the architecture.
    pub debian_suite: &'static str,
    /// Prefix of the cross toolchain (`aarch64-linux-gnu-`).
    pub cross_prefix: &'static str,
    /// Kernel images that can boot, best first.
    pub images: &'static [BootImage],
    /// QEMU's system emulator.
    pub qemu: &'static str,
    /// Value of `-machine`, without the accelerator.
    pub machine: &'static str,
    /// Further fixed QEMU arguments that belong to the machine.
    pub machine_args: &'static [&'static str],
    /// `-device` name of a virtio disk on this machine, with its properties.
    pub disk_device: &'static str,
    /// `-device` name of a virtio network card on this machine.
    pub net_device: &'static str,
    /// Modes of KASAN, the one of the shipped manifests first.
    pub kasan: &'static [Kasan],
    /// MiB of memory that KASAN takes here beyond its usual eighth: added to what a profile asks for.
    pub kasan_mib: u64,
    /// Value of `-cpu` under TCG.
    pub cpu_tcg: &'static str,
    /// Value of `-cpu` under KVM.
    pub cpu_kvm: &'static str,
    /// Console device on the kernel command line.
    pub console: &'static str,
    /// Kernel command line words that this machine needs to boot, and to end.
    pub cmdline: &'static str,
    /// Further words under TCG, which spare the kernel measurements of a clock that is steady anyway.
    pub cmdline_tcg: &'static str,
    /// How the guest agent ends the machine so that QEMU exits.
    pub end: &'static str,
    /// Instruction set, for decoding calls and reading registers.
    pub isa: Isa,
}

/// A mode of KASAN (the kernel's Documentation/dev-tools/kasan.rst), and what a machine needs for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kasan {
    /// The name users type: `generic`, `sw_tags`, `hw_tags`.
    pub mode: &'static str,
    /// The option by which a kernel's configuration shows it.
    pub option: &'static str,
    /// The configuration fragment that brings it; `None` for what the shipped manifests have.
    pub fragment: Option<&'static str>,
    /// Properties of QEMU's machine, with a comma before each.
    pub machine: &'static str,
    /// QEMU's CPU models that have what it needs, the one to use under TCG first; empty: any has.
    pub cpus: &'static [&'static str],
    /// Whether it works under KVM.
    pub kvm: bool,
}

/// The compiler's code checks each access against a shadow of all memory.
const GENERIC: Kasan = Kasan {
    mode: "generic",
    option: "CONFIG_KASAN_GENERIC",
    fragment: None,
    machine: "",
    cpus: &[],
    kvm: true,
};

/// A kernel image within the build folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootImage {
    /// Path below the build folder: `vmlinux`, `arch/x86/boot/bzImage`.
    pub path: &'static str,
    /// The make target that builds it.
    pub target: &'static str,
}

/// Instruction sets whose calls can be decoded and whose registers can be diverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// AMD64.
    X86_64,
    /// AArch64.
    Arm64,
    /// RV64, compressed instructions included.
    Riscv64,
}

/// x86_64 on QEMU's `microvm`: no firmware tables, no PCI, disks on virtio-mmio.
pub static X86_64: Arch = Arch {
    name: "x86_64",
    rust: "x86_64",
    kernel_arch: "x86_64",
    debian: "amd64",
    debian_suite: "bookworm",
    cross_prefix: "x86_64-linux-gnu-",
    images: &[
        // PVH entry: nothing to unpack. Some kernels die there and boot from the bzImage.
        BootImage { path: "vmlinux", target: "vmlinux" },
        BootImage { path: "arch/x86/boot/bzImage", target: "bzImage" },
    ],
    qemu: "qemu-system-x86_64",
    machine: "microvm,acpi=off",
    machine_args: &[],
    // Short queues are quicker to set up, and a swap disk of a few MiB needs no long one.
    disk_device: "virtio-blk-device,queue-size=16",
    net_device: "virtio-net-device",
    kasan: &[GENERIC],
    kasan_mib: 0,
    // A CPU without fast string instructions, which TCG is slow at.
    cpu_tcg: "kvm64",
    // Nested KVM may offer arch-capabilities and then refuse to set them, which ends QEMU.
    cpu_kvm: "host,-arch-capabilities",
    console: "ttyS0",
    cmdline: "reboot=t",
    // The check of the timer panics, and measuring the local APIC's timer fails, if a busy host does
    // not run the guest for a while; the measurement also takes a quarter of the boot.
    cmdline_tcg: "tsc=reliable lpj=1000000 no_timer_check nolapic_timer",
    end: "reboot",
    isa: Isa::X86_64,
};

/// arm64 on QEMU's `virt`: disks on virtio-mmio, power through PSCI.
pub static ARM64: Arch = Arch {
    name: "arm64",
    rust: "aarch64",
    kernel_arch: "arm64",
    debian: "arm64",
    debian_suite: "bookworm",
    cross_prefix: "aarch64-linux-gnu-",
    images: &[BootImage { path: "arch/arm64/boot/Image", target: "Image" }],
    qemu: "qemu-system-aarch64",
    // Under KVM not every host has every GIC. Without PCI nothing uses an ITS.
    machine: "virt,gic-version=max,its=off",
    machine_args: &[],
    disk_device: "virtio-blk-device,queue-size=16",
    net_device: "virtio-net-device",
    kasan: &[
        GENERIC,
        // Every arm64 CPU ignores the top byte of an address, where these tags are.
        Kasan {
            mode: "sw_tags",
            option: "CONFIG_KASAN_SW_TAGS",
            fragment: Some("kasan-sw-tags"),
            ..GENERIC
        },
        Kasan {
            mode: "hw_tags",
            option: "CONFIG_KASAN_HW_TAGS",
            fragment: Some("kasan-hw-tags"),
            machine: ",mte=on",
            cpus: &["max", "cortex-a710", "neoverse-n2"],
            // QEMU before 9.1 refuses to start so, and few hosts have MTE.
            kvm: false,
        },
    ],
    kasan_mib: 0,
    cpu_tcg: "cortex-a57",
    cpu_kvm: "host",
    console: "ttyAMA0",
    cmdline: "",
    cmdline_tcg: "",
    end: "poweroff",
    isa: Isa::Arm64,
};

/// riscv64 on QEMU's `virt`: disks on virtio-mmio, power through OpenSBI.
pub static RISCV64: Arch = Arch {
    name: "riscv64",
    rust: "riscv64",
    kernel_arch: "riscv",
    debian: "riscv64",
    debian_suite: "trixie",
    cross_prefix: "riscv64-linux-gnu-",
    images: &[BootImage { path: "arch/riscv/boot/Image", target: "Image" }],
    qemu: "qemu-system-riscv64",
    machine: "virt",
    machine_args: &[],
    disk_device: "virtio-blk-device,queue-size=16",
    net_device: "virtio-net-device",
    kasan: &[GENERIC],
    // The shadow of all 2 GiB in which kernel and modules may lie is filled at once, 256 MiB; without
    // memory for it the kernel dies before its first line. Beside it this leaves about what x86_64 needs
    // for a storm: two processors may leave 64 MiB of vmalloc areas unpurged (`lazy_max_pages` in
    // mm/vmalloc.c), which keep 8 MiB of shadow, and each swapon makes two such areas. More would make
    // the pool of one percent larger than this guest, translated, fills between swapon and swapoff.
    kasan_mib: 278,
    cpu_tcg: "rv64",
    cpu_kvm: "host",
    console: "ttyS0",
    // Newer kernels look for properties in the device tree that QEMU 7.2 does not have, and die in
    // silence without them, unless they may fall back to the old one. Older kernels ignore the word.
    cmdline: "riscv_isa_fallback",
    cmdline_tcg: "",
    end: "poweroff",
    isa: Isa::Riscv64,
};

/// Every architecture there is a row for.
pub static ALL: &[&Arch] = &[&X86_64, &ARM64, &RISCV64];

/// The JSON Schema of a name of an architecture.
pub fn schema() -> schemars::Schema {
    document::schema::word(ALL.iter().map(|arch| arch.name))
}

impl Arch {
    /// Finds a row by the name users type.
    pub fn by_name(name: &str) -> Option<&'static Arch> {
        ALL.iter().copied().find(|arch| arch.name == name)
    }

    /// The row of the machine we run on, if it has one.
    pub fn native() -> Option<&'static Arch> {
        ALL.iter().copied().find(|arch| arch.is_native())
    }

    /// True if guests of this architecture run on this machine's own CPU.
    pub fn is_native(&self) -> bool {
        self.rust == std::env::consts::ARCH
    }

    /// Toolchain prefix to use on this machine: empty when it is native.
    pub fn toolchain_prefix(&self) -> &'static str {
        if self.is_native() { "" } else { self.cross_prefix }
    }

    /// The mode of KASAN of a kernel, of whose options `is_set` knows; `None` if it has none.
    pub fn kasan_in(&self, is_set: impl Fn(&str) -> bool) -> Option<&'static Kasan> {
        self.kasan.iter().find(|kasan| is_set(kasan.option))
    }

    /// Where Debian keeps the static C library for cross compilers.
    pub fn cross_libc(&self) -> String {
        format!("/usr/{}/lib/libc.a", self.cross_prefix.trim_end_matches('-'))
    }
}

impl PartialEq for Arch {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Arch {}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for arch in ALL {
            assert_eq!(Arch::by_name(arch.name), Some(*arch));
            assert_eq!(ALL.iter().filter(|other| other.name == arch.name).count(), 1);
            assert!(!arch.images.is_empty(), "{arch} has nothing to boot");
            assert_eq!(arch.kasan[0].mode, "generic");
        }
        assert_eq!(Arch::by_name("vax"), None);
    }
}
