// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs as they are stored: plain or packed, in a file or on stdin.

use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use fs_err::File;
use reports::console::pstore_in_order;
use reports::event::Fault;

use super::super::usage;
use super::zstd::Frames;
use engine::Error;

/// Bytes that are read in one go: few enough to stay in a processor's cache.
pub const CHUNK: usize = 64 << 10;
/// Memory that unpacking may take; `xz -9` needs 64 MiB, but nobody packs a log so.
const XZ_MEMORY_KIB: u32 = 128 << 10;
/// A pstore dump is smaller than this.
const PSTORE: usize = 4 << 20;

/// A log being read.
pub struct Input {
    name: String,
    bytes: Box<dyn Read>,
    /// Why nothing more can be read; what was read before is given out first.
    cut: Option<io::Error>,
}

impl Input {
    /// Opens a file, or stdin for `-`, and looks at its first bytes.
    pub fn open(log: &Path) -> Result<Self, Error> {
        let name = log.display().to_string();
        let mut source: Box<dyn Read> = if log.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let file = File::open(log).map_err(usage)?;
            if file.metadata()?.is_dir() {
                return Err(usage(format!("{name} is a folder\n  hint: --dir reads its logs")));
            }
            Box::new(file)
        };
        let mut magic = [0; 12];
        let known =
            read_full(&mut source, &mut magic).map_err(|e| damaged(&name, &e.to_string()))?;
        let bytes: Box<dyn Read> = Box::new(Cursor::new(magic[..known].to_vec()).chain(source));
        let bytes: Box<dyn Read> = match &magic[..known] {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(bytes)),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                Box::new(lzma_rust2::XzReader::new_mem_limit(bytes, true, XZ_MEMORY_KIB))
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(Frames::new(bytes)),
            start if is_pstore(start) => {
                let mut all = Vec::new();
                let mut bytes = bytes.take(PSTORE as u64 + 1);
                bytes.read_to_end(&mut all)?;
                if all.len() > PSTORE {
                    Box::new(Cursor::new(all).chain(bytes.into_inner()))
                } else {
                    Box::new(Cursor::new(pstore_in_order(all)))
                }
            }
            _ => bytes,
        };
        Ok(Input { name, bytes, cut: None })
    }

    /// Fills the buffer as far as the log goes; 0 at its end. A log that breaks off gives what is
    /// before the break, and then an error.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() && self.cut.is_none() {
            match self.bytes.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => self.cut = Some(e),
            }
        }
        match &self.cut {
            Some(error) if filled == 0 => Err(damaged(&self.name, &error.to_string())),
            _ => Ok(filled),
        }
    }
}

/// True for the first bytes of what [`Input`] unpacks.
pub fn is_packed(start: &[u8]) -> bool {
    let magics = [&b"\x1f\x8b"[..], b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    magics.iter().any(|magic| start.starts_with(magic))
}

fn is_pstore(start: &[u8]) -> bool {
    [&b"Panic#"[..], b"Oops#", b"Emergency#"].iter().any(|word| start.starts_with(word))
}

fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn damaged(name: &str, why: &str) -> Error {
    Error::new(Fault::Infrastructure, format!("{name}: cannot be read to its end: {why}"))
}
