// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work trees: where one configuration of one source is built again and again.
//!
//! ```text
//! work/KEY/source/         hard links to the pristine tree, but for what the series touches;
//!                          copies, if the pristine tree is the user's own
//! work/KEY/build/          make's O= folder
//! work/KEY/sparse/         the same for what sparse is asked about; it goes when a make was killed
//! work/KEY/source.json     what the pristine tree is, if it is a package's
//! work/KEY/differs.json    files of source/ that may differ from the pristine tree
//! work/KEY/base.json       the pristine tree's listing, if it has one
//! work/KEY/making          there while make runs, with the machine's boot id; tells of a killed make
//! work/KEY/build.log       what the last make said
//! work/KEY/tmp/            the compilers' temporary files
//! ```
//!
//! A file is replaced, never written to: its inode may be the pristine tree's. Only
//! files whose contents change are replaced, and they become new files, so make sees by
//! their times exactly what to compile again, also when a series is taken off.
//! `differs.json` is written before anything is replaced: whatever a killed process left,
//! the next one puts right, since it compares each of those files with what it should be.
//! When the pristine tree is in another state than last time, what the listings do not have
//! in common is replaced in the same way.

mod repair;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::lock::FileLock;
use host::process::Command;
use host::store::{Key, Store, remove_tree};

use crate::error::KernelError;
use crate::listing::{Listing, fingerprint};
use crate::pristine::{Pristine, copy_file};
use crate::progress::{OnProgress, Progress};
use crate::series::{self, Series};
use crate::stored::IDENTITY;

/// How long a make that is to stop may take to remove what it did not finish.
const GRACE: Duration = Duration::from_secs(10);
/// Exit codes above this one are signals that killed a program, as shells count them.
const KILLED: i32 = 128;
/// Changes with each start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A work tree that nobody else uses meanwhile.
#[derive(Debug)]
pub(crate) struct WorkTree {
    store: Store,
    root: PathBuf,
    lock: FileLock,
    /// True if the last make here did not end by itself.
    cut_short: bool,
}

impl WorkTree {
    /// Locks the tree named `key`, waiting for others; it may not exist yet.
    pub(crate) async fn open(
        store: &Store,
        key: &Key,
        progress: OnProgress<'_>,
    ) -> Result<Self, KernelError> {
        let waiting = || progress(Progress::Waiting("a kernel in the same work tree"));
        let lock = store.lock(&format!("work-{key}"), waiting).await?;
        let root = store.path("work").join(key.as_str());
        let bad = |c: char| c.is_whitespace() || c == ':';
        if root.to_str().is_none_or(|path| path.contains(bad)) {
            return Err(KernelError::Request(format!(
                "the kernel cannot be built below {}: its Makefile refuses spaces and colons\n  hint: choose another folder with SWAPSTORM_CACHE",
                store.root().display()
            )));
        }
        let mut tree = Self { store: store.clone(), root, lock, cut_short: false };
        tree.cut_short = tree.io(|| {
            fs_err::create_dir_all(tree.build())?;
            let cut_short = tree.repair_build()?;
            // Killed compilers leave files there that nobody else would remove.
            remove_tree(&tree.temporary())?;
            fs_err::create_dir(tree.temporary())?;
            Ok(cut_short)
        })?;
        Ok(tree)
    }

    /// True if the build folder holds a part of a build, which another make goes on with.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub(crate) fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Where files are compiled that sparse is asked about.
    pub(crate) fn sparse(&self) -> PathBuf {
        self.root.join("sparse")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where the files of a series' base may lie meanwhile.
    pub(crate) fn base_files(&self) -> PathBuf {
        self.root.join("base")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("build.log")
    }

    /// Runs file operations; their errors are the store's.
    pub(crate) fn io<T>(&self, work: impl FnOnce() -> io::Result<T>) -> Result<T, KernelError> {
        work().map_err(|error| self.store.error(error).into())
    }

    /// Makes `source/` the pristine tree with the series applied. If the series does not
    /// fit, nothing changes.
    pub(crate) async fn apply(
        &self,
        pristine: &Pristine,
        series: Option<&Series>,
    ) -> Result<(), KernelError> {
        self.apply_by(pristine, series, None).await
    }

    /// Like [`WorkTree::apply`], with the series merged from its base. `base` holds the files
    /// that it touches as they are there.
    pub(crate) async fn merge(
        &self,
        pristine: &Pristine,
        series: &Series,
        base: &Path,
    ) -> Result<(), KernelError> {
        self.apply_by(pristine, Some(series), Some(base)).await
    }

    async fn apply_by(
        &self,
        pristine: &Pristine,
        series: Option<&Series>,
        base: Option<&Path>,
    ) -> Result<(), KernelError> {
        let stage = self.root.join("stage");
        self.io(|| {
            remove_tree(&stage)?;
            fs_err::create_dir(&stage)
        })?;
        let touched: BTreeSet<String> =
            series.iter().flat_map(|series| series.files()).map(str::to_owned).collect();
        match (series, base) {
            (Some(series), None) => {
                series::stage(series, &pristine.dir, &stage, &self.store).await?;
            }
            (Some(series), Some(base)) => {
                let theirs = self.root.join("theirs");
                let merged =
                    series::merge(series, base, &pristine.dir, &stage, &theirs, &self.store);
                merged.await?;
            }
            (None, _) => {}
        }
        self.lay_out(pristine).await?;
        let settled = self.io(|| {
            let mut differs = self.differs()?;
            differs.extend(touched.iter().cloned());
            if let Some(listing) = &pristine.listing {
                let base = self.base()?;
                differs.extend(listing.changes(&base));
                self.write_differs(&differs)?;
                if base != *listing {
                    self.write_base(listing)?;
                }
            } else {
                self.write_differs(&differs)?;
            }
            let wanted = |file: &String| {
                if touched.contains(file) { Some(stage.join(file)) } else { pristine.file(file) }
            };
            replace(&differs, wanted, &self.source(), &stage.join(".replacement"))?;
            for file in &differs {
                let unpatched = if touched.contains(file) { &pristine.dir } else { &self.source() };
                if !pristine.matches(file, &unpatched.join(file))? {
                    return Ok(false);
                }
            }
            self.write_differs(&touched)?;
            remove_tree(&stage)?;
            Ok(true)
        })?;
        // What was read of it is in the journal, so the next one reads it again.
        if settled { Ok(()) } else { Err(pristine.changed()) }
    }

    /// Makes the links or copies, if they are not there yet, or if nobody knows any more
    /// where they differ from the pristine tree.
    async fn lay_out(&self, pristine: &Pristine) -> Result<(), KernelError> {
        let known = self.differs().is_ok() && (pristine.listing.is_none() || self.base().is_ok());
        if self.source().is_dir() && known {
            return Ok(());
        }
        let fresh = self.root.join("source.new");
        self.io(|| {
            remove_tree(&fresh)?;
            remove_tree(&self.source())?;
            // Objects of a tree that is no more would look newer than its files.
            remove_tree(&self.build())?;
            remove_tree(&self.sparse())?;
            fs_err::create_dir(self.build())?;
            self.write_differs(&BTreeSet::new())?;
            pristine.listing.as_ref().map_or(Ok(()), |listing| self.write_base(listing))
        })?;
        pristine.copy_to(&fresh, &self.store).await?;
        self.io(|| {
            // So that the tree of a version that is not built any more is known for one.
            let identity = pristine.dir.with_file_name(IDENTITY);
            if pristine.kept && identity.is_file() {
                fs_err::copy(identity, self.root.join(IDENTITY))?;
            }
            fs_err::rename(&fresh, self.source())
        })
    }

    fn base(&self) -> io::Result<Listing> {
        Ok(serde_json::from_slice(&fs_err::read(self.root.join("base.json"))?)?)
    }

    fn write_base(&self, listing: &Listing) -> io::Result<()> {
        write_whole(&self.root.join("base.json"), &serde_json::to_vec(listing)?)
    }

    fn differs(&self) -> io::Result<BTreeSet<String>> {
        Ok(serde_json::from_slice(&fs_err::read(self.root.join("differs.json"))?)?)
    }

    fn write_differs(&self, files: &BTreeSet<String>) -> io::Result<()> {
        write_whole(&self.root.join("differs.json"), &serde_json::to_vec(files)?)
    }

    /// Runs make (or a script that writes to the build folder), line by line. When the future is
    /// dropped, or this program ends, make is asked to stop, and the tree stays locked until it has.
    pub(crate) async fn run(
        &self,
        command: Command,
        each: impl FnMut(&[u8]),
    ) -> Result<i32, KernelError> {
        self.io(|| fs_err::write(self.making(), boot_id().unwrap_or_default()))?;
        let code = command.stopped_kindly(GRACE, &self.lock).each_line(each).await?;
        // A make that ended by itself has removed what it did not finish.
        if code <= KILLED {
            self.io(|| remove_tree(&self.making()))?;
        }
        Ok(code)
    }

    fn making(&self) -> PathBuf {
        self.root.join("making")
    }

    /// Removes what a killed make may have torn. True if there was one.
    fn repair_build(&self) -> io::Result<bool> {
        let began = match fs_err::metadata(self.making()) {
            Ok(meta) => meta.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let booted = fs_err::read_to_string(self.making())?;
        let went_down = booted.is_empty() || boot_id().is_none_or(|now| now != booted);
        // What lies there is made again in less time than it takes to find what is torn.
        remove_tree(&self.sparse())?;
        repair::repair(&self.build(), began, went_down)?;
        remove_tree(&self.making())?;
        Ok(true)
    }
}

fn boot_id() -> Option<String> {
    fs_err::read_to_string(BOOT_ID).ok()
}

/// Makes each of the files below `tree` a fresh copy of the one that `wanted` names, or absent
/// if that is absent; leaves it alone if it is the same already. `scratch` is a free name on
/// the same file system.
fn replace(
    files: &BTreeSet<String>,
    wanted: impl Fn(&String) -> Option<PathBuf>,
    tree: &Path,
    scratch: &Path,
) -> io::Result<()> {
    let mut copies = Vec::new();
    for file in files {
        let (from, to) = (wanted(file), tree.join(file));
        let mark = from.as_deref().map_or(Ok(None), fingerprint)?;
        if mark == fingerprint(&to)? {
            continue;
        }
        match from.filter(|_| mark.is_some()) {
            Some(from) => copies.push((from, to)),
            None => remove_with_folders(&to, tree)?,
        }
    }
    // Files may come where there were folders, and the other way round: all of the old ones
    // are gone by now.
    for (from, to) in copies {
        remove_tree(scratch)?;
        copy_file(&from, scratch)?;
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::rename(scratch, to)?;
    }
    Ok(())
}

/// Removes a file, and the folders below `tree` that are empty without it.
pub(crate) fn remove_with_folders(file: &Path, tree: &Path) -> io::Result<()> {
    fs_err::remove_file(file)?;
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != tree) {
        match fs_err::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => break,
            other => other?,
        }
    }
    Ok(())
}

/// Writes a file so that others, and a later self, see all of it or the old one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests;
