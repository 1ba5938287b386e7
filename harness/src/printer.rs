// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only place that prints. stdout is data, stderr is talk.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use reports::escape::printable_lines;
use reports::event::Fault;
use reports::render::Look;

use crate::cli::Output;
use engine::Error;

/// Why data did not get to stdout, the first time.
static LOST: OnceLock<String> = OnceLock::new();

/// What may be said, and how.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    quiet: bool,
    /// True if every step should be told.
    pub verbose: bool,
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
            verbose: output.verbose,
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
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                LOST.get_or_init(|| error.to_string());
            }
            _ => {}
        }
    }

    /// An error if data did not get to stdout, because the disk is full for instance.
    pub fn all_written(&self) -> Result<(), Error> {
        let lost = LOST.get();
        lost.map_or(Ok(()), |why| {
            Err(Error::new(Fault::Infrastructure, format!("cannot write to stdout: {why}")))
        })
    }

    /// Talk, to stderr; nothing with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// An error, to stderr, in any case. It may hold names and words of others.
    pub fn error(&self, error: &Error) {
        self.complain(&format!("error: {}", printable_lines(&error.to_string())));
    }

    fn complain(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{text}");
    }
}
