// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs git so that neither the user's configuration nor a repository's makes it run
//! anything else, ask for anything, or take a name for an option.

use std::ffi::OsString;

use host::process::{Command, ProcessError, which};
use host::tools::install_hint;

use crate::text::quote;

/// Variables that git, curl and ssh need to reach a server as the user does.
const KEPT: [&str; 14] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];
/// Whatever else is in the environment, git sees these.
const OWN: [&str; 14] = [
    "LC_ALL=C",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_ATTR_NOSYSTEM=1",
    "GIT_ALLOW_PROTOCOL=file:https:http:git:ssh",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ASKPASS=false",
    "SSH_ASKPASS=false",
    "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=30",
    "GIT_OPTIONAL_LOCKS=0",
    "GIT_NO_REPLACE_OBJECTS=1",
    // A partial clone of the user's is read as it is.
    "GIT_NO_LAZY_FETCH=1",
    "GIT_HTTP_LOW_SPEED_LIMIT=1000",
    "GIT_HTTP_LOW_SPEED_TIME=60",
];
/// What a repository's own configuration may not decide.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.version=2",
];

/// A git without arguments; `env` holds more variables, `NAME=value`.
pub(crate) fn git(env: &[OsString]) -> Result<Command, ProcessError> {
    let program = "git";
    if which(program).is_none() {
        let hint = install_hint(program);
        return Err(ProcessError::Missing { program: program.to_owned(), hint });
    }
    let kept = KEPT.iter().filter_map(|name| {
        let mut setting = OsString::from(format!("{name}="));
        setting.push(std::env::var_os(name)?);
        Some(setting)
    });
    let command =
        Command::new("env").arg("-i").args(kept).args(OWN).args(env.to_vec()).arg(program);
    Ok(SETTINGS.iter().fold(command, |command, setting| command.arg("-c").arg(*setting)))
}

/// Ways to a repository.
const SCHEMES: [&str; 5] = ["https://", "http://", "git://", "ssh://", "file:///"];

/// What git takes for a place, and nothing that it takes for an option or a command.
pub(crate) fn check_repository(repo: &str) -> Result<(), String> {
    let quoted = quote(repo);
    let good = |c: char| !c.is_control() && !"\"'\\<>".contains(c);
    let url = SCHEMES.iter().find_map(|scheme| repo.strip_prefix(scheme));
    if !(url.is_some_and(|rest| !rest.contains(' ')) || repo.starts_with('/'))
        || !repo.chars().all(good)
    {
        let expected = "an absolute path, or a URL of https, http, git, ssh or file";
        return Err(format!("`{quoted}` is no place of a repository: expected {expected}"));
    }
    let host = url.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        // Reports quote the source.
        return Err("a password in a URL would be seen in reports: leave it out".to_owned());
    }
    if host.starts_with('-') {
        return Err(format!("`{quoted}` names no host"));
    }
    Ok(())
}

/// True for a name of a branch, a tag or a whole ref: what git-check-ref-format(1) allows, and
/// not an option.
pub(crate) fn is_ref_name(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.starts_with('-')
        && name.len() <= 255
        && name != "@"
        && !name.contains(bad)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(part)
}

/// True for a whole commit id: SHA-1 or SHA-256, lower case.
pub(crate) fn is_commit_id(name: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    matches!(name.len(), 40 | 64) && name.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_would_take_for_something_else_are_refused() {
        for good in ["v6.8", "linux-6.6.y", "master", "refs/heads/a-b", "HEAD", "me/topic"] {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=touch /tmp/evil",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "+a:b",
            "@{u}",
            "@",
            "a/",
            "/a",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "a\\b",
            "a*",
            "a\n",
        ] {
            assert!(!is_ref_name(bad), "{bad}");
        }
        assert!(is_commit_id(&"0a".repeat(20)) && is_commit_id(&"0a".repeat(32)));
        assert!(!is_commit_id(&"0A".repeat(20)) && !is_commit_id("0a0a0a0a0a0a"));
    }
}
