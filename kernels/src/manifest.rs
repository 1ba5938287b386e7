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

mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use document::{Document, Path, Problem};
use host::arch::Arch;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use self::file::{Config, DebianFile, File, GitFile, SourceChoice, Standard, TarballFile};
use crate::config::Fragment;
use crate::error::KernelError;
use crate::git::{check_repository, is_commit_id, is_ref_name};
use crate::input::{LibraryError, Text};
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

    /// The JSON Schema of a manifest, as the text of a file.
    pub fn schema() -> String {
        document::schema::text::<File>()
    }

    /// The JSON Schema of `config/standard.yaml`, as the text of a file.
    pub fn standard_schema() -> String {
        document::schema::text::<Standard>()
    }

    /// Variables for make on `arch`: `NAME=value`.
    pub fn variables(&self, arch: &Arch) -> &[String] {
        self.variables.get(arch.name).map_or(&[], Vec::as_slice)
    }
}

/// The error comes with the field that it is about.
fn check_tarball(file: TarballFile) -> Result<Tarball, (&'static str, String)> {
    let sha256 = file.sha256.to_ascii_lowercase();
    let origin = match (file.url, file.file) {
        (Some(url), _) => Origin::Url(url),
        (None, Some(file)) => Origin::File(check_absolute(file).map_err(|words| ("file", words))?),
        (None, None) => return Err(("", "expected one of `url`, `file`".to_owned())),
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

/// A file that was read, and what is wrong with it beyond its form.
struct Part<'a> {
    document: Document,
    parts: &'a dyn Parts,
    problems: Vec<Problem>,
}

impl<'a> Part<'a> {
    fn read<T: DeserializeOwned + JsonSchema>(
        text: &Text,
        parts: &'a dyn Parts,
    ) -> Result<(Self, T), LibraryError> {
        let yaml = String::from_utf8_lossy(&text.bytes);
        let document = Document::parse(&text.origin, &yaml)?;
        let file = document.read()?;
        Ok((Self { document, parts, problems: Vec::new() }, file))
    }

    fn wrong(&mut self, path: &Path, message: impl ToString) {
        self.problems.push(self.document.problem(path, message));
    }

    /// What was made, if nothing was wrong.
    fn end<T>(mut self, made: Result<T, Problem>) -> Result<T, LibraryError> {
        match made {
            Ok(made) => {
                self.document.refuse(self.problems)?;
                Ok(made)
            }
            Err(problem) => {
                self.problems.push(problem);
                Err(self.document.problems(self.problems).into())
            }
        }
    }

    /// The fragments of these names, without those that there are not.
    fn load(&mut self, names: &[String], path: &Path) -> Result<Vec<Fragment>, LibraryError> {
        let mut fragments = Vec::new();
        for (at, name) in names.iter().enumerate() {
            match self.parts.fragment(name) {
                Ok(fragment) => fragments.push(fragment),
                Err(error @ LibraryError::Unknown { .. }) => self.wrong(&path.item(at), error),
                Err(other) => return Err(other),
            }
        }
        Ok(fragments)
    }

    /// Base and fragments by architecture.
    fn config(
        &mut self,
        config: Config,
    ) -> Result<(String, BTreeMap<&'static str, Vec<Fragment>>), LibraryError> {
        let Config { base, fragments: common, arch: by_arch } = config;
        let path = Path::of("config");
        let common = self.load(&common, &path.key("fragments"))?;
        let mut fragments = BTreeMap::new();
        for (name, own) in by_arch {
            let own = self.load(&own, &path.key("arch").key(&name))?;
            if let Some(arch) = Arch::by_name(&name) {
                fragments.insert(arch.name, [common.clone(), own].concat());
            }
        }
        Ok((base, fragments))
    }

    fn source(&self, choice: SourceChoice) -> Result<Source, Problem> {
        let SourceChoice { debian, tarball, dir, git } = choice;
        let path = Path::of("source");
        let made = match (debian, tarball, dir, git) {
            (Some(DebianFile { package, suite }), ..) => {
                Ok(Source::Debian(DebianPackage { name: package, suite }))
            }
            (_, Some(tarball), ..) => check_tarball(tarball)
                .map(Source::Tarball)
                .map_err(|(field, words)| (path.key("tarball").key(field), words)),
            (_, _, Some(dir), _) => {
                check_absolute(dir).map(Source::Dir).map_err(|words| (path.key("dir"), words))
            }
            (.., Some(git)) => check_git(git)
                .map(Source::Git)
                .map_err(|(field, words)| (path.key("git").key(field), words)),
            _ => Err((path, "expected one of `debian`, `tarball`, `dir`, `git`".to_owned())),
        };
        made.map_err(|(path, words)| self.document.problem(&path, words))
    }
}

/// Variables for make by the names of architectures that there are.
fn variables(make: BTreeMap<String, Vec<String>>) -> BTreeMap<&'static str, Vec<String>> {
    let known =
        |(name, settings): (String, _)| Arch::by_name(&name).map(|arch| (arch.name, settings));
    make.into_iter().filter_map(known).collect()
}

/// Reads a manifest and the fragments it names.
pub(crate) fn parse(name: &str, text: &Text, parts: &dyn Parts) -> Result<Manifest, LibraryError> {
    let (mut part, file): (Part<'_>, File) = Part::read(text, parts)?;
    let source = part.source(file.source);
    let toolchain = match file.toolchain.map(|name| name.parse()) {
        Some(Ok(toolchain)) => toolchain,
        Some(Err(message)) => {
            part.wrong(&Path::of("toolchain"), message);
            Toolchain::default()
        }
        None => Toolchain::default(),
    };
    let config = file.config.map(|config| part.config(config)).transpose()?;
    let source = part.end(source)?;
    let mut manifest = match config {
        // A configuration of its own knows what it wants of make.
        Some((base, fragments)) => {
            let (variables, about, name) = (BTreeMap::new(), String::new(), String::new());
            let is_of_tree = false;
            Manifest { name, about, source, is_of_tree, base, toolchain, fragments, variables }
        }
        None => standard(source, toolchain, parts)?,
    };
    if let Some(make) = file.make {
        manifest.variables = variables(make);
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
    let (mut part, file): (Part<'_>, Standard) = Part::read(&parts.standard()?, parts)?;
    let config = part.config(file.config)?;
    let (base, fragments) = part.end(Ok(config))?;
    let variables = variables(file.make);
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
            .fragments(&host::arch::X86_64)
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
            (
                "package:",
                "pakage:",
                "m.yaml:4:5:",
                "source.debian: unknown field `pakage`, did you mean `package`?",
            ),
            ("about: a kernel", "about: [a]", "m.yaml:1:8:", "about: expected a text, not a list"),
            ("[base, kasan]", "[base, kasam]", "m.yaml:7:21:", "no configuration fragment `kasam`"),
            (
                "x86_64: [",
                "vax: [",
                "m.yaml:9:5:",
                "config.arch: unknown word `vax`, expected one of `x86_64`, `arm64`, `riscv64`",
            ),
            (
                "linux-source-6.1",
                "linux-source-6.1\n    suite: ../sid",
                "m.yaml:5:12:",
                "expected a suite of an archive",
            ),
            ("linux-source-6.1", "-oEvil", "m.yaml:4:14:", "expected the name of a Debian package"),
            (
                "    x86_64: [x86_64]",
                "    x86_64: []\nmake:\n  x86_64: [-k]",
                "m.yaml:11:12:",
                "make.x86_64[0]: expected a setting for make, NAME=value, not \"-k\"",
            ),
            (
                "tinyconfig",
                "clean",
                "m.yaml:6:9:",
                "config.base: expected a configuration target, like tinyconfig, not \"clean\"",
            ),
            (
                "  debian:\n    package: linux-source-6.1\n",
                "  {}\n",
                "m.yaml:3:3:",
                "source: expected one of `debian`, `tarball`, `dir`, `git`",
            ),
            (
                "  debian:\n    package: linux-source-6.1\n",
                "  dir: linux\n",
                "m.yaml:3:8:",
                "`linux` is not an absolute path",
            ),
            (
                "about: a kernel",
                "about: a\ntoolchain: tcc",
                "m.yaml:2:12:",
                "toolchain: expected gcc, clang, or a version of it like clang-16, not \"tcc\"",
            ),
            ("source:", "source: [", "m.yaml:", ""),
        ] {
            let error = read(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.starts_with(place) && error.contains(says), "{to}: {error}");
        }
    }

    #[test]
    fn all_mistakes_come_out_together() {
        let error = read(
            "about: a\nsource: {dir: linux}\nconfig:\n  base: tinyconfig\n  fragments: [base, kasam]\n  \
             arch:\n    x86_64: [x86, riscv64]\n",
        );
        let error = error.unwrap_err();
        let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("m.yaml:")).collect();
        let says = [
            "2:15: `linux` is not",
            "5:21: there is no configuration fragment `kasam`, did you mean `kasan`?",
            "7:14: there is no configuration fragment `x86`",
        ];
        assert_eq!(lines.len(), says.len(), "{error}");
        for (line, says) in lines.iter().zip(says) {
            assert!(line.starts_with(&format!("m.yaml:{says}")), "{line}: {says}");
        }
    }

    #[test]
    fn what_is_shipped_passes_and_the_schemas_are_the_checked_in_ones() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = Library::default();
        let names = library.manifests().unwrap();
        assert!(names.iter().any(|name| name == "debian-6.1"));
        for name in names {
            library.manifest(&name).unwrap();
        }
        for (file, text) in [
            ("manifests/manifest.schema.json", Manifest::schema()),
            ("config/standard.schema.json", Manifest::standard_schema()),
        ] {
            document::schema::checked_in(folder.join(file), &text).unwrap();
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
                "m.yaml:4:11: `ext::sh -c evil` is no place of a repository",
            ),
            ("--upload-pack=evil", "v6.8", "m.yaml:4:11: "),
            ("../linux", "v6.8", "m.yaml:4:11: "),
            ("git@example.org:linux", "v6.8", "m.yaml:4:11: "),
            ("ssh://-oProxyCommand=evil/x", "v6.8", "names no host"),
            ("https://me:secret@example.org/x", "v6.8", "a password in a URL"),
            ("/my/linux", "--evil", "m.yaml:5:10: `--evil` is no name of a commit"),
            ("/my/linux", "v6.8..v6.9", "m.yaml:5:10: "),
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
            (
                format!("url: ftp://x, sha256: {digest}"),
                "m.yaml:3:",
                "expected a URL of http or https",
            ),
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
        assert!(error.contains("expected only one of `debian`, `tarball`"), "{error}");
    }
}
