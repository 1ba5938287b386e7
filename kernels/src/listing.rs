// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a tree and what is in them: tells two states of a tree apart.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Files and symbolic links of a tree by their paths below it, in order, with their
/// [`fingerprint`]s. Folders count only by what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Listing(BTreeMap<String, String>);

impl Listing {
    /// Lists all files and links below `root`.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if let Some(mark) = fingerprint(&path)? {
                    let below = path.strip_prefix(root).unwrap_or(&path);
                    listing.insert(below.to_string_lossy().into_owned(), mark);
                }
            }
        }
        Ok(listing)
    }

    /// All paths and fingerprints, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    pub(crate) fn insert(&mut self, path: String, fingerprint: String) {
        self.0.insert(path, fingerprint);
    }

    /// The fingerprint of a path, if it is there.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Paths that are only in one of the two, or differ.
    pub(crate) fn changes(&self, earlier: &Self) -> BTreeSet<String> {
        let differs = |a: &Self, b: &Self| -> Vec<String> {
            a.iter()
                .filter(|(path, mark)| b.0.get(*path) != Some(*mark))
                .map(|(p, _)| p.clone())
                .collect()
        };
        differs(self, earlier).into_iter().chain(differs(earlier, self)).collect()
    }

    /// Hash of it all, hexadecimal.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (path, fingerprint) in &self.0 {
            // Neither can hold a NUL.
            hasher
                .update(path.as_bytes())
                .update(b"\0")
                .update(fingerprint.as_bytes())
                .update(b"\0");
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// What a file or a symbolic link is: its kind, `f`, `x` for a program or `l` for a link, and
/// a hash of its contents or target. Neither times nor owners count. `None` for anything else,
/// and if there is nothing.
pub(crate) fn fingerprint(path: &Path) -> io::Result<Option<String>> {
    let meta = match fs_err::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (kind, hash) = if meta.is_symlink() {
        ('l', blake3::hash(fs_err::read_link(path)?.as_os_str().as_bytes()))
    } else if meta.is_file() {
        let kind = if meta.permissions().mode() & 0o100 == 0 { 'f' } else { 'x' };
        (kind, blake3::hash(&fs_err::read(path)?))
    } else {
        return Ok(None);
    };
    Ok(Some(format!("{kind}:{}", hash.to_hex())))
}

/// True if the error says that there is no such file.
pub(crate) fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_mode_and_contents_make_a_fingerprint_and_times_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let now = || fingerprint(&file).unwrap();
        assert_eq!((now(), fingerprint(dir.path()).unwrap()), (None, None));
        fs_err::write(&file, "a").unwrap();
        let first = now();
        fs_err::File::open(&file).unwrap().file().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(now(), first);
        fs_err::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        let program = now();
        fs_err::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("a", &file).unwrap();
        assert!(first.is_some() && first != program && now() != program && now() != first);
        assert_eq!(fingerprint(&file.join("below")).unwrap(), None);
    }

    #[test]
    fn changes_are_found_both_ways() {
        let listing = |files: &[(&str, &str)]| {
            let mut listing = Listing::default();
            for (path, mark) in files {
                listing.insert((*path).to_owned(), (*mark).to_owned());
            }
            listing
        };
        let old = listing(&[("gone", "f:1"), ("kept", "f:2"), ("other", "f:3")]);
        let new = listing(&[("kept", "f:2"), ("made", "f:1"), ("other", "x:3")]);
        assert_eq!(new.changes(&old), ["gone", "made", "other"].map(str::to_owned).into());
        assert_eq!(old.changes(&new), new.changes(&old));
        assert_ne!(old.digest(), new.digest());
    }
}
