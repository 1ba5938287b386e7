// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench`: measures swapstorm itself, as a ratio to a reference in the same run.

mod boot;
mod build;
mod load;
mod parse;
mod ttr;

use clap::{Args, Subcommand};
use engine::Error;

use crate::cli::Places;
use crate::printer::Printer;

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum What {
    /// From QEMU's start to the guest agent's first line, beside an init that only powers off
    Boot(boot::Options),
    /// A cold build of a kernel, beside a plain make of the same configuration
    Build(build::Options),
    /// What the harness takes itself while guests, which are played, print without end
    Load(load::Options),
    /// Consoles that `parse` reads in a second, beside grep on the same bytes
    Parse(parse::Options),
    /// From a storm's start to its bug, for each technique
    Ttr(Box<ttr::Options>),
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    match &options.what {
        What::Boot(options) => boot::run(options, places, printer).await,
        What::Build(options) => build::run(options, places, printer).await,
        What::Load(options) => load::run(options, places, printer).await,
        What::Parse(options) => parse::run(options, printer),
        What::Ttr(options) => ttr::run(options, places, printer).await,
    }
}

/// The middle value; the mean of the two middle ones if there are two. Not for empty lists.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
