// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel sources from Debian's `linux-source-*` packages.
//!
//! Without a suite, the machine's own apt says which version is the newest, and fetches it. A
//! package of a suite comes through an apt of our own ([`host::apt`]), which the machine's
//! sources do not bind. It is asked once a day.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use host::apt::{self, AptError, PackageName, Suite};
use host::process::Command;
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fetcher::{Fetcher, TREES};
use super::kinds::{DebianPackage, Digest, SourceIdentity};
use super::unpack;
use crate::error::{KernelError, SourceError};
use crate::progress::{Progress, Stage};
use crate::stored::IDENTITY;

/// Packages as they were fetched: `package.deb` and `source.json`.
const PACKAGES: Bucket = Bucket { name: "packages", check: Check::Digests };
const PACKAGE: &str = "package.deb";

/// For so many seconds no suite is asked the same again.
const DAY: u64 = 24 * 60 * 60;

/// What the machine's apt answered, and when it would answer the same.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    fingerprint: String,
    identity: SourceIdentity,
}

/// What a suite had when it was asked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberedOfSuite {
    /// In seconds since 1970.
    asked: u64,
    /// The mirror that was named.
    mirror: Option<String>,
    identity: SourceIdentity,
}

pub(super) async fn identify(
    fetcher: &Fetcher<'_>,
    package: &DebianPackage,
) -> Result<SourceIdentity, KernelError> {
    match &package.suite {
        Some(suite) => identify_of_suite(fetcher, &package.name, suite).await,
        None => identify_of_machine(fetcher, package.name.as_str()).await,
    }
}

async fn identify_of_machine(
    fetcher: &Fetcher<'_>,
    name: &str,
) -> Result<SourceIdentity, KernelError> {
    let memo = fetcher.store.path(format!("apt/{name}.json"));
    let fingerprint = fetcher.apt.fingerprint();
    if let (Some(fingerprint), Some(remembered)) = (&fingerprint, recall::<Remembered>(&memo))
        && remembered.fingerprint == *fingerprint
        && remembered.identity.package == name
    {
        return Ok(remembered.identity);
    }
    match fetcher.apt.candidate(name).await {
        Ok(identity) => {
            if let Some(fingerprint) = fingerprint {
                remember(&memo, &Remembered { fingerprint, identity: identity.clone() });
            }
            Ok(identity)
        }
        Err(error) => match newest_stored(fetcher, name).await? {
            Some(identity) => {
                let notice = format!(
                    "apt cannot be asked for {name}: taking version {} from the store",
                    identity.version
                );
                (fetcher.progress)(Progress::Notice(&notice));
                Ok(identity)
            }
            None => Err(error),
        },
    }
}

async fn identify_of_suite(
    fetcher: &Fetcher<'_>,
    name: &PackageName,
    suite: &Suite,
) -> Result<SourceIdentity, KernelError> {
    let (mirror, label) =
        (&fetcher.archive.mirror, format!("{}_{}", name.as_str(), suite.as_str()));
    let memo = fetcher.store.path(format!("apt/{label}.json"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let remembered = recall::<RememberedOfSuite>(&memo)
        .filter(|last| last.mirror == *mirror && last.identity.package == name.as_str());
    // A time to come is of a clock that was wrong. What is still to be fetched may be gone by now.
    if let Some(last) = &remembered
        && now.checked_sub(last.asked).is_some_and(|age| age < DAY)
        && is_stored(fetcher, &last.identity)?
    {
        return Ok(last.identity.clone());
    }
    (fetcher.progress)(Progress::Stage(Stage::Lists));
    let newest = async {
        fetcher.archive.suite(suite, fetcher.store, fetcher.progress).await?.newest(name).await
    };
    match (newest.await, remembered) {
        (Ok(package), _) => {
            let identity = SourceIdentity {
                package: package.name,
                version: package.version,
                digest: Digest::Sha256(package.sha256),
            };
            let (asked, mirror) = (now, mirror.clone());
            remember(&memo, &RememberedOfSuite { asked, mirror, identity: identity.clone() });
            Ok(identity)
        }
        (Err(error), Some(last)) if error.is_silence() => {
            let error = error.to_string();
            let notice = format!(
                "{}: taking version {} of {}, the last that was known",
                error.lines().next().unwrap_or_default(),
                last.identity.version,
                name.as_str(),
            );
            (fetcher.progress)(Progress::Notice(&notice));
            Ok(last.identity)
        }
        (Err(error), _) => Err(of_apt(error)),
    }
}

/// True if the package was fetched. Whether it is whole is asked when it is used.
fn is_stored(fetcher: &Fetcher<'_>, identity: &SourceIdentity) -> Result<bool, KernelError> {
    let key = key("debian package", 1, identity);
    Ok(fetcher.store.list(PACKAGES)?.iter().any(|entry| entry.key == key))
}

/// Errors of the store and of programs are told as such.
fn of_apt(error: AptError) -> KernelError {
    match error {
        AptError::Store(error) => error.into(),
        AptError::Process(error) => error.into(),
        error if error.is_of_request() => KernelError::Request(error.to_string()),
        other => SourceError::Suite(other).into(),
    }
}

fn recall<T: DeserializeOwned>(memo: &Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(memo).ok()?).ok()
}

/// Only a memory: if it cannot be written, apt is asked again.
fn remember(memo: &Path, answer: &impl Serialize) {
    let _ = serde_json::to_vec(answer).map(|bytes| crate::worktree::write_whole(memo, &bytes));
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
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
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
    package: &DebianPackage,
    identity: &SourceIdentity,
) -> Result<Entry, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same source tree"));
    let key = key("debian tree", 1, identity);
    let slot = match fetcher.store.claim(TREES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the unpacked source");
    let package = fetch(fetcher, package.suite.as_ref(), identity).await?;
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
async fn fetch(
    fetcher: &Fetcher<'_>,
    suite: Option<&Suite>,
    identity: &SourceIdentity,
) -> Result<Entry, KernelError> {
    let waiting = || (fetcher.progress)(Progress::Waiting("the same download"));
    let key = key("debian package", 1, identity);
    let slot = match fetcher.store.claim(PACKAGES, &key, waiting).await? {
        Claim::Found(entry) => return Ok(entry),
        Claim::Absent(slot) => slot,
    };
    unpack::notice_damage(fetcher, &slot, "the fetched package");
    (fetcher.progress)(Progress::Stage(Stage::Fetch));
    let percent = |percent| (fetcher.progress)(Progress::Download { percent });
    let file = match suite {
        None => fetcher.apt.download(identity, fetcher.store, slot.dir(), percent).await?,
        Some(suite) => download_of_suite(fetcher, suite, identity, slot.dir(), percent)
            .await
            .map_err(of_apt)?,
    };
    if Digest::Sha256(unpack::sha256(&file).await?) != identity.digest {
        return Err(damaged(identity, "what was fetched has another SHA-256 than apt's lists say"));
    }
    fs_err::rename(&file, slot.dir().join(PACKAGE)).map_err(|error| fetcher.store.error(error))?;
    write_identity(fetcher, identity, slot.dir())?;
    Ok(slot.publish().await?)
}

async fn download_of_suite(
    fetcher: &Fetcher<'_>,
    suite: &Suite,
    identity: &SourceIdentity,
    dir: &Path,
    percent: impl Fn(f64),
) -> Result<PathBuf, AptError> {
    let package = apt::Package {
        name: identity.package.clone(),
        version: identity.version.clone(),
        file: String::new(),
        sha256: identity.digest.digits().to_owned(),
    };
    fetcher
        .archive
        .suite(suite, fetcher.store, fetcher.progress)
        .await?
        .download_one(&package, dir, percent)
        .await
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
