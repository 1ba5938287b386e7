// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel manifests: where a kernel's source comes from and how it is configured.
//!
//! ```yaml
//! about: one line for people
//! source:
//!   debian:
//!     package: linux-source-6.1     # the newest version that apt offers
//!     suite: trixie-backports       # optional: of this suite, whatever suites the machine's apt has
//!   # or
//!   tarball:
//!     url: https://example.org/linux-6.6.tar.xz     # or file: /absolute/path
//!     sha256: 0123...               # of the file
//!   # or
//!   dir: /home/me/linux             # a tree in place, which is only read
//!   # or
//!   git:
//!     repo: https://example.org/linux.git   # or /absolute/path; https, http, git, ssh, file
//!     ref: v6.8                     # a tag, a branch, HEAD, or a whole commit id
//! toolchain: gcc                  # optional: or clang, or clang-16
//! config:                           # optional, as is `make`: config/standard.yaml holds both
//!   base: tinyconfig                # a make target
//!   fragments: [base, kasan]        # files config/NAME.config, later ones win
//!   arch:
//!     x86_64: [x86_64]              # more of them for an architecture, which this names as supported
//! make:                             # variables for make, by architecture
//!   x86_64: [KASAN_SANITIZE_string.o=n]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use host::apt::{PackageName, Suite};
use host::arch::{self, Arch};
use serde::Deserialize;

use crate::config::Fragment;
use crate::error::KernelError;
use crate::git::{check_repository, is_commit_id, is_ref_name};
use crate::input::{LibraryError, Text, invalid};
use crate::source::{DebianPackage, GitRepository, Origin, Source, Tarball};
use crate::text::quote;
use crate::toolchain::Toolchain;

/// What manifests are made of beside themselves.
pub(crate) trait Parts {
    /// A configuration fragment.
    fn fragment(&self, name: &str) -> Result<Fragment, LibraryError>;
    /// `config/standard.yaml`: how a kernel is configured whose manifest does not say it.
    fn standard(&self) -> Result<Text, LibraryError>;
}

/// A kernel that can be built.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its name: the file's, without `.yaml`.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Where the source comes from.
    pub source: Source,
    /// True if it was made of a tree that was named in its place.
    pub is_of_tree: bool,
    /// The make target that the configuration starts from.
    pub base: String,
    /// What compiles it.
    pub toolchain: Toolchain,
    /// Fragments by architecture name, the common ones included, in order of merging.
    fragments: BTreeMap<&'static str, Vec<Fragment>>,
    /// Variables for make by architecture name: `NAME=value`.
    variables: BTreeMap<&'static str, Vec<String>>,
}

impl Manifest {
    /// Names of the architectures that the manifest supports.
    pub fn arches(&self) -> impl Iterator<Item = &'static str> {
        self.fragments.keys().copied()
    }

    /// The fragments for `arch`, if the manifest supports it.
    pub fn fragments(&self, arch: &Arch) -> Option<&[Fragment]> {
        self.fragments.get(arch.name).map(Vec::as_slice)
    }

    /// The fragments for `arch`, or the error that names the architectures that there are.
    pub fn require(&self, arch: &Arch) -> Result<&[Fragment], KernelError> {
        self.fragments(arch).ok_or_else(|| {
            KernelError::Request(format!(
                "kernel manifest `{}` does not support {arch}\n  hint: it supports {}",
                self.name,
                self.arches().collect::<Vec<_>>().join(", ")
            ))
        })
    }

    /// Variables for make on `arch`: `NAME=value`.
    pub fn variables(&self, arch: &Arch) -> &[String] {
        self.variables.get(arch.name).map_or(&[], Vec::as_slice)
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    source: SourceChoice,
    toolchain: Option<String>,
    config: Option<Config>,
    make: Option<BTreeMap<String, Vec<String>>>,
}

/// How a kernel is configured if its manifest does not say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standard {
    config: Config,
    make: BTreeMap<String, Vec<String>>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceChoice {
    debian: Option<DebianFile>,
    tarball: Option<TarballFile>,
    dir: Option<PathBuf>,
    git: Option<GitFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GitFile {
    repo: String,
    #[serde(rename = "ref")]
    reference: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TarballFile {
    url: Option<String>,
    file: Option<PathBuf>,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianFile {
    package: String,
    suite: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    base: String,
    fragments: Vec<String>,
    arch: BTreeMap<String, Vec<String>>,
}

fn check_tarball(file: TarballFile) -> Result<Tarball, String> {
    let sha256 = file.sha256.to_ascii_lowercase();
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("expected a SHA-256 of 64 hexadecimal digits".to_owned());
    }
    let origin = match (file.url, file.file) {
        (Some(url), None) => {
            let good = |b: u8| b.is_ascii_graphic() && !b"\"'\\<>".contains(&b);
            let scheme = url.starts_with("https://") || url.starts_with("http://");
            if !scheme || !url.bytes().all(good) {
                return Err(format!("`{}` is not a URL of http or https", quote(&url)));
            }
            Origin::Url(url)
        }
        (None, Some(file)) => Origin::File(check_absolute(file)?),
        _ => return Err("expected one of `url`, `file` for this tarball".to_owned()),
    };
    Ok(Tarball { origin, sha256: Some(sha256) })
}

/// The error comes with the field that it is about.
fn check_git(file: GitFile) -> Result<GitRepository, (&'static str, String)> {
    let GitFile { repo, reference } = file;
    check_repository(&repo).map_err(|message| ("repo", message))?;
    let id = reference.to_ascii_lowercase();
    if is_commit_id(&id) {
        return Ok(GitRepository { repo, reference: id });
    }
    if !is_ref_name(&reference) {
        let expected = "expected a tag, a branch, HEAD or a whole commit id";
        let reference = quote(&reference);
        return Err(("ref", format!("`{reference}` is no name of a commit: {expected}")));
    }
    Ok(GitRepository { repo, reference })
}

fn check_absolute(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(format!("`{}` is not an absolute path", quote(&path.to_string_lossy())))
}

/// The name becomes an argument of make.
fn check_base(name: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if name.ends_with("config") && !name.starts_with('-') && name.bytes().all(allowed) {
        return Ok(());
    }
    let expected = "expected one like tinyconfig";
    Err(format!("`{}` is not a configuration target: {expected}", quote(name)))
}

/// Only settings: anything else would be an option or a target of make.
fn check_variable(setting: &str) -> Result<(), String> {
    let name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let value = |b: u8| name(b) || b"/,+=".contains(&b);
    if let Some((left, right)) = setting.split_once('=')
        && left.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && left.bytes().all(name)
        && right.bytes().all(value)
    {
        return Ok(());
    }
    Err(format!("`{}` is not a setting: expected NAME=value", quote(setting)))
}

fn check_arch(name: &str) -> Result<&'static str, String> {
    Arch::by_name(name).map(|arch| arch.name).ok_or_else(|| {
        let known: Vec<&str> = arch::ALL.iter().map(|arch| arch.name).collect();
        format!("unknown architecture `{}`, expected one of {}", quote(name), known.join(", "))
    })
}

/// A part of a file that was read: the parser keeps no places of what it has accepted, so these
/// are found by the words.
struct Part<'a> {
    origin: &'a str,
    yaml: &'a str,
}

impl Part<'_> {
    fn at(&self, word: &str, message: String) -> LibraryError {
        let (line, column) = host::yaml::find_word(self.yaml, word);
        invalid(self.origin, line, column, message)
    }

    fn load(&self, names: &[String], parts: &dyn Parts) -> Result<Vec<Fragment>, LibraryError> {
        let load_one = |fragment: &String| match parts.fragment(fragment) {
            Err(error @ LibraryError::Unknown { .. }) => Err(self.at(fragment, error.to_string())),
            other => other,
        };
        names.iter().map(load_one).collect()
    }

    /// Base and fragments by architecture.
    fn config(
        &self,
        config: &Config,
        parts: &dyn Parts,
    ) -> Result<(String, BTreeMap<&'static str, Vec<Fragment>>), LibraryError> {
        let Config { base, fragments: common, arch } = config;
        check_base(base).map_err(|message| self.at(base, message))?;
        let common = self.load(common, parts)?;
        let mut fragments = BTreeMap::new();
        for (arch, names) in arch {
            let own = [common.clone(), self.load(names, parts)?].concat();
            fragments.insert(check_arch(arch).map_err(|message| self.at(arch, message))?, own);
        }
        Ok((base.clone(), fragments))
    }

    /// Variables for make by architecture.
    fn variables(
        &self,
        make: BTreeMap<String, Vec<String>>,
    ) -> Result<BTreeMap<&'static str, Vec<String>>, LibraryError> {
        let mut variables = BTreeMap::new();
        for (arch, settings) in make {
            for setting in &settings {
                check_variable(setting).map_err(|message| self.at(setting, message))?;
            }
            variables
                .insert(check_arch(&arch).map_err(|message| self.at(&arch, message))?, settings);
        }
        Ok(variables)
    }
}

/// Reads a manifest and the fragments it names.
pub(crate) fn parse(name: &str, text: &Text, parts: &dyn Parts) -> Result<Manifest, LibraryError> {
    let yaml = String::from_utf8_lossy(&text.bytes);
    let file: File = host::yaml::read(&text.origin, &yaml)
        .map_err(|error| invalid(&text.origin, error.line, error.column, error.message))?;
    let part = Part { origin: &text.origin, yaml: &yaml };
    let at = |word: &str, message: String| part.at(word, message);
    let SourceChoice { debian, tarball, dir, git } = file.source;
    let source = match (debian, tarball, dir, git) {
        (Some(DebianFile { package, suite }), None, None, None) => {
            let name = PackageName::try_from(package.clone());
            let name = name.map_err(|message| at(&package, message))?;
            let suite = suite
                .map(|suite| Suite::try_from(suite.clone()).map_err(|message| at(&suite, message)));
            Source::Debian(DebianPackage { name, suite: suite.transpose()? })
        }
        (None, Some(tarball), None, None) => {
            let word = tarball.sha256.clone();
            Source::Tarball(check_tarball(tarball).map_err(|message| at(&word, message))?)
        }
        (None, None, Some(dir), None) => {
            Source::Dir(check_absolute(dir).map_err(|message| at("dir", message))?)
        }
        (None, None, None, Some(git)) => {
            Source::Git(check_git(git).map_err(|(word, message)| at(word, message))?)
        }
        _ => {
            let expected = "expected one of `debian`, `tarball`, `dir`, `git`";
            return Err(at("source", expected.to_owned()));
        }
    };
    let toolchain = match &file.toolchain {
        Some(name) => name.parse().map_err(|message| at(name, message))?,
        None => Toolchain::default(),
    };
    let mut manifest = match &file.config {
        // A configuration of its own knows what it wants of make.
        Some(config) => {
            let (base, fragments) = part.config(config, parts)?;
            let (variables, about, name) = (BTreeMap::new(), String::new(), String::new());
            let is_of_tree = false;
            Manifest { name, about, source, is_of_tree, base, toolchain, fragments, variables }
        }
        None => standard(source, toolchain, parts)?,
    };
    if let Some(make) = file.make {
        manifest.variables = part.variables(make)?;
    }
    Ok(Manifest { name: name.to_owned(), about: file.about, ..manifest })
}

/// The manifest of a kernel tree.
pub(crate) fn of_tree(
    name: String,
    source: Source,
    parts: &dyn Parts,
) -> Result<Manifest, LibraryError> {
    let manifest = standard(source, Toolchain::default(), parts)?;
    Ok(Manifest { name, is_of_tree: true, about: "a tree of yours".to_owned(), ..manifest })
}

/// A manifest without a name, configured as all are that do not say it themselves.
fn standard(
    source: Source,
    toolchain: Toolchain,
    parts: &dyn Parts,
) -> Result<Manifest, LibraryError> {
    let text = parts.standard()?;
    let yaml = String::from_utf8_lossy(&text.bytes);
    let file: Standard = host::yaml::read(&text.origin, &yaml)
        .map_err(|error| invalid(&text.origin, error.line, error.column, error.message))?;
    let part = Part { origin: &text.origin, yaml: &yaml };
    let (base, fragments) = part.config(&file.config, parts)?;
    let variables = part.variables(file.make)?;
    let (name, about, is_of_tree) = (String::new(), String::new(), false);
    Ok(Manifest { name, about, source, is_of_tree, base, toolchain, fragments, variables })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Library;

    const GOOD: &str = "about: a kernel
source:
  debian:
    package: linux-source-6.1
config:
  base: tinyconfig
  fragments: [base, kasan]
  arch:
    x86_64: [x86_64]
";

    fn read(yaml: &str) -> Result<Manifest, String> {
        let text = Text { origin: "m.yaml".into(), bytes: yaml.as_bytes().to_vec().into() };
        parse("m", &text, &Library::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_manifest_gathers_its_fragments_in_order() {
        let manifest = read(GOOD).unwrap();
        assert_eq!(manifest.arches().collect::<Vec<_>>(), ["x86_64"]);
        let origins: Vec<&str> = manifest
            .fragments(&arch::X86_64)
            .unwrap()
            .iter()
            .map(|fragment| fragment.origin())
            .collect();
        let expected = ["base", "kasan", "x86_64"].map(|n| format!("kernels/config/{n}.config"));
        assert_eq!(origins, expected);
    }

    #[test]
    fn every_mistake_has_its_place_and_says_what_was_expected() {
        for (from, to, place, says) in [
            ("package:", "pakage:", "m.yaml:4:5:", "unknown field `pakage`, expected `package`"),
            ("about: a kernel", "about: [a]", "m.yaml:1:8:", "expected a string"),
            ("[base, kasan]", "[base, kasam]", "m.yaml:7:21:", "no configuration fragment `kasam`"),
            ("x86_64: [", "vax: [", "m.yaml:9:5:", "unknown architecture `vax`, expected one of"),
            (
                "linux-source-6.1",
                "linux-source-6.1\n    suite: ../sid",
                "m.yaml:5:12:",
                "cannot be a suite",
            ),
            ("linux-source-6.1", "-oEvil", "m.yaml:4:14:", "cannot be a Debian package"),
            (
                "    x86_64: [x86_64]",
                "    x86_64: []\nmake:\n  x86_64: [-k]",
                "m.yaml:11:12:",
                "NAME=value",
            ),
            ("tinyconfig", "clean", "m.yaml:6:9:", "not a configuration target"),
            (
                "  debian:\n    package: linux-source-6.1\n",
                "  {}\n",
                "m.yaml:2:1:",
                "`debian`, `tarball`",
            ),
            (
                "  debian:\n    package: linux-source-6.1\n",
                "  dir: linux\n",
                "m.yaml:3:3:",
                "`linux` is not an absolute path",
            ),
            (
                "about: a kernel",
                "about: a\ntoolchain: tcc",
                "m.yaml:2:12:",
                "`tcc` is no toolchain",
            ),
            ("source:", "source: [", "m.yaml:", ""),
        ] {
            let error = read(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.starts_with(place) && error.contains(says), "{to}: {error}");
        }
    }

    #[test]
    fn a_repository_needs_a_place_and_a_name_that_are_no_options() {
        let git = |repo: &str, reference: &str| {
            let debian = "  debian:\n    package: linux-source-6.1\n";
            let git = format!("  git:\n    repo: \"{repo}\"\n    ref: \"{reference}\"\n");
            read(&GOOD.replace(debian, &git)).map(|manifest| manifest.source)
        };
        for repo in
            ["/my/linux", "https://example.org/linux.git", "ssh://git@example.org/x", "file:///x"]
        {
            assert!(matches!(git(repo, "v6.8"), Ok(Source::Git(_))), "{repo}");
        }
        let id = "0123456789ABCDEF0123456789ABCDEF01234567";
        let Ok(Source::Git(read)) = git("/my/linux", id) else { panic!() };
        assert_eq!(read.reference, id.to_lowercase());
        for (repo, reference, says) in [
            (
                "ext::sh -c evil",
                "v6.8",
                "m.yaml:4:5: `ext::sh -c evil` is no place of a repository",
            ),
            ("--upload-pack=evil", "v6.8", "m.yaml:4:5: "),
            ("../linux", "v6.8", "m.yaml:4:5: "),
            ("git@example.org:linux", "v6.8", "m.yaml:4:5: "),
            ("ssh://-oProxyCommand=evil/x", "v6.8", "names no host"),
            ("https://me:secret@example.org/x", "v6.8", "a password in a URL"),
            ("/my/linux", "--evil", "m.yaml:5:5: `--evil` is no name of a commit"),
            ("/my/linux", "v6.8..v6.9", "m.yaml:5:5: "),
        ] {
            let error = git(repo, reference).unwrap_err();
            assert!(error.contains(says), "{repo} {reference}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_tarball_needs_a_place_and_a_digest() {
        let digest = "0123456789ABCDEF".repeat(4);
        let tarball = |rest: &str| {
            let debian = "  debian:\n    package: linux-source-6.1\n";
            read(&GOOD.replace(debian, &format!("  tarball: {{{rest}}}\n")))
        };
        let url = format!("url: https://example.org/linux.tar.xz, sha256: {digest}");
        let Source::Tarball(read) = tarball(&url).unwrap().source else { panic!("{url}") };
        assert_eq!(read.sha256, Some(digest.to_lowercase()));
        for (rest, place, says) in [
            (format!("url: ftp://x, sha256: {digest}"), "m.yaml:3:", "not a URL"),
            (format!("file: x.tar, sha256: {digest}"), "m.yaml:3:", "not an absolute path"),
            ("file: /x.tar, sha256: 12".to_owned(), "m.yaml:3:", "64 hexadecimal digits"),
            ("file: /x.tar".to_owned(), "m.yaml:3:", "missing field `sha256`"),
            (format!("sha256: {digest}"), "m.yaml:3:", "expected one of `url`, `file`"),
        ] {
            let error = tarball(&rest).map(|_| ()).unwrap_err();
            assert!(error.starts_with(place) && error.contains(says), "{rest}: {error}");
        }
        let both = format!("  tarball: {{{url}}}\n  debian:");
        let error = super::tests::read(&GOOD.replace("  debian:", &both)).map(|_| ()).unwrap_err();
        assert!(error.contains("expected one of `debian`, `tarball`"), "{error}");
    }
}
