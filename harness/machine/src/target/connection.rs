// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connection to a machine that is not ours: the host key must be known, and it is logged in
//! with the user's own keys. What is here blocks, and belongs into a thread of its own.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use ssh_key::PublicKey;
use ssh2::{CheckResult, KnownHostFileKind, MethodType, Session};

use super::Target;
use crate::ssh::{self, Output};

/// Kinds of host keys, the best first. A host may be known by any of them.
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
    "rsa-sha2-512,rsa-sha2-256",
];
/// Keys that ssh(1) looks for, too.
const KEY_FILES: &[&str] = &["id_ed25519", "id_ecdsa", "id_rsa"];
/// Where a distribution's administrators write what is known of hosts.
const GLOBAL_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

/// How the user logs in and recognises hosts.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Private keys to use before those of the ssh-agent; none: the usual files, after it.
    pub identities: Vec<PathBuf>,
    /// Known hosts; `None`: `~/.ssh/known_hosts` and the machine's own.
    pub known_hosts: Option<PathBuf>,
}

/// A session with a host that is known, logged in.
pub struct Connection {
    /// The session.
    pub session: Session,
    /// Its socket.
    pub stream: TcpStream,
}

/// Why a machine cannot be reached or used: what happened, and the next step. It may hold words of
/// the machine's own, which are not escaped yet.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(String);

fn failed(words: String) -> TargetError {
    TargetError(words)
}

impl Connection {
    /// Connects and logs in; `patience` bounds each step.
    pub fn open(
        target: &Target,
        credentials: &Credentials,
        patience: Duration,
    ) -> Result<Self, TargetError> {
        let mut verdict = CheckResult::NotFound;
        for kind in HOST_KEYS {
            let stream = tcp(target, patience)?;
            let refused = |error: &dyn std::fmt::Display| {
                failed(format!(
                    "{target} refuses SSH: {error}\n  hint: try `ssh -p {} {}@{}`",
                    target.port, target.user, target.host
                ))
            };
            let mut session = Session::new().map_err(|error| refused(&error))?;
            let handle = stream.try_clone().map_err(|error| refused(&error))?;
            session.set_tcp_stream(handle);
            session.set_timeout(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
            session.method_pref(MethodType::HostKey, kind).map_err(|error| refused(&error))?;
            match session.handshake() {
                Ok(()) => {}
                // This host has no key of that kind (LIBSSH2_ERROR_KEX_FAILURE, _METHOD_NONE).
                Err(error) if matches!(error.code(), ssh2::ErrorCode::Session(-5 | -8 | -17)) => {
                    continue;
                }
                Err(error) => return Err(refused(&error)),
            }
            match check(&session, target, credentials)? {
                CheckResult::Match => {
                    log_in(&session, target, credentials)?;
                    return Ok(Self { session, stream });
                }
                CheckResult::Mismatch => verdict = CheckResult::Mismatch,
                _ => {}
            }
        }
        Err(unknown(target, credentials, verdict))
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, input: &[u8]) -> Result<Output, TargetError> {
        ssh::execute(&self.session, command, input)
            .map_err(|error| failed(format!("the connection broke: {error}")))
    }

    /// Runs a command that must succeed; `what` stands in the error.
    pub fn must(&self, what: &str, command: &str, input: &[u8]) -> Result<String, TargetError> {
        let output = self.run(command, input)?;
        if output.status == 0 {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(300).collect();
        Err(failed(format!(
            "the target cannot {what} (exit status {}): {said}\n  \
             hint: log in and see why this fails: {command}",
            output.status
        )))
    }
}

fn tcp(target: &Target, patience: Duration) -> Result<TcpStream, TargetError> {
    let place = (target.host.as_str(), target.port);
    let wrong = |error: std::io::Error| {
        failed(format!(
            "cannot connect to {target}: {error}\n  hint: does it run, and is the port right?"
        ))
    };
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in place.to_socket_addrs().map_err(wrong)? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(wrong(last))
}

fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".ssh")
}

fn known_hosts_files(credentials: &Credentials) -> Vec<PathBuf> {
    match &credentials.known_hosts {
        Some(file) => vec![file.clone()],
        None => vec![home().join("known_hosts"), GLOBAL_KNOWN_HOSTS.into()],
    }
}

fn check(
    session: &Session,
    target: &Target,
    credentials: &Credentials,
) -> Result<CheckResult, TargetError> {
    let unreadable = |file: &Path, error: &dyn std::fmt::Display| {
        failed(format!(
            "{}: cannot read known hosts: {error}\n  hint: name another file with --known-hosts",
            file.display()
        ))
    };
    let mut known = session
        .known_hosts()
        .map_err(|error| failed(format!("cannot check host keys: {error}")))?;
    let Some((key, _)) = session.host_key() else { return Ok(CheckResult::Failure) };
    for file in known_hosts_files(credentials) {
        if file.exists() || credentials.known_hosts.is_some() {
            known
                .read_file(&file, KnownHostFileKind::OpenSSH)
                .map_err(|error| unreadable(&file, &error))?;
            let text = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            if is_revoked(key, &String::from_utf8_lossy(&text)) {
                return Err(failed(format!(
                    "the host key of {target} was revoked ({})\n  \
                     hint: find out who answers there; a new key needs a new entry",
                    file.display()
                )));
            }
        }
    }
    Ok(known.check_port(&target.host, target.port, key))
}

/// Whether known hosts say of a key that it must not be trusted, whoever shows it: libssh2 does not
/// know `@revoked` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
fn is_revoked(key: &[u8], known_hosts: &str) -> bool {
    let mut keys = known_hosts.lines().filter_map(|line| {
        let (_hosts, key) = line.strip_prefix("@revoked")?.trim_start().split_once([' ', '\t'])?;
        PublicKey::from_openssh(key.trim()).ok()?.to_bytes().ok()
    });
    keys.any(|revoked| revoked == key)
}

fn unknown(target: &Target, credentials: &Credentials, verdict: CheckResult) -> TargetError {
    let files: Vec<String> =
        known_hosts_files(credentials).iter().map(|file| file.display().to_string()).collect();
    let files = files.join(", ");
    let Target { user, host, port } = target;
    let words = match verdict {
        CheckResult::Mismatch => format!(
            "the host key of {target} is not the known one: it was changed, or somebody else answers\n  \
             hint: find out which; if it was changed, `ssh-keygen -R '[{host}]:{port}' -f {}` forgets the old one",
            known_hosts_files(credentials)[0].display()
        ),
        _ => format!(
            "the host key of {target} is not known ({files})\n  \
             hint: log in once with `ssh -p {port} {user}@{host}` and compare the fingerprint"
        ),
    };
    failed(words)
}

/// Tries the keys that were named, then all of the ssh-agent, and where none was named the usual
/// files: in the order in which ssh(1) offers them. Servers mostly listen to six.
fn log_in(
    session: &Session,
    target: &Target,
    credentials: &Credentials,
) -> Result<(), TargetError> {
    let user = &target.user;
    let named = &credentials.identities;
    let mut tried = Vec::new();
    for file in named {
        if with_file(session, user, file, &mut tried) {
            return Ok(());
        }
    }
    if with_agent(session, user, &mut tried) {
        return Ok(());
    }
    let usual = KEY_FILES.iter().map(|name| home().join(name));
    for file in usual.filter(|file| named.is_empty() && file.exists()) {
        if with_file(session, user, &file, &mut tried) {
            return Ok(());
        }
    }
    Err(failed(format!(
        "{target} accepts no key of yours; tried: {}\n  \
         hint: name one with --identity; a key with a passphrase belongs into ssh-agent",
        tried.join(", ")
    )))
}

/// Logs in with a private key's file, or notes that it was tried.
fn with_file(session: &Session, user: &str, file: &Path, tried: &mut Vec<String>) -> bool {
    match session.userauth_pubkey_file(user, None, file, None) {
        Ok(()) if session.authenticated() => return true,
        Ok(()) => tried.push(file.display().to_string()),
        Err(error) => tried.push(format!("{} ({})", file.display(), error.message())),
    }
    false
}

/// Logs in with one of the ssh-agent's keys, or notes what was tried.
fn with_agent(session: &Session, user: &str, tried: &mut Vec<String>) -> bool {
    let asked = || {
        let mut agent = session.agent()?;
        agent.connect()?;
        agent.list_identities()?;
        let keys = agent.identities()?;
        Ok::<_, ssh2::Error>((agent, keys))
    };
    let (agent, keys) = match asked() {
        Ok(asked) => asked,
        Err(error) => {
            tried.push(format!("the ssh-agent ({})", error.message()));
            return false;
        }
    };
    if keys.is_empty() {
        tried.push("the ssh-agent (it has no keys)".to_owned());
    }
    for key in keys {
        match agent.userauth(user, &key) {
            Ok(()) if session.authenticated() => return true,
            _ => {
                let name: String = key.comment().chars().take(80).collect();
                tried.push(format!("the ssh-agent's {name}"));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoked_keys_are_found_and_others_are_not() {
        let ed25519 =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let key = PublicKey::from_openssh(ed25519).unwrap().to_bytes().unwrap();
        for line in ["@revoked * KEY", "@revoked  a,b\tKEY a comment", "x\n@revoked [h]:2 KEY\n"] {
            assert!(is_revoked(&key, &line.replace("KEY", ed25519)), "{line}");
        }
        for line in ["h KEY", "# @revoked * KEY", "@cert-authority * KEY", "@revoked * ssh-rsa AA"]
        {
            assert!(!is_revoked(&key, &line.replace("KEY", ed25519)), "{line}");
        }
    }
}
