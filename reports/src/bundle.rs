// SPDX-License-Identifier: MIT OR Apache-2.0
//! The text files of a repro bundle: how somebody else repeats what a cell showed.
//!
//! The harness puts kernel, initramfs, configuration and patches beside them. `replay.sh` boots
//! exactly that machine again, without the harness. It does not hold the window open, since
//! that takes a debugger at the right instruction: `swapstorm repro` with the run's seed does.

use crate::escape::printable;
use crate::exit::Purpose;
use crate::render::words::{headline, verdict_lines};
use crate::run::{Boot, CellReport, RunReport};
use crate::shell;

/// Columns of README.
const WIDTH: usize = 72;

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// The run.
    pub report: &'a RunReport,
    /// The cell to repeat.
    pub cell: &'a CellReport,
    /// File name of the kernel image in the bundle.
    pub kernel: &'a str,
    /// File name of the initramfs in the bundle.
    pub initramfs: &'a str,
    /// Size of each swap disk in MiB.
    pub disk_mib: u64,
    /// Other files in the bundle and what they are: `("config", "the kernel's configuration")`.
    pub others: &'a [(&'a str, &'a str)],
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// File name, without a folder.
    pub name: &'static str,
    /// What it holds.
    pub contents: String,
    /// Whether it is a program.
    pub executable: bool,
}

impl Bundle<'_> {
    /// `README` and, if a machine was started, `replay.sh`.
    pub fn files(&self) -> Vec<BundleFile> {
        let mut files =
            vec![BundleFile { name: "README", contents: self.readme(), executable: false }];
        if let Some(contents) = self.boot().and_then(|boot| self.replay(boot)) {
            files.push(BundleFile { name: "replay.sh", contents, executable: true });
        }
        files
    }

    /// The machine that decided the verdict, or the last one.
    fn boot(&self) -> Option<&Boot> {
        self.cell.deciding_boot()
    }

    fn readme(&self) -> String {
        let cell = self.cell;
        let mut text =
            format!("{}: {}\n", printable(&cell.cell.kernel_name()), cell.verdict.word(),);
        // A bundle is written as soon as its cell is done; the run may have no answer yet.
        if self.report.finished() {
            text.push_str(&format!("{}\n", printable(&headline(self.report, Purpose::Repro))));
        }
        text.push('\n');
        for line in verdict_lines(cell) {
            text.push_str(&format!("  {}\n", printable(&line)));
        }
        text.push_str("\nTo repeat the whole run, windows held open included:\n\n");
        for line in shell::command(&self.report.repeat_command(), WIDTH).lines() {
            text.push_str(&format!("  {}\n", printable(line)));
        }
        if self.boot().is_some() {
            text.push_str(
                "\nTo boot this machine alone, without swapstorm (the race then has to come by\n\
                 itself, which may take long):\n\n  sh replay.sh\n",
            );
        }
        text.push_str("\nFiles:\n\n");
        let own = [(self.kernel, "the kernel"), (self.initramfs, "the initramfs")];
        for (name, what) in own.iter().chain(self.others) {
            text.push_str(&format!("  {:24} {}\n", printable(name), printable(what)));
        }
        if let Some(kernel) = &cell.kernel {
            text.push_str(&format!(
                "\nLinux {}\n{}\n{}\n",
                printable(&kernel.release),
                printable(&kernel.compiler),
                printable(&kernel.source)
            ));
            for patch in &kernel.patches {
                text.push_str(&format!("  + {}\n", printable(patch)));
            }
        }
        text
    }

    fn replay(&self, boot: &Boot) -> Option<String> {
        let (qemu, arguments) = boot.argv.split_first()?;
        let arguments = without_harness(arguments);
        let disks: Vec<&str> = arguments
            .iter()
            .filter(|(option, _)| *option == "-drive")
            .filter_map(|(_, value)| disk_file(value.as_deref()?))
            .collect();
        let mut script = format!(
            "#!/bin/sh\n\
             # SPDX-License-Identifier: MIT OR Apache-2.0\n\
             # Boots cell {} of a swapstorm run again: {}.\n\
             # Needs sh, mktemp, truncate and {}. Ctrl-C ends it.\n\
             set -eu\n\
             here=$(CDPATH='' cd -- \"$(dirname -- \"$0\")\" && pwd)\n\
             command -v {qemu} >/dev/null || {{\n\
             \techo \"replay.sh: {} is missing: install QEMU for this architecture\" >&2\n\
             \texit 3\n\
             }}\n\
             disks=$(mktemp -d)\n\
             trap 'rm -rf \"$disks\"' EXIT\n\
             trap 'exit 130' INT\n\
             trap 'exit 143' TERM\n\
             cd \"$disks\"\n",
            printable(&self.cell.cell.id),
            printable(&self.cell.cell.kernel_name()),
            printable(qemu),
            // Within double quotes.
            printable(qemu).replace(['"', '$', '`', '\\'], "?"),
            qemu = shell::quote(qemu),
        );
        for disk in &disks {
            script.push_str(&format!("truncate -s {}M {}\n", self.disk_mib, shell::quote(disk)));
        }
        script.push_str(&shell::quote(qemu));
        for (option, value) in &arguments {
            script.push_str(&format!(" \\\n\t{}", shell::quote(option)));
            let value = match (*option, value) {
                (_, None) => continue,
                ("-kernel", _) => format!("\"$here\"/{}", shell::quote(self.kernel)),
                ("-initrd", _) => format!("\"$here\"/{}", shell::quote(self.initramfs)),
                (_, Some(value)) => shell::quote(value),
            };
            script.push_str(&format!(" {value}"));
        }
        script.push('\n');
        Some(script)
    }
}

/// QEMU's options with their values, without those that only the harness can serve: its
/// sockets, and waiting for its debugger. Ctrl-C is for QEMU then, not for the guest.
fn without_harness(arguments: &[String]) -> Vec<(&str, Option<String>)> {
    let mut options: Vec<(&str, Option<String>)> = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(option) = rest.next() {
        let value = rest.next_if(|next| !next.starts_with('-')).cloned();
        options.push((option, value));
    }
    let sockets: Vec<String> = options
        .iter()
        .filter(|(option, _)| *option == "-chardev")
        .filter_map(|(_, value)| value.as_deref()?.strip_prefix("socket,"))
        .filter_map(|socket| socket.split(',').find_map(|part| part.strip_prefix("id=")))
        .map(str::to_owned)
        .collect();
    let is_socket = |value: &str| {
        value.starts_with("socket,")
            || sockets.iter().any(|id| {
                value.split(',').any(|part| {
                    part.strip_prefix("chardev:").or(part.strip_prefix("chardev=")) == Some(id)
                })
            })
    };
    options.retain(|(option, value)| {
        !matches!(*option, "-S" | "-s") && !value.as_deref().is_some_and(is_socket)
    });
    for (option, value) in &mut options {
        if let ("-chardev", Some(value)) = (*option, value) {
            *value = value.replace(",signal=off", "");
        }
    }
    options
}

/// The file of a `-drive` that lies in the machine's own folder.
fn disk_file(drive: &str) -> Option<&str> {
    let file = drive.split(',').find_map(|part| part.strip_prefix("file="))?;
    (!file.contains('/')).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::sample::events::{BUGGY, Log, good_repro};

    fn files(report: &RunReport) -> Vec<BundleFile> {
        let bundle = Bundle {
            report,
            cell: report.cell(BUGGY).unwrap(),
            kernel: "vmlinux",
            initramfs: "initramfs.cpio",
            disk_mib: 2,
            others: &[("config", "the kernel's configuration"), ("series/", "the patches")],
        };
        bundle.files()
    }

    #[test]
    fn a_bundle_says_how_to_repeat_the_run() {
        insta::assert_snapshot!(files(&good_repro().report())[0].contents, @r#"
debian-6.1: expected bug
Reproduced: the bug shows on debian-6.1, not with zswap-writeback-swapoff-6.1.

  KASAN: use-after-free Write in zswap_writeback_entry
  311 ms after the guest was ready
  1.7 s after QEMU's start

To repeat the whole run, windows held open included:

  swapstorm repro --kernel debian-6.1 --seed 42

To boot this machine alone, without swapstorm (the race then has to come by
itself, which may take long):

  sh replay.sh

Files:

  vmlinux                  the kernel
  initramfs.cpio           the initramfs
  config                   the kernel's configuration
  series/                  the patches

Linux 6.1.192
gcc (Debian 12.2.0-14+deb12u1) 12.2.0
linux-source-6.1 6.1.192-2, sha256 9d0f51c2
"#);
    }

    #[test]
    fn a_script_boots_the_same_machine_without_the_harness() {
        insta::assert_snapshot!(files(&good_repro().report())[1].contents, @r#"
#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Boots cell buggy of a swapstorm run again: debian-6.1.
# Needs sh, mktemp, truncate and qemu-system-x86_64. Ctrl-C ends it.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v qemu-system-x86_64 >/dev/null || {
	echo "replay.sh: qemu-system-x86_64 is missing: install QEMU for this architecture" >&2
	exit 3
}
disks=$(mktemp -d)
trap 'rm -rf "$disks"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$disks"
truncate -s 2M disk0.img
truncate -s 2M disk1.img
qemu-system-x86_64 \
	-nodefaults \
	-no-user-config \
	-display none \
	-nic none \
	-no-reboot \
	-machine q35 \
	-accel tcg,thread=multi \
	-cpu max \
	-smp 2 \
	-m 256M \
	-kernel "$here"/vmlinux \
	-initrd "$here"/initramfs.cpio \
	-append 'console=ttyS0 nokaslr kasan_multi_shot swapstorm.token=k3x9' \
	-chardev stdio,id=console \
	-serial chardev:console \
	-drive file=disk0.img,if=none,id=disk0,format=raw \
	-device virtio-blk-pci,drive=disk0 \
	-drive file=disk1.img,if=none,id=disk1,format=raw \
	-device virtio-blk-pci,drive=disk1
"#);
    }

    /// Runs the script with a QEMU that prints its arguments.
    fn run(script: &str, path: &std::path::Path) -> std::process::Output {
        std::fs::write(path.join("replay.sh"), script).expect("a file can be written");
        std::process::Command::new("sh")
            .arg(path.join("replay.sh"))
            .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
            .output()
            .expect("sh runs")
    }

    #[test]
    fn a_shell_takes_the_script_whatever_the_words() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("a folder");
        let mut log = Log::new().planned(BUGGY).started(BUGGY, 1).finished(BUGGY);
        for event in &mut log.events {
            match &mut event.what {
                What::CellPlanned { cell } => cell.kernel = "x\n$(touch owned)".to_owned(),
                What::VmStarted { argv, .. } => {
                    argv[0] = "my qemu$(touch owned)`touch owned`\"".to_owned();
                    let at = argv.iter().position(|word| word == "-append").expect("it is there");
                    argv[at + 1] = "a='b c' $(touch owned) \\".to_owned();
                }
                _ => {}
            }
        }
        let script = files(&log.report())[1].contents.clone();
        let missing = run(&script, dir.path());
        assert_eq!(missing.status.code(), Some(3), "{missing:?}");

        let qemu = dir.path().join("my qemu$(touch owned)`touch owned`\"");
        std::fs::write(&qemu, "#!/bin/sh\nprintf '%s\\n' \"$@\"; ls -s *.img >/dev/null\n")
            .unwrap();
        std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = run(&script, dir.path());
        let words = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{script}");
        assert!(words.contains("-append\na='b c' $(touch owned) \\\n"), "{words}");
        assert!(words.contains(&format!("-kernel\n{}/vmlinux\n", dir.path().display())), "{words}");
        assert!(!words.contains("socket") && !words.contains("-gdb") && !words.contains("\n-S\n"));
        assert!(!dir.path().join("owned").exists());
    }

    #[test]
    fn a_cell_that_never_booted_has_no_script() {
        let report = Log::new().planned(BUGGY).finished(BUGGY).end(false).report();
        assert_eq!(files(&report).len(), 1);
    }
}
