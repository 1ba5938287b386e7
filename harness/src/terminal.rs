// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal that we run on, while a guest has it.

use std::io::{self, Stdin};

use rustix::termios::{self, OptionalActions, Termios};

/// A terminal in raw mode: every key goes to the guest. Dropping it restores the mode.
#[derive(Debug)]
pub struct RawTerminal {
    stdin: Stdin,
    before: Termios,
}

impl RawTerminal {
    /// Takes over stdin; `None` if it is not a terminal.
    pub fn take() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !termios::isatty(&stdin) {
            return Ok(None);
        }
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self { stdin, before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone has no mode to restore.
        let _ = termios::tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of the terminal on stdin; 80 by 24 if there is none or it does not say.
pub fn size() -> (u32, u32) {
    let size = termios::tcgetwinsize(io::stdin()).ok();
    size.filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}
