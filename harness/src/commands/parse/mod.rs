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
    Digest, Facts, Form, Options as ReaderOptions, Reader, SAMPLE, Seen, Unwrapper, show,
};
use reports::escape::printable;
use reports::exit::ExitCode;
use reports::finding::Finding;
use reports::rule::{Match, Rule};

use super::usage;
use crate::cli::Places;
use crate::error::Error;
use crate::interrupt::{EXIT_CODE, Interrupt};
use crate::printer::Printer;
use follow::{Change, Followed};
use input::{CHUNK, Input};
use symbols::Symbols;

/// A followed log that is quiet for so long has said all of an open report.
const QUIET: Duration = Duration::from_secs(3);
/// Bugs of one log that are told apart.
const MOST_BUGS: usize = 10_000;
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
    /// Kernel image with symbols: frames get file, line and inlined functions
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
        for log in &options.logs {
            if let Err(error) = parse.log(log, options.format, several) {
                parse.go_on(&error);
            }
        }
    }
    Ok(parse.exit_code())
}

fn read_rule(file: &Path) -> Result<Rule, Error> {
    let text = fs_err::read_to_string(file).map_err(usage)?;
    Rule::from_yaml(&file.display().to_string(), &text).map_err(usage)
}

struct Parse<'a> {
    rules: Vec<Rule>,
    symbols: Option<Symbols>,
    printer: &'a Printer,
    /// A report was seen that no rule expects.
    found: bool,
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

    fn exit_code(&self) -> u8 {
        let code = if self.found { ExitCode::KernelBug } else { ExitCode::Clean };
        self.failed.unwrap_or(code.code())
    }

    fn log(&mut self, log: &Path, format: Format, several: bool) -> Result<(), Error> {
        match format {
            Format::Json => {
                let line = self.json(log)?;
                self.printer.data(&line);
            }
            Format::Text | Format::Github => {
                if several && format == Format::Text {
                    self.printer.data(&format!("{}:\n", printable(&log.display().to_string())));
                }
                let mut told = Told::new(log, format);
                let (stats, _) = read(log, |seen| self.tell(&mut told, seen))?;
                self.sum_up(&told, stats.lines);
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
            note @ Seen::Note(_) => told.notes.add(note),
        }
    }

    /// Prints what was only counted.
    fn sum_up(&self, told: &Told, lines: u64) {
        if told.format != Format::Text {
            return;
        }
        let mut text = String::new();
        for (title, count) in told.shown.repeats() {
            text.push_str(&show::again(title, count));
        }
        text.push_str(&show::notes(&told.notes));
        text.push_str(&show::summary(told.reports, lines));
        self.printer.data(&text);
    }

    fn json(&mut self, log: &Path) -> Result<String, Error> {
        let mut digest = Digest::default();
        let (stats, facts) = read(log, |seen| digest.add(seen))?;
        if let Some(symbols) = &self.symbols {
            digest.reports().iter_mut().for_each(|finding| symbols.explain(finding));
        }
        self.found |= digest.more_reports() > 0;
        for finding in digest.reports() {
            self.found |= self.expected_by(finding).is_none();
        }
        let name = log.file_name().unwrap_or(log.as_os_str()).to_string_lossy();
        let json = digest.json(&name, facts, stats, |finding| self.expected_by(finding));
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
        let mut interrupt = Interrupt::listen()?;
        let mut followed = Followed::new(log)?;
        if !followed.is_there() {
            self.printer.say(&format!("waiting for {}", log.display()));
        }
        let mut console = Console::default();
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
                self.sum_up(&told, console.reader.stats().lines);
                return Ok(self.exit_code());
            }
            if matches!(change, Change::Another) {
                self.sum_up(&told, console.reader.stats().lines);
                (console, told) = (Console::default(), Told::new(log, format));
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
                () = interrupt.wait() => break,
                () = pause => quiet += PERIOD,
            }
        }
        console.finish().into_iter().for_each(|seen| self.tell(&mut told, seen));
        self.sum_up(&told, console.reader.stats().lines);
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
    /// By signature: the title, and how many more there were.
    bugs: HashMap<String, (String, u64)>,
}

impl Shown {
    /// True for a bug that is seen for the first time.
    fn is_new(&mut self, finding: &Finding) -> bool {
        if let Some((_, count)) = self.bugs.get_mut(&finding.signature) {
            *count += 1;
            return false;
        }
        // A log may hold any number of made-up bugs; what is beyond this is shown each time.
        if self.bugs.len() < MOST_BUGS {
            self.bugs.insert(finding.signature.clone(), (finding.title.clone(), 0));
        }
        true
    }

    /// Titles of the bugs that were seen more than once, the most frequent first.
    fn repeats(&self) -> Vec<(&str, u64)> {
        let mut repeats: Vec<(&str, u64)> = self
            .bugs
            .values()
            .filter(|(_, count)| *count > 0)
            .map(|(title, count)| (title.as_str(), *count))
            .collect();
        repeats.sort_unstable_by_key(|(title, count)| (std::cmp::Reverse(*count), *title));
        repeats
    }
}

/// Reads a log to its end.
fn read(log: &Path, mut each: impl FnMut(Seen)) -> Result<(reports::console::Stats, Facts), Error> {
    let mut input = Input::open(log)?;
    let mut console = Console::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let filled = input.fill(&mut chunk)?;
        if filled == 0 {
            break;
        }
        console.push(&chunk[..filled]).into_iter().for_each(&mut each);
    }
    console.finish().into_iter().for_each(&mut each);
    Ok((console.reader.stats(), console.reader.facts()))
}

/// A log of any form on its way to the reader.
struct Console {
    reader: Reader,
    form: Sight,
}

/// What is known of a log's form.
enum Sight {
    /// Nothing: not even a line has come.
    Unknown(Vec<u8>),
    Console,
    Other(Unwrapper),
}

impl Default for Console {
    fn default() -> Self {
        let reader = Reader::new(ReaderOptions::default());
        Console { reader, form: Sight::Unknown(Vec::new()) }
    }
}

impl Console {
    fn push(&mut self, bytes: &[u8]) -> Vec<Seen> {
        match &mut self.form {
            Sight::Console => self.reader.push(bytes),
            Sight::Other(unwrapper) => {
                let mut plain = Vec::with_capacity(2 * bytes.len());
                unwrapper.push(bytes, &mut plain);
                self.reader.push(&plain)
            }
            Sight::Unknown(first) => {
                first.extend_from_slice(bytes);
                if first.len() < SAMPLE && !first.contains(&b'\n') {
                    return Vec::new();
                }
                self.look()
            }
        }
    }

    /// Sees the form of the log, and reads what was held back until then.
    fn look(&mut self) -> Vec<Seen> {
        let Sight::Unknown(first) = &mut self.form else { return Vec::new() };
        let first = std::mem::take(first);
        self.form = match Form::of(&first[..first.len().min(SAMPLE)]) {
            Form::Console => Sight::Console,
            form => Sight::Other(Unwrapper::new(form)),
        };
        self.push(&first)
    }

    fn idle(&mut self) -> Vec<Seen> {
        self.reader.idle()
    }

    fn finish(&mut self) -> Vec<Seen> {
        let mut seen = self.look();
        if let Sight::Other(unwrapper) = &mut self.form {
            let mut plain = Vec::new();
            unwrapper.finish(&mut plain);
            seen.extend(self.reader.push(&plain));
        }
        seen.extend(self.reader.finish());
        seen
    }
}
