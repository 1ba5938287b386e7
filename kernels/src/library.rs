// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests, configuration fragments and series: embedded, or the user's own.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::config::Fragment;
use crate::input::{LibraryError, Text, invalid, read_file, read_if_there};
use crate::manifest::{self, Manifest, Parts};
use crate::series::{self, Series, SeriesError};
use crate::text::quote;
use crate::tree;

/// The data of this crate by its path: `config/base.config`.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Everything that can be asked for by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    user: Option<PathBuf>,
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

    /// Reads and checks a kernel manifest, its fragments included; or makes one of a kernel tree:
    /// a folder, a tarball, or `REPO:REF`, a commit of a repository. A manifest's name comes first.
    pub fn manifest(&self, name: &str) -> Result<Manifest, LibraryError> {
        if let Some(text) = self.read(&format!("manifests/{name}.yaml"))? {
            return manifest::parse(name, &text, self);
        }
        let tree = tree::parse(name);
        let tree = tree.map_err(|message| LibraryError::Tree { name: quote(name), message })?;
        if let Some((name, source)) = tree {
            return manifest::of_tree(name, source, self);
        }
        let (what, known) = ("kernel manifest", self.manifests()?);
        let instead = ", or a kernel's tree: a folder, a tarball, or REPO:REF";
        Err(LibraryError::Unknown { what, name: quote(name), known, instead })
    }

    /// Reads a configuration fragment.
    pub fn fragment(&self, name: &str) -> Result<Fragment, LibraryError> {
        Parts::fragment(self, name)
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
        Err(LibraryError::Unknown { what, name: quote(name), known, instead: "" })
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

impl Parts for Library {
    fn fragment(&self, name: &str) -> Result<Fragment, LibraryError> {
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

    fn standard(&self) -> Result<Text, LibraryError> {
        let path = "config/standard.yaml";
        self.read(path)?.ok_or_else(|| invalid(path, 1, 1, "it is missing"))
    }
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
    fn a_tree_in_place_of_a_manifest_is_configured_as_all_are() {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::default();
        let tree = library.manifest(dir.path().to_str().unwrap()).unwrap();
        let manifest = library.manifest("debian-6.1").unwrap();
        for arch in host::arch::ALL {
            assert_eq!(tree.fragments(arch), manifest.fragments(arch));
            assert_eq!(tree.variables(arch), manifest.variables(arch));
        }
        assert!(tree.is_of_tree && !manifest.is_of_tree);
        let error = library.manifest("nonsuch").unwrap_err().to_string();
        assert!(error.contains("debian-6.1") && error.ends_with("or REPO:REF"), "{error}");
        let error = library.manifest("./nonsuch").unwrap_err().to_string();
        assert!(error.starts_with("`./nonsuch` cannot be a kernel: "), "{error}");
    }

    #[test]
    fn a_series_without_a_series_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Library::default().series(dir.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("series"), "{error}");
    }
}
