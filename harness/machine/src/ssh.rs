// SPDX-License-Identifier: MIT OR Apache-2.0
//! A login to a guest over SSH: keys made for one run, the guest's host key pinned.
//!
//! libssh2 is not asynchronous: what is here blocks, and belongs into a thread of its own.
//! Nothing that is judged depends on it. The console tells the truth about a guest.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use ssh2::{BlockDirections, Channel, Session};

/// Who logs in.
const USER: &str = "root";
/// Bytes moved at once.
const CHUNK: usize = 32 << 10;

/// Why a guest cannot be used over SSH.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Keys could not be made.
    #[error("cannot make keys for the guest: {0}")]
    Keys(#[from] ssh_key::Error),
    /// The keys could not be left for others.
    #[error("cannot leave the keys: {0}")]
    Leave(io::Error),
    /// Nobody speaks SSH behind the forwarded port.
    #[error("the guest refuses SSH: {0}\n  hint: its console may say why")]
    Refused(String),
    /// Somebody speaks, but not our guest.
    #[error(
        "the host key is not the one made for this guest: somebody else answers on its port\n  hint: try again; if it persists, another program of this machine is in the way"
    )]
    HostKey,
    /// The guest does not accept our key.
    #[error("the guest does not accept the key made for it: {0}\n  hint: its console may say why")]
    Login(ssh2::Error),
    /// The connection broke.
    #[error("the connection to the guest broke: {0}\n  hint: its console may say why")]
    Broken(io::Error),
}

/// The two key pairs of a run. They never leave the run: the private ones are written nowhere but
/// into the guest's initramfs (its host key).
#[derive(Debug)]
pub struct Keys {
    host: PrivateKey,
    user: PrivateKey,
}

impl Keys {
    /// Makes new ones.
    pub fn generate() -> Result<Self, SshError> {
        let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519);
        Ok(Self { host: key()?, user: key()? })
    }

    /// What the guest's sshd needs, by path in the guest: the host key in dropbear's own format, and
    /// who may log in.
    pub fn guest_files(&self) -> Result<[(&'static str, Vec<u8>); 2], SshError> {
        let user = format!("{}\n", self.user.public_key().to_openssh()?);
        Ok([
            ("/etc/dropbear/host_key", self.dropbear_host_key()),
            ("/root/.ssh/authorized_keys", user.into_bytes()),
        ])
    }

    /// Leaves in `dir` what ssh(1) and the target of a plan need for a guest behind `port`: `id`,
    /// `known_hosts` and, last, `target` with its address.
    pub fn leave(&self, dir: &Path, port: u16) -> Result<(), SshError> {
        fs_err::create_dir_all(dir).map_err(SshError::Leave)?;
        let secret = self.user.to_openssh(LineEnding::LF)?;
        let host = self.host.public_key().to_openssh()?;
        for (name, text) in [
            ("id", secret.as_str()),
            ("known_hosts", &format!("[{}]:{port} {host}\n", Ipv4Addr::LOCALHOST)),
            ("target", &format!("ssh://{USER}@{}:{port}\n", Ipv4Addr::LOCALHOST)),
        ] {
            // A temporary file is for our eyes only, and is seen whole or not at all.
            let mut file = tempfile::NamedTempFile::new_in(dir).map_err(SshError::Leave)?;
            file.write_all(text.as_bytes()).map_err(SshError::Leave)?;
            file.persist(dir.join(name)).map_err(|error| SshError::Leave(error.error))?;
        }
        Ok(())
    }

    /// Two strings as in RFC 4251, section 5: the algorithm, and the secret key followed by
    /// the public one (dropbear's `buf_put_ed25519_priv_key`).
    fn dropbear_host_key(&self) -> Vec<u8> {
        let pair = self.host.key_data().ed25519().map(|pair| pair.to_bytes()).unwrap_or([0; 64]);
        let mut file = Vec::new();
        for part in [Algorithm::Ed25519.as_str().as_bytes(), &pair] {
            file.extend(u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
            file.extend(part);
        }
        file
    }
}

/// Tells the columns and rows of the terminal that we run on.
pub type TerminalSize = fn() -> (u32, u32);

/// A session with a guest whose host key was checked.
pub struct Login {
    session: Session,
    stream: TcpStream,
}

impl Login {
    /// Logs in through `port` of the loopback interface.
    pub fn connect(port: u16, keys: &Keys, patience: Duration) -> Result<Self, SshError> {
        let refused = |error: &dyn std::fmt::Display| SshError::Refused(error.to_string());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, patience).map_err(|e| refused(&e))?;
        let handle = stream.try_clone().map_err(|e| refused(&e))?;
        let mut session = Session::new().map_err(|e| refused(&e))?;
        session.set_tcp_stream(handle);
        session.set_timeout(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
        session.handshake().map_err(|e| refused(&e))?;
        let expected = keys.host.public_key().to_bytes()?;
        if session.host_key().is_none_or(|(key, _)| key != expected) {
            return Err(SshError::HostKey);
        }
        let private = keys.user.to_openssh(LineEnding::LF)?;
        session.userauth_pubkey_memory(USER, None, &private, None).map_err(SshError::Login)?;
        Ok(Self { session, stream })
    }

    /// Runs `command`, or a login shell if there is none, with our own stdin, stdout and
    /// stderr, and returns its exit status. A byte on `resized` says that the terminal's size
    /// has changed; with `terminal` the guest's side gets a terminal of that size.
    pub fn run(
        &self,
        command: Option<&str>,
        terminal: Option<TerminalSize>,
        resized: &OwnedFd,
    ) -> Result<u8, SshError> {
        self.session.set_timeout(0);
        let mut channel = self.session.channel_session().map_err(broken)?;
        if let Some(size) = terminal {
            let term = std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned());
            let (columns, rows) = size();
            let size = Some((columns, rows, 0, 0));
            channel.request_pty(&term, None, size).map_err(broken)?;
        }
        match command {
            Some(command) => channel.exec(command),
            None => channel.shell(),
        }
        .map_err(broken)?;
        self.session.set_blocking(false);
        let moved = self.shuttle(&mut channel, terminal, resized);
        self.session.set_blocking(true);
        moved.map_err(SshError::Broken)?;
        channel.wait_close().map_err(broken)?;
        let status = channel.exit_status().map_err(broken)?;
        let signal = channel.exit_signal().map_err(broken)?.exit_signal;
        // As a shell would say it; which signal it was is of no use to anybody here.
        Ok(if signal.is_some() { 128 } else { u8::try_from(status & 0xff).unwrap_or(1) })
    }

    /// Moves bytes both ways until the guest's side ends.
    fn shuttle(
        &self,
        channel: &mut Channel,
        terminal: Option<TerminalSize>,
        resized: &OwnedFd,
    ) -> io::Result<()> {
        let stdin = io::stdin();
        let mut buffer = vec![0; CHUNK];
        let mut pending: Vec<u8> = Vec::new();
        let (mut input_open, mut eof_sent) = (true, false);
        loop {
            let mut moved = pump(&mut channel.stream(0), &mut io::stdout(), &mut buffer)?;
            moved |= pump(&mut channel.stderr(), &mut io::stderr(), &mut buffer)?;
            if channel.eof() {
                return Ok(());
            }
            if !pending.is_empty() {
                match channel.write(&pending) {
                    Ok(written) => {
                        pending.drain(..written);
                        moved |= written > 0;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            } else if !input_open && !eof_sent {
                match channel.send_eof().map_err(io::Error::from) {
                    Ok(()) => eof_sent = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            if moved {
                continue;
            }
            let wants = match self.session.block_directions() {
                BlockDirections::Outbound => PollFlags::OUT,
                BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
                _ => PollFlags::IN,
            };
            let listen = |on: bool| if on { PollFlags::IN } else { PollFlags::empty() };
            let takes_input = input_open && pending.is_empty();
            let mut fds = [
                PollFd::new(&self.stream, wants),
                PollFd::new(resized, PollFlags::IN),
                PollFd::from_borrowed_fd(stdin.as_fd(), listen(takes_input)),
            ];
            // A poll entry without events still reports a hang-up: leave it out.
            let count = if takes_input { 3 } else { 2 };
            match poll(&mut fds[..count], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let (winch, input) = (fds[1].revents(), fds[2].revents());
            if winch.contains(PollFlags::IN) {
                let _ = rustix::io::read(resized, &mut [0u8; 64]);
                if let Some(size) = terminal {
                    let (columns, rows) = size();
                    // Best effort: the size is sent again with the next change.
                    let _ = channel.request_pty_size(columns, rows, None, None);
                }
            }
            if takes_input && !input.is_empty() {
                match rustix::io::read(&stdin, &mut buffer) {
                    Ok(0) => input_open = false,
                    Ok(read) => pending.extend_from_slice(&buffer[..read]),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Moves what there is; true if that was something.
fn pump(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> io::Result<bool> {
    let mut moved = false;
    loop {
        match from.read(buffer) {
            Ok(0) => break,
            Ok(read) => {
                to.write_all(&buffer[..read])?;
                moved = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    to.flush()?;
    Ok(moved)
}

/// Most bytes that are kept of what a command prints.
const OUTPUT_LIMIT: u64 = 4 << 20;

/// What a command in the background said.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; 255 if a signal ended it.
    pub status: i32,
    /// The first 4 MiB of its stdout.
    pub stdout: Vec<u8>,
    /// The first 4 MiB of its stderr.
    pub stderr: Vec<u8>,
}

/// Runs a command to its end, with `input` on its stdin.
pub fn execute(session: &Session, command: &str, input: &[u8]) -> io::Result<Output> {
    let mut channel = session.channel_session()?;
    channel.exec(command)?;
    channel.write_all(input)?;
    channel.send_eof()?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    channel.stream(0).take(OUTPUT_LIMIT).read_to_end(&mut stdout)?;
    channel.stderr().take(OUTPUT_LIMIT).read_to_end(&mut stderr)?;
    channel.close()?;
    channel.wait_close()?;
    let killed = channel.exit_signal()?.exit_signal.is_some();
    let status = if killed { 255 } else { channel.exit_status()? };
    Ok(Output { status, stdout, stderr })
}

fn broken(error: ssh2::Error) -> SshError {
    SshError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_files_hold_its_own_secret_and_our_public_half() {
        let keys = Keys::generate().unwrap();
        let [(_, host), (_, user)] = keys.guest_files().unwrap();
        let ours = keys.user.public_key().to_openssh().unwrap();
        assert_eq!(String::from_utf8_lossy(&user), format!("{ours}\n"));
        assert_eq!(&host[..15], b"\0\0\0\x0bssh-ed25519");
        assert_eq!(host.len(), 4 + 11 + 4 + 64);
        let public = keys.host.public_key().key_data().ed25519().unwrap().0;
        assert_eq!(host[host.len() - 32..], public);
    }
}
