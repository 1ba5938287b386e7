// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a recipe to an archive in the store.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use host::apt::{Suite, Tools};
use host::arch::Arch;
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher, Store, StoreError};

use crate::newc;
use crate::packages::{self, Contents, PackageError, Request, Set};
use crate::recipe::{FileContents, Recipe};
use crate::tree::{Node, Tree, TreeError};

/// Images in the store.
pub const IMAGES: Bucket = Bucket { name: "images", check: Check::Digests };

/// Raise it when the same tree, or the same packages, come to be another archive.
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
    /// Packages cannot be had.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// The store could not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImageError {
    /// True if the recipe or what the user named is at fault, not the machine or the network.
    pub fn is_of_request(&self) -> bool {
        match self {
            Self::NoProgram { .. } | Self::Tree(_) | Self::Read { .. } | Self::TooLarge { .. } => {
                true
            }
            Self::Packages(error) => error.is_of_request(),
            Self::Store(_) => false,
        }
    }
}

/// What an image is made with, besides its recipe.
#[derive(Clone, Copy)]
pub struct Supplies<'a> {
    /// The guest's architecture.
    pub arch: &'static Arch,
    /// The programs that we compile, by the names under which recipes know them.
    pub programs: &'a BTreeMap<String, PathBuf>,
    /// URL of a Debian mirror; `None` for the one of this machine's apt.
    pub mirror: Option<&'a str>,
    /// Where images and packages are kept.
    pub store: &'a Store,
    /// Told what takes time, and what is not as it was asked for.
    pub notice: &'a dyn Fn(&str),
}

/// The image of `recipe`: from the store, or written now.
pub async fn build(recipe: &Recipe, supplies: Supplies<'_>) -> Result<ImageArtifact, ImageError> {
    build_with(recipe, supplies, &Tools::default()).await
}

/// [`build`] with an apt to be chosen.
pub(crate) async fn build_with(
    recipe: &Recipe,
    supplies: Supplies<'_>,
    tools: &Tools,
) -> Result<ImageArtifact, ImageError> {
    let Supplies { arch, programs, mirror, store, notice } = supplies;
    let mut left = MOST_BYTES;
    let mut tree = plant(recipe, programs, &mut left)?;
    if recipe.packages.is_empty() {
        let key = key(&tree, recipe, None);
        return publish(&tree, store.claim(IMAGES, &key, || ()).await?, store).await;
    }
    let mut names = recipe.packages.clone();
    names.sort();
    names.dedup();
    let suite = recipe.suite.clone().unwrap_or_else(|| Suite::of(arch));
    let request = Request { arch, suite, names, mirror, store, tools, notice };
    let set = request.choose().await?;
    // The packages are not looked at as long as the image is there.
    if let Some(entry) = store.find(IMAGES, &key(&tree, recipe, Some(&set)))? {
        return Ok(artifact(&entry));
    }
    let (set, debs) = request.files(set).await?;
    match store.claim(IMAGES, &key(&tree, recipe, Some(&set)), || ()).await? {
        found @ Claim::Found(_) => publish(&tree, found, store).await,
        absent @ Claim::Absent(_) => {
            let mut contents = Contents::default();
            for package in &set.packages {
                let deb = debs.dir().join(&package.file);
                let held = packages::of_deb(&package.name, &deb, &mut left).await?;
                contents.add(&package.name, held, &recipe.leave_out)?;
            }
            contents.lay_into(&mut tree)?;
            packages::link_merged(&mut tree)?;
            publish(&tree, absent, store).await
        }
    }
}

/// The image in the store, after `tree` was written there if need be.
async fn publish(tree: &Tree, claim: Claim, store: &Store) -> Result<ImageArtifact, ImageError> {
    let entry = match claim {
        Claim::Found(entry) => entry,
        Claim::Absent(slot) => {
            write_archive(tree, &slot.dir().join(ARCHIVE)).map_err(|error| store.error(error))?;
            slot.publish().await?
        }
    };
    Ok(artifact(&entry))
}

fn artifact(entry: &Entry) -> ImageArtifact {
    ImageArtifact { path: entry.dir().join(ARCHIVE), key: entry.key.clone() }
}

fn write_archive(tree: &Tree, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    newc::write(tree, &mut file)?;
    file.flush()
}

/// Everything that an archive depends on goes into its key: the recipe's own tree, and which
/// packages are taken and how.
fn key(tree: &Tree, recipe: &Recipe, set: Option<&Set>) -> Key {
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
    if let Some(set) = set {
        key = key.field("packages", set.key().as_str());
        for path in &recipe.leave_out {
            key = key.field("leave out", path);
        }
    }
    key.finish()
}

/// What the recipe itself names. `left` is how many bytes may still go into the image.
fn plant(
    recipe: &Recipe,
    programs: &BTreeMap<String, PathBuf>,
    left: &mut u64,
) -> Result<Tree, ImageError> {
    let mut tree = Tree::default();
    let mut add = |path: &str, node: Node| {
        // Beside packages all has to go where they put it.
        let path = if recipe.packages.is_empty() { path.into() } else { packages::merged(path) };
        tree.add(&path, node)
    };
    for path in &recipe.dirs {
        add(path, Node::Dir)?;
    }
    for wanted in &recipe.programs {
        let source = programs.get(&wanted.program).ok_or_else(|| ImageError::NoProgram {
            program: wanted.program.clone(),
            path: wanted.path.clone(),
            known: programs.keys().cloned().collect(),
        })?;
        let data = read(&wanted.path, source, left)?;
        add(&wanted.path, Node::File { data, executable: true })?;
    }
    for device in &recipe.devices {
        let (major, minor) = (device.major, device.minor);
        add(&device.path, Node::CharDevice { major, minor })?;
    }
    for link in &recipe.links {
        add(&link.path, Node::Link { target: link.to.clone() })?;
    }
    for applets in &recipe.applets {
        for name in &applets.names {
            let path = format!("{}/{name}", applets.folder);
            add(&path, Node::Link { target: applets.to.clone() })?;
        }
    }
    for extra in &recipe.files {
        let data = match &extra.contents {
            FileContents::Source(source) => read(&extra.path, &recipe.folder.join(source), left)?,
            FileContents::Text(text) => text.clone().into_bytes(),
        };
        add(&extra.path, Node::File { data, executable: extra.executable })?;
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
