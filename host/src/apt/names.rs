// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of packages and suites as recipes and manifests have them. None can be taken for something else
//! where apt reads it: an option, a version, a folder, another line.

use crate::arch::Arch;
use document::schema;
use serde::{Deserialize, Serialize};

/// Name of a Debian package: Debian Policy 5.6.7, and no `-` at its end, which apt would
/// take as the wish to remove it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PackageName(String);

impl PackageName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

document::inline_schema!(
    PackageName,
    schema::string(
        "^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$",
        "the name of a Debian package: lower case letters, digits, `+`, `-` and `.`"
    )
);

impl TryFrom<String> for PackageName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if name.len() >= 2 && begins && !name.ends_with('-') && name.bytes().all(fits) {
            Ok(Self(name))
        } else {
            Err(format!(
                "{name:?} cannot be a Debian package: expected lower case letters, digits, `+`, `-` and `.`"
            ))
        }
    }
}

/// Name of a suite in a Debian archive: `bookworm`, `trixie-backports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Suite(String);

impl Suite {
    /// The one that packages for guests of `arch` usually come from.
    pub fn of(arch: &Arch) -> Self {
        Self(arch.debian_suite.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

document::inline_schema!(
    Suite,
    schema::string("^[A-Za-z0-9][A-Za-z0-9._-]*$", "a suite of an archive, like `bookworm`")
);

impl TryFrom<String> for Suite {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(fits) {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} cannot be a suite: expected a name like `bookworm`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_pass() {
        for fine in ["dropbear-bin", "libstdc++6", "2048", "gcc-14-base", "python3.11"] {
            assert!(PackageName::try_from(fine.to_owned()).is_ok(), "{fine}");
        }
        for bad in ["", "x", "-y", "--yes", "foo-", "Foo", "a b", "foo=1", "foo/sid", "f*", "a\n"] {
            assert!(PackageName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for fine in ["bookworm", "trixie-backports", "sid", "12.5"] {
            assert!(Suite::try_from(fine.to_owned()).is_ok(), "{fine}");
        }
        for bad in ["", "../x", "a b", "a\nTrusted: yes", "./", "buster/updates", "[x]"] {
            assert!(Suite::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
