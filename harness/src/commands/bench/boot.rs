// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench boot`: how long a guest takes to start.
//!
//! A boot is a cell, run by a unit that measures it and watches no storm.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use engine::dispatcher::Campaign;
use engine::job::{CellJob, Ground, Group};
use engine::local::{GuestUnit, Guesthouse, Image, Local, Settings};
use engine::prepared::Prepared;
use engine::unit::Context;
use engine::workshop::{KernelChoice, Workshop};
use engine::{Error, GuestOptions, Run};
use machine::{Accel, Machine as _, News, Timeouts, Vm, VmSpec};
use reports::event::{Cell, Fault, VmEnd, What};
use reports::exit::{ExitCode, Purpose};
use reports::run::{NO_TECHNIQUE, RunReport};
use reports::telemetry::{Telemetry, TelemetryReader};
use serde::Serialize;
use tokio::time::{Duration, Instant, timeout_at};
use workloads::profile::{Clock, Technique};

use super::super::usage;
use super::median;
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// The agent's nonce in a benchmark.
const TOKEN: &str = "bench";
/// Nothing is random in a guest that is only started.
const SEED: u64 = 1;
/// Bytes of a console read at once.
const CHUNK: usize = 16 << 10;

/// Options of `bench boot`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Profile whose guest is booted
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// Boots of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Use this accelerator, unproven
    #[arg(long, value_parser = super::super::machine::accel())]
    accel: Option<Accel>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Seconds of every boot, in the order in which they were made.
#[derive(Debug, Clone, Default, Serialize)]
struct Measured {
    accel: String,
    kernel: String,
    /// QEMU's start to the agent's first line.
    agent_up: Vec<f64>,
    /// QEMU's start to its exit, with an init that only powers off.
    reference: Vec<f64>,
    /// Median of the first by median of the second.
    ratio: f64,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let arch = Workshop::arch(&options.arch)?;
    let manifest = workshop.library.manifest(&options.kernel)?;
    let profile = workshop.profile(&options.profile)?;
    let (cpus, disks) = (profile.guest.cpus, profile.guest.disks);
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let reference = workshop.poweroff_initramfs(arch).await?.path;
    let interrupt = interrupt::listen()?;
    let view = View::new(printer);
    let folders = places.folders();
    let mut run = Run::begin("bench", SEED, Purpose::Search, &folders, &view, interrupt.clone())?;
    let dir = run.dir.clone();
    let guest =
        GuestOptions { accel: options.accel, clock: Some(Clock::Wall), ..GuestOptions::default() };
    // Side by side they would slow each other.
    let (image, jobs) = (Image::Agent, Some(1));
    let settings = Settings { guest, scale, dir: dir.clone(), keep_disks: false, image, jobs };
    let stopwatch = Arc::new(Stopwatch { reference, scale, measured: Mutex::default() });
    let house = Guesthouse::new(Local::new(workshop, settings)?, Arc::clone(&stopwatch));
    let (fragments, kasan) = (Vec::new(), String::new());
    let choice = KernelChoice { manifest, series: None, fragments, kasan, arch };
    let (rule, technique) = (None, Technique::Natural);
    let group = Arc::new(Group::new(Ground::Qemu(choice), profile, rule, technique));
    let mut turns = Turns { group, runs: options.runs };
    run.carry_out(&mut turns, &house).await?;
    view.clear();
    let report = run.end()?.report;
    if let Some(failure) = report.cells.iter().find_map(|cell| cell.failure.as_ref()) {
        return Err(Error::new(failure.fault, &failure.detail));
    }
    // What was measured is printed, and nothing else of it is of use.
    fs_err::remove_dir_all(&dir)?;
    if let Some(runs) = dir.parent() {
        // Other runs may lie there, and then it stays.
        let _ = fs_err::remove_dir(runs);
    }
    if interrupt.is_cancelled() {
        return Ok(ExitCode::Interrupted.code());
    }
    let mut measured = stopwatch.measured.lock().unwrap_or_else(PoisonError::into_inner).clone();
    measured.ratio = median(&measured.agent_up) / median(&measured.reference);
    if options.json {
        let text = serde_json::to_string_pretty(&measured).map_err(std::io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        printer.data(&table(&measured, cpus, disks));
    }
    Ok(ExitCode::Clean.code())
}

/// What a boot is measured to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// QEMU's exit, with an init that only powers off.
    Exit,
    /// The agent's first line.
    Hello,
}

impl To {
    /// Begins the names of its cells.
    fn word(self) -> &'static str {
        match self {
            Self::Exit => "reference",
            Self::Hello => "agent",
        }
    }
}

/// Both kinds of boots in turns, so that a machine that is slow for a while slows both alike, until one fails.
struct Turns {
    group: Arc<Group>,
    /// Of each kind.
    runs: u32,
}

impl Turns {
    fn cell(&self, to: To, number: u32) -> CellJob {
        let cell = Cell {
            id: format!("{}-{number}", to.word()),
            technique: NO_TECHNIQUE.to_owned(),
            number,
            seed: SEED,
            expect: None,
            ..self.group.cell()
        };
        CellJob::new(cell, Arc::clone(&self.group), Duration::ZERO)
    }
}

impl Campaign for Turns {
    fn begin(&mut self) -> Vec<CellJob> {
        vec![self.cell(To::Exit, 1)]
    }

    fn more(&mut self, report: &RunReport) -> Vec<CellJob> {
        if report.cells.iter().any(|cell| cell.failure.is_some()) {
            return Vec::new();
        }
        let done = u32::try_from(report.cells.len()).unwrap_or(u32::MAX);
        let (number, to) = (done / 2 + 1, if done % 2 == 0 { To::Exit } else { To::Hello });
        if number > self.runs { Vec::new() } else { vec![self.cell(to, number)] }
    }
}

/// Measures guests.
struct Stopwatch {
    /// The initramfs whose init only powers off.
    reference: PathBuf,
    /// The user's factor on every limit of patience.
    scale: f64,
    measured: Mutex<Measured>,
}

impl GuestUnit for Stopwatch {
    async fn run(
        &self,
        job: &CellJob,
        made: &Arc<Prepared>,
        dir: PathBuf,
        context: &Context,
    ) -> Result<(), Error> {
        let cell = job.cell.id.clone();
        let machine = made.machine(SEED, TOKEN, 0, dir);
        let (to, spec) = if cell.starts_with(To::Exit.word()) {
            (To::Exit, VmSpec { initramfs: self.reference.clone(), ..machine })
        } else {
            (To::Hello, machine)
        };
        let limits = made.timeouts(self.scale);
        context.tell(made.started(&cell, 1, SEED, &spec)).await;
        let seconds = tokio::select! {
            seconds = measure(&spec, to, &limits) => Some(seconds?),
            _ = context.asked_to_stop() => None,
        };
        let why = if seconds.is_some() { VmEnd::Enough } else { VmEnd::Interrupted };
        context.tell(What::VmStopped { cell, boot: 1, why, detail: String::new() }).await;
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.accel = spec.accel.to_string();
        measured.kernel.clone_from(&made.facts.release);
        match to {
            To::Exit => measured.reference.extend(seconds),
            To::Hello => measured.agent_up.extend(seconds),
        }
        Ok(())
    }
}

/// Seconds from QEMU's start until what was to be seen.
async fn measure(spec: &VmSpec, to: To, limits: &Timeouts) -> Result<f64, Error> {
    let mut vm = Vm::start(spec, limits.start).await?;
    let deadline = Instant::now() + limits.ready;
    let mut telemetry = TelemetryReader::new(TOKEN);
    let mut buffer = vec![0; CHUNK];
    let seen = loop {
        let Ok(news) = timeout_at(deadline, vm.news(&mut buffer)).await else { break false };
        match (news?, to) {
            (News::Console(count), To::Hello) => {
                let mut lines = telemetry.push(&buffer[..count]).into_iter();
                if lines.any(|line| matches!(line, Telemetry::Hello(_))) {
                    break true;
                }
            }
            (News::End, To::Exit) => {
                break timeout_at(deadline, vm.child.wait()).await.is_ok();
            }
            (News::End, To::Hello) => break false,
            _ => {}
        }
    };
    let seconds = vm.started().elapsed().as_secs_f64();
    vm.end().await;
    if seen { Ok(seconds) } else { Err(too_slow(to, limits.ready)) }
}

fn too_slow(to: To, limit: Duration) -> Error {
    let what = match to {
        To::Exit => "exit of QEMU",
        To::Hello => "guest agent",
    };
    let words =
        format!("no {what} within {} s\n  hint: see SWAPSTORM_TIMEOUT_SCALE", limit.as_secs());
    Error::new(Fault::Infrastructure, words)
}

fn table(measured: &Measured, cpus: u64, disks: u64) -> String {
    let row = |name: &str, all: &[f64]| {
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        format!("{name:40} {:6.2} s   {least:6.2} s\n", median(all))
    };
    format!(
        "Linux {}, {}, {cpus} CPUs, {disks} disks, {} boots each\n{:40} {:>8}   {:>8}\n{}{}ratio {:.2}\n",
        measured.kernel,
        measured.accel,
        measured.agent_up.len(),
        "from QEMU's start to",
        "median",
        "least",
        row("the guest agent's first line", &measured.agent_up),
        row("QEMU's exit, init only powers off", &measured.reference),
        measured.ratio,
    )
}
