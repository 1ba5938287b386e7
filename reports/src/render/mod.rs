// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as text: for a terminal, for a mail, for a program.

pub mod json;
mod layout;
pub mod markdown;
pub mod text;
mod words;

#[cfg(test)]
mod tests;
