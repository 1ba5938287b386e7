// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways to a value: `stretch[0].candidates[1].call`.

use std::fmt;

use crate::problem::escaped;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the value of a key.
    Key(String),
    /// To an entry of a list, from 0.
    Item(usize),
}

/// The way to a value from the document's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// The way to the root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The way to the value of a key of the root.
    pub fn of(key: &str) -> Self {
        Self::root().key(key)
    }

    /// The way on to the value of `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.to(Step::Key(key.to_owned()))
    }

    /// The way on to an entry of a list, from 0.
    #[must_use]
    pub fn item(&self, at: usize) -> Self {
        self.to(Step::Item(at))
    }

    fn to(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The words in front of a message about the value: `storm.workers: `; empty for the root.
    pub(crate) fn prefix(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("{self}: ") }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(at) => write!(f, "[{at}]")?,
                Step::Key(key) if number == 0 => f.write_str(&escaped(key))?,
                Step::Key(key) => write!(f, ".{}", escaped(key))?,
            }
        }
        Ok(())
    }
}
