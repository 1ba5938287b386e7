// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why packages cannot be had, and how apt's failures are told apart.

use crate::process::ProcessError;
use crate::store::StoreError;

/// What apt's failures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AptFailure {
    /// No network, or no such server.
    Unreachable,
    /// The lists of packages are not signed by a key that the machine trusts.
    Unsigned,
    /// Something is not what the signed lists say.
    Tampered,
    /// The mirror lacks the suite, or the suite lacks the architecture.
    NoSuchSuite,
    /// There is no package of this name.
    NoSuchPackage,
    /// Packages exclude each other, or need what is not there.
    Unsatisfiable,
    /// Anything else.
    Other,
}

impl AptFailure {
    /// What apt says of each in the C locale. Of several that fit the first one counts.
    const WORDS: &[(Self, &[&str])] = &[
        (Self::Tampered, &["Hash Sum mismatch", "File has unexpected size"]),
        (
            Self::Unsigned,
            &[
                "is not signed",
                "no longer signed",
                "NO_PUBKEY",
                "signatures were invalid",
                "signatures couldn't be verified",
                "GPG error",
                "OpenPGP",
                "NOSPLIT",
                "NODATA",
                "cannot be authenticated",
                "unauthenticated packages",
            ],
        ),
        (
            Self::Unreachable,
            &[
                "Could not resolve",
                "Temporary failure",
                "Could not connect",
                "Cannot initiate the connection",
                "Unable to connect",
                "Connection failed",
                "Connection timed out",
                "Connection refused",
                "Could not handshake",
                "Certificate verification failed",
            ],
        ),
        (
            Self::NoSuchSuite,
            &[
                "does not have a Release file",
                "doesn't support architecture",
                "doesn't have the component",
            ],
        ),
        (Self::NoSuchPackage, &["Unable to locate package", "has no installation candidate"]),
        (Self::Unsatisfiable, &["unmet dependencies", "Unable to correct problems"]),
        (Self::Unreachable, &["Failed to fetch"]),
    ];

    pub(super) fn of(said: &str) -> Self {
        let fits = |words: &[&str]| words.iter().any(|word| said.contains(word));
        Self::WORDS.iter().find(|(_, words)| fits(words)).map_or(Self::Other, |(kind, _)| *kind)
    }

    /// Words by which apt's line that tells of the failure is known.
    pub(super) fn words(self) -> &'static [&'static str] {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or(&[], |(_, words)| words)
    }

    fn what(self) -> &'static str {
        match self {
            Self::Unreachable => "apt cannot reach its mirror",
            Self::Unsigned => {
                "the mirror's lists of packages are not signed by a key that is trusted"
            }
            Self::Tampered => "what the mirror has is not what its signed lists say",
            Self::NoSuchSuite => "the mirror does not have this suite for this architecture",
            Self::NoSuchPackage => "there is no such package",
            Self::Unsatisfiable => "these packages cannot be had together",
            Self::Other => "apt fails",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "check the network and the proxy (http_proxy), or name another mirror with --mirror URL or SWAPSTORM_MIRROR"
            }
            Self::Unsigned => {
                "install debian-archive-keyring, newer if need be; a mirror that signs with a key of its own \
                 belongs into /etc/apt/sources.list.d with that key as Signed-By"
            }
            Self::Tampered => {
                "try again later: a mirror that is being updated looks like this; otherwise name another with --mirror URL"
            }
            Self::NoSuchSuite => {
                "correct `suite` where it is asked for, or name a mirror of all of Debian with --mirror URL or SWAPSTORM_MIRROR"
            }
            Self::NoSuchPackage | Self::Unsatisfiable => {
                "correct the package's name, or `suite`, where it is asked for"
            }
            Self::Other => "see what apt says above",
        }
    }
}

/// Why packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The machine's apt has no source that is Debian's.
    #[error(
        "this machine's apt has no mirror of Debian\n  hint: name one with --mirror URL or SWAPSTORM_MIRROR"
    )]
    NoMirror,
    /// The mirror that was named is none.
    #[error(
        "{mirror:?} cannot be a mirror\n  hint: give the URL of a Debian archive, http://…, https://… or file:///…"
    )]
    BadMirror {
        /// What was given.
        mirror: String,
    },
    /// apt could not do it.
    #[error("cannot fetch packages of {of}: {}{detail}\n  hint: {}", failure.what(), failure.hint())]
    Failed {
        /// What it failed at.
        failure: AptFailure,
        /// Suite and architecture.
        of: String,
        /// apt's own words, on a line of their own.
        detail: String,
    },
    /// A program is missing or failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The store could not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AptError {
    /// True if the request is at fault, not the machine or the network.
    pub fn is_of_request(&self) -> bool {
        use AptFailure as F;
        match self {
            Self::BadMirror { .. } => true,
            Self::Failed { failure, .. } => {
                matches!(failure, F::NoSuchSuite | F::NoSuchPackage | F::Unsatisfiable)
            }
            _ => false,
        }
    }

    /// True if nobody could be asked, which says nothing against what was fetched before.
    pub fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::NoMirror
                | Self::Process(ProcessError::Missing { .. })
                | Self::Failed { failure: AptFailure::Unreachable, .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_says_is_told_apart() {
        use AptFailure as F;
        for (said, kind) in [
            (
                "E: Failed to fetch http://example.org/x  Could not resolve 'example.org'",
                F::Unreachable,
            ),
            ("E: Failed to fetch http://example.org/x.deb  502  Bad Gateway", F::Unreachable),
            ("E: Failed to fetch http://example.org/x.deb  Hash Sum mismatch", F::Tampered),
            (
                "W: GPG error: x InRelease: NO_PUBKEY 0\nE: The repository 'x' is not signed.",
                F::Unsigned,
            ),
            ("Err: x OpenPGP signature verification failed: Sub-process /usr/bin/sqv", F::Unsigned),
            ("E: The repository 'x trixie Release' does not have a Release file.", F::NoSuchSuite),
            ("E: Package 'x' has no installation candidate", F::NoSuchPackage),
            ("The following packages have unmet dependencies:\n x : Depends: y", F::Unsatisfiable),
            ("E: Something else", F::Other),
        ] {
            assert_eq!(F::of(said), kind, "{said}");
        }
    }

    #[test]
    fn only_silence_lets_the_store_answer() {
        let error = |failure| {
            let (of, detail) = (String::new(), String::new());
            AptError::Failed { failure, of, detail }
        };
        assert!(error(AptFailure::Unreachable).is_silence());
        assert!(AptError::NoMirror.is_silence());
        for failure in [AptFailure::Unsigned, AptFailure::Tampered, AptFailure::NoSuchPackage] {
            assert!(!error(failure).is_silence(), "{failure:?}");
        }
    }
}
