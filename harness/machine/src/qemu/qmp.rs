// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's machine protocol: its greeting and the events it sends.
//!
//! Source: <https://www.qemu.org/docs/master/interop/qmp-spec.html>

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// A connection to one QEMU. It hands out events.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
}

/// Something QEMU says about its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QmpEvent {
    /// The guest shut down or reset; with `-no-reboot` QEMU exits next. Holds QEMU's reason word.
    Shutdown(String),
    /// A disk of the guest cannot be written, with the system's reason. QEMU may have stopped the guest.
    DiskFailed(String),
    /// A panic device was written.
    Panicked,
    /// Anything else, by its name.
    Other(String),
}

impl Qmp {
    /// Greets QEMU and leaves the negotiation mode.
    pub async fn connect(stream: UnixStream) -> io::Result<Self> {
        let (reader, writer) = stream.into_split();
        let mut qmp = Self { reader: BufReader::new(reader), writer, line: Vec::new() };
        let greeting = qmp.receive().await?;
        if greeting.get("QMP").is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no QMP greeting"));
        }
        qmp.send("qmp_capabilities").await?;
        while qmp.receive().await?.get("return").is_none() {}
        Ok(qmp)
    }

    async fn send(&mut self, command: &str) -> io::Result<()> {
        self.send_with(command, json!({})).await
    }

    async fn send_with(&mut self, command: &str, arguments: Value) -> io::Result<()> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.writer.write_all(line.as_bytes()).await
    }

    /// The port of this machine's loopback interface that leads to the guest's port 22.
    /// Events that come before the answer are lost: ask before the guest can cause any.
    pub async fn forwarded_port(&mut self) -> io::Result<u16> {
        let arguments = json!({ "command-line": "info usernet" });
        self.send_with("human-monitor-command", arguments).await?;
        let answer = loop {
            if let Some(answer) = self.receive().await?.get("return").and_then(Value::as_str) {
                break answer.to_owned();
            }
        };
        parse_usernet(&answer).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "QEMU does not name the forwarded port")
        })
    }

    /// Reads one message. Safe to cancel: a partial line is kept.
    async fn receive(&mut self) -> io::Result<Value> {
        loop {
            if self.reader.read_until(b'\n', &mut self.line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.line.ends_with(b"\n") {
                let message = serde_json::from_slice(&self.line)?;
                self.line.clear();
                return Ok(message);
            }
        }
    }

    /// Waits for the next event. Safe to cancel.
    pub async fn event(&mut self) -> io::Result<QmpEvent> {
        loop {
            let message = self.receive().await?;
            let Some(name) = message.get("event").and_then(Value::as_str) else { continue };
            return Ok(match name {
                "SHUTDOWN" => {
                    let reason = message.pointer("/data/reason").and_then(Value::as_str);
                    QmpEvent::Shutdown(reason.unwrap_or("unknown").to_owned())
                }
                "BLOCK_IO_ERROR" => {
                    let reason = message.pointer("/data/reason").and_then(Value::as_str);
                    QmpEvent::DiskFailed(reason.unwrap_or("unknown").to_owned())
                }
                "GUEST_PANICKED" => QmpEvent::Panicked,
                other => QmpEvent::Other(other.to_owned()),
            });
        }
    }
}

/// The first forwarding from a table such as (QEMU 7.2):
/// `  TCP[HOST_FORWARD]  12       127.0.0.1 41233       10.0.2.15    22     0     0`.
fn parse_usernet(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.trim_start().starts_with("TCP[HOST_FORWARD]"))?;
    line.split_whitespace().nth(3)?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarded_port_is_the_one_on_our_side() {
        let table = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  12       127.0.0.1 41233       10.0.2.15    22     0     0\r\n";
        assert_eq!(parse_usernet(table), Some(41233));
        assert_eq!(parse_usernet("Hub -1 (net):\r\n"), None);
        assert_eq!(parse_usernet("  TCP[HOST_FORWARD]  12 127.0.0.1 0 10.0.2.15 22"), None);
    }
}
