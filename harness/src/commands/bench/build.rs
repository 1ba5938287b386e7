// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench build`: a cold build of a kernel beside a plain make of its configuration.

use clap::Args;
use kernels::Progress;
use reports::exit::ExitCode;
use serde::Serialize;

use super::super::kernel::KernelOptions;
use crate::cli::Places;
use crate::printer::Printer;
use crate::view::View;
use engine::Error;
use engine::workshop::Workshop;

/// Options of `bench build`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Architectures, one after another
    #[arg(long, value_delimiter = ',', default_value = "x86_64")]
    arch: Vec<String>,
    /// Print JSON, an array with an object for each architecture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: KernelOptions,
}

#[derive(Debug, Serialize)]
struct Row {
    arch: &'static str,
    /// Seconds from the unpacked source to the stored kernel.
    seconds: f64,
    objects: u64,
    /// The same of a plain make with the finished configuration.
    plain_seconds: f64,
    plain_objects: u64,
    /// `seconds` by `plain_seconds`.
    ratio: f64,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let choices = options.build.choices(&options.kernel, &options.arch, &workshop.library)?;
    let mut rows = Vec::new();
    for choice in &choices {
        let view = View::new(printer);
        let name = choice.name();
        let progress = |progress: Progress<'_>| view.kernel(&name, progress);
        let built = workshop.build_cold(choice, &progress).await;
        view.clear();
        let built = built?;
        let (seconds, plain_seconds) = (built.ours.as_secs_f64(), built.plain.as_secs_f64());
        rows.push(Row {
            arch: choice.arch.name,
            seconds,
            objects: built.our_objects,
            plain_seconds,
            plain_objects: built.plain_objects,
            ratio: seconds / plain_seconds,
        });
    }
    if options.json {
        let text = serde_json::to_string_pretty(&rows).map_err(std::io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        printer.data(&format!("cold builds of {}\n", options.kernel));
        printer.data("architecture  swapstorm  objects  plain make  objects  ratio\n");
        for row in &rows {
            let Row { arch, seconds, objects, plain_seconds, plain_objects, ratio } = row;
            printer.data(&format!(
                "{arch:12}  {seconds:7.1} s  {objects:7}  {plain_seconds:8.1} s  \
                 {plain_objects:7}  {ratio:5.2}\n"
            ));
        }
    }
    Ok(ExitCode::Clean.code())
}
