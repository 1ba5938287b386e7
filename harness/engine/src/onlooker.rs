// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever looks on while a run goes on: the terminal's view, or a test.

use reports::event::RunEvent;
use reports::run::CellReport;

use crate::unit::BuildStep;

/// Is told what happens, in the order in which it happens.
pub trait Onlooker: Send + Sync {
    /// An event was written to the log.
    fn event(&self, event: &RunEvent);

    /// A cell has finished, and is judged.
    fn finished(&self, _cell: &CellReport) {}

    /// A build for `cell` has come so far; the log holds a part of these.
    fn building(&self, cell: &str, kernel: &str, step: &BuildStep);
}
