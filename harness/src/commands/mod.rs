// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file for each command.

pub mod attach;
pub mod baseline;
pub mod bench;
pub mod bisect;
pub mod build;
pub mod cache;
pub mod check;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod history;
pub mod hunt;
mod kernel;
pub mod login;
pub mod machine;
pub mod man;
pub mod parse;
pub mod replay;
pub mod report;
pub mod repro;
pub mod run;
pub mod schema;
pub mod shard;

use engine::Finished;
use reports::event::Fault;
use reports::render;

use crate::cli::{Cli, Command};
use crate::printer::Printer;
use engine::Error;

/// Runs the command that was asked for; the result is the exit code.
pub fn run(cli: Cli, printer: &Printer) -> Result<u8, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Cli { command, places, .. } = cli;
    runtime.block_on(async {
        match command {
            Command::Repro(options) => repro::run(&options, &places, printer).await,
            Command::Hunt(options) => hunt::run(&options, &places, printer).await,
            Command::Run(options) => run::run(&options, &places, printer).await,
            Command::Attach(options) => attach::run(&options, &places, printer).await,
            Command::Shard(options) => shard::run(&options, &places, printer).await,
            Command::Replay(options) => replay::run(&options, &places, printer).await,
            Command::Report(options) => report::run(&options, printer),
            Command::Compare(options) => compare::run(&options, &places, printer).await,
            Command::Baseline(options) => baseline::run(&options, printer).await,
            Command::History(options) => history::run(&options, printer).await,
            Command::Bisect(options) => bisect::run(&options, &places, printer).await,
            Command::Check(options) => check::run(&options, &places, printer).await,
            Command::Bench(options) => bench::run(&options, &places, printer).await,
            Command::Build(options) => build::run(&options, &places, printer).await,
            Command::Parse(options) => parse::run(&options, &places, printer).await,
            Command::Shell(options) => login::shell(&options, &places, printer).await,
            Command::Exec(options) => login::exec(&options, &places, printer).await,
            Command::Doctor(options) => doctor::run(&options, &places, printer).await,
            Command::Cache(options) => cache::run(&options, &places, printer).await,
            Command::Schema(options) => schema::run(&options, printer),
            Command::Completions(options) => completions::run(&options, printer),
            Command::Man(options) => man::run(&options, printer),
        }
    })
}

/// The error for input that is well formed but means nothing here.
fn usage(words: impl std::fmt::Display) -> Error {
    Error::new(Fault::Configuration, words)
}

/// Prints the report of a run; the result is the exit code.
fn show(finished: Finished, json: bool, printer: &Printer) -> u8 {
    let Finished { report, purpose, dir } = finished;
    if json {
        printer.data(&render::json(&report, purpose));
    } else {
        printer.data(&render::text(&report, purpose, printer.look));
        printer.say(&format!("\nreport, consoles and repro bundles: {}", dir.display()));
    }
    report.exit_code(purpose).code()
}

/// A seed for whoever names none. It is printed, logged and short enough to be typed again.
fn seed_from_clock() -> u64 {
    jiff::Timestamp::now().as_millisecond().unsigned_abs() % 1_000_000_000
}
