// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things lie and come from: the cache, the user's own data, the folder of a run.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use host::store::Store;
use reports::event::Fault;

use crate::error::Error;

/// The folders that a command was given, and the mirror.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Sources, kernels and images; `None`: `swapstorm` below `XDG_CACHE_HOME` or `~/.cache`.
    pub cache: Option<PathBuf>,
    /// Results of runs.
    pub out: PathBuf,
    /// The user's own `kernels/`, `workloads/`, `reports/` and `harness/` data.
    pub data: Option<PathBuf>,
    /// URL of the Debian mirror that packages come from; `None`: the one of this machine's apt.
    pub mirror: Option<String>,
}

impl Folders {
    /// Opens the store, which is made if need be.
    pub fn store(&self) -> Result<Store, Error> {
        Ok(Store::open(self.cache_dir()?)?)
    }

    /// The folder of the store.
    ///
    /// # Errors
    /// Nothing says where it is.
    pub fn cache_dir(&self) -> Result<PathBuf, Error> {
        if let Some(dir) = &self.cache {
            return Ok(std::path::absolute(dir)?);
        }
        of_user("XDG_CACHE_HOME", ".cache").ok_or_else(|| {
            Error::new(Fault::Configuration, "neither --cache nor HOME says where the cache is")
        })
    }

    /// The user's own data for one part (`kernels`, `workloads`, `reports`, `images`).
    pub fn own(&self, part: &str) -> Option<PathBuf> {
        self.data.as_ref().map(|dir| dir.join(part))
    }

    /// Makes a new folder for a run: `<out>/<command>-<time>`, or with a number behind it.
    pub fn new_run(&self, command: &str) -> Result<PathBuf, Error> {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let out = std::path::absolute(&self.out)?;
        fs::create_dir_all(&out)?;
        for number in 1..1000 {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let dir = out.join(format!("{command}-{time}{suffix}"));
            match private_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return Ok(made.map(|()| dir)?),
            }
        }
        let words = format!("{} holds too many runs of this second", out.display());
        Err(Error::new(Fault::Infrastructure, words))
    }
}

/// The user's own folder of a kind: `swapstorm` below the folder that `variable` names, or else below `usual` in the home.
/// `None` if nothing says where that is. (XDG Base Directory Specification; relative paths do not count there, either.)
pub(crate) fn of_user(variable: &str, usual: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set(variable).or_else(|| Some(set("HOME")?.join(usual)))?;
    Some(base.join("swapstorm"))
}

/// Makes a folder that only its owner may enter. It must not exist.
fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display()))
    })
}
