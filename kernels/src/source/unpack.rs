// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all sources that are unpacked have in common.

use std::io;
use std::path::{Component, Path};

use host::process::{Command, ProcessError};
use host::store::Slot;

use super::fetcher::{Fetcher, TREE};
use crate::error::KernelError;
use crate::progress::Progress;
use crate::text::{quote, tail};

/// Why a tarball did not become a tree.
pub(super) enum Damage {
    /// It holds something else than it should.
    Reason(String),
    /// The machine failed.
    Error(KernelError),
}

impl Damage {
    /// The error to report: `unusable` makes it of what is wrong with the tarball.
    pub(super) fn explain(self, unusable: impl FnOnce(String) -> KernelError) -> KernelError {
        match self {
            Self::Reason(what) => unusable(what),
            Self::Error(error) => error,
        }
    }
}

impl From<KernelError> for Damage {
    fn from(error: KernelError) -> Self {
        Self::Error(error)
    }
}

/// Tells the user that an entry is made again.
pub(super) fn notice_damage(fetcher: &Fetcher<'_>, slot: &Slot, what: &str) {
    if let Some(damage) = slot.damage() {
        let notice = format!("{what} in the store was damaged and is made again: {damage}");
        (fetcher.progress)(Progress::Notice(&notice));
    }
}

/// SHA-256 of a file, hexadecimal.
pub(super) async fn sha256(file: &Path) -> Result<String, KernelError> {
    let sum = Command::new("sha256sum").arg("--").arg(file).env("LC_ALL", "C").success().await?;
    // A backslash in front says that the file's name is escaped.
    let text = String::from_utf8_lossy(&sum.stdout);
    Ok(text.trim_start_matches('\\').split(' ').next().unwrap_or_default().to_owned())
}

/// Unpacks a kernel's tarball, packed in any way that tar knows, to `dir/tree`. Its single
/// folder is left out.
///
/// Names that lead out of the tree are refused, and so are links that do, pipes and devices.
pub(super) async fn tarball(
    fetcher: &Fetcher<'_>,
    tarball: &Path,
    dir: &Path,
) -> Result<(), Damage> {
    let store_error = |error| Damage::Error(fetcher.store.error(error).into());
    let tree = dir.join(TREE);
    fs_err::create_dir(&tree).map_err(store_error)?;
    // Debian's tarballs are packed in blocks, so that xz can use every processor.
    let tar = Command::new("tar")
        .env("XZ_OPT", "-T0")
        .env("LC_ALL", "C")
        .args(["--extract", "--strip-components=1", "--no-same-owner", "--no-same-permissions"])
        .arg("--file")
        .arg(tarball)
        .arg("--directory")
        .arg(&tree);
    let output = tar.output().await.map_err(KernelError::from)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No space left on device") {
        return Err(Damage::Error(fetcher.store.full().into()));
    }
    // What tar would make harmless should not be there in the first place.
    let outside = ["Removing leading", "Member name contains '..'"];
    if outside.iter().any(|words| said.contains(words)) {
        let what = format!("names in it lead out of the tree:{}", tail(&output.stderr, 3));
        return Err(Damage::Reason(what));
    }
    if output.code != 0 {
        return Err(Damage::Reason(format!("tar cannot unpack it:{}", tail(&output.stderr, 3))));
    }
    if let Some(what) = foreign(&tree, &tree).map_err(store_error)? {
        return Err(Damage::Reason(what));
    }
    if !tree.join("Makefile").is_file() {
        return Err(Damage::Reason("it holds no kernel source: there is no Makefile".to_owned()));
    }
    Ok(())
}

/// Runs a program that fills the store's disk.
pub(super) async fn run(fetcher: &Fetcher<'_>, command: Command) -> Result<(), KernelError> {
    match command.env("LC_ALL", "C").success().await {
        Ok(_) => Ok(()),
        Err(ProcessError::Failed { stderr, .. }) if stderr.contains("No space left on device") => {
            Err(fetcher.store.full().into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What no source has below `dir`, if there is something: a symbolic link that leads out of
/// `root`, or a pipe or a device, at which a build would wait or worse.
pub(super) fn foreign(root: &Path, dir: &Path) -> io::Result<Option<String>> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = || quote(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy());
        if kind.is_dir() {
            if let Some(found) = foreign(root, &path)? {
                return Ok(Some(found));
            }
        } else if kind.is_symlink() {
            if !stays_inside(root, dir, &fs_err::read_link(&path)?) {
                return Ok(Some(format!("its link {} leads out of the tree", name())));
            }
        } else if !kind.is_file() {
            return Ok(Some(format!("its {} is neither a file nor a folder nor a link", name())));
        }
    }
    Ok(None)
}

/// Whether `target`, read from a link in `dir`, is a path below `root`. Judged by its
/// words alone: links it may pass through are judged on their own. What goes up again behind a
/// name is not below: the name may be a link, and its parent anywhere.
pub(super) fn stays_inside(root: &Path, dir: &Path, target: &Path) -> bool {
    let Ok(below) = dir.strip_prefix(root) else { return false };
    let mut depth = below.components().count();
    let mut named = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 && !named => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_source_has_is_found_and_links_that_stay_inside_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs_err::create_dir_all(root.join("a/b")).unwrap();
        let link =
            |target: &str, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
        link("../../a/x", "a/b/fine");
        link("./b", "a/also");
        assert_eq!(foreign(root, root).unwrap(), None);
        // `a/b/up` is the tree itself, so the last one is its neighbour.
        link("../..", "a/b/up");
        assert_eq!(foreign(root, root).unwrap(), None);
        for target in ["../../../etc", "/etc/passwd", "up/../neighbour"] {
            link(target, "a/b/evil");
            let found = foreign(root, root).unwrap();
            assert_eq!(found.as_deref(), Some("its link a/b/evil leads out of the tree"));
            fs_err::remove_file(root.join("a/b/evil")).unwrap();
        }
        let pipe = std::process::Command::new("mkfifo").arg(root.join("a/pipe")).status();
        assert!(pipe.unwrap().success());
        let found = foreign(root, root).unwrap().unwrap();
        assert!(found.starts_with("its a/pipe is neither a file"), "{found}");
    }
}
