// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only place that prints. stdout is data, stderr is talk.

use std::io::{self, IsTerminal, Write};

use reports::render::Look;

use crate::cli::Output;
use crate::error::Error;

/// What may be said, and how.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    quiet: bool,
    /// True if stderr is a terminal on which bars may be drawn.
    pub bars: bool,
    /// What stdout is like.
    pub look: Look,
}

impl Printer {
    /// Looks at the streams and at NO_COLOR (<https://no-color.org>).
    pub fn new(output: &Output) -> Self {
        let stdout = io::stdout();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let size = rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col.into());
        Self {
            quiet: output.quiet,
            bars: !output.quiet && io::stderr().is_terminal(),
            look: Look {
                width: size.filter(|columns| *columns >= 40).unwrap_or(100),
                colour: stdout.is_terminal() && !no_colour,
            },
        }
    }

    /// Data, to stdout. A reader that has gone away is no error of ours.
    pub fn data(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Talk, to stderr; nothing with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// An error, to stderr, in any case.
    pub fn error(&self, error: &Error) {
        self.complain(&format!("error: {error}"));
    }

    fn complain(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{text}");
    }
}
