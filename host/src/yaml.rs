// SPDX-License-Identifier: MIT OR Apache-2.0
//! YAML whose errors say where they are.

use serde::de::DeserializeOwned;

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct YamlError {
    /// The file as the user knows it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Reads one document; `file` is for messages only.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        // The place stands in front already.
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at line {line} column {column}"));
        let message = message.map_or_else(|| error.to_string(), str::to_owned);
        YamlError { file: file.to_owned(), line, column, message }
    })
}

/// Line and column, from 1, of the first line that holds `word` outside a comment, for what is found to
/// be wrong after reading; the parser keeps no places. (1, 1) if there is none.
pub fn find_word(yaml: &str, word: &str) -> (usize, usize) {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !"-_.".contains(c));
    for (number, line) in yaml.lines().enumerate() {
        let code = line.split(" #").next().unwrap_or(line);
        if code.starts_with('#') {
            continue;
        }
        let found = code.match_indices(word).find(|(at, _)| {
            boundary(code[..*at].chars().next_back())
                && boundary(code[at + word.len()..].chars().next())
        });
        if let Some((at, _)) = found {
            return (number + 1, code[..at].chars().count() + 1);
        }
    }
    (1, 1)
}
