// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of cells: kernels are made, machines watched, bundles written. What fails on the way is
//! logged as the cell's failure, and Ctrl-C drops what is being done.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::arch::{Arch, Kasan};
use images::ImageArtifact;
use kernels::KernelArtifact;
use reports::event::{Cell, Fault, KernelFacts, What};
use reports::exit::Purpose;
use reports::render;
use reports::rule::Rule;
use reports::run::CellReport;
use workloads::Profile;

use crate::cell::{self, Job};
use crate::cli::Places;
use crate::commands::machine::Machine;
use crate::error::Error;
use crate::event_log::EventLog;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::View;
use crate::remote::{self, Credentials, RemoteJob, Target, Terms};
use crate::run_folder::{self, BundleSources};
use crate::stretch::StretchPlan;
use crate::timeouts::Timeouts;
use crate::vm::{Accel, VmSpec, accel};
use crate::workshop::{self, KernelChoice, Workshop};

/// What is the same for every cell of a run.
#[derive(Debug)]
pub struct Settings<'a> {
    /// What the run is for.
    pub purpose: Purpose,
    /// The user's changes to the guests' machine.
    pub machine: &'a Machine,
    /// The user's factor on every limit of patience.
    pub scale: f64,
    /// Longest storm in each guest.
    pub budget: Duration,
    /// Leave the guests' disks in the run's folder.
    pub keep_disks: bool,
}

/// A run that is under way.
pub struct Session<'a> {
    /// The store and the data.
    pub workshop: &'a Workshop,
    /// The run's folder.
    pub dir: PathBuf,
    /// The run itself.
    pub log: EventLog<'a>,
    view: &'a View,
    interrupt: Interrupt,
    settings: Settings<'a>,
}

/// A kernel that cells can boot, and where to stretch in it.
#[derive(Debug)]
pub struct Side {
    choice: KernelChoice,
    kernel: KernelArtifact,
    facts: KernelFacts,
    kasan: Option<&'static Kasan>,
    stretch: Option<Arc<StretchPlan>>,
}

/// What the machines of an architecture run on.
#[derive(Debug)]
pub struct Platform {
    initramfs: ImageArtifact,
    accel: Accel,
}

/// A machine that runs its kernel already.
#[derive(Debug)]
pub struct Place {
    /// Where it is.
    pub target: Target,
    /// What it should be.
    pub arch: &'static Arch,
    /// How to log in.
    pub credentials: Credentials,
    /// What is allowed there.
    pub terms: Terms,
}

/// Why a step did not come to its end. What the user must know is in the event log by then.
#[derive(Debug)]
pub enum Cut {
    /// It failed.
    Failed(Failed),
    /// Ctrl-C.
    Interrupted,
    /// The event log, or a file that is made from it, cannot be written.
    Log(io::Error),
}

/// A failure as it was logged.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Which kind.
    pub fault: Fault,
    /// The error and its hint.
    pub detail: String,
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Log(error)
    }
}

impl Side {
    /// What decides which machine it runs on: the architecture, and the mode of KASAN.
    pub fn platform_key(&self) -> (&'static str, &'static str) {
        (self.choice.arch.name, self.kasan.map_or("", |kasan| kasan.mode))
    }
}

impl<'a> Session<'a> {
    /// Makes the folder of a run of `command` and begins its event log.
    pub fn begin(
        command: &str,
        seed: u64,
        workshop: &'a Workshop,
        places: &Places,
        view: &'a View,
        settings: Settings<'a>,
    ) -> Result<Self, Error> {
        let interrupt = Interrupt::listen()?;
        let dir = places.new_run(command)?;
        let mut log = EventLog::create(&dir, |event| view.event(event))?;
        log.run_started(seed)?;
        Ok(Self { workshop, dir, log, view, interrupt, settings })
    }

    /// True once the user wants us to stop.
    pub fn interrupted(&self) -> bool {
        self.interrupt.requested()
    }

    /// Logs the end of the run, writes its reports and prints one; the result is the exit code.
    pub fn end(mut self, json: bool, printer: &Printer) -> Result<u8, Error> {
        self.view.clear();
        self.log.emit(What::RunFinished { interrupted: self.interrupted() })?;
        let purpose = self.settings.purpose;
        let report = self.log.report();
        run_folder::write_reports(&self.dir, &report, purpose)?;
        if json {
            printer.data(&render::json(&report, purpose));
        } else {
            printer.data(&render::text(&report, purpose, printer.look));
            printer.say(&format!("\nreport, consoles and repro bundles: {}", self.dir.display()));
        }
        Ok(report.exit_code(purpose).code())
    }

    /// Writes the reports as far as the run has come: what was learned so far survives whatever
    /// comes.
    pub fn write_reports(&self) -> io::Result<()> {
        run_folder::write_reports(&self.dir, &self.log.report(), self.settings.purpose)
    }

    /// Logs a failure as the cell's, which ends it.
    pub fn fail(&mut self, cell: &Cell, failed: &Failed) -> io::Result<()> {
        if self.log.report().cell(&cell.id).is_none() {
            self.log.emit(What::CellPlanned { cell: cell.clone() })?;
        }
        let Failed { fault, detail } = failed.clone();
        let cell = cell.id.clone();
        self.log.emit(What::CellFailed { cell: cell.clone(), fault, detail })?;
        self.log.emit(What::CellFinished { cell })
    }

    /// Runs a step of a cell's preparation. Dropping it, on Ctrl-C, kills what it had started.
    async fn step<T>(
        &mut self,
        cell: &Cell,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Cut> {
        let done = tokio::select! {
            done = step => done,
            () = self.interrupt.wait() => return Err(Cut::Interrupted),
        };
        match done {
            Ok(done) => Ok(done),
            Err(error) => {
                let failed = Failed { fault: error.fault, detail: error.to_string() };
                self.fail(cell, &failed)?;
                Err(Cut::Failed(failed))
            }
        }
    }

    /// The initramfs for an architecture, after a look at its QEMU: a missing one is better
    /// known before minutes of compiling than after.
    pub async fn initramfs(
        &mut self,
        cell: &Cell,
        arch: &'static Arch,
    ) -> Result<ImageArtifact, Cut> {
        let workshop = self.workshop;
        let made = async {
            accel::qemu_version(arch.qemu).await?;
            workshop.initramfs(arch).await
        };
        self.step(cell, made).await
    }

    /// Makes the kernel of a cell, unless the bug that `profile` expects cannot show in it.
    pub async fn side(
        &mut self,
        cell: &Cell,
        choice: &KernelChoice,
        profile: &Profile,
        stretch: bool,
    ) -> Result<Side, Cut> {
        let (workshop, view, machine) = (self.workshop, self.view, self.settings.machine);
        let began = Instant::now();
        let made = async {
            let config = workshop.config(choice, view).await?;
            let unmet = profile.unmet(|option| Some(config.value(option).to_owned()));
            if let Some(unmet) = unmet.first() {
                return Err(Error::new(Fault::Unreachable, unmet));
            }
            let kasan = choice.arch.kasan_in(|option| config.value(option) == "y");
            machine.suits(kasan)?;
            let kernel = workshop.kernel(choice, view).await?;
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let stretch = match stretch {
                true => Some(workshop.stretch_plan(choice.arch, &kernel, profile)?),
                false => None,
            };
            for reason in stretch.iter().flat_map(|plan| &plan.left_out) {
                view.line(&format!("{}: a stretch point is left out: {reason}", cell.id));
            }
            let facts = workshop::facts(&kernel, ms);
            Ok(Side { choice: choice.clone(), kernel, facts, kasan, stretch })
        };
        self.step(cell, made).await
    }

    /// Chooses the accelerator, for which `side`'s kernel may have to speak.
    pub async fn platform(
        &mut self,
        cell: &Cell,
        side: &Side,
        profile: &Profile,
        initramfs: ImageArtifact,
    ) -> Result<Platform, Cut> {
        if let Some(accel) = self.settings.machine.accel {
            return Ok(Platform { initramfs, accel });
        }
        let (workshop, view) = (self.workshop, self.view);
        let arch = side.choice.arch;
        let probe = tempfile::tempdir_in(&self.dir)?;
        let spec = VmSpec {
            arch,
            accel: Accel::Tcg,
            cpu: self.settings.machine.cpu.clone(),
            kasan: side.kasan,
            kernel: side.kernel.image(&arch.images[0]),
            initramfs: initramfs.path.clone(),
            cmdline: cell::cmdline(arch, Accel::Kvm, profile, 0, "probe"),
            memory_mib: profile.guest.memory_mib,
            cpus: 1,
            disks: 0,
            disk_mib: 0,
            dir: probe.path().to_owned(),
            gdb: false,
            ssh: false,
            keep_disks: false,
        };
        let chosen = async {
            view.begin("choosing the accelerator");
            let version = accel::qemu_version(arch.qemu).await?;
            let proof = accel::choose(workshop.store.root(), &spec, &version).await?;
            view.line(&format!("{arch}: accelerator {} ({})", proof.accel, proof.why));
            Ok(proof.accel)
        };
        let accel = self.step(cell, chosen).await?;
        Ok(Platform { initramfs, accel })
    }

    /// Boots and watches a cell.
    pub async fn boot(
        &mut self,
        cell: &Cell,
        side: &Side,
        profile: &Profile,
        rule: Option<&Rule>,
        platform: &Platform,
    ) -> Result<(), Cut> {
        let (id, kernel) = (cell.id.clone(), side.facts.clone());
        self.log.emit(What::KernelReady { cell: id, kernel })?;
        let Settings { machine, scale, budget, keep_disks, .. } = self.settings;
        let job = Job {
            cell,
            arch: side.choice.arch,
            kernel: &side.kernel,
            initramfs: &platform.initramfs.path,
            profile,
            stretch: side.stretch.clone(),
            rule,
            accel: platform.accel,
            cpu: machine.cpu.as_deref(),
            kasan: side.kasan,
            timeouts: Timeouts::new(platform.accel, scale),
            budget,
            dir: self.dir.join(&cell.id),
            memory: self.workshop.store.path("boot-images"),
            keep_disks,
        };
        cell::run(&job, &mut self.log, &mut self.interrupt).await?;
        if self.interrupted() { Err(Cut::Interrupted) } else { Ok(()) }
    }

    /// Runs a cell on a machine that runs its kernel already.
    pub async fn visit(
        &mut self,
        cell: &Cell,
        place: &Place,
        profile: &Profile,
        rule: Option<&Rule>,
    ) -> Result<(), Cut> {
        let job = RemoteJob {
            cell,
            target: &place.target,
            arch: place.arch,
            credentials: &place.credentials,
            terms: &place.terms,
            profile,
            rule,
            // Such a machine is as quick as one under KVM.
            timeouts: Timeouts::new(Accel::Kvm, self.settings.scale),
            budget: self.settings.budget,
            dir: self.dir.join(&cell.id),
            store: &self.workshop.store,
        };
        remote::run(&job, &mut self.log, &mut self.interrupt).await?;
        if self.interrupted() { Err(Cut::Interrupted) } else { Ok(()) }
    }

    /// Writes the repro bundle of a cell that showed a bug, unless an earlier cell of its kernel
    /// showed the same.
    pub fn bundle(
        &self,
        id: &str,
        side: &Side,
        profile: &Profile,
        platform: &Platform,
    ) -> io::Result<()> {
        let report = self.log.report();
        let shown = |cell: &CellReport| cell.deciding_bug().map(|bug| bug.finding.title.clone());
        let Some(cell) = report.cell(id) else { return Ok(()) };
        let Some(title) = shown(cell) else { return Ok(()) };
        let kernel = |cell: &CellReport| cell.kernel.as_ref().map(|kernel| kernel.key.clone());
        let mut earlier = report.cells.iter().take_while(|other| other.cell.id != id);
        if earlier
            .any(|other| kernel(other) == kernel(cell) && shown(other).as_ref() == Some(&title))
        {
            return Ok(());
        }
        let arch = side.choice.arch;
        let images: Vec<PathBuf> = arch.images.iter().map(|i| side.kernel.image(i)).collect();
        let sources = BundleSources {
            kernel: &side.kernel,
            images: &images,
            initramfs: &platform.initramfs.path,
            series: side.choice.series.as_ref(),
            disk_mib: profile.guest.disk_mib,
        };
        run_folder::write_bundle(&self.dir, &report, cell, &sources)
    }
}
