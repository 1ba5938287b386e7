// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of baselines: read whole, and written a line at a time under a lock.
//!
//! The file itself is what is locked, so nothing lies beside it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use host::lock::FileLock;
use reports::baseline::{Book, BookReader};
use reports::event::Fault;

use crate::error::Error;

/// Bytes that are read in one go.
const CHUNK: usize = 64 << 10;

/// A file of baselines.
#[derive(Debug, Clone)]
pub struct BaselineFile {
    /// Where it is; it need not be there.
    pub path: PathBuf,
}

impl BaselineFile {
    /// The file that was named, or the user's own: `swapstorm/baselines.jsonl` below `XDG_DATA_HOME` or
    /// `~/.local/share`.
    ///
    /// # Errors
    /// Nothing says where it is.
    pub fn at(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) => std::path::absolute(path)?,
            None => crate::folders::of_user("XDG_DATA_HOME", ".local/share")
                .ok_or_else(|| {
                    let words = "neither an option nor HOME says where the baselines are";
                    Error::new(Fault::Configuration, words)
                })?
                .join("baselines.jsonl"),
        };
        Ok(Self { path })
    }

    /// What it holds. A file that is not there holds nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&self) -> Result<Book, Error> {
        match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book::default()),
            Err(error) => Err(error.into()),
            Ok(mut file) => Ok(read(&mut file)?),
        }
    }

    /// Appends the lines that `make` makes of what the file holds, while nobody else writes: `waiting` is called if
    /// somebody does just now.
    ///
    /// # Errors
    /// Those of `make`, after which nothing was written, and those of writing. A line of which only a part could be written
    /// is taken away again.
    pub async fn append(
        &self,
        waiting: impl FnOnce(),
        make: impl FnOnce(Book) -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let _lock = FileLock::take(&self.path, waiting).await?;
        let mut file = fs::OpenOptions::new().read(true).append(true).open(&self.path)?;
        let book = read(&mut file)?;
        if book.is_cut {
            let words = format!(
                "{}: it is too large\n  hint: begin another file, with the baselines that still matter",
                self.path.display()
            );
            return Err(Error::new(Fault::Configuration, words));
        }
        for line in make(book)? {
            append_line(&mut file, &line)?;
        }
        file.sync_data()?;
        Ok(())
    }
}

/// Writes a line in one go, behind whatever line somebody could not finish.
pub(crate) fn append_line(file: &mut fs::File, line: &str) -> io::Result<()> {
    let length = file.metadata()?.len();
    let gap = if length > 0 && last_byte(file, length)? != b'\n' { "\n" } else { "" };
    let written = file.write_all(format!("{gap}{line}").as_bytes());
    if written.is_err() {
        // Where this fails, too, the reader skips what is there.
        let _ = file.set_len(length);
    }
    written
}

fn last_byte(file: &mut fs::File, length: u64) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

fn read(file: &mut fs::File) -> io::Result<Book> {
    let mut reader = BookReader::default();
    in_pieces(file, |bytes| reader.push(bytes))?;
    Ok(reader.finish())
}

/// Reads a file to its end.
pub(crate) fn in_pieces(file: &mut fs::File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => take(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use reports::baseline::Accepted;

    use super::*;

    fn accepted(reason: &str) -> String {
        Accepted { baseline: "a".to_owned(), at: String::new(), reason: reason.to_owned() }
            .line()
            .unwrap()
    }

    #[tokio::test]
    async fn lines_are_added_behind_those_that_are_there_and_a_cut_one_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = BaselineFile { path: dir.path().join("new/folder/baselines.jsonl") };
        assert_eq!(file.read().unwrap(), Book::default());
        let add = |line: String| {
            let file = file.clone();
            async move { file.append(|| panic!("nobody writes"), |_| Ok(vec![line])).await }
        };
        let text = || fs::read_to_string(&file.path).unwrap();
        add(accepted("one")).await.unwrap();
        let whole = text();
        assert_eq!(whole, accepted("one"));
        fs::write(&file.path, &whole[..whole.len() / 2]).unwrap();
        add(accepted("two")).await.unwrap();
        let cut = &whole[..whole.len() / 2];
        assert_eq!(text(), format!("{cut}\n{}", accepted("two")));
        // What comes to nothing writes nothing.
        let refused = file.append(
            || (),
            |book| {
                assert_eq!(book.problems.len(), 2);
                Err(Error::new(Fault::Configuration, "no"))
            },
        );
        assert_eq!(refused.await.unwrap_err().to_string(), "no");
        assert_eq!(text(), format!("{cut}\n{}", accepted("two")));
    }

    #[tokio::test]
    async fn who_writes_while_somebody_else_does_is_told_and_waits() {
        let dir = tempfile::tempdir().unwrap();
        let file = BaselineFile { path: dir.path().join("baselines.jsonl") };
        let mut other = FileLock::try_take(&file.path).unwrap();
        assert!(other.is_some());
        let mut told = false;
        let waiting = || {
            told = true;
            other.take();
        };
        file.append(waiting, |_| Ok(vec![accepted("one")])).await.unwrap();
        assert!(told);
        assert_eq!(fs::read_to_string(&file.path).unwrap(), accepted("one"));
    }
}
