// SPDX-License-Identifier: MIT OR Apache-2.0
//! The format of `.config`.

use std::collections::BTreeMap;

use host::version::KernelVersion;

/// Option and value of a line of a `.config`; `None` for anything else.
pub(super) fn parse_line(line: &str) -> Option<(&str, &str)> {
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

    /// The version of the kernel that it is for, if its heading says so.
    pub fn version(&self) -> Option<KernelVersion> {
        KernelVersion::of_config(&self.text)
    }
}
