// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that change how a manifest's kernel is built.

use clap::Args;
use kernels::{Manifest, Toolchain};

/// What can be changed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    /// Compiler: gcc, clang, or a version of it like clang-16 [default: the manifest's, else gcc]
    #[arg(long, value_name = "NAME")]
    toolchain: Option<Toolchain>,
}

impl KernelOptions {
    /// Puts what was asked for into the manifest.
    pub fn change(&self, manifest: &mut Manifest) {
        if let Some(toolchain) = &self.toolchain {
            manifest.toolchain = toolchain.clone();
        }
    }
}
