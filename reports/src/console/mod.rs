// SPDX-License-Identifier: MIT OR Apache-2.0
//! From raw console bytes to kernel bug reports.
//!
//! [`Reader`] takes a console as it comes and gives back [`Seen`] things: reports
//! ([`crate::finding::Finding`]) and [`Note`]s. What a report looks like, which frames
//! are passed over and how titles are made is in tables (`detectors/`, `skip.rs`,
//! `title.rs`, `kinds.rs`); the rest is the machinery that applies them.

mod analyse;
mod blame;
mod detectors;
mod digest;
mod facts;
mod form;
mod frames;
mod guilty;
mod ip;
mod kinds;
mod line;
mod notes;
mod open;
mod pattern;
mod prefilter;
mod reader;
mod report;
mod scene;
pub mod show;
pub mod signature;
mod skip;
mod stacks;
mod starts;
mod title;
mod word_set;
mod words;

pub use digest::{Digest, FORMAT as JSON_FORMAT, LogJson, NoteCount};
pub use facts::Facts;
pub use form::{Form, SAMPLE, Unwrapper, pstore_in_order};
pub use notes::{Note, NoteKind};
#[doc(hidden)]
pub use prefilter::WORDS as FIRST_WORDS;
pub use reader::{MAX_LINE, Options, Reader, Seen, Stats};
