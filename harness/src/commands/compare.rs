// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm compare`: whether one kernel's writeback regressed against another's, from event logs, or by pairs of
//! storms that are run until the answer is clear.

mod live;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::baselines::BaselineFile;
use reports::baseline::key_of;
use reports::comparison::course::Courses;
use reports::comparison::metric;
use reports::comparison::{Comparison, Request, Selector, Side, compare, compare_with};
use reports::render::comparison as render;
use reports::run::RunReport;
use reports::statistics::rule::{DEFAULT_MARGIN, Looks};

use super::{baseline, report, usage};
use crate::cli::Places;
use crate::printer::Printer;
use engine::Error;

/// Options of `compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Folder of a run that has both kernels, or of A's run, or its event log [default: both kernels are run]
    #[arg(value_name = "RUN", conflicts_with_all = live::ARGUMENTS)]
    run: Option<PathBuf>,
    /// The same of B's run, where it is another
    #[arg(value_name = "RUN_B")]
    run_b: Option<PathBuf>,
    /// Cells of A, the kernel that the other one is measured by: words with commas between them, such as a kernel, a
    /// series (`none`: the kernel as it is), an architecture, a profile
    #[arg(long, value_name = "SELECTOR", default_value = "", hide_default_value = true)]
    a: String,
    /// Cells of B [default: what A does not select]
    #[arg(long, value_name = "SELECTOR", default_value = "", hide_default_value = true)]
    b: String,
    /// Compare RUN with a baseline, which is A: this one, or the one by which storms of RUN's kernel and setting are measured,
    /// that is the one accepted last, or the newest
    #[arg(
        long, value_name = "ID", num_args = 0..=1, require_equals = true, default_missing_value = "",
        requires = "run", conflicts_with_all = ["run_b", "a"]
    )]
    baseline: Option<String>,
    /// File of the baselines [default: ~/.local/share/swapstorm/baselines.jsonl]
    #[arg(long, value_name = "FILE", env = "SWAPSTORM_BASELINES")]
    baselines: Option<PathBuf>,
    /// A metric to test; may be repeated [default: those that the profile names]
    #[arg(long = "metric", value_name = "METRIC")]
    metrics: Vec<String>,
    /// A metric whose shift is no regression, and why; may be repeated
    #[arg(long = "expect", value_name = "METRIC=REASON", value_parser = expected)]
    expected: Vec<(String, String)>,
    /// Smallest change that matters, in per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * DEFAULT_MARGIN, value_parser = margin)]
    margin: f64,
    /// Look once, with all pairs: their number was fixed before the first of them was looked at
    #[arg(long)]
    single_look: bool,
    /// Compare storms under different conditions, and say so
    #[arg(long)]
    force: bool,
    /// How to render it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// With `--format svg`: draw this metric over guest time, with swapoffs, windows and reports, in place of all metrics
    #[arg(long, value_name = "METRIC", conflicts_with = "baseline")]
    over_time: Option<String>,
    #[command(flatten)]
    live: live::PairOptions,
}

const EXAMPLES: &str = "\
Examples:
  swapstorm compare out/run-1                           the two kernels of a run
  swapstorm compare out/run-1 --a none --b my-fix       the kernel as it is, and one of its series
  swapstorm compare out/run-1 --a debian-6.1 --b debian-6.12
  swapstorm compare out/run-1 out/run-2                 the kernels of two runs
  swapstorm compare --baseline out/run-2                a kernel, and what `baseline record` kept of it
  swapstorm compare --series ./mine.patch               debian-6.1 as it is and with a series
  swapstorm compare --kernel debian-6.12 --kernel ~/src/linux

Exit codes:
  0    no regression: no change, a small one, or an improvement
  1    regression
  2    usage, also: storms that cannot be compared
  4    too few pairs";

/// A rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// For a program
    Json,
    /// For a mail
    Markdown,
    /// A picture: shifts with their intervals, and every storm's values
    Svg,
}

fn margin(text: &str) -> Result<f64, String> {
    let margin: Option<f64> = text.parse().ok();
    margin
        .filter(|m| (0.1..=100.0).contains(m))
        .ok_or("expected per cent from 0.1 to 100".to_owned())
}

fn expected(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(metric, why)| (metric.trim(), why.trim()));
    let (metric, why) = parts
        .filter(|(metric, why)| !metric.is_empty() && !why.is_empty())
        .ok_or("expected METRIC=REASON, such as `disk-swapins=the pool is smaller`")?;
    Ok((metric.to_owned(), why.to_owned()))
}

impl Options {
    /// The request, but for where the sides are.
    fn request(&self, a: Side, b: Side) -> Request {
        Request {
            a,
            b,
            metrics: self.metrics.clone(),
            expected: BTreeMap::from_iter(self.expected.iter().cloned()),
            margin: self.margin / 100.0,
            looks: if self.single_look { Looks::Single } else { Looks::Sequential },
            force: self.force,
        }
    }

    /// Refuses what cannot be drawn, before anything is run.
    fn check(&self) -> Result<(), Error> {
        match &self.over_time {
            Some(_) if self.format != Format::Svg => {
                Err(usage("--over-time is a picture\n  hint: add --format svg, or leave it out"))
            }
            Some(metric) => metric::choose(std::slice::from_ref(metric)).map(drop).map_err(usage),
            None => Ok(()),
        }
    }

    /// Compares the runs of `report`, whose logs are these, and prints it; the result is the exit code.
    fn compare(
        &self,
        report: &RunReport,
        request: &Request,
        logs: &[&Path],
        printer: &Printer,
    ) -> Result<u8, Error> {
        let comparison = compare(report, request).map_err(usage)?;
        let Some(metric) = &self.over_time else { return Ok(self.show(&comparison, printer)) };
        let mut courses = Courses::new(report, request, metric).map_err(usage)?;
        for log in logs {
            report::read_courses(log, &mut courses)?;
        }
        let metric = courses.metric();
        printer.data(&render::over_time(&comparison, metric, &courses.finish()));
        Ok(comparison.answer.exit_code().code())
    }

    /// Prints the comparison; the result is the exit code.
    fn show(&self, comparison: &Comparison, printer: &Printer) -> u8 {
        printer.data(&match self.format {
            Format::Text => render::text(comparison, printer.look),
            Format::Json => render::json(comparison),
            Format::Markdown => render::markdown(comparison),
            Format::Svg => render::svg(comparison),
        });
        comparison.answer.exit_code().code()
    }
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    options.check()?;
    match (&options.run, &options.baseline) {
        (Some(run), Some(id)) => with_baseline(id, run, options, printer),
        (Some(run), None) => of_logs(run, options, printer),
        (None, _) => live::run(options, places, printer).await,
    }
}

/// Compares runs that have ended.
fn of_logs(run: &Path, options: &Options, printer: &Printer) -> Result<u8, Error> {
    let mut report = RunReport::default();
    report::read(run, &mut report)?;
    let runs_of_a = report.runs.len();
    if let Some(run) = &options.run_b {
        report::read(run, &mut report)?;
        if report.runs.len() == runs_of_a {
            return Err(usage(format!(
                "{}: this is the run that A is from\n  hint: name it once, and the kernels with --a and --b",
                run.display()
            )));
        }
    }
    let ids = ids(&report);
    let (of_a, of_b) = ids.split_at(runs_of_a);
    let of_b = if options.run_b.is_some() { of_b } else { of_a };
    let request = options.request(side(of_a, &options.a), side(of_b, &options.b));
    for problem in &report.problems {
        printer.say(problem);
    }
    let logs: Vec<&Path> = [run].into_iter().chain(options.run_b.as_deref()).collect();
    options.compare(&report, &request, &logs, printer)
}

/// Compares a run that has ended with the baseline of this id, or if that is empty with the one of its key.
fn with_baseline(id: &str, run: &Path, options: &Options, printer: &Printer) -> Result<u8, Error> {
    let mut report = RunReport::default();
    report::read(run, &mut report)?;
    let request = options.request(Side::default(), side(&ids(&report), &options.b));
    for problem in &report.problems {
        printer.say(problem);
    }
    let file = BaselineFile::at(options.baselines.as_deref())?;
    let book = baseline::read(&file, printer)?;
    let key = key_of(&report, &request.b).map_err(usage)?;
    let id = Some(id).filter(|id| !id.is_empty());
    let kept = book.choose(id, &key, request.force);
    let kept = kept.map_err(|refusal| baseline::in_file(&file, refusal))?;
    Ok(options.show(&compare_with(&kept, &report, &request).map_err(usage)?, printer))
}

fn ids(report: &RunReport) -> Vec<String> {
    report.runs.iter().map(|run| run.id.to_string()).collect()
}

fn side(runs: &[String], selector: &str) -> Side {
    Side { runs: runs.to_vec(), selector: Selector::new(selector) }
}
