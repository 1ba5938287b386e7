// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no kernel.

mod compile;
mod conflict;
mod source;

use host::process::ProcessError;
use host::store::StoreError;

pub use compile::{CompileError, NoMemory};
pub(crate) use conflict::MOST_COMMITS;
pub use conflict::{Conflict, Found, HunkFailure, Prerequisite};
pub use source::SourceError;

use crate::config::ConfigError;

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
    /// There was too little memory to compile: the machine.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
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
