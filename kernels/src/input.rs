// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that people write (manifests, fragments, patches), and what is wrong with them.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use document::Problems;

/// No file that people write is nearly this large.
const LARGEST: u64 = 16 << 20;

/// Why something of the library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is nothing by that name.
    #[error("there is no {what} `{name}`{}\n  hint: choose one of {}{instead}", document::did_you_mean(name, known.iter().map(String::as_str)), known.join(", "))]
    Unknown {
        /// `kernel manifest`, `configuration fragment`, `series`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// What else could be named, as the end of the sentence; empty if there is nothing.
        instead: &'static str,
    },
    /// What was named in place of a manifest is no kernel tree.
    #[error("`{name}` cannot be a kernel: {message}")]
    Tree {
        /// What was named.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A file of YAML has mistakes.
    #[error(transparent)]
    Document(#[from] Problems),
    /// A file does not say what it should.
    #[error("{at}: {message}")]
    Invalid {
        /// `file:line:column`, or as much of it as there is.
        at: String,
        /// What is wrong, and what was expected.
        message: String,
    },
}

/// A file that was read.
pub(crate) struct Text {
    /// Where it comes from, for messages.
    pub(crate) origin: String,
    pub(crate) bytes: Cow<'static, [u8]>,
}

/// The error for what is wrong at a place of a file.
pub(crate) fn invalid(
    origin: &str,
    line: usize,
    column: usize,
    message: impl Into<String>,
) -> LibraryError {
    LibraryError::Invalid { at: format!("{origin}:{line}:{column}"), message: message.into() }
}

/// The file, if there is one.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Text>, LibraryError> {
    match read_file(path) {
        Err(LibraryError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The file, which must be there.
pub(crate) fn read_file(path: &Path) -> Result<Text, LibraryError> {
    let origin = path.display().to_string();
    let meta = fs_err::metadata(path)?;
    if !meta.is_file() || meta.len() > LARGEST {
        let message = format!(
            "not a regular file of at most {} MiB\n  hint: name another one",
            LARGEST >> 20
        );
        return Err(LibraryError::Invalid { at: origin, message });
    }
    Ok(Text { origin, bytes: Cow::Owned(fs_err::read(path)?) })
}
