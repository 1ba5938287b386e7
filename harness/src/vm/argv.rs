// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's argument vector, from the architecture table and what a virtual machine shall have.

use std::fmt;
use std::path::PathBuf;

use host::arch::{Arch, Kasan};
use serde::{Deserialize, Serialize};

/// What carries out the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The host's CPU.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// A virtual machine to be.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// Its architecture.
    pub arch: &'static Arch,
    /// What carries it.
    pub accel: Accel,
    /// A CPU model other than the architecture's for `accel`, or the kernel's KASAN's.
    pub cpu: Option<String>,
    /// The kernel's mode of KASAN.
    pub kasan: Option<&'static Kasan>,
    /// The kernel image to boot.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// The kernel command line, console and machine words included.
    pub cmdline: String,
    /// Memory in MiB, without what the architecture's KASAN adds to it.
    pub memory_mib: u64,
    /// Number of vCPUs.
    pub cpus: u64,
    /// Number of swap disks.
    pub disks: u64,
    /// Size of each disk in MiB.
    pub disk_mib: u64,
    /// Private folder for console log, sockets and disks.
    pub dir: PathBuf,
    /// Whether a gdbstub is wanted. The machine then waits for it before its first instruction.
    pub gdb: bool,
    /// Whether the guest's port 22 is forwarded from a port of the loopback interface.
    pub ssh: bool,
    /// Leave the disks in the machine's folder.
    pub keep_disks: bool,
}

/// Name of the QMP socket in the machine's folder.
pub(super) const QMP_SOCKET: &str = "qmp.sock";
/// Name of the gdbstub socket in the machine's folder.
pub(super) const GDB_SOCKET: &str = "gdb.sock";

/// File name of disk number `index` in the machine's folder.
pub(super) fn disk_name(index: u64) -> String {
    format!("disk{index}.img")
}

impl VmSpec {
    /// QEMU's arguments, program name left out. Names without a slash lie in the machine's folder,
    /// which is QEMU's working directory.
    pub fn argv(&self) -> Vec<String> {
        let arch = self.arch;
        let (accel, cpu) = match self.accel {
            Accel::Kvm => ("kvm", arch.cpu_kvm),
            Accel::Tcg => ("tcg,thread=multi", arch.cpu_tcg),
        };
        let (machine, cpus) = self.kasan.map_or(("", &[][..]), |kasan| (kasan.machine, kasan.cpus));
        let cpu = self.cpu.as_deref().or(cpus.first().copied()).unwrap_or(cpu);
        let machine = format!("{}{machine}", arch.machine);
        let mut argv: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"]);
        add(&[
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ]);
        add(&["-machine", &machine, "-accel", accel, "-cpu", cpu]);
        add(arch.machine_args);
        let memory = format!("{}M", self.memory_mib.saturating_add(arch.kasan_mib));
        add(&["-smp", &self.cpus.to_string(), "-m", &memory]);
        add(&["-kernel", &path(&self.kernel), "-initrd", &path(&self.initramfs)]);
        add(&["-append", &self.cmdline]);
        add(&["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        // QEMU is the client of both sockets: we listen before it starts, so nobody polls.
        add(&["-chardev", &format!("socket,id=qmp,path={QMP_SOCKET}")]);
        add(&["-mon", "chardev=qmp,mode=control"]);
        if self.ssh {
            // The guest reaches nobody. The system picks the port, and QEMU tells which.
            add(&["-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]);
            add(&["-device", &format!("{},netdev=net", arch.net_device)]);
        }
        if self.gdb {
            add(&["-chardev", &format!("socket,id=gdb,path={GDB_SOCKET}")]);
            add(&["-gdb", "chardev:gdb", "-S"]);
        }
        for index in 0..self.disks {
            let file = disk_name(index);
            // A swap disk outlives nothing: no caching rules, no locks.
            let drive = format!(
                "file={file},if=none,id=disk{index},format=raw,cache=unsafe,file.locking=off"
            );
            add(&["-drive", &drive]);
            add(&["-device", &format!("{},drive=disk{index}", arch.disk_device)]);
        }
        argv
    }
}

fn path(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_the_cpu_checks_need_a_machine_and_a_cpu_with_them() {
        let arch = &host::arch::ARM64;
        let argv = |kasan: Option<&'static Kasan>, cpu: Option<&str>| {
            let spec = VmSpec {
                arch,
                accel: Accel::Tcg,
                cpu: cpu.map(str::to_owned),
                kasan,
                kernel: PathBuf::new(),
                initramfs: PathBuf::new(),
                cmdline: String::new(),
                memory_mib: 64,
                cpus: 1,
                disks: 0,
                disk_mib: 0,
                dir: PathBuf::new(),
                gdb: false,
                ssh: false,
                keep_disks: false,
            };
            let argv = spec.argv();
            let after = |name| argv.iter().skip_while(|arg| *arg != name).nth(1).unwrap().clone();
            (after("-machine"), after("-cpu"))
        };
        let hw_tags = arch.kasan_in(|option| option == "CONFIG_KASAN_HW_TAGS");
        let (machine, cpu) = argv(hw_tags, None);
        assert!(machine.ends_with(",mte=on") && cpu == "max", "{machine} {cpu}");
        assert_eq!(argv(hw_tags, Some("neoverse-n2")).1, "neoverse-n2");
        let plain = (arch.machine.to_owned(), arch.cpu_tcg.to_owned());
        assert_eq!(argv(arch.kasan_in(|_| true), None), plain);
        assert_eq!(argv(None, None), plain);
    }
}
