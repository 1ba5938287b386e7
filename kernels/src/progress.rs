// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a caller may show while a kernel is made.

use std::fmt;

/// Receives progress; called often, so it should be quick.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// One piece of news.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress<'a> {
    /// Another step begins.
    Stage(Stage),
    /// Another swapstorm makes the thing named; we wait for it.
    Waiting(&'a str),
    /// Something a user may want to know, one line.
    Notice(&'a str),
    /// A download went on.
    Download {
        /// Percent of all, 0 to 100.
        percent: f64,
    },
    /// The build went on.
    Objects {
        /// Objects made so far.
        done: u64,
        /// How many the last such build made, if there was one.
        expected: Option<u64>,
        /// The object, below the build folder.
        current: &'a str,
    },
}

/// Steps on the way to a kernel, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Fetching a suite's lists of packages.
    Lists,
    /// Fetching the source.
    Fetch,
    /// Unpacking the source.
    Unpack,
    /// Reading a tree in place for the first time.
    Read,
    /// Laying out the work tree and applying the series, if there is one.
    Patch,
    /// Making and checking the configuration.
    Configure,
    /// Compiling.
    Compile,
    /// Asking sparse about files.
    Sparse,
    /// Putting the result into the store.
    Publish,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lists => "fetching lists of packages",
            Self::Fetch => "fetching the source",
            Self::Unpack => "unpacking the source",
            Self::Read => "reading the source",
            Self::Patch => "laying out the work tree",
            Self::Configure => "configuring",
            Self::Compile => "compiling",
            Self::Sparse => "asking sparse",
            Self::Publish => "storing",
        })
    }
}
