// SPDX-License-Identifier: MIT OR Apache-2.0
//! Versions of the kernel, as far as they decide what it can do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version and patch level of a kernel: `6.12`. Point releases change nothing that is asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion {
    /// 6 of `6.12`.
    pub major: u32,
    /// 12 of `6.12`.
    pub minor: u32,
}

impl KernelVersion {
    /// The version `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The version at the beginning of a release as `uname -r` says it: `6.1.0-40-amd64`,
    /// `7.3.0-rc7+`.
    pub fn of_release(release: &str) -> Option<Self> {
        fn number(text: &str) -> Option<(u32, &str)> {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            Some((text[..digits].parse().ok()?, &text[digits..]))
        }
        let (major, rest) = number(release)?;
        let (minor, _) = number(rest.strip_prefix('.')?)?;
        Some(Self { major, minor })
    }

    /// The version in the heading of a `.config`: `# Linux/x86 6.1.192 Kernel Configuration`.
    pub fn of_config(text: &str) -> Option<Self> {
        let mut headings = text.lines().take(8).filter_map(|line| line.strip_prefix("# Linux/"));
        let heading = headings.find_map(|line| line.strip_suffix(" Kernel Configuration"))?;
        Self::of_release(heading.split(' ').nth(1)?)
    }

    /// The version in the text of a kernel's Makefile, whose first lines set it.
    pub fn of_makefile(text: &str) -> Option<Self> {
        let number = |name: &str| {
            let mut settings = text.lines().take(64).filter_map(|line| line.split_once('='));
            settings.find(|(left, _)| left.trim() == name)?.1.trim().parse().ok()
        };
        Some(Self { major: number("VERSION")?, minor: number("PATCHLEVEL")? })
    }
}

// Without quotes it looks like a number to YAML.
document::inline_schema!(
    KernelVersion,
    schemars::json_schema!({
        "type": ["string", "number"],
        "pattern": r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$",
        "errorMessage": "a version of the kernel, like 6.12",
    })
);

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KernelVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of_release(text)
            .filter(|version| version.to_string() == text)
            .ok_or_else(|| format!("{text:?} is no version of the kernel: expected one like 6.12"))
    }
}

impl TryFrom<String> for KernelVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_wherever_a_kernel_says_its_own() {
        let release = KernelVersion::of_release;
        assert_eq!(release("6.1.192"), Some(KernelVersion::new(6, 1)));
        assert_eq!(release("7.3.0-rc7+"), Some(KernelVersion::new(7, 3)));
        assert_eq!(release("6.12-rc1"), Some(KernelVersion::new(6, 12)));
        for bad in ["", "6", "6.", "x6.1", "99999999999.1"] {
            assert_eq!(release(bad), None, "{bad}");
        }
        let config = "#\n# Automatically generated file; DO NOT EDIT.\n\
                      # Linux/arm64 6.12.117 Kernel Configuration\n#\nCONFIG_A=y\n";
        assert_eq!(KernelVersion::of_config(config), Some(KernelVersion::new(6, 12)));
        assert_eq!(KernelVersion::of_config("CONFIG_A=y\n"), None);
        let makefile = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nNAME = x\n";
        assert_eq!(KernelVersion::of_makefile(makefile), Some(KernelVersion::new(7, 3)));
        assert_eq!(KernelVersion::of_makefile("all:\n"), None);
    }

    #[test]
    fn a_version_is_ordered_by_its_numbers_and_written_as_it_is_read() {
        let read = |text: &str| text.parse::<KernelVersion>();
        assert!(read("6.8").unwrap() < read("6.12").unwrap());
        assert!(read("6.12").unwrap() < read("7.0").unwrap());
        for bad in ["6.8.1", "6.08", "6", "v6.8"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
