// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that runs its kernel already, reached over SSH: `ssh://user@host[:port]`.

mod connection;
mod kmsg;
mod remote;

use std::fmt;

pub use connection::{Connection, Credentials, TargetError};
pub use remote::{Commands, Remote};

/// The port of SSH.
const PORT: u16 = 22;

/// A machine and who logs in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who logs in.
    pub user: String,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Target {
    /// Reads `ssh://user@host[:port]`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            let text = text.escape_debug();
            format!("`{text}` is no target, expected ssh://user@host or ssh://user@host:port")
        };
        let rest = text.strip_prefix("ssh://").ok_or_else(expected)?;
        let (user, place) = rest.split_once('@').ok_or_else(expected)?;
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let bracketed = place.starts_with('[');
        let good = |text: &str, also: &[u8]| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || also.contains(&b);
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                && text.bytes().all(plain)
        };
        let host_bytes: &[u8] = if bracketed { b":.%-" } else { b".-_" };
        if !good(user, b"._-") || !good(host, host_bytes) {
            return Err(expected());
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(expected)?,
            None => PORT,
        };
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "ssh://{user}@{host}")?;
        if *port == PORT { Ok(()) } else { write!(f, ":{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_and_print_alike() {
        for text in [
            "ssh://root@box",
            "ssh://a.b@10.0.0.1:2222",
            "ssh://root@[fe80::1%eth0]:23",
            "ssh://r@[::1]",
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Target::parse("ssh://r@h:22").unwrap().to_string(), "ssh://r@h");
    }

    #[test]
    fn what_could_be_taken_for_an_option_or_a_path_is_refused() {
        for text in [
            "box",
            "ssh://box",
            "ssh://@box",
            "ssh://root@",
            "ssh://root@box:",
            "ssh://root@box:0",
            "ssh://root@box:70000",
            "ssh://-oProxy@box",
            "ssh://root@-box",
            "ssh://root@box/tmp",
            "ssh://root@[::1",
            "ssh://ro ot@box",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
