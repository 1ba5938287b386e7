// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm baseline`: what storms came to in a good night, kept for `compare --baseline`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::Error;
use engine::baselines::BaselineFile;
use jiff::Timestamp;
use reports::baseline::{Accepted, Baseline, Book, MAX_WORDS};
use reports::comparison::{Selector, Side, Storms, gather};
use reports::escape::printable;
use reports::exit::ExitCode;
use reports::render::baseline as render;
use reports::run::{RunFacts, RunReport};
use reports::statistics::rule::LOOKS;

use super::{report, usage};
use crate::printer::Printer;

/// Storms that are left out are named up to this number.
const MOST_NAMED: usize = 20;

/// Options of `baseline`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    #[command(subcommand)]
    what: What,
    /// File of the baselines; lines are only ever added to it [default: ~/.local/share/swapstorm/baselines.jsonl]
    #[arg(long, global = true, value_name = "FILE", env = "SWAPSTORM_BASELINES")]
    file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  swapstorm baseline record out/run-1 --note 'before the rework'
  swapstorm baseline list
  swapstorm compare --baseline out/run-2                later storms of the same kernel and setting
  swapstorm compare --baseline=20260102-1 out/run-2
  swapstorm baseline accept 20260102-2 --note 'writes back less, on purpose'";

#[derive(Debug, Subcommand)]
enum What {
    /// Keep what the storms of a run came to, a baseline for each kernel and setting
    Record(Record),
    /// List what is kept
    List(List),
    /// Say what a baseline came to: medians and spreads of its metrics
    Show(Show),
    /// Measure storms by this baseline from now on, and say why
    Accept(Accept),
}

#[derive(Debug, Args)]
struct Record {
    /// Folder of a run that has ended, or its event log
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Only these cells: words with commas between them, such as a kernel, a series (`none`: the kernel as it is), an
    /// architecture, a profile
    #[arg(long, value_name = "SELECTOR", default_value = "", hide_default_value = true)]
    cells: String,
    /// Words to keep with it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = words)]
    note: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id, as `list` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Accept {
    /// Its id, as `list` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = reason)]
    note: String,
}

fn words(text: &str) -> Result<String, String> {
    match text.chars().count() {
        n if n > MAX_WORDS => Err(format!("expected at most {MAX_WORDS} characters")),
        _ => Ok(text.trim().to_owned()),
    }
}

fn reason(text: &str) -> Result<String, String> {
    words(text).and_then(|words| match words.is_empty() {
        true => Err("expected a reason".to_owned()),
        false => Ok(words),
    })
}

/// Runs the command.
pub async fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let file = BaselineFile::at(options.file.as_deref())?;
    match &options.what {
        What::Record(what) => record(what, &file, printer).await?,
        What::List(List { json }) => {
            let book = read(&file, printer)?;
            if *json {
                printer.data(&render::list_json(&book));
            } else if book.entries.is_empty() {
                printer.say(&format!("{} holds no baseline", file.path.display()));
            } else {
                printer.data(&render::list(&book, printer.look));
            }
        }
        What::Show(Show { id, json }) => {
            let book = read(&file, printer)?;
            let entry = book.get(id).map_err(|refusal| in_file(&file, refusal))?;
            printer.data(&match json {
                true => render::show_json(&book, entry),
                false => render::show(&book, entry, printer.look),
            });
        }
        What::Accept(Accept { id, note }) => accept(id, note, &file, printer).await?,
    }
    Ok(ExitCode::Clean.code())
}

/// What the file holds; what of it cannot be used is said.
pub fn read(file: &BaselineFile, printer: &Printer) -> Result<Book, Error> {
    let book = file.read()?;
    say_problems(&book, file, printer);
    Ok(book)
}

/// An error about what is in the file, or is not.
pub fn in_file(file: &BaselineFile, words: impl std::fmt::Display) -> Error {
    usage(format!("{}: {words}", file.path.display()))
}

fn say_problems(book: &Book, file: &BaselineFile, printer: &Printer) {
    for problem in &book.problems {
        printer.say(&format!("{}: {problem}", file.path.display()));
    }
}

async fn record(options: &Record, file: &BaselineFile, printer: &Printer) -> Result<(), Error> {
    let mut report = RunReport::default();
    report::read(&options.run, &mut report)?;
    let (run, all) = storms(options, &report, printer)?;
    let now = Timestamp::now();
    let (at, day) = (now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), now.strftime("%Y%m%d"));
    let (mut new, mut known): (Vec<Baseline>, Vec<(String, Baseline)>) = Default::default();
    let made = |mut book: Book| {
        say_problems(&book, file, printer);
        let mut lines = Vec::new();
        for storms in &all {
            let baseline = Baseline::of(storms, run);
            let same = book.entries.iter().find(|e| e.baseline.is_of_the_same_run(&baseline));
            if let Some(same) = same {
                known.push((same.baseline.id.clone(), baseline));
                continue;
            }
            let id = book.new_id(&day.to_string());
            let baseline = baseline.named(id, &at, &options.note);
            let line = baseline.line().map_err(|why| {
                usage(format!(
                    "this cannot be a baseline: {why}\n  hint: choose others with --cells"
                ))
            })?;
            book.add(baseline.clone()).map_err(|problem| in_file(file, problem))?;
            new.push(baseline);
            lines.push(line);
        }
        Ok(lines)
    };
    file.append(|| waiting(file, printer), made).await?;
    for (id, baseline) in &known {
        printer.say(&format!("kept already, as {id}: {}", printable(&baseline.key().to_string())));
    }
    if options.json {
        let ids = |all: &mut dyn Iterator<Item = &String>| all.cloned().collect::<Vec<_>>();
        let value = serde_json::json!({
            "recorded": ids(&mut new.iter().map(|baseline| &baseline.id)),
            "known": ids(&mut known.iter().map(|(id, _)| id)),
        });
        printer.data(&format!("{value:#}\n"));
    }
    for baseline in &new {
        let (id, key, storms) = (&baseline.id, baseline.key(), baseline.storms.len());
        if !options.json {
            printer.data(&format!("{id}  {}, {storms} storms\n", printable(&key.to_string())));
        }
        let fewest = LOOKS[0].pairs;
        if storms < fewest {
            printer
                .say(&format!("{id} has fewer storms than the {fewest} that a comparison takes"));
        }
    }
    Ok(())
}

/// The storms of the only run of `report` that are meant, by kernel and setting.
fn storms<'r>(
    options: &Record,
    report: &'r RunReport,
    printer: &Printer,
) -> Result<(&'r RunFacts, Vec<Storms>), Error> {
    let name = options.run.display();
    for problem in &report.problems {
        printer.say(problem);
    }
    let [run] = &report.runs[..] else {
        let words = format!("{name}: it holds {} runs", report.runs.len());
        return Err(usage(format!("{words}\n  hint: record each of them from its own log")));
    };
    if !run.finished {
        let words = format!("{name}: the run has not come to its end");
        return Err(usage(format!("{words}\n  hint: record it when it has, or run it again")));
    }
    let side = Side { runs: vec![run.id.to_string()], selector: Selector::new(&options.cells) };
    let (all, left_out) = gather(report, &side).map_err(usage)?;
    for one in left_out.iter().take(MOST_NAMED) {
        printer.say(&format!("left out: {}", printable(one)));
    }
    if left_out.len() > MOST_NAMED {
        printer.say(&format!("left out: {} more", left_out.len() - MOST_NAMED));
    }
    if all.is_empty() {
        let words = format!("{name}: no storm of it says what its kernel does");
        return Err(usage(format!("{words}\n  hint: `swapstorm report` says what became of them")));
    }
    Ok((run, all))
}

async fn accept(id: &str, why: &str, file: &BaselineFile, printer: &Printer) -> Result<(), Error> {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut told = String::new();
    let made = |book: Book| {
        say_problems(&book, file, printer);
        let entry = book.get(id).map_err(|refusal| in_file(file, refusal))?;
        let before = book.reference(&entry.key).map(|entry| &entry.baseline.id);
        let instead = before.filter(|before| *before != id);
        let instead =
            instead.map_or_else(String::new, |before| format!(", and no more by {before}"));
        told = format!("measured by {id}{instead}: {}", entry.key);
        let accepted = Accepted { baseline: id.to_owned(), at, reason: why.to_owned() };
        Ok(vec![accepted.line().map_err(usage)?])
    };
    file.append(|| waiting(file, printer), made).await?;
    printer.say(&printable(&told));
    Ok(())
}

fn waiting(file: &BaselineFile, printer: &Printer) {
    printer.say(&format!("{}: another swapstorm writes to it, waiting", file.path.display()));
}
