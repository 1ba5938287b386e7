// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever carries out units: this machine ([`crate::local::Local`]), a cluster ([`crate::slurm::Cluster`]), a test's
//! stand-in.

use std::future::Future;
use std::io;
use std::sync::Arc;

use reports::event::Fault;
use reports::run::{CellReport, RunReport};

use crate::error::Error;
use crate::job::{CellJob, Group, Room};
use crate::trouble::Trouble;
use crate::unit::Context;

/// A failure as the event log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Which kind.
    pub fault: Fault,
    /// The error and its hint.
    pub detail: String,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { fault: error.fault, detail: error.to_string() }
    }
}

/// Carries out units. Its futures outlive the call: each runs in a task of its own.
pub trait Executor {
    /// What the cells of a group need before they can run: a kernel, an initramfs, an accelerator.
    type Ready: Clone + Send + 'static;

    /// What there is for units that run side by side.
    fn room(&self) -> Room;

    /// Why nothing more should be begun for now. It is asked again later.
    fn trouble(&self) -> Option<Trouble> {
        None
    }

    /// What a cell takes while it runs.
    fn needs(&self, job: &CellJob, ready: &Self::Ready) -> Room;

    /// Makes what the cells of `group` need. `cell` is the id that the log gets to see.
    /// `Ok(None)`: it was asked to stop.
    fn prepare(
        &self,
        group: Arc<Group>,
        cell: String,
        context: Context,
    ) -> impl Future<Output = Result<Option<Self::Ready>, Failed>> + Send + 'static;

    /// Runs a cell to its end. Everything but its failure is in the events.
    fn run(
        &self,
        job: CellJob,
        ready: Self::Ready,
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static;

    /// Nobody needs these cells any more: those that were started and do not run yet need not begin. `planned`: the plan
    /// wants it so. Where a cell runs as soon as it is started, there is nothing to do.
    fn withdraw(&self, _cells: &[&str], _why: &str, _planned: bool) {}

    /// Keeps for others what it takes to see again what a cell has shown.
    ///
    /// # Errors
    /// Those of writing it.
    fn keep(
        &self,
        job: &CellJob,
        ready: &Self::Ready,
        cell: &CellReport,
        report: &RunReport,
    ) -> io::Result<()>;
}
