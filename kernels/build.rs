// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the data of this crate, so that `library.rs` can embed it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders whose files are embedded.
const FOLDERS: [&str; 3] = ["config", "manifests", "series"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        let path = root.join(folder);
        if path.is_dir() {
            list(&path, &mut files)?;
        }
    }
    files.sort();
    let mut table = fs::File::create(out.join("embedded.rs"))?;
    writeln!(table, "&[")?;
    for file in files {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        writeln!(table, "    ({name:?}, include_bytes!({file:?}).as_slice()),")?;
    }
    writeln!(table, "]")
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Editors and patch tools leave hidden and backup files about.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
