// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds what a make that was killed may have torn, by what kbuild itself writes down.
//!
//! A make that is asked to stop removes what it did not finish. One that was killed leaves files
//! that look finished to the next one. Of those written since it began, these are kept:
//!
//! * *Recorded*: `X` with a whole `.X.cmd` that is not older. kbuild writes it after the command
//!   that made `X` has succeeded (`if_changed` and its like in `scripts/Kbuild.include`; the
//!   last line of `scripts/basic/fixdep.c` tells a whole one from a torn one). Recipes go on
//!   behind it for some milliseconds, to check or to append, so what was recorded
//!   in the last [`UNSETTLED`] seconds is not kept.
//! * *Used*: what a recorded file was made from, by the list in its `.cmd`, and what is not newer than
//!   that file: make does not begin a recipe before those of its prerequisites have ended.
//! * *Prepared*: what lies where the `prepare` target of the top Makefile writes, and is not newer
//!   than a recorded object of a folder that is entered after it. Some of it has no `.cmd`.
//! * `include/config/`: conf and filechk write there by renaming, or empty files whose times alone
//!   count. Without those an object would not follow its option.
//! * `.config`, which is compared with a hash before it is used.
//!
//! Everything else goes, finished or not, above all what the top folder holds: a link writes several
//! files there, and make knows only one of them.
//!
//! None of this holds after a power cut, when files that were written may be empty: then
//! everything goes that was written since make began.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long before the last file of all a record must have been written for its recipe to have ended.
const UNSETTLED: Duration = Duration::from_secs(5);

/// Folders that make enters after `prepare` has ended.
const AFTER_PREPARE: [&str; 5] = ["init/", "kernel/", "mm/", "fs/", "drivers/"];

/// Makes `build` fit for the next make, after one that began at `began` was killed.
/// `went_down`: the machine did, too.
pub(super) fn repair(build: &Path, began: SystemTime, went_down: bool) -> io::Result<()> {
    let mut written = HashMap::new();
    files_since(build, Path::new(""), began, &mut written)?;
    let finished = if went_down { Finished::default() } else { Finished::of(build, &written)? };
    for (file, time) in &written {
        let target = target_of(file);
        // A record goes where its file goes. A file that was not written since is whole.
        let (file_or_target, time) = match &target {
            Some(target) => (target, written.get(target).unwrap_or(time)),
            None => (file, time),
        };
        if !finished.holds(file_or_target, *time) {
            fs_err::remove_file(build.join(file))?;
        }
    }
    Ok(())
}

/// What is surely finished. Paths are below the build folder.
#[derive(Default)]
struct Finished {
    /// By their own records.
    recorded: HashMap<PathBuf, SystemTime>,
    /// By those of the last file that was made from them.
    used: HashMap<PathBuf, SystemTime>,
    /// When the last object was written that needs `prepare` to have ended.
    prepared: Option<SystemTime>,
    /// True if the files that are safe at any time are.
    moved: bool,
}

impl Finished {
    fn of(build: &Path, written: &HashMap<PathBuf, SystemTime>) -> io::Result<Self> {
        let mut finished = Self { moved: true, ..Self::default() };
        let last = written.values().max().copied().unwrap_or(SystemTime::UNIX_EPOCH);
        let settled = last.checked_sub(UNSETTLED).unwrap_or(SystemTime::UNIX_EPOCH);
        for (record, recorded) in written {
            let Some(target) = target_of(record) else { continue };
            // Some host tools have records of another kind, and all of them are prepared.
            let other = target.starts_with("tools") || target.parent() == Some(Path::new(""));
            let Ok(time) = modified(&build.join(&target)) else { continue };
            if other || *recorded < time {
                continue;
            }
            let text = fs_err::read(build.join(record))?;
            let Some(inputs) = inputs(&String::from_utf8_lossy(&text)) else { continue };
            for input in inputs {
                let input = input.strip_prefix(build).map_or(input.clone(), Path::to_owned);
                let used = finished.used.entry(input).or_insert(time);
                *used = time.max(*used);
            }
            let after_prepare = AFTER_PREPARE.iter().any(|dir| target.starts_with(dir));
            if after_prepare && target.extension().is_some_and(|extension| extension == "o") {
                finished.prepared = finished.prepared.max(Some(time));
            }
            if *recorded <= settled {
                finished.recorded.insert(target, *recorded);
            }
        }
        Ok(finished)
    }

    /// True if `file`, written at `time`, is whole.
    fn holds(&self, file: &Path, time: SystemTime) -> bool {
        let until = |limit: Option<&SystemTime>| limit.is_some_and(|limit| time <= *limit);
        until(self.recorded.get(file))
            || until(self.used.get(file))
            || (is_prepared(file) && until(self.prepared.as_ref()))
            || (self.moved && is_moved(file))
    }
}

/// True for what only `prepare`, and what it needs, writes.
fn is_prepared(file: &Path) -> bool {
    let mut parts = file.iter().filter_map(|part| part.to_str());
    match parts.next() {
        Some("scripts" | "tools" | "include") => true,
        Some("arch") => matches!(parts.nth(1), Some("tools" | "include")),
        _ => false,
    }
}

/// True for what is whole at any time.
fn is_moved(file: &Path) -> bool {
    let temporary = file.extension().is_some_and(|extension| extension == "tmp");
    let autoconf = file == Path::new("include/generated/autoconf.h");
    file == Path::new(".config") || (!temporary && (file.starts_with("include/config") || autoconf))
}

/// The file whose record this is: `mm/zswap.o` for `mm/.zswap.o.cmd`.
fn target_of(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".cmd")?;
    Some(file.with_file_name(name))
}

/// What a target was made from, by its record; nothing if that is torn. A record without a list
/// is whole if its line is.
fn inputs(record: &str) -> Option<Vec<PathBuf>> {
    let (command, rest) = record.split_once('\n')?;
    if !(command.starts_with("cmd_") || command.starts_with("savedcmd_")) {
        return None;
    }
    // The compiler was asked for a list, so there must be one, up to its last line.
    let listed = ["-Wp,-M", "--emit=dep-info"].iter().any(|flag| command.contains(flag));
    let end = |line: &str| line.starts_with("$(deps_") && line.ends_with("):");
    if (listed || !rest.is_empty()) && !rest.lines().any(end) || !record.ends_with('\n') {
        return None;
    }
    let words = rest.split_whitespace().filter(|word| !word.starts_with("$("));
    let path = |word: &str| {
        let path = word.trim_end_matches(')');
        PathBuf::from(path.strip_prefix("./").unwrap_or(path))
    };
    Some(words.map(path).collect())
}

fn modified(file: &Path) -> io::Result<SystemTime> {
    fs_err::symlink_metadata(file)?.modified()
}

/// Collects the files of `build`, at `below` and deeper, that were written at `time` or later.
fn files_since(
    build: &Path,
    below: &Path,
    time: SystemTime,
    found: &mut HashMap<PathBuf, SystemTime>,
) -> io::Result<()> {
    for entry in fs_err::read_dir(build.join(below))? {
        let entry = entry?;
        let (meta, path) = (entry.metadata()?, below.join(entry.file_name()));
        if meta.is_dir() {
            files_since(build, &path, time, found)?;
        } else if meta.is_file() && meta.modified()? >= time {
            found.insert(path, meta.modified()?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
