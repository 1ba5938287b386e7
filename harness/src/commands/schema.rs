// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm schema`: the JSON Schemas of what is read as YAML.

use clap::{Args, ValueEnum};
use engine::plan::Plan;
use images::Recipe;
use kernels::Manifest;
use reports::rule::Rule;
use workloads::Profile;

use crate::printer::Printer;
use engine::Error;

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct Options {
    /// The format; without one, all are listed
    #[arg(value_enum)]
    format: Option<Format>,
}

/// A format that is read as YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A kernel manifest, kernels/manifests/*.yaml
    Manifest,
    /// How kernels are configured, kernels/config/standard.yaml
    Standard,
    /// A plan of runs, harness/plans/*.yaml
    Plan,
    /// A storm profile, workloads/profiles/*.yaml
    Profile,
    /// What an image is made of, as --image takes it
    Recipe,
    /// An expected bug, reports/rules/*.yaml
    Rule,
}

impl Format {
    fn schema(self) -> String {
        match self {
            Self::Manifest => Manifest::schema(),
            Self::Standard => Manifest::standard_schema(),
            Self::Plan => Plan::schema(),
            Self::Profile => Profile::schema(),
            Self::Recipe => Recipe::schema(),
            Self::Rule => Rule::schema(),
        }
    }
}

/// Runs the command.
pub fn run(options: &Options, printer: &Printer) -> Result<u8, Error> {
    match options.format {
        Some(format) => printer.data(&format.schema()),
        None => {
            let values = Format::value_variants().iter().filter_map(Format::to_possible_value);
            let line = |value: clap::builder::PossibleValue| {
                let about = value.get_help().map(ToString::to_string).unwrap_or_default();
                format!("{:<10}{about}\n", value.get_name())
            };
            printer.data(&values.map(line).collect::<String>());
        }
    }
    Ok(0)
}
