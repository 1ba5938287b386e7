// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cells of a kernel in a range: of a search, or of a series that is checked.

use std::sync::Arc;
use std::time::Duration;

use machine::Random;
use reports::event::Cell;
use reports::run::CellReport;
use reports::search::evidence::is_fault;

use crate::job::{CellJob, Group};

/// The cell `id`, the one of this `number` of its group, from 1. Its seed follows from the run's and from words: cells with the
/// same words have the same.
pub(crate) fn job(
    group: &Arc<Group>,
    id: String,
    number: u32,
    (seed, words): (u64, &str),
    storm: Duration,
) -> CellJob {
    let seed = Random::new(seed, words).draw();
    let mut cell = Cell { id, number, seed, ..group.cell() };
    cell.key = cell.stable_key();
    CellJob::new(cell, Arc::clone(group), storm)
}

/// The group, or a copy of it that is prepared anew if `last`, its newest cell, could not be prepared for the machine's fault.
pub(crate) fn prepared_anew(group: &Arc<Group>, last: Option<&CellReport>) -> Arc<Group> {
    match last {
        Some(cell) if is_fault(cell) && cell.boots.is_empty() => Arc::new(Group::clone(group)),
        _ => Arc::clone(group),
    }
}
