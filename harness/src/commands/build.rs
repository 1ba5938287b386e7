// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm build`: builds a kernel, or finds it in the store, and says where it is.

use clap::Args;
use reports::exit::ExitCode;
use serde_json::json;

use crate::cli::Places;
use crate::error::Error;
use crate::printer::Printer;
use crate::progress::View;
use crate::workshop::{KernelChoice, Workshop};

/// Options of `build`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel manifest
    #[arg(value_name = "MANIFEST")]
    kernel: String,
    /// Patch series to apply: a name; a quilt folder, a patch or a mailbox, by a path with a
    /// slash in it; commits of a repository, REPO:A..B; or mails, lore:MESSAGE-ID
    #[arg(long)]
    series: Option<String>,
    /// Architecture
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(places)?;
    let series = match &options.series {
        Some(name) => Some(workshop.library.obtain_series(name).await?),
        None => None,
    };
    let choice = KernelChoice {
        manifest: workshop.library.manifest(&options.kernel)?,
        series,
        arch: Workshop::arch(&options.arch)?,
    };
    let view = View::new(printer);
    let kernel = workshop.kernel(&choice, &view).await;
    view.clear();
    let kernel = kernel?;
    let images: Vec<_> = choice.arch.images.iter().map(|image| kernel.image(image)).collect();
    if options.json {
        let value = json!({
            "release": kernel.release, "compiler": kernel.compiler, "key": kernel.key.as_str(),
            "from_store": kernel.from_store, "vmlinux": kernel.vmlinux(), "config": kernel.config_path(),
            "images": images,
        });
        printer.data(&format!("{value:#}\n"));
    } else {
        printer.data(&format!("Linux {} ({})\n", kernel.release, kernel.compiler));
        for image in images {
            printer.data(&format!("{}\n", image.display()));
        }
    }
    Ok(ExitCode::Clean.code())
}
