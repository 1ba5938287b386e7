// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm attach RUN`: goes on with a run that a cluster carries out.

use std::path::PathBuf;

use clap::Args;
use engine::Error;
use engine::slurm::layout::Layout;

use super::usage;
use crate::cli::Places;
use crate::printer::Printer;

/// Options of `attach`.
#[derive(Debug, Args)]
pub struct Options {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    if options.run.is_dir() && !Layout::new(&options.run).is_there() {
        return Err(usage(format!(
            "{0}: no cluster carries out this run\n  hint: swapstorm run --resume {0}",
            options.run.display()
        )));
    }
    super::run::resume(&options.run, places, printer).await
}
