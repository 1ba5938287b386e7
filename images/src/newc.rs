// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `newc` archive that the kernel unpacks into its first root file system.
//!
//! The format is the kernel's, Documentation/driver-api/early-userspace/buffer-format.rst.
//! Archives are not compressed: an emulated CPU unpacks slower than it copies.

use std::io::{self, Write};

use crate::tree::{Node, Tree};

/// Name of the entry that ends an archive.
pub const TRAILER: &str = "TRAILER!!!";

const MAGIC: &str = "070701";
/// Names and contents begin at multiples of this many bytes.
const ALIGNMENT: usize = 4;

const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFLNK: u32 = 0o120_000;

/// Writes `tree` as one archive. Inode numbers count the paths in their order; owner,
/// group and times are 0.
pub fn write(tree: &Tree, to: &mut impl Write) -> io::Result<()> {
    for (inode, (path, node)) in (1u32..).zip(tree.iter()) {
        entry(path, inode, node, to)?;
    }
    let header = Header { nlink: 1, ..Header::default() };
    record(TRAILER, &header, &[], to)
}

#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    nlink: u32,
    device: (u32, u32),
}

fn entry(path: &str, inode: u32, node: &Node, to: &mut impl Write) -> io::Result<()> {
    let header = Header { inode, nlink: 1, ..Header::default() };
    match node {
        Node::Dir => {
            let header = Header { mode: S_IFDIR | 0o755, nlink: 2, ..header };
            record(path, &header, &[], to)
        }
        Node::File { data, executable } => {
            let permissions = if *executable { 0o755 } else { 0o644 };
            record(path, &Header { mode: S_IFREG | permissions, ..header }, data, to)
        }
        Node::CharDevice { major, minor } => {
            let header = Header { mode: S_IFCHR | 0o600, device: (*major, *minor), ..header };
            record(path, &header, &[], to)
        }
        Node::Link { target } => {
            record(path, &Header { mode: S_IFLNK | 0o777, ..header }, target.as_bytes(), to)
        }
    }
}

fn record(name: &str, header: &Header, data: &[u8], to: &mut impl Write) -> io::Result<()> {
    let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let fields = [
        header.inode,
        header.mode,
        0, // uid
        0, // gid
        header.nlink,
        0, // mtime
        size(data.len())?,
        0, // major of the file's own device
        0, // its minor
        header.device.0,
        header.device.1,
        size(name.len() + 1)?,
        0, // check sum, of another format
    ];
    let mut head = MAGIC.to_owned();
    for field in fields {
        head.push_str(&format!("{field:08x}"));
    }
    head.push_str(name);
    head.push('\0');
    padded(head.as_bytes(), to)?;
    padded(data, to)
}

fn padded(bytes: &[u8], to: &mut impl Write) -> io::Result<()> {
    to.write_all(bytes)?;
    let padding = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
    to.write_all(&[0; ALIGNMENT][..padding])
}

#[cfg(test)]
mod tests;
