// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a document, and where.

use std::fmt;

/// So many problems of a document are shown.
const MOST_SHOWN: usize = 20;

/// So much of a word of the document is shown in a message, in characters.
const MOST_OF_A_WORD: usize = 60;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(place: Place, message: impl ToString) -> Self {
        // Hints are lines of their own; nothing else may move the cursor.
        let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        Self { place, message: message.to_string().chars().map(plain).collect() }
    }

    /// What serde said, whose words repeat the place.
    pub(crate) fn of_serde(error: &serde_yaml::Error) -> Self {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let message = error.to_string();
        let message = message
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&message)
            .replace('\n', " ");
        Self::new(Place { line, column }, message)
    }
}

/// Everything that is wrong with a document, in the order in which it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file as the user knows it.
    pub file: String,
    /// At least one.
    pub list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.place);
        Self { file: file.to_owned(), list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Problem { place, message }) in self.list.iter().take(MOST_SHOWN).enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{place}: {message}", self.file)?;
        }
        match self.list.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.file),
        }
    }
}

impl std::error::Error for Problems {}

/// A word of the document, fit for a message.
pub(crate) fn escaped(word: &str) -> String {
    let shown: String = word.chars().take(MOST_OF_A_WORD).collect();
    let rest = if shown.len() < word.len() { "..." } else { "" };
    format!("{}{rest}", shown.escape_debug())
}
