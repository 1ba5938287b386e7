// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest images: from a recipe to an initramfs, the same bytes for the same inputs.
//!
//! A [`Recipe`] (YAML, see `recipes/`) says what lies where; [`build`] puts it into a
//! [`tree::Tree`], which knows neither owners nor times of the machine it is made on,
//! and keeps it in the store as an archive in the [`newc`] format. What a recipe wants of Debian
//! comes from packages, which an apt of our own fetches once.

mod image;
pub mod newc;
mod packages;
mod recipe;
pub mod tree;

pub use document::Problems;
pub use host::apt::{PackageName, Suite};
pub use image::{IMAGES, ImageArtifact, ImageError, Supplies, build};
pub use packages::PackageError;
pub use recipe::{Applets, Device, ExtraFile, FileContents, Link, Program, Recipe, RecipeError};
