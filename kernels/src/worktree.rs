// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work trees: where one configuration of one source is built again and again.
//!
//! ```text
//! work/KEY/source/         hard links to the pristine tree, but for what the series touches
//! work/KEY/build/          make's O= folder
//! work/KEY/differs.json    files of source/ that may differ from the pristine tree
//! work/KEY/making          there while make runs; what it leaves tells of a killed make
//! work/KEY/build.log       what the last make said
//! work/KEY/tmp/            the compilers' temporary files
//! ```
//!
//! A file is replaced, never written to: its inode may be the pristine tree's. Only
//! files whose contents change are replaced, and they become new files, so make sees by
//! their times exactly what to compile again, also when a series is taken off.
//! `differs.json` is written before anything is replaced: whatever a killed process left,
//! the next one puts right, since it compares each of those files with what it should be.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::lock::FileLock;
use host::process::{Command, ProcessError};
use host::store::{Key, Store, remove_tree};

use crate::error::KernelError;
use crate::progress::OnProgress;
use crate::progress::Progress;
use crate::series::{self, Series};

/// A work tree that nobody else uses meanwhile.
#[derive(Debug)]
pub(crate) struct WorkTree {
    store: Store,
    root: PathBuf,
    _lock: FileLock,
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
        let tree = Self { store: store.clone(), root, _lock: lock };
        tree.io(|| {
            fs_err::create_dir_all(tree.build())?;
            tree.repair_build()?;
            // Killed compilers leave files there that nobody else would remove.
            remove_tree(&tree.temporary())?;
            fs_err::create_dir(tree.temporary())
        })?;
        Ok(tree)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub(crate) fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
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
        pristine: &Path,
        series: Option<&Series>,
    ) -> Result<(), KernelError> {
        let stage = self.root.join("stage");
        self.io(|| {
            remove_tree(&stage)?;
            fs_err::create_dir(&stage)
        })?;
        if let Some(series) = series {
            series::stage(series, pristine, &stage, &self.store).await?;
        }
        self.lay_out(pristine).await?;
        let touched: BTreeSet<String> =
            series.iter().flat_map(|series| series.files()).map(str::to_owned).collect();
        self.io(|| {
            let mut differs = self.differs()?;
            differs.extend(touched.iter().cloned());
            self.write_differs(&differs)?;
            for file in &differs {
                let from = if touched.contains(file) { &stage } else { pristine };
                replace(&from.join(file), &self.source().join(file), &stage.join(".replacement"))?;
            }
            self.write_differs(&touched)?;
            remove_tree(&stage)
        })
    }

    /// Makes the hard links, if they are not there yet, or if nobody knows any more
    /// where they differ from the pristine tree.
    async fn lay_out(&self, pristine: &Path) -> Result<(), KernelError> {
        if self.source().is_dir() && self.differs().is_ok() {
            return Ok(());
        }
        let fresh = self.root.join("source.new");
        self.io(|| {
            remove_tree(&fresh)?;
            remove_tree(&self.source())?;
            // Objects of a tree that is no more would look newer than its files.
            remove_tree(&self.build())?;
            fs_err::create_dir(self.build())?;
            self.write_differs(&BTreeSet::new())
        })?;
        let copy = Command::new("cp").arg("-al").arg("--").arg(pristine).arg(&fresh);
        match copy.env("LC_ALL", "C").success().await {
            Ok(_) => self.io(|| fs_err::rename(&fresh, self.source())),
            Err(ProcessError::Failed { stderr, .. }) if stderr.contains("No space left") => {
                Err(self.store.full().into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn differs(&self) -> io::Result<BTreeSet<String>> {
        Ok(serde_json::from_slice(&fs_err::read(self.root.join("differs.json"))?)?)
    }

    fn write_differs(&self, files: &BTreeSet<String>) -> io::Result<()> {
        write_whole(&self.root.join("differs.json"), &serde_json::to_vec(files)?)
    }

    /// Runs make (or a script that writes to the build folder), line by line.
    pub(crate) async fn run(
        &self,
        command: Command,
        each: impl FnMut(&[u8]),
    ) -> Result<i32, KernelError> {
        self.io(|| fs_err::write(self.making(), ""))?;
        let code = command.each_line(each).await?;
        // A make that ended by itself has removed what it did not finish.
        self.io(|| remove_tree(&self.making()))?;
        Ok(code)
    }

    fn making(&self) -> PathBuf {
        self.root.join("making")
    }

    /// Removes what a killed make wrote: its last files may be torn and yet look done.
    fn repair_build(&self) -> io::Result<()> {
        let began = match fs_err::metadata(self.making()) {
            Ok(meta) => meta.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        remove_since(&self.build(), began)?;
        remove_tree(&self.making())
    }
}

/// Removes files below `dir` that were written at `time` or later.
fn remove_since(dir: &Path, time: SystemTime) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            remove_since(&entry.path(), time)?;
        } else if meta.is_file() && meta.modified()? >= time {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes `to` a fresh copy of `from`, or absent if that is absent; leaves it alone if it
/// is the same already. `scratch` is a free name on the same file system.
fn replace(from: &Path, to: &Path, scratch: &Path) -> io::Result<()> {
    let read = |path: &Path| match fs_err::read(path) {
        Ok(bytes) => {
            let mode = fs_err::metadata(path)?.permissions().mode();
            Ok(Some((bytes, mode & 0o100)))
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let wanted = read(from)?;
    if wanted == read(to)? {
        return Ok(());
    }
    if wanted.is_none() {
        return fs_err::remove_file(to);
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    remove_tree(scratch)?;
    fs_err::copy(from, scratch)?;
    fs_err::rename(scratch, to)
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
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
        store: Store,
        key: Key,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(dir.path().join("store/pristine/mm")).unwrap();
            for (file, text) in [("mm/a.c", "a\n"), ("mm/b.c", "b\n"), ("other.c", "o\n")] {
                fs_err::write(dir.path().join("store/pristine").join(file), text).unwrap();
            }
            let store = Store::open(dir.path().join("store")).unwrap();
            Self { dir, store, key: host::store::KeyHasher::new("t", 1).finish() }
        }

        fn pristine(&self) -> PathBuf {
            self.dir.path().join("store/pristine")
        }

        async fn open(&self) -> WorkTree {
            WorkTree::open(&self.store, &self.key, &|_| {}).await.unwrap()
        }

        fn series(&self, diffs: &[&str]) -> Series {
            let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
            let path = dir.path().join("s.patch");
            fs_err::write(&path, diffs.concat()).unwrap();
            crate::Library::default().series(path.to_str().unwrap()).unwrap()
        }
    }

    const A: &str = "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-a\n+patched\n";
    const B: &str = "--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1 @@\n-b\n+patched\n";
    const NEW: &str = "--- /dev/null\n+++ b/new/n.c\n@@ -0,0 +1 @@\n+new\n";

    fn read(tree: &WorkTree, file: &str) -> String {
        fs_err::read_to_string(tree.source().join(file)).unwrap()
    }

    #[tokio::test]
    async fn a_series_comes_and_goes_and_touches_only_its_files() {
        let fixture = Fixture::new();
        let tree = fixture.open().await;
        let (ab, a) = (fixture.series(&[A, B, NEW]), fixture.series(&[A]));
        let inode = |file: &str| fs_err::metadata(tree.source().join(file)).unwrap().ino();
        tree.apply(&fixture.pristine(), None).await.unwrap();
        let before = (inode("mm/a.c"), inode("other.c"));
        tree.apply(&fixture.pristine(), Some(&ab)).await.unwrap();
        assert_eq!(
            (read(&tree, "mm/a.c"), read(&tree, "new/n.c")),
            ("patched\n".into(), "new\n".into())
        );
        assert_ne!(inode("mm/a.c"), before.0, "the pristine inode is not written to");
        assert_eq!(inode("other.c"), before.1);
        let patched = inode("mm/a.c");
        tree.apply(&fixture.pristine(), Some(&a)).await.unwrap();
        assert_eq!(inode("mm/a.c"), patched, "what stays the same is not compiled again");
        assert_eq!(read(&tree, "mm/b.c"), "b\n");
        assert!(!tree.source().join("new/n.c").exists());
        tree.apply(&fixture.pristine(), None).await.unwrap();
        assert_eq!(read(&tree, "mm/a.c"), "a\n");
        let now = fs_err::metadata(tree.source().join("mm/a.c")).unwrap();
        let pristine = fs_err::metadata(fixture.pristine().join("mm/a.c")).unwrap();
        assert!(now.modified().unwrap() > pristine.modified().unwrap(), "make sees the way back");
        assert_eq!(fs_err::read_to_string(fixture.pristine().join("mm/a.c")).unwrap(), "a\n");
    }

    #[tokio::test]
    async fn a_series_that_does_not_fit_changes_nothing() {
        let fixture = Fixture::new();
        let tree = fixture.open().await;
        tree.apply(&fixture.pristine(), Some(&fixture.series(&[A]))).await.unwrap();
        let misfit = fixture.series(&[A, &B.replace("-b", "-c")]);
        let error = tree.apply(&fixture.pristine(), Some(&misfit)).await.unwrap_err();
        assert!(matches!(error, KernelError::Conflict(_)));
        assert_eq!(
            (read(&tree, "mm/a.c"), read(&tree, "mm/b.c")),
            ("patched\n".into(), "b\n".into())
        );
    }

    #[tokio::test]
    async fn what_a_kill_between_two_files_left_is_put_right() {
        let fixture = Fixture::new();
        let tree = fixture.open().await;
        tree.apply(&fixture.pristine(), None).await.unwrap();
        // The state of a process killed after the journal and one of two files.
        let both = ["mm/a.c", "mm/b.c"].map(str::to_owned);
        tree.write_differs(&both.into()).unwrap();
        fs_err::remove_file(tree.source().join("mm/a.c")).unwrap();
        fs_err::write(tree.source().join("mm/a.c"), "patched\n").unwrap();
        fs_err::create_dir(tree.root.join("source.new")).unwrap();
        drop(tree);
        let tree = fixture.open().await;
        tree.apply(&fixture.pristine(), None).await.unwrap();
        assert_eq!((read(&tree, "mm/a.c"), read(&tree, "mm/b.c")), ("a\n".into(), "b\n".into()));
    }

    #[tokio::test]
    async fn what_a_killed_make_wrote_is_removed_and_the_rest_kept() {
        let fixture = Fixture::new();
        let tree = fixture.open().await;
        let (old, torn) = (tree.build().join("old.o"), tree.build().join("torn.o"));
        fs_err::write(&old, "whole").unwrap();
        let past = SystemTime::now() - std::time::Duration::from_secs(60);
        fs_err::File::open(&old).unwrap().file().set_modified(past).unwrap();
        let script = format!("echo half > {}; echo ready; exec sleep 1000", torn.display());
        let make = Command::new("sh").args(["-c", &script]);
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let running = tree.run(make, |_| {
            if let Some(ready) = ready.take() {
                ready.send(()).unwrap();
            }
        });
        tokio::select! {
            _ = running => panic!("it should run until it is killed"),
            _ = is_ready => {}
        }
        drop(tree);
        let tree = fixture.open().await;
        assert!(!torn.exists() && old.exists());
        // The control: a make that ends by itself loses nothing, even when it fails.
        let script = format!("echo whole > {}; exit 2", torn.display());
        let code = tree.run(Command::new("sh").args(["-c", &script]), |_| {}).await.unwrap();
        drop(tree);
        fixture.open().await;
        assert!(code == 2 && torn.exists());
    }
}
