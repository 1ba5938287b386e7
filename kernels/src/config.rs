// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configuration fragments, and the check that a final `.config` honours them.
//!
//! The kernel's scripts drop options silently: an unmet dependency, a `choice` won by
//! another member, a name that this version does not know. A kernel that lacks what was
//! asked for proves nothing, so each asked option is compared with the outcome.

mod kconfig;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

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
}

impl Fragment {
    /// Reads a fragment. `origin` names it in messages: a file. The error is a line
    /// number and what is wrong there.
    pub fn parse(origin: &str, text: &str) -> Result<Self, (usize, String)> {
        let mut asked: Vec<Asked> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            match parse_line(line) {
                Some((name, value)) => {
                    asked.push(Asked {
                        name: name.to_owned(),
                        value: value.to_owned(),
                        line: number + 1,
                    });
                }
                None if line.is_empty() || line.starts_with('#') => {}
                None => {
                    let message =
                        "expected CONFIG_NAME=value, `# CONFIG_NAME is not set` or a comment";
                    return Err((number + 1, format!("{message}, not `{}`", quote(line))));
                }
            }
        }
        Ok(Self { origin: origin.to_owned(), text: text.to_owned(), asked })
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

/// Option and value of a line of a `.config`; `None` for anything else.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    let (name, value) = match line.strip_prefix("# ") {
        Some(rest) => (rest.strip_suffix(" is not set")?, "n"),
        None => line.split_once('=')?,
    };
    let symbol = name.strip_prefix("CONFIG_")?;
    let known = symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (known && !symbol.is_empty() && !value.is_empty()).then_some((name, value))
}

/// A final `.config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig {
    text: String,
    values: BTreeMap<String, String>,
}

impl KernelConfig {
    /// Reads the text of a `.config`.
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        let values = text
            .lines()
            .filter_map(parse_line)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { text, values }
    }

    /// Value of an option, named with or without `CONFIG_`: `y`, `m`, a number or a
    /// string with its quotes; `n` if it is not set or not known.
    pub fn value(&self, name: &str) -> &str {
        let full = if name.starts_with("CONFIG_") { name } else { &format!("CONFIG_{name}") };
        self.values.get(full).map_or("n", String::as_str)
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
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
    options.map(|(option, _)| format!("{}={}\n", option.name, option.value)).collect()
}

/// Compares what the fragments ask for with the outcome. `tree` and `kernel_arch`
/// (make's `ARCH`) are for explaining what was dropped.
pub(crate) fn check(
    fragments: &[&Fragment],
    config: &KernelConfig,
    tree: &Path,
    kernel_arch: &str,
) -> Result<(), ConfigError> {
    let differing: Vec<(&Asked, &str)> = effective(fragments)
        .into_values()
        .filter(|(option, _)| !same(&option.value, config.value(&option.name)))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = differing.iter().map(|(option, _)| option.name.as_str()).collect();
    let mut remarks = kconfig::explain(tree, kernel_arch, config, &names);
    let dropped = differing
        .iter()
        .map(|(option, origin)| Dropped {
            name: option.name.clone(),
            asked: option.value.clone(),
            place: format!("{origin}:{}", option.line),
            got: config.value(&option.name).to_owned(),
            remarks: remarks.remove(option.name.as_str()).unwrap_or_default(),
        })
        .collect();
    Err(ConfigError { dropped })
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

    fn dropped(asked: &str, config: &str) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        let config = KernelConfig::parse(config);
        match check(&[&fragment(asked)], &config, dir.path(), "x86_64") {
            Ok(()) => Vec::new(),
            Err(error) => error.dropped.into_iter().map(|d| (d.name, d.got)).collect(),
        }
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
    }

    #[test]
    fn values_are_found_with_and_without_the_prefix() {
        let config = KernelConfig::parse("CONFIG_PREEMPT=y\n# CONFIG_X is not set\n");
        assert_eq!(config.value("CONFIG_PREEMPT"), "y");
        assert_eq!(config.value("PREEMPT"), "y");
        assert_eq!(config.value("CONFIG_X"), "n");
    }
}
