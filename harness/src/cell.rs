// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one cell: boots its kernel, watches the storm, and tries again when the machine
//! under us was at fault. A kernel report is followed by another try only where the expected
//! bug should show and a related one came first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use host::arch::{Arch, Kasan};
use kernels::KernelArtifact;
use reports::event::{Cell, Exposure, Fault, VmEnd, What};
use reports::rule::Rule;
use workloads::Profile;

use crate::error::Error;
use crate::event_log::EventLog;
use crate::interrupt::Interrupt;
use crate::random::Random;
use crate::stretch::{Counts, StretchError, StretchPlan, Stretcher};
use crate::timeouts::Timeouts;
use crate::vm::{Accel, Vm, VmSpec};
use crate::watch::{Assignment, Ended, Stretching, watch};

/// So many machines are started for a cell before its trouble is taken for lasting.
const MOST_BOOTS: u32 = 3;

/// A cell with everything that its machines need.
#[derive(Debug)]
pub struct Job<'a> {
    /// The cell as it stands in the event log.
    pub cell: &'a Cell,
    /// Its architecture.
    pub arch: &'static Arch,
    /// Its kernel.
    pub kernel: &'a KernelArtifact,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// Its profile.
    pub profile: &'a Profile,
    /// Where to stretch; `None` for the natural technique.
    pub stretch: Option<Arc<StretchPlan>>,
    /// The expected bug.
    pub rule: Option<&'a Rule>,
    /// What carries the guest.
    pub accel: Accel,
    /// A CPU model other than the architecture's.
    pub cpu: Option<&'a str>,
    /// The kernel's mode of KASAN.
    pub kasan: Option<&'static Kasan>,
    /// Limits of patience.
    pub timeouts: Timeouts,
    /// Longest storm.
    pub budget: Duration,
    /// Folder in which each boot gets one of its own.
    pub dir: PathBuf,
    /// Where it is remembered which image of a kernel boots.
    pub memory: PathBuf,
    /// Leave the guest's disks in the machine's folder.
    pub keep_disks: bool,
}

/// Runs the cell to its end. Errors are those of writing the event log; everything else is in it.
pub async fn run(
    job: &Job<'_>,
    log: &mut EventLog<'_>,
    interrupt: &mut Interrupt,
) -> io::Result<()> {
    let cell = job.cell.id.clone();
    let images: Vec<PathBuf> =
        job.arch.images.iter().map(|image| job.kernel.image(image)).collect();
    let key = job.kernel.key.as_str();
    let mut image = remembered_image(&job.memory, key).min(images.len() - 1);
    let mut tries = 0;
    for boot in 1.. {
        let ended = one_boot(job, boot, &images[image], log, interrupt).await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let (fault, detail) = (error.fault, error.to_string());
                log.emit(What::CellFailed { cell: cell.clone(), fault, detail })?;
                Ended {
                    why: VmEnd::QemuDied,
                    spoke: false,
                    reported: false,
                    derailed: false,
                    done: None,
                }
            }
        };
        if ended.spoke {
            remember_image(&job.memory, key, image)?;
        }
        let worth_another = ended.derailed
            || match ended.why {
                VmEnd::QemuDied | VmEnd::NeverSpoke | VmEnd::NeverReady => !ended.reported,
                _ => false,
            };
        // Some kernels die before their first line when they are entered one way, and boot the other.
        let other_way = ended.why == VmEnd::NeverSpoke && image + 1 < images.len();
        if other_way {
            image += 1;
        } else {
            tries += 1;
        }
        if !worth_another || tries == MOST_BOOTS || interrupt.requested() {
            break;
        }
    }
    log.emit(What::CellFinished { cell })
}

async fn one_boot(
    job: &Job<'_>,
    boot: u32,
    image: &Path,
    log: &mut EventLog<'_>,
    interrupt: &mut Interrupt,
) -> Result<Ended, Error> {
    let cell = &job.cell.id;
    let token = format!("{:016x}", Random::new(job.cell.seed, "token").next());
    let seed = Random::new(job.cell.seed, "guest").next();
    let spec = VmSpec {
        arch: job.arch,
        accel: job.accel,
        cpu: job.cpu.map(str::to_owned),
        kasan: job.kasan,
        kernel: image.to_owned(),
        initramfs: job.initramfs.to_owned(),
        cmdline: cmdline(job.arch, job.accel, job.profile, seed, &token),
        memory_mib: job.profile.guest.memory_mib,
        cpus: job.profile.guest.cpus,
        disks: job.profile.guest.disks,
        disk_mib: job.profile.guest.disk_mib,
        dir: job.dir.join(format!("boot-{boot}")),
        gdb: job.stretch.is_some(),
        ssh: false,
        keep_disks: job.keep_disks,
    };
    log.emit(What::VmStarted {
        cell: cell.clone(),
        boot,
        accel: job.accel.to_string(),
        argv: [job.arch.qemu.to_owned()].into_iter().chain(spec.argv()).collect(),
        cmdline: spec.cmdline.clone(),
    })?;
    let mut vm = Vm::start(&spec, job.timeouts.start).await?;
    let stretching = match (&job.stretch, vm.gdb.take()) {
        (Some(plan), Some(stream)) => {
            let counts = Arc::new(Counts::default());
            let random = Random::new(job.cell.seed, "stretch");
            let started = Stretcher::start(stream, Arc::clone(plan), Arc::clone(&counts), random);
            let stretcher = started.await.map_err(broken_stub)?;
            Some(Stretching { counts, task: tokio::spawn(stretcher.run()) })
        }
        _ => None,
    };
    let assignment = Assignment {
        cell,
        boot,
        token: &token,
        dir: &spec.dir,
        expected: job.rule,
        only_expected: job.cell.should_show == Some(true),
        wanted: job.cell.wanted,
        budget: job.budget,
        timeouts: job.timeouts,
        done: None,
    };
    Ok(watch(&mut vm, stretching, &assignment, log, interrupt).await?)
}

fn broken_stub(error: StretchError) -> Error {
    Error::new(Fault::Infrastructure, format!("cannot stretch with this QEMU: {error}"))
}

/// The kernel command line for a guest.
pub fn cmdline(arch: &Arch, accel: Accel, profile: &Profile, seed: u64, token: &str) -> String {
    // The storm has no end of its own: the harness decides when it has seen enough.
    let storm = profile.cmdline(seed, token, 0);
    let fast = if accel == Accel::Tcg { arch.cmdline_tcg } else { "" };
    let (console, end) =
        (format!("console={}", arch.console), format!("swapstorm.end={}", arch.end));
    let words = [&console, arch.cmdline, fast, "panic=-1", &storm, &end];
    words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Which of a kernel's images has spoken before; the first one if none has.
fn remembered_image(memory: &Path, key: &str) -> usize {
    let text = fs::read_to_string(memory.join(key)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn remember_image(memory: &Path, key: &str, image: usize) -> io::Result<()> {
    if remembered_image(memory, key) == image {
        return Ok(());
    }
    fs::create_dir_all(memory)?;
    fs::write(memory.join(key), image.to_string())
}

/// Ten times the exposure at which the bug showed: what a clean kernel must survive.
pub fn tenfold(shown: &Exposure) -> Exposure {
    let ten = |count: u64| count.max(1).saturating_mul(10);
    let windows = if shown.windows == 0 { 0 } else { ten(shown.windows) };
    Exposure { swapoffs: ten(shown.swapoffs), windows, ..Exposure::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_nothing_is_still_something() {
        let shown = Exposure { windows: 2, swapoffs: 0, ..Exposure::default() };
        let wanted = tenfold(&shown);
        assert_eq!((wanted.windows, wanted.swapoffs), (20, 10));
        assert_eq!(tenfold(&Exposure::default()).windows, 0);
    }

    #[test]
    fn the_image_that_booted_is_remembered_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("boot-images");
        assert_eq!(remembered_image(&memory, "k"), 0);
        remember_image(&memory, "k", 1).unwrap();
        assert_eq!(remembered_image(&memory, "k"), 1);
        fs::write(memory.join("k"), "garbage").unwrap();
        assert_eq!(remembered_image(&memory, "k"), 0);
    }
}
