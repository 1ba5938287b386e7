// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a plan to a run: what is to be run becomes cells, each a unit that is carried out, watched and
//! judged, and everything that happens becomes an event.
//!
//! ```text
//! Campaign ──cells──► Dispatcher ──units──► Executor (Local, slurm::Cluster, or a stand-in)
//!                      ▲     │                 │ cell.rs, visit.rs: watch.rs drives a machine, judge.rs
//!                      │     ▼                 │ decides
//!                      └─ EventLog ◄─events────┘
//! ```
//!
//! Nothing here prints or knows a command line. Whoever wants to see a run looks on
//! ([`Onlooker`]) or reads its event log.

pub mod baselines;
pub mod bisect;
pub mod cell;
pub mod check;
pub mod dispatcher;
pub mod error;
pub mod event_log;
pub mod executor;
pub mod fit;
pub mod folders;
pub mod guest;
pub mod history;
pub mod host_facts;
pub mod hunt;
pub mod job;
pub mod judge;
pub mod limits;
pub mod local;
pub mod onlooker;
pub mod pairs;
pub mod plan;
mod points;
mod position;
pub mod prepared;
pub mod replay;
pub mod repro;
pub mod resume;
pub mod run;
pub mod run_folder;
pub mod slurm;
pub mod timings;
pub mod trouble;
pub mod ttr;
pub mod unit;
pub mod visit;
pub mod watch;
pub mod workshop;

pub use error::Error;
pub use event_log::EventLog;
pub use folders::Folders;
pub use guest::GuestOptions;
pub use onlooker::Onlooker;
pub use run::{Finished, Run};
