// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm repro`: the race on a kernel as it is, and the fixed kernel clean beside it.

use std::time::Duration;

use clap::Args;
use reports::event::{Cell, Exposure, What};
use reports::exit::Purpose;
use reports::rule::Rule;
use reports::run::Boot;
use workloads::Profile;

use super::kernel::KernelOptions;
use super::machine::Machine;
use super::{seed_from_clock, usage};
use crate::cell;
use crate::cli::Places;
use crate::error::Error;
use crate::plan::{Technique, duration};
use crate::printer::Printer;
use crate::progress::View;
use crate::random::Random;
use crate::session::{Cut, Session, Settings};
use crate::timeouts::Timeouts;
use crate::workshop::{KernelChoice, Workshop};

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
    build: KernelOptions,
    #[command(flatten)]
    machine: Machine,
}

/// Everything that was asked for, read and checked.
struct Plan {
    buggy: KernelChoice,
    fixed: KernelChoice,
    profile: Profile,
    rule: Rule,
    seed: u64,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(places)?;
    let plan = Plan::new(options, &workshop).await?;
    let view = View::new(printer);
    let settings = Settings {
        purpose: Purpose::Repro,
        machine: &options.machine,
        scale: Timeouts::scale_from_env().map_err(usage)?,
        budget: options.budget,
        keep_disks: options.keep,
    };
    let mut session = Session::begin("repro", plan.seed, &workshop, places, &view, settings)?;
    session.log.emit(What::RuleLoaded { rule: plan.rule.clone() })?;
    if let Err(Cut::Log(error)) = work(options, &plan, &mut session).await {
        return Err(error.into());
    }
    session.end(options.json, printer)
}

impl Plan {
    /// Reads and checks everything that was asked for, before anything is made.
    async fn new(options: &Options, workshop: &Workshop) -> Result<Self, Error> {
        let arch = Workshop::arch(&options.arch)?;
        let mut manifest = workshop.library.manifest(&options.kernel)?;
        options.build.change(&mut manifest);
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
        let fragments = options.build.fragments(arch, &workshop.library)?;
        let plain = KernelChoice { manifest, series: None, fragments, arch };
        let patched = KernelChoice { series: Some(series), ..plain.clone() };
        let (buggy, fixed) =
            if options.reintroduce.is_some() { (patched, plain) } else { (plain, patched) };
        let seed = options.seed.unwrap_or_else(seed_from_clock);
        Ok(Self { buggy, fixed, profile, rule, seed })
    }

    /// A cell of run number `run`.
    fn cell(&self, options: &Options, run: u32, fixed: bool, wanted: Option<Exposure>) -> Cell {
        let side = if fixed { "fixed" } else { "buggy" };
        let choice = if fixed { &self.fixed } else { &self.buggy };
        Cell {
            id: if options.runs == 1 { side.to_owned() } else { format!("{side}-{run}") },
            kernel: choice.manifest.name.clone(),
            series: choice.series.as_ref().map(|series| series.name.clone()),
            arch: choice.arch.name.to_owned(),
            profile: self.profile.name.clone(),
            technique: options.technique.to_string(),
            seed: Random::new(self.seed.wrapping_add(u64::from(run) - 1), side).next(),
            expect: self.profile.expect.clone(),
            should_show: Some(!fixed),
            wanted,
        }
    }
}

async fn work(options: &Options, plan: &Plan, session: &mut Session<'_>) -> Result<(), Cut> {
    let Plan { profile, rule, .. } = plan;
    let stretch = options.technique == Technique::Stretch;
    let mut buggy = plan.cell(options, 1, false, None);
    session.log.emit(What::CellPlanned { cell: buggy.clone() })?;
    let initramfs = session.initramfs(&buggy, plan.buggy.arch).await?;
    let buggy_side = session.side(&buggy, &plan.buggy, profile, stretch).await?;
    let fixed = plan.cell(options, 1, true, None);
    let fixed_side = session.side(&fixed, &plan.fixed, profile, stretch).await?;
    let platform = session.platform(&buggy, &buggy_side, profile, initramfs).await?;
    for run in 1..=options.runs {
        if run > 1 {
            buggy = plan.cell(options, run, false, None);
            session.log.emit(What::CellPlanned { cell: buggy.clone() })?;
        }
        session.boot(&buggy, &buggy_side, profile, Some(rule), &platform).await?;
        let report = session.log.report();
        let seen = report.cell(&buggy.id);
        if !seen.is_some_and(|cell| cell.boots.iter().any(Boot::ready)) {
            // Nothing can be compared with a guest that never came up.
            return Ok(());
        }
        let shown = seen.map(|cell| cell.exposure).unwrap_or_default();
        let fixed = plan.cell(options, run, true, Some(cell::tenfold(&shown)));
        session.log.emit(What::CellPlanned { cell: fixed.clone() })?;
        session.boot(&fixed, &fixed_side, profile, Some(rule), &platform).await?;
        session.write_reports()?;
        session.bundle(&buggy.id, &buggy_side, profile, &platform)?;
        session.bundle(&fixed.id, &fixed_side, profile, &platform)?;
    }
    Ok(())
}
