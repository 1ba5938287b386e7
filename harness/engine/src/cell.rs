// SPDX-License-Identifier: MIT OR Apache-2.0
//! The unit of one cell in QEMU: boots its kernel, has the storm watched, and tries again when the machine
//! under us was at fault. A kernel report is followed by another try only where the expected
//! bug should show and a related one came first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use machine::hunt::Hunter;
use machine::stretch::{Counts, StretchError, Stretcher};
use machine::{Kind, Random, Timeouts, Vm, VmSpec};
use reports::event::{Cell, Fault, Meaning, VmEnd, What};
use reports::rule::Rule;

use crate::error::Error;
use crate::executor::Failed;
use crate::hunt::Line;
use crate::judge::{Assignment, Ended};
use crate::points;
use crate::prepared::Prepared;
use crate::unit::Context;
use crate::watch::{Stretching, watch};

/// Folder of the store in which it is remembered which image of a kernel boots.
pub const BOOT_IMAGES: &str = "boot-images";

/// A cell with everything that its machines need.
#[derive(Debug)]
pub struct QemuCell {
    /// The cell as it stands in the event log.
    pub cell: Cell,
    /// Its kernel, and everything around it.
    pub made: Arc<Prepared>,
    /// The expected bug.
    pub rule: Option<Rule>,
    /// Limits of patience.
    pub timeouts: Timeouts,
    /// Longest storm, in guest time.
    pub budget: Duration,
    /// So many machines are started before its trouble is taken for lasting.
    pub tries: u32,
    /// Number of its first machine; those before it were of a run that was killed.
    pub first_boot: u32,
    /// Folder in which each boot gets one of its own.
    pub dir: PathBuf,
    /// Where it is remembered which image of a kernel boots.
    pub memory: PathBuf,
    /// Leave the guest's disks in the machine's folder.
    pub keep_disks: bool,
}

impl QemuCell {
    /// Runs the cell to its end.
    pub async fn run(&self, context: &Context) -> Result<(), Failed> {
        self.all_boots(context).await.map_err(|error| Failed::from(Error::from(error)))
    }

    async fn all_boots(&self, context: &Context) -> io::Result<()> {
        let Prepared { choice, kernel, .. } = &*self.made;
        let images: Vec<PathBuf> =
            choice.arch.images.iter().map(|image| kernel.image(image)).collect();
        let key = kernel.key.as_str();
        let mut image = remembered_image(&self.memory, key).unwrap_or(0).min(images.len() - 1);
        let mut tries = 0;
        for boot in self.first_boot.. {
            let ended = match self.one_boot(boot, &images[image], context).await {
                Ok(ended) => ended,
                Err(error) => {
                    let (cell, fault) = (self.cell.id.clone(), error.fault);
                    let detail = error.to_string();
                    context.tell(What::CellFailed { cell, fault, detail }).await;
                    Ended::without_a_word(VmEnd::QemuDied)
                }
            };
            if ended.spoke {
                remember_image(&self.memory, key, image)?;
            }
            // Some kernels die before their first line when they are entered one way, and boot
            // the other.
            let other_way = ended.why == VmEnd::NeverSpoke && image + 1 < images.len();
            if other_way {
                image += 1;
            } else {
                tries += 1;
            }
            if !is_worth_another(&ended) || tries >= self.tries || context.is_to_stop() {
                break;
            }
        }
        Ok(())
    }

    async fn one_boot(&self, boot: u32, image: &Path, context: &Context) -> Result<Ended, Error> {
        // Each attempt draws numbers of its own: the same trouble need not come again. A cell whose run was killed draws
        // the same as it did before, so that the run comes to what it would have come to.
        let attempt = boot - self.first_boot + 1;
        let seed = Random::new(self.cell.seed, &format!("attempt {attempt}")).draw();
        self.attempt(boot, seed, |machine| VmSpec { kernel: image.to_owned(), ..machine }, context)
            .await
    }

    /// Starts the machine number `boot`, which draws from `seed` and is changed by `change`, and has it watched.
    pub(crate) async fn attempt(
        &self,
        boot: u32,
        seed: u64,
        change: impl FnOnce(VmSpec) -> VmSpec,
        context: &Context,
    ) -> Result<Ended, Error> {
        let cell = self.cell.id.clone();
        let token = format!("{:016x}", Random::new(seed, "token").draw());
        let guest = Random::new(seed, "guest").draw();
        let made = &self.made;
        let is_virtual = made.profile.clock.is_virtual();
        let seconds = if is_virtual { whole_seconds(self.budget) } else { 0 };
        let spec = change(VmSpec {
            gdb: made.stretch.is_some() || made.hunt.is_some(),
            keep_disks: self.keep_disks,
            ..made.machine(guest, &token, seconds, self.dir.join(format!("boot-{boot}")))
        });
        context.tell(made.started(&cell, boot, seed, &spec)).await;
        let mut vm = Vm::start(&spec, self.timeouts.start).await?;
        let random = || Random::new(seed, "stretch");
        let stretching = match (&made.stretch, &made.hunt, vm.gdb.take()) {
            (_, Some(plan), Some(stream)) => {
                let (line, cues, notes) = Line::new();
                let hunter = Hunter::start(stream, Arc::clone(plan), random(), cues, notes);
                Some(Stretching::hunt(line, hunter.await.map_err(broken_stub)?.run()))
            }
            (Some(plan), None, Some(stream)) => {
                let counts = Arc::new(Counts::of(plan));
                let stretcher =
                    Stretcher::start(stream, Arc::clone(plan), Arc::clone(&counts), random());
                let stretcher = stretcher.await.map_err(broken_stub)?;
                Some(Stretching::start(counts, stretcher.run()))
            }
            _ => None,
        };
        let assignment = Assignment {
            cell,
            boot,
            token,
            kind: Kind::Qemu,
            expected: self.rule.clone(),
            only_expected: self.cell.should_show == Some(true),
            wanted: self.cell.wanted,
            // Whoever debugs the machine may take his time.
            budget: spec.debugger.is_none().then_some(self.budget),
            clock: made.profile.clock,
            sampling: made.profile.storm.sampling(),
            points: made.stretch.as_deref().map(points::placed).unwrap_or_default(),
            hunted: made.hunt.is_some(),
            ready: None,
            timeouts: self.timeouts,
        };
        Ok(watch(&mut vm, stretching, assignment, &spec.dir, context).await?)
    }
}

/// The agent's unit for a storm's length; it has 0 for one without end.
fn whole_seconds(length: Duration) -> u64 {
    (length.as_secs() + u64::from(length.subsec_nanos() > 0)).max(1)
}

/// Whether another machine may answer what this one did not.
fn is_worth_another(ended: &Ended) -> bool {
    match (ended.why, ended.why.meaning()) {
        _ if ended.derailed => true,
        (VmEnd::NeverSpoke | VmEnd::NeverReady, _) | (_, Meaning::Host) => !ended.reported,
        _ => false,
    }
}

fn broken_stub(error: StretchError) -> Error {
    Error::new(Fault::Infrastructure, format!("cannot stretch with this QEMU: {error}"))
}

/// Which of a kernel's images has spoken before; `None` if none has.
pub fn remembered_image(memory: &Path, key: &str) -> Option<usize> {
    fs::read_to_string(memory.join(key)).ok()?.trim().parse().ok()
}

fn remember_image(memory: &Path, key: &str, image: usize) -> io::Result<()> {
    if remembered_image(memory, key) == Some(image) {
        return Ok(());
    }
    fs::create_dir_all(memory)?;
    fs::write(memory.join(key), image.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_that_booted_is_remembered_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("boot-images");
        assert_eq!(remembered_image(&memory, "k"), None);
        remember_image(&memory, "k", 1).unwrap();
        assert_eq!(remembered_image(&memory, "k"), Some(1));
        fs::write(memory.join("k"), "garbage").unwrap();
        assert_eq!(remembered_image(&memory, "k"), None);
    }

    #[test]
    fn the_host_is_given_another_chance_and_a_kernel_that_reported_is_not() {
        let ended = |why, reported| Ended { reported, ..Ended::without_a_word(why) };
        for why in [VmEnd::QemuDied, VmEnd::Starved, VmEnd::StretcherDied, VmEnd::NeverReady] {
            assert!(is_worth_another(&ended(why, false)), "{why:?}");
            assert!(!is_worth_another(&ended(why, true)), "{why:?}");
        }
        for why in [VmEnd::DidNotStop, VmEnd::WentSilent, VmEnd::MethodFault, VmEnd::Budget] {
            assert!(!is_worth_another(&ended(why, false)), "{why:?}");
        }
        let derailed = Ended { derailed: true, ..ended(VmEnd::Derailed, true) };
        assert!(is_worth_another(&derailed));
    }
}
