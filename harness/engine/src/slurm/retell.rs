// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an attempt has seen, as the run's own event log tells it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use reports::event::{Fault, What};
use reports::log::{Entry, LogReader};

use crate::event_log::FILE_NAME;
use crate::executor::Failed;
use crate::job::CellJob;
use crate::unit::Context;

/// Tells what an attempt's event log says of its cell.
pub(super) async fn retell(
    attempt: PathBuf,
    job: CellJob,
    host: String,
    context: &Context,
) -> Result<(), Failed> {
    let read = move || events(&attempt, &job, &host);
    let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    for (ago, what) in read.map_err(|error| lost(&error.to_string()))? {
        context.tell_of(what, ago).await;
    }
    Ok(())
}

/// What an attempt's log says of the cell: each event with the time from it to the log's end.
pub(super) fn events(
    attempt: &Path,
    job: &CellJob,
    host: &str,
) -> io::Result<Vec<(Duration, What)>> {
    use io::Read as _;
    let mut log = fs::File::open(attempt.join(FILE_NAME))?;
    let mut reader = LogReader::new();
    let mut buffer = vec![0; 64 << 10];
    let mut events: Vec<(u64, What)> = Vec::new();
    let mut damaged = None;
    let mut end = 0;
    let mut take = |entry: Entry| match entry {
        Entry::Event(event) => {
            end = end.max(event.at_ms);
            events.extend(retold(event.what, job, host).map(|what| (event.at_ms, what)));
        }
        Entry::Problem(problem) if problem.is_damage() => damaged = Some(problem),
        Entry::Problem(_) => {}
    };
    loop {
        let count = log.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        reader.push(&buffer[..count], &mut take);
    }
    reader.finish(&mut take);
    if let Some(problem) = damaged {
        let words = format!("{}: {problem}", attempt.join(FILE_NAME).display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    let ago = |(at, what)| (Duration::from_millis(end - at), what);
    Ok(events.into_iter().map(ago).collect())
}

/// An event of an attempt as it stands in the run's log, if it belongs there.
fn retold(mut what: What, job: &CellJob, host: &str) -> Option<What> {
    let id = &job.cell.id;
    match &mut what {
        // What the attempt has to say of itself is said of its cell.
        What::Notice { cell: cell @ None, .. } => *cell = Some(id.clone()),
        What::VmStarted { host: own, .. } if own.is_empty() => host.clone_into(own),
        _ => {}
    }
    if what.cell() != Some(id) {
        return None;
    }
    if let Some(boot) = what.boot_mut() {
        *boot = boot.saturating_add(job.first_boot - 1);
    }
    // The dispatcher says these itself.
    let is_ours = matches!(what, What::CellPlanned { .. } | What::CellFinished { .. });
    (!is_ours).then_some(what)
}

/// A failure of the cluster's.
pub(super) fn lost(why: &str) -> Failed {
    Failed { fault: Fault::Infrastructure, detail: why.to_owned() }
}
