// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison as text: for a terminal, for a mail, for a program, as a picture.

mod markdown;
mod over_time;
mod plot;
#[cfg(test)]
mod tests;
mod text;
mod words;

use serde::Serialize;

pub use markdown::render as markdown;
pub use over_time::render as over_time;
pub use plot::render as svg;
pub use text::render as text;
pub(super) use words::{answer as sentence, share_of, value};

use crate::comparison::Comparison;

/// Version of the JSON. It changes when a field changes its meaning or goes away; fields may be added at any time.
pub const JSON_FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    exit_code: u8,
    sentence: String,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

/// The comparison as one JSON object that ends with a line feed: the fields of [`Comparison`], `format`, `exit_code`, and
/// `sentence`, which says the answer. Shifts and intervals are differences of natural logarithms.
pub fn json(comparison: &Comparison) -> String {
    let exit_code = comparison.answer.exit_code().code();
    let sentence = words::answer(comparison);
    let document = Document { format: JSON_FORMAT, exit_code, sentence, comparison };
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let mut text = serde_json::to_string_pretty(&document).expect("plain data is JSON");
    text.push('\n');
    text
}
