// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all sources are fetched and unpacked with.

use host::store::{Bucket, Check, Store};

use super::apt::MachineApt;
use super::archive::Archive;
use crate::progress::OnProgress;

/// Unpacked trees: `tree/` and `source.json`.
pub(crate) const TREES: Bucket = Bucket { name: "sources", check: Check::Counts };
/// The tree within an entry of [`TREES`].
pub(crate) const TREE: &str = "tree";

/// What a source is fetched and unpacked with.
pub(crate) struct Fetcher<'a> {
    pub(crate) store: &'a Store,
    pub(crate) apt: &'a MachineApt,
    pub(crate) archive: &'a Archive,
    pub(crate) progress: OnProgress<'a>,
}

/// The commit that a series was made for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// This one.
    Is(String),
    /// One that the source does not have.
    Missing,
    /// The series does not say, or nobody can be asked.
    Unknown,
}
