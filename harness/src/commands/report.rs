// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm report`: what runs showed, from their event logs alone.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use fs_err::File;
use reports::comparison::course::Courses;
use reports::exit::ExitCode;
use reports::log::{Entry, LogProblemKind, LogReader};
use reports::render;
use reports::run::RunReport;

use super::{bisect, history, usage};
use crate::printer::Printer;
use engine::Error;
use engine::event_log::FILE_NAME;

/// Bytes that are read in one go.
const CHUNK: usize = 64 << 10;

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folders of runs, or their event logs; several are merged
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// How to render it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// File of the history whose nights the runs are held against [default: ~/.local/share/swapstorm/history.jsonl]
    #[arg(long, value_name = "FILE", env = "SWAPSTORM_HISTORY")]
    history: Option<PathBuf>,
}

/// A rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// For a program
    Json,
    /// For a mail
    Markdown,
    /// For a browser: one page that needs nothing else
    Html,
    /// JUnit XML: a suite for each kernel and architecture, a case for each cell
    Junit,
    /// KTAP version 1, as the kernel's own tests speak
    Ktap,
    /// A submission to KCIDB, by kcidb-io's schema 5.3
    Kcidb,
    /// Annotations for a GitHub job's log
    Github,
}

/// Runs the command. The exit code is the one that the runs' own commands would have ended with.
pub fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let mut report = RunReport::default();
    for run in &options.runs {
        read(run, &mut report)?;
    }
    let purpose = report.purpose();
    history::hold_against(&mut report, options.history.as_deref(), printer)?;
    printer.data(&match options.format {
        Format::Text => render::text(&report, purpose, printer.look),
        Format::Json => render::json(&report, purpose),
        Format::Markdown => render::markdown(&report, purpose),
        Format::Html => render::html(&report, purpose),
        Format::Junit => render::junit(&report, purpose),
        Format::Ktap => render::ktap(&report, purpose),
        Format::Kcidb => render::kcidb(&report, purpose),
        Format::Github => render::github(&report, purpose),
    });
    Ok(exit_code(&report).code())
}

/// The exit code that the runs' own commands would have ended with.
fn exit_code(report: &RunReport) -> ExitCode {
    let is_all = !report.is_merged() && report.is_whole();
    match (&report.checks()[..], &report.searches()[..]) {
        ([check], _) if is_all => check.verdict.exit_code(),
        (_, [(_, search), branches @ ..])
            if is_all && branches.iter().all(|(range, _)| range.merge.is_some()) =>
        {
            bisect::exit_code(&search.conclusion(), report)
        }
        _ => report.exit_code(report.purpose()),
    }
}

/// Adds the run whose folder or log is at `path`.
pub(super) fn read(path: &Path, report: &mut RunReport) -> Result<(), Error> {
    let hint = format!("hint: name the folder of a run, or the {FILE_NAME} in it");
    let wrong = |words: &str| usage(format!("{}: {words}\n  {hint}", path.display()));
    let file = log_of(path);
    if !file.exists() {
        return Err(wrong(if path.is_dir() {
            "there is no event log in this folder"
        } else {
            "there is no such file or folder"
        }));
    }
    report.begin_log(&file.display().to_string());
    let mut newer = None;
    let events = entries(&file, |entry| match entry {
        Entry::Event(event) => report.push(&event),
        Entry::Problem(problem) => {
            if matches!(problem.kind, LogProblemKind::NewerFormat { .. }) {
                newer = Some(problem.to_string());
            }
            report.lost(&problem);
        }
    })?;
    if let Some(problem) = newer {
        return Err(usage(format!("{}: {problem}", file.display())));
    }
    if events == 0 {
        return Err(wrong("it holds no event of a run"));
    }
    Ok(())
}

/// Reads a log once more that [`read`] has read.
pub(super) fn read_courses(path: &Path, courses: &mut Courses) -> Result<(), Error> {
    let file = log_of(path);
    courses.begin_log(&file.display().to_string());
    entries(&file, |entry| {
        // What cannot be read was said the first time.
        if let Entry::Event(event) = entry {
            courses.push(&event);
        }
    })?;
    Ok(())
}

/// The event log of a folder, or the log that was named itself.
fn log_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() }
}

/// Reads a log; the result is how many events it has.
fn entries(file: &Path, mut take: impl FnMut(Entry)) -> Result<u64, Error> {
    let mut log = File::open(file)?;
    let mut reader = LogReader::new();
    let mut buffer = vec![0; CHUNK];
    while !reader.has_given_up() {
        match log.read(&mut buffer)? {
            0 => break,
            n => reader.push(&buffer[..n], &mut take),
        }
    }
    Ok(reader.finish(&mut take))
}
