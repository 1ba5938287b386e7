// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run, a comparison, baselines or a history as text: for a terminal, for a mail, for a browser, for programs.

pub mod baseline;
pub mod check;
pub mod comparison;
mod github;
pub mod history;
mod html;
mod hunt;
mod json;
mod junit;
mod kcidb;
mod ktap;
mod layout;
mod markdown;
mod night;
mod outcome;
mod safe;
mod search;
mod svg;
mod text;
pub mod ttr;
pub(crate) mod words;

pub use github::render as github;
pub use html::render as html;
pub use json::{FORMAT as JSON_FORMAT, render as json};
pub use junit::render as junit;
pub use kcidb::render as kcidb;
pub use ktap::render as ktap;
pub use markdown::render as markdown;
pub use text::{Look, render as text};

#[cfg(test)]
mod tests;
