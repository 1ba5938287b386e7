// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine over SSH while its agent runs: a thread moves bytes, the watch sees a machine.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc as sync;
use std::time::Duration;

use fs_err::File;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{Channel, Session};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::Connection;
use super::kmsg::Kmsg;
use crate::news::{Kind, Machine, News};

/// The agent is told so often that we are there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often files and orders are looked at.
const TICK: Duration = Duration::from_millis(100);
/// The kernel's log may come so much later than the agent's end.
const LAG: Duration = Duration::from_secs(2);
/// Bytes moved at once.
const CHUNK: usize = 32 << 10;
/// Most bytes kept of what the agent says on stderr.
const SAID_LIMIT: usize = 4 << 10;

/// What the thread tells.
#[derive(Debug)]
enum Told {
    Console(Vec<u8>),
    /// The agent has ended, and its shell has removed its files.
    Ended {
        status: i32,
        said: String,
    },
    Lost(String),
}

/// How it all ended.
#[derive(Debug)]
struct Ending {
    words: String,
    /// The agent has ended by itself, and so has restored what it could.
    kindly: bool,
    at: Instant,
}

/// A serial console's log on this machine, read as it grows.
#[derive(Debug)]
struct SerialLog {
    file: File,
    /// It is watched for so long after the connection was lost.
    patience: Duration,
}

/// A machine with a running agent.
#[derive(Debug)]
pub struct Remote {
    told: mpsc::Receiver<Told>,
    stop: sync::Sender<()>,
    serial: Option<SerialLog>,
    ready: Vec<u8>,
    started: Instant,
    ending: Option<Ending>,
    /// How long the agent may take to restore the machine.
    restoring: Duration,
}

/// What is started on the machine.
#[derive(Debug)]
pub struct Commands {
    /// The agent, its files' removal behind it.
    pub agent: String,
    /// What prints the kernel's log until its stdin ends.
    pub kernel_log: String,
}

impl Remote {
    /// Starts the agent. The console is the serial log if there is one, and the kernel's log
    /// otherwise.
    pub async fn start(
        connection: Connection,
        commands: Commands,
        token: &str,
        serial: Option<(&Path, Duration)>,
        restoring: Duration,
    ) -> io::Result<Self> {
        let serial = match serial {
            Some((path, patience)) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::End(0))?;
                Some(SerialLog { file, patience })
            }
            None => None,
        };
        let (teller, told) = mpsc::channel(64);
        let (stop, stopped) = sync::channel();
        let kmsg = serial.is_none().then(|| Kmsg::new(token));
        tokio::task::spawn_blocking(move || {
            let last = match converse(&connection, &commands, kmsg, &teller, &stopped) {
                Ok(last) => last,
                Err(error) => Told::Lost(error.to_string()),
            };
            // Nobody listens any more if the watch was dropped.
            let _ = teller.blocking_send(last);
        });
        let (started, ready) = (Instant::now(), Vec::new());
        Ok(Self { told, stop, serial, ready, started, ending: None, restoring })
    }

    /// Hands out what is ready.
    fn hand_out(&mut self, buffer: &mut [u8]) -> News {
        let count = self.ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        News::Console(count)
    }

    fn hear(&mut self, told: Option<Told>) {
        let (words, kindly) = match told {
            Some(Told::Console(bytes)) => return self.ready.extend(bytes),
            Some(Told::Ended { status, said }) => {
                let said = said.lines().next_back().unwrap_or_default();
                (format!("the agent ended with exit status {status}: {said}"), status <= 2)
            }
            Some(Told::Lost(error)) => (format!("the connection was lost: {error}"), false),
            None => ("the connection was lost".to_owned(), false),
        };
        self.ending.get_or_insert(Ending { words, kindly, at: Instant::now() });
    }

    /// True once there is nothing more to come.
    fn over(&self) -> bool {
        let Some(ending) = &self.ending else { return false };
        let patience = match &self.serial {
            Some(_) if ending.kindly => LAG,
            Some(serial) => serial.patience,
            None => return true,
        };
        ending.at.elapsed() > patience
    }
}

impl Machine for Remote {
    fn kind(&self) -> Kind {
        Kind::Target
    }

    fn started(&self) -> Instant {
        self.started
    }

    async fn news(&mut self, buffer: &mut [u8]) -> io::Result<News> {
        if let Some(serial) = &mut self.serial {
            let count = serial.file.read(buffer)?;
            if count > 0 {
                return Ok(News::Console(count));
            }
        }
        if !self.ready.is_empty() {
            return Ok(self.hand_out(buffer));
        }
        if self.over() {
            return Ok(News::End);
        }
        tokio::select! {
            told = self.told.recv(), if self.ending.is_none() => self.hear(told),
            () = tokio::time::sleep(TICK) => {}
        }
        Ok(News::Nothing)
    }

    async fn say(&mut self, _line: &str) {}

    async fn ask_to_stop(&mut self) {
        // Where nobody listens the connection is lost, which is told.
        let _ = self.stop.send(());
    }

    async fn end(&mut self) -> (Vec<u8>, String) {
        self.ask_to_stop().await;
        // What ends the watch was seen: nothing more is waited for after a lost connection.
        if let Some(serial) = &mut self.serial {
            serial.patience = LAG;
        }
        let deadline = Instant::now() + self.restoring;
        let mut rest = Vec::new();
        let mut buffer = vec![0; CHUNK];
        while Instant::now() < deadline {
            match self.news(&mut buffer).await {
                Ok(News::Console(count)) => rest.extend_from_slice(&buffer[..count]),
                Ok(News::End) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let words = match &self.ending {
            Some(ending) if ending.kindly => String::new(),
            Some(ending) => format!("{}; it may not be as it was", ending.words),
            None => "the agent did not end in time: the machine may not be as it was".to_owned(),
        };
        (rest, words)
    }

    async fn last_words(&mut self, _patience: Duration) -> String {
        self.ending.as_ref().map_or_else(String::new, |ending| ending.words.clone())
    }
}

/// Runs both commands until the agent has ended.
fn converse(
    connection: &Connection,
    commands: &Commands,
    mut kmsg: Option<Kmsg>,
    teller: &mpsc::Sender<Told>,
    stopped: &sync::Receiver<()>,
) -> io::Result<Told> {
    let session = &connection.session;
    let mut log = match kmsg {
        Some(_) => Some(open(session, &commands.kernel_log)?),
        None => None,
    };
    let mut agent = open(session, &commands.agent)?;
    session.set_blocking(false);
    let mut said = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    let mut beat = Instant::now();
    let mut ended: Option<Instant> = None;
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut moved = false;
        if let (Some(log), Some(kmsg)) = (&mut log, &mut kmsg) {
            while let Some(count) = ready(log.read(&mut buffer))?.filter(|count| *count > 0) {
                moved = true;
                let console = kmsg.push(&buffer[..count]);
                if !console.is_empty() && teller.blocking_send(Told::Console(console)).is_err() {
                    return Ok(Told::Lost("nobody listens".to_owned()));
                }
            }
        }
        for number in [0, 1] {
            let read = ready(agent.stream(number).read(&mut buffer))?;
            let count = read.unwrap_or(0);
            moved |= count > 0;
            said.extend_from_slice(&buffer[..count]);
            let excess = said.len().saturating_sub(SAID_LIMIT);
            said.drain(..excess);
        }
        if agent.eof() && ended.is_none() {
            ended = Some(Instant::now());
        }
        // The log may lag behind: a little more is read of it.
        if ended.is_some_and(|at| log.is_none() || at.elapsed() > LAG) {
            break;
        }
        match stopped.try_recv() {
            Ok(()) => pending.extend_from_slice(b"stop\n"),
            // The watch is gone, and so the connection goes, which the agent sees.
            Err(sync::TryRecvError::Disconnected) => {
                return Ok(Told::Lost("nobody listens".to_owned()));
            }
            Err(sync::TryRecvError::Empty) => {}
        }
        if beat.elapsed() > HEARTBEAT {
            beat = Instant::now();
            pending.extend_from_slice(b"alive\n");
        }
        if !pending.is_empty() && ended.is_none() {
            let written = ready(agent.write(&pending))?.unwrap_or(0);
            pending.drain(..written);
        }
        if !moved {
            let mut fds = [PollFd::new(&connection.stream, PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
            match poll(&mut fds, Some(&tick)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    session.set_blocking(true);
    agent.wait_close()?;
    let status = agent.exit_status()?;
    if let Some(log) = &mut log {
        // The end of its stdin ends what follows the log.
        log.send_eof()?;
        log.close()?;
    }
    Ok(Told::Ended { status, said: String::from_utf8_lossy(&said).into_owned() })
}

fn open(session: &Session, command: &str) -> io::Result<Channel> {
    let mut channel = session.channel_session()?;
    channel.exec(command)?;
    Ok(channel)
}

/// `None` where there is nothing yet.
fn ready(moved: io::Result<usize>) -> io::Result<Option<usize>> {
    match moved {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
