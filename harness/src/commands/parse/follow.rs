// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log that is read while it is written, as `tail -F` does.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err::File;

use super::super::usage;
use super::input::is_packed;
use crate::error::Error;

/// A log that grows, is cut or replaced, or does not exist yet.
pub struct Followed<'a> {
    path: &'a Path,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and number of the file, to know it again.
    id: (u64, u64),
    at: u64,
}

/// What became of a log since it was last looked at.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// It grew by so many bytes, which are in the buffer.
    Grew(usize),
    /// Nothing happened, or there is still no log.
    Nothing,
    /// It was cut or replaced: what comes next is another log.
    Another,
}

impl<'a> Followed<'a> {
    /// The log need not be there, but the folder that it will be in has to.
    pub fn new(path: &'a Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Err(usage("stdin is read as it comes: leave --follow out"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs_err::metadata(folder.unwrap_or(Path::new("."))).map_err(usage)?;
        let mut followed = Followed { path, open: None };
        followed.open()?;
        Ok(followed)
    }

    /// False while there is no log.
    pub fn is_there(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what is new.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Change, Error> {
        let Some(open) = &mut self.open else {
            self.open()?;
            return Ok(Change::Nothing);
        };
        let read = open.file.read(buffer)?;
        if open.at == 0 && is_packed(&buffer[..read]) {
            let path = self.path.display();
            return Err(usage(format!("{path} is packed, and cannot grow: leave --follow out")));
        }
        open.at += read as u64;
        if read > 0 {
            return Ok(Change::Grew(read));
        }
        // A log that was moved away stays open until there is a new one.
        let is_another =
            |now: std::fs::Metadata| now.len() < open.at || (now.dev(), now.ino()) != open.id;
        if fs_err::metadata(self.path).is_ok_and(is_another) {
            self.open()?;
            return Ok(Change::Another);
        }
        Ok(Change::Nothing)
    }

    fn open(&mut self) -> Result<(), Error> {
        self.open = match File::open(self.path) {
            Ok(file) => {
                let now = file.metadata()?;
                Some(Open { id: (now.dev(), now.ino()), file, at: 0 })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(usage(e)),
        };
        Ok(())
    }
}
