// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm parse`: kernel bug reports in console logs.

mod follow;
mod input;
mod symbols;
mod zstd;

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fs_err::File;
use reports::console::{
    Digest, Facts, NoteKind, Options as ReaderOptions, Reader, Seen, Stats, show,
};
use reports::escape::printable;
use reports::exit::ExitCode;
use reports::finding::Finding;
use reports::rule::{Match, Rule};

use super::usage;
use crate::cli::Places;
use crate::interrupt::{self, EXIT_CODE};
use crate::printer::Printer;
use engine::Error;
use follow::{Change, Followed};
use input::{CHUNK, Input};
use symbols::Symbols;

/// A followed log that is quiet for so long has said all of an open report.
const QUIET: Duration = Duration::from_secs(3);
/// Bugs of one log that are told apart.
const MOST_BUGS: usize = 10_000;
/// Tasks that are named of a bug that came again.
const MOST_TASKS: usize = 32;
/// First lines of what followed on it.
const MOST_FOLLOW_UPS: usize = 8;
/// How often a followed log is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Options of `parse`.
#[derive(Debug, Args)]
pub struct Options {
    /// Console logs, dmesg or journalctl output, plain or packed by gzip, xz or zstd; `-` is stdin
    #[arg(value_name = "LOG", required_unless_present = "dir")]
    logs: Vec<PathBuf>,
    /// All logs of a folder, one line of JSON each, into the file that --out names or to stdout
    #[arg(long, value_name = "DIR", conflicts_with_all = ["logs", "follow", "format"])]
    dir: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Kernel image with symbols: frames get file, line and inlined functions, and not helpers but
    /// who called them is blamed
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// Rules of expected bugs (YAML): these reports do not count as found
    #[arg(long, value_name = "RULES")]
    expect: Vec<PathBuf>,
    /// Go on reading as the log grows, until interrupted; also when it is cut, replaced, or not
    /// there yet. `-` is read as it comes, to its end
    #[arg(long)]
    follow: bool,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One object for each log, one a line.
    Json,
    /// Annotations of a GitHub Actions run.
    Github,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let mut parse = Parse {
        rules: options.expect.iter().map(|file| read_rule(file)).collect::<Result<_, _>>()?,
        symbols: options.vmlinux.as_deref().map(Symbols::load).transpose()?,
        printer,
        found: false,
        no_kernels: false,
        failed: None,
    };
    // --out is a folder for commands that run something, with a default and a variable for them.
    let out = Some(&*places.out).filter(|_| places.out_is_named);
    if out.is_some() && options.dir.is_none() {
        return Err(usage("--out names the file for the reports of a folder: add --dir"));
    }
    if let Some(dir) = &options.dir {
        parse.folder(dir, out)?;
    } else if options.follow {
        let [log] = &options.logs[..] else {
            return Err(usage("--follow follows one log; name just one"));
        };
        if options.format == Format::Json {
            return Err(usage(
                "--follow never ends, and one JSON object would: use text or github",
            ));
        }
        return parse.follow(log, options.format).await;
    } else {
        let several = options.logs.len() > 1;
        let mut sum = Sum::default();
        for log in &options.logs {
            if let Err(error) = parse.log(log, options.format, several, &mut sum) {
                parse.go_on(&error);
            }
        }
        if several && options.format == Format::Text {
            printer.data(&show::sum(sum.reports, sum.lines, sum.logs));
        }
    }
    Ok(parse.exit_code())
}

fn read_rule(file: &Path) -> Result<Rule, Error> {
    let text = fs_err::read_to_string(file).map_err(usage)?;
    Rule::from_yaml(&file.display().to_string(), &text).map_err(usage)
}

/// What all logs of a command have together.
#[derive(Debug, Default)]
struct Sum {
    reports: u64,
    lines: u64,
    logs: u64,
}

struct Parse<'a> {
    rules: Vec<Rule>,
    symbols: Option<Symbols>,
    printer: &'a Printer,
    /// A report was seen that no rule expects, or the rest of one.
    found: bool,
    /// A log has no line that looks like a kernel's.
    no_kernels: bool,
    /// Exit code of the first log that could not be read.
    failed: Option<u8>,
}

impl Parse<'_> {
    fn folder(&mut self, dir: &Path, out: Option<&Path>) -> Result<(), Error> {
        let mut logs = Vec::new();
        for entry in fs_err::read_dir(dir).map_err(usage)? {
            let log = entry?.path();
            // A link to a log is one; where it leads nowhere, reading it says so.
            if fs_err::metadata(&log).map_or(true, |file| file.is_file()) {
                logs.push(log);
            }
        }
        logs.sort();
        let mut file = out.map(File::create).transpose()?.map(BufWriter::new);
        for log in logs {
            let line = match self.json(&log) {
                Ok(line) => line,
                Err(error) => {
                    self.go_on(&error);
                    continue;
                }
            };
            match &mut file {
                Some(file) => file.write_all(line.as_bytes())?,
                None => self.printer.data(&line),
            }
        }
        if let Some(mut file) = file {
            file.flush()?;
        }
        Ok(())
    }

    /// One log that cannot be read is no reason to leave out the others.
    fn go_on(&mut self, error: &Error) {
        self.printer.error(error);
        self.failed.get_or_insert(error.exit_code());
    }

    /// A bug that was found is not hidden by a log that broke off, but by a mistake of the user's.
    fn exit_code(&self) -> u8 {
        let usage = ExitCode::Usage.code();
        match self.failed {
            Some(code) if code == usage => usage,
            _ if self.found => ExitCode::KernelBug.code(),
            Some(code) => code,
            None if self.no_kernels => usage,
            None => ExitCode::Clean.code(),
        }
    }

    /// What there is to say about a log that was read: it broke off, or is none of a kernel.
    fn judge(&mut self, log: &Path, read: &Read) {
        if let Some(error) = &read.cut {
            self.go_on(error);
        } else if !read.is_kernels {
            self.no_kernels = true;
            self.printer.error(&no_kernels(log, read.stats.lines));
        }
    }

    fn log(
        &mut self,
        log: &Path,
        format: Format,
        several: bool,
        sum: &mut Sum,
    ) -> Result<(), Error> {
        match format {
            Format::Json => {
                let line = self.json(log)?;
                self.printer.data(&line);
            }
            Format::Text | Format::Github => {
                let input = Input::open(log)?;
                if several && format == Format::Text {
                    self.printer.data(&format!("{}:\n", printable(&log.display().to_string())));
                }
                let mut told = Told::new(log, format);
                let read = read(input, |seen| self.tell(&mut told, seen));
                self.sum_up(&told, read.stats.lines, read.facts);
                self.judge(log, &read);
                sum.reports += told.reports;
                sum.lines += read.stats.lines;
                sum.logs += 1;
            }
        }
        Ok(())
    }

    /// Prints what was seen for the first time.
    fn tell(&mut self, told: &mut Told, seen: Seen) {
        match seen {
            Seen::Report(finding) => {
                told.reports += 1;
                if told.shown.is_new(&finding) {
                    let text = self.show(&told.name, *finding, told.format);
                    self.printer.data(&text);
                }
            }
            Seen::Note(note) => {
                self.found |= note.kind == NoteKind::HeadlessTrace;
                told.notes.add(Seen::Note(note));
            }
        }
    }

    /// Prints what was only counted.
    fn sum_up(&self, told: &Told, lines: u64, facts: Facts) {
        if told.format != Format::Text {
            return;
        }
        let mut text = String::new();
        for repeat in told.shown.repeats() {
            text.push_str(&show::again(&repeat.title, repeat.count, &repeat.tasks));
            text.extend(repeat.follow_ups.iter().map(|line| show::follow_up(line)));
        }
        text.push_str(&show::notes(&told.notes));
        text.push_str(&show::summary(told.reports, lines, facts));
        self.printer.data(&text);
    }

    fn json(&mut self, log: &Path) -> Result<String, Error> {
        let mut digest = Digest::default();
        let read = read(Input::open(log)?, |seen| digest.add(seen));
        self.judge(log, &read);
        if let Some(symbols) = &self.symbols {
            digest.reports().iter_mut().for_each(|finding| symbols.explain(finding));
        }
        self.found |= digest.more_reports() > 0;
        self.found |= digest.notes().contains_key(&NoteKind::HeadlessTrace);
        for finding in digest.reports() {
            self.found |= self.expected_by(finding).is_none();
        }
        let name = log.file_name().unwrap_or(log.as_os_str()).to_string_lossy();
        let json = digest.json(&name, read.facts, read.stats, |finding| self.expected_by(finding));
        let mut line = serde_json::to_string(&json).map_err(std::io::Error::from)?;
        line.push('\n');
        Ok(line)
    }

    fn show(&mut self, name: &str, mut finding: Finding, format: Format) -> String {
        if let Some(symbols) = &self.symbols {
            symbols.explain(&mut finding);
        }
        let expected = self.expected_by(&finding);
        self.found |= expected.is_none();
        match format {
            Format::Github => show::github(name, &finding, expected.as_deref()),
            _ => show::report(&finding, expected.as_deref(), self.printer.look) + "\n",
        }
    }

    fn expected_by(&self, finding: &Finding) -> Option<String> {
        let rule = self.rules.iter().find(|rule| matches!(rule.matches(finding), Match::Yes))?;
        Some(rule.name.as_str().to_owned())
    }

    /// Reads a log as it grows, until interrupted, or stdin to its end.
    async fn follow(&mut self, log: &Path, format: Format) -> Result<u8, Error> {
        let interrupt = interrupt::listen()?;
        let mut followed = Followed::new(log)?;
        if !followed.is_there() {
            self.printer.say(&format!("waiting for {}", log.display()));
        }
        let mut console = Reader::new(ReaderOptions::default());
        let mut told = Told::new(log, format);
        let mut chunk = vec![0; CHUNK];
        let mut quiet = Duration::ZERO;
        loop {
            let change = followed.read(&mut chunk)?;
            let seen = match change {
                Change::Grew(read) => {
                    quiet = Duration::ZERO;
                    console.push(&chunk[..read])
                }
                Change::Nothing if quiet >= QUIET => console.idle(),
                Change::Nothing => Vec::new(),
                Change::Another | Change::Ended => console.finish(),
            };
            seen.into_iter().for_each(|seen| self.tell(&mut told, seen));
            if matches!(change, Change::Ended) {
                self.sum_up(&told, console.stats().lines, console.facts());
                return Ok(self.exit_code());
            }
            if matches!(change, Change::Another) {
                self.sum_up(&told, console.stats().lines, console.facts());
                console = Reader::new(ReaderOptions::default());
                told = Told::new(log, format);
            }
            if !follow::is_output_read() {
                return Ok(self.exit_code());
            }
            let pause = async {
                match change {
                    Change::Nothing => tokio::time::sleep(PERIOD).await,
                    // Even who writes without end can be interrupted.
                    _ => tokio::task::yield_now().await,
                }
            };
            tokio::select! {
                biased;
                () = interrupt.cancelled() => break,
                () = pause => quiet += PERIOD,
            }
        }
        console.finish().into_iter().for_each(|seen| self.tell(&mut told, seen));
        self.sum_up(&told, console.stats().lines, console.facts());
        Ok(EXIT_CODE)
    }
}

/// What was printed of a log, and what was only counted.
struct Told {
    name: String,
    format: Format,
    shown: Shown,
    notes: Digest,
    reports: u64,
}

impl Told {
    fn new(log: &Path, format: Format) -> Self {
        Told {
            name: log.display().to_string(),
            format,
            shown: Shown::default(),
            notes: Digest::default(),
            reports: 0,
        }
    }
}

/// Bugs that were shown, so that each is shown once.
#[derive(Debug, Default)]
struct Shown {
    /// By signature: those that came again.
    bugs: HashMap<String, Repeat>,
}

/// A bug that came again after it was shown.
#[derive(Debug)]
struct Repeat {
    title: String,
    count: u64,
    /// The other tasks that it happened to, each once.
    tasks: Vec<String>,
    /// What followed on one of these.
    follow_ups: Vec<String>,
}

impl Shown {
    /// True for a bug that is seen for the first time.
    fn is_new(&mut self, finding: &Finding) -> bool {
        let task = show::task(&finding.scene);
        if let Some(repeat) = self.bugs.get_mut(&finding.signature) {
            repeat.count += 1;
            for line in &finding.follow_ups {
                if repeat.follow_ups.len() < MOST_FOLLOW_UPS && !repeat.follow_ups.contains(line) {
                    repeat.follow_ups.push(line.clone());
                }
            }
            repeat.tasks.extend(
                task.filter(|task| repeat.tasks.len() < MOST_TASKS && !repeat.tasks.contains(task)),
            );
            return false;
        }
        // A log may hold any number of made-up bugs; what is beyond this is shown each time.
        if self.bugs.len() < MOST_BUGS {
            let title = finding.title.clone();
            let repeat = Repeat { title, count: 0, tasks: Vec::new(), follow_ups: Vec::new() };
            self.bugs.insert(finding.signature.clone(), repeat);
        }
        true
    }

    /// Bugs that were seen more than once, the most frequent first.
    fn repeats(&self) -> Vec<&Repeat> {
        let mut repeats: Vec<&Repeat> = self.bugs.values().filter(|bug| bug.count > 0).collect();
        repeats.sort_unstable_by_key(|bug| (std::cmp::Reverse(bug.count), &bug.title));
        repeats
    }
}

/// What a log was like.
struct Read {
    stats: Stats,
    facts: Facts,
    /// It has a line of a kernel, or something was seen in it.
    is_kernels: bool,
    /// Why it could not be read to its end.
    cut: Option<Error>,
}

/// Reads a log to its end, or as far as it goes.
fn read(mut input: Input, mut each: impl FnMut(Seen)) -> Read {
    let mut console = Reader::new(ReaderOptions { await_panic: true, ..Default::default() });
    let mut chunk = vec![0; CHUNK];
    let mut any = false;
    let mut each = |seen| {
        any = true;
        each(seen);
    };
    let cut = loop {
        match input.fill(&mut chunk) {
            Ok(0) => break None,
            Ok(filled) => console.push(&chunk[..filled]).into_iter().for_each(&mut each),
            Err(error) => break Some(error),
        }
    };
    console.finish().into_iter().for_each(&mut each);
    let is_kernels = any || console.has_kernel_lines();
    Read { stats: console.stats(), facts: console.facts(), is_kernels, cut }
}

/// Nothing was found where nothing could be: that is not clean.
fn no_kernels(log: &Path, lines: u64) -> Error {
    let log = log.display();
    if lines == 0 {
        return usage(format!(
            "{log} is empty\n  hint: is this the console that the kernel prints on?"
        ));
    }
    usage(format!(
        "{log}: no line here looks like a kernel's, so nothing can be said about one\n  \
         hint: parse reads consoles, `dmesg`, `journalctl -k`, syslog files and mails that quote them"
    ))
}
