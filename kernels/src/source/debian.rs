// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel sources from Debian's `linux-source-*` packages.

use std::cmp::Ordering;
use std::path::Path;

use host::process::Command;
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher};
use serde::{Deserialize, Serialize};

use super::unpack;
use super::{DebianPackage, Digest, Fetcher, SourceError, SourceIdentity, TREES};
use crate::error::KernelError;
use crate::progress::{Progress, Stage};

/// Packages as they were fetched: `package.deb` and `source.json`.
const PACKAGES: Bucket = Bucket { name: "packages", check: Check::Digests };
const PACKAGE: &str = "package.deb";
const IDENTITY: &str = "source.json";

/// What apt answered, and when it would answer the same.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    fingerprint: String,
    identity: SourceIdentity,
}

pub(super) async fn identify(
    fetcher: &Fetcher<'_>,
    package: &DebianPackage,
) -> Result<SourceIdentity, KernelError> {
    let memo = match &package.suite {
        Some(suite) => format!("apt/{}_{suite}.json", package.name),
        None => format!("apt/{}.json", package.name),
    };
    let memo = fetcher.store.path(memo);
    let fingerprint = fetcher.apt.fingerprint();
    if let (Some(fingerprint), Ok(bytes)) = (&fingerprint, fs_err::read(&memo))
        && let Ok(remembered) = serde_json::from_slice::<Remembered>(&bytes)
        && remembered.fingerprint == *fingerprint
        && remembered.identity.package == package.name
    {
        return Ok(remembered.identity);
    }
    match fetcher.apt.candidate(package).await {
        Ok(identity) => {
            if let Some(fingerprint) = fingerprint {
                let remembered = Remembered { fingerprint, identity: identity.clone() };
                // Only a memory: if it cannot be written, apt is asked again.
                let _ = serde_json::to_vec(&remembered)
                    .map(|bytes| crate::worktree::write_whole(&memo, &bytes));
            }
            Ok(identity)
        }
        // Which suite a version in the store came from is not known any more.
        Err(error) if package.suite.is_some() => Err(error),
        Err(error) => match newest_stored(fetcher, &package.name).await? {
            Some(identity) => {
                let notice = format!(
                    "apt cannot be asked for {}: taking version {} from the store",
                    package.name, identity.version
                );
                (fetcher.progress)(Progress::Notice(&notice));
                Ok(identity)
            }
            None => Err(error),
        },
    }
}

/// The newest version of the package that was fetched before.
async fn newest_stored(
    fetcher: &Fetcher<'_>,
    package: &str,
) -> Result<Option<SourceIdentity>, KernelError> {
    let mut newest: Option<SourceIdentity> = None;
    for entry in fetcher.store.list(PACKAGES)? {
        let identity = fs_err::read(entry.dir().join(IDENTITY)).ok();
        let identity = identity.and_then(|b| serde_json::from_slice::<SourceIdentity>(&b).ok());
        let Some(identity) = identity.filter(|identity| identity.package == package) else {
            continue;
        };
        let newer = newest.as_ref().is_none_or(|newest| {
            compare_versions(&identity.version, &newest.version) == Ordering::Greater
        });
        if newer {
            newest = Some(identity);
        }
    }
    Ok(newest)
}

/// Orders versions as Debian Policy 5.6.12 does: epoch, upstream version, revision.
fn compare_versions(a: &str, b: &str) -> Ordering {
    fn parts(version: &str) -> (u64, &str, &str) {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.parse().unwrap_or(0), upstream, revision)
    }
    let ((ea, ua, ra), (eb, ub, rb)) = (parts(a), parts(b));
    ea.cmp(&eb).then_with(|| compare_part(ua, ub)).then_with(|| compare_part(ra, rb))
}

/// Compares by turns a stretch without digits and a number. In the former, `~` sorts
/// before the end, the end before letters, letters before everything else.
fn compare_part(a: &str, b: &str) -> Ordering {
    fn rank(byte: Option<&u8>) -> i32 {
        match byte {
            Some(b'~') => -1,
            None => 0,
            Some(byte) if byte.is_ascii_digit() => 0,
            Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
            Some(byte) => i32::from(*byte) + 256,
        }
    }
    fn number(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = bytes.split_at(length);
        *bytes = rest;
        digits.iter().fold(0, |n: u64, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')))
    }
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while [a, b].iter().any(|s| s.first().is_some_and(|byte| !byte.is_ascii_digit())) {
            match rank(a.first()).cmp(&rank(b.first())) {
                Ordering::Equal => {
                    a = a.get(1..).unwrap_or_default();
                    b = b.get(1..).unwrap_or_default();
                }
                other => return other,
            }
        }
        match number(&mut a).cmp(&number(&mut b)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    Ordering::Equal
}

fn key(kind: &str, version: u32, identity: &SourceIdentity) -> Key {
    KeyHasher::new(kind, version)
        .field("package", &identity.package)
        .field("version", &identity.version)
        .field("sha256", identity.digest.digits())
        .finish()
}

pub(super) async fn tree(
    fetcher: &Fetcher<'_>,
    identity: &SourceIdentity,
) -> Result<Entry, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same source tree"));
    let key = key("debian tree", 1, identity);
    let slot = match fetcher.store.claim(TREES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the unpacked source");
    let package = package(fetcher, identity).await?;
    (fetcher.progress)(Progress::Stage(Stage::Unpack));
    unpack(fetcher, identity, &package.dir().join(PACKAGE), slot.dir()).await?;
    write_identity(fetcher, identity, slot.dir())?;
    Ok(slot.publish().await?)
}

fn write_identity(
    fetcher: &Fetcher<'_>,
    identity: &SourceIdentity,
    dir: &Path,
) -> Result<(), KernelError> {
    let written = serde_json::to_vec(identity)
        .map_err(std::io::Error::from)
        .and_then(|bytes| fs_err::write(dir.join(IDENTITY), bytes));
    Ok(written.map_err(|error| fetcher.store.error(error))?)
}

/// The entry that holds the package, fetched if need be.
async fn package(fetcher: &Fetcher<'_>, identity: &SourceIdentity) -> Result<Entry, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same download"));
    let key = key("debian package", 1, identity);
    let slot = match fetcher.store.claim(PACKAGES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the fetched package");
    (fetcher.progress)(Progress::Stage(Stage::Fetch));
    let percent = |percent| (fetcher.progress)(Progress::Download { percent });
    let file = fetcher.apt.download(identity, fetcher.store, slot.dir(), percent).await?;
    if Digest::Sha256(unpack::sha256(&file).await?) != identity.digest {
        return Err(damaged(identity, "what was fetched has another SHA-256 than apt's lists say"));
    }
    fs_err::rename(&file, slot.dir().join(PACKAGE)).map_err(|error| fetcher.store.error(error))?;
    write_identity(fetcher, identity, slot.dir())?;
    Ok(slot.publish().await?)
}

/// Unpacks the tarball within the package to `dir/tree`.
async fn unpack(
    fetcher: &Fetcher<'_>,
    identity: &SourceIdentity,
    package: &Path,
    dir: &Path,
) -> Result<(), KernelError> {
    let store_error = |error| KernelError::Store(fetcher.store.error(error));
    let outer = dir.join("package");
    unpack::run(fetcher, Command::new("dpkg-deb").arg("--extract").arg(package).arg(&outer))
        .await?;
    let tarball = outer.join(format!("usr/src/{}.tar.xz", identity.package));
    if !tarball.is_file() {
        let what = format!("it holds no usr/src/{}.tar.xz", identity.package);
        return Err(damaged(identity, what));
    }
    let unusable = |what| damaged(identity, what);
    unpack::tarball(fetcher, &tarball, dir).await.map_err(|damage| damage.explain(unusable))?;
    host::store::remove_tree(&outer).map_err(store_error)?;
    Ok(())
}

fn damaged(identity: &SourceIdentity, what: impl Into<String>) -> KernelError {
    KernelError::Source(SourceError::Damaged {
        package: identity.package.clone(),
        version: identity.version.clone(),
        what: what.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (smaller, larger) in [
            ("6.1.99-1", "6.1.192-2"),
            ("6.1.192-1", "6.1.192-2"),
            ("6.12.117-1~deb12u1", "6.12.117-1"),
            ("6.12.117-1~deb12u1", "6.12.117-1~deb12u2"),
            ("1.0~rc1-1", "1.0-1"),
            ("1.0-1", "1.0-1+b1"),
            ("9", "1:1"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+"),
        ] {
            assert_eq!(compare_versions(smaller, larger), Ordering::Less, "{smaller} {larger}");
            assert_eq!(compare_versions(larger, smaller), Ordering::Greater, "{smaller} {larger}");
        }
        assert_eq!(compare_versions("0:1.0-0", "1.0"), Ordering::Equal);
        assert_eq!(compare_versions("1.01", "1.1"), Ordering::Equal);
    }
}
