// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm check`: whether a series is good.

mod tester;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::check::Check;
use engine::job::{Ground, Group};
use engine::local::{Image, Local, Settings};
use engine::plan::duration;
use engine::workshop::{KernelChoice, Workshop};
use engine::{Error, GuestOptions, Run};
use kernels::{Progress, Series};
use machine::Timeouts;
use reports::check::{CheckFacts, SparseFacts, StatisticsFacts};
use reports::exit::{ExitCode, Purpose};
use reports::proof::DEFAULT_CONFIDENCE;
use reports::render::check as render;
use workloads::profile::Technique;

use self::tester::{person, tester};
use super::bisect::range::{Entry, of_series, positions};
use super::bisect::share;
use super::kernel::KernelOptions;
use super::machine::MachineArgs;
use super::repro::technique;
use super::{seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The series: a name, a path with a slash in it, REPO:A..B or lore:MESSAGE-ID
    #[arg(value_name = "SERIES")]
    series: String,
    /// The kernel that it is for, as for `repro`
    #[arg(long, value_name = "KERNEL", default_value = "debian-6.1")]
    base: String,
    /// The series fixes the bug that the profile expects; if that is not so, it is not good
    #[arg(long)]
    fixes: bool,
    /// Build and boot the kernel of each patch
    #[arg(long)]
    each: bool,
    /// Ask the kernel's own checkpatch about each patch
    #[arg(long)]
    checkpatch: bool,
    /// Ask sparse about the C files that the series touches, and refuse to run without it [default: where it is installed]
    #[arg(long)]
    sparse: bool,
    /// Do not ask sparse
    #[arg(long, conflicts_with = "sparse")]
    no_sparse: bool,
    /// Guests of base and tip each, whatever they show
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pairs: u32,
    /// Probability that an answer must have
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_CONFIDENCE, value_parser = share)]
    confidence: f64,
    /// Longest time that it may take; then the answer is what is known
    #[arg(long, default_value = "2h", value_parser = duration)]
    budget: Duration,
    /// Profile of the storm for bugs
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How to provoke bugs [default: as the profile says]
    #[arg(long, value_parser = technique())]
    technique: Option<Technique>,
    /// How long each guest storms for bugs, in its own time, if it does not show one before
    #[arg(long, default_value = "60s", value_parser = duration)]
    storm: Duration,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Print a reply to the series' mails, with the Tested-by that it has earned, or why it has earned none
    #[arg(long, conflicts_with = "json")]
    mail: bool,
    /// Whose Tested-by that is [default: as git is configured]
    #[arg(long, value_name = "NAME <MAIL>", requires = "mail", value_parser = person)]
    tested_by: Option<String>,
    /// Print all that is known as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    statistics: StatisticsOptions,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// How statistics are compared.
#[derive(Debug, Args)]
#[command(next_help_heading = "Statistics")]
struct StatisticsOptions {
    /// Do not compare writeback statistics
    #[arg(long, conflicts_with_all = ["statistics_profile", "statistics_storm", "statistics_pairs"])]
    no_statistics: bool,
    /// Profile of the storms for the statistics
    #[arg(long, value_name = "PROFILE", default_value = "writeback-steady")]
    statistics_profile: String,
    /// How long each of them is, in guest time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    statistics_storm: Duration,
    /// Most pairs of them
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    statistics_pairs: u32,
}

const EXAMPLES: &str = "\
Examples:
  swapstorm check ./v3.mbx                                on debian-6.1
  swapstorm check ../linux:v6.8..topic --base ../linux:v6.8 --each --checkpatch
  swapstorm check ./fix.patch --fixes --mail              it is to fix the bug that the profile expects

Exit codes:
  0    nothing speaks against the series, and nothing that was asked is open
  1    it brought a bug or a regression, or did not fix what it was to fix
  2    usage, also: a patch does not apply, a kernel does not compile
  4    no answer yet";

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let base = options.build.choice(&options.base, &options.arch, &workshop.library)?;
    let series = workshop.library.obtain_series(&options.series).await?;
    let entries = entries(&base, &series);
    // Each profile says by which clock its guests live.
    let guest = GuestOptions { clock: None, ..options.machine.options() };
    let groups = groups(options, &guest, &entries, &workshop)?;
    let statistics = statistics(options, &guest, &entries, &workshop)?;
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let checkpatch = match options.checkpatch {
        true => Some(checkpatch(&entries, &workshop, &view).await?),
        false => None,
    };
    let sparse = sparse(options, &entries, &workshop, &view).await?;
    let facts = CheckFacts {
        series: options.series.clone(),
        base: base.manifest.name.clone(),
        subjects: series.subjects(),
        positions: positions(&entries, &groups),
        fixes: options.fixes,
        each: options.each,
        pairs: options.pairs,
        confidence: options.confidence,
        budget_ms: millis(options.budget),
        storm_ms: millis(options.storm),
        statistics: statistics.as_ref().map(|[base, tip]| StatisticsFacts {
            base: base.cell().population(),
            tip: tip.cell().population(),
            most: options.statistics.statistics_pairs,
        }),
        checkpatch,
        sparse,
    };
    let interrupt = interrupt::listen()?;
    let mut run = Run::begin("check", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest,
        scale,
        dir: run.dir.clone(),
        keep_disks: false,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    let side_by_side = local.guests_side_by_side(&groups[0]);
    let introduced = groups.iter().take(1).chain(statistics.iter().flatten().take(1));
    run.introduce(introduced.map(|group| &**group))?;
    run.ask(facts.clone())?;
    let statistics = statistics.map(|both| (both, options.statistics.statistics_storm));
    let storm = options.storm;
    let mut check = Check { facts, groups, statistics, seed, storm, side_by_side };
    run.carry_out(&mut check, &local).await?;
    view.clear();
    let finished = run.end()?;
    let Some(check) = finished.report.checks().into_iter().next() else {
        return Ok(ExitCode::Infrastructure.code());
    };
    if options.mail {
        let tester = match &options.tested_by {
            Some(tester) => Some(tester.clone()),
            None => tester().await,
        };
        let repeat = finished.report.repeat_command();
        printer.data(&render::mail(&check, &repeat, tester.as_deref()));
    } else if options.json {
        printer.data(&render::json(&check));
    } else {
        printer.data(&render::text(&check, printer.look));
    }
    printer.say(&format!("\nreport and consoles: {}", finished.dir.display()));
    Ok(check.verdict.exit_code().code())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The base, and the kernels with one more patch each; the tip has the series by its own name.
fn entries(base: &KernelChoice, series: &Series) -> Vec<Entry> {
    let mut entries = of_series(base, series);
    if let Some(tip) = entries.last_mut() {
        tip.choice.series = Some(series.clone());
        tip.label.kernel = tip.choice.name();
    }
    entries
}

/// The kernels with the storm for bugs.
fn groups(
    options: &Options,
    guest: &GuestOptions,
    entries: &[Entry],
    workshop: &Workshop,
) -> Result<Vec<Arc<Group>>, Error> {
    let mut profile = workshop.profile(&options.profile)?;
    guest.change(&mut profile);
    guest.suits_clock(&profile)?;
    let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
    if options.fixes && rule.is_none() {
        let name = &profile.name;
        return Err(usage(format!(
            "the profile {name} expects no bug that --fixes could mean\n  hint: name another --profile"
        )));
    }
    let technique = options.technique.unwrap_or(profile.technique);
    let group = |entry: &Entry| {
        let ground = Ground::Qemu(entry.choice.clone());
        Arc::new(Group::new(ground, profile.clone(), rule.clone(), technique))
    };
    Ok(entries.iter().map(group).collect())
}

/// Base and tip with the storm for the statistics, if they are wanted.
fn statistics(
    options: &Options,
    guest: &GuestOptions,
    entries: &[Entry],
    workshop: &Workshop,
) -> Result<Option<[Arc<Group>; 2]>, Error> {
    let (Some(base), Some(tip)) = (entries.first(), entries.last()) else { return Ok(None) };
    if options.statistics.no_statistics {
        return Ok(None);
    }
    let mut profile = workshop.profile(&options.statistics.statistics_profile)?;
    guest.change(&mut profile);
    guest.suits_clock(&profile)?;
    let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
    Ok(Some([base, tip].map(|entry| {
        let ground = Ground::Qemu(entry.choice.clone());
        Arc::new(Group::new(ground, profile.clone(), rule.clone(), Technique::Natural))
    })))
}

/// What checkpatch says of each patch.
async fn checkpatch(
    entries: &[Entry],
    workshop: &Workshop,
    view: &View,
) -> Result<Vec<Vec<String>>, Error> {
    let Some(tip) = entries.last() else { return Ok(Vec::new()) };
    let name = tip.choice.name();
    let progress = |progress: Progress<'_>| view.kernel(&name, progress);
    let said = workshop.checkpatch(&tip.choice, &progress).await;
    view.clear();
    said
}

/// What sparse newly warns of. Why it cannot be asked is a line to read, unless it was asked for: the guests are run all the same.
async fn sparse(
    options: &Options,
    entries: &[Entry],
    workshop: &Workshop,
    view: &View,
) -> Result<Option<SparseFacts>, Error> {
    let (Some(base), Some(tip)) = (entries.first(), entries.last()) else { return Ok(None) };
    if options.no_sparse {
        return Ok(None);
    }
    if let Err(missing) = kernels::sparse_version().await {
        if options.sparse {
            return Err(missing.into());
        }
        view.line(&format!("sparse was not asked: {}", in_a_line(&missing.to_string())));
        return Ok(None);
    }
    let name = tip.choice.name();
    let progress = |progress: Progress<'_>| view.kernel(&name, progress);
    let said = workshop.sparse([&base.choice, &tip.choice], &progress).await;
    view.clear();
    if options.sparse {
        return said;
    }
    // A series that does not apply, or a kernel that cannot be configured, is what the run has to say.
    said.or_else(|error| {
        view.line(&format!("sparse was not asked: {}", in_a_line(&error.to_string())));
        Ok(None)
    })
}

/// An error of several lines as one.
fn in_a_line(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).collect();
    lines.join("; ")
}
