// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm build`: builds a kernel, or finds it in the store, and says where it is.

use clap::Args;
use host::arch::Arch;
use kernels::KernelArtifact;
use reports::exit::ExitCode;
use serde_json::json;

use super::kernel::KernelOptions;
use crate::cli::Places;
use crate::printer::Printer;
use crate::view::View;
use engine::Error;
use engine::workshop::{KernelChoice, Workshop};

/// Options of `build`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(value_name = "MANIFEST")]
    kernel: String,
    /// Patch series to apply: a name; a quilt folder, a patch or a mailbox, by a path with a
    /// slash in it; commits of a repository, REPO:A..B; or mails, lore:MESSAGE-ID
    #[arg(long)]
    series: Option<String>,
    /// Architectures, one kernel each: x86_64, arm64, riscv64
    #[arg(long, value_delimiter = ',', default_value = "x86_64")]
    arch: Vec<String>,
    /// Print JSON, an object for each architecture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: KernelOptions,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let choices = options.build.choices(&options.kernel, &options.arch, &workshop.library)?;
    let series = match &options.series {
        Some(name) => Some(workshop.library.obtain_series(name).await?),
        None => None,
    };
    for choice in choices {
        let choice = KernelChoice { series: series.clone(), ..choice };
        let view = View::new(printer);
        let name = choice.name();
        let kernel = workshop.kernel(&choice, &|progress| view.kernel(&name, progress)).await;
        view.clear();
        print(choice.arch, &kernel?, options.json, printer);
    }
    Ok(ExitCode::Clean.code())
}

fn print(arch: &Arch, kernel: &KernelArtifact, json: bool, printer: &Printer) {
    let images: Vec<_> = arch.images.iter().map(|image| kernel.image(image)).collect();
    if json {
        let value = json!({
            "arch": arch.name, "release": kernel.release, "compiler": kernel.compiler,
            "source": kernel.source.to_string(), "key": kernel.key.as_str(), "from_store": kernel.from_store,
            "vmlinux": kernel.vmlinux(), "config": kernel.config_path(), "images": images,
        });
        printer.data(&format!("{value:#}\n"));
    } else {
        printer.data(&format!("Linux {} {arch} ({})\n", kernel.release, kernel.compiler));
        for image in images {
            printer.data(&format!("{}\n", image.display()));
        }
    }
}
