// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm`: drives Linux kernels into swap and zswap races and reads what their consoles say.

#![expect(unreachable_pub, reason = "in a program, `pub` is what a module offers its siblings")]

mod cli;
mod commands;
mod interrupt;
mod printer;
mod terminal;
mod view;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::printer::Printer;

fn main() -> ExitCode {
    // A child's supervisor is this same program: it must get away before anything else happens.
    if let Some(code) = host::process::supervise_if_asked() {
        return code;
    }
    let cli = Cli::read();
    let printer = Printer::new(&cli.output);
    let done = commands::run(cli, &printer);
    match done.and_then(|code| printer.all_written().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
