// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench parse`: `swapstorm parse` as a whole process beside `grep` on the same bytes.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;
use reports::console::FIRST_WORDS;
use reports::event::Fault;
use reports::exit::ExitCode;
use serde::Serialize;

use super::super::usage;
use crate::printer::Printer;
use engine::Error;

pub(super) const CLEAN: &[u8] = include_bytes!("../../../../reports/corpus/clean-6.1.log");
const CRASHES: [&[u8]; 2] = [
    include_bytes!("../../../../reports/corpus/zswap-writeback-6.1.log"),
    include_bytes!("../../../../reports/corpus/zswap-shrink-6.12.log"),
];
/// How often a running program is asked for its memory.
const PERIOD: Duration = Duration::from_millis(5);

/// Options of `bench parse`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder of crash logs (`*.log`, also in folders below) instead of our own
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Clean console, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=65536))]
    clean: u32,
    /// Crash logs, in millions of bytes
    #[arg(long, value_name = "MB", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..=65536))]
    crash: u32,
    /// Runs of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One program on one input.
#[derive(Debug, Serialize)]
struct Row {
    input: &'static str,
    program: &'static str,
    bytes: u64,
    /// Start to end of every run, in the order in which they were made.
    seconds: Vec<f64>,
    /// Time on a processor of every run, which others on the machine hardly change.
    cpu_seconds: Vec<f64>,
    /// Largest resident set that was seen (`VmHWM` of proc(5)).
    peak_kib: u64,
    /// Speed of the fastest run by that of grep's fastest.
    ratio: f64,
}

impl Row {
    fn mb_per_second(&self, seconds: f64) -> f64 {
        self.bytes as f64 / 1e6 / seconds
    }
}

fn least(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Runs the command.
pub fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let crashes = match &options.logs {
        Some(folder) => logs_below(folder)?,
        None => CRASHES.concat(),
    };
    let swapstorm = std::env::current_exe()?;
    let mut rows = Vec::new();
    for (input, log, size) in [
        ("clean", CLEAN, u64::from(options.clean) << 20),
        ("crash", &crashes, u64::from(options.crash) * 1_000_000),
    ] {
        let mut file = repeated(log, size)?;
        let mut programs = [
            ("swapstorm parse", parse(&swapstorm, "text")),
            ("swapstorm parse --format json", parse(&swapstorm, "json")),
            ("grep -c -a -E", grep()),
        ];
        let mut measured: Vec<Row> = programs
            .iter()
            .map(|(program, _)| Row {
                input,
                program,
                bytes: size,
                seconds: Vec::new(),
                cpu_seconds: Vec::new(),
                peak_kib: 0,
                ratio: 0.0,
            })
            .collect();
        // Taken in turns, so that a machine that is slow for a while slows all alike.
        for _ in 0..options.runs {
            for ((_, command), row) in programs.iter_mut().zip(&mut measured) {
                let run = measure(command, &mut file)?;
                row.seconds.push(run.seconds);
                row.cpu_seconds.push(run.cpu_seconds);
                row.peak_kib = row.peak_kib.max(run.peak_kib);
            }
        }
        let reference = measured.last().map_or(f64::NAN, |grep| least(&grep.seconds));
        measured.iter_mut().for_each(|row| row.ratio = reference / least(&row.seconds));
        rows.extend(measured);
    }
    if options.json {
        let text = serde_json::to_string_pretty(&rows).map_err(io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        printer.data(&table(&rows));
    }
    Ok(ExitCode::Clean.code())
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:6} {:30} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
        "", "MB/s", "fastest", "median", "CPU time", "by grep's", "peak MiB"
    );
    for row in rows {
        text.push_str(&format!(
            "{:6} {:30} {:10.1} {:10.1} {:10.1} {:10.2} {:10.1}\n",
            row.input,
            row.program,
            row.mb_per_second(least(&row.seconds)),
            row.mb_per_second(super::median(&row.seconds)),
            row.mb_per_second(least(&row.cpu_seconds)),
            row.ratio,
            row.peak_kib as f64 / 1024.0,
        ));
    }
    text
}

fn parse(swapstorm: &Path, format: &str) -> Command {
    let mut command = Command::new(swapstorm);
    command.args(["parse", "--format", format, "-"]);
    command
}

fn grep() -> Command {
    let mut command = Command::new("grep");
    let words = FIRST_WORDS.join("|").replace('.', "\\.");
    command.args(["-c", "-a", "-E", &words]).env("LC_ALL", "C");
    command
}

/// All logs below a folder, in the order of their names.
fn logs_below(folder: &Path) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut entries: Vec<PathBuf> = fs_err::read_dir(folder)
        .map_err(usage)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            all.extend(logs_below(&path)?);
        } else if path.extension().is_some_and(|end| end == "log") {
            all.extend(fs_err::read(&path)?);
        }
    }
    Ok(all)
}

/// A log over and over, in a file that is gone when nobody has it open.
fn repeated(log: &[u8], size: u64) -> Result<File, Error> {
    if log.is_empty() {
        return Err(usage("no crash logs in that folder\n  hint: their names have to end in .log"));
    }
    let room = |e: io::Error| {
        let folder = std::env::temp_dir();
        let words = format!("{}: {e}\n  hint: TMPDIR names another folder", folder.display());
        Error::new(Fault::Infrastructure, words)
    };
    let mut file = tempfile::tempfile().map_err(room)?;
    // Few large writes.
    let block = log.repeat((1 << 20) / log.len() + 1);
    let mut left = size;
    while left > 0 {
        let part = &block[..block.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        file.write_all(part).map_err(room)?;
        left -= part.len() as u64;
    }
    Ok(file)
}

/// One run of a program.
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_kib: u64,
}

/// Runs a program on an input from its beginning.
fn measure(command: &mut Command, input: &mut File) -> Result<Run, Error> {
    input.rewind()?;
    command.stdin(input.try_clone()?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().map_err(|e| cannot_run(command, &e.to_string()))?;
    let status = format!("/proc/{}/status", child.id());
    let cpu_time = format!("/proc/{}/schedstat", child.id());
    let mut peak_kib = 0;
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        let (more, output) = mpsc::channel();
        // Through a pipe: with /dev/null for its output GNU grep stops at the first match.
        let drain = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while stdout.read(&mut buffer).is_ok_and(|read| read > 0) && more.send(()).is_ok() {}
        });
        // What is about to be printed is in memory while the first of it arrives.
        while !matches!(output.recv_timeout(PERIOD), Err(RecvTimeoutError::Disconnected)) {
            peak_kib = peak_kib.max(resident_peak(&status));
        }
        // Only panics if the pipe's reader did.
        let _ = drain.join();
        // Kept for a program that has ended until it is waited for.
        let cpu_seconds = cpu_seconds(&cpu_time);
        let ended = child.wait()?;
        let seconds = started.elapsed().as_secs_f64();
        // 1 says that there is something to report, or, for grep, that there is nothing.
        if ended.code().is_none_or(|code| code > 1) {
            let mut why = String::new();
            let _ = stderr.read_to_string(&mut why);
            return Err(cannot_run(command, why.trim_end()));
        }
        return Ok(Run { seconds, cpu_seconds, peak_kib });
    }
    Err(cannot_run(command, "no pipes"))
}

fn cannot_run(command: &Command, why: &str) -> Error {
    let program = command.get_program().display();
    Error::new(Fault::Infrastructure, format!("{program}: {why}"))
}

/// `VmHWM` of a running process; 0 if it has none any more.
pub(super) fn resident_peak(status: &str) -> u64 {
    let text = fs_err::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// Time on a processor of a program of one thread: the first number of `schedstat` of proc(5) is
/// in nanoseconds.
fn cpu_seconds(schedstat: &str) -> f64 {
    let text = fs_err::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}
