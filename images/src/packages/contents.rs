// SPDX-License-Identifier: MIT OR Apache-2.0
//! What packages hold, without installing them. Their scripts are not run.
//!
//! `dpkg-deb --fsys-tarfile` writes the files of a package as a tar archive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;

use host::apt::quote;
use host::process::{Command, ProcessError};
use tar::{Archive, EntryType};
use tokio::io::AsyncReadExt;

use super::PackageError;
use crate::tree::{Node, Tree, TreeError};

/// Folders that are links into `/usr` on every Debian since 12. Older packages ship both places.
const MERGED: &[&str] = &["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Of a tar archive at most this much more is read than the files in it may have.
const HEADERS: u64 = 64 << 20;
/// Of what dpkg-deb complains about this much is read.
const COMPLAINT: u64 = 4096;

/// Where a path lies when `/bin` is `/usr/bin`, and so on.
pub(crate) fn merged(path: &str) -> Cow<'_, str> {
    let top = path.strip_prefix('/').and_then(|inner| inner.split('/').next());
    match top {
        Some(top) if MERGED.contains(&top) => format!("/usr{path}").into(),
        _ => path.into(),
    }
}

/// Whether a path of a package is one that is a link into `/usr`.
fn is_merged(raw: &str) -> bool {
    MERGED.contains(&raw.strip_prefix("./").unwrap_or(raw))
}

/// Adds the links from `/bin` to `/usr/bin` and so on, for the folders that are there.
pub(crate) fn link_merged(tree: &mut Tree) -> Result<(), TreeError> {
    for top in MERGED {
        let target = format!("usr/{top}");
        if tree.get(&format!("/{target}")).is_some() {
            tree.add(&format!("/{top}"), Node::Link { target })?;
        }
    }
    Ok(())
}

fn is_at_or_below(path: &str, pattern: &str) -> bool {
    let mut names = path.split('/');
    pattern.trim_matches('/').split('/').all(|wanted| names.next().is_some_and(|n| fits(n, wanted)))
}

fn fits(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    name.strip_prefix(before).is_some_and(|rest| {
        let ends = rest.char_indices().map(|(at, _)| &rest[at..]).chain([""]);
        ends.into_iter().any(|end| fits(end, after))
    })
}

/// What several packages hold together.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    nodes: BTreeMap<String, (Node, String)>,
}

impl Contents {
    /// Adds what a package holds, except what lies at or below a path of `leave_out`, where a
    /// `*` stands for any part of a name.
    pub(crate) fn add(
        &mut self,
        package: &str,
        tree: Tree,
        leave_out: &[String],
    ) -> Result<(), PackageError> {
        let left_out = |path: &str| leave_out.iter().any(|pattern| is_at_or_below(path, pattern));
        for (path, node) in tree.into_nodes().filter(|(path, _)| !left_out(path)) {
            match self.nodes.entry(format!("/{path}")) {
                Entry::Vacant(place) => {
                    place.insert((node, package.to_owned()));
                }
                Entry::Occupied(there) if there.get().0 == node => {}
                Entry::Occupied(there) => {
                    return Err(PackageError::Conflict {
                        path: there.key().clone(),
                        first: there.get().1.clone(),
                        second: package.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Lays everything into `tree`, but for places where something else than a folder lies
    /// already: a recipe's own files replace those of packages.
    pub(crate) fn lay_into(self, tree: &mut Tree) -> Result<(), TreeError> {
        for (path, (node, _)) in self.nodes {
            if tree.get(&path).is_none_or(|there| *there == Node::Dir) {
                tree.add(&path, node)?;
            }
        }
        Ok(())
    }
}

/// Reads the package in the file `deb`. `left` is how many bytes its files may have.
pub(crate) async fn of_deb(name: &str, deb: &Path, left: &mut u64) -> Result<Tree, PackageError> {
    const PROGRAM: &str = "dpkg-deb";
    let lost = |source| ProcessError::Lost { program: PROGRAM.into(), source };
    let (reader, writer) = io::pipe().map_err(lost)?;
    let command = Command::new(PROGRAM).env("LC_ALL", "C").arg("--fsys-tarfile").arg(deb);
    let mut child = command.spawn(writer, Stdio::piped())?;
    let (package, bound) = (name.to_owned(), *left);
    let reading = tokio::task::spawn_blocking(move || {
        let mut left = bound;
        read_tar(&package, reader, &mut left).map(|tree| (tree, left))
    });
    let mut complaint = Vec::new();
    if let Some(mut stderr) = child.take_stderr() {
        let said = (&mut stderr).take(COMPLAINT).read_to_end(&mut complaint).await;
        said.map_err(lost)?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.map_err(lost)?;
    }
    let read = reading.await.map_err(|error| lost(io::Error::other(error)))?;
    // What was wrong with the archive tells more than that dpkg-deb could not go on.
    let refusal = |error: &PackageError| matches!(error, PackageError::Contents { .. });
    if child.wait().await? != 0 && !read.as_ref().is_err_and(refusal) {
        let complaint = String::from_utf8_lossy(&complaint);
        let what = complaint.lines().map(quote).collect();
        return Err(PackageError::Unreadable { package: name.to_owned(), what });
    }
    let (tree, rest) = read?;
    *left = rest;
    Ok(tree)
}

/// Reads a package's files from a tar archive.
fn read_tar(package: &str, tar: impl Read, left: &mut u64) -> Result<Tree, PackageError> {
    let unreadable = |error: io::Error| PackageError::Unreadable {
        package: package.to_owned(),
        what: quote(&error.to_string()),
    };
    let mut archive = Archive::new(tar.take(left.saturating_add(HEADERS)));
    let mut tree = Tree::default();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refuse = |why: String| PackageError::Contents {
            package: package.to_owned(),
            path: raw.clone(),
            why,
        };
        if std::str::from_utf8(&entry.path_bytes()).is_err() {
            return Err(refuse("its name is not UTF-8".to_owned()));
        }
        let Some(path) = place(&raw).map_err(|why| refuse(why.to_owned()))? else { continue };
        let target = match entry.link_name_bytes() {
            Some(bytes) => String::from_utf8(bytes.into_owned())
                .map_err(|_| refuse("it points at what is not UTF-8".to_owned()))?,
            None => String::new(),
        };
        let node = match entry.header().entry_type() {
            EntryType::Directory => Node::Dir,
            // The package that makes /bin a link says nothing new.
            EntryType::Symlink
                if *target.trim_start_matches('/') == path[1..] && is_merged(&raw) =>
            {
                continue;
            }
            EntryType::Symlink => Node::Link { target },
            EntryType::Link => {
                let first = place(&target).map_err(|why| refuse(why.to_owned()))?;
                let found = first.and_then(|first| tree.get(&first).cloned());
                let Some(node @ Node::File { .. }) = found else {
                    return Err(refuse(format!("there is no file {target:?} to be linked with")));
                };
                if let Node::File { data, .. } = &node {
                    *left = spend(package, *left, data.len() as u64)?;
                }
                node
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                *left = spend(package, *left, entry.size())?;
                let mode = entry.header().mode().map_err(unreadable)?;
                let mut data = Vec::new();
                entry.read_to_end(&mut data).map_err(unreadable)?;
                Node::File { data, executable: mode & 0o111 != 0 }
            }
            EntryType::Char | EntryType::Block => {
                return Err(refuse("packages have no device nodes".to_owned()));
            }
            _ => return Err(refuse("it is neither file, folder nor link".to_owned())),
        };
        tree.add(&path, node).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(tree)
}

fn spend(package: &str, left: u64, bytes: u64) -> Result<u64, PackageError> {
    left.checked_sub(bytes).ok_or_else(|| PackageError::TooLarge { package: package.to_owned() })
}

/// Where a path of a package lies in an image; `None` for the root itself. What else is wrong
/// with a path is for the tree to say.
fn place(raw: &str) -> Result<Option<String>, &'static str> {
    if raw.starts_with('/') {
        return Err("it is absolute");
    }
    let inner = raw.strip_prefix("./").unwrap_or(raw).trim_end_matches('/');
    if matches!(inner, "" | ".") {
        return Ok(None);
    }
    Ok(Some(merged(&format!("/{inner}")).into_owned()))
}

#[cfg(test)]
mod tests;
