// SPDX-License-Identifier: MIT OR Apache-2.0
//! A history for a terminal, for a mail, for a browser, for programs.

mod html;
mod markdown;
mod spark;
#[cfg(test)]
mod tests;
mod text;
mod words;

use serde::Serialize;

pub use html::render as html;
pub use markdown::render as markdown;
pub use text::render as text;
pub(in crate::render) use words::news;

use crate::history::{History, Ledger};

/// Version of the JSON. It changes when a field changes its meaning or goes away; fields may be added at any time.
pub const JSON_FORMAT: u32 = 1;

/// Most bugs that are told one by one, and most settings of one.
const MOST_BUGS: usize = 200;
const MOST_PLACES: usize = 12;
/// Most nights in a table, the newest.
const MOST_NIGHTS: usize = 14;
/// Most settings whose metrics are shown.
const MOST_SETTINGS: usize = 24;

/// A history as one JSON object that ends with a line feed: what [`History`] has, `format`, and of the ledger `damaged`, `twice` and
/// `problems`.
pub fn json(ledger: &Ledger, history: &History) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        #[serde(flatten)]
        history: &'a History,
        damaged: usize,
        twice: usize,
        problems: Vec<String>,
    }
    let problems = ledger.problems.iter().map(ToString::to_string).collect();
    let (damaged, twice) = (ledger.damaged, ledger.twice);
    let document = Document { format: JSON_FORMAT, history, damaged, twice, problems };
    format!("{:#}\n", serde_json::json!(document))
}
