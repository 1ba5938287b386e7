// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that change how a manifest's kernel is built.

use clap::Args;
use host::arch::Arch;
use kernels::{Fragment, Library, Manifest, Toolchain};

use engine::Error;
use engine::workshop::{KernelChoice, Workshop};
use reports::event::Cell;

/// What can be changed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    /// Compiler: gcc, clang, or a version of it like clang-16 [default: the manifest's, else gcc]
    #[arg(long, value_name = "NAME")]
    pub toolchain: Option<Toolchain>,
    /// Mode of KASAN: generic, or for arm64 sw_tags or hw_tags [default: the manifest's]
    #[arg(long, value_name = "MODE")]
    pub kasan: Option<String>,
}

impl KernelOptions {
    /// Those that a cell was run with, by their names in its log; empty ones are the manifest's.
    pub fn of(cell: &Cell) -> Result<Self, Error> {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let toolchain = named(&cell.toolchain).map(|name| name.parse()).transpose();
        Ok(Self { toolchain: toolchain.map_err(super::usage)?, kasan: named(&cell.kasan) })
    }

    /// Puts what was asked for into the manifest.
    pub fn change(&self, manifest: &mut Manifest) {
        if let Some(toolchain) = &self.toolchain {
            manifest.toolchain = toolchain.clone();
        }
    }

    /// The kernel of a manifest for each architecture, without a series. All of them, and their compilers, are looked at
    /// before any is built: a mistake in the last one would be noticed late.
    pub fn choices(
        &self,
        kernel: &str,
        arches: &[String],
        library: &Library,
    ) -> Result<Vec<KernelChoice>, Error> {
        let choice = |arch: &String| {
            let choice = self.choice(kernel, arch, library)?;
            choice.manifest.toolchain.require(choice.arch)?;
            Ok(choice)
        };
        arches.iter().map(choice).collect()
    }

    /// The kernel of a manifest for one architecture, without a series.
    pub fn choice(
        &self,
        kernel: &str,
        arch: &str,
        library: &Library,
    ) -> Result<KernelChoice, Error> {
        let mut manifest = library.manifest(kernel)?;
        self.change(&mut manifest);
        let arch = Workshop::arch(arch)?;
        manifest.require(arch)?;
        let (fragments, kasan) = (self.fragments(arch, library)?, self.kasan_mode());
        Ok(KernelChoice { manifest, series: None, fragments, kasan, arch })
    }

    /// The mode of KASAN that was asked for; empty: the manifest's.
    pub fn kasan_mode(&self) -> String {
        self.kasan.clone().unwrap_or_default()
    }

    /// Configuration fragments on top of the manifest's.
    pub fn fragments(&self, arch: &Arch, library: &Library) -> Result<Vec<Fragment>, Error> {
        let Some(mode) = &self.kasan else { return Ok(Vec::new()) };
        let Some(kasan) = arch.kasan.iter().find(|kasan| kasan.mode == mode) else {
            let has: Vec<&str> = arch.kasan.iter().map(|kasan| kasan.mode).collect();
            return Err(super::usage(format!(
                "the kernel has no KASAN mode `{}` on {arch}\n  hint: it has {}",
                mode.escape_debug(),
                has.join(", ")
            )));
        };
        Ok(kasan.fragment.map(|name| library.fragment(name)).transpose()?.into_iter().collect())
    }
}
