// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm hunt`: looks for races that nobody has told of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::hunt::{Again, Earlier, Hunt};
use engine::job::{Ground, Group};
use engine::local::{Image, Local, Settings};
use engine::plan::duration;
use engine::workshop::Workshop;
use engine::{Error, Run};
use kernels::vmlinux::PARTS;
use machine::Timeouts;
use machine::hunt::Actor;
use reports::exit::Purpose;
use reports::run::RunReport;
use workloads::profile::{Clock, Technique};

use super::kernel::KernelOptions;
use super::machine::MachineArgs;
use super::{report, seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Longest storm of a guest that is to show a finding again, in its own time.
const AGAIN: Duration = Duration::from_secs(60);

/// Options of `hunt`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Patches on top of it: a name, a path with a slash in it, REPO:A..B or lore:MESSAGE-ID
    #[arg(long)]
    series: Option<String>,
    /// Functions in which tasks are made to sleep, with commas; `*` stands for any characters [default: those of
    /// all files that --files knows]
    #[arg(long, value_delimiter = ',', conflicts_with = "files")]
    functions: Vec<String>,
    /// The same by the file of the kernel that they are in, e.g. mm/zswap.c,mm/swapfile.c
    #[arg(long, value_delimiter = ',')]
    files: Vec<String>,
    /// Who is asked to overtake a task that sleeps, with commas: swapoff of every device, cpu (one goes offline and comes
    /// back), zswap (switched off and on)
    #[arg(long, value_delimiter = ',', default_value = "swapoff", value_parser = actor)]
    beside: Vec<Actor>,
    /// Profile of the storm
    #[arg(long, default_value = "hunt")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How long to hunt, e.g. 90s or 30m, unless something is found before
    #[arg(long, default_value = "30m", value_parser = duration)]
    budget: Duration,
    /// Sleeps that were overtaken after which it has seen enough [default: until --budget ends it]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    overlaps: Option<u64>,
    /// Go on from what an earlier hunt in the same kernel has seen, whether it ended or was killed: calls at which nobody has slept yet
    /// come first, and the report counts both
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Guests in which a finding is shown again, by sleeps at its site alone
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    again: u32,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
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
    let earlier = options.resume.as_deref().map(earlier).transpose()?;
    let mut group = group(options, &workshop).await?;
    group.earlier = earlier.map(Arc::new);
    let group = Arc::new(group);
    let guest = options.machine.options();
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let mut run = Run::begin("hunt", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest,
        scale,
        dir: run.dir.clone(),
        keep_disks: options.keep,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    run.introduce([&*group].into_iter())?;
    let mut hunt = Hunt::new(Arc::clone(&group), seed, options.budget, options.overlaps);
    run.carry_out(&mut hunt, &local).await?;
    if let Some(case) = hunt.case {
        let folder = run.dir.join("case");
        case.write(&folder)?;
        let (ground, rule) = (group.ground.clone(), Some(case.rule));
        let group = Arc::new(Group::new(ground, case.profile, rule, Technique::Stretch));
        run.introduce([&*group].into_iter())?;
        let (guests, budget) = (options.again, AGAIN);
        run.carry_out(&mut Again { group, seed, guests, budget }, &local).await?;
        printer.say(&format!(
            "the finding as a case: swapstorm run PLAN --data {}, with profile `case` and technique `stretch`",
            folder.display()
        ));
    }
    view.clear();
    Ok(super::show(run.end()?, options.json, printer))
}

/// The hunt of that run.
fn earlier(run: &Path) -> Result<Earlier, Error> {
    let mut report = RunReport::default();
    report::read(run, &mut report)?;
    Earlier::of(&report).ok_or_else(|| {
        usage(format!(
            "{}: this is not the run of one hunt, or its guest was never begun\n  hint: --resume takes the folder of a run of `swapstorm hunt`",
            run.display()
        ))
    })
}

/// Reads and checks everything that was asked for, before anything is made.
async fn group(options: &Options, workshop: &Workshop) -> Result<Group, Error> {
    let mut choice = options.build.choice(&options.kernel, &options.arch, &workshop.library)?;
    if let Some(series) = &options.series {
        choice.series = Some(workshop.library.obtain_series(series).await?);
    }
    let mut profile = workshop.profile(&options.profile)?;
    options.machine.options().change(&mut profile);
    if profile.clock != Clock::Wall {
        return Err(usage(
            "a hunt asks the guest for something when a task sleeps, which the virtual clock forbids\n  \
             hint: --clock wall",
        ));
    }
    let functions = match &options.files[..] {
        [] => options.functions.clone(),
        files => functions_of(files)?,
    };
    let mut group = Group::new(Ground::Qemu(choice), profile, None, Technique::Hunt);
    group.functions = functions;
    group.beside = options.beside.clone();
    Ok(group)
}

fn actor(name: &str) -> Result<Actor, String> {
    let known = || Actor::ALL.map(Actor::as_str).join(", ");
    Actor::by_name(name).ok_or_else(|| format!("known are {}", known()))
}

fn functions_of(files: &[String]) -> Result<Vec<String>, Error> {
    let mut functions = Vec::new();
    for file in files {
        let parts: Vec<_> = PARTS.iter().filter(|part| part.file == file).collect();
        if parts.is_empty() {
            let known: BTreeSet<&str> = PARTS.iter().map(|part| part.file).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Err(usage(format!(
                "it is not known which functions {file} has\n  hint: known are {}; for others use --functions",
                known.join(", ")
            )));
        }
        let patterns = parts.into_iter().flat_map(|part| part.functions);
        functions.extend(patterns.map(|&name| name.to_owned()));
    }
    Ok(functions)
}
