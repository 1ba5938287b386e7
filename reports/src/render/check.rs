// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a series: for a terminal, for a program, and as a reply to the mails that it came in.

mod mail;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use mail::render as mail;
pub use text::render as text;

use crate::check::Check;

/// The same for a program; it ends with a line feed.
pub fn json(check: &Check) -> String {
    let mut text = serde_json::to_string_pretty(check).unwrap_or_default();
    text.push('\n');
    text
}
