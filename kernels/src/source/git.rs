// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel sources from a git repository: a server's, or one on this machine.
//!
//! ```text
//! git/KEY/          a bare mirror of what was asked of one repository, hardly ever a history
//! ```
//!
//! A repository is only ever fetched from. A commit's tree is checked out of the mirror into
//! the store and stays there.

mod mirror;
mod nearest;
mod prerequisites;
mod said;

use std::io;
use std::path::Path;

use host::process::Command;
use host::store::{Claim, Entry, Key, KeyHasher, remove_tree};
use mirror::Mirror;

use super::fetcher::{Base, Fetcher, TREE, TREES};
use super::kinds::{Digest, GitRepository, SourceIdentity};
use super::unpack::{self, foreign};
use crate::error::{KernelError, Prerequisite, SourceError};
use crate::git::is_commit_id;
use crate::listing::{Listing, absent};
use crate::pristine::Pristine;
use crate::progress::{Progress, Stage};
use crate::series::Series;
use crate::worktree::remove_with_folders;

/// Listing of the tree, within an entry.
const LISTING: &str = "listing.json";

/// Which commit the ref is now. A tag that the mirror of a server has is not asked for again;
/// a branch is, and if that fails the newest commit known is taken.
pub(super) async fn identify(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
) -> Result<SourceIdentity, KernelError> {
    let identity = |commit: String| SourceIdentity {
        package: source.repo.clone(),
        version: source.reference.clone(),
        digest: Digest::Commit(commit),
    };
    if is_commit_id(&source.reference) {
        return Ok(identity(source.reference.clone()));
    }
    let mirror = Mirror::of(fetcher, source);
    let tag = if source.is_local() { None } else { mirror.known_tag().await? };
    if let Some(commit) = tag {
        return Ok(identity(commit));
    }
    match mirror.ask().await {
        Ok(commit) => Ok(identity(commit)),
        Err(error @ KernelError::Source(SourceError::Unreachable { .. })) => {
            let Some(commit) = mirror.known().await? else { return Err(error) };
            let GitRepository { repo, reference } = source;
            let short = &commit[..12];
            let notice = format!(
                "{repo} cannot be asked for {reference}: taking commit {short} from the store"
            );
            (fetcher.progress)(Progress::Notice(&notice));
            Ok(identity(commit))
        }
        Err(error) => Err(error),
    }
}

/// The commit's tree, fetched and checked out if need be.
pub(super) async fn tree(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
    identity: &SourceIdentity,
) -> Result<Pristine, KernelError> {
    let entry = entry(fetcher, source, identity.digest.digits()).await?;
    let read = || -> io::Result<Listing> {
        Ok(serde_json::from_slice(&fs_err::read(entry.dir().join(LISTING))?)?)
    };
    let listing = read().map_err(|error| fetcher.store.error(error))?;
    Ok(Pristine { dir: entry.dir().join(TREE), listing: Some(listing), kept: true })
}

fn key(commit: &str) -> Key {
    KeyHasher::new("git tree", 1).field("commit", commit).finish()
}

async fn entry(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
    commit: &str,
) -> Result<Entry, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same source tree"));
    let key = key(commit);
    let slot = match fetcher.store.claim(TREES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the checked out source");
    let mirror = Mirror::of(fetcher, source);
    let tree = slot.dir().join(TREE);
    mirror.check_out(commit, &tree).await?;
    mirror.note_checked_out(commit)?;
    let listed = tokio::task::spawn_blocking(move || -> io::Result<Result<Listing, String>> {
        if let Some(what) = foreign(&tree, &tree)? {
            return Ok(Err(what));
        }
        if !tree.join("Makefile").is_file() {
            return Ok(Err("it holds no kernel source: there is no Makefile".to_owned()));
        }
        Listing::of(&tree).map(Ok)
    });
    let listed = listed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    let listing = listed.map_err(|error| fetcher.store.error(error))?.map_err(|what| {
        let file = format!("{} {}", source.repo, source.reference);
        KernelError::Source(SourceError::Unusable { file, what })
    })?;
    let written = serde_json::to_vec(&listing)
        .map_err(io::Error::from)
        .and_then(|bytes| fs_err::write(slot.dir().join(LISTING), bytes));
    written.map_err(|error| fetcher.store.error(error))?;
    Ok(slot.publish().await?)
}

/// Writes the files of the commit `base` that `series` touches to the folder `dir`.
pub(super) async fn base(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
    base: &str,
    series: &Series,
    dir: &Path,
) -> Result<Base, KernelError> {
    // By its id alone: it is not what the manifest's reference is.
    let by_id = GitRepository { repo: source.repo.clone(), reference: base.to_owned() };
    let mirror = Mirror::of(fetcher, &by_id);
    let _lock = mirror.lock().await?;
    match mirror.fetch_one_commit(base).await {
        Ok(true) => {}
        Ok(false) => return Ok(Base::Missing),
        // Not worth more words than the conflict that asked for it.
        Err(KernelError::Source(_)) => return Ok(Base::Unknown),
        Err(error) => return Err(error),
    }
    let files: Vec<&str> = series.files().into_iter().collect();
    remove_tree(dir).map_err(|error| fetcher.store.error(error))?;
    Ok(match mirror.write_files(base, &files, dir).await? {
        None => Base::Is(base.to_owned()),
        Some(_) => Base::Unknown,
    })
}

/// The tag or branch that the series was made for, if one is found.
pub(super) async fn nearest(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
    series: &Series,
    commit: &str,
) -> Result<Option<String>, KernelError> {
    Mirror::of(fetcher, source).nearest(series, commit).await
}

/// What the series wants applied before it, with what is known of it.
pub(super) async fn prerequisites(
    fetcher: &Fetcher<'_>,
    source: &GitRepository,
    series: &Series,
    commit: &str,
) -> Result<Vec<Prerequisite>, KernelError> {
    Mirror::of(fetcher, source).prerequisites(series, commit).await
}

impl Mirror<'_> {
    /// Makes the tree of hard links to the one that was checked out last, but for the files
    /// that differ. False if that cannot be.
    async fn write_next(&self, commit: &str, tree: &Path) -> Result<bool, KernelError> {
        let store = self.fetcher.store;
        let Some(last) = self.last_checked_out() else { return Ok(false) };
        let (Some(entry), Some(changes)) =
            (store.find(TREES, &key(&last))?, self.changes(&last, commit).await?)
        else {
            return Ok(false);
        };
        let copy = Command::new("cp").arg("-al").arg("--").arg(entry.dir().join(TREE)).arg(tree);
        unpack::run(self.fetcher, copy).await?;
        // What lies in a folder comes before the folder itself, which may become a file.
        let removed = changes.iter().rev().try_for_each(|file| {
            let path = tree.join(file);
            let removed = match path.symlink_metadata() {
                // A submodule's, in which there is nothing.
                Ok(meta) if meta.is_dir() => fs_err::remove_dir(&path),
                _ => remove_with_folders(&path, tree),
            };
            match removed {
                Err(error) if absent(&error) => Ok(()),
                other => other,
            }
        });
        removed.map_err(|error| store.error(error))?;
        let files: Vec<&str> = changes.iter().map(String::as_str).collect();
        Ok(files.is_empty() || self.write_files(commit, &files, tree).await?.is_none())
    }

    /// Checks the commit out, from a mirror that is made again if it turns out damaged.
    async fn check_out(&self, commit: &str, tree: &Path) -> Result<(), KernelError> {
        let lock = self.lock().await?;
        match self.fetch(commit).await {
            Ok(()) => {
                (self.fetcher.progress)(Progress::Stage(Stage::Unpack));
                if self.write_next(commit, tree).await?
                    || self.write_tree(commit, tree).await?.is_none()
                {
                    return Ok(());
                }
            }
            Err(KernelError::Source(SourceError::Unreachable { said, .. }))
                if self.is_named_in(&said) => {}
            Err(error) => return Err(error),
        }
        let notice = format!("the mirror of {} was damaged and is made again", self.source.repo);
        (self.fetcher.progress)(Progress::Notice(&notice));
        self.remove()?;
        self.fetch(commit).await?;
        let failed = self.write_tree(commit, tree).await?;
        drop(lock);
        match failed {
            None => Ok(()),
            Some(said) => Err(said::explain(self.source, &said)),
        }
    }
}
