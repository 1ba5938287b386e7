// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C and SIGTERM: the first asks kindly, the second kills.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of an interrupted program.
pub const EXIT_CODE: u8 = 130;

/// A token that is cancelled once the user wants us to stop; we listen for the rest of the program's
/// life.
#[expect(clippy::exit, reason = "the second request ends the program at once, wherever it is")]
pub fn listen() -> io::Result<CancellationToken> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let asked = CancellationToken::new();
    let token = asked.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            if token.is_cancelled() {
                // Children die with us: their supervisors watch this process.
                std::process::exit(i32::from(EXIT_CODE));
            }
            token.cancel();
        }
    });
    Ok(asked)
}
