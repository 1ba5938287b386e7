// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second executor: a cluster that Slurm manages.
//!
//! ```text
//! Cluster ── rounds/1.json ──► sbatch: an array of builds, then arrays of shards, one for each class
//!    ▲                                      │
//!    │                                      ▼ on some node: swapstorm shard RUN ROUND ARRAY INDEX
//!    │                            attempts/CELL/attempt-R-JOB/   a run of its own with one cell
//!    └──── readdir, squeue ◄──── winners/CELL                    a hard link that one attempt can make
//! ```
//!
//! A shard is one cell. Whoever leads the run writes what is to be done ([`layout::Round`]), has Slurm start it, and looks for
//! winners. An attempt that finishes becomes the winner if there is none yet, by [link(2)], which fails where the name is taken:
//! also on network file systems exactly one attempt wins, be it that Slurm has started a task anew while an orphan of the first
//! start still runs. What the winner's event log says of the cell is written into the run's own log, with the time that each
//! thing took, so that every report is that of a run on one machine but for times and hosts.
//!
//! Slurm is asked once in [`cluster::QUEUE_PERIOD`], however many shards there are. A shard that Slurm knows no longer and
//! that has no winner is submitted anew, and after [`cluster::MOST_ROUNDS`] times it is the infrastructure's failure: no cell is lost.
//! Everything that the leader knows lies in the run's folder, so it may be killed, and another goes on (`swapstorm attach`).
//!
//! [link(2)]: https://man7.org/linux/man-pages/man2/link.2.html

pub mod cluster;
pub mod controller;
pub mod layout;
mod retell;
pub mod shard;
mod shards;

pub use cluster::Cluster;
pub use controller::{Controller, Slurm};
pub use layout::Terms;
