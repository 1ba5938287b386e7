// SPDX-License-Identifier: MIT OR Apache-2.0
//! YAML that people write: where each word stands, and every mistake at once.
//!
//! serde reads a document into types, stops at the first mistake and forgets where things stood. So a
//! document is read twice: once into a tree that keeps the place of each key and value, which is checked as a
//! whole against the JSON Schema of the type, and then, if nothing was wrong, by serde. What only the format
//! itself can know is placed in the same tree, by the path to it.
//!
//! A document is untrusted: [`MOST_BYTES`], [`MOST_NODES`] and [`DEEPEST`] bound it, copies by aliases
//! included, and what it says is escaped in messages.

mod check;
mod nearest;
mod path;
mod problem;
mod scalar;
pub mod schema;
mod tree;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use nearest::{did_you_mean, nearest};
pub use path::Path;
pub use problem::{Place, Problem, Problems};
pub use tree::{DEEPEST, MOST_BYTES, MOST_NODES};

use tree::Node;

/// A document and the places of its words.
#[derive(Debug, Clone)]
pub struct Document {
    file: String,
    text: String,
    root: Node,
    /// Keys that stand twice.
    twice: Vec<Problem>,
}

/// Reads one document as a `T`; `file` is for messages.
///
/// # Errors
/// Every mistake that the schema of `T` tells, or the one at which serde stopped.
pub fn read<T: DeserializeOwned + JsonSchema>(file: &str, text: &str) -> Result<T, Problems> {
    Document::parse(file, text)?.read()
}

impl Document {
    /// Reads the tree; `file` is for messages.
    ///
    /// # Errors
    /// Text that is no YAML, or more of it than is read.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let (root, twice) =
            tree::parse(text).map_err(|problem| Problems::new(file, vec![problem]))?;
        Ok(Self { file: file.to_owned(), text: text.to_owned(), root, twice })
    }

    /// Reads the document as a `T`.
    ///
    /// # Errors
    /// Keys that stand twice and every mistake that the schema of `T` tells, or the one at which serde stopped.
    pub fn read<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Problems> {
        let mistakes = check::check(&schema::of::<T>(), &self.root);
        self.refuse([self.twice.clone(), mistakes].concat())?;
        serde_yaml::from_str(&self.text)
            .map_err(|error| Problems::new(&self.file, vec![Problem::of_serde(&error)]))
    }

    /// The problem that what `path` leads to is wrong. Its place is that of the value, or of as much of
    /// the path as there is.
    pub fn problem(&self, path: &Path, message: impl ToString) -> Problem {
        Problem::new(self.find(path).1, message)
    }

    /// The problem that the key at the end of `path` is wrong, not its value.
    pub fn problem_of_key(&self, path: &Path, message: impl ToString) -> Problem {
        Problem::new(self.find(path).0, message)
    }

    /// The text that `path` leads to; `None` if that is no text, or the path leads nowhere.
    pub fn word(&self, path: &Path) -> Option<&str> {
        self.follow(path)?.word()
    }

    /// How many entries the list has that `path` leads to; 0 if it leads to none.
    pub fn length(&self, path: &Path) -> usize {
        self.follow(path).map_or(0, Node::length)
    }

    fn follow(&self, path: &Path) -> Option<&Node> {
        path.steps().iter().try_fold(&self.root, |node, step| Some(node.step(step)?.1))
    }

    /// Nothing if there are no problems.
    ///
    /// # Errors
    /// All of them.
    pub fn refuse(&self, problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() { Ok(()) } else { Err(self.problems(problems)) }
    }

    /// The error that has all of these.
    pub fn problems(&self, problems: Vec<Problem>) -> Problems {
        Problems::new(&self.file, problems)
    }

    /// Where the last key of `path` stands, and its value. In a list both are the entry's.
    fn find(&self, path: &Path) -> (Place, Place) {
        let (mut node, mut key) = (&self.root, self.root.place);
        for step in path.steps() {
            match node.step(step) {
                Some((place, child)) => (key, node) = (place, child),
                None => break,
            }
        }
        (key, node.place)
    }
}

#[cfg(test)]
mod tests;
