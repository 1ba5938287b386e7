// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of history: a line for each run, written under a lock on the file itself.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use host::lock::FileLock;
use reports::escape::printable;
use reports::event::Fault;
use reports::history::{Ledger, LedgerReader, Night, Run, read};
use reports::run::RunReport;

use crate::baselines::{append_line, in_pieces};
use crate::error::Error;

/// A file of history.
#[derive(Debug, Clone)]
pub struct HistoryFile {
    /// Where it is; it need not be there.
    pub path: PathBuf,
}

/// What became of runs that were to be recorded, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Those that are in the file now.
    pub new: Vec<String>,
    /// Those that were there already.
    pub known: Vec<String>,
    /// Those that have not come to their end, and are not recorded.
    pub unfinished: Vec<String>,
}

/// What became of the lines of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs that are kept.
    pub kept: usize,
    /// Runs that were removed for their age.
    pub removed: usize,
    /// Runs that were there twice, of which one is kept.
    pub twice: usize,
    /// Lines that could not be used, and stay.
    pub damaged: usize,
}

/// Appends the runs of a report that have come to their end to the file at `path`, or leaves it as it is if they are there. Whoever
/// else writes to it is waited for.
///
/// # Errors
/// Those of reading and writing, and of a run that cannot be a line. Then nothing was written.
pub async fn record(report: &RunReport, path: &Path) -> Result<Recorded, Error> {
    HistoryFile::at(Some(path))?.record(&[report], || ()).await
}

impl HistoryFile {
    /// The file that was named, or the user's own: `swapstorm/history.jsonl` below `XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    /// Nothing says where it is.
    pub fn at(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) => std::path::absolute(path)?,
            None => crate::folders::of_user("XDG_DATA_HOME", ".local/share")
                .ok_or_else(|| {
                    let words = "neither an option nor HOME says where the history is";
                    Error::new(Fault::Configuration, words)
                })?
                .join("history.jsonl"),
        };
        Ok(Self { path })
    }

    /// What it holds. A file that is not there holds nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&self) -> Result<Ledger, Error> {
        match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ledger::default()),
            Err(error) => Err(error.into()),
            Ok(mut file) => Ok(ledger(&mut file)?),
        }
    }

    /// Appends the runs of these reports that have come to their end and are not there. `waiting` is called if somebody else writes
    /// just now.
    ///
    /// # Errors
    /// As of [`record`].
    pub async fn record(
        &self,
        reports: &[&RunReport],
        waiting: impl FnMut(),
    ) -> Result<Recorded, Error> {
        let mut recorded = Recorded::default();
        let mut runs = Vec::new();
        for report in reports {
            let (ended, others): (Vec<_>, Vec<_>) =
                report.runs.iter().partition(|run| run.finished);
            runs.extend(ended.into_iter().map(|run| Run::of(report, run)));
            recorded.unfinished.extend(others.iter().map(|run| run.id.to_string()));
        }
        let mut lines = Vec::new();
        for run in &runs {
            lines.push(run.line().map_err(|why| {
                let id = printable(&run.run);
                let hint = "hint: `swapstorm report` says what its log holds";
                let words = format!("the run {id} cannot be recorded: {why}\n  {hint}");
                Error::new(Fault::Configuration, words)
            })?);
        }
        if runs.is_empty() {
            return Ok(recorded);
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let _lock = self.lock(waiting).await?;
        let mut file = fs::OpenOptions::new().read(true).append(true).open(&self.path)?;
        let mut known = ledger(&mut file)?;
        if known.is_cut {
            let words = format!(
                "{}: it is too large\n  hint: shorten it with `swapstorm history prune`",
                self.path.display()
            );
            return Err(Error::new(Fault::Configuration, words));
        }
        let mut text = String::new();
        for (run, line) in runs.into_iter().zip(lines) {
            let id = run.run.to_string();
            if known.add(run) {
                text.push_str(&line);
                recorded.new.push(id);
            } else {
                recorded.known.push(id);
            }
        }
        if !text.is_empty() {
            append_line(&mut file, &text)?;
            file.sync_data()?;
        }
        Ok(recorded)
    }

    /// Removes the runs of nights before this one, and those that are there twice. What cannot be read stays. The new file takes the old one's place
    /// in one step, or the old one stays as it is.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub async fn prune(&self, before: Night, waiting: impl FnMut()) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        // Where it is a link, what the link leads to is replaced.
        let path = match fs::canonicalize(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pruned),
            path => path?,
        };
        let own = Self { path };
        let _lock = own.lock(waiting).await?;
        let file = fs::File::open(&own.path)?;
        let permissions = file.metadata()?.permissions();
        let dir = own.path.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::Builder::new().prefix(".history-").tempfile_in(dir)?;
        let (mut lines, mut line, mut seen) = (BufReader::new(file), Vec::new(), HashSet::new());
        while lines.read_until(b'\n', &mut line)? > 0 {
            let keeps = match read(line.strip_suffix(b"\n").unwrap_or(&line)) {
                Ok(Some(reading)) if reading.night < before => {
                    pruned.removed += 1;
                    false
                }
                Ok(Some(reading)) => {
                    let is_first = seen.insert(reading.run.run);
                    let count = if is_first { &mut pruned.kept } else { &mut pruned.twice };
                    *count += 1;
                    is_first
                }
                Ok(None) => false,
                Err(_) => {
                    pruned.damaged += 1;
                    true
                }
            };
            if keeps {
                new.write_all(&line)?;
            }
            line.clear();
        }
        if pruned.removed + pruned.twice > 0 {
            new.as_file().set_permissions(permissions)?;
            new.as_file().sync_all()?;
            new.persist(&own.path).map_err(|error| error.error)?;
        }
        Ok(pruned)
    }

    /// The lock on the file that is at its path.
    async fn lock(&self, mut waiting: impl FnMut()) -> io::Result<FileLock> {
        loop {
            let lock = FileLock::take(&self.path, &mut waiting).await?;
            // Whoever was waited for may have replaced the file.
            if lock.is_at(&self.path)? {
                return Ok(lock);
            }
        }
    }
}

fn ledger(file: &mut fs::File) -> io::Result<Ledger> {
    let mut reader = LedgerReader::default();
    in_pieces(file, |bytes| reader.push(bytes))?;
    Ok(reader.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use reports::run::RunFacts;

    use super::*;

    /// A report of runs that began on these days of January and are called by them, and have come to their end or not.
    fn report(days: &[(u32, bool)]) -> RunReport {
        let run = |(day, finished): &(u32, bool)| RunFacts {
            id: format!("run-{day}").into(),
            started: format!("2026-01-{day:02}T13:00:00Z"),
            finished: *finished,
            ..RunFacts::default()
        };
        let mut report = RunReport::default();
        report.runs = days.iter().map(run).collect();
        report
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[tokio::test]
    async fn runs_that_have_ended_are_recorded_once_behind_whatever_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/history.jsonl");
        let file = HistoryFile { path: path.clone() };
        assert_eq!(file.read().unwrap(), Ledger::default());
        let none = record(&report(&[(1, false)]), &path).await.unwrap();
        assert_eq!((none.unfinished, path.exists()), (ids(&["run-1"]), false));
        let first = record(&report(&[(1, true), (2, false)]), &path).await.unwrap();
        assert_eq!((first.new, first.unfinished), (ids(&["run-1"]), ids(&["run-2"])));
        let whole = fs::read_to_string(&path).unwrap();
        let again = record(&report(&[(1, true)]), &path).await.unwrap();
        assert_eq!((again.new, again.known), (ids(&[]), ids(&["run-1"])));
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        // Behind a line that is cut, each is a line of its own.
        let cut = &whole[..whole.len() / 2];
        fs::write(&path, format!("{whole}{cut}")).unwrap();
        let (one, two) = (report(&[(3, true)]), report(&[(4, true), (3, true)]));
        let both = file.record(&[&one, &two], || ()).await.unwrap();
        assert_eq!((both.new, both.known), (ids(&["run-3", "run-4"]), ids(&["run-3"])));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("{whole}{cut}\n{{")), "{text}");
        let ledger = file.read().unwrap();
        assert_eq!((ledger.runs.len(), ledger.damaged, ledger.problems[0].line), (3, 1, 2));
        // What cannot be a line writes nothing.
        let mut wrong = report(&[(5, true), (6, true)]);
        wrong.runs[1].started = "soon".to_owned();
        let error = record(&wrong, &path).await.unwrap_err().to_string();
        assert!(
            error.starts_with("the run run-6 cannot be recorded: its start is no time\n  hint: "),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[tokio::test]
    async fn pruning_removes_what_is_old_and_nothing_that_it_does_not_understand() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("kept.jsonl"), dir.path().join("history.jsonl"));
        record(&report(&[(1, true), (2, true), (3, true)]), &path).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let newer = lines[0].replacen("\"format\":1", "\"format\":9", 1);
        let cut = &lines[2][..40];
        fs::write(&path, format!("{text}damage\n{newer}\n\n{}\n{cut}", lines[2])).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let file = HistoryFile { path: link.clone() };
        let before = |day: u32| Night::of(&format!("2026-01-{day:02}T13:00:00Z")).unwrap();
        let pruned = file.prune(before(2), || ()).await.unwrap();
        assert_eq!(pruned, Pruned { kept: 2, removed: 1, twice: 1, damaged: 3 });
        let left = format!("{}\n{}\ndamage\n{newer}\n{cut}", lines[1], lines[2]);
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        let pruned = file.prune(before(1), || ()).await.unwrap();
        assert_eq!((pruned.removed, pruned.kept), (0, 2));
        let nowhere = HistoryFile { path: dir.path().join("nowhere") };
        assert_eq!(nowhere.prune(before(1), || ()).await.unwrap(), Pruned::default());
        assert!(!nowhere.path.exists());
    }

    #[tokio::test]
    async fn who_waits_while_the_file_is_replaced_writes_to_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        record(&report(&[(1, true)]), &path).await.unwrap();
        let mut other = FileLock::try_take(&path).unwrap();
        let mut told = 0;
        let waiting = || {
            told += 1;
            let (new, text) = (dir.path().join("new"), fs::read_to_string(&path).unwrap());
            fs::write(&new, text).unwrap();
            fs::rename(&new, &path).unwrap();
            other.take();
        };
        let file = HistoryFile { path: path.clone() };
        let recorded = file.record(&[&report(&[(2, true)])], waiting).await.unwrap();
        assert_eq!((recorded.new, told), (ids(&["run-2"]), 1));
        assert_eq!(file.read().unwrap().runs.len(), 2);
    }
}
