// SPDX-License-Identifier: MIT OR Apache-2.0
//! When nothing more is begun: the run's time is used up, a cell's is, or the machine is in trouble.

use std::io;
use std::time::Duration;

use reports::event::What;
use tokio::time::Instant;

use super::{Dispatcher, Running};
use crate::executor::Executor;

/// While the machine is in trouble, it is looked at again so often.
const HOLD_PERIOD: Duration = Duration::from_secs(10);
/// Slowness is waited out no longer than this, and then borne.
const MOST_SLOWNESS: Duration = Duration::from_secs(600);
/// Anything else is waited out no longer than this, and then the run ends.
const MOST_HOLD: Duration = Duration::from_secs(3600);

/// The machine is in trouble.
#[derive(Debug)]
pub(super) struct Held {
    since: Instant,
    /// When it is looked at again.
    again: Instant,
}

impl<E: Executor> Dispatcher<'_, '_, E> {
    /// Tells whoever has had his time, and closes the queue at the end of the run's.
    pub(super) fn check_time(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for unit in self.running.values() {
            if let Running::Cell(_, _, overtime) = unit
                && overtime.at.is_some_and(|at| at <= now)
            {
                overtime.token.cancel();
            }
        }
        if self.held.as_ref().is_some_and(|held| held.again <= now) {
            self.changed = true;
        }
        match &self.limits.end {
            Some((at, why)) if *at <= now && !self.closed => {
                let why = why.clone();
                self.log.emit(What::CancelRequested { by: why.clone(), at_once: false })?;
                for unit in self.running.values() {
                    match unit {
                        Running::Preparing(_, token) => token.cancel(),
                        Running::Cell(job, _, overtime) => {
                            let (cell, why) = (job.cell.id.clone(), why.clone());
                            self.log.emit(What::CellCancelled { cell, why, planned: true })?;
                            overtime.token.cancel();
                        }
                    }
                }
                self.close(&why, true)
            }
            _ => Ok(()),
        }
    }

    /// Begins nothing more.
    pub(super) fn close(&mut self, why: &str, planned: bool) -> io::Result<()> {
        self.closed = true;
        self.foreseen.clear();
        self.withdraw(|_| true, why, planned);
        self.cancel_queue(why, planned)
    }

    /// When somebody's time is used up next, or the machine is to be looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let cells = self.running.values().filter_map(|unit| match unit {
            Running::Cell(_, _, overtime) if !overtime.token.is_cancelled() => overtime.at,
            _ => None,
        });
        let end = self.limits.end.as_ref().map(|(at, _)| *at).filter(|_| !self.closed);
        let held = self.held.as_ref().map(|held| held.again).filter(|_| !self.closed);
        cells.chain(end).chain(held).min()
    }

    /// Whether the machine is in trouble, so that nothing more should be begun on it. Each trouble is told once.
    pub(super) fn is_held(&mut self) -> io::Result<bool> {
        if !self.limits.waits {
            return Ok(false);
        }
        let Some(trouble) = self.executor.trouble() else {
            if self.held.take().is_some() {
                let text = "the machine can take guests again".to_owned();
                self.log.emit(What::Notice { cell: None, text })?;
            }
            return Ok(false);
        };
        let now = Instant::now();
        let before = self.held.take();
        let since = before.as_ref().map_or(now, |held| held.since);
        // Waiting has made nothing better.
        let waited = now.saturating_duration_since(since);
        if trouble.is_slowness && waited >= MOST_SLOWNESS {
            return Ok(false);
        }
        if waited >= MOST_HOLD {
            self.close(&trouble.why, false)?;
            return Ok(true);
        }
        if before.is_none() {
            let text = format!("nothing more is begun for now: {trouble}");
            self.log.emit(What::Notice { cell: None, text })?;
        }
        self.held = Some(Held { since, again: now + HOLD_PERIOD });
        Ok(true)
    }
}

/// Waits for a moment, if there is one.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
