// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel sources from a tarball: a file of the user's, or one that curl fetches.
//!
//! What is unpacked is what the manifest's SHA-256 says, wherever it comes from; a file that is
//! named without one is what it was when it was asked for.

use std::path::{Path, PathBuf};

use host::process::Command;
use host::store::{Bucket, Check, Claim, Entry, KeyHasher};

use super::fetcher::{Fetcher, TREES};
use super::kinds::{Digest, Origin, SourceIdentity, Tarball};
use super::unpack;
use crate::error::{KernelError, SourceError};
use crate::progress::{Progress, Stage};
use crate::text::tail;

/// Tarballs as they were fetched: one file in each entry.
const TARBALLS: Bucket = Bucket { name: "tarballs", check: Check::Digests };
/// The file within an entry of [`TARBALLS`].
const TARBALL: &str = "tarball";
/// Largest tarball that is fetched, in bytes.
const LARGEST: u64 = 2 << 30;

pub(super) async fn identify(tarball: &Tarball) -> Result<SourceIdentity, KernelError> {
    let sha256 = match (&tarball.sha256, &tarball.origin) {
        (Some(sha256), _) => sha256.clone(),
        (None, Origin::File(file)) => unpack::sha256(file).await?,
        (None, Origin::Url(url)) => {
            let what = format!("{url}: a tarball is fetched only with its SHA-256");
            return Err(KernelError::Request(what));
        }
    };
    Ok(SourceIdentity {
        package: tarball.name().to_owned(),
        version: "tarball".to_owned(),
        digest: Digest::Sha256(sha256),
    })
}

pub(super) async fn tree(
    fetcher: &Fetcher<'_>,
    tarball: &Tarball,
    identity: &SourceIdentity,
) -> Result<Entry, KernelError> {
    let sha256 = identity.digest.digits();
    let waiting = || (fetcher.progress)(Progress::Waiting("the same source tree"));
    let key = KeyHasher::new("tarball tree", 1).field("sha256", sha256).finish();
    let slot = match fetcher.store.claim(TREES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the unpacked source");
    let file = match &tarball.origin {
        Origin::File(file) => {
            if !file.is_file() {
                let what = format!("there is no tarball {}", file.display());
                return Err(KernelError::Request(format!("{what}\n  hint: correct the manifest")));
            }
            check(tarball, sha256, file).await?;
            file.clone()
        }
        Origin::Url(url) => fetch(fetcher, tarball, sha256, url).await?,
    };
    (fetcher.progress)(Progress::Stage(Stage::Unpack));
    let unusable = |what| {
        KernelError::Source(SourceError::Unusable { file: tarball.origin.to_string(), what })
    };
    unpack::tarball(fetcher, &file, slot.dir()).await.map_err(|damage| damage.explain(unusable))?;
    Ok(slot.publish().await?)
}

/// Compares a file with the digest that it is to have.
async fn check(tarball: &Tarball, sha256: &str, file: &Path) -> Result<(), KernelError> {
    let found = unpack::sha256(file).await?;
    if found == sha256 {
        return Ok(());
    }
    Err(KernelError::Source(SourceError::Digest {
        file: tarball.origin.to_string(),
        expected: sha256.to_owned(),
        found,
    }))
}

/// The fetched file.
async fn fetch(
    fetcher: &Fetcher<'_>,
    tarball: &Tarball,
    sha256: &str,
    url: &str,
) -> Result<PathBuf, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same download"));
    let key = KeyHasher::new("tarball", 1).field("sha256", sha256).finish();
    let slot = match fetcher.store.claim(TARBALLS, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry.dir().join(TARBALL)),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the fetched tarball");
    (fetcher.progress)(Progress::Stage(Stage::Fetch));
    let file = slot.dir().join(TARBALL);
    let curl = Command::new("curl")
        .args(["--fail", "--location", "--silent", "--show-error", "--retry", "2"])
        .args(["--proto", "=https,http", "--max-filesize", &LARGEST.to_string()])
        .arg("--output")
        .arg(&file)
        .args(["--", url])
        .env("LC_ALL", "C")
        .output()
        .await?;
    if curl.code != 0 {
        // Its code for a file that cannot be written.
        if curl.code == 23 {
            return Err(fetcher.store.full().into());
        }
        let (url, said) = (url.to_owned(), tail(&curl.stderr, 2));
        return Err(KernelError::Source(SourceError::Download { url, said }));
    }
    check(tarball, sha256, &file).await?;
    Ok(slot.publish().await?.dir().join(TARBALL))
}
