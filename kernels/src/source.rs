// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernel sources come from, and the pristine trees they become.

mod apt;
mod archive;
mod debian;
mod dir;
mod fetcher;
mod git;
mod kinds;
mod tarball;
mod unpack;

use std::path::Path;

use host::store::Entry;

use crate::error::{KernelError, Prerequisite};
use crate::git::is_commit_id;
use crate::pristine::Pristine;
use crate::series::Series;

pub(crate) use apt::MachineApt;
pub(crate) use archive::Archive;
pub(crate) use debian::compare_versions;
use fetcher::TREE;
pub(crate) use fetcher::{Base, Fetcher};
pub use kinds::{DebianPackage, Digest, GitRepository, Origin, Source, SourceIdentity, Tarball};

/// Which source `source` means now. apt's lists and a tree in place are read for it, and a
/// git server is asked for a branch; without their help the newest version in the store
/// is taken, and that is announced.
pub(crate) async fn identify(
    fetcher: &Fetcher<'_>,
    source: &Source,
) -> Result<SourceIdentity, KernelError> {
    match source {
        Source::Debian(package) => debian::identify(fetcher, package).await,
        Source::Tarball(tarball) => tarball::identify(tarball).await,
        Source::Dir(dir) => dir::identify(fetcher, dir).await,
        Source::Git(git) => git::identify(fetcher, git).await,
    }
}

/// The source's pristine tree, fetched and unpacked if need be.
pub(crate) async fn tree(
    fetcher: &Fetcher<'_>,
    source: &Source,
    identity: &SourceIdentity,
) -> Result<Pristine, KernelError> {
    match source {
        Source::Debian(package) => debian::tree(fetcher, package, identity).await.map(stored),
        Source::Tarball(tarball) => tarball::tree(fetcher, tarball, identity).await.map(stored),
        Source::Dir(dir) => dir::tree(fetcher, dir, identity).await,
        Source::Git(git) => git::tree(fetcher, git, identity).await,
    }
}

/// Makes the folder `dir` hold the files that `series` touches as they are in the commit
/// that it was made for.
pub(crate) async fn base(
    fetcher: &Fetcher<'_>,
    source: &Source,
    series: &Series,
    dir: &Path,
) -> Result<Base, KernelError> {
    match (source, series.base.as_ref().filter(|base| is_commit_id(base))) {
        (Source::Git(git), Some(base)) => git::base(fetcher, git, base, series, dir).await,
        _ => Ok(Base::Unknown),
    }
}

/// The tag or branch of the source that `series` was made for, if one is found.
pub(crate) async fn nearest(
    fetcher: &Fetcher<'_>,
    source: &Source,
    identity: &SourceIdentity,
    series: &Series,
) -> Result<Option<String>, KernelError> {
    match source {
        Source::Git(git) => git::nearest(fetcher, git, series, identity.digest.digits()).await,
        _ => Ok(None),
    }
}

/// What `series` wants applied before it, with what the source's history says of it.
pub(crate) async fn prerequisites(
    fetcher: &Fetcher<'_>,
    source: &Source,
    identity: &SourceIdentity,
    series: &Series,
) -> Result<Vec<Prerequisite>, KernelError> {
    match source {
        Source::Git(git) => {
            git::prerequisites(fetcher, git, series, identity.digest.digits()).await
        }
        _ => Ok(series.prerequisites()),
    }
}

/// The tree within an entry of [`TREES`].
fn stored(entry: Entry) -> Pristine {
    Pristine { dir: entry.dir().join(TREE), listing: None, kept: true }
}
