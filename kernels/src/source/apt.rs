// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks the machine's own apt for the newest version of a package and for the package itself,
//! without root.
//!
//! apt verifies what it fetches against lists that the distribution signed. Formats:
//! deb822 paragraphs from `apt-cache show` (deb-control(5)), and what [`host::apt`] reads.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use host::apt::status_percent;
use host::process::{Command, ProcessError};
use host::store::{KeyHasher, Store};

use super::kinds::{Digest, SourceIdentity};
use crate::error::{KernelError, SourceError};
use crate::text::{quote, tail};

/// The programs, and where apt keeps what its answers depend on.
#[derive(Debug, Clone)]
pub(crate) struct MachineApt {
    pub(crate) get: String,
    pub(crate) cache: String,
    pub(crate) state: Vec<PathBuf>,
}

impl Default for MachineApt {
    fn default() -> Self {
        let state = [
            "/var/lib/apt/lists",
            "/var/lib/dpkg/status",
            "/etc/apt",
            "/etc/apt/sources.list.d",
            "/etc/apt/preferences.d",
            "/etc/apt/apt.conf.d",
        ];
        Self {
            get: "apt-get".into(),
            cache: "apt-cache".into(),
            state: state.map(PathBuf::from).into(),
        }
    }
}

impl MachineApt {
    /// Hash of names, sizes and times of the files that decide apt's answers. Asking apt
    /// takes it a second or more to read its lists, so its answer is kept while this
    /// stays the same. `None` if there is nothing to go by.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let mut files = Vec::new();
        for path in &self.state {
            if path.is_file() {
                files.push(path.clone());
            } else if let Ok(entries) = fs_err::read_dir(path) {
                files.extend(entries.flatten().map(|entry| entry.path()).filter(|p| p.is_file()));
            }
        }
        files.sort();
        let hash = files.iter().try_fold(KeyHasher::new("apt state", 1), |hasher, file| {
            let meta = fs_err::metadata(file).ok()?;
            let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
            let stamp = format!("{} {time}", meta.len());
            Some(hasher.field(&file.to_string_lossy(), stamp))
        })?;
        (!files.is_empty()).then(|| hash.finish().to_string())
    }

    /// The version that apt would install now.
    pub(crate) async fn candidate(&self, name: &str) -> Result<SourceIdentity, KernelError> {
        let output = Command::new(&self.cache)
            .args(["show", "--no-all-versions", "--", name])
            .env("LC_ALL", "C")
            .output()
            .await?;
        if output.code == 0
            && let Some(identity) = parse_show(name, &String::from_utf8_lossy(&output.stdout))
        {
            return Ok(identity);
        }
        Err(KernelError::Source(SourceError::Apt {
            package: name.to_owned(),
            what: "apt does not know this package",
            detail: String::new(),
            next_step: "run `apt-get update` as root; the package is Debian's, so on other distributions name its `suite` in the manifest, \
                        or use another kernel manifest",
        }))
    }

    /// Fetches the package into `dir`, a folder below `store`, and returns its path.
    /// `percent` follows the download.
    pub(crate) async fn download(
        &self,
        identity: &SourceIdentity,
        store: &Store,
        dir: &Path,
        percent: impl Fn(f64),
    ) -> Result<PathBuf, KernelError> {
        let mut said = Vec::new();
        let code = Command::new(&self.get)
            .args(["-q=2", "-o", "APT::Status-Fd=1", "-o", "Acquire::Retries=2"])
            // Whatever the machine's settings: nothing unsigned.
            .args(["-o", "APT::Get::AllowUnauthenticated=false"])
            .args(["-o", "Acquire::AllowInsecureRepositories=false"])
            .args(["download", &format!("{}={}", identity.package, identity.version)])
            .env("LC_ALL", "C")
            .cwd(dir)
            .each_line(|line| match status_percent(line) {
                Some(value) => percent(value),
                None if said.len() < 64 << 10 => {
                    said.extend_from_slice(line);
                    said.push(b'\n');
                }
                None => {}
            })
            .await?;
        let text = String::from_utf8_lossy(&said);
        if text.contains("No space left") || text.contains("enough free space") {
            return Err(store.full().into());
        }
        if code != 0 {
            return Err(explain(&identity.package, &said).into());
        }
        let files = fs_err::read_dir(dir).into_iter().flatten().flatten();
        let deb =
            files.map(|entry| entry.path()).find(|p| p.extension().is_some_and(|e| e == "deb"));
        deb.ok_or_else(|| {
            KernelError::Process(ProcessError::Failed {
                program: self.get.clone(),
                status: "it reported success but left no package".into(),
                stderr: tail(&said, 5),
            })
        })
    }
}

/// Version and digest from the first paragraph of `apt-cache show`.
fn parse_show(package: &str, text: &str) -> Option<SourceIdentity> {
    let field = |name: &str| {
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.trim())
    };
    let (version, sha256) = (field("Version")?, field("SHA256")?);
    let digest = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".+-~:".contains(&b);
    (digest && field("Package")? == package && version.bytes().all(plain)).then(|| SourceIdentity {
        package: package.to_owned(),
        version: version.to_owned(),
        digest: Digest::Sha256(sha256.to_ascii_lowercase()),
    })
}

/// Why a download failed, from apt's words in the C locale.
fn explain(package: &str, said: &[u8]) -> SourceError {
    let text = String::from_utf8_lossy(said);
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (what, next_step) = if any(&["cannot be authenticated", "unauthenticated packages"]) {
        (
            "apt cannot verify the package: its lists are not signed by a known key",
            "install the distribution's archive keyring and run `apt-get update` as root",
        )
    } else if any(&["Hash Sum mismatch", "File has unexpected size"]) {
        (
            "what the mirror has is not what its signed lists say",
            "try again later: a mirror that is being updated looks like this; otherwise name another one in /etc/apt/sources.list*",
        )
    } else if any(&[" 404 "]) {
        (
            "the mirror no longer has the version that apt's lists name",
            "run `apt-get update` as root and try again",
        )
    } else if any(&["not found", "Unable to locate", "Can't find a source"]) {
        ("apt does not offer this version any more", "run `apt-get update` as root and try again")
    } else if any(&[
        "Could not resolve",
        "Temporary failure",
        "Could not connect",
        "Cannot initiate the connection",
        "Connection failed",
        "Connection timed out",
        "Failed to fetch",
        "Unable to connect",
    ]) {
        (
            "apt cannot reach its mirror",
            "check the network, the proxy (http_proxy) and the mirror in /etc/apt/sources.list*",
        )
    } else {
        ("apt cannot download the package", "try `apt-get download` of it by hand")
    };
    let word = text.lines().rev().find(|line| line.starts_with("E:") || line.starts_with("Err:"));
    SourceError::Apt {
        package: package.to_owned(),
        what,
        detail: word.map(quote).unwrap_or_default(),
        next_step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_paragraph_of_apt_cache_show_counts() {
        let digest = "ab".repeat(32);
        let text = format!(
            "Package: p\nVersion: 6.1.192-2\nDescription: x\n Version: 9\nSHA256: {digest}\n\nPackage: p\nVersion: 6.1.1-1\n"
        );
        let identity = parse_show("p", &text).unwrap();
        assert_eq!(
            (identity.version.as_str(), identity.digest),
            ("6.1.192-2", Digest::Sha256(digest))
        );
        assert_eq!(parse_show("q", &text), None);
        assert_eq!(parse_show("p", "Package: p\nVersion: 1\n"), None);
    }

    #[test]
    fn failures_are_told_apart() {
        for (said, what) in [
            ("E: Failed to fetch http://x/y.deb  Could not resolve 'x'", "cannot reach its mirror"),
            ("Err:1 http://x\nE: Failed to fetch http://x/y.deb  404  Not Found", "no longer has"),
            ("E: Failed to fetch http://x:4041/y  Could not connect to x:4041", "cannot reach"),
            ("E: Failed to fetch http://x/y.deb  Hash Sum mismatch", "not what its signed lists"),
            ("WARNING: The following packages cannot be authenticated!\nE: Some", "cannot verify"),
            ("E: Version '1' for 'p' was not found", "does not offer"),
            ("E: Something else", "cannot download"),
        ] {
            let error = explain("p", said.as_bytes()).to_string();
            assert!(error.contains(what) && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn the_fingerprint_follows_the_lists() {
        let dir = tempfile::tempdir().unwrap();
        let apt = MachineApt { state: vec![dir.path().to_owned()], ..MachineApt::default() };
        assert_eq!(apt.fingerprint(), None);
        fs_err::write(dir.path().join("list"), "1").unwrap();
        let first = apt.fingerprint();
        assert_eq!(first, apt.fingerprint());
        fs_err::write(dir.path().join("list"), "22").unwrap();
        assert_ne!(first, apt.fingerprint());
        assert!(first.is_some());
    }
}
