// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a recipe to an archive in the store.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use host::store::{Bucket, Check, Claim, Key, KeyHasher, Store, StoreError};

use crate::newc;
use crate::recipe::{FileContents, Recipe};
use crate::tree::{Node, Tree, TreeError};

/// Images in the store.
pub const IMAGES: Bucket = Bucket { name: "images", check: Check::Digests };

/// Raise it when the same tree comes to be another archive.
const FORMAT: u32 = 1;

/// Name of the archive within its entry.
const ARCHIVE: &str = "initramfs.cpio";

/// A guest must hold an image in its memory, so this is generous.
const MOST_BYTES: u64 = 1 << 30;

/// An initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArtifact {
    /// The archive, not compressed. In the store: read only.
    pub path: PathBuf,
    /// Its key in the store.
    pub key: Key,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The recipe asks for a program that was not compiled.
    #[error("the recipe wants the program {program:?} at {path:?}\n  hint: known are {}", known.join(", "))]
    NoProgram {
        /// Which one.
        program: String,
        /// Where it should lie.
        path: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Something cannot lie where it should.
    #[error("{0}\n  hint: correct the image recipe")]
    Tree(#[from] TreeError),
    /// A file that belongs into the image cannot be read.
    #[error("cannot read what belongs at {path:?} in the image: {source}")]
    Read {
        /// Where it should lie.
        path: String,
        /// The system's error, with the file's name.
        source: io::Error,
    },
    /// More than a guest can hold.
    #[error("the image would be larger than {} MiB with {path:?}", MOST_BYTES >> 20)]
    TooLarge {
        /// The file with which the bound was passed.
        path: String,
    },
    /// The store could not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The image of `recipe`: from the store, or written now. `programs` are those that we
/// compile, by the names under which recipes know them.
pub async fn build(
    recipe: &Recipe,
    programs: &BTreeMap<String, PathBuf>,
    store: &Store,
) -> Result<ImageArtifact, ImageError> {
    let tree = plant(recipe, programs)?;
    let key = key(&tree);
    let entry = match store.claim(IMAGES, &key, || ()).await? {
        Claim::Found(entry) => entry,
        Claim::Absent(slot) => {
            write_archive(&tree, &slot.dir().join(ARCHIVE)).map_err(|error| store.error(error))?;
            slot.publish().await?
        }
    };
    Ok(ImageArtifact { path: entry.dir().join(ARCHIVE), key: entry.key.clone() })
}

fn write_archive(tree: &Tree, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    newc::write(tree, &mut file)?;
    file.flush()
}

/// Everything that an archive depends on goes into its key.
fn key(tree: &Tree) -> Key {
    let mut key = KeyHasher::new("initramfs", FORMAT);
    for (path, node) in tree.iter() {
        key = key.field("path", path);
        key = match node {
            Node::Dir => key.field("dir", ""),
            Node::File { data, executable: false } => key.field("file", data),
            Node::File { data, executable: true } => key.field("program", data),
            Node::CharDevice { major, minor } => key.field("device", format!("{major}:{minor}")),
            Node::Link { target } => key.field("link", target),
        };
    }
    key.finish()
}

fn plant(recipe: &Recipe, programs: &BTreeMap<String, PathBuf>) -> Result<Tree, ImageError> {
    let mut tree = Tree::default();
    let mut left = MOST_BYTES;
    for path in &recipe.dirs {
        tree.add(path, Node::Dir)?;
    }
    for wanted in &recipe.programs {
        let source = programs.get(&wanted.program).ok_or_else(|| ImageError::NoProgram {
            program: wanted.program.clone(),
            path: wanted.path.clone(),
            known: programs.keys().cloned().collect(),
        })?;
        let data = read(&wanted.path, source, &mut left)?;
        tree.add(&wanted.path, Node::File { data, executable: true })?;
    }
    for device in &recipe.devices {
        let (major, minor) = (device.major, device.minor);
        tree.add(&device.path, Node::CharDevice { major, minor })?;
    }
    for link in &recipe.links {
        tree.add(&link.path, Node::Link { target: link.to.clone() })?;
    }
    for applets in &recipe.applets {
        for name in &applets.names {
            let path = format!("{}/{name}", applets.folder);
            tree.add(&path, Node::Link { target: applets.to.clone() })?;
        }
    }
    for extra in &recipe.files {
        let data = match &extra.contents {
            FileContents::Source(source) => {
                read(&extra.path, &recipe.folder.join(source), &mut left)?
            }
            FileContents::Text(text) => text.clone().into_bytes(),
        };
        tree.add(&extra.path, Node::File { data, executable: extra.executable })?;
    }
    Ok(tree)
}

/// Reads a file whole, if it fits into what is `left` of the image.
fn read(path: &str, source: &Path, left: &mut u64) -> Result<Vec<u8>, ImageError> {
    let fail = |source| ImageError::Read { path: path.to_owned(), source };
    let length = fs_err::metadata(source).map_err(fail)?.len();
    *left =
        left.checked_sub(length).ok_or_else(|| ImageError::TooLarge { path: path.to_owned() })?;
    fs_err::read(source).map_err(fail)
}

#[cfg(test)]
mod tests;
