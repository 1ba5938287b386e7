// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm run PLAN`: every cell of a plan, side by side as far as the machine allows.

mod cells;
mod cluster;
mod outlook;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use engine::Error;
use engine::Finished;
use engine::Folders;
use engine::GuestOptions;
use engine::Run;
use engine::dispatcher::Fixed;
use engine::job::CellJob;
use engine::limits::is_same;
use engine::local::{Image, Local, Settings};
use engine::plan::Plan;
use engine::resume::Resumable;
use engine::run_folder::bundle_dir;
use engine::timings::Timings;
use engine::workshop::Workshop;
use machine::Timeouts;
use reports::exit::Purpose;
use reports::run::CellReport;
use reports::verdict::CellVerdict;
use workloads::profile::Clock;

use super::machine::MachineArgs;
use super::{seed_from_clock, usage};
use crate::cli::{Cli, Command, Places};
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// The plan: a YAML file, or the name of a shipped one (`architectures`, `nightly`)
    #[arg(value_name = "PLAN", required_unless_present = "resume")]
    plan: Option<String>,
    /// Go on with a run that was killed, interrupted, or ran out of time or disk: its plan and its options are those that it
    /// was begun with
    #[arg(long, value_name = "RUN", conflicts_with_all = ["plan", "dry_run", "seed", "clock", "keep", "engine", "detach"])]
    resume: Option<PathBuf>,
    /// Print the cells in the order in which they would be begun, and what they will take
    #[arg(long)]
    dry_run: bool,
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
    /// Who carries it out: this machine, or a cluster that Slurm manages
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t)]
    engine: Engine,
    /// Leave the run to the cluster once it is submitted; `swapstorm attach` goes on with it
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// File of the history whose nights the run is held against [default: ~/.local/share/swapstorm/history.jsonl]
    #[arg(long, value_name = "FILE", env = "SWAPSTORM_HISTORY")]
    history: Option<PathBuf>,
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

/// Who carries out a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// This machine.
    #[default]
    Local,
    /// A cluster.
    Slurm,
}

impl Options {
    /// What was asked for of the plan's guests. A target lives by its own clock, which is none of ours.
    fn guest(&self, plan: &Plan) -> GuestOptions {
        let clock = if plan.target().is_some() { Some(Clock::Wall) } else { self.clock };
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
    if let Some(dir) = &options.resume {
        return resume(dir, places, printer).await;
    }
    let workshop = Workshop::open(&places.folders())?;
    let own = places.folders().own("harness").map(|dir| dir.join("plans"));
    // clap asks for it where no run is resumed.
    let plan = Plan::find(options.plan.as_deref().unwrap_or_default(), own.as_deref())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let mut jobs = jobs(&plan, seed, &workshop, options).await?;
    let timings = Timings::load(&workshop.store);
    outlook::rank(&mut jobs, &timings);
    if options.dry_run {
        return dry_run(&plan, &jobs, &timings, options, places, printer, workshop);
    }
    let view = View::new(printer);
    view.line(&format!("{}: {}", plan.origin, plan.about()));
    let interrupt = interrupt::listen()?;
    let mut run = Run::begin("run", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    run.plan(&plan, &std::env::current_dir()?)?;
    run.introduce(jobs.iter().map(|job| &*job.group))?;
    carry_out(run, &plan, jobs, options, workshop, &view, printer).await
}

/// Goes on with a run.
pub async fn resume(dir: &Path, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let resumed = Resumable::open(dir)?;
    let (mut options, begun_with) = options_of(resumed.command())?;
    options.detach = false;
    // What is named now begins here.
    let here = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
    let (cache, data) = (here(&places.cache)?, here(&places.data)?);
    // Paths of the plan, and of its options, begin where it was begun.
    std::env::set_current_dir(&resumed.plan.folder).map_err(|error| {
        usage(format!("{}: {error}\n  hint: the run was begun there", resumed.plan.folder))
    })?;
    let folders = Folders {
        cache: cache.or(begun_with.cache),
        data: data.or(begun_with.data),
        mirror: places.mirror.clone().or(begun_with.mirror),
        out: begun_with.out,
    };
    let workshop = Workshop::open(&folders)?;
    let plan = Plan::again(&resumed.plan)?;
    let mut jobs = jobs(&plan, resumed.seed(), &workshop, &options).await?;
    for job in &jobs {
        let known = resumed.report.cell(&job.cell.id);
        if let Some(known) =
            known.filter(|known| known.cell != job.cell && !known.cell.key.is_empty())
        {
            return Err(usage(format!(
                "{}: the cell {} is no longer what it was, so the run cannot be gone on with\n  was: {}\n  is:  {}\n  \
                 hint: a profile, a manifest, a series or swapstorm itself has changed; begin a new run",
                dir.display(),
                known.cell.id,
                known.cell.key,
                job.cell.key,
            )));
        }
    }
    jobs.retain(|job| {
        let is_planned = resumed.report.cell(&job.cell.id).is_some();
        let is_open = !is_planned || resumed.again.contains_key(&job.cell.id);
        is_open && !has_its_answer(job, &plan, &resumed)
    });
    for job in &mut jobs {
        job.first_boot = resumed.again.get(&job.cell.id).copied().unwrap_or(1);
    }
    outlook::rank(&mut jobs, &Timings::load(&workshop.store));
    let view = View::new(printer);
    let left = jobs.len();
    view.line(&format!("{}: {}; cells that are left: {left}", plan.origin, plan.about()));
    let interrupt = interrupt::listen()?;
    let mut run = Run::resume(resumed, &view, interrupt)?;
    // Lines that name them may be lost.
    run.know(&plan)?;
    run.introduce(jobs.iter().map(|job| &*job.group))?;
    carry_out(run, &plan, jobs, &options, workshop, &view, printer).await
}

/// Whether other runs of the same cell have shown the bug as often as the plan asks for.
fn has_its_answer(job: &CellJob, plan: &Plan, resumed: &Resumable) -> bool {
    let Some(most) = plan.stop().same_cell else { return false };
    let same = resumed.report.cells.iter().filter(|cell| is_same(&cell.cell, &job.cell));
    same.filter(|cell| cell.finished && cell.verdict.is_bug()).count() >= most as usize
}

/// The options of a command line that is in a log, and the folders that it names.
pub fn options_of(command: &[String]) -> Result<(Options, Places), Error> {
    let words = std::iter::once("swapstorm".to_owned()).chain(command.iter().cloned());
    let cli = Cli::try_parse_from(words)
        .map_err(|error| usage(format!("the run's command line is no longer one: {error}")))?;
    match cli.command {
        Command::Run(options) => Ok((options, cli.places)),
        _ => Err(usage("only `swapstorm run` can be resumed")),
    }
}

/// Every cell of the plan.
pub async fn jobs(
    plan: &Plan,
    seed: u64,
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<CellJob>, Error> {
    if options.detach && options.engine == Engine::Local {
        return Err(usage("--detach leaves a run to a cluster: add --engine slurm"));
    }
    if plan.target().is_some() && options.engine == Engine::Slurm {
        return Err(plan.wrong(
            "target",
            "",
            "a cluster runs guests of its own: leave out --engine slurm",
        ));
    }
    if plan.target().is_some() && options.clock == Some(Clock::Virtual) {
        let words = "a `target` has no virtual clock: leave out --clock";
        return Err(plan.wrong("target", "", words));
    }
    cells::cells(plan, seed, workshop, options).await
}

pub fn settings(options: &Options, plan: &Plan, dir: PathBuf) -> Result<Settings, Error> {
    Ok(Settings {
        guest: options.guest(plan),
        scale: Timeouts::scale_from_env().map_err(usage)?,
        dir,
        keep_disks: options.keep,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    })
}

/// Runs the cells, and prints the report.
async fn carry_out(
    mut run: Run<'_>,
    plan: &Plan,
    jobs: Vec<CellJob>,
    options: &Options,
    workshop: Workshop,
    view: &View,
    printer: &Printer,
) -> Result<u8, Error> {
    let store = workshop.store.clone();
    let dir = run.dir.clone();
    let done = match options.engine {
        Engine::Local => {
            let local = Local::new(workshop, settings(options, plan, dir.clone())?)?;
            let side_by_side = jobs.first().map_or(1, |job| local.guests_side_by_side(&job.group));
            view.expect(outlook::expected_cells(&jobs, &Timings::load(&store)), side_by_side);
            run.carry_out_within(plan.limits(), &mut Fixed::new(jobs), &local).await
        }
        Engine::Slurm => {
            let opened = cluster::open(&mut run, plan, jobs, workshop.folders()).await;
            let (cluster, jobs) = opened.map_err(|error| {
                view.clear();
                can_go_on(error, &dir)
            })?;
            // A run that was interrupted while it was submitted is taken back below.
            if options.detach && !run.is_interrupted() {
                run.foretell(jobs.iter().map(|job| &job.cell))?;
                view.clear();
                printer.say(&format!(
                    "the cluster runs it now; to see what it comes to: swapstorm attach {}",
                    dir.display()
                ));
                return Ok(0);
            }
            let done = run.carry_out_within(plan.limits(), &mut Fixed::new(jobs), &cluster).await;
            if let Err(error) = cluster.cancel().await {
                view.line(&format!("the cluster may still run tasks of this run: {error}"));
            }
            done
        }
    };
    view.clear();
    let ended = done.and_then(|()| run.end());
    let mut finished = ended.map_err(|error| can_go_on(Error::from(error), &dir))?;
    let mut timings = Timings::load(&store);
    timings.learn(&finished.report, &finished.dir, &store);
    // An estimate that cannot be kept is no reason to fail.
    if let Err(error) = timings.save(&store) {
        view.line(&format!("what the cells took is not remembered: {error}"));
    }
    // The run has its answer, whatever became of those before it.
    let history = options.history.as_deref();
    if let Err(error) = super::history::hold_against(&mut finished.report, history, printer) {
        view.line(&format!("the nights before are not known: {error}"));
    }
    let steps = next_steps(&finished);
    let code = super::show(finished, options.json, printer);
    for step in steps {
        printer.say(&step);
    }
    Ok(code)
}

/// A failure of a run that is there to be gone on with.
fn can_go_on(error: Error, dir: &Path) -> Error {
    let hint = format!("when that is mended: swapstorm run --resume {}", dir.display());
    Error::new(error.fault, format!("{error}\n  hint: {hint}"))
}

/// What a person may want to do now.
fn next_steps(finished: &Finished) -> Vec<String> {
    let Finished { report, dir, purpose } = finished;
    let mut steps = Vec::new();
    let alarming = report.deciding_cell(*purpose).filter(|cell| cell.deciding_bug().is_some());
    let replay = alarming.map(|cell| bundle_dir(dir, &cell.cell.id).join("replay.sh"));
    if let Some(replay) = replay.filter(|file| file.exists()) {
        steps.push(format!("the same machine once more: {}", replay.display()));
    }
    let is_open = |cell: &CellReport| {
        cell.is_left_out() || matches!(cell.verdict, CellVerdict::Infrastructure { .. })
    };
    if report.interrupted() || report.cells.iter().any(is_open) {
        steps.push(format!("to go on: swapstorm run --resume {}", dir.display()));
    }
    steps
}

/// Prints what would be run.
fn dry_run(
    plan: &Plan,
    jobs: &[CellJob],
    timings: &Timings,
    options: &Options,
    places: &Places,
    printer: &Printer,
    workshop: Workshop,
) -> Result<u8, Error> {
    let out = std::path::absolute(&places.out)?;
    // The folder need not exist yet; its file system does.
    let there = out.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/")).to_owned();
    let store = workshop.store.clone();
    let local = Local::new(workshop, settings(options, plan, there)?)?;
    let side_by_side = jobs.first().map_or(1, |job| local.guests_side_by_side(&job.group));
    printer.data(&outlook::listing(jobs));
    printer.data("\n");
    printer.data(&outlook::outlook(jobs, timings, &store, side_by_side));
    Ok(0)
}
