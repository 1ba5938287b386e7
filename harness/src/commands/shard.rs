// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm shard`: a task on a node of a cluster. Nobody types it; `engine::slurm` submits it.

use std::path::PathBuf;

use clap::Args;
use engine::dispatcher::Fixed;
use engine::executor::Failed;
use engine::job::{CellJob, Ground};
use engine::limits::Limits;
use engine::local::{Local, Settings};
use engine::plan::Plan;
use engine::resume::Begun;
use engine::slurm::layout::{Layout, Task};
use engine::slurm::shard::{Attempt, Node};
use engine::unit::BuildStep;
use engine::workshop::Workshop;
use engine::{Error, Run};
use host::store::Store;
use reports::event::Fault;
use reports::exit::{ExitCode, Purpose};
use reports::verdict::CellVerdict;

use super::usage;
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `shard`.
#[derive(Debug, Args)]
pub struct Options {
    /// The run's folder
    run: PathBuf,
    /// Number of the round
    round: u32,
    /// Name of the array
    array: String,
    /// Index of the task
    index: usize,
}

/// Runs the command. Exit code 0: the task has its winner; any other: it was in vain.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let layout = Layout::new(&std::path::absolute(&options.run)?);
    let round = layout.round(options.round)?;
    let array = round.arrays.iter().find(|array| array.name == options.array);
    let Some(task) = array.and_then(|array| array.tasks.get(options.index)) else {
        return Err(usage(format!("round {} has no such task", options.round)));
    };
    let Some(attempt) = Attempt::begin(&layout, task, &Node::here())? else {
        printer.say("another attempt at this task has won");
        return Ok(ExitCode::Clean.code());
    };
    let begun = Begun::read(&layout.run)?;
    let (own, _) = super::run::options_of(&begun.command)?;
    std::env::set_current_dir(&begun.plan.folder)
        .map_err(|error| usage(format!("{}: {error}", begun.plan.folder)))?;
    let workshop = Workshop::open(&places.folders())?;
    let plan = Plan::again(&begun.plan)?;
    let jobs = super::run::jobs(&plan, begun.seed, &workshop, &own).await?;
    let find = |cell: &str| jobs.iter().find(|job| job.cell.id == cell);
    let (Task::Build { cell } | Task::Storm { cell, .. }) = task;
    let Some(job) = find(cell) else {
        return Err(usage(format!("the plan has no cell {cell} on this node")));
    };
    let settings = super::run::settings(&own, &plan, attempt.dir.clone())?;
    // Kernels on their way from node to node.
    let handed = match plan.slurm().hands_on {
        true => Some(Store::open(layout.dir("store"))?),
        false => None,
    };
    let built = match task {
        Task::Build { .. } => None,
        Task::Storm { kernel, .. } => kernel.as_ref().and_then(|kernel| layout.built(kernel)),
    };
    if let (Ground::Qemu(choice), Some(source)) =
        (&job.group.ground, built.as_ref().and_then(|built| built.source.clone()))
    {
        workshop.assume(choice, source);
        if let Some(handed) = &handed {
            workshop.take_over(choice, handed).await?;
        }
    }
    let local = Local::new(workshop, Settings { jobs: Some(1), ..settings })?;
    match task {
        Task::Build { .. } => build(job, &local, handed.as_ref(), attempt, printer).await,
        Task::Storm { key, .. } => {
            if *key != job.cell.key {
                return Err(usage(format!(
                    "the cell {cell} is another one on this node\n  was: {key}\n  is:  {}\n  \
                     hint: a profile, a manifest or a series differs there",
                    job.cell.key
                )));
            }
            let no_kernel = built.and_then(|built| built.failure());
            storm(job, no_kernel, &local, &begun, attempt, printer).await
        }
    }
}

/// Builds the kernel of a cell, and hands it on where nodes share no store.
async fn build(
    job: &CellJob,
    local: &Local,
    handed: Option<&Store>,
    attempt: Attempt,
    printer: &Printer,
) -> Result<u8, Error> {
    let Ground::Qemu(choice) = &job.group.ground else {
        return Err(usage("a target runs its own kernel"));
    };
    let progress = |progress: kernels::Progress<'_>| {
        let step = BuildStep::of(progress);
        if step.current.is_empty() {
            printer.say(&format!("{}: {}", choice.name(), step.stage));
        }
    };
    match local.build(choice, &progress).await {
        Ok(kernel) => {
            if let Some(handed) = handed {
                local.hand_over(&kernel, handed).await?;
            }
            attempt.commit_build(Ok(kernel.source))?
        }
        Err(error) if error.fault == Fault::Infrastructure => return Err(error),
        // Another node would find the same.
        Err(error) => attempt.commit_build(Err(Failed::from(error)))?,
    };
    Ok(ExitCode::Clean.code())
}

/// Runs a cell.
async fn storm(
    job: &CellJob,
    no_kernel: Option<Failed>,
    local: &Local,
    begun: &Begun,
    attempt: Attempt,
    printer: &Printer,
) -> Result<u8, Error> {
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let (dir, purpose) = (attempt.dir.clone(), Purpose::Search);
    let mut run = Run::begin_in(dir, begun.seed, purpose, &view, interrupt)?;
    run.introduce(std::iter::once(&*job.group))?;
    match no_kernel {
        Some(failed) => run.fail(&job.cell, failed)?,
        None => {
            let mut cells = Fixed::new(vec![job.clone()]);
            run.carry_out_within(Limits::default(), &mut cells, local).await?;
        }
    }
    view.clear();
    let report = run.end()?.report;
    if report.interrupted() {
        return Ok(ExitCode::Interrupted.code());
    }
    let verdict = report.cell(&job.cell.id).map(|cell| &cell.verdict);
    match verdict {
        None | Some(CellVerdict::Infrastructure { .. }) => Ok(ExitCode::Infrastructure.code()),
        Some(_) => {
            attempt.commit()?;
            Ok(ExitCode::Clean.code())
        }
    }
}
