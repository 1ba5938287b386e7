// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm completions`: what a shell needs to complete our command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::printer::Printer;
use engine::Error;

/// The program's name, whatever its file is called.
const PROGRAM: &str = "swapstorm";

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), PROGRAM, &mut script);
    printer.data(&String::from_utf8_lossy(&script));
    Ok(0)
}
