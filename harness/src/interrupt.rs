// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C and SIGTERM: the first asks kindly, the second kills.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit code of an interrupted program.
pub const EXIT_CODE: u8 = 130;

/// Tells whether the user wants us to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens for the rest of the program's life.
    pub fn listen() -> io::Result<Self> {
        let (mut int, mut term) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                if sender.send_replace(true) {
                    // Children die with us: their supervisors watch this process.
                    std::process::exit(i32::from(EXIT_CODE));
                }
            }
        });
        Ok(Self(receiver))
    }

    /// True once the user asked.
    pub fn requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the user asks.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // The listener lives as long as the program: without it nobody can ask.
            std::future::pending::<()>().await;
        }
    }
}
