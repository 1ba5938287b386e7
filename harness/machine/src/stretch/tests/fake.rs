// SPDX-License-Identifier: MIT OR Apache-2.0
//! A gdbstub with a small guest behind it: vCPUs with registers, memory, breakpoints, and tasks that
//! come to stretch points, sleep and wake up as a script says. It knows nothing of the stretcher.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use crate::stretch::abi::Abi;

/// Where the fake's kernel has its functions.
pub(crate) const SLEEP: u64 = 0x3000;
pub(crate) const TRAP: u64 = 0x4000;
/// What a vCPU without a task executes.
const IDLE: u64 = 0;
/// More stops in a row than any test has: the client lets a vCPU stand where it is.
const MOST_STOPS: usize = 1000;

/// Stands for the byte that asks a running machine to stop.
const INTERRUPT: &str = "\u{3}";

/// Registers by name.
pub(crate) type Set = BTreeMap<&'static str, u64>;

/// What happens in the guest once all its vCPUs idle.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Tasks run on these vCPUs, all at once, with these registers.
    Run(Vec<(usize, Set)>),
    /// The task that went to sleep as the n-th (from 0) wakes up on a vCPU.
    Wake(usize, usize),
    /// The machine stops for another reason than a breakpoint, with this signal, and goes on.
    Signal(u8),
    /// It stops with this signal where no breakpoint is, and waits to be resumed.
    Stop(u8),
    /// It stops for a reason that ends it: nothing but the end of the connection follows.
    Shutdown(u8),
    /// It runs until it is asked to stop.
    Busy,
    /// What follows happens once the test lets it.
    Gate(Arc<Semaphore>),
    /// The connection ends in the middle of the answer to the next command that begins so.
    HangUpAt(&'static str),
}

/// The guest and its stub.
#[derive(Debug)]
pub(crate) struct Fake {
    abi: &'static Abi,
    /// Register names and sizes; the first `core` of them are in the `g` packet.
    names: Vec<(&'static str, usize)>,
    core: usize,
    in_pieces: bool,
    /// The register that holds the running task, if one does: the kernel sets it when it switches.
    task_register: Option<&'static str>,
    vcpus: Vec<Set>,
    memory: BTreeMap<u64, u8>,
    /// Where breakpoints are.
    pub breakpoints: BTreeSet<u64>,
    /// The most that there were at a time.
    pub most_breakpoints: usize,
    chosen: usize,
    script: VecDeque<Step>,
    hang_up_at: Option<&'static str>,
    /// Packets that go out before the next answer.
    unasked: Vec<String>,
    ends: bool,
    /// True while it runs and nothing happens.
    busy: bool,
    stops: usize,
    /// Registers of tasks as they entered the sleeping function.
    pub asleep: Vec<Set>,
    /// vCPU and registers of tasks as they came to code without a breakpoint.
    pub went_on: Vec<(usize, Set)>,
}

impl Fake {
    /// A guest with vCPUs whose kernel base registers hold these values.
    pub(crate) fn new(
        abi: &'static Abi,
        bases: &[u64],
        task_register: Option<&'static str>,
        script: Vec<Step>,
    ) -> Self {
        let mut names: Vec<(&'static str, usize)> = Vec::new();
        for name in abi.general.iter().copied().chain([abi.sp, abi.pc]) {
            names.push((name, if matches!(name, "eflags" | "cpsr") { 4 } else { 8 }));
        }
        let core = names.len();
        // QEMU keeps system registers out of `g`.
        for name in [abi.interrupts.register, abi.kernel_base] {
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, 8));
            }
        }
        let vcpu = |base: &u64| Set::from([(abi.kernel_base, *base), (abi.pc, IDLE)]);
        Self {
            abi,
            names,
            core,
            in_pieces: false,
            task_register,
            vcpus: bases.iter().map(vcpu).collect(),
            memory: BTreeMap::new(),
            breakpoints: BTreeSet::new(),
            most_breakpoints: 0,
            chosen: 0,
            script: script.into(),
            hang_up_at: None,
            unasked: Vec::new(),
            ends: false,
            busy: false,
            stops: 0,
            asleep: Vec::new(),
            went_on: Vec::new(),
        }
    }

    /// Describes its registers in files that the main one includes.
    pub(crate) fn in_pieces(mut self) -> Self {
        self.in_pieces = true;
        self
    }

    /// Adds to the end of the script.
    pub(crate) fn append(&mut self, step: Step) {
        self.script.push_back(step);
    }

    /// Puts a number of so many bytes into memory.
    pub(crate) fn put(&mut self, address: u64, bytes: usize, value: u64) {
        for (at, byte) in (address..).zip(value.to_le_bytes().into_iter().take(bytes)) {
            self.memory.insert(at, byte);
        }
    }

    /// The 8 bytes at an address; those never written are 0.
    pub(crate) fn memory(&self, address: u64) -> u64 {
        let byte = |at| u64::from(self.memory.get(&at).copied().unwrap_or(0));
        (address..address + 8).rev().fold(0, |value, at| value << 8 | byte(at))
    }

    /// Answers packets until one side hangs up, and returns the guest as it is then.
    pub(crate) async fn serve(mut self, mut stream: UnixStream) -> Self {
        let mut received = Vec::new();
        loop {
            while let Some(packet) = next_packet(&mut received) {
                if packet == INTERRUPT {
                    // Who asks a machine to stop that stands is not heard.
                    if std::mem::take(&mut self.busy)
                        && stream.write_all(b"$T02thread:01;#00").await.is_err()
                    {
                        return self;
                    }
                    continue;
                }
                self.pass_gates(&packet).await;
                let Some(answer) = self.answer(&packet) else { return self };
                if self.busy {
                    continue;
                }
                let mut bytes = b"+".to_vec();
                for packet in self.unasked.drain(..).chain([answer]) {
                    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
                    bytes.extend(format!("${packet}#{sum:02x}").bytes());
                }
                let hang_up = self.hang_up_at.is_some_and(|start| packet.starts_with(start));
                if hang_up {
                    bytes.truncate(bytes.len() / 2);
                }
                if stream.write_all(&bytes).await.is_err() || hang_up || self.ends {
                    return self;
                }
            }
            if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                return self;
            }
        }
    }

    async fn pass_gates(&mut self, packet: &str) {
        while packet == "vCont;c"
            && let Some(Step::Gate(gate)) = self.script.front()
        {
            Arc::clone(gate).acquire_owned().await.unwrap().forget();
            self.script.pop_front();
        }
    }

    /// The answer to a packet; `None` hangs up.
    fn answer(&mut self, packet: &str) -> Option<String> {
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        if packet.starts_with("qSupported") {
            return Some("PacketSize=1000;qXfer:features:read+;vContSupported+".to_owned());
        }
        if let Some(rest) = packet.strip_prefix("qXfer:features:read:") {
            let (file, range) = rest.rsplit_once(':').unwrap();
            let (offset, length) = range.split_once(',').unwrap();
            let (offset, length) = (number(offset) as usize, number(length) as usize);
            let text = self.description(file);
            let rest = &text[offset.min(text.len())..];
            let more = if rest.len() > length { 'm' } else { 'l' };
            return Some(format!("{more}{}", &rest[..rest.len().min(length)]));
        }
        if packet == "vCont;c" {
            return self.run();
        }
        if let Some(address) = packet.strip_prefix("Z1,") {
            self.breakpoints.insert(number(address.strip_suffix(",1").unwrap()));
            self.most_breakpoints = self.most_breakpoints.max(self.breakpoints.len());
        } else if let Some(address) = packet.strip_prefix("z1,") {
            assert!(
                self.breakpoints.remove(&number(address.strip_suffix(",1").unwrap())),
                "{packet}"
            );
        } else if let Some(thread) = packet.strip_prefix("Hg") {
            self.chosen = number(thread) as usize - 1;
        } else if packet == "g" {
            let core = &self.names[..self.core];
            return Some(core.iter().map(|(name, bytes)| self.register(name, *bytes)).collect());
        } else if let Some((register, value)) =
            packet.strip_prefix('P').and_then(|p| p.split_once('='))
        {
            let (name, bytes) = self.names[number(register) as usize];
            assert_eq!(value.len(), 2 * bytes, "{packet}");
            let value = u64::from_le_bytes(bytes_of(value).try_into().unwrap());
            self.vcpus[self.chosen].insert(name, value);
        } else if let Some(register) = packet.strip_prefix('p') {
            let (name, bytes) = self.names[number(register) as usize];
            return Some(self.register(name, bytes));
        } else if let Some((address, value)) =
            packet.strip_prefix('M').and_then(|p| p.split_once(':'))
        {
            let (address, length) = address.split_once(',').unwrap();
            assert_eq!(value.len() as u64, 2 * number(length), "{packet}");
            let value = u64::from_le_bytes(bytes_of(value).try_into().unwrap());
            self.put(number(address), number(length) as usize, value);
        } else if let Some((address, length)) =
            packet.strip_prefix('m').and_then(|p| p.split_once(','))
        {
            let bytes = &self.memory(number(address)).to_le_bytes()[..number(length) as usize];
            return Some(hex(bytes));
        } else {
            return Some(String::new());
        }
        Some("OK".to_owned())
    }

    fn register(&self, name: &str, bytes: usize) -> String {
        let value = self.vcpus[self.chosen].get(name).copied().unwrap_or(0);
        hex(&value.to_le_bytes()[..bytes])
    }

    fn description(&self, file: &str) -> String {
        let tags = |names: &[(&str, usize)]| -> String {
            let tag = |(name, bytes): &(&str, usize)| {
                format!("<reg name=\"{name}\" bitsize=\"{}\"/>\n", bytes * 8)
            };
            names.iter().map(tag).collect()
        };
        let (core, system) = self.names.split_at(self.core);
        // Longer than one packet, as QEMU's are.
        let comment = format!("<!-- <reg name=\"none\" bitsize=\"64\"/> {} -->", "-".repeat(5000));
        match (self.in_pieces, file) {
            (true, "target.xml") => {
                "<target><xi:include href=\"core.xml\"/><xi:include href=\"system.xml\"/></target>"
                    .to_owned()
            }
            (true, "core.xml") => format!("<feature>{comment}{}</feature>", tags(core)),
            (true, "system.xml") => format!("<feature>{}</feature>", tags(system)),
            (false, "target.xml") => format!("<target>{comment}{}</target>", tags(&self.names)),
            _ => panic!("there is no {file}"),
        }
    }

    /// Lets the guest run up to its next stop.
    fn run(&mut self) -> Option<String> {
        self.stops += 1;
        assert!(self.stops < MOST_STOPS, "a vCPU is left where it stands");
        loop {
            for vcpu in 0..self.vcpus.len() {
                self.settle(vcpu);
            }
            // Of several that stop at the same time, one is told.
            if let Some(vcpu) = self.vcpus.iter().rposition(|set| self.stops_at(set)) {
                return Some(format!("T05thread:{:02x};", vcpu + 1));
            }
            match self.script.pop_front()? {
                Step::Run(tasks) => {
                    for (vcpu, set) in tasks {
                        self.vcpus[vcpu].extend(set);
                    }
                }
                Step::Wake(sleeper, vcpu) => self.wake(sleeper, vcpu),
                // The client does not resume such a stop: somebody else does.
                Step::Signal(signal) => self.unasked.push(format!("T{signal:02x}thread:01;")),
                Step::Stop(signal) => return Some(format!("T{signal:02x}thread:01;")),
                Step::Shutdown(signal) => {
                    self.ends = true;
                    return Some(format!("T{signal:02x}thread:01;"));
                }
                Step::Busy => {
                    self.busy = true;
                    return Some(String::new());
                }
                Step::Gate(_) => panic!("a gate stands behind what stops the guest"),
                Step::HangUpAt(start) => self.hang_up_at = Some(start),
            }
        }
    }

    fn stops_at(&self, set: &Set) -> bool {
        self.breakpoints.contains(&set[self.abi.pc])
    }

    /// A vCPU that executes something gets done with it.
    fn settle(&mut self, vcpu: usize) {
        if self.stops_at(&self.vcpus[vcpu]) {
            return;
        }
        let set = &mut self.vcpus[vcpu];
        match set.insert(self.abi.pc, IDLE) {
            Some(IDLE) | None => {}
            Some(pc) => {
                let then = Set::from_iter(set.clone().into_iter().chain([(self.abi.pc, pc)]));
                match pc {
                    SLEEP => self.asleep.push(then),
                    _ => self.went_on.push((vcpu, then)),
                }
            }
        }
    }

    /// The sleeping function returns, and has used the registers as it liked.
    fn wake(&mut self, sleeper: usize, vcpu: usize) {
        let abi = self.abi;
        let slept = self.asleep[sleeper].clone();
        let sp = slept[abi.sp];
        let (back, sp) = match abi.link {
            Some(link) => (slept[link], sp),
            None => (self.memory(sp), sp + 8),
        };
        let set = &mut self.vcpus[vcpu];
        for (name, value) in slept {
            if self.task_register == Some(name) {
                set.insert(name, value);
            } else if abi.general.contains(&name) {
                set.insert(name, !value & 0xffff_ffff);
            }
        }
        set.insert(abi.sp, sp);
        set.insert(abi.pc, back);
    }
}

/// Takes the next whole packet out of what was received, acknowledgements included, or the byte that stands for
/// [`INTERRUPT`].
fn next_packet(received: &mut Vec<u8>) -> Option<String> {
    if let Some(at) = received.iter().position(|&byte| byte == b'$' || byte == 3)
        && received[at] == 3
    {
        received.drain(..=at);
        return Some(INTERRUPT.to_owned());
    }
    let start = received.iter().position(|&byte| byte == b'$')?;
    let end = start + received[start..].iter().position(|&byte| byte == b'#')?;
    if received.len() < end + 3 {
        return None;
    }
    let packet = String::from_utf8(received[start + 1..end].to_vec()).unwrap();
    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
    assert_eq!(received[end + 1..end + 3], *format!("{sum:02x}").as_bytes(), "{packet}");
    received.drain(..end + 3);
    Some(packet)
}

/// Up to 8 bytes, filled up with 0.
fn bytes_of(hex: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    bytes.resize(8, 0);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
