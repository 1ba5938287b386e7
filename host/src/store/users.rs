// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who uses what: `ROOT/v1/users/`, a file for each running process.
//!
//! A process holds the lock of its file as long as it runs, and writes into it the name of each
//! thing before it looks for it. So a lock that can be taken tells of a process that has ended,
//! and all others of what must stay.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::lock::FileLock;

/// The file of this process.
#[derive(Debug, Default)]
pub(super) struct User {
    file: Option<(fs_err::File, FileLock)>,
    named: BTreeSet<String>,
}

impl User {
    /// Says that this process uses the thing from now on.
    pub(super) fn uses(&mut self, users: &Path, name: &str) -> io::Result<()> {
        if !self.named.contains(name) {
            let (file, _) = match &mut self.file {
                Some(file) => file,
                empty => empty.insert(enter(users)?),
            };
            // One write: whoever reads sees the whole line or none.
            file.write_all(format!("{name}\n").as_bytes())?;
            self.named.insert(name.to_owned());
        }
        Ok(())
    }
}

/// Makes a file with a new name and locks it. Until it is locked, its name is one that nobody
/// takes for that of a process that has ended.
fn enter(users: &Path) -> io::Result<(fs_err::File, FileLock)> {
    fs_err::create_dir_all(users)?;
    let file = tempfile::Builder::new().prefix(".").tempfile_in(users)?;
    let Some(lock) = FileLock::try_take(file.path())? else {
        return Err(io::Error::other("a new file is locked"));
    };
    let path = file.into_temp_path().keep().map_err(|error| error.error)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let entered = users.join(format!("{}{name}", std::process::id()));
    fs_err::rename(&path, &entered)?;
    Ok((fs_err::OpenOptions::new().append(true).open(entered)?, lock))
}

/// What running processes use. The files of those that have ended are removed.
pub(super) fn used(users: &Path) -> io::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    let entries = match std::fs::read_dir(users) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(used),
        entries => entries?,
    };
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if let Some(_ended) = FileLock::try_take(&path)? {
            super::remove_tree(&path)?;
        } else {
            used.extend(fs_err::read_to_string(&path)?.lines().map(str::to_owned));
        }
    }
    Ok(used)
}
