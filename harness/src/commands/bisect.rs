// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bisect`: the commit, patch or kernel that brought a bug which only sometimes shows.

mod command;
pub(super) mod range;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use engine::bisect::{Bisect, broken};
use engine::executor::Executor;
use engine::job::Ground;
use engine::local::{Guesthouse, Image, Local, Settings};
use engine::plan::duration;
use engine::workshop::Workshop;
use engine::{Error, GuestOptions, Run};
use machine::Timeouts;
use reports::comparison::metric;
use reports::exit::{ExitCode, Purpose};
use reports::run::RunReport;
use reports::search::answer::Answer;
use reports::search::branch::{self, MOST_BRANCHES};
use reports::search::evidence::{Predicate, is_stalled};
use reports::search::range::Range;
use reports::search::{Search, git, told};
use reports::verdict::CellVerdict;
use workloads::profile::Technique;

use self::range::{entries, groups, of_branch, positions};
use super::kernel::KernelOptions;
use super::machine::MachineArgs;
use super::repro::technique;
use super::{report, seed_from_clock, usage};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Options of `bisect`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// A commit without the bug, REPO:REF, of a repository on this machine
    #[arg(long, value_name = "REPO:REF", requires = "bad", conflicts_with = "kernels")]
    good: Option<String>,
    /// A later one with it, which follows by first parents; with --fixed, without it
    #[arg(long, value_name = "REPO:REF", requires = "good")]
    bad: Option<String>,
    /// A kernel, as for `repro`; named twice or more, oldest first: which of them is the first with the bug
    #[arg(long = "kernel", value_name = "KERNEL")]
    kernels: Vec<String>,
    /// A series on the one kernel that was named: which of its patches brings the bug
    #[arg(long, value_name = "SERIES", conflicts_with = "good")]
    series: Option<String>,
    /// A series that kernels need which are built from these commits, those of A..B in the same repository, or all; it is left
    /// out where the source has it already. May be repeated
    #[arg(long = "fixup", value_name = "SERIES[@A..B]", requires = "good")]
    fixups: Vec<String>,
    /// Search the change that fixed the bug: the first kernel has it, and the last one does not
    #[arg(long)]
    fixed: bool,
    #[command(flatten)]
    what: What,
    /// Probability that the answer must have
    #[arg(long, value_name = "SHARE", default_value = "0.99", value_parser = share)]
    confidence: f64,
    /// Longest time that it may take; then the answer is what is known
    #[arg(long, default_value = "2h", value_parser = duration)]
    budget: Duration,
    /// Earlier runs of the same kernels, profile and technique: what they saw counts
    #[arg(long, value_name = "RUN")]
    resume: Vec<PathBuf>,
    /// Profile of the storm [default: zswap-writeback-swapoff; with --regression: writeback-steady]
    #[arg(long)]
    profile: Option<String>,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How to provoke the bug [default: as the profile says]
    #[arg(long, value_parser = technique())]
    technique: Option<Technique>,
    /// How long each guest storms, in its own time, if it does not show the bug before [default: 60s; with --regression: 10s]
    #[arg(long, value_parser = duration)]
    storm: Option<Duration>,
    /// How long a --command may take; one that takes longer ends the search
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, requires = "command")]
    command_limit: Duration,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// What is done beside a search.
#[derive(Debug, Subcommand)]
enum Action {
    /// Print what a search of commits came to in the form that `git bisect replay` takes
    Log {
        /// Folders of the search's runs, or their event logs
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
    },
}

/// What is searched for; without any of these the bug that the profile expects.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct What {
    /// Search for any report of a kernel bug, not only the one that the profile expects
    #[arg(long)]
    any_crash: bool,
    /// Search for any hung task, lockup or stall
    #[arg(long)]
    hang: bool,
    /// Search for kernels whose guests do not come up
    #[arg(long)]
    boot_failure: bool,
    /// Search for kernels that do not compile
    #[arg(long)]
    build_failure: bool,
    /// Search for storms in which this metric of `compare` is worse
    #[arg(long, value_name = "METRIC")]
    regression: Option<String>,
    /// Search for kernels for which this command, a line for the shell of this machine, ends as for `git bisect run`
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  swapstorm bisect --good ../linux:v6.8 --bad ../linux:topic
  swapstorm bisect --good ../linux:v6.8 --bad ../linux:topic --fixup ./gcc-14.patch@v6.8..v6.9-rc3
  swapstorm bisect --kernel debian-6.1 --series ./v3.mbx --regression writebacks-per-store
  swapstorm bisect --good ../linux:v6.8 --bad ../linux:topic --command './boots.sh \"$SWAPSTORM_KERNEL_IMAGE\"'

A --command is run with `sh -c` in this folder, for each run of a kernel, and says by its exit status:
  0              the kernel is good
  1..124, 126, 127
                 it is bad; it need not be so each time
  125            it cannot be tested
  128 or more    the search ends, to be gone on with by --resume; so does one that a signal or --command-limit ends
It finds in its environment
  SWAPSTORM_KERNEL         the kernel's name: REPO:COMMIT, a manifest, or either with a series
  SWAPSTORM_COMMIT         the commit's id; empty if it is none
  SWAPSTORM_KERNEL_DIR     folder with vmlinux, config and images; it is read-only
  SWAPSTORM_KERNEL_IMAGE   the image to boot
  SWAPSTORM_INITRAMFS      our guest agent as an initramfs
  SWAPSTORM_ARCH           the architecture, as --arch names it
  SWAPSTORM_NUMBER         which run of this kernel it is, from 1
  SWAPSTORM_SEED           a number to draw from
  SWAPSTORM_DIR            a folder of its own for what it makes; what it prints is in command.log there

Exit codes:
  0    the change was found
  2    usage, also: the ends are the wrong way round or the same kernel; the command did not end by itself
  3    infrastructure
  4    no answer: the budget, an end without the bug, ends that do not differ
  130  interrupted";

impl What {
    fn predicate(&self) -> Predicate {
        match self {
            Self { any_crash: true, .. } => Predicate::AnyCrash,
            Self { hang: true, .. } => Predicate::Hang,
            Self { boot_failure: true, .. } => Predicate::BootFailure,
            Self { build_failure: true, .. } => Predicate::BuildFailure,
            Self { regression: Some(metric), .. } => Predicate::Regression(metric.clone()),
            Self { command: Some(command), .. } => Predicate::Command(command.clone()),
            _ => Predicate::Expected,
        }
    }
}

/// A guest storms so long, unless the user says otherwise.
const USUAL_STORM: Duration = Duration::from_secs(60);
/// The same of one that is measured.
const MEASURED_STORM: Duration = Duration::from_secs(10);
/// A guest that need only come up storms so long.
const SHORT: Duration = Duration::from_secs(1);

/// Reads a probability.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| *share > 0.5 && *share < 1.0)
        .ok_or_else(|| "expected a probability above 0.5 and below 1, such as 0.95".to_owned())
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    if let Some(Action::Log { runs }) = &options.action {
        return log(runs, printer);
    }
    let workshop = Workshop::open(&places.folders())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    if let Some(metric) = &options.what.regression {
        metric::choose(std::slice::from_ref(metric)).map_err(usage)?;
    }
    let entries = entries(options, &workshop).await?;
    let groups = groups(options, &entries, &workshop)?;
    let before = match options.resume.is_empty() {
        true => None,
        false => Some(earlier(&options.resume)?),
    };
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let mut run = Run::begin("bisect", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest: options.guest(),
        scale,
        dir: run.dir.clone(),
        keep_disks: false,
        image: Image::Agent,
        jobs: options.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    let side_by_side = local.guests_side_by_side(&groups[0]);
    run.introduce([&*groups[0]].into_iter())?;
    let predicate = options.what.predicate();
    let storm = options.storm.unwrap_or(match predicate {
        Predicate::Regression(_) => MEASURED_STORM,
        _ => USUAL_STORM,
    });
    let storm = if predicate.is_certain() { storm.min(SHORT) } else { storm };
    let range = Range {
        positions: positions(&entries, &groups),
        predicate,
        confidence: options.confidence,
        budget: Some(options.budget.as_secs_f64()),
        storm_ms: u64::try_from(storm.as_millis()).unwrap_or(u64::MAX),
        is_fix: options.fixed,
        merge: None,
    };
    let so_far = RunReport::default();
    let bisect = Bisect { groups, range, seed, storm, side_by_side, before, depth: 0, so_far };
    // The kernels of a branch are looked up in the same data, and `local` has the workshop.
    let library = Workshop::open(&places.folders())?;
    let bisects = match &options.what.command {
        Some(line) => {
            let unit = command::Judge { line: line.clone(), limit: options.command_limit };
            let house = Guesthouse::new(local, Arc::new(unit));
            search(options, bisect, &mut run, &house, &library).await?
        }
        None => search(options, bisect, &mut run, &local, &library).await?,
    };
    view.clear();
    let finished = run.end()?;
    let folded = |bisect: &'_ Bisect| bisect.fold(&finished.report);
    let searches: Vec<(&Range, Search)> =
        bisects.iter().filter_map(|bisect| Some((&bisect.range, folded(bisect)?))).collect();
    let (Some(bisect), Some((_, search))) = (bisects.first(), searches.first()) else {
        return Err(usage("there is nothing to search: name two kernels, or a series"));
    };
    let answer = search.conclusion();
    if options.json {
        printer.data(&told::json(&searches));
    } else {
        printer.data(&told::text(&searches));
    }
    printer.say(&format!(
        "\nreport and consoles: {0}\ngo on, or ask again: the same command with --resume {0}",
        finished.dir.display()
    ));
    if let Some(cell) = broken(&bisect.range, &finished.report) {
        let folder = finished.dir.join(&cell.cell.id);
        let said = cell.failure.as_ref().map_or("the command ended the search", |f| &f.detail);
        return Err(usage(format!("{said}\n  hint: what it printed is in {}", folder.display())));
    }
    let code = exit_code(&answer, &finished.report);
    match bisect.why_untestable(&answer, &finished.report) {
        // Without that end there is nothing to search, and it is the input that is at fault.
        Some(CellVerdict::PatchConflict { reason }) if code == ExitCode::Inconclusive => {
            Err(usage(reason))
        }
        Some(verdict) => {
            printer.say(&format!("the end that cannot be tested: {}", verdict.reason()));
            Ok(code.code())
        }
        None => Ok(code.code()),
    }
}

/// Carries the search out, and those in branches of merges that are found to be the culprit, one in another.
async fn search<E: Executor>(
    options: &Options,
    first: Bisect,
    run: &mut Run<'_>,
    executor: &E,
    library: &Workshop,
) -> Result<Vec<Bisect>, Error> {
    let mut bisects = vec![first];
    while let Some(bisect) = bisects.last_mut() {
        run.search(bisect.range.clone())?;
        run.carry_out(bisect, executor).await?;
        let depth = bisect.depth;
        let next = match bisect.merge(run.report()) {
            Some(merge) if !run.is_interrupted() && depth < MOST_BRANCHES => {
                // The merge is found, whatever becomes of its branch.
                match branch(options, bisect, merge, run.report(), library).await {
                    Ok(next) => next,
                    Err(error) => {
                        run.notice(format!("the branch of the merge is not searched: {error}"))?;
                        None
                    }
                }
            }
            _ => None,
        };
        let Some(next) = next else { break };
        let commits = next.range.positions.len().saturating_sub(2);
        run.notice(format!("the culprit is a merge: its branch is searched, {commits} commits"))?;
        bisects.push(next);
    }
    Ok(bisects)
}

/// The search in the branch of a merge, if something is known of it.
async fn branch(
    options: &Options,
    bisect: &Bisect,
    merge: branch::Entry,
    report: &RunReport,
    library: &Workshop,
) -> Result<Option<Bisect>, Error> {
    let Ground::Qemu(choice) = &bisect.groups[merge.kernel].ground else { return Ok(None) };
    let label = &bisect.range.positions[merge.label].label;
    let Some(entries) = of_branch(options, choice, label, library).await? else { return Ok(None) };
    let groups = groups(options, &entries, library)?;
    let positions = positions(&entries, &groups);
    Ok(Some(bisect.in_branch(merge, (groups, positions), report)))
}

impl Options {
    /// The user's changes to the machine of the guests.
    fn guest(&self) -> GuestOptions {
        let guest = self.machine.options();
        match self.what.regression {
            // Storms that are measured live by the clock that their profile says.
            Some(_) => GuestOptions { clock: None, ..guest },
            None => guest,
        }
    }

    fn profile(&self) -> &str {
        let usual = match self.what.regression {
            Some(_) => "writeback-steady",
            None => "zswap-writeback-swapoff",
        };
        self.profile.as_deref().unwrap_or(usual)
    }
}

/// The exit code of a search whose cells `report` has.
pub(super) fn exit_code(answer: &Answer, report: &RunReport) -> ExitCode {
    match answer.exit_code() {
        _ if report.interrupted() => ExitCode::Interrupted,
        ExitCode::Inconclusive if is_stalled(&report.cells) => ExitCode::Infrastructure,
        code => code,
    }
}

/// Prints the log of a search of commits.
fn log(runs: &[PathBuf], printer: &Printer) -> Result<u8, Error> {
    let report = earlier(runs)?;
    let searches = report.searches();
    if searches.is_empty() {
        return Err(usage("this is no run of bisect\n  hint: name the folder of one"));
    }
    let Some(log) = git::log(branch::last_chain(&searches)) else {
        return Err(usage(
            "what was searched are no commits, of which git bisect knows\n  hint: `swapstorm report` shows the search",
        ));
    };
    printer.data(&log);
    Ok(ExitCode::Clean.code())
}

/// What earlier runs saw.
fn earlier(runs: &[PathBuf]) -> Result<RunReport, Error> {
    let mut seen = RunReport::default();
    for path in runs {
        report::read(path, &mut seen)?;
    }
    Ok(seen)
}
