// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest of an entry: what must lie in its folder.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Check, MANIFEST};

/// What an entry holds, beside the manifest itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Contents {
    /// Each file by its path below the entry.
    Files(BTreeMap<String, File>),
    /// A large tree, counted.
    Tree(Counts),
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    size: u64,
    blake3: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    files: u64,
    folders: u64,
    links: u64,
    bytes: u64,
}

impl Contents {
    /// Takes stock of a folder; with digests, its files become read-only.
    pub(super) fn of(dir: &Path, check: Check) -> io::Result<Self> {
        match check {
            Check::Counts => Ok(Self::Tree(count(dir)?)),
            Check::Digests => {
                let mut files = BTreeMap::new();
                walk(dir, &mut |path, meta| {
                    if meta.is_symlink() {
                        let text = format!("{}: a link in a store entry", path.display());
                        return Err(io::Error::other(text));
                    }
                    if meta.is_file() {
                        files.insert(below(dir, path)?, File::of(path)?);
                        let mode = meta.permissions().mode() & 0o555;
                        fs_err::set_permissions(path, PermissionsExt::from_mode(mode))?;
                    }
                    Ok(())
                })?;
                Ok(Self::Files(files))
            }
        }
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        fs_err::write(path, serde_json::to_vec(self)?)
    }

    /// Reads a manifest; the error says how the entry is damaged.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// How the folder differs from this manifest, if it does.
    pub(super) fn differs(&self, dir: &Path, check: Check) -> io::Result<Option<String>> {
        match (self, check) {
            (Self::Tree(expected), Check::Counts) => {
                let found = count(dir)?;
                let same = found == *expected;
                Ok((!same).then(|| format!("expected {expected:?}, found {found:?}")))
            }
            (Self::Files(expected), Check::Digests) => {
                for (name, file) in expected {
                    let path = dir.join(name);
                    let size = fs_err::symlink_metadata(&path).map_or(0, |meta| meta.len());
                    // A wrong size needs no reading, and an unreadable file is damage too.
                    let same = size == file.size && File::of(&path).is_ok_and(|f| f == *file);
                    if !same {
                        return Ok(Some(format!("{} is not what was stored", path.display())));
                    }
                }
                Ok(None)
            }
            _ => Ok(Some("the manifest is of another kind".into())),
        }
    }
}

impl File {
    fn of(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let size = io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
        Ok(Self { size, blake3: hasher.finalize().to_hex().to_string() })
    }
}

fn count(dir: &Path) -> io::Result<Counts> {
    let mut counts = Counts::default();
    walk(dir, &mut |_, meta| {
        if meta.is_dir() {
            counts.folders += 1;
        } else if meta.is_symlink() {
            counts.links += 1;
        } else {
            counts.files += 1;
            counts.bytes += meta.len();
        }
        Ok(())
    })?;
    Ok(counts)
}

/// Visits everything below `dir` but the manifest, following no links.
fn walk(
    dir: &Path,
    visit: &mut impl FnMut(&Path, &std::fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MANIFEST {
            continue;
        }
        let (path, meta) = (entry.path(), entry.metadata()?);
        visit(&path, &meta)?;
        if meta.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

fn below(dir: &Path, path: &Path) -> io::Result<String> {
    let name = path.strip_prefix(dir).ok().and_then(Path::to_str);
    let name = name.ok_or_else(|| io::Error::other(format!("{}: not UTF-8", path.display())))?;
    Ok(name.to_owned())
}
