// SPDX-License-Identifier: MIT OR Apache-2.0
//! An apt of our own: its root is a folder, and the machine's apt is only read.
//!
//! It has a configuration that names every folder it uses, no packages installed, and the
//! guest's architecture as its own. It works for any user, and verifies what the machine's
//! apt would. Formats: apt.conf(5), and `--print-uris` as apt-get(8) has it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use host::arch::Arch;
use host::process::{Command, Output};
use host::store::remove_tree;

use super::mirror::Mirror;
use super::{AptFailure, Package, PackageError, PackageName, Set, Suite};

/// A quoted line of apt's is at most this many characters long.
const QUOTE: usize = 300;

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
pub(crate) struct Tools {
    pub(crate) get: String,
    pub(crate) config: String,
    /// `/etc/apt`.
    pub(crate) etc: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Self { get: "apt-get".into(), config: "apt-config".into(), etc: "/etc/apt".into() }
    }
}

/// A root for one architecture and suite, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Apt<'a> {
    tools: &'a Tools,
    root: PathBuf,
    /// For messages: `bookworm for amd64`.
    of: String,
}

impl Drop for Apt<'_> {
    fn drop(&mut self) {
        // What stays is swept when the store is opened next.
        let _ = remove_tree(&self.root);
    }
}

impl<'a> Apt<'a> {
    /// Makes the root at `root`, which must be absolute, with nothing in it yet.
    pub(super) async fn new(
        tools: &'a Tools,
        root: PathBuf,
        arch: &Arch,
        suite: &Suite,
        mirror: &Mirror,
    ) -> Result<Self, PackageError> {
        // The one character that apt's configuration has no way to write.
        if root.as_os_str().as_encoded_bytes().contains(&b'"') {
            let words = "apt cannot use a folder with a quotation mark in its name";
            return Err(PackageError::Root(io::Error::other(words)));
        }
        let machine = Command::new(&tools.config).arg("dump").env("LC_ALL", "C").success().await?;
        let configuration =
            configuration(&root, &tools.etc, arch, &String::from_utf8_lossy(&machine.stdout));
        let of = format!("{} for {}", suite.as_str(), arch.debian);
        let apt = Self { tools, root, of };
        apt.lay_out(&configuration, &mirror.source(suite.as_str())).map_err(PackageError::Root)?;
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

    /// Fetches the lists of packages and verifies them.
    pub(super) async fn update(&self) -> Result<(), PackageError> {
        let output = self.get().arg("update").output().await?;
        self.checked(output)?;
        // That a suite lacks the architecture is no failure to apt.
        let lists = fs_err::read_dir(self.root.join("lists")).map_err(PackageError::Root)?;
        let is_of_packages = |name: OsString| name.to_string_lossy().contains("_Packages");
        match lists.flatten().any(|file| is_of_packages(file.file_name())) {
            true => Ok(()),
            false => Err(self.failure(AptFailure::NoSuchSuite, "")),
        }
    }

    /// What has to be fetched for these packages and all that they need.
    pub(super) async fn resolve(&self, names: &[PackageName]) -> Result<Set, PackageError> {
        let output = self.install(["--print-uris".into()], names).output().await?;
        let output = self.checked(output)?;
        let packages: Option<Vec<Package>> =
            String::from_utf8_lossy(&output.stdout).lines().map(printed).collect();
        let packages = packages.ok_or_else(|| {
            let said = [&output.stdout[..], b"\n", &output.stderr].concat();
            self.failure(AptFailure::Other, &String::from_utf8_lossy(&said))
        })?;
        // apt takes some names for patterns, and the names of what a package provides for it.
        match names.iter().find(|name| packages.iter().all(|p| p.name != name.as_str())) {
            Some(name) => {
                let detail = format!("E: Unable to locate package {}", name.as_str());
                Err(self.failure(AptFailure::NoSuchPackage, &detail))
            }
            None => Ok(Set::new(packages)),
        }
    }

    /// Fetches the packages and all that they need into `dir`, and verifies them.
    pub(super) async fn download(
        &self,
        names: &[PackageName],
        dir: &Path,
    ) -> Result<(), PackageError> {
        let partial = dir.join("partial");
        fs_err::create_dir(&partial).map_err(PackageError::Root)?;
        let mut archives = OsString::from("Dir::Cache::archives=");
        archives.push(dir);
        let how = ["--download-only".into(), "-o".into(), archives];
        let output = self.install(how, names).output().await?;
        self.checked(output)?;
        remove_tree(&partial).map_err(PackageError::Root)?;
        remove_tree(&dir.join("lock")).map_err(PackageError::Root)
    }

    fn get(&self) -> Command {
        let command = Command::new(&self.tools.get).env("LC_ALL", "C");
        command.env("APT_CONFIG", self.root.join("apt.conf")).arg("-q=2")
    }

    fn install<const N: usize>(&self, how: [OsString; N], names: &[PackageName]) -> Command {
        let command = self.get().args(["install", "--yes", "--no-install-recommends"]).args(how);
        command.arg("--").args(names.iter().map(PackageName::as_str))
    }

    fn checked(&self, output: Output) -> Result<Output, PackageError> {
        if output.code == 0 {
            return Ok(output);
        }
        let said = [&output.stdout[..], b"\n", &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains("No space left") || said.contains("enough free space") {
            return Err(PackageError::Root(io::ErrorKind::StorageFull.into()));
        }
        Err(self.failure(AptFailure::of(&said), &said))
    }

    fn failure(&self, failure: AptFailure, said: &str) -> PackageError {
        let is_error = |line: &&str| line.starts_with("E:") || line.starts_with("Err:");
        let telling = failure.words().iter().find_map(|word| {
            said.lines().find(|line| !line.starts_with("Get:") && line.contains(word))
        });
        let line = telling.or_else(|| said.lines().find(is_error));
        PackageError::Apt {
            failure,
            of: self.of.clone(),
            detail: line.map(quote).unwrap_or_default(),
        }
    }
}

/// A line of a program's, indented for a message: bounded, and nothing in it that a terminal obeys.
pub(super) fn quote(line: &str) -> String {
    let kept = line.trim().chars().filter(|c| !c.is_control()).take(QUOTE);
    format!("\n  {}", kept.collect::<String>())
}

fn configuration(root: &Path, etc: &Path, arch: &Arch, machine: &str) -> String {
    let (root, etc, debian) = (root.display(), etc.display(), arch.debian);
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
    fn the_machines_network_settings_are_kept_and_its_trust_is_not_widened() {
        let machine = "Acquire::http::Proxy \"http://proxy.example.org:3128/\";\n\
            Acquire::AllowInsecureRepositories \"yes\";\n\
            APT::Get::AllowUnauthenticated \"yes\";\n\
            APT::Update::Post-Invoke:: \"rm -rf /var/cache/apt\";\n\
            Dir::State \"var/lib/apt\";\n";
        let arch = &host::arch::RISCV64;
        let text = configuration(Path::new("/s"), Path::new("/etc/apt"), arch, machine);
        assert!(text.ends_with("Acquire::http::Proxy \"http://proxy.example.org:3128/\";\n"));
        assert!(text.contains("APT::Architecture \"riscv64\";\n"));
        for unwanted in ["\"yes\"", "Post-Invoke", "var/lib"] {
            assert!(!text.contains(unwanted), "{unwanted}");
        }
    }
}
