// SPDX-License-Identifier: MIT OR Apache-2.0
//! An apt of our own: its root is a folder, and the machine's apt is only read.
//!
//! It has a configuration that names every folder it uses, no packages installed, and the
//! architecture asked for as its own. It works for any user, and verifies what the machine's
//! apt would: mirror, keys and proxy are the machine's. Formats: apt.conf(5), `--print-uris`
//! as apt-get(8) has it, and the status lines of APT::Status-Fd (README.progress-reporting in
//! apt's documentation).

mod error;
mod mirror;
mod names;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::lock::FileLock;
use crate::process::{Command, Output};
use crate::store::{Store, remove_tree};

pub use error::{AptError, AptFailure};
pub use mirror::Mirror;
pub use names::{PackageName, Suite};

/// A quoted line of apt's is at most this many characters long.
const QUOTE: usize = 300;

/// So many bytes of what apt says are kept beside its progress.
const SAID: usize = 64 << 10;

/// Settings of the machine that say how its network is used. How packages are verified is
/// not among them, but for the dates: a mirror may be a snapshot that is old on purpose.
const CARRIED_OVER: &[&str] = &[
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
];

/// The machine's programs and its apt configuration.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `apt-get`.
    pub get: String,
    /// `apt-config`.
    pub config: String,
    /// `/etc/apt`.
    pub etc: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Self { get: "apt-get".into(), config: "apt-config".into(), etc: "/etc/apt".into() }
    }
}

/// A package of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// `linux-source-6.1`.
    pub name: String,
    /// `6.1.192-2`.
    pub version: String,
    /// Name of its file.
    pub file: String,
    /// Of its file, hexadecimal, lower case.
    pub sha256: String,
}

/// A root for one architecture and suite. It is removed when this is dropped, and no other
/// process has the same meanwhile.
#[derive(Debug)]
pub struct Apt<'a> {
    tools: &'a Tools,
    store: &'a Store,
    root: PathBuf,
    /// For messages: `bookworm for amd64`.
    of: String,
    _lock: FileLock,
}

impl Drop for Apt<'_> {
    fn drop(&mut self) {
        // What stays is swept when the store is opened next.
        let _ = remove_tree(&self.root);
    }
}

impl<'a> Apt<'a> {
    /// Makes the root below `store` for an architecture as Debian names it, and fetches and
    /// verifies the suite's lists of packages. Calls `waiting` once if another process has it.
    pub async fn of_suite(
        tools: &'a Tools,
        store: &'a Store,
        debian_arch: &str,
        suite: &Suite,
        mirror: &Mirror,
        waiting: impl FnOnce(),
    ) -> Result<Self, AptError> {
        let name = format!("apt-{debian_arch}-{}", suite.as_str());
        let lock = store.lock(&name, waiting).await?;
        let root = store.path("tmp").join(&name);
        // The one character that apt's configuration has no way to write.
        if root.as_os_str().as_encoded_bytes().contains(&b'"') {
            let words = "apt cannot use a folder with a quotation mark in its name";
            return Err(store.error(io::Error::other(words)).into());
        }
        let machine = Command::new(&tools.config).arg("dump").env("LC_ALL", "C").success().await?;
        let machine = String::from_utf8_lossy(&machine.stdout);
        let configuration = configuration(&root, &tools.etc, debian_arch, &machine);
        let of = format!("{} for {debian_arch}", suite.as_str());
        let apt = Self { tools, store, root, of, _lock: lock };
        apt.io(apt.lay_out(&configuration, &mirror.source(suite.as_str())))?;
        apt.update().await?;
        Ok(apt)
    }

    fn lay_out(&self, configuration: &str, source: &str) -> io::Result<()> {
        remove_tree(&self.root)?;
        for dir in ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "lists/partial"] {
            fs_err::create_dir_all(self.root.join(dir))?;
        }
        fs_err::write(self.root.join("status"), "")?;
        fs_err::write(self.root.join("apt.conf"), configuration)?;
        fs_err::write(self.root.join("etc/sources.list.d/debian.sources"), source)
    }

    async fn update(&self) -> Result<(), AptError> {
        let output = self.get().arg("update").output().await?;
        self.checked(output)?;
        // That a suite lacks the architecture is no failure to apt.
        let lists = self.io(fs_err::read_dir(self.root.join("lists")))?;
        let is_of_packages = |name: OsString| name.to_string_lossy().contains("_Packages");
        match lists.flatten().any(|file| is_of_packages(file.file_name())) {
            true => Ok(()),
            false => Err(self.failure(AptFailure::NoSuchSuite, "")),
        }
    }

    /// These packages, and all that they need.
    pub async fn resolve(&self, names: &[PackageName]) -> Result<Vec<Package>, AptError> {
        let output = self.install(["--print-uris".into()], names).output().await?;
        let packages = self.printed(output)?;
        match names.iter().find(|name| packages.iter().all(|p| p.name != name.as_str())) {
            Some(name) => Err(self.unknown(name)),
            None => Ok(packages),
        }
    }

    /// The newest version of this package, without what it needs.
    pub async fn newest(&self, name: &PackageName) -> Result<Package, AptError> {
        // apt says nothing of a package whose file lies in the current folder.
        let get = self.get().cwd(&self.root);
        let output = get.args(["download", "--print-uris", "--", name.as_str()]).output().await?;
        let packages = self.printed(output)?;
        let named = packages.into_iter().find(|package| package.name == name.as_str());
        named.ok_or_else(|| self.unknown(name))
    }

    /// Fetches the packages and all that they need into `dir`, and verifies them.
    pub async fn download(&self, names: &[PackageName], dir: &Path) -> Result<(), AptError> {
        let partial = dir.join("partial");
        self.io(fs_err::create_dir(&partial))?;
        let mut archives = OsString::from("Dir::Cache::archives=");
        archives.push(dir);
        let how = ["--download-only".into(), "-o".into(), archives];
        let output = self.install(how, names).output().await?;
        self.checked(output)?;
        self.io(remove_tree(&partial))?;
        self.io(remove_tree(&dir.join("lock")))
    }

    /// Fetches one package into the new folder `dir`, and verifies it. `percent` follows.
    pub async fn download_one(
        &self,
        package: &Package,
        dir: &Path,
        percent: impl Fn(f64),
    ) -> Result<PathBuf, AptError> {
        let mut said = Vec::new();
        let code = self
            .get()
            .args(["-o", "APT::Status-Fd=1", "download", "--"])
            .arg(format!("{}={}", package.name, package.version))
            .cwd(dir)
            .each_line(|line| match status_percent(line) {
                Some(value) => percent(value),
                None if said.len() < SAID => {
                    said.extend_from_slice(line);
                    said.push(b'\n');
                }
                None => {}
            })
            .await?;
        self.checked(Output { code, stdout: said, stderr: Vec::new() })?;
        let mut files = self.io(fs_err::read_dir(dir))?.flatten().map(|entry| entry.path());
        let deb = files.find(|file| file.extension().is_some_and(|suffix| suffix == "deb"));
        deb.ok_or_else(|| self.failure(AptFailure::Other, "E: no package was fetched"))
    }

    fn get(&self) -> Command {
        let command = Command::new(&self.tools.get).env("LC_ALL", "C");
        command.env("APT_CONFIG", self.root.join("apt.conf")).arg("-q=2")
    }

    fn install<const N: usize>(&self, how: [OsString; N], names: &[PackageName]) -> Command {
        let command = self.get().args(["install", "--yes", "--no-install-recommends"]).args(how);
        command.arg("--").args(names.iter().map(PackageName::as_str))
    }

    /// What `--print-uris` printed.
    fn printed(&self, output: Output) -> Result<Vec<Package>, AptError> {
        let output = self.checked(output)?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let packages: Option<Vec<Package>> = lines.lines().map(printed).collect();
        packages.ok_or_else(|| {
            let said = [&output.stdout[..], b"\n", &output.stderr].concat();
            self.failure(AptFailure::Other, &String::from_utf8_lossy(&said))
        })
    }

    /// The error for a name that apt took for something else: for a pattern, or for what another
    /// package provides.
    fn unknown(&self, name: &PackageName) -> AptError {
        let said = format!("E: Unable to locate package {}", name.as_str());
        self.failure(AptFailure::NoSuchPackage, &said)
    }

    /// Errors of the disk are the store's, which knows what to do about them.
    fn io<T>(&self, result: io::Result<T>) -> Result<T, AptError> {
        result.map_err(|error| self.store.error(error).into())
    }

    fn checked(&self, output: Output) -> Result<Output, AptError> {
        if output.code == 0 {
            return Ok(output);
        }
        let said = [&output.stdout[..], b"\n", &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains("No space left") || said.contains("enough free space") {
            return Err(self.store.full().into());
        }
        Err(self.failure(AptFailure::of(&said), &said))
    }

    fn failure(&self, failure: AptFailure, said: &str) -> AptError {
        let is_error = |line: &&str| line.starts_with("E:") || line.starts_with("Err:");
        let telling = failure.words().iter().find_map(|word| {
            said.lines().find(|line| !line.starts_with("Get:") && line.contains(word))
        });
        let line = telling.or_else(|| said.lines().find(is_error));
        AptError::Failed {
            failure,
            of: self.of.clone(),
            detail: line.map(quote).unwrap_or_default(),
        }
    }
}

/// A line of a program's, indented for a message: bounded, and nothing in it that a terminal obeys.
pub fn quote(line: &str) -> String {
    let kept = line.trim().chars().filter(|c| !c.is_control()).take(QUOTE);
    format!("\n  {}", kept.collect::<String>())
}

fn configuration(root: &Path, etc: &Path, debian: &str, machine: &str) -> String {
    let (root, etc) = (root.display(), etc.display());
    let mut text = format!(
        r#"Dir "{root}";
Dir::Etc "etc";
Dir::Etc::trusted "{etc}/trusted.gpg";
Dir::Etc::trustedparts "{etc}/trusted.gpg.d";
Dir::State "{root}";
Dir::State::status "{root}/status";
Dir::Cache "cache";
Dir::Log "log";
APT::Architecture "{debian}";
APT::Architectures {{ "{debian}"; }};
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::ForceHash "SHA256";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::Retries "1";
"#
    );
    let carried = |line: &&str| CARRIED_OVER.iter().any(|name| line.starts_with(name));
    for line in machine.lines().filter(carried) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Percent from a line `dlstatus:1:12.5:Retrieving file 1 of 1`.
pub fn status_percent(line: &[u8]) -> Option<f64> {
    let line = std::str::from_utf8(line).ok()?;
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?.parse::<f64>().ok()?;
    Some(percent.clamp(0.0, 100.0))
}

/// `'URI' libc6_2.36-9_amd64.deb 2757220 SHA256:…`; the colon of an epoch is `%3a`.
fn printed(line: &str) -> Option<Package> {
    let mut words = line.rsplit(' ');
    let (digest, _size, file) = (words.next()?, words.next()?, words.next()?);
    let sha256 = digest.strip_prefix("SHA256:")?;
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.~_%".contains(&b);
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    (is_digest && file.bytes().all(is_plain) && !file.starts_with('.')).then(|| Package {
        name: name.to_owned(),
        version: version.replace("%3a", ":"),
        file: file.to_owned(),
        sha256: sha256.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_uri_names_its_package() {
        let digest = "ab".repeat(32);
        let line = format!(
            "'http://example.org/p/b_1%252b1.deb' b-s_1%3a1.3+b9_riscv64.deb 9 SHA256:{digest}"
        );
        let package = printed(&line).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("b-s", "1:1.3+b9"));
        assert_eq!(package.file, "b-s_1%3a1.3+b9_riscv64.deb");
        for bad in [
            format!("'x' ../b_1_a.deb 9 SHA256:{digest}"),
            "'x' b_1_a.deb 9 SHA256:12".to_owned(),
            format!("'x' b_1_a.deb 9 MD5Sum:{digest}"),
            "Note, selecting 'mawk' instead of 'awk'".to_owned(),
        ] {
            assert!(printed(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn status_lines_give_the_percentage() {
        assert_eq!(status_percent(b"dlstatus:1:12.5:Retrieving file 1 of 1"), Some(12.5));
        assert_eq!(status_percent(b"dlstatus:1:nonsense"), None);
        assert_eq!(status_percent(b"Get:1 http://x"), None);
    }

    #[test]
    fn the_machines_network_settings_are_kept_and_its_trust_is_not_widened() {
        let machine = "Acquire::http::Proxy \"http://proxy.example.org:3128/\";\n\
            Acquire::AllowInsecureRepositories \"yes\";\n\
            APT::Get::AllowUnauthenticated \"yes\";\n\
            APT::Update::Post-Invoke:: \"rm -rf /var/cache/apt\";\n\
            Dir::State \"var/lib/apt\";\n";
        let text = configuration(Path::new("/s"), Path::new("/etc/apt"), "riscv64", machine);
        assert!(text.ends_with("Acquire::http::Proxy \"http://proxy.example.org:3128/\";\n"));
        assert!(text.contains("APT::Architecture \"riscv64\";\n"));
        for unwanted in ["\"yes\"", "Post-Invoke", "var/lib"] {
            assert!(!text.contains(unwanted), "{unwanted}");
        }
    }
}
