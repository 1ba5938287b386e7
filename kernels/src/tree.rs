// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel tree that is named where a manifest could be:
//!
//! | named | the source is |
//! |---|---|
//! | `.`, `~/src/linux`, `/src/linux` | the tree that lies there |
//! | `.:HEAD~3`, `../linux:v6.8` | a commit of the repository there |
//! | `https://example.org/linux.git:v6.8` | a commit of a server's repository |
//! | `linux-6.6.y.tar.xz` | what is in the tarball |
//!
//! It is configured as `config/standard.yaml` says.

use std::path::{Path, PathBuf};

use crate::git::{check_repository, is_commit_id, is_ref_name};
use crate::source::{GitRepository, Origin, Source, Tarball};
use crate::text::quote;

/// Ends of the names of tarballs.
const TARBALLS: [&str; 6] = [".tar", ".tar.xz", ".tar.gz", ".tar.zst", ".tar.bz2", ".tgz"];

/// The tree that `argument` names, with a name for messages and reports. `None` if it is no more
/// than a word; the error says what is wrong with a place that is none.
pub(crate) fn parse(argument: &str) -> Result<Option<(String, Source)>, String> {
    let source = if argument.contains("://") {
        Source::Git(at_server(argument)?)
    } else {
        let path = Path::new(argument);
        match argument.rsplit_once(':') {
            _ if path.is_dir() => Source::Dir(absolute(path)?),
            _ if path.is_file() => tarball(argument, path)?,
            Some((repo, reference)) if Path::new(repo).is_dir() => {
                let repo = absolute(Path::new(repo))?.display().to_string();
                Source::Git(repository(repo, reference)?)
            }
            Some((repo, _)) if is_path(repo) => {
                return Err(refusal(format!("there is no folder `{}`", quote(repo))));
            }
            _ if is_path(argument) || is_tarball(argument) => {
                return Err(refusal("there is no such folder or tarball"));
            }
            _ => return Ok(None),
        }
    };
    let name = match &source {
        // `.` tells nothing.
        Source::Dir(dir) if argument.bytes().all(|b| b"./".contains(&b)) => {
            dir.file_name().map_or(argument.into(), |name| name.to_string_lossy())
        }
        _ => argument.into(),
    };
    Ok(Some((quote(&name), source)))
}

/// The message for what cannot be built.
fn refusal(what: impl std::fmt::Display) -> String {
    format!("{what}\n  hint: name a folder, a tarball, REPO:REF, or a manifest")
}

/// True for what can only be meant as a path.
fn is_path(text: &str) -> bool {
    text.contains('/') || matches!(text, "." | ".." | "~")
}

fn is_tarball(name: &str) -> bool {
    TARBALLS.iter().any(|suffix| name.ends_with(suffix))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    fs_err::canonicalize(path).map_err(refusal)
}

fn tarball(argument: &str, path: &Path) -> Result<Source, String> {
    if !is_tarball(argument) {
        return Err(format!(
            "this file is neither a kernel's tree nor a tarball ({})\n  hint: a manifest is named without `.yaml`, and lies in kernels/manifests/ of `--data DIR`",
            TARBALLS.join(", ")
        ));
    }
    Ok(Source::Tarball(Tarball { origin: Origin::File(absolute(path)?), sha256: None }))
}

/// `SCHEME://HOST/PATH:REF`; a colon before the path is a port's.
fn at_server(url: &str) -> Result<GitRepository, String> {
    if is_tarball(url) {
        return Err("a tarball is fetched only with its SHA-256\n  hint: fetch it and name the file, or write a manifest with `tarball: {url, sha256}`".to_owned());
    }
    let named = url
        .rsplit_once(':')
        .filter(|(repo, _)| repo.split_once("://").is_some_and(|(_, place)| place.contains('/')));
    let Some((repo, reference)) = named else {
        return Err(format!(
            "it names no commit\n  hint: add a tag or a branch: `{}:v6.8`",
            quote(url)
        ));
    };
    repository(repo.to_owned(), reference)
}

fn repository(repo: String, reference: &str) -> Result<GitRepository, String> {
    check_repository(&repo).map_err(refusal)?;
    let id = reference.to_ascii_lowercase();
    if is_commit_id(&id) {
        return Ok(GitRepository { repo, reference: id });
    }
    let git = GitRepository { repo, reference: reference.to_owned() };
    let fits = if git.is_local() { is_revision(reference) } else { is_ref_name(reference) };
    if fits {
        return Ok(git);
    }
    let expected = if git.is_local() {
        "a tag, a branch, or what git-rev-parse(1) takes"
    } else {
        "a tag, a branch, HEAD or a whole commit id"
    };
    let reference = quote(reference);
    Err(refusal(format!("`{reference}` is no name of a commit: expected {expected}")))
}

/// What can be given to git-rev-parse(1) as one revision: no range, no option.
fn is_revision(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control();
    (1..=255).contains(&text.len())
        && !text.starts_with(['-', '^', ':'])
        && !text.contains("..")
        && !text.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &Path, below: &str) -> String {
        dir.join(below).display().to_string()
    }

    #[test]
    fn folders_repositories_and_tarballs_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        fs_err::create_dir(root.join("linux")).unwrap();
        fs_err::write(root.join("linux-6.6.y.tar.xz"), "").unwrap();
        let linux = place(&root, "linux");
        let (name, source) = parse(&linux).unwrap().unwrap();
        assert_eq!((name, source), (linux.clone(), Source::Dir(root.join("linux"))));
        let git = |argument: &str| match parse(argument) {
            Ok(Some((_, Source::Git(git)))) => (git.repo, git.reference),
            other => panic!("{argument}: {other:?}"),
        };
        for reference in ["v6.8", "HEAD~3", "0123abc", "topic^2"] {
            let (repo, found) = git(&format!("{linux}:{reference}"));
            assert_eq!((repo, found.as_str()), (linux.clone(), reference));
        }
        let (repo, reference) = git("ssh://me@example.org:2222/linux.git:linux-6.6.y");
        assert_eq!(repo, "ssh://me@example.org:2222/linux.git");
        assert_eq!(reference, "linux-6.6.y");
        let file = place(&root, "linux-6.6.y.tar.xz");
        let Ok(Some((_, Source::Tarball(tarball)))) = parse(&file) else { panic!() };
        assert_eq!(tarball, Tarball { origin: Origin::File(file.into()), sha256: None });
        // Where the tests run there is a folder, and what it is called is told.
        let (name, _) = parse(".").unwrap().unwrap();
        assert!(!name.contains('.') && !name.is_empty(), "{name}");
        for word in ["debian-6.1", "mainlin", "a:b"] {
            assert_eq!(parse(word), Ok(None), "{word}");
        }
    }

    #[test]
    fn places_that_are_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("mine.yaml"), "").unwrap();
        let here = dir.path().display();
        for (argument, says) in [
            (format!("{here}/nonsuch"), "no such folder or tarball"),
            (format!("{here}/nonsuch:v6.8"), "there is no folder"),
            ("linux-6.6.tar.xz".to_owned(), "no such folder or tarball"),
            (format!("{here}/mine.yaml"), "neither a kernel's tree nor a tarball"),
            (format!("{here}:v6.8..v6.9"), "`v6.8..v6.9` is no name of a commit"),
            (format!("{here}:--evil"), "is no name of a commit"),
            ("https://example.org/linux.git".to_owned(), "it names no commit"),
            ("https://example.org:443".to_owned(), "it names no commit"),
            ("https://example.org/linux.git:v6.8^".to_owned(), "is no name of a commit"),
            ("https://me:secret@example.org/x:v6.8".to_owned(), "a password in a URL"),
            ("ext::sh -c evil://x/y:v1".to_owned(), "no place of a repository"),
            ("https://example.org/linux-6.6.tar.xz".to_owned(), "only with its SHA-256"),
        ] {
            let error = parse(&argument).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{argument}: {error}");
            assert!(error.contains("\n  hint: "), "{argument}: {error}");
        }
    }
}
