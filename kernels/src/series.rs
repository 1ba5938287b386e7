// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patch series: mails, a single patch, a range of commits, or quilt's format, which is a
//! folder of patches and a file `series` that orders them.
//!
//! ```text
//! # comments
//! 0001-first.patch
//! 0002-second.patch -p0      # -p1 is the default
//! ```

mod apply;
mod history;
mod load;
mod lore;
mod mbox;
mod merge;
mod patch;
mod preimages;
mod range;
mod types;

pub(crate) use apply::stage;
pub use history::{CommitFacts, commits_in, first_parents, merged_branch};
pub(crate) use load::load;
pub(crate) use lore::lore;
pub(crate) use merge::merge;
pub use patch::Patch;
pub(crate) use preimages::preimages;
pub(crate) use range::Range;
pub use types::{FileChange, Series, SeriesError};
