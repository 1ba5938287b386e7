// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm history`: what came and went over the nights, from a file that keeps a line of each run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use engine::Error;
use engine::history::{HistoryFile, Pruned, Recorded};
use jiff::Timestamp;
use jiff::civil::Date;
use reports::escape::printable;
use reports::exit::ExitCode;
use reports::history::{DEFAULT_NEWEST, Filter, History, Ledger, News, Night, Run};
use reports::render::history as render;
use reports::run::RunReport;

use super::{cache, report, usage};
use crate::printer::Printer;

/// Names of kernels or architectures that a hint lists.
const MOST_NAMED: usize = 12;

/// Options of `history`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    show: Show,
    /// File of the history; a line a run [default: ~/.local/share/swapstorm/history.jsonl]
    #[arg(long, global = true, value_name = "FILE", env = "SWAPSTORM_HISTORY")]
    file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  swapstorm history record out/run-1 out/run-2          after each night
  swapstorm history                                     what is new, known, worse, better, gone
  swapstorm history --since 90d --kernel mainline --format html > history.html
  swapstorm history show out/run-3                      with a run that is not recorded
  swapstorm history prune --keep 400d
Files of several machines are merged by putting one behind the other.";

#[derive(Debug, Subcommand)]
enum What {
    /// Say what came and went (also without a command)
    Show(Show),
    /// Keep what runs came to that have ended; one that is kept already is not kept twice
    Record(Record),
    /// Remove the runs of old nights from the file
    Prune(Prune),
}

#[derive(Debug, Args)]
struct Show {
    /// Runs that are looked at beside those of the file: folders, or event logs. They are not recorded
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Only nights since a day or an age, such as 2026-01-31 or 30d; what was seen before is still known
    #[arg(long, value_name = "DATE|AGE", value_parser = since)]
    since: Option<Night>,
    /// Only this architecture
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Only this kernel, by its name, as `NAME + SERIES`, or by its release
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// How many of the newest nights are held against those before
    #[arg(long, value_name = "NIGHTS", default_value_t = DEFAULT_NEWEST as u16, value_parser = clap::value_parser!(u16).range(1..=3650))]
    newest: u16,
    /// How to render it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Show {
    /// Whether nothing was asked for.
    fn is_plain(&self) -> bool {
        let Self { runs, since, arch, kernel, newest, format } = self;
        let filters = (since.is_some(), arch.is_some(), kernel.is_some());
        let is_usual = usize::from(*newest) == DEFAULT_NEWEST && *format == Format::Text;
        runs.is_empty() && filters == (false, false, false) && is_usual
    }
}

/// A rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// For a program
    Json,
    /// For a browser: one page that needs nothing else
    Html,
    /// For a mail
    Markdown,
}

#[derive(Debug, Args)]
struct Record {
    /// Folders of runs that have ended, or their event logs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Prune {
    /// How far back runs are kept, such as 400d
    #[arg(long, value_name = "AGE", value_parser = ago)]
    keep: Night,
}

/// The night of so long ago.
fn ago(text: &str) -> Result<Night, String> {
    let age = cache::age(text)?;
    let moment = Timestamp::now().checked_sub(age).ok();
    moment.and_then(Night::at).ok_or_else(|| "that is before all calendars".to_owned())
}

fn since(text: &str) -> Result<Night, String> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-01-31".len());
    day.map_or_else(
        || ago(text).map_err(|_| "expected a day or an age, such as 2026-01-31, 30d or 2w".into()),
        |day| Ok(Night::on(day)),
    )
}

/// Runs the command.
pub async fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let file = HistoryFile::at(options.file.as_deref())?;
    if options.what.is_some() && !options.show.is_plain() {
        let words = "runs and options of `show` stand before another command";
        return Err(usage(format!(
            "{words}\n  hint: put them behind it, as in `show --since 30d`"
        )));
    }
    match &options.what {
        None => show(&options.show, &file, printer)?,
        Some(What::Show(show)) => self::show(show, &file, printer)?,
        Some(What::Record(what)) => record(what, &file, printer).await?,
        Some(What::Prune(Prune { keep })) => {
            let Pruned { kept, removed, twice, damaged } =
                file.prune(*keep, || waiting(&file, printer)).await?;
            let mut words = format!("{removed} removed, {kept} kept");
            for (what, n) in [("runs there twice", twice), ("damaged lines left", damaged)] {
                if n > 0 {
                    words.push_str(&format!(", {what}: {n}"));
                }
            }
            printer.say(&format!("{}: {words}", file.path.display()));
        }
    }
    Ok(ExitCode::Clean.code())
}

/// Holds runs against the nights before them that are recorded. Nothing is said of them where none is, or nobody says where the history
/// is kept.
///
/// # Errors
/// Those of reading the file.
pub(super) fn hold_against(
    report: &mut RunReport,
    named: Option<&Path>,
    printer: &Printer,
) -> Result<(), Error> {
    let file = match HistoryFile::at(named) {
        Err(_) if named.is_none() => return Ok(()),
        file => file?,
    };
    let ledger = file.read()?;
    if ledger.damaged > 0 {
        let words = "lines are skipped: `swapstorm history` names them";
        printer.say(&format!("{}: {} {words}", file.path.display(), ledger.damaged));
    }
    report.news = News::of(report, &ledger);
    Ok(())
}

fn show(options: &Show, file: &HistoryFile, printer: &Printer) -> Result<(), Error> {
    let mut ledger = file.read()?;
    for problem in &ledger.problems {
        printer.say(&format!("{}: {problem}", file.path.display()));
    }
    if ledger.damaged > ledger.problems.len() {
        let more = ledger.damaged - ledger.problems.len();
        printer.say(&format!("{}: {more} more lines are skipped", file.path.display()));
    }
    for path in &options.runs {
        let report = read(path, printer)?;
        for run in &report.runs {
            let line = Run::of(&report, run);
            line.line().map_err(|why| {
                let hint = "hint: `swapstorm report` says what the log holds";
                usage(format!("{}: the run cannot be shown: {why}\n  {hint}", path.display()))
            })?;
            ledger.add(line);
        }
    }
    let Show { since, arch, kernel, newest, .. } = options;
    let (arch, kernel) = (arch.clone(), kernel.clone());
    let filter = Filter { since: *since, arch, kernel, newest: (*newest).into() };
    names_are_there(&ledger, &filter)?;
    let history = History::of(&ledger, &filter);
    if history.nights.is_empty() {
        let words = match ledger.runs.is_empty() {
            true => "it holds no run: `swapstorm history record RUN` adds one",
            false => "no run of it is of these nights, kernels and architectures",
        };
        printer.say(&format!("{}: {words}", file.path.display()));
    }
    printer.data(&match options.format {
        Format::Text => render::text(&history, printer.look),
        Format::Json => render::json(&ledger, &history),
        Format::Html => render::html(&ledger, &history),
        Format::Markdown => render::markdown(&history),
    });
    Ok(())
}

/// A name that no run has is a slip of the pen.
fn names_are_there(ledger: &Ledger, filter: &Filter) -> Result<(), Error> {
    let cells = || ledger.runs.iter().flat_map(|(_, run)| &run.cells);
    let unknown = |what: &str, name: &str, known: BTreeSet<String>| {
        let all = known.len();
        let mut known: Vec<String> =
            known.iter().take(MOST_NAMED).map(|name| printable(name).into_owned()).collect();
        if all > MOST_NAMED {
            known.push(format!("{} more", all - MOST_NAMED));
        }
        let words = format!("no run has the {what} `{}`", printable(name));
        usage(format!("{words}\n  hint: there are {}", known.join(", ")))
    };
    let named = |name: &str| {
        cells().any(|own| own.kernel == name || own.release == name || own.kernel_name() == name)
    };
    if ledger.runs.is_empty() {
        return Ok(());
    }
    if let Some(arch) = &filter.arch
        && !cells().any(|own| own.arch == arch.as_str())
    {
        let known = cells().map(|own| own.arch.to_string()).collect();
        return Err(unknown("architecture", arch, known));
    }
    if let Some(kernel) = &filter.kernel
        && !named(kernel)
    {
        return Err(unknown("kernel", kernel, cells().map(|own| own.kernel_name()).collect()));
    }
    Ok(())
}

/// A run's report; what of its log cannot be used is said.
fn read(path: &Path, printer: &Printer) -> Result<RunReport, Error> {
    let mut report = RunReport::default();
    report::read(path, &mut report)?;
    for problem in &report.problems {
        printer.say(problem);
    }
    Ok(report)
}

async fn record(options: &Record, file: &HistoryFile, printer: &Printer) -> Result<(), Error> {
    let mut reports = Vec::new();
    for path in &options.runs {
        reports.push(read(path, printer)?);
    }
    let reports: Vec<&RunReport> = reports.iter().collect();
    let recorded = file.record(&reports, || waiting(file, printer)).await?;
    let Recorded { new, known, unfinished } = &recorded;
    for id in known {
        printer.say(&format!("kept already: {}", printable(id)));
    }
    if options.json {
        let value =
            serde_json::json!({ "recorded": new, "known": known, "unfinished": unfinished });
        printer.data(&format!("{value:#}\n"));
    } else {
        new.iter().for_each(|id| printer.data(&format!("{}\n", printable(id))));
    }
    match &unfinished[..] {
        [] => Ok(()),
        [id] => Err(usage(format!(
            "the run {} has not come to its end, and is not recorded\n  hint: record it when it has",
            printable(id)
        ))),
        several => Err(usage(format!(
            "{} runs have not come to their end, and are not recorded: {}\n  hint: record them when they have",
            several.len(),
            printable(&several.join(", "))
        ))),
    }
}

fn waiting(file: &HistoryFile, printer: &Printer) {
    printer.say(&format!("{}: another swapstorm writes to it, waiting", file.path.display()));
}
