// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes `events.jsonl`, line by line, as things happen.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err::{File, OpenOptions};
use host::lock::FileLock;
use reports::event::{FORMAT, MINOR, RunEvent, What};
use reports::exit::Purpose;
use reports::run::RunReport;

use crate::host_facts;
use crate::onlooker::Onlooker;
use crate::resume::Resumable;

/// Name of the log in a run's folder.
pub const FILE_NAME: &str = "events.jsonl";

/// The event log of a running run, and those who look on.
pub struct EventLog<'a> {
    file: File,
    began: Instant,
    /// Milliseconds of the run that were over when it was resumed.
    before_ms: u64,
    /// Nobody resumes a run that goes on.
    _lock: Option<FileLock>,
    report: RunReport,
    onlooker: &'a dyn Onlooker,
}

impl<'a> EventLog<'a> {
    /// Begins a log in `dir`. `onlooker` sees each event after it was written.
    pub fn create(dir: &Path, onlooker: &'a dyn Onlooker) -> io::Result<Self> {
        let path = dir.join(FILE_NAME);
        let file = File::create_new(&path)?;
        // A file system that knows no locks, as some networks', can hold a run, too.
        let _lock = FileLock::try_take(&path).ok().flatten();
        let (began, report) = (Instant::now(), RunReport::default());
        Ok(Self { file, began, before_ms: 0, _lock, report, onlooker })
    }

    /// Goes on with the log of a run that was killed or interrupted.
    pub fn resume(run: Resumable, onlooker: &'a dyn Onlooker) -> io::Result<Self> {
        let Resumable { dir, report, again, healed, lock, .. } = run;
        let file = OpenOptions::new().append(true).open(dir.join(FILE_NAME))?;
        let facts = report.runs.first();
        let last_ms = facts.map_or(0, |run| run.ms);
        let started = facts.and_then(|run| run.started.parse::<jiff::Timestamp>().ok());
        let now = jiff::Timestamp::now();
        let since = started.map_or(0, |started| now.as_millisecond() - started.as_millisecond());
        // The wall clock of an event is the run's start and this. A clock that was set back does not matter.
        let before_ms = last_ms.max(u64::try_from(since).unwrap_or(0));
        let _lock = Some(lock);
        let mut log = Self { file, began: Instant::now(), before_ms, _lock, report, onlooker };
        log.emit(What::RunResumed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            resumed: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            host_name: host_name(),
            again: again.into_keys().collect(),
            healed,
        })?;
        Ok(log)
    }

    /// Writes the first event: this program, its command line, this machine. `confidence` is the one with which a kernel is to be called
    /// fixed, from 0 to 1.
    pub fn run_started(&mut self, seed: u64, purpose: Purpose, confidence: f64) -> io::Result<()> {
        self.emit(What::RunStarted {
            format: FORMAT,
            minor: MINOR,
            id: run_id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().skip(1).collect(),
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seed,
            purpose: Some(purpose),
            confidence: Some(confidence),
            host_name: host_name(),
            host: host_facts::gather(),
        })
    }

    /// Writes one event. Nobody's report depends on an event that did not reach the disk.
    pub fn emit(&mut self, what: What) -> io::Result<()> {
        self.emit_past(what, Duration::ZERO)
    }

    /// Writes an event of so long ago.
    pub fn emit_past(&mut self, what: What, ago: Duration) -> io::Result<()> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let at_ms = millis(self.began.elapsed()).saturating_add(self.before_ms);
        let at_ms = at_ms.saturating_sub(millis(ago));
        let event = RunEvent { at_ms, run: None, what };
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        // One write for each line: a kill leaves at most one cut line, the last.
        self.file.write_all(&line)?;
        self.onlooker.event(&event);
        self.report.push(&event);
        if let What::CellFinished { cell } = &event.what
            && let Some(cell) = self.report.cell(cell)
        {
            self.onlooker.finished(cell);
        }
        Ok(())
    }

    /// Whoever looks on.
    pub fn onlooker(&self) -> &'a dyn Onlooker {
        self.onlooker
    }

    /// What all events came to.
    pub fn into_report(self) -> RunReport {
        self.report
    }

    /// What the events so far come to.
    pub fn report(&self) -> &RunReport {
        &self.report
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tells this run from all others: when it began, and which process it was.
fn run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%fZ");
    format!("{now}-{}", std::process::id())
}
