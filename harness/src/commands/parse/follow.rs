// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log that is read while it is written, as `tail -F` does.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err::File;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::usage;
use super::input::is_packed;
use engine::Error;

/// A log that grows, is cut or replaced, or does not exist yet; or stdin.
pub struct Followed<'a> {
    path: &'a Path,
    source: Source,
}

enum Source {
    Stdin { at: u64 },
    File(Option<Open>),
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
    /// It was stdin, and has ended.
    Ended,
}

impl<'a> Followed<'a> {
    /// The log need not be there, but the folder that it will be in has to. `-` is stdin.
    pub fn new(path: &'a Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Ok(Followed { path, source: Source::Stdin { at: 0 } });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs_err::metadata(folder.unwrap_or(Path::new("."))).map_err(usage)?;
        Ok(Followed { path, source: Source::File(open(path)?) })
    }

    /// False while there is no log.
    pub fn is_there(&self) -> bool {
        !matches!(self.source, Source::File(None))
    }

    /// Reads what is new.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Change, Error> {
        let (read, at) = match &mut self.source {
            Source::File(None) => {
                self.source = Source::File(open(self.path)?);
                return Ok(Change::Nothing);
            }
            Source::File(Some(open)) => (open.file.read(buffer)?, &mut open.at),
            Source::Stdin { .. } if !stdin_is_ready()? => return Ok(Change::Nothing),
            Source::Stdin { at } => (
                rustix::io::read(rustix::stdio::stdin(), &mut *buffer).map_err(io::Error::from)?,
                at,
            ),
        };
        if *at == 0 && is_packed(&buffer[..read]) {
            let path = self.path.display();
            return Err(usage(format!("{path} is packed, and cannot grow: leave --follow out")));
        }
        *at += read as u64;
        if read > 0 {
            return Ok(Change::Grew(read));
        }
        let Source::File(Some(known)) = &self.source else { return Ok(Change::Ended) };
        // A log that was moved away stays open until there is a new one.
        let is_another =
            |now: std::fs::Metadata| now.len() < known.at || (now.dev(), now.ino()) != known.id;
        if fs_err::metadata(self.path).is_ok_and(is_another) {
            self.source = Source::File(open(self.path)?);
            return Ok(Change::Another);
        }
        Ok(Change::Nothing)
    }
}

/// Opens a log if it is there.
fn open(path: &Path) -> Result<Option<Open>, Error> {
    match File::open(path) {
        Ok(file) => {
            let now = file.metadata()?;
            Ok(Some(Open { id: (now.dev(), now.ino()), file, at: 0 }))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(usage(e)),
    }
}

/// False if nobody reads any more what is written to stdout: `| head` has seen enough.
pub fn is_output_read() -> bool {
    let stdout = rustix::stdio::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    // Errors are always told.
    let told = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    !(told.is_ok_and(|ready| ready > 0) && fds[0].revents().contains(PollFlags::ERR))
}

/// True if reading from stdin would not have to wait.
fn stdin_is_ready() -> Result<bool, Error> {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(io::Error::from(e).into()),
    }
}
