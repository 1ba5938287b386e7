// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes `events.jsonl`, line by line, as things happen.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use fs_err::File;
use reports::event::{FORMAT, RunEvent, What};
use reports::run::RunReport;

use crate::host_facts;

/// Name of the log in a run's folder.
pub const FILE_NAME: &str = "events.jsonl";

/// The event log of a running run, and those who look on.
pub struct EventLog<'a> {
    file: File,
    began: Instant,
    events: Vec<RunEvent>,
    onlooker: Box<dyn FnMut(&RunEvent) + 'a>,
}

impl<'a> EventLog<'a> {
    /// Begins a log in `dir`. `onlooker` sees each event after it was written.
    pub fn create(dir: &Path, onlooker: impl FnMut(&RunEvent) + 'a) -> io::Result<Self> {
        let file = File::create_new(dir.join(FILE_NAME))?;
        Ok(Self { file, began: Instant::now(), events: Vec::new(), onlooker: Box::new(onlooker) })
    }

    /// Writes the first event: this program, its command line, this machine.
    pub fn run_started(&mut self, seed: u64) -> io::Result<()> {
        self.emit(What::RunStarted {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().skip(1).collect(),
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seed,
            host: host_facts::gather(),
        })
    }

    /// Writes one event. Nobody's report depends on an event that did not reach the disk.
    pub fn emit(&mut self, what: What) -> io::Result<()> {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = RunEvent { at_ms, what };
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        // One write for each line: a kill leaves at most one cut line, the last.
        self.file.write_all(&line)?;
        (self.onlooker)(&event);
        // Newer counters of a machine replace older ones: a long run stays small in memory.
        match self.events.last_mut() {
            Some(last) if same_counters(&last.what, &event.what) => *last = event,
            _ => self.events.push(event),
        }
        Ok(())
    }

    /// What the events so far come to.
    pub fn report(&self) -> RunReport {
        RunReport::fold(self.events.iter().cloned())
    }
}

fn same_counters(old: &What, new: &What) -> bool {
    match (old, new) {
        (
            What::Exposure { cell, boot, .. },
            What::Exposure { cell: new_cell, boot: new_boot, .. },
        ) => cell == new_cell && boot == new_boot,
        _ => false,
    }
}
