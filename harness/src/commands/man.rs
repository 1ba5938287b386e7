// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm man`: a manual page of the program and of each command.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::printer::Printer;
use engine::Error;
use engine::run_folder::replace;

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder for a file of each page; without it, all pages go to stdout, one behind the other
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A page: its file's name and its text.
type Page = (String, Vec<u8>);

/// Runs the command.
pub fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, &mut pages)?;
    let Some(dir) = &options.dir else {
        for (_, text) in &pages {
            printer.data(&String::from_utf8_lossy(text));
        }
        return Ok(0);
    };
    fs_err::create_dir_all(dir)?;
    for (name, text) in &pages {
        replace(dir, name, text)?;
    }
    printer.say(&format!("{} pages in {}", pages.len(), dir.display()));
    Ok(0)
}

/// The command's page, and then those of the commands below it.
fn add(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    let source = format!("swapstorm {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("swapstorm");
    let mut text = Vec::new();
    man.render(&mut text)?;
    pages.push((man.get_filename(), text));
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_for_each(|command| add(command, pages))
}
