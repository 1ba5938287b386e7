// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configuration fragments, and the check that a final `.config` honours them.
//!
//! The kernel's scripts drop options silently: an unmet dependency, a `choice` won by
//! another member, a name that this version does not know. A kernel that lacks what was
//! asked for proves nothing, so each asked option is compared with the outcome: one that the
//! tree has and that came out otherwise is an error.
//!
//! Options come and go with versions, and trees carry backports, so the tree's own Kconfig
//! files say which options there are. One that the tree does not have is [`Absent`], which
//! is announced. A fragment can say otherwise for a paragraph of its lines:
//!
//! ```text
//! #! required
//! CONFIG_KASAN=y
//!
//! #! optional
//! CONFIG_ZPOOL=y
//! ```
//!
//! `required`: a tree without the option is an error. `optional`: such a tree is nothing to
//! speak of.

mod dot_config;
mod kconfig;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use dot_config::KernelConfig;
use dot_config::parse_line;

use crate::text::quote;

/// Options asked for, in the format of `.config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    origin: String,
    text: String,
    asked: Vec<Asked>,
}

/// One option of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    /// `CONFIG_PREEMPT`
    name: String,
    /// `y`, `n`, `m`, a number, or a string with its quotes.
    value: String,
    line: usize,
    presence: Presence,
}

/// What it means if a tree does not have an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// An error.
    Required,
    /// To be announced.
    Usual,
    /// To be expected.
    Optional,
}

impl Presence {
    /// Begins a line that says it for the lines below, up to an empty one.
    const DIRECTIVE: &str = "#!";

    fn parse(word: &str) -> Result<Self, String> {
        match word.trim() {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            other => {
                Err(format!("expected `#! required` or `#! optional`, not `{}`", quote(other)))
            }
        }
    }
}

impl Fragment {
    /// Reads a fragment. `origin` names it in messages: a file. The error is a line
    /// number and what is wrong there.
    pub fn parse(origin: &str, text: &str) -> Result<Self, (usize, String)> {
        let mut asked: Vec<Asked> = Vec::new();
        let mut presence = Presence::Usual;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if let Some(word) = line.strip_prefix(Presence::DIRECTIVE) {
                presence = Presence::parse(word).map_err(|message| (number + 1, message))?;
                continue;
            }
            match parse_line(line) {
                Some((name, value)) => {
                    asked.push(Asked {
                        name: name.to_owned(),
                        value: value.to_owned(),
                        line: number + 1,
                        presence,
                    });
                }
                None if line.is_empty() => presence = Presence::Usual,
                None if line.starts_with('#') => {}
                None => {
                    let message =
                        "expected CONFIG_NAME=value, `# CONFIG_NAME is not set` or a comment";
                    return Err((number + 1, format!("{message}, not `{}`", quote(line))));
                }
            }
        }
        Ok(Self { origin: origin.to_owned(), text: text.to_owned(), asked })
    }

    /// The file's name without its folder and suffix: `kasan`.
    pub fn name(&self) -> &str {
        let file = self.origin.rsplit('/').next().unwrap_or(&self.origin);
        file.strip_suffix(".config").unwrap_or(file)
    }

    /// The file it was read from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An option that was asked for and that the tree does not have for its architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// `CONFIG_ZPOOL`
    pub name: String,
    /// Where it was asked for: `file:line`.
    pub place: String,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.place)
    }
}

/// Options that the final configuration does not have as asked.
#[derive(Debug, thiserror::Error)]
#[error("the kernel's configuration drops {} of the options asked for:{}", .dropped.len(), list(.dropped))]
pub struct ConfigError {
    /// Each of them.
    pub dropped: Vec<Dropped>,
}

/// One option that did not come out as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// `CONFIG_KASAN`
    pub name: String,
    /// The value asked for.
    pub asked: String,
    /// Where it was asked: `file:line`.
    pub place: String,
    /// The value that came out.
    pub got: String,
    /// What it depends on, or why else it may be: one remark a line.
    pub remarks: Vec<String>,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, asked, place, got, remarks } = self;
        write!(f, "{name}: asked {asked} ({place}), came out {got}")?;
        remarks.iter().try_for_each(|remark| write!(f, "\n      {remark}"))
    }
}

fn list(dropped: &[Dropped]) -> String {
    dropped.iter().map(|dropped| format!("\n  {dropped}")).collect()
}

/// What the fragments ask for together, by option, each with its fragment's origin.
/// Where two ask for the same option, the later one counts, as it does for the kernel's
/// merge script.
fn effective<'a>(fragments: &[&'a Fragment]) -> BTreeMap<&'a str, (&'a Asked, &'a str)> {
    let options = fragments.iter().flat_map(|fragment| {
        fragment.asked.iter().map(|option| (option, fragment.origin.as_str()))
    });
    options.map(|(option, origin)| (option.name.as_str(), (option, origin))).collect()
}

/// What the fragments ask for together, one option a line: the same for fragments that
/// differ in comments and order alone.
pub(crate) fn canonical(fragments: &[&Fragment]) -> String {
    let options = effective(fragments).into_values();
    let required = |option: &Asked| option.presence == Presence::Required;
    options
        .map(|(option, _)| {
            let mark = if required(option) { "!" } else { "" };
            format!("{}={}{mark}\n", option.name, option.value)
        })
        .collect()
}

/// Compares what the fragments ask for with the outcome. `tree` and `kernel_arch`
/// (make's `ARCH`) are for telling why an option came out otherwise: one that the tree does
/// not have is returned, and all else is an error.
pub(crate) fn check(
    fragments: &[&Fragment],
    config: &KernelConfig,
    tree: &Path,
    kernel_arch: &str,
) -> Result<Vec<Absent>, ConfigError> {
    let differing: Vec<(&Asked, &str)> = effective(fragments)
        .into_values()
        .filter(|(option, _)| !same(&option.value, config.value(&option.name)))
        .collect();
    if differing.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = differing.iter().map(|(option, _)| option.name.as_str()).collect();
    let mut explanations = kconfig::explain(tree, kernel_arch, config, &names);
    let (mut absent, mut dropped) = (Vec::new(), Vec::new());
    for (option, origin) in differing {
        let (name, place) = (option.name.clone(), format!("{origin}:{}", option.line));
        let why = explanations.remove(option.name.as_str()).unwrap_or_default();
        match option.presence {
            Presence::Usual if why.absent => absent.push(Absent { name, place }),
            Presence::Optional if why.absent => {}
            _ => dropped.push(Dropped {
                name,
                asked: option.value.clone(),
                place,
                got: config.value(&option.name).to_owned(),
                remarks: why.remarks,
            }),
        }
    }
    if dropped.is_empty() { Ok(absent) } else { Err(ConfigError { dropped }) }
}

/// Equal as Kconfig understands it: numbers by their value.
fn same(asked: &str, got: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    // `# CONFIG_X is not set` also asks a string option to be empty.
    asked == got
        || (number(asked).is_some() && number(asked) == number(got))
        || matches!((asked, got), ("n", "\"\"") | ("\"\"", "n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment::parse("f.config", text).unwrap()
    }

    /// What became of `asked` in a tree that has the options `known`.
    fn checked(asked: &str, config: &str, known: &[&str]) -> Result<Vec<Absent>, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let kconfig: String = known.iter().map(|name| format!("config {name}\n")).collect();
        fs_err::write(dir.path().join("Kconfig"), kconfig).unwrap();
        check(&[&fragment(asked)], &KernelConfig::parse(config), dir.path(), "x86_64")
    }

    fn dropped(asked: &str, config: &str) -> Vec<(String, String)> {
        match checked(asked, config, &["A", "B", "C", "D", "E", "F"]) {
            Ok(absent) => {
                assert_eq!(absent, []);
                Vec::new()
            }
            Err(error) => error.dropped.into_iter().map(|d| (d.name, d.got)).collect(),
        }
    }

    #[test]
    fn options_that_the_tree_lacks_are_announced_unless_the_fragment_says_otherwise() {
        let absent = |asked: &str, known: &[&str]| {
            checked(asked, "CONFIG_A=y\n", known)
                .map(|absent| absent.iter().map(Absent::to_string).collect::<Vec<_>>())
                .map_err(|error| error.dropped.into_iter().map(|d| d.name).collect::<Vec<_>>())
        };
        let usual = "CONFIG_A=y\nCONFIG_GONE=y\n# CONFIG_OLD is not set\n";
        assert_eq!(absent(usual, &["A"]), Ok(vec!["CONFIG_GONE (f.config:2)".to_owned()]));
        // What the tree has and drops stays an error, whatever the fragment says of it.
        assert_eq!(absent(usual, &["A", "GONE"]), Err(vec!["CONFIG_GONE".to_owned()]));
        let optional = "#! optional\n# why\nCONFIG_GONE=y\n";
        assert_eq!(absent(optional, &["A"]), Ok(vec![]));
        assert_eq!(absent(optional, &["GONE"]), Err(vec!["CONFIG_GONE".to_owned()]));
        let required = "#! required\nCONFIG_GONE=y\n";
        assert_eq!(absent(required, &["A"]), Err(vec!["CONFIG_GONE".to_owned()]));
        // An empty line ends what a directive says.
        let ended = "#! required\nCONFIG_A=y\n\nCONFIG_GONE=y\n";
        assert_eq!(absent(ended, &["A"]), Ok(vec!["CONFIG_GONE (f.config:4)".to_owned()]));
        assert_eq!(Fragment::parse("f", "CONFIG_A=y\n#! requierd\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_tree_that_cannot_be_read_lacks_nothing() {
        let config = KernelConfig::parse("");
        let error = check(&[&fragment("CONFIG_A=y\n")], &config, Path::new("/nonsuch"), "x86_64");
        assert_eq!(error.unwrap_err().dropped.len(), 1);
    }

    #[test]
    fn a_line_that_is_no_option_is_refused_with_its_number() {
        let error = Fragment::parse("f", "# fine\n\nCONFIG_A=y\nCONFIG_B = y\n").unwrap_err();
        assert_eq!(error.0, 4);
        assert!(Fragment::parse("f", "KASAN=y\n").is_err());
        assert!(Fragment::parse("f", "CONFIG_A=\n").is_err());
    }

    #[test]
    fn what_came_out_as_asked_is_not_dropped() {
        let asked = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=n\nCONFIG_D=\"a b\"\nCONFIG_E=0x10\nCONFIG_F=\"\"\n";
        let config = "CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_D=\"a b\"\nCONFIG_E=16\n";
        assert_eq!(dropped(asked, config), []);
    }

    #[test]
    fn every_way_to_differ_is_seen() {
        for (asked, config, got) in [
            ("CONFIG_A=y", "", "n"),
            ("CONFIG_A=y", "CONFIG_A=m", "m"),
            ("# CONFIG_A is not set", "CONFIG_A=y", "y"),
            ("CONFIG_A=8", "CONFIG_A=64", "64"),
            ("CONFIG_A=\"x\"", "CONFIG_A=\"y\"", "\"y\""),
            // A longer name that holds this one is another option.
            ("CONFIG_A=y", "CONFIG_AB=y\nCONFIG_BA=y", "n"),
        ] {
            assert_eq!(dropped(asked, config), [("CONFIG_A".to_owned(), got.to_owned())]);
        }
    }

    #[test]
    fn the_later_request_counts() {
        assert_eq!(dropped("CONFIG_A=y\n# CONFIG_A is not set\n", ""), []);
        assert_eq!(dropped("# CONFIG_A is not set\nCONFIG_A=y\n", "").len(), 1);
    }

    #[test]
    fn comments_and_order_do_not_change_what_is_asked() {
        let canon = |texts: &[&str]| {
            let fragments: Vec<Fragment> = texts.iter().map(|text| fragment(text)).collect();
            canonical(&fragments.iter().collect::<Vec<_>>())
        };
        let one = canon(&["# why\nCONFIG_B=y\n# CONFIG_A is not set\n"]);
        assert_eq!(one, canon(&["CONFIG_A=y\n", "CONFIG_A=n\n\nCONFIG_B=y\n"]));
        assert_ne!(one, canon(&["CONFIG_A=n\n", "CONFIG_A=y\nCONFIG_B=y\n"]));
        // A kernel that was built without an option is no answer to who must have it.
        assert_ne!(one, canon(&["#! required\nCONFIG_B=y\n# CONFIG_A is not set\n"]));
    }

    #[test]
    fn values_are_found_with_and_without_the_prefix() {
        let config = KernelConfig::parse("CONFIG_PREEMPT=y\n# CONFIG_X is not set\n");
        assert_eq!(config.value("CONFIG_PREEMPT"), "y");
        assert_eq!(config.value("PREEMPT"), "y");
        assert_eq!(config.value("CONFIG_X"), "n");
    }
}
