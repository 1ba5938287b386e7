// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm repro`: the race on a kernel as it is, and the fixed kernel clean beside it.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use engine::Error;
use engine::Run;
use engine::job::{Ground, Group};
use engine::local::{Image, Local, Settings};
use engine::plan::duration;
use engine::repro::Repro;
use engine::workshop::{KernelChoice, Workshop};
use machine::Timeouts;
use reports::proof::DEFAULT_CONFIDENCE;
use workloads::profile::Technique;

use super::bisect::share;
use super::kernel::KernelOptions;
use super::machine::MachineArgs;
use super::{seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// More fixed guests side by side than this share too little work to be worth their start.
const MOST_SIDE_BY_SIDE: u32 = 4;

/// Options of `repro`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// The series that fixes it: a name, a path with a slash in it, REPO:A..B or
    /// lore:MESSAGE-ID [default: the one that the profile names]
    #[arg(long)]
    series: Option<String>,
    /// The series that puts the bug into a kernel without it, which then is the fixed one
    #[arg(long, value_name = "SERIES", conflicts_with = "series")]
    reintroduce: Option<String>,
    /// Profile of the storm
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How to provoke the race [default: as the profile says]
    #[arg(long, value_parser = technique())]
    technique: Option<Technique>,
    /// Longest storm in each guest with the bug, in its own time, e.g. 90s or 10m; the fixed ones storm as long as
    /// it takes
    #[arg(long, default_value = "2m", value_parser = duration)]
    budget: Duration,
    /// Probability with which a kernel with the bug must have shown it in so much storm, before one that does not is called fixed
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_CONFIDENCE, value_parser = share)]
    confidence: f64,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Guests of each kernel, every one with a seed of its own; three of the kernel with the bug at least
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Leave the guests' disks in the run's folder
    #[arg(long)]
    keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let (buggy, fixed) = sides(options, &workshop).await?;
    let guest = options.machine.options();
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let confidence = options.confidence;
    let mut run = Run::begin_repro(seed, confidence, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest,
        scale,
        dir: run.dir.clone(),
        keep_disks: options.keep,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    let side_by_side = local.guests_side_by_side(&fixed).min(MOST_SIDE_BY_SIDE);
    run.introduce([&*buggy, &*fixed].into_iter())?;
    let mut campaign = Repro {
        buggy,
        fixed,
        seed,
        runs: options.runs,
        side_by_side,
        budget: options.budget,
        confidence,
        rounds: 0,
    };
    run.carry_out(&mut campaign, &local).await?;
    view.clear();
    Ok(super::show(run.end()?, options.json, printer))
}

/// Reads and checks everything that was asked for, before anything is made: the kernel with the bug, and
/// the fixed one.
async fn sides(options: &Options, workshop: &Workshop) -> Result<(Arc<Group>, Arc<Group>), Error> {
    let plain = options.build.choice(&options.kernel, &options.arch, &workshop.library)?;
    let mut profile = workshop.profile(&options.profile)?;
    options.machine.options().change(&mut profile);
    let Some(expect) = &profile.expect else {
        let name = &profile.name;
        return Err(usage(format!(
            "the profile {name} expects no bug: there is nothing to reproduce"
        )));
    };
    let named = options.reintroduce.as_deref().or(options.series.as_deref());
    let Some(series) = named.or_else(|| profile.fix_for(&options.kernel)) else {
        let (name, kernel) = (&profile.name, &options.kernel);
        return Err(usage(format!(
            "the profile {name} names no series that fixes {kernel}\n  hint: name it with --series, \
             or with --reintroduce one that brings the bug"
        )));
    };
    let series = workshop.library.obtain_series(series).await?;
    let rule = Some(workshop.rule(expect)?);
    let patched = KernelChoice { series: Some(series), ..plain.clone() };
    let (buggy, fixed) =
        if options.reintroduce.is_some() { (patched, plain) } else { (plain, patched) };
    let technique = options.technique.unwrap_or(profile.technique);
    let group = |choice| {
        let (profile, rule) = (profile.clone(), rule.clone());
        Arc::new(Group::new(Ground::Qemu(choice), profile, rule, technique))
    };
    Ok((group(buggy), group(fixed)))
}

/// Reads the name of a technique.
pub fn technique() -> impl TypedValueParser<Value = Technique> {
    PossibleValuesParser::new(Technique::ALL.map(Technique::name))
        .map(|name| Technique::by_name(&name).unwrap_or_default())
}
