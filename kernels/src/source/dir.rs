// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel tree of the user's, where it lies. It is read, never written to.
//!
//! Its state is a [`Listing`]: path, kind, mode and contents of its files. Left out is what is
//! no source: hidden files (but for those that kernels have), objects, what editors and patch
//! tools leave, folders that hold a build (a `.config`), and links that lead out of the tree,
//! since what lies there is not part of the state.
//!
//! Hashes of files are remembered by what `stat` says of them. A file that was written in
//! the last moments before it was read is not: it may be written to again without a trace.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::store::KeyHasher;
use serde::{Deserialize, Serialize};

use super::fetcher::Fetcher;
use super::kinds::{Digest, SourceIdentity};
use super::unpack::stays_inside;
use crate::error::{KernelError, SourceError};
use crate::listing::{Listing, absent, fingerprint};
use crate::pristine::Pristine;
use crate::progress::{Progress, Stage};
use crate::text::quote;
use crate::worktree::write_whole;

/// Hidden files that kernels have.
const HIDDEN: [&str; 12] = [
    ".clang-format",
    ".clippy.toml",
    ".cocciconfig",
    ".editorconfig",
    ".get_maintainer.ignore",
    ".gitattributes",
    ".gitignore",
    ".kunitconfig",
    ".mailmap",
    ".pylintrc",
    ".rustfmt.toml",
    ".yamllint",
];
/// Ends of the names of what no kernel has as source.
const PRODUCTS: [&str; 7] = [".o", ".a", ".so", ".ko", ".orig", ".rej", "~"];
/// What a make without `O=` leaves in a tree, as the kernel's Makefile looks for it.
const BUILT: [&str; 3] = [".config", "include/config", "include/generated"];
/// Coarsest times of file systems that matter.
const GRANULE: Duration = Duration::from_secs(2);

/// Files as they were when they were last hashed.
type Memory = BTreeMap<String, Seen>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    stamp: Stamp,
    fingerprint: String,
}

/// What `stat` says: device, inode, mode, size, and the nanoseconds of the last change of
/// contents and of anything.
type Stamp = (u64, u64, u32, u64, i128, i128);

pub(super) async fn identify(
    fetcher: &Fetcher<'_>,
    dir: &Path,
) -> Result<SourceIdentity, KernelError> {
    Ok(identity(dir, &scan(fetcher, dir).await?))
}

fn identity(dir: &Path, listing: &Listing) -> SourceIdentity {
    SourceIdentity {
        package: quote(&dir.to_string_lossy()),
        version: "dir".to_owned(),
        digest: Digest::Blake3(listing.digest()),
    }
}

/// The tree itself, if it still is what `wanted` says.
pub(super) async fn tree(
    fetcher: &Fetcher<'_>,
    dir: &Path,
    wanted: &SourceIdentity,
) -> Result<Pristine, KernelError> {
    let listing = scan(fetcher, dir).await?;
    if identity(dir, &listing) != *wanted {
        return Err(SourceError::Changed { dir: dir.to_owned() }.into());
    }
    Ok(Pristine { dir: dir.to_owned(), listing: Some(listing), kept: false })
}

/// Lists the tree on a thread that may block.
async fn scan(fetcher: &Fetcher<'_>, dir: &Path) -> Result<Listing, KernelError> {
    let fail = |what: String, next_step| {
        KernelError::Source(SourceError::Dir { dir: dir.to_owned(), what, next_step })
    };
    check(dir, fetcher.store.root()).map_err(|(what, next_step)| fail(what, next_step))?;
    let key = KeyHasher::new("dir", 1).field("path", dir.as_os_str().as_encoded_bytes()).finish();
    let memory = fetcher.store.path(format!("dirs/{key}.json"));
    if !memory.exists() {
        (fetcher.progress)(Progress::Stage(Stage::Read));
    }
    let stop = Stop::default();
    let (dir, stopped) = (dir.to_owned(), Arc::clone(&stop.0));
    let scanned = tokio::task::spawn_blocking(move || Scan::run(dir, &memory, &stopped)).await;
    scanned
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| fail(error.to_string(), "make all of it readable for you"))
}

/// Tells a thread to end when nobody waits for it any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What keeps a folder from being a kernel tree, and what to do about it.
fn check(dir: &Path, store: &Path) -> Result<(), (String, &'static str)> {
    if !dir.is_dir() {
        return Err(("there is no such folder".into(), "correct `dir:` in the manifest"));
    }
    if let Some(file) = ["Makefile", "Kconfig"].iter().find(|file| !dir.join(file).is_file()) {
        let what = format!("it holds no kernel source: there is no {file}");
        return Err((what, "name the top folder of a kernel tree in the manifest"));
    }
    let by_arch = fs_err::read_dir(dir.join("arch")).into_iter().flatten().flatten();
    let by_arch = by_arch.map(|arch| arch.path().join("include/generated"));
    let built = BUILT.iter().map(|file| dir.join(file)).chain(by_arch).find(|file| file.exists());
    if let Some(file) = built {
        let file = file.strip_prefix(dir).unwrap_or(&file).display().to_string();
        let next_step = "run `make mrproper` in it, which removes its configuration and objects, and build \
             with O= from now on; or commit, and name it by `git:` instead of `dir:`";
        return Err((format!("it was built in place: {file} is there"), next_step));
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(store).starts_with(real(dir)) {
        let what = format!("the store {} lies within it", store.display());
        return Err((what, "choose another folder with SWAPSTORM_CACHE"));
    }
    Ok(())
}

/// A walk through a tree.
struct Scan<'a> {
    root: PathBuf,
    before: Memory,
    after: Memory,
    listing: Listing,
    /// What changed before has a time that a later change would not have.
    settled: i128,
    stopped: &'a AtomicBool,
}

impl<'a> Scan<'a> {
    fn run(root: PathBuf, memory: &Path, stopped: &'a AtomicBool) -> io::Result<Listing> {
        let mut scan = Self::new(root, memory, stopped);
        let root = scan.root.clone();
        scan.folder(&root)?;
        // Only a memory: if it cannot be written, the files are read again.
        let _ = serde_json::to_vec(&scan.after)
            .map_err(io::Error::from)
            .and_then(|bytes| write_whole(memory, &bytes));
        Ok(scan.listing)
    }

    fn new(root: PathBuf, memory: &Path, stopped: &'a AtomicBool) -> Self {
        let before: Memory = fs_err::read(memory)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let settled = SystemTime::now().checked_sub(GRANULE).unwrap_or(UNIX_EPOCH);
        let settled = settled.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self {
            root,
            before,
            after: Memory::new(),
            listing: Listing::default(),
            settled: i128::try_from(settled).unwrap_or(i128::MAX),
            stopped,
        }
    }

    fn folder(&mut self, dir: &Path) -> io::Result<()> {
        for entry in fs_err::read_dir(dir)? {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match self.entry(dir, &entry?) {
                // It went while we looked, as editors' files do.
                Err(error) if absent(&error) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Path, entry: &fs_err::DirEntry) -> io::Result<()> {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let name = quote(&path.to_string_lossy());
            return Err(io::Error::other(format!("the name of {name} is not UTF-8")));
        };
        if is_left_out(name) {
            return Ok(());
        }
        if kind.is_dir() {
            return if path.join(".config").exists() { Ok(()) } else { self.folder(&path) };
        }
        if kind.is_file()
            || (kind.is_symlink() && stays_inside(&self.root, dir, &fs_err::read_link(&path)?))
        {
            self.file(&path)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let below = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        let stamp = stamp(path)?;
        let known = self.before.remove(&below).filter(|seen| seen.stamp == stamp);
        let fingerprint = match known {
            Some(seen) => seen.fingerprint,
            // It went while we looked: the listing is one of a moment later.
            None => match fingerprint(path)? {
                Some(fingerprint) => fingerprint,
                None => return Ok(()),
            },
        };
        let (.., modified, changed) = stamp;
        if modified < self.settled && changed < self.settled {
            let seen = Seen { stamp, fingerprint: fingerprint.clone() };
            self.after.insert(below.clone(), seen);
        }
        self.listing.insert(below, fingerprint);
        Ok(())
    }
}

fn is_left_out(name: &str) -> bool {
    (name.starts_with('.') && !HIDDEN.contains(&name))
        || PRODUCTS.iter().any(|suffix| name.ends_with(suffix))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs_err::symlink_metadata(path)?;
    let nanos = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    Ok((
        meta.dev(),
        meta.ino(),
        meta.mode(),
        meta.size(),
        nanos(meta.mtime(), meta.mtime_nsec()),
        nanos(meta.ctime(), meta.ctime_nsec()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("Makefile", "all:\n"),
            ("Kconfig", "\n"),
            (".gitignore", "*.o\n"),
            ("mm/zswap.c", "int a;\n"),
        ] {
            write(&dir, file, text);
        }
        dir
    }

    fn write(dir: &tempfile::TempDir, file: &str, text: &str) {
        let file = dir.path().join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }

    fn list(dir: &tempfile::TempDir, memory: &Path) -> Listing {
        Scan::run(dir.path().to_owned(), memory, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn what_is_no_source_is_left_out() {
        let (dir, other) = (tree(), tempfile::tempdir().unwrap());
        let memory = other.path().join("memory");
        let plain = list(&dir, &memory);
        for file in [
            ".git/index",
            "mm/.zswap.c.swp",
            "mm/zswap.o",
            "mm/zswap.c~",
            "mm/zswap.c.rej",
            "out/.config",
            "out/big",
        ] {
            write(&dir, file, "x");
        }
        let link = |target: &str, at: &str| {
            std::os::unix::fs::symlink(target, dir.path().join(at)).unwrap();
        };
        link("/etc/passwd", "build");
        link("../../..", "mm/up");
        assert_eq!(list(&dir, &memory), plain);
        // The controls: what is source counts.
        link("zswap.c", "mm/link.c");
        write(&dir, "mm/new.c", "");
        let listing = list(&dir, &memory);
        assert_eq!(listing.changes(&plain), ["mm/link.c", "mm/new.c"].map(str::to_owned).into());
        assert!(listing.get(".gitignore").is_some());
    }

    #[test]
    fn what_goes_while_the_tree_is_read_is_left_out() {
        let (dir, stopped) = (tree(), AtomicBool::new(false));
        let root = dir.path();
        std::os::unix::fs::symlink("Makefile", root.join("link")).unwrap();
        let entries: Vec<_> = fs_err::read_dir(root).unwrap().map(Result::unwrap).collect();
        for gone in ["Makefile", "Kconfig", ".gitignore", "link"] {
            fs_err::remove_file(root.join(gone)).unwrap();
        }
        host::store::remove_tree(&root.join("mm")).unwrap();
        let mut scan = Scan::new(root.to_owned(), Path::new("/nonsuch"), &stopped);
        for entry in &entries {
            assert!(scan.entry(root, entry).is_err_and(|error| absent(&error)), "{entry:?}");
        }
        scan.folder(root).unwrap();
        assert_eq!(scan.listing, Listing::default());
    }

    #[test]
    fn hashes_are_remembered_for_files_that_stat_says_are_the_same() {
        let (dir, other) = (tree(), tempfile::tempdir().unwrap());
        let memory = other.path().join("memory");
        let listing = list(&dir, &memory);
        let kept = fs_err::read_to_string(&memory).unwrap();
        assert_eq!(kept, "{}", "files that were just written are not trusted");
        // A memory that lies shows whether it is used.
        let path = dir.path().join("mm/zswap.c");
        let lie = |stamp: Stamp| {
            let seen = Seen { stamp, fingerprint: "f:lie".to_owned() };
            let bytes = serde_json::to_vec(&Memory::from([("mm/zswap.c".to_owned(), seen)]));
            fs_err::write(&memory, bytes.unwrap()).unwrap();
            list(&dir, &memory).get("mm/zswap.c").unwrap().to_owned()
        };
        let now = stamp(&path).unwrap();
        assert_eq!(lie(now), "f:lie");
        assert_eq!(
            lie((now.0, now.1, now.2, now.3, now.4, now.5 - 1)),
            *listing.get("mm/zswap.c").unwrap()
        );
    }

    #[test]
    fn what_is_no_clean_kernel_tree_is_told_apart() {
        let (dir, store) = (tree(), tempfile::tempdir().unwrap());
        let says = |store: &Path| {
            check(dir.path(), store).map_err(|(what, hint)| format!("{what}; {hint}"))
        };
        assert_eq!(says(store.path()), Ok(()));
        assert!(says(&dir.path().join("mm")).unwrap_err().contains("lies within it"));
        for built in [".config", "include/config/auto.conf", "arch/x86/include/generated/asm"] {
            write(&dir, built, "");
            let error = says(store.path()).unwrap_err();
            assert!(error.contains("built in place") && error.contains("make mrproper"), "{error}");
            let top = built.split('/').next().unwrap();
            host::store::remove_tree(&dir.path().join(top)).unwrap();
        }
        fs_err::remove_file(dir.path().join("Kconfig")).unwrap();
        assert!(says(store.path()).unwrap_err().contains("there is no Kconfig"));
        let error = check(&dir.path().join("nonsuch"), store.path()).unwrap_err().0;
        assert_eq!(error, "there is no such folder");
    }
}
