// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests, configuration fragments and series: embedded, or the user's own.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Fragment;
use crate::manifest::{self, Manifest};
use crate::series::{self, Series, SeriesError};

/// The data of this crate by its path: `config/base.config`.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
/// No file of the library is nearly this large.
const LARGEST: u64 = 16 << 20;

/// Why something of the library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is nothing by that name.
    #[error("there is no {what} `{name}`\n  hint: choose one of {}", known.join(", "))]
    Unknown {
        /// `kernel manifest`, `configuration fragment`, `series`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A file does not say what it should.
    #[error("{at}: {message}")]
    Invalid {
        /// `file:line:column`, or as much of it as there is.
        at: String,
        /// What is wrong, and what was expected.
        message: String,
    },
}

/// Everything that can be asked for by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    user: Option<PathBuf>,
}

/// A file of the library.
pub(crate) struct Text {
    /// Where it comes from, for messages.
    pub(crate) origin: String,
    pub(crate) bytes: Cow<'static, [u8]>,
}

impl Library {
    /// The embedded data, behind `user`: a folder with any of `manifests/`, `config/`
    /// and `series/`, whose files replace embedded ones of the same name.
    pub fn new(user: Option<PathBuf>) -> Self {
        Self { user }
    }

    /// Names of all kernel manifests.
    pub fn manifests(&self) -> Result<Vec<String>, LibraryError> {
        self.names("manifests", ".yaml")
    }

    /// Names of all series that can be asked for by name.
    pub fn series_names(&self) -> Result<Vec<String>, LibraryError> {
        self.names("series", "/series")
    }

    /// Reads and checks a kernel manifest, its fragments included.
    pub fn manifest(&self, name: &str) -> Result<Manifest, LibraryError> {
        match self.read(&format!("manifests/{name}.yaml"))? {
            Some(text) => manifest::parse(name, &text, self),
            None => self.unknown("kernel manifest", name, self.manifests()?),
        }
    }

    /// Reads a configuration fragment.
    pub fn fragment(&self, name: &str) -> Result<Fragment, LibraryError> {
        match self.read(&format!("config/{name}.config"))? {
            Some(text) => {
                let Text { origin, bytes } = text;
                Fragment::parse(&origin, &String::from_utf8_lossy(&bytes))
                    .map_err(|(line, message)| invalid(&origin, line, 1, message))
            }
            None => {
                let known = self.names("config", ".config")?;
                self.unknown("configuration fragment", name, known)
            }
        }
    }

    /// Reads a series: by its name in the library, or, when the argument holds a `/`,
    /// a quilt folder, a mailbox or a single patch file of the user's.
    pub fn series(&self, name: &str) -> Result<Series, LibraryError> {
        if name.contains('/') {
            let path = Path::new(name);
            return series::load(name, &|file| match file {
                None => Ok(path.is_file().then(|| read_file(path)).transpose()?),
                Some(file) => read_if_there(&path.join(file)),
            });
        }
        if self.read(&format!("series/{name}/series"))?.is_none() {
            return self.unknown("series", name, self.series_names()?);
        }
        series::load(name, &|file| match file {
            None => Ok(None),
            Some(file) => self.read(&format!("series/{name}/{file}")),
        })
    }

    /// Reads a series like [`Library::series`], or makes it with the help of a program:
    ///
    /// * `PATH:A..B`: the commits of a git repository on this machine that are in B and not in A;
    /// * `lore:MESSAGE-ID`: mails of the lists' archive, by b4.
    pub async fn obtain_series(&self, name: &str) -> Result<Series, SeriesError> {
        if let Some(id) = name.strip_prefix("lore:") {
            return series::lore("b4", id).await;
        }
        match series::Range::parse(name) {
            Some(range) => range.series().await,
            None => Ok(self.series(name)?),
        }
    }

    fn unknown<T>(
        &self,
        what: &'static str,
        name: &str,
        known: Vec<String>,
    ) -> Result<T, LibraryError> {
        Err(LibraryError::Unknown { what, name: crate::text::quote(name), known })
    }

    /// A file by its path below the library: the user's, or else the embedded one.
    fn read(&self, path: &str) -> Result<Option<Text>, LibraryError> {
        if path.split('/').any(|part| part == "..") {
            return Ok(None);
        }
        if let Some(user) = &self.user
            && let Some(text) = read_if_there(&user.join(path))?
        {
            return Ok(Some(text));
        }
        let embedded = EMBEDDED.iter().find(|(name, _)| *name == path);
        Ok(embedded.map(|(name, bytes)| Text {
            origin: format!("kernels/{name}"),
            bytes: Cow::Borrowed(*bytes),
        }))
    }

    /// Names of the files `FOLDER/NAME` + `suffix`, the user's included, sorted.
    fn names(&self, folder: &str, suffix: &str) -> Result<Vec<String>, LibraryError> {
        let strip = |path: &str| {
            let rest = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(suffix)?;
            (!rest.contains('/')).then(|| rest.to_owned())
        };
        let mut names: Vec<String> = EMBEDDED.iter().filter_map(|(path, _)| strip(path)).collect();
        if let Some(dir) = self.user.as_ref().map(|user| user.join(folder)).filter(|d| d.is_dir()) {
            for entry in fs_err::read_dir(dir)? {
                let entry = entry?;
                let mut name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().join("series").is_file() {
                    name.push_str("/series");
                }
                names.extend(strip(&name));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

pub(crate) fn invalid(
    origin: &str,
    line: usize,
    column: usize,
    message: impl Into<String>,
) -> LibraryError {
    LibraryError::Invalid { at: format!("{origin}:{line}:{column}"), message: message.into() }
}

fn read_if_there(path: &Path) -> Result<Option<Text>, LibraryError> {
    match read_file(path) {
        Err(LibraryError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_is_usable() {
        let library = Library::default();
        for name in library.manifests().unwrap() {
            library.manifest(&name).unwrap();
        }
        for name in library.series_names().unwrap() {
            assert!(!library.series(&name).unwrap().patches.is_empty());
        }
        for name in library.names("config", ".config").unwrap() {
            library.fragment(&name).unwrap();
        }
    }

    #[test]
    fn the_users_folder_comes_first_and_unknown_names_list_the_known() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("config")).unwrap();
        fs_err::write(dir.path().join("config/base.config"), "CONFIG_MINE=y\n").unwrap();
        let library = Library::new(Some(dir.path().into()));
        assert!(library.fragment("base").unwrap().text().contains("MINE"));
        assert!(!Library::default().fragment("base").unwrap().text().contains("MINE"));
        let error = library.fragment("nonsuch").unwrap_err().to_string();
        assert!(error.contains("`nonsuch`") && error.contains("base"), "{error}");
        assert!(library.fragment("../config/base").is_err());
    }

    #[test]
    fn a_series_without_a_series_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Library::default().series(dir.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("series"), "{error}");
    }
}
