// SPDX-License-Identifier: MIT OR Apache-2.0
//! What git's complaints mean, and what to do about them.

use crate::error::{KernelError, SourceError};
use crate::near::nearest;
use crate::source::kinds::GitRepository;
use crate::text::tail;

/// True if a server does not give a commit by its id.
pub(super) fn is_refused_id(said: &str) -> bool {
    ["not our ref", "unadvertised object", "remote error: upload-pack"]
        .iter()
        .any(|words| said.contains(words))
}

/// The error for a git that failed, by its words.
pub(super) fn explain(source: &GitRepository, said: &str) -> KernelError {
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    let repo = source.repo.clone();
    let refused = |what: &str, next_step: &str| {
        let (what, next_step) = (what.to_owned(), next_step.to_owned());
        KernelError::Source(SourceError::Repository { repo: repo.clone(), what, next_step })
    };
    if has(&["dubious ownership"]) {
        return refused(
            "it belongs to another user, so git does not read it",
            "run swapstorm as its owner, or name a copy of it that is yours",
        );
    }
    if has(&[
        "Authentication failed",
        "could not read Username",
        "Permission denied (",
        "terminal prompts disabled",
    ]) {
        return refused(
            "its server wants to know who asks",
            "fetch it yourself, and name your repository by its path",
        );
    }
    let missing = ["not a git repository", "does not appear to be a git repository", "not found"];
    if has(&missing) || (source.is_local() && has(&["does not exist"])) {
        return refused("it is no git repository", "correct `repo:` in the manifest");
    }
    if source.is_local() && has(&["possible repository corruption"]) {
        return refused(
            "it lacks files of this commit: it is a partial clone, or damaged",
            "name a whole clone or its server; `git fsck` tells of damage",
        );
    }
    let said = tail(said.as_bytes(), 3);
    KernelError::Source(SourceError::Unreachable { repo, said })
}

/// The error for a reference that the repository does not have; `refs` are what it has.
pub(super) fn unknown_ref(source: &GitRepository, refs: &[(String, String)]) -> KernelError {
    let short = |name: &'_ str| {
        let name = name.strip_prefix("refs/tags/").or(name.strip_prefix("refs/heads/"))?;
        (!name.ends_with("^{}")).then(|| name.to_owned())
    };
    let names: Vec<String> = refs.iter().filter_map(|(_, name)| short(name)).collect();
    let near = nearest(&source.reference, &names);
    let next_step = if near.is_empty() {
        "name a tag, a branch or a whole commit id in the manifest".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    let what = format!("it has no tag or branch `{}`", source.reference);
    let repo = source.repo.clone();
    KernelError::Source(SourceError::Repository { repo, what, next_step })
}

/// The error for a commit that the repository does not have.
pub(super) fn unknown_commit(source: &GitRepository, commit: &str) -> KernelError {
    KernelError::Source(SourceError::Repository {
        repo: source.repo.clone(),
        what: format!("it has no commit {commit}"),
        next_step: "name a commit that one of its branches or tags holds".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(repo: &str) -> GitRepository {
        GitRepository { repo: repo.to_owned(), reference: "v6.8".to_owned() }
    }

    #[test]
    fn complaints_are_told_apart() {
        for (said, what) in [
            ("fatal: '/x' does not appear to be a git repository", "no git repository"),
            ("remote: Repository not found.", "no git repository"),
            ("fatal: detected dubious ownership in repository at '/x'", "another user"),
            ("git@x: Permission denied (publickey).", "wants to know who asks"),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                "wants to know",
            ),
            (
                "fatal: unable to access 'https://x/': Could not resolve host: x",
                "Could not resolve host",
            ),
        ] {
            let error = explain(&source("https://x"), said).to_string();
            assert!(error.contains(what) && error.contains("hint: "), "{error}");
        }
    }
}
