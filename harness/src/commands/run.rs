// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm run PLAN`: every cell of a plan, side by side as far as the machine allows.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use engine::Error;
use engine::GuestOptions;
use engine::Run;
use engine::dispatcher::Fixed;
use engine::job::{CellJob, Ground, Group, Place};
use engine::local::{Image, Local, Settings};
use engine::plan::{Plan, name_cells};
use engine::workshop::{KernelChoice, Workshop};
use machine::Timeouts;
use machine::target::Credentials;
use reports::event::Cell;
use reports::exit::Purpose;
use workloads::profile::Clock;

use super::machine::MachineArgs;
use super::{seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// The plan: a YAML file, or the name of a shipped one (`architectures`)
    #[arg(value_name = "PLAN")]
    plan: String,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// The clock by which guests live: the host's, or their own instructions, so that the same seed gives the same run
    /// [default: the profile's]
    #[arg(long, value_name = "CLOCK", value_parser = clock())]
    clock: Option<Clock>,
    /// Leave the guests' disks in the run's folder
    #[arg(long)]
    keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Private key for a plan's target, tried before ssh-agent's; may be repeated [default: ~/.ssh/id_*,
    /// after them]
    #[arg(long = "identity", value_name = "FILE", help_heading = "Target")]
    identities: Vec<PathBuf>,
    /// Known hosts for a plan's target [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    known_hosts: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
}

impl Options {
    /// What was asked for of the plan's guests. A target lives by its own clock, which is none of ours.
    fn guest(&self, plan: &Plan) -> GuestOptions {
        let clock = if plan.target.is_some() { Some(Clock::Wall) } else { self.clock };
        GuestOptions { clock, ..self.machine.options() }
    }
}

/// Reads the name of a clock.
pub fn clock() -> impl TypedValueParser<Value = Clock> {
    PossibleValuesParser::new(Clock::ALL.map(Clock::name))
        .map(|name| if name == Clock::Virtual.name() { Clock::Virtual } else { Clock::Wall })
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let own = places.folders().own("harness").map(|dir| dir.join("plans"));
    let plan = Plan::find(&options.plan, own.as_deref())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    if plan.target.is_some() && options.clock == Some(Clock::Virtual) {
        return Err(plan.wrong("target", "a `target` has no virtual clock: leave out --clock"));
    }
    let jobs = cells(&plan, seed, &workshop, options).await?;
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    view.line(&format!("{}: {}", plan.origin, plan.about));
    let interrupt = interrupt::listen()?;
    let mut run = Run::begin("run", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest: options.guest(&plan),
        scale,
        dir: run.dir.clone(),
        keep_disks: options.keep,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    run.introduce(jobs.iter().map(|job| &*job.group))?;
    run.carry_out(&mut Fixed::new(jobs), &local).await?;
    view.clear();
    Ok(super::show(run.end()?, options.json, printer))
}

/// Every cell of the plan, read and checked before anything is made.
async fn cells(
    plan: &Plan,
    seed: u64,
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<CellJob>, Error> {
    let placed = |word: &str, error: Error| plan.wrong(word, error);
    let grounds = grounds(plan, workshop, options).await?;
    let mut groups = Vec::new();
    for name in &plan.profiles {
        let mut profile = workshop.profile(name).map_err(|error| placed(name, error))?;
        options.guest(plan).change(&mut profile);
        options.guest(plan).suits_clock(&profile)?;
        let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
        for ground in &grounds {
            for technique in &plan.techniques {
                let (ground, profile, rule) = (ground.clone(), profile.clone(), rule.clone());
                groups.push(Arc::new(Group::new(ground, profile, rule, *technique)));
            }
        }
    }
    let mut cells: Vec<Cell> = Vec::new();
    let mut numbers = Vec::new();
    for group in &groups {
        for number in 1..=plan.runs {
            cells.push(group.cell());
            numbers.push(number);
        }
    }
    name_cells(&mut cells, &numbers, seed);
    let of_cell = groups.iter().flat_map(|group| (0..plan.runs).map(move |_| group));
    let job = |(cell, group): (Cell, &Arc<Group>)| CellJob {
        cell,
        group: Arc::clone(group),
        budget: plan.storm,
    };
    Ok(cells.into_iter().zip(of_cell).map(job).collect())
}

/// What the plan's cells run on.
async fn grounds(
    plan: &Plan,
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<Ground>, Error> {
    let placed = |word: &str, error: Error| plan.wrong(word, error);
    let mut grounds = Vec::new();
    if let Some(target) = &plan.target {
        let credentials = Credentials {
            identities: options.identities.clone(),
            known_hosts: options.known_hosts.clone(),
        };
        for arch in plan.arches() {
            let (target, credentials) = (target.clone(), credentials.clone());
            let terms = plan.terms();
            grounds.push(Ground::Target(Place { target, arch, credentials, terms }));
        }
    }
    let mut series = Vec::new();
    for name in plan.series() {
        series.push(match name {
            // Whose fault it is differs here (a thread that cannot be fetched, say).
            Some(name) => Some(workshop.library.obtain_series(name).await?),
            None => None,
        });
    }
    for name in &plan.kernels {
        let manifest =
            workshop.library.manifest(name).map_err(|error| placed(name, error.into()))?;
        for series in &series {
            for arch in plan.arches() {
                manifest.require(arch).map_err(|error| placed(arch.name, error.into()))?;
                grounds.push(Ground::Qemu(KernelChoice {
                    manifest: manifest.clone(),
                    series: series.clone(),
                    fragments: Vec::new(),
                    kasan: String::new(),
                    arch,
                }));
            }
        }
    }
    Ok(grounds)
}
