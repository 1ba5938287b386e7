// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run, a comparison or baselines as text: for a terminal, for a mail, for a program.

pub mod baseline;
pub mod comparison;
mod json;
mod layout;
mod markdown;
mod text;
pub(crate) mod words;

pub use json::{FORMAT as JSON_FORMAT, render as json};
pub use markdown::render as markdown;
pub use text::{Look, render as text};

#[cfg(test)]
mod tests;
