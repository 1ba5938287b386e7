// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench ttr`: how long each technique takes to show a bug.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use engine::job::Ground;
use engine::local::{Image, Local, Settings};
use engine::plan::duration;
use engine::run_folder::replace;
use engine::ttr::{Trials, arms};
use engine::workshop::Workshop;
use engine::{Error, Run};
use machine::Timeouts;
use reports::exit::{ExitCode, Purpose};
use reports::render::ttr as render;
use reports::run::{RunReport, Standing};
use reports::ttr::measure;
use workloads::profile::Technique;

use super::super::kernel::KernelOptions;
use super::super::machine::MachineArgs;
use super::super::repro::technique;
use super::super::{seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `bench ttr`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel with the bug: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Series on top: a name, a path with a slash in it, REPO:A..B or lore:MESSAGE-ID
    #[arg(long)]
    series: Option<String>,
    /// Profile of the storm
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// A technique to measure; may be repeated [default: natural, preempt and stretch]
    #[arg(long = "technique", value_name = "TECHNIQUE", value_parser = technique())]
    techniques: Vec<Technique>,
    /// Measure stretching also with each part of the profile's recipe left out once
    #[arg(long)]
    ablation: bool,
    /// Guests of each technique, every one with a seed of its own
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How long a guest is watched, in its own time, e.g. 90s or 10m
    #[arg(long, default_value = "60s", value_parser = duration)]
    bound: Duration,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Write a picture of the times, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Where nothing else is asked for.
const TECHNIQUES: [Technique; 3] = [Technique::Natural, Technique::Preempt, Technique::Stretch];

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    if let Some(file) = &options.svg {
        is_writable(file)?;
    }
    let workshop = Workshop::open(&places.folders())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let mut campaign = trials(options, seed, &workshop).await?;
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let mut run =
        Run::begin("bench-ttr", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest: options.machine.options(),
        scale,
        dir: run.dir.clone(),
        keep_disks: false,
        image: Image::Agent,
        // Side by side they would slow each other.
        jobs: Some(options.machine.jobs().unwrap_or(1)),
    };
    let local = Local::new(workshop, settings)?;
    run.introduce(campaign.arms.iter().map(|arm| &**arm))?;
    run.carry_out(&mut campaign, &local).await?;
    view.clear();
    let finished = run.end()?;
    let report = &finished.report;
    let bound_ms = u64::try_from(options.bound.as_millis()).unwrap_or(u64::MAX);
    let ttr = measure(report, &options.profile, bound_ms);
    if let Some(file) = &options.svg {
        let name = file.file_name().unwrap_or_default();
        replace(folder(file), name, render::svg(&ttr).as_bytes())?;
    }
    printer.data(&match options.json {
        true => render::json(&ttr),
        false => render::text(&ttr, printer.look),
    });
    printer.say(&format!("\nreport and consoles: {}", finished.dir.display()));
    if report.interrupted() {
        return Ok(ExitCode::Interrupted.code());
    }
    if ttr.arms.iter().all(|arm| arm.trials.is_empty()) {
        return Err(nothing(report));
    }
    let mut bugs = report.cells.iter().flat_map(|cell| &cell.bugs);
    let another = bugs.any(|bug| bug.standing == Standing::Another);
    Ok(if another { ExitCode::KernelBug } else { ExitCode::Clean }.code())
}

/// Reads and checks everything that was asked for, before anything is made.
async fn trials(options: &Options, seed: u64, workshop: &Workshop) -> Result<Trials, Error> {
    let mut choice = options.build.choice(&options.kernel, &options.arch, &workshop.library)?;
    let mut profile = workshop.profile(&options.profile)?;
    options.machine.options().change(&mut profile);
    let Some(expect) = &profile.expect else {
        let name = &profile.name;
        return Err(usage(format!(
            "the profile {name} expects no bug: there is nothing to wait for"
        )));
    };
    let rule = workshop.rule(expect)?;
    if let Some(series) = &options.series {
        choice.series = Some(workshop.library.obtain_series(series).await?);
    }
    let ground = Ground::Qemu(choice);
    let techniques =
        if options.techniques.is_empty() { &TECHNIQUES[..] } else { &options.techniques };
    let arms = arms(&ground, &profile, &rule, techniques, options.ablation);
    Ok(Trials { arms, seed, runs: options.runs, bound: options.bound })
}

/// The error of a run in which no guest stormed.
fn nothing(report: &RunReport) -> Error {
    match report.cells.iter().find_map(|cell| cell.failure.as_ref()) {
        Some(failure) => Error::new(failure.fault, &failure.detail),
        None => Error::new(
            reports::event::Fault::Infrastructure,
            "no guest became ready, so nothing was measured\n  hint: the consoles in the run's folder say more",
        ),
    }
}

/// The folder of a file; a name alone lies in the current one.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Minutes of guests are lost on a picture that has no place.
fn is_writable(file: &Path) -> Result<(), Error> {
    let name = file.file_name().filter(|_| !file.is_dir());
    let made = name.map(|_| tempfile::NamedTempFile::new_in(folder(file)));
    match made {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(usage(format!("--svg {}: {error}", file.display()))),
        None => Err(usage(format!("--svg {}: this is no file", file.display()))),
    }
}
