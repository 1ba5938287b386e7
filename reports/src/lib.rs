// SPDX-License-Identifier: MIT OR Apache-2.0
//! From console bytes and telemetry to findings, verdicts and renderings.
//!
//! This crate is pure: bytes and numbers go in, findings and text come out. It
//! starts no process, reads no clock and opens no file, so a live run, a replayed
//! run and a pasted log take the same path.

pub mod baseline;
pub mod bundle;
pub mod check;
pub mod comparison;
pub mod console;
pub mod escape;
pub mod event;
pub mod exit;
pub mod finding;
pub mod history;
pub mod hunt;
pub mod known;
mod lines;
pub mod log;
pub mod method;
pub mod proof;
pub mod rate;
pub mod render;
pub mod rule;
pub mod run;
#[cfg(test)]
mod sample;
pub mod search;
pub mod shell;
pub mod starved;
pub mod statistics;
pub mod telemetry;
pub mod ttr;
pub mod verdict;
