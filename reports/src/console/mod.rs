// SPDX-License-Identifier: MIT OR Apache-2.0
//! From raw console bytes to kernel bug reports.
//!
//! [`Reader`] takes a console as it comes and gives back [`Seen`] things: reports
//! ([`crate::finding::Finding`]) and [`Note`]s. What a report looks like, which frames
//! are passed over and how titles are made is in tables (`detectors/`, `skip.rs`,
//! `title.rs`, `kinds.rs`); the rest is the machinery that applies them.
//!
//! Bytes take this way: `decode.rs` (encodings), `reader.rs` (blocks, lines, words that matter),
//! `head.rs` and `line.rs` (what stands before a message), `open.rs` (which lines are a report's),
//! `analyse.rs`, `stacks.rs`, `scene.rs` and `guilty.rs` (what they say). `DIFFERENCES.md` of this
//! crate lists where the answers differ from the specification's on purpose.

mod analyse;
mod blame;
mod by_files;
mod decode;
mod detectors;
mod digest;
mod dumps;
mod escaped;
mod facts;
mod frames;
mod guilty;
mod head;
mod headless;
mod ip;
mod kinds;
mod line;
mod notes;
mod open;
mod pattern;
mod prefilter;
mod pstore;
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

pub use by_files::judge_by_files;
pub use digest::{Digest, FORMAT as JSON_FORMAT, LogJson, NoteCount};
pub(crate) use dumps::Dumps;
pub use facts::Facts;
pub use notes::{Note, NoteKind};
#[doc(hidden)]
pub use prefilter::WORDS as FIRST_WORDS;
pub use pstore::pstore_in_order;
pub use reader::{MAX_LINE, Options, Reader, Seen, Stats};
