// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of QEMU's gdbstub: the part of the GDB remote serial protocol that the
//! stretcher needs (`g`, `p`, `P`, `m`, `M`, `Z1`, `vCont`).
//!
//! Registers are known by the names in the target description that QEMU sends, so no
//! register layout is written down here. They are written one by one with `P`:
//! the packet `G` would also write segment bases and control registers, and those
//! belong to a vCPU, not to the task that is diverted.
//!
//! Source: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html>

use std::collections::HashMap;
use std::io;
use std::sync::LazyLock;

use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A packet longer than this is not one that we asked for.
const PACKET_LIMIT: usize = 256 << 10;
/// Most bytes of target description read for one file.
const DESCRIPTION_LIMIT: usize = 512 << 10;

/// Why the gdbstub could not be used.
#[derive(Debug, thiserror::Error)]
pub enum GdbError {
    /// The connection ended: QEMU is gone.
    #[error("QEMU closed the gdbstub connection")]
    Closed,
    /// Reading or writing failed.
    #[error("gdbstub connection: {0}")]
    Io(#[from] io::Error),
    /// The stub refused a command.
    #[error("gdbstub answered {answer:?} to {command:?}")]
    Refused {
        /// The packet sent.
        command: String,
        /// The packet received.
        answer: String,
    },
    /// The target description lacks a register.
    #[error("QEMU's target description has no register {0}; this QEMU cannot be used to stretch")]
    NoRegister(String),
}

/// Where a register stands in the `g` packet.
#[derive(Debug, Clone, Copy)]
struct Register {
    number: usize,
    offset: usize,
    bytes: usize,
}

/// One vCPU's registers as the `g` packet gave them.
#[derive(Debug, Clone)]
pub(crate) struct Registers(Vec<u8>);

/// A stop of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Signal number; [`Stop::TRAP`] for a breakpoint.
    pub signal: u8,
    /// The vCPU that caused it, as the stub writes it (`01` or `p01.01`).
    pub thread: String,
}

impl Stop {
    /// SIGTRAP in the protocol's numbering.
    pub(crate) const TRAP: u8 = 5;
    /// SIGINT: the machine was asked to stop.
    pub(crate) const INTERRUPT: u8 = 2;

    /// The guest's number of that CPU: QEMU's stub counts its threads from 1, in the same order.
    pub(crate) fn cpu(&self) -> Option<u32> {
        let (_, thread) = self.thread.rsplit_once('.').unwrap_or(("", &self.thread));
        u32::from_str_radix(thread, 16).ok()?.checked_sub(1)
    }
}

/// A connection to a gdbstub.
#[derive(Debug)]
pub(crate) struct Gdb {
    stream: UnixStream,
    received: Vec<u8>,
    registers: HashMap<String, Register>,
}

impl Gdb {
    /// Greets the stub and reads its target description. The machine stands still from now on.
    pub(crate) async fn connect(stream: UnixStream) -> Result<Self, GdbError> {
        let mut gdb = Self { stream, received: Vec::new(), registers: HashMap::new() };
        gdb.command("qSupported:xmlRegisters=i386;vContSupported+").await?;
        gdb.registers = gdb.describe().await?;
        Ok(gdb)
    }

    async fn describe(&mut self) -> Result<HashMap<String, Register>, GdbError> {
        static INCLUDE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"<xi:include\s+href="([^"]+)""#).expect("a constant pattern")
        });
        let target = self.read_description("target.xml").await?;
        let mut text = String::new();
        for include in INCLUDE.captures_iter(&target) {
            text.push_str(&self.read_description(&include[1]).await?);
        }
        // A stub may also send everything in one file.
        text.push_str(&target);
        Ok(layout(&text))
    }

    async fn read_description(&mut self, file: &str) -> Result<String, GdbError> {
        let mut text = String::new();
        while text.len() < DESCRIPTION_LIMIT {
            let command = format!("qXfer:features:read:{file}:{:x},800", text.len());
            let answer = self.command(&command).await?;
            match answer.split_at_checked(1) {
                Some(("m", more)) => text.push_str(more),
                Some(("l", rest)) => {
                    text.push_str(rest);
                    return Ok(text);
                }
                _ => return Err(GdbError::Refused { command, answer }),
            }
        }
        Ok(text)
    }

    /// Sends a packet and returns the answer.
    async fn command(&mut self, command: &str) -> Result<String, GdbError> {
        self.send(command).await?;
        self.receive().await
    }

    /// Sends packets at once and returns each with its answer: the guest stands meanwhile, so
    /// waiting once is better than waiting often.
    async fn commands(&mut self, commands: Vec<String>) -> Result<Vec<(String, String)>, GdbError> {
        let bytes: String = commands.iter().map(|command| framed(command)).collect();
        self.stream.write_all(bytes.as_bytes()).await?;
        let mut answered = Vec::with_capacity(commands.len());
        for command in commands {
            let answer = self.receive().await?;
            answered.push((command, answer));
        }
        Ok(answered)
    }

    async fn expect_ok(&mut self, command: &str) -> Result<(), GdbError> {
        let answer = self.command(command).await?;
        if answer == "OK" {
            return Ok(());
        }
        Err(GdbError::Refused { command: command.to_owned(), answer })
    }

    async fn send(&mut self, packet: &str) -> Result<(), GdbError> {
        Ok(self.stream.write_all(framed(packet).as_bytes()).await?)
    }

    /// Reads one packet. Safe to cancel: what was read stays in the buffer.
    async fn receive(&mut self) -> Result<String, GdbError> {
        loop {
            if let Some((packet, used)) = packet_in(&self.received) {
                self.received.drain(..used);
                self.stream.write_all(b"+").await?;
                return Ok(packet);
            }
            if self.received.len() > PACKET_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "endless packet").into());
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(GdbError::Closed);
            }
        }
    }

    /// Lets all vCPUs run; the answer is the next [`Gdb::stopped`].
    pub(crate) async fn resume(&mut self) -> Result<(), GdbError> {
        self.send("vCont;c").await
    }

    /// Waits for the machine to stop. Safe to cancel.
    pub(crate) async fn stopped(&mut self) -> Result<Stop, GdbError> {
        loop {
            let packet = self.receive().await?;
            if let Some(stop) = stop_in(&packet) {
                return Ok(stop);
            }
        }
    }

    /// Puts a hardware breakpoint at `address`.
    pub(crate) async fn insert_breakpoint(&mut self, address: u64) -> Result<(), GdbError> {
        self.expect_ok(&format!("Z1,{address:x},1")).await
    }

    /// Takes hardware breakpoints away, and puts others, at once.
    pub(crate) async fn move_breakpoints(
        &mut self,
        away: &[u64],
        put: &[u64],
    ) -> Result<(), GdbError> {
        let remove = away.iter().map(|address| format!("z1,{address:x},1"));
        let insert = put.iter().map(|address| format!("Z1,{address:x},1"));
        for (command, answer) in self.commands(remove.chain(insert).collect()).await? {
            if answer != "OK" {
                return Err(GdbError::Refused { command, answer });
            }
        }
        Ok(())
    }

    /// Asks the running machine to stop, which [`Gdb::stopped`] tells as [`Stop::INTERRUPT`]; or, where it has
    /// stopped by itself meanwhile, that stop alone.
    pub(crate) async fn interrupt(&mut self) -> Result<(), GdbError> {
        Ok(self.stream.write_all(&[3]).await?)
    }

    /// Makes `thread` the one that register and memory commands speak of, and reads its registers.
    pub(crate) async fn registers(&mut self, thread: &str) -> Result<Registers, GdbError> {
        let commands = vec![format!("Hg{thread}"), "g".to_owned()];
        let mut answered = self.commands(commands).await?.into_iter();
        if let Some((command, answer)) = answered.next()
            && answer != "OK"
        {
            return Err(GdbError::Refused { command, answer });
        }
        let (command, answer) = answered.next().ok_or(GdbError::Closed)?;
        // "x" stands for a register whose value is not available.
        let bytes = from_hex(&answer.replace('x', "0"));
        bytes.map(Registers).ok_or(GdbError::Refused { command, answer })
    }

    /// The value of a register of up to 8 bytes.
    pub(crate) fn get(&self, registers: &Registers, name: &str) -> Result<u64, GdbError> {
        let missing = || GdbError::NoRegister(name.to_owned());
        let at = self.registers.get(name).ok_or_else(missing)?;
        let bytes = registers.0.get(at.offset..at.offset + at.bytes).ok_or_else(missing)?;
        Ok(little_endian(bytes))
    }

    /// The value of any register, a system register included: QEMU leaves those out of the
    /// `g` packet, and they are asked for one by one.
    pub(crate) async fn value(
        &mut self,
        registers: &Registers,
        name: &str,
    ) -> Result<u64, GdbError> {
        if let Ok(value) = self.get(registers, name) {
            return Ok(value);
        }
        let missing = || GdbError::NoRegister(name.to_owned());
        let command = format!("p{:x}", self.registers.get(name).ok_or_else(missing)?.number);
        let answer = self.command(&command).await?;
        let bytes = from_hex(&answer).filter(|bytes| (1..=8).contains(&bytes.len()));
        bytes.map(|bytes| little_endian(&bytes)).ok_or(GdbError::Refused { command, answer })
    }

    /// Writes registers of the vCPU chosen by [`Gdb::registers`], and 8 bytes of memory before them.
    pub(crate) async fn write(
        &mut self,
        memory: Option<(u64, u64)>,
        registers: &[(&'static str, u64)],
    ) -> Result<(), GdbError> {
        let mut commands = Vec::with_capacity(registers.len() + 1);
        commands.extend(
            memory.map(|(address, value)| format!("M{address:x},8:{}", hex(&value.to_le_bytes()))),
        );
        for &(name, value) in registers {
            let missing = || GdbError::NoRegister(name.to_owned());
            let at = *self.registers.get(name).ok_or_else(missing)?;
            let bytes = value.to_le_bytes();
            let bytes = bytes.get(..at.bytes).ok_or_else(missing)?;
            commands.push(format!("P{:x}={}", at.number, hex(bytes)));
        }
        for (command, answer) in self.commands(commands).await? {
            if answer != "OK" {
                return Err(GdbError::Refused { command, answer });
            }
        }
        Ok(())
    }

    /// Reads numbers from guest memory: at these virtual addresses, of up to 8 bytes each.
    pub(crate) async fn read(&mut self, places: &[(u64, usize)]) -> Result<Vec<u64>, GdbError> {
        let commands =
            places.iter().map(|(address, bytes)| format!("m{address:x},{bytes:x}")).collect();
        let answers = self.commands(commands).await?.into_iter().zip(places);
        let number = |((command, answer), (_, length)): ((String, String), &(u64, usize))| {
            let bytes = from_hex(&answer).filter(|bytes| bytes.len() == *length);
            bytes.map(|bytes| little_endian(&bytes)).ok_or(GdbError::Refused { command, answer })
        };
        answers.map(number).collect()
    }
}

/// A packet as it goes over the line, with its checksum.
fn framed(packet: &str) -> String {
    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
    format!("${packet}#{sum:02x}")
}

/// The first whole packet in `bytes`, and how many bytes it and what stands before it take.
fn packet_in(bytes: &[u8]) -> Option<(String, usize)> {
    let start = bytes.iter().position(|&byte| byte == b'$')?;
    let end = start + bytes[start..].iter().position(|&byte| byte == b'#')?;
    // Two checksum digits follow. The transport is a local socket: they are not checked.
    (bytes.len() >= end + 3)
        .then(|| (String::from_utf8_lossy(&bytes[start + 1..end]).into_owned(), end + 3))
}

/// Reads `T05thread:01;...`.
fn stop_in(packet: &str) -> Option<Stop> {
    let (signal, pairs) = packet.strip_prefix('T')?.split_at_checked(2)?;
    let signal = u8::from_str_radix(signal, 16).ok()?;
    let thread = pairs.split(';').find_map(|pair| pair.strip_prefix("thread:"))?;
    Some(Stop { signal, thread: thread.to_owned() })
}

/// Offsets in the `g` packet: registers stand in the order of their numbers, without gaps.
fn layout(description: &str) -> HashMap<String, Register> {
    static COMMENT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->").expect("a constant pattern"));
    static REG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<reg\s[^>]*>").expect("a constant pattern"));
    static FIELD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(\w+)="([^"]*)""#).expect("a constant pattern"));
    let (mut found, mut offset, mut next) = (HashMap::new(), 0, 0);
    // QEMU's descriptions hold registers that are commented out.
    let description = COMMENT.replace_all(description, "");
    for tag in REG.find_iter(&description) {
        let field = |name| {
            FIELD.captures_iter(tag.as_str()).find(|c| &c[1] == name).map(|c| c[2].to_owned())
        };
        let number = field("regnum").and_then(|n| n.parse().ok()).unwrap_or(next);
        let bits: Option<usize> = field("bitsize").and_then(|n| n.parse().ok());
        let (Some(name), Some(bits)) = (field("name"), bits) else { continue };
        found.entry(name).or_insert(Register { number, offset, bytes: bits / 8 });
        offset += bits / 8;
        next = number + 1;
    }
    found
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|_| text.len().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_behind_acks_and_in_pieces() {
        assert_eq!(packet_in(b"+$OK#9a"), Some(("OK".to_owned(), 7)));
        assert_eq!(packet_in(b"+$OK#9"), None);
        assert_eq!(packet_in(b"++"), None);
        assert_eq!(
            packet_in(b"$T05thread:02;#aa$OK#9a").map(|(p, n)| (p.len(), n)),
            Some((13, 17))
        );
    }

    #[test]
    fn a_stop_names_its_thread() {
        assert_eq!(
            stop_in("T05thread:p01.02;"),
            Some(Stop { signal: Stop::TRAP, thread: "p01.02".to_owned() })
        );
        let cpu = |packet| stop_in(packet).and_then(|stop| stop.cpu());
        assert_eq!(cpu("T05thread:p01.02;"), Some(1));
        assert_eq!(cpu("T05thread:0b;"), Some(10));
        assert_eq!(cpu("T05thread:00;"), None);
        assert_eq!(stop_in("OK"), None);
        assert_eq!(stop_in("W00"), None);
    }

    #[test]
    fn the_layout_follows_sizes_and_numbers() {
        let text = r#"<reg name="rax" bitsize="64" type="int64"/><reg name="eflags" bitsize="32"/>
            <!-- <reg name="gone" bitsize="64"/> -->
            <reg name="far" bitsize="64" regnum="40"/><reg name="next" bitsize="64"/>"#;
        let layout = layout(text);
        let at = |name: &str| {
            let r = layout[name];
            (r.number, r.offset, r.bytes)
        };
        assert_eq!(at("rax"), (0, 0, 8));
        assert_eq!(at("eflags"), (1, 8, 4));
        assert_eq!(at("far"), (40, 12, 8));
        assert_eq!(at("next"), (41, 20, 8));
    }

    #[test]
    fn hex_goes_both_ways_and_refuses_halves() {
        assert_eq!(from_hex(&hex(&[0, 0xab, 0xff])), Some(vec![0, 0xab, 0xff]));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("zz"), None);
    }
}
