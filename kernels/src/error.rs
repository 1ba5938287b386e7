// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no kernel.

use host::process::ProcessError;
use host::store::StoreError;

use crate::compile::CompileError;
use crate::config::ConfigError;
use crate::series::Conflict;
use crate::source::SourceError;

/// Why a kernel could not be made. The variants say whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The source could not be had: the machine or the network.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The series does not fit the source: the series.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The kernel dropped options it was asked for: the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel does not compile: the source, the series or the compiler.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The store or its disk failed: the machine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program is missing or failed: the machine.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The request cannot be met: the caller.
    #[error("{0}")]
    Request(String),
}
