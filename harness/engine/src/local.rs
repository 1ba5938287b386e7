// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries out units on this machine.
//!
//! What hashes, copies or parses runs on a thread of its own, so that it holds up no watch.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use host::arch::{Arch, Kasan};
use host::store::Store;
use images::ImageArtifact;
use kernels::{KernelArtifact, OnProgress, Progress};
use machine::accel::{self, Proof};
use machine::{Accel, Timeouts, VmSpec};
use reports::event::Fault;
use reports::run::{CellReport, RunReport};
use workloads::Profile;

use crate::cell::{self, QemuCell};
use crate::error::Error;
use crate::executor::{Executor, Failed};
use crate::fit::{fit, variant, with_kernel};
use crate::guest::GuestOptions;
use crate::host_facts;
use crate::job::{CellJob, Ground, Group, Room};
use crate::points;
use crate::prepared::{Prepared, cmdline};
use crate::run_folder::{self, BundleSources};
use crate::trouble::{Lookout, Trouble};
use crate::unit::{Context, on_a_thread};
use crate::visit::Visit;
use crate::workshop::{self, KernelChoice, Workshop};
use workloads::profile::Clock;

/// Share of the free memory that guests may have, in percent: compilers and caches want some, too.
const MEMORY_SHARE: u64 = 80;
/// A processor carries so many of guests: theirs wait for windows, disks and grace periods about half of the time.
/// `swapstorm repro --jobs 1` beside `--jobs 2` shows it.
const VCPUS_PER_CPU: u64 = 2;

/// This machine.
#[derive(Debug, Clone)]
pub struct Local(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    workshop: Workshop,
    settings: Settings,
    room: Room,
    lookout: Lookout,
    /// What was found out for each architecture and mode of KASAN.
    accelerators: Mutex<BTreeMap<(&'static str, &'static str), Proof>>,
}

/// What is the same for all units.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The user's changes to the guests' machine.
    pub guest: GuestOptions,
    /// The user's factor on every limit of patience.
    pub scale: f64,
    /// The run's folder.
    pub dir: PathBuf,
    /// Leave the guests' disks in the run's folder.
    pub keep_disks: bool,
    /// What guests are booted with.
    pub image: Image,
    /// So many guests side by side; `None`: as CPUs, memory and disk allow.
    pub jobs: Option<u64>,
}

/// What guests are booted with.
#[derive(Debug, Clone)]
pub enum Image {
    /// The guest agent alone.
    Agent,
    /// A recipe by its name, or by the path of a YAML file, which holds the agent, too.
    Recipe(String),
}

/// What the cells of a group run on.
#[derive(Debug, Clone)]
pub enum Ready {
    /// A kernel of ours.
    Qemu(Arc<Prepared>),
    /// A machine that runs its kernel already.
    Target,
}

impl Local {
    /// This machine, with the data and the store of `workshop`.
    ///
    /// # Errors
    /// Those of asking the system for its free memory and disk.
    pub fn new(workshop: Workshop, settings: Settings) -> Result<Self, Error> {
        let room = room(&settings)?;
        let accelerators = Mutex::default();
        let lookout = Lookout::new(vec![settings.dir.clone(), workshop.store.root().to_owned()]);
        Ok(Self(Arc::new(Shared { workshop, settings, room, lookout, accelerators })))
    }
}

impl Local {
    /// How many guests of this group fit beside each other, from 1.
    pub fn guests_side_by_side(&self, group: &Group) -> u32 {
        let room = self.room();
        let needs = self.needs_of(group, &group.profile);
        let by = |has: u64, takes: u64| has.checked_div(takes).unwrap_or(u64::MAX);
        let fit = by(room.cpus, needs.cpus)
            .min(by(room.memory_mib, needs.memory_mib))
            .min(by(room.disk_mib, needs.disk_mib));
        u32::try_from(fit).unwrap_or(u32::MAX).max(1)
    }

    /// Builds a kernel alone, or finds it.
    ///
    /// # Errors
    /// Those of the build.
    pub async fn build(
        &self,
        choice: &KernelChoice,
        progress: OnProgress<'_>,
    ) -> Result<KernelArtifact, Error> {
        self.0.workshop.kernel(choice, progress).await
    }

    /// Copies a kernel that was built into the store `to`.
    ///
    /// # Errors
    /// Those of both stores.
    pub async fn hand_over(&self, kernel: &KernelArtifact, to: &Store) -> Result<(), Error> {
        self.0.workshop.hand_over(kernel, to).await
    }

    fn needs_of(&self, group: &Group, profile: &Profile) -> Room {
        match &group.ground {
            Ground::Target(_) => Room::NONE,
            Ground::Qemu(_) if self.0.settings.jobs.is_some() => Room { cpus: 1, ..Room::NONE },
            Ground::Qemu(choice) => Room::of_guest(profile, choice.arch),
        }
    }
}

/// What guests may take of this machine.
fn room(settings: &Settings) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(&settings.dir)?;
    let available = host_facts::available_mib().unwrap_or(u64::MAX / 100);
    Ok(Room {
        cpus: host_facts::cpus() as u64 * VCPUS_PER_CPU,
        memory_mib: available * MEMORY_SHARE / 100,
        disk_mib: disk.f_bavail.saturating_mul(disk.f_frsize) >> 20,
    })
}

/// Refuses a guest that would be given up for its silence between two samples that are as they should be.
fn speaks_in_time(profile: &Profile, limits: &Timeouts) -> Result<(), Error> {
    let sampling = profile.storm.sampling();
    let most = limits.silence.min(limits.answer);
    if sampling < most {
        return Ok(());
    }
    let words = format!(
        "the profile {} samples every {} ms, and a guest that says nothing for {} ms is taken for dead\n  \
         hint: a smaller `sample_ms`",
        profile.name,
        sampling.as_millis(),
        most.as_millis()
    );
    Err(Error::new(Fault::Configuration, words))
}

impl Shared {
    /// Makes what the cells of a group need.
    async fn prepare(
        &self,
        choice: &KernelChoice,
        group: &Group,
        cell: &str,
        context: &Context,
    ) -> Result<Prepared, Error> {
        let (workshop, settings) = (&self.workshop, &self.settings);
        let arch = choice.arch;
        // A missing QEMU is better known before minutes of compiling than after.
        let version = accel::qemu_version(arch.qemu).await?;
        let initramfs = match &settings.image {
            Image::Agent => workshop.initramfs(arch).await?,
            Image::Recipe(recipe) => {
                let notice = |text: &str| context.building(cell, recipe, Progress::Notice(text));
                workshop.guest_image(arch, recipe, &notice).await?
            }
        };
        let name = choice.name();
        let progress = |progress: Progress<'_>| context.building(cell, &name, progress);
        let began = Instant::now();
        let config = workshop.config(choice, &progress).await?;
        // What the bug needs is of no matter where none is expected: any kernel will do.
        let suit = if group.rule.is_some() { fit } else { variant };
        let mut profile = with_kernel(&config, |kernel| suit(&group.profile, kernel))?;
        settings.guest.change(&mut profile);
        let kasan = arch.kasan_in(|option| config.value(option) == "y");
        settings.guest.suits(kasan)?;
        settings.guest.suits_clock(&profile)?;
        let kernel = workshop.kernel(choice, &progress).await?;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stretch = match group.technique.stretches() {
            true => Some(workshop.stretch_plan(arch, &kernel, &profile)?),
            false => None,
        };
        let accel = self.accelerator(arch, &profile, &kernel, kasan, &initramfs, &version).await?;
        let hunt = match group.technique.hunts() {
            true => Some(workshop.hunt_plan(arch, &kernel, group, accel.accel)?),
            false => None,
        };
        speaks_in_time(&profile, &Timeouts::new(accel.accel, profile.clock, settings.scale))?;
        let facts = workshop::facts(&kernel, ms);
        let choice = choice.clone();
        let cpu = settings.guest.cpu.clone();
        Ok(Prepared { choice, kernel, facts, kasan, profile, stretch, hunt, initramfs, accel, cpu })
    }

    /// Chooses the accelerator, for which the kernel may have to speak.
    async fn accelerator(
        &self,
        arch: &'static Arch,
        profile: &Profile,
        kernel: &KernelArtifact,
        kasan: Option<&'static Kasan>,
        initramfs: &ImageArtifact,
        version: &str,
    ) -> Result<Proof, Error> {
        let settings = &self.settings;
        if profile.clock.is_virtual() {
            let why = "on the virtual clock, instructions are counted, as only TCG does".to_owned();
            return Ok(Proof { accel: Accel::Tcg, why });
        }
        if let Some(accel) = settings.guest.accel {
            return Ok(Proof { accel, why: "--accel names it".to_owned() });
        }
        let key = (arch.name, kasan.map_or("", |kasan| kasan.mode));
        let known = || self.accelerators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proof) = known().get(&key) {
            return Ok(proof.clone());
        }
        let probe = tempfile::tempdir_in(&settings.dir)?;
        let spec = VmSpec {
            arch,
            accel: Accel::Tcg,
            cpu: settings.guest.cpu.clone(),
            kasan,
            kernel: kernel.image(&arch.images[0]),
            initramfs: initramfs.path.clone(),
            cmdline: cmdline(arch, Accel::Kvm, profile, (0, "probe", 0)),
            memory_mib: profile.guest.memory_mib,
            cpus: 1,
            virtual_clock: None,
            disks: 0,
            disk_mib: 0,
            dir: probe.path().to_owned(),
            gdb: false,
            debugger: None,
            ssh: false,
            keep_disks: false,
        };
        let root = self.workshop.store.root();
        let memory = self.workshop.store.path(cell::BOOT_IMAGES);
        let has_spoken = cell::remembered_image(&memory, kernel.key.as_str()).is_some();
        let proof = accel::choose(root, &spec, version, settings.scale, has_spoken).await?;
        known().insert(key, proof.clone());
        Ok(proof)
    }
}

impl Executor for Local {
    type Ready = Ready;

    fn room(&self) -> Room {
        match self.0.settings.jobs {
            // Whoever says how many knows what the machine can take.
            Some(jobs) => Room { cpus: jobs, memory_mib: u64::MAX, disk_mib: u64::MAX },
            None => self.0.room,
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.0.lookout.look()
    }

    fn needs(&self, job: &CellJob, ready: &Ready) -> Room {
        match ready {
            Ready::Qemu(made) => self.needs_of(&job.group, &made.profile),
            Ready::Target => Room::NONE,
        }
    }

    fn prepare(
        &self,
        group: Arc<Group>,
        cell: String,
        context: Context,
    ) -> impl Future<Output = Result<Option<Ready>, Failed>> + Send + 'static {
        let shared = Arc::clone(&self.0);
        async move {
            let Ground::Qemu(choice) = &group.ground else { return Ok(Some(Ready::Target)) };
            let choice = choice.clone();
            let interrupt = context.interrupt.clone();
            let made = on_a_thread(interrupt, move || async move {
                let made = shared.prepare(&choice, &group, &cell, &context).await?;
                Ok(Ready::Qemu(Arc::new(made)))
            });
            made.await.transpose().map_err(Failed::from)
        }
    }

    fn run(
        &self,
        job: CellJob,
        ready: Ready,
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static {
        let shared = Arc::clone(&self.0);
        async move {
            let settings = &shared.settings;
            let dir = settings.dir.join(&job.cell.id);
            let CellJob { cell, group, budget, tries, first_boot, .. } = job;
            match (ready, &group.ground) {
                (Ready::Qemu(made), _) => {
                    context.tell(made.ready(&cell.id)).await;
                    if let Some(plan) = &made.stretch {
                        for event in points::events(&cell.id, plan) {
                            context.tell(event).await;
                        }
                    }
                    if let Some(plan) = &made.hunt {
                        context.tell(crate::hunt::chosen(&cell.id, plan)).await;
                        if let Some(earlier) = &group.earlier {
                            for event in crate::hunt::known(&cell.id, earlier) {
                                context.tell(event).await;
                            }
                        }
                    }
                    let cell = QemuCell {
                        cell,
                        rule: group.rule.clone(),
                        timeouts: made.timeouts(settings.scale),
                        made,
                        budget,
                        tries,
                        first_boot,
                        dir,
                        memory: shared.workshop.store.path(cell::BOOT_IMAGES),
                        keep_disks: settings.keep_disks,
                    };
                    cell.run(&context).await
                }
                (Ready::Target, Ground::Target(place)) => {
                    let visit = Visit {
                        cell: &cell,
                        place,
                        profile: &group.profile,
                        rule: group.rule.as_ref(),
                        // Such a machine is as quick as one under KVM.
                        timeouts: Timeouts::new(Accel::Kvm, Clock::Wall, settings.scale),
                        budget,
                        dir,
                        store: &shared.workshop.store,
                    };
                    visit.run(&context).await
                }
                (Ready::Target, Ground::Qemu(_)) => Ok(()),
            }
        }
    }

    /// Writes the repro bundle of a cell that showed a bug, unless an earlier cell of its kernel
    /// showed the same.
    fn keep(
        &self,
        _job: &CellJob,
        ready: &Ready,
        cell: &CellReport,
        report: &RunReport,
    ) -> io::Result<()> {
        let Ready::Qemu(made) = ready else { return Ok(()) };
        if !run_folder::is_first_of_its_bug(&self.0.settings.dir, cell, report) {
            return Ok(());
        }
        let images: Vec<PathBuf> =
            made.choice.arch.images.iter().map(|image| made.kernel.image(image)).collect();
        let sources = BundleSources {
            kernel: &made.kernel,
            images: &images,
            initramfs: &made.initramfs.path,
            series: made.choice.series.as_ref(),
            disk_mib: made.profile.guest.disk_mib,
        };
        run_folder::write_bundle(&self.0.settings.dir, report, cell, &sources)
    }
}

/// A unit of the caller's, which runs a cell in QEMU in place of a storm: somebody logs in to its guest, or its start
/// is measured.
pub trait GuestUnit: Send + Sync + 'static {
    /// Runs the cell to its end. `dir` is the cell's own folder.
    fn run(
        &self,
        job: &CellJob,
        made: &Arc<Prepared>,
        dir: PathBuf,
        context: &Context,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// This machine, with a unit of the caller's for its cells.
#[derive(Debug)]
pub struct Guesthouse<U> {
    local: Local,
    unit: Arc<U>,
}

impl<U: GuestUnit> Guesthouse<U> {
    /// What `local` makes ready is run by `unit`.
    pub fn new(local: Local, unit: Arc<U>) -> Self {
        Self { local, unit }
    }
}

impl<U: GuestUnit> Executor for Guesthouse<U> {
    type Ready = Ready;

    fn room(&self) -> Room {
        self.local.room()
    }

    fn needs(&self, job: &CellJob, ready: &Ready) -> Room {
        self.local.needs(job, ready)
    }

    fn prepare(
        &self,
        group: Arc<Group>,
        cell: String,
        context: Context,
    ) -> impl Future<Output = Result<Option<Ready>, Failed>> + Send + 'static {
        self.local.prepare(group, cell, context)
    }

    fn run(
        &self,
        job: CellJob,
        ready: Ready,
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static {
        let (unit, dir) = (Arc::clone(&self.unit), self.local.0.settings.dir.join(&job.cell.id));
        async move {
            let Ready::Qemu(made) = ready else { return Ok(()) };
            context.tell(made.ready(&job.cell.id)).await;
            unit.run(&job, &made, dir, &context).await.map_err(Failed::from)
        }
    }

    /// Such cells show nothing that somebody might want to see again.
    fn keep(
        &self,
        _job: &CellJob,
        _ready: &Ready,
        _cell: &CellReport,
        _report: &RunReport,
    ) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_more_often_than_patience_ends() {
        let limits = Timeouts::new(Accel::Kvm, Clock::Wall, 1.0);
        let mut profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
        assert!(speaks_in_time(&profile, &limits).is_ok());
        profile.storm.sample_ms = Some(1_000);
        assert!(speaks_in_time(&profile, &limits).is_ok());
        profile.storm.sample_ms = Some(3_600_000);
        let error = speaks_in_time(&profile, &limits).unwrap_err();
        assert_eq!(error.fault, Fault::Configuration);
        assert!(error.to_string().contains("sample_ms"), "{error}");
    }
}
