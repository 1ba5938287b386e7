// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a manifest to a built kernel: source, patch series, checked configuration, build.
//!
//! [`Library`] holds the data (manifests, configuration fragments, series): embedded in
//! the program, and overridden by a folder of the user's own. [`Kernels`] makes kernels
//! of it and keeps them in the store. What is made, in order:
//!
//! 1. [`Source`] → a pristine tree: unpacked once in the store, or the user's own where it
//!    lies (`source/`);
//! 2. a work tree: hard links to the pristine one, or copies of the user's, with the series
//!    applied by replacing only the files it touches, so that a changed series, or a changed
//!    tree of the user's, recompiles little (`worktree.rs`);
//! 3. a configuration of which every asked option is checked (`config.rs`);
//! 4. a build whose results are published as a [`KernelArtifact`] (`compile.rs`).

mod checkpatch;
mod cold;
mod compile;
mod config;
mod error;
mod git;
mod input;
mod kernel;
mod library;
mod listing;
mod manifest;
mod near;
mod pristine;
mod progress;
mod series;
mod source;
mod stored;
mod text;
mod toolchain;
mod tree;
pub mod vmlinux;
mod worktree;

pub use cold::ColdBuilds;
pub use compile::SparseSaid;
pub use config::{Absent, ConfigError, Dropped, Fragment, KernelConfig};
pub use error::{
    CompileError, Conflict, Found, HunkFailure, KernelError, NoMemory, Prerequisite, SourceError,
};
pub use input::LibraryError;
pub use kernel::{KernelArtifact, Kernels, Request, sparse_version};
pub use library::Library;
pub use manifest::Manifest;
pub use progress::{OnProgress, Progress, Stage};
pub use series::{
    CommitFacts, FileChange, Patch, Series, SeriesError, commits_in, first_parents, merged_branch,
};
pub use source::{DebianPackage, Digest, GitRepository, Origin, Source, SourceIdentity, Tarball};
pub use stored::{Stored, stored, superseded};
pub use toolchain::Toolchain;
