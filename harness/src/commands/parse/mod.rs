// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm parse`: kernel bug reports in console logs.

mod input;
mod symbols;

use std::collections::HashMap;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fs_err::File;
use reports::console::{
    Digest, Facts, Form, Options as ReaderOptions, Reader, Seen, Unwrapper, show,
};
use reports::exit::ExitCode;
use reports::finding::Finding;
use reports::rule::{Match, Rule};

use super::usage;
use crate::cli::Places;
use crate::error::Error;
use crate::interrupt::{EXIT_CODE, Interrupt};
use crate::printer::Printer;
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
    /// Go on reading as the log grows, until interrupted
    #[arg(long, conflicts_with_all = ["vmlinux"])]
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
    };
    if let Some(dir) = &options.dir {
        // --out is a folder for commands that run something, and has a default for them.
        let out = Some(&*places.out).filter(|out| *out != Path::new("out") && !out.is_dir());
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
            parse.log(log, options.format, several)?;
        }
    }
    let code = if parse.found { ExitCode::KernelBug } else { ExitCode::Clean };
    Ok(code.code())
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
}

impl Parse<'_> {
    fn folder(&mut self, dir: &Path, out: Option<&Path>) -> Result<(), Error> {
        let mut logs = Vec::new();
        for entry in fs_err::read_dir(dir).map_err(usage)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                logs.push(entry.path());
            }
        }
        logs.sort();
        let mut file = out.map(File::create).transpose()?.map(BufWriter::new);
        for log in logs {
            let line = self.json(&log)?;
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

    fn log(&mut self, log: &Path, format: Format, several: bool) -> Result<(), Error> {
        match format {
            Format::Json => {
                let line = self.json(log)?;
                self.printer.data(&line);
            }
            Format::Text | Format::Github => {
                if several && format == Format::Text {
                    self.printer.data(&format!("{}:\n", log.display()));
                }
                let name = log.display().to_string();
                let printer = self.printer;
                let mut notes = Digest::default();
                let mut reports = 0_u64;
                let mut shown = Shown::default();
                let (stats, _) = read(log, |seen| match seen {
                    Seen::Report(finding) => {
                        reports += 1;
                        if shown.is_new(&finding) {
                            printer.data(&self.show(&name, *finding, format));
                        }
                    }
                    note @ Seen::Note(_) => notes.add(note),
                })?;
                if format == Format::Text {
                    let mut text = String::new();
                    for (title, count) in shown.repeats() {
                        text.push_str(&show::again(title, count));
                    }
                    text.push_str(&show::notes(&notes));
                    text.push_str(&show::summary(reports, stats.lines));
                    printer.data(&text);
                }
            }
        }
        Ok(())
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

    /// Follows a log as `tail -F` does: a log that shrank is read anew.
    async fn follow(&mut self, log: &Path, format: Format) -> Result<u8, Error> {
        let mut interrupt = Interrupt::listen()?;
        let name = log.display().to_string();
        let mut file = File::open(log).map_err(usage)?;
        let mut reader = Reader::new(ReaderOptions::default());
        let mut chunk = vec![0; CHUNK];
        let mut at = 0_u64;
        let mut quiet = Duration::ZERO;
        loop {
            let read = file.read(&mut chunk)?;
            at += read as u64;
            let mut seen = reader.push(&chunk[..read]);
            if read > 0 {
                quiet = Duration::ZERO;
            } else {
                if fs_err::metadata(log).is_ok_and(|now| now.len() < at) {
                    seen.extend(reader.finish());
                    reader = Reader::new(ReaderOptions::default());
                    file = File::open(log)?;
                    at = 0;
                } else if quiet >= QUIET && reader.has_open_report() {
                    seen.extend(reader.idle());
                }
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => quiet += PERIOD,
                    () = interrupt.wait() => {
                        seen.extend(reader.finish());
                        self.print(&name, seen, format);
                        return Ok(EXIT_CODE);
                    }
                }
            }
            self.print(&name, seen, format);
        }
    }

    fn print(&mut self, name: &str, seen: Vec<Seen>, format: Format) {
        for seen in seen {
            if let Seen::Report(finding) = seen {
                let text = self.show(name, *finding, format);
                self.printer.data(&text);
            }
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
    let mut reader = Reader::new(ReaderOptions::default());
    let mut chunk = vec![0; CHUNK];
    let first = input.fill(&mut chunk)?;
    let mut unwrapper = match Form::of(&chunk[..first.min(reports::console::SAMPLE)]) {
        Form::Console => None,
        form => Some((Unwrapper::new(form), Vec::new())),
    };
    let mut filled = first;
    while filled > 0 {
        let seen = match &mut unwrapper {
            None => reader.push(&chunk[..filled]),
            Some((unwrapper, plain)) => {
                plain.clear();
                unwrapper.push(&chunk[..filled], plain);
                reader.push(plain)
            }
        };
        seen.into_iter().for_each(&mut each);
        filled = input.fill(&mut chunk)?;
    }
    if let Some((mut unwrapper, mut plain)) = unwrapper {
        plain.clear();
        unwrapper.finish(&mut plain);
        reader.push(&plain).into_iter().for_each(&mut each);
    }
    reader.finish().into_iter().for_each(&mut each);
    Ok((reader.stats(), reader.facts()))
}
