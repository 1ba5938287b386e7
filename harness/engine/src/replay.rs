// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine on the virtual clock, started again as an event log has it.
//!
//! What decides what a machine does is taken from the log: the words, the seed, memory and CPU. Kernel and image are
//! made, or found in the store, as the cell names them; whether they are still the same is told. A log is not
//! trusted: nothing of it becomes an argument of QEMU's but numbers, the name of a CPU and the kernel's words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use machine::{Timeouts, VmSpec};
use reports::event::{Fault, What};
use reports::run::{Boot, CellReport};

use crate::cell::QemuCell;
use crate::error::Error;
use crate::job::CellJob;
use crate::local::GuestUnit;
use crate::points;
use crate::prepared::Prepared;
use crate::unit::Context;

/// Longer than anybody debugs.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A machine as an event log has it.
#[derive(Debug, Clone)]
pub struct Original {
    /// Which attempt it was, from 1.
    pub boot: u32,
    /// Its seed.
    pub seed: u64,
    /// The kernel command line.
    pub cmdline: String,
    /// Files that it was booted from.
    image: Option<PathBuf>,
    initramfs: Option<PathBuf>,
    /// The kernel's key in the store.
    kernel: String,
    memory_mib: u64,
    cpu: String,
}

impl Original {
    /// The machine `boot` of `cell`.
    ///
    /// # Errors
    /// Says what the log lacks.
    pub fn of(cell: &CellReport, boot: &Boot) -> Result<Self, Error> {
        let lacks = |what: &str| {
            let words = format!("the log does not say {what} of boot {}", boot.number);
            Error::new(Fault::Configuration, words)
        };
        let memory_mib = boot.option("-m").and_then(|text| text.strip_suffix('M')?.parse().ok());
        let is_plain = |model: &&str| {
            model.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.,=+-".contains(&b))
        };
        let cpu = boot.option("-cpu").filter(is_plain);
        Ok(Self {
            boot: boot.number,
            seed: boot.seed.ok_or_else(|| lacks("the seed"))?,
            cmdline: boot.cmdline.clone(),
            image: boot.option("-kernel").map(PathBuf::from),
            initramfs: boot.option("-initrd").map(PathBuf::from),
            kernel: cell.kernel.as_ref().map(|kernel| kernel.key.clone()).unwrap_or_default(),
            memory_mib: memory_mib.ok_or_else(|| lacks("the memory"))?,
            cpu: cpu.ok_or_else(|| lacks("the CPU"))?.to_owned(),
        })
    }

    /// The machine to be, which is `machine` but for what the log says.
    fn again(&self, made: &Prepared, machine: VmSpec, debugger: Option<&Path>) -> VmSpec {
        let arch = machine.arch;
        let image = arch.images.iter().find(|image| {
            let file = Path::new(image.path).file_name();
            self.image.as_ref().is_some_and(|booted| booted.file_name() == file)
        });
        VmSpec {
            kernel: made.kernel.image(image.unwrap_or(&arch.images[0])),
            cmdline: self.cmdline.clone(),
            memory_mib: self.memory_mib.saturating_sub(arch.kasan_mib),
            cpu: Some(self.cpu.clone()),
            debugger: debugger.map(Path::to_owned),
            ..machine
        }
    }

    /// What is not as it was in what the machine is made of, in words for a person.
    fn changes(&self, made: &Prepared) -> Vec<String> {
        let mut changes = Vec::new();
        let key = made.kernel.key.as_str();
        if key != self.kernel {
            changes.push(format!("the kernel is another: {key}, and it was {}", self.kernel));
        }
        let entry = |path: &Path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned);
        let image = self.initramfs.as_deref().and_then(entry);
        if image.is_some() && image != entry(&made.initramfs.path) {
            changes.push("the guest's programs are others than they were".to_owned());
        }
        changes
    }
}

/// Starts a machine again, in place of a storm.
#[derive(Debug)]
pub struct Replay {
    /// The machine.
    pub original: Original,
    /// The user's factor on every limit of patience.
    pub scale: f64,
    /// Where a debugger of the user's can attach.
    pub debugger: Option<PathBuf>,
    /// How a debugger attaches, in words: to the kernel whose symbols the first file has, by the socket.
    pub attach: fn(&Path, &Path) -> String,
}

impl GuestUnit for Replay {
    async fn run(
        &self,
        job: &CellJob,
        made: &Arc<Prepared>,
        dir: PathBuf,
        context: &Context,
    ) -> Result<(), Error> {
        let original = &self.original;
        let id = &job.cell.id;
        if let Some(plan) = &made.stretch {
            for event in points::events(id, plan) {
                context.tell(event).await;
            }
        }
        let limits = made.timeouts(self.scale);
        let timeouts = match self.debugger {
            Some(_) => Timeouts {
                first_byte: FOR_EVER,
                ready: FOR_EVER,
                silence: FOR_EVER,
                progress: FOR_EVER,
                ..limits
            },
            None => limits,
        };
        let unit = QemuCell {
            cell: job.cell.clone(),
            made: Arc::clone(made),
            tries: 1,
            first_boot: 1,
            rule: job.group.rule.clone(),
            timeouts,
            budget: job.budget,
            dir,
            memory: PathBuf::new(),
            keep_disks: false,
        };
        let debugger = self.debugger.as_deref();
        let attach = debugger.map(|socket| (self.attach)(&made.kernel.vmlinux(), socket));
        for text in original.changes(made).into_iter().chain(attach) {
            context.tell(What::Notice { cell: Some(id.clone()), text }).await;
        }
        let change = |machine: VmSpec| original.again(made, machine, debugger);
        unit.attempt(original.boot, original.seed, change, context).await?;
        Ok(())
    }
}
