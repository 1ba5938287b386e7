// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's argument vector, from the architecture table and what a virtual machine shall have.

use std::path::PathBuf;

use host::arch::{Arch, Kasan};

use crate::accel::Accel;

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
    /// Its time goes by its own instructions, and what QEMU draws follows from this seed; `None`: its time is the
    /// host's. Only under [`Accel::Tcg`].
    pub virtual_clock: Option<u64>,
    /// Number of swap disks.
    pub disks: u64,
    /// Size of each disk in MiB.
    pub disk_mib: u64,
    /// Private folder for console log, sockets and disks.
    pub dir: PathBuf,
    /// Whether a gdbstub is wanted. The machine then waits for it before its first instruction.
    pub gdb: bool,
    /// Where a debugger of the user's can attach to a gdbstub: a socket that QEMU makes. The machine then waits for it. Not
    /// together with `gdb`.
    pub debugger: Option<PathBuf>,
    /// Whether the guest's port 22 is forwarded from a port of the loopback interface.
    pub ssh: bool,
    /// Leave the disks in the machine's folder.
    pub keep_disks: bool,
}

/// Name of the QMP socket in the machine's folder.
pub(super) const QMP_SOCKET: &str = "qmp.sock";
/// Name of the gdbstub socket in the machine's folder.
pub(super) const GDB_SOCKET: &str = "gdb.sock";

/// An instruction takes 2^2 ns. Where the guest waits, its time jumps to the next timer's (`sleep=off`), and it never
/// waits for the host's (`align=off`).
const ICOUNT: &str = "shift=2,sleep=off,align=off";
/// The date at which such a guest starts, and its clock for it.
const RTC: &str = "base=2026-01-01T00:00:00,clock=vm";

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
            Accel::Tcg if self.virtual_clock.is_some() => ("tcg,thread=single", arch.cpu_tcg),
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
        if let Some(seed) = self.virtual_clock {
            add(&["-icount", ICOUNT, "-rtc", RTC, "-seed", &seed.to_string()]);
        }
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
        if let Some(socket) = &self.debugger {
            add(&["-gdb", &format!("unix:{},server=on,wait=off", path(socket)), "-S"]);
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

    fn arm64() -> VmSpec {
        VmSpec {
            arch: &host::arch::ARM64,
            accel: Accel::Tcg,
            cpu: None,
            kasan: None,
            kernel: PathBuf::new(),
            initramfs: PathBuf::new(),
            cmdline: String::new(),
            memory_mib: 64,
            cpus: 1,
            virtual_clock: None,
            disks: 0,
            disk_mib: 0,
            dir: PathBuf::new(),
            gdb: false,
            debugger: None,
            ssh: false,
            keep_disks: false,
        }
    }

    /// What stands behind an option.
    fn after(argv: &[String], option: &str) -> Option<String> {
        argv.iter().skip_while(|arg| *arg != option).nth(1).cloned()
    }

    #[test]
    fn a_virtual_clock_counts_the_instructions_of_one_thread() {
        let argv = VmSpec { virtual_clock: Some(7), ..arm64() }.argv();
        assert_eq!(after(&argv, "-accel").unwrap(), "tcg,thread=single");
        assert_eq!(after(&argv, "-seed").unwrap(), "7");
        assert!(after(&argv, "-icount").unwrap().contains("sleep=off"));
        assert!(after(&argv, "-rtc").unwrap().ends_with(",clock=vm"));
        let argv = arm64().argv();
        assert_eq!(after(&argv, "-accel").unwrap(), "tcg,thread=multi");
        assert!(["-icount", "-rtc", "-seed"].iter().all(|option| after(&argv, option).is_none()));
    }

    #[test]
    fn tags_that_the_cpu_checks_need_a_machine_and_a_cpu_with_them() {
        let arch = &host::arch::ARM64;
        let argv = |kasan: Option<&'static Kasan>, cpu: Option<&str>| {
            let argv = VmSpec { cpu: cpu.map(str::to_owned), kasan, ..arm64() }.argv();
            (after(&argv, "-machine").unwrap(), after(&argv, "-cpu").unwrap())
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
