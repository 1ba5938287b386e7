// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies in the store of kernels and their sources, in words.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use host::arch;
use serde::de::DeserializeOwned;

use crate::kernel::Facts;
use crate::source::{Digest, SourceIdentity, compare_versions};
use crate::text::quote;

/// Which source something was made from: in entries, and in work trees.
pub(crate) const IDENTITY: &str = "source.json";
/// The longest line of a Makefile or a configuration that is looked at, and how many of them.
const HEAD_LINES: usize = 10;

/// Something in the store that a kernel comes from, or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Release, architecture, series, as far as it has them: one line.
    pub words: String,
    /// The source that it is, or was made from, if that is written down there.
    pub source: Option<SourceIdentity>,
    /// True if this version cannot read it, so that nobody will use it again.
    pub is_orphan: bool,
}

/// What lies at `dir`, of the kind that the store's folder `kind` holds; nothing for kinds that
/// are not of kernels.
pub fn stored(kind: &str, dir: &Path) -> Option<Stored> {
    let source = read::<SourceIdentity>(&dir.join(IDENTITY));
    let named = |source: &Option<SourceIdentity>| {
        source
            .as_ref()
            .map(|source| format!("{} {}", quote(&source.package), quote(&source.version)))
    };
    let known = |words: String, source| Stored { words, source, is_orphan: false };
    match kind {
        "kernels" => Some(match read::<Facts>(&dir.join("kernel.json")) {
            Some(facts) => {
                let mut words = format!("Linux {}", facts.release);
                if let Some((arch, _)) = configured(&dir.join("config")) {
                    words = format!("{words} {arch}");
                }
                if let Some(first) = facts.patches.first() {
                    let more = facts.patches.len() - 1;
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    words = format!("{words} + {}{more}", quote(first));
                }
                known(words, Some(facts.source))
            }
            None => Stored { words: "of another format".into(), source: None, is_orphan: true },
        }),
        "sources" => {
            let release =
                release(&dir.join("tree/Makefile")).map(|release| format!("Linux {release}"));
            Some(known(named(&source).or(release).unwrap_or_else(|| "a tree".into()), source))
        }
        "packages" => Some(match named(&source) {
            Some(words) => known(words, source),
            None => Stored { words: "of another format".into(), source: None, is_orphan: true },
        }),
        "tarballs" => Some(known("a tarball".into(), None)),
        "work" => {
            let words = match configured(&dir.join("build/.config")) {
                Some((arch, release)) => format!("Linux {release} {arch}"),
                None => release(&dir.join("source/Makefile"))
                    .map_or_else(|| "not laid out".into(), |release| format!("Linux {release}")),
            };
            Some(known(words, source))
        }
        "git" => Some(known("a mirror of a repository".into(), None)),
        _ => None,
    }
}

/// The versions of packages that newer ones have replaced, each with the newest: all but the newest `keep`
/// of each package.
pub fn superseded<'a>(
    sources: impl IntoIterator<Item = &'a SourceIdentity>,
    keep: usize,
) -> BTreeMap<(&'a str, &'a str), &'a str> {
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // Of all sources only packages have versions that follow each other.
    let versioned = |source: &&SourceIdentity| {
        matches!(source.digest, Digest::Sha256(_)) && source.version != "tarball"
    };
    for source in sources.into_iter().filter(versioned) {
        packages.entry(&source.package).or_default().push(&source.version);
    }
    let mut superseded = BTreeMap::new();
    for (package, mut versions) in packages {
        versions.sort_by(|a, b| compare_versions(b, a));
        versions.dedup();
        for old in versions.iter().skip(keep) {
            superseded.insert((package, *old), versions[0]);
        }
    }
    superseded
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(file).ok()?).ok()
}

/// Architecture and release of a final configuration: `# Linux/x86_64 6.1.192 Kernel Configuration`.
fn configured(config: &Path) -> Option<(String, String)> {
    let title = head(config).find_map(|line| {
        Some(line.strip_prefix("# Linux/")?.strip_suffix(" Kernel Configuration")?.to_owned())
    });
    let title = title?;
    let (theirs, release) = title.split_once(' ')?;
    let ours = arch::ALL.iter().find(|arch| arch.kernel_arch == theirs);
    Some((ours.map_or(quote(theirs), |arch| arch.name.to_owned()), quote(release)))
}

/// The release that a kernel's Makefile names in its first lines.
fn release(makefile: &Path) -> Option<String> {
    let value = |name: &str| {
        head(makefile).find_map(|line| {
            Some(line.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().to_owned())
        })
    };
    let (version, patchlevel) = (value("VERSION")?, value("PATCHLEVEL")?);
    let sublevel = value("SUBLEVEL").map(|number| format!(".{number}")).unwrap_or_default();
    let extra = value("EXTRAVERSION").unwrap_or_default();
    Some(quote(&format!("{version}.{patchlevel}{sublevel}{extra}")))
}

fn head(file: &Path) -> impl Iterator<Item = String> {
    let lines = fs_err::File::open(file).map(|file| BufReader::new(file).lines());
    lines.into_iter().flatten().map_while(Result::ok).take(HEAD_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, file: &str, text: &str) {
        let file = dir.join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }

    const SOURCE: &str = r#"{"package":"linux-source-6.1","version":"6.1.192-2","sha256":"0a"}"#;
    const CONFIG: &str = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/riscv 6.1.192 Kernel Configuration\n#\n";

    #[test]
    fn things_say_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let words = |kind: &str, name: &str| stored(kind, &at(name)).unwrap().words;
        let facts = format!(
            r#"{{"release":"6.1.192","compiler":"gcc","source":{SOURCE},"patches":["mm: fix","mm: more"]}}"#
        );
        write(&at("kernel"), "kernel.json", &facts);
        write(&at("kernel"), "config", CONFIG);
        assert_eq!(words("kernels", "kernel"), "Linux 6.1.192 riscv64 + mm: fix and 1 more");
        write(
            &at("tree"),
            "tree/Makefile",
            "# SPDX\nVERSION = 6\nPATCHLEVEL = 8\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n",
        );
        assert_eq!(words("sources", "tree"), "Linux 6.8.0-rc1");
        write(&at("tree"), IDENTITY, SOURCE);
        assert_eq!(words("sources", "tree"), "linux-source-6.1 6.1.192-2");
        write(&at("work"), "build/.config", CONFIG);
        assert_eq!(words("work", "work"), "Linux 6.1.192 riscv64");
        assert_eq!(stored("images", &at("work")), None);
        // What nobody can read any more.
        write(&at("old"), "kernel.json", r#"{"release":"6.1.192"}"#);
        for kind in ["kernels", "packages"] {
            assert!(stored(kind, &at("old")).unwrap().is_orphan, "{kind}");
        }
        assert!(!stored("kernels", &at("kernel")).unwrap().is_orphan);
    }

    #[test]
    fn all_but_the_newest_versions_of_a_package_are_superseded() {
        let identity = |package: &str, version: &str, digest| SourceIdentity {
            package: package.to_owned(),
            version: version.to_owned(),
            digest,
        };
        let debian = |package, version| identity(package, version, Digest::Sha256(String::new()));
        let sources = [
            debian("linux-source-6.1", "6.1.99-1"),
            debian("linux-source-6.1", "6.1.192-2"),
            debian("linux-source-6.1", "6.1.192-2"),
            debian("linux-source-6.1", "6.1.192-1"),
            debian("linux-source-6.12", "6.12.1-1"),
            debian("linux.tar", "tarball"),
            identity("/linux", "main", Digest::Commit(String::new())),
            identity("/linux", "dev", Digest::Commit(String::new())),
        ];
        let old = |keep| superseded(&sources, keep).into_keys().collect::<Vec<_>>();
        assert_eq!(old(1), [("linux-source-6.1", "6.1.192-1"), ("linux-source-6.1", "6.1.99-1")]);
        assert_eq!(old(2), [("linux-source-6.1", "6.1.99-1")]);
        assert_eq!(old(3), []);
        assert!(superseded(&sources, 1).values().all(|newest| *newest == "6.1.192-2"));
    }
}
