// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian packages of the guest's architecture.
//!
//! apt chooses them and what they need, in a root of its own ([`host::apt`]). The choice is
//! remembered and the packages are kept in the store: apt is asked again when that was a
//! week ago, when another mirror is named, or when they are gone from the store. When it
//! cannot reach its mirror, those that are in the store do.

mod contents;
mod error;

use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use host::apt::{Apt, Mirror, Package, PackageName, Suite, Tools};
use host::arch::Arch;
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher, Store};
use serde::{Deserialize, Serialize};

pub(crate) use contents::{Contents, link_merged, merged, of_deb};
pub use error::PackageError;

/// Packages as they were fetched together.
const SETS: Bucket = Bucket { name: "guest-packages", check: Check::Digests };

/// For so many seconds apt is not asked the same again.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// Packages that were chosen together, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    pub(crate) packages: Vec<Package>,
}

impl Set {
    fn new(mut packages: Vec<Package>) -> Self {
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Self { packages }
    }

    /// Names the packages' contents, wherever they were fetched from.
    pub(crate) fn key(&self) -> Key {
        let key = KeyHasher::new("guest packages", 1);
        self.packages.iter().fold(key, |key, p| key.field(&p.file, &p.sha256)).finish()
    }
}

/// What apt answered last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    /// In seconds since 1970.
    asked: u64,
    /// The mirror that was named.
    mirror: Option<String>,
    set: Set,
}

/// Packages that are asked for, and where.
pub(crate) struct Request<'a> {
    pub(crate) arch: &'static Arch,
    pub(crate) suite: Suite,
    pub(crate) names: Vec<PackageName>,
    pub(crate) mirror: Option<&'a str>,
    pub(crate) store: &'a Store,
    pub(crate) tools: &'a Tools,
    pub(crate) notice: &'a dyn Fn(&str),
}

impl Request<'_> {
    /// The packages to take. As long as the answer is remembered, nothing but that is read.
    pub(crate) async fn choose(&self) -> Result<Set, PackageError> {
        let is_fresh = |last: &Remembered| {
            // A time to come is of a clock that was wrong.
            let age = now().checked_sub(last.asked);
            last.mirror.as_deref() == self.mirror && age.is_some_and(|age| age < WEEK)
        };
        match self.remembered().filter(is_fresh) {
            Some(last) => Ok(last.set),
            None => Ok(self.ask().await?.0),
        }
    }

    /// The files of `set`, or of what is chosen now if they are not in the store any more.
    pub(crate) async fn files(&self, set: Set) -> Result<(Set, Entry), PackageError> {
        match self.store.find(SETS, &set.key())? {
            Some(entry) => Ok((set, entry)),
            None => self.ask().await,
        }
    }

    async fn ask(&self) -> Result<(Set, Entry), PackageError> {
        let answer = match self.fetch().await {
            Err(error) if error.is_silence() => match self.stored()? {
                Some(stored) => {
                    self.announce(&error, &stored.0);
                    stored
                }
                None => return Err(error),
            },
            answer => answer?,
        };
        let mirror = self.mirror.map(str::to_owned);
        let remembered = Remembered { asked: now(), mirror, set: answer.0.clone() };
        // Only a memory: if it cannot be written, apt is asked again.
        let _ = self.remember(&remembered);
        Ok(answer)
    }

    fn announce(&self, error: &PackageError, set: &Set) {
        let wanted = |package: &&Package| self.names.iter().any(|n| n.as_str() == package.name);
        let versions: Vec<String> = set
            .packages
            .iter()
            .filter(wanted)
            .map(|package| format!("{} {}", package.name, package.version))
            .collect();
        let error = error.to_string();
        let reason = error.lines().next().unwrap_or_default();
        (self.notice)(&format!("{reason}: taking from the store {}", versions.join(", ")));
    }

    async fn fetch(&self) -> Result<(Set, Entry), PackageError> {
        let mirror = Mirror::choose(self.mirror, &self.tools.etc)?;
        let names: Vec<&str> = self.names.iter().map(PackageName::as_str).collect();
        (self.notice)(&format!(
            "fetching packages of {} for {}: {}",
            self.suite.as_str(),
            self.arch.debian,
            names.join(", ")
        ));
        let waiting = || (self.notice)("waiting for another swapstorm that fetches packages");
        let (arch, suite) = (self.arch.debian, &self.suite);
        let apt = Apt::of_suite(self.tools, self.store, arch, suite, &mirror, waiting).await?;
        let set = Set::new(apt.resolve(&self.names).await?);
        let entry = match self.store.claim(SETS, &set.key(), || ()).await? {
            Claim::Found(entry) => entry,
            Claim::Absent(slot) => {
                if let Some(damage) = slot.damage() {
                    let notice = "packages in the store were damaged and are fetched again";
                    (self.notice)(&format!("{notice}: {damage}"));
                }
                apt.download(&self.names, slot.dir()).await?;
                slot.publish().await?
            }
        };
        Ok((set, entry))
    }

    /// Where the answer to this request is remembered.
    fn memory(&self) -> PathBuf {
        let key = KeyHasher::new("package request", 1)
            .field("arch", self.arch.name)
            .field("suite", self.suite.as_str());
        let key = self.names.iter().fold(key, |key, name| key.field("package", name.as_str()));
        self.store.path(format!("apt/guest-{}.json", key.finish()))
    }

    fn remember(&self, answer: &Remembered) -> io::Result<()> {
        fs_err::create_dir_all(self.store.path("apt"))?;
        let bytes = serde_json::to_vec(answer).map_err(io::Error::other)?;
        fs_err::write(self.memory(), bytes)
    }

    fn remembered(&self) -> Option<Remembered> {
        serde_json::from_slice(&fs_err::read(self.memory()).ok()?).ok()
    }

    /// The last answer, however old, if its packages are in the store.
    fn stored(&self) -> Result<Option<(Set, Entry)>, PackageError> {
        let Some(Remembered { set, .. }) = self.remembered() else { return Ok(None) };
        Ok(self.store.find(SETS, &set.key())?.map(|entry| (set, entry)))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
