// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm repro`: the race on a kernel as it is, and the fixed kernel clean beside it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use images::ImageArtifact;
use kernels::KernelArtifact;
use reports::event::{Cell, Exposure, Fault, KernelFacts, What};
use reports::exit::Purpose;
use reports::render;
use reports::rule::Rule;
use reports::run::{Boot, CellReport, RunReport};
use workloads::Profile;

use super::machine::Machine;
use super::usage;
use crate::cell::{self, Job};
use crate::cli::Places;
use crate::error::Error;
use crate::event_log::EventLog;
use crate::host_facts;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::View;
use crate::random::Random;
use crate::run_folder::{self, BundleSources};
use crate::stretch::StretchPlan;
use crate::timeouts::Timeouts;
use crate::vm::{Accel, VmSpec, accel};
use crate::workshop::{self, KernelChoice, Workshop};

/// How the race is provoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Technique {
    /// By load alone.
    Natural,
    /// By making tasks sleep inside the window.
    Stretch,
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Natural => "natural",
            Self::Stretch => "stretch",
        })
    }
}

/// Options of `repro`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel manifest
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// The series that fixes it: a name, a path with a slash in it, REPO:A..B or
    /// lore:MESSAGE-ID
    #[arg(long, default_value = "zswap-writeback-swapoff-6.1")]
    series: String,
    /// The series that puts the bug into a kernel without it, which then is the fixed one
    #[arg(long, value_name = "SERIES", conflicts_with = "series")]
    reintroduce: Option<String>,
    /// Profile of the storm
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How to provoke the race
    #[arg(long, value_enum, default_value_t = Technique::Stretch)]
    technique: Technique,
    /// Longest storm in each guest, e.g. 90s or 10m
    #[arg(long, default_value = "2m", value_parser = duration)]
    budget: Duration,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// How often to do all of it, each time with a seed of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Leave the guests' disks in the run's folder
    #[arg(long)]
    keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let duration = parsed.ok().and_then(|d| Duration::try_from(d).ok());
    duration
        .filter(|d| (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(d))
        .ok_or_else(|| "expected a time from 1s to 24h, such as 90s or 10m".to_owned())
}

/// Everything that was asked for, read and checked.
struct Plan {
    buggy: KernelChoice,
    fixed: KernelChoice,
    profile: Profile,
    rule: Rule,
    scale: f64,
    seed: u64,
}

/// Both sides, made.
struct Prepared {
    buggy: Side,
    fixed: Side,
    initramfs: ImageArtifact,
    accel: Accel,
}

/// A kernel and where to stretch in it.
struct Side {
    kernel: KernelArtifact,
    facts: KernelFacts,
    stretch: Option<Arc<StretchPlan>>,
}

/// Why the work ended early. What the user must know is in the event log by then.
enum Cut {
    /// Ctrl-C, or the failure of a cell.
    Stopped,
    /// The event log cannot be written.
    Log(io::Error),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Log(error)
    }
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(places)?;
    let plan = Plan::new(options, &workshop).await?;
    let mut interrupt = Interrupt::listen()?;
    let dir = places.new_run("repro")?;
    let view = View::new(printer);
    let mut log = EventLog::create(&dir, |event| view.event(event))?;
    log.emit(What::RunStarted {
        format: reports::event::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().skip(1).collect(),
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seed: plan.seed,
        host: host_facts::gather(),
    })?;
    log.emit(What::RuleLoaded { rule: plan.rule.clone() })?;
    let mut repro = Repro {
        options,
        workshop: &workshop,
        plan: &plan,
        dir: &dir,
        view: &view,
        log,
        interrupt: &mut interrupt,
    };
    let worked = repro.work().await;
    view.clear();
    if let Err(Cut::Log(error)) = worked {
        return Err(error.into());
    }
    repro.log.emit(What::RunFinished { interrupted: repro.interrupt.requested() })?;
    let report = repro.log.report();
    run_folder::write_reports(&dir, &report, Purpose::Repro)?;
    if options.json {
        printer.data(&render::json(&report, Purpose::Repro));
    } else {
        printer.data(&render::text(&report, Purpose::Repro, printer.look));
        printer.say(&format!("\nreport, consoles and repro bundle: {}", dir.display()));
    }
    Ok(report.exit_code(Purpose::Repro).code())
}

impl Plan {
    /// Reads and checks everything that was asked for, before anything is made.
    async fn new(options: &Options, workshop: &Workshop) -> Result<Self, Error> {
        let arch = Workshop::arch(&options.arch)?;
        let manifest = workshop.library.manifest(&options.kernel)?;
        let series = options.reintroduce.as_ref().unwrap_or(&options.series);
        let series = workshop.library.obtain_series(series).await?;
        let mut profile = workshop.profile(&options.profile)?;
        options.machine.change(&mut profile);
        let Some(expect) = &profile.expect else {
            let words = format!(
                "the profile {} expects no bug: there is nothing to reproduce",
                profile.name
            );
            return Err(usage(words));
        };
        let rule = workshop.rule(expect)?;
        let scale = Timeouts::scale_from_env().map_err(usage)?;
        let plain =
            KernelChoice { manifest: manifest.clone(), series: None, fragments: Vec::new(), arch };
        let patched = KernelChoice { manifest, series: Some(series), fragments: Vec::new(), arch };
        let (buggy, fixed) =
            if options.reintroduce.is_some() { (patched, plain) } else { (plain, patched) };
        let seed = options.seed.unwrap_or_else(seed_from_clock);
        Ok(Self { buggy, fixed, profile, rule, scale, seed })
    }
}

fn seed_from_clock() -> u64 {
    // Printed, logged and short enough to be typed again.
    jiff::Timestamp::now().as_millisecond().unsigned_abs() % 1_000_000_000
}

/// A run of the command.
struct Repro<'a, 'log> {
    options: &'a Options,
    workshop: &'a Workshop,
    plan: &'a Plan,
    dir: &'a Path,
    view: &'a View,
    log: EventLog<'log>,
    interrupt: &'a mut Interrupt,
}

impl Repro<'_, '_> {
    async fn work(&mut self) -> Result<(), Cut> {
        let mut buggy = self.cell(1, false, None);
        self.log.emit(What::CellPlanned { cell: buggy.clone() })?;
        let made = self.prepare(&buggy).await?;
        for run in 1..=self.options.runs {
            if run > 1 {
                buggy = self.cell(run, false, None);
                self.log.emit(What::CellPlanned { cell: buggy.clone() })?;
            }
            self.boot(&buggy, &made.buggy, &made).await?;
            let report = self.log.report();
            let seen = report.cell(&buggy.id);
            if !seen.is_some_and(|cell| cell.boots.iter().any(Boot::ready)) {
                // Nothing can be compared with a guest that never came up.
                run_folder::write_reports(self.dir, &report, Purpose::Repro)?;
                return Ok(());
            }
            let shown = seen.map(|cell| cell.exposure).unwrap_or_default();
            let fixed = self.cell(run, true, Some(cell::tenfold(&shown)));
            self.log.emit(What::CellPlanned { cell: fixed.clone() })?;
            self.boot(&fixed, &made.fixed, &made).await?;
            // What was learned so far survives whatever comes.
            let report = self.log.report();
            run_folder::write_reports(self.dir, &report, Purpose::Repro)?;
            self.bundle(&report, &buggy.id, &made.buggy, &made)?;
            self.bundle(&report, &fixed.id, &made.fixed, &made)?;
        }
        Ok(())
    }

    /// A cell of run number `run`.
    fn cell(&self, run: u32, fixed: bool, wanted: Option<Exposure>) -> Cell {
        let Plan { profile, seed, .. } = self.plan;
        let side = if fixed { "fixed" } else { "buggy" };
        let choice = if fixed { &self.plan.fixed } else { &self.plan.buggy };
        Cell {
            id: if self.options.runs == 1 { side.to_owned() } else { format!("{side}-{run}") },
            kernel: choice.manifest.name.clone(),
            series: choice.series.as_ref().map(|series| series.name.clone()),
            arch: choice.arch.name.to_owned(),
            profile: profile.name.clone(),
            technique: self.options.technique.to_string(),
            seed: Random::new(seed.wrapping_add(u64::from(run) - 1), side).next(),
            expect: profile.expect.clone(),
            should_show: Some(!fixed),
            wanted,
        }
    }

    /// Makes both kernels and the initramfs and chooses the accelerator.
    async fn prepare(&mut self, buggy: &Cell) -> Result<Prepared, Cut> {
        let (workshop, plan, view) = (self.workshop, self.plan, self.view);
        let arch = plan.buggy.arch;
        // A missing QEMU is better known before minutes of compiling than after.
        let qemu = async { Ok(accel::qemu_version(arch.qemu).await?) };
        let version = step(&mut self.log, self.interrupt, buggy, qemu).await?;
        let initramfs =
            step(&mut self.log, self.interrupt, buggy, workshop.initramfs(arch)).await?;
        let buggy_side = self.side(buggy, &plan.buggy).await?;
        let fixed_side = self.side(&self.cell(1, true, None), &plan.fixed).await?;
        let accel = async {
            if let Some(forced) = self.options.machine.accel {
                return Ok(forced);
            }
            view.begin("choosing the accelerator");
            let probe = tempfile::tempdir_in(self.dir)?;
            let spec = VmSpec {
                arch,
                accel: Accel::Tcg,
                cpu: self.options.machine.cpu.clone(),
                kernel: buggy_side.kernel.image(&arch.images[0]),
                initramfs: initramfs.path.clone(),
                cmdline: cell::cmdline(arch, Accel::Kvm, &plan.profile, 0, "probe"),
                memory_mib: plan.profile.guest.memory_mib,
                cpus: 1,
                disks: 0,
                disk_mib: 0,
                dir: probe.path().to_owned(),
                gdb: false,
                ssh: false,
                keep_disks: false,
            };
            let proof = accel::choose(workshop.store.root(), &spec, &version).await?;
            view.line(&format!("accelerator: {} ({})", proof.accel, proof.why));
            Ok(proof.accel)
        };
        let accel = step(&mut self.log, self.interrupt, buggy, accel).await?;
        Ok(Prepared { buggy: buggy_side, fixed: fixed_side, initramfs, accel })
    }

    /// Makes the kernel of a cell, unless the bug cannot show in it.
    async fn side(&mut self, cell: &Cell, choice: &KernelChoice) -> Result<Side, Cut> {
        let (workshop, plan, view) = (self.workshop, self.plan, self.view);
        let began = Instant::now();
        let gate = async {
            let config = workshop.config(choice, view).await?;
            match plan.profile.unmet(|option| Some(config.value(option).to_owned())).first() {
                Some(unmet) => Err(Error::new(Fault::Unreachable, unmet)),
                None => Ok(()),
            }
        };
        step(&mut self.log, self.interrupt, cell, gate).await?;
        let kernel = workshop.kernel(choice, view);
        let kernel = step(&mut self.log, self.interrupt, cell, kernel).await?;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stretch = async {
            Ok(match self.options.technique {
                Technique::Natural => None,
                Technique::Stretch => {
                    Some(workshop.stretch_plan(choice.arch, &kernel, &plan.profile)?)
                }
            })
        };
        let stretch = step(&mut self.log, self.interrupt, cell, stretch).await?;
        for reason in stretch.iter().flat_map(|plan| &plan.left_out) {
            view.line(&format!("{}: a stretch point is left out: {reason}", cell.id));
        }
        let facts = workshop::facts(&kernel, ms);
        Ok(Side { kernel, facts, stretch })
    }

    /// Boots and watches a cell.
    async fn boot(&mut self, cell: &Cell, side: &Side, made: &Prepared) -> Result<(), Cut> {
        let (id, kernel) = (cell.id.clone(), side.facts.clone());
        self.log.emit(What::KernelReady { cell: id, kernel })?;
        let timeouts = Timeouts::new(made.accel, self.plan.scale);
        let job = Job {
            cell,
            arch: self.plan.buggy.arch,
            kernel: &side.kernel,
            initramfs: &made.initramfs.path,
            profile: &self.plan.profile,
            stretch: side.stretch.clone(),
            rule: Some(&self.plan.rule),
            accel: made.accel,
            cpu: self.options.machine.cpu.as_deref(),
            timeouts,
            budget: self.options.budget,
            dir: self.dir.join(&cell.id),
            memory: self.workshop.store.path("boot-images"),
            keep_disks: self.options.keep,
        };
        cell::run(&job, &mut self.log, self.interrupt).await?;
        if self.interrupt.requested() { Err(Cut::Stopped) } else { Ok(()) }
    }

    /// Writes the repro bundle of a cell that showed a bug, unless an earlier cell showed the same.
    fn bundle(&self, report: &RunReport, id: &str, side: &Side, made: &Prepared) -> io::Result<()> {
        let shown = |cell: &CellReport| cell.deciding_bug().map(|bug| bug.finding.title.clone());
        let Some(cell) = report.cell(id) else { return Ok(()) };
        let Some(title) = shown(cell) else { return Ok(()) };
        let earlier = report.cells.iter().take_while(|other| other.cell.id != id);
        let mut earlier = earlier.filter(|other| other.cell.series == cell.cell.series);
        if earlier.any(|other| shown(other).as_ref() == Some(&title)) {
            return Ok(());
        }
        let arch = self.plan.buggy.arch;
        let images: Vec<PathBuf> = arch.images.iter().map(|i| side.kernel.image(i)).collect();
        let choices = [&self.plan.buggy, &self.plan.fixed];
        let series = choices.into_iter().find_map(|choice| choice.series.as_ref());
        let sources = BundleSources {
            kernel: &side.kernel,
            images: &images,
            initramfs: &made.initramfs.path,
            series: series.filter(|_| cell.cell.series.is_some()),
            disk_mib: self.plan.profile.guest.disk_mib,
        };
        run_folder::write_bundle(self.dir, report, cell, &sources)
    }
}

/// Runs a step of a cell's preparation. A failure is logged as the cell's; Ctrl-C drops the step,
/// which kills what it had started.
async fn step<T>(
    log: &mut EventLog<'_>,
    interrupt: &mut Interrupt,
    cell: &Cell,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Cut> {
    let done = tokio::select! {
        done = step => done,
        () = interrupt.wait() => return Err(Cut::Stopped),
    };
    match done {
        Ok(done) => Ok(done),
        Err(error) => {
            if log.report().cell(&cell.id).is_none() {
                log.emit(What::CellPlanned { cell: cell.clone() })?;
            }
            let (cell, fault) = (cell.id.clone(), error.fault);
            log.emit(What::CellFailed { cell: cell.clone(), fault, detail: error.to_string() })?;
            log.emit(What::CellFinished { cell })?;
            Err(Cut::Stopped)
        }
    }
}
