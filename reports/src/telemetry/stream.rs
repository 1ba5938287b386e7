// SPDX-License-Identifier: MIT OR Apache-2.0
//! From chunks of console bytes to believed lines, in one pass and bounded memory.

use std::collections::BTreeMap;

use memchr::{memchr, memmem, memrchr};

use super::columns::{self, Added, Table};
use super::line::{self, Line, MARK};
use super::{
    Acted, Checked, Corrupt, Done, Health, Hello, Hung, Memcg, Ready, Sample, Telemetry, Violation,
    Warn,
};
use crate::console::Dumps;
use crate::finding::Finding;

/// Longest line that is read, printk prefix and line end included.
pub const MAX_LINE: usize = 1024;
/// Most unknown keys kept of a line.
const MAX_EXTRA: usize = 32;
/// Most guest milliseconds between two lines: the longest storm there is.
const MAX_LEAP_MS: u64 = 86_400_000;

/// Reads the telemetry of one virtual machine from its console.
///
/// Any division of the same bytes into chunks gives the same lines. A last line without
/// its line end is never believed, since its numbers may be cut.
#[derive(Debug)]
pub struct TelemetryReader {
    token: Vec<u8>,
    finder: memmem::Finder<'static>,
    /// The line that has begun, up to one byte more than [`MAX_LINE`].
    begun: Vec<u8>,
    health: Health,
    hello: bool,
    ready_ms: Option<u64>,
    table: Table,
    /// That of one cgroup's numbers.
    memcg_table: Table,
    last: Option<Sample>,
    /// Stacks that the agent had the kernel print.
    dumps: Dumps,
}

impl TelemetryReader {
    /// A reader that believes lines with this token only.
    pub fn new(token: &str) -> Self {
        Self {
            token: token.as_bytes().to_vec(),
            finder: memmem::Finder::new(MARK),
            begun: Vec::new(),
            health: Health::default(),
            hello: false,
            ready_ms: None,
            table: Table::default(),
            memcg_table: Table::default(),
            last: None,
            dumps: Dumps::default(),
        }
    }

    /// Takes the next bytes of the console and returns the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Telemetry> {
        let mut believed = Vec::new();
        let mut rest = bytes;
        if !self.begun.is_empty() {
            let Some(end) = memchr(b'\n', rest) else {
                self.dumps.push(rest);
                self.begin(rest);
                return believed;
            };
            self.dumps.push(&rest[..=end]);
            self.begin(&rest[..=end]);
            let line = std::mem::take(&mut self.begun);
            believed.extend(self.line(&line));
            self.begun = line;
            self.begun.clear();
            rest = &rest[end + 1..];
        }
        let complete = memrchr(b'\n', rest).map_or(0, |end| end + 1);
        let (mut lines, tail) = rest.split_at(complete);
        while let Some(mark) = self.finder.find(lines) {
            let start = memrchr(b'\n', &lines[..mark]).map_or(0, |at| at + 1);
            let end = memchr(b'\n', &lines[mark..]).map_or(lines.len(), |at| mark + at + 1);
            // Up to this line and no further: the stacks come before the line that is about them.
            self.dumps.push(&lines[..end]);
            believed.extend(self.line(&lines[start..end]));
            lines = &lines[end..];
        }
        self.dumps.push(lines);
        self.dumps.push(tail);
        self.begin(tail);
        believed
    }

    /// What was believed so far, and what was not.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The newest sample.
    pub fn last_sample(&self) -> Option<&Sample> {
        self.last.as_ref()
    }

    #[cfg(test)]
    pub(super) fn begun_len(&self) -> usize {
        self.begun.len()
    }

    fn begin(&mut self, bytes: &[u8]) {
        let room = (MAX_LINE + 1).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, line: &[u8]) -> Option<Telemetry> {
        // Both ways here must cut alike, or chunking would matter.
        let line = &line[..line.len().min(MAX_LINE + 1)];
        let parsed = match line::parse(line, &self.token) {
            Line::Other => return None,
            Line::Foreign => {
                self.health.foreign += 1;
                return None;
            }
            Line::Fields { word, fields } if line.len() <= MAX_LINE => {
                self.understand(&word, Fields::new(fields))
            }
            Line::Fields { .. } | Line::Malformed => Err(Doubt::Malformed),
        };
        match parsed {
            Ok(telemetry) => {
                self.health.believed += 1;
                return telemetry;
            }
            Err(Doubt::Malformed) => self.health.malformed += 1,
            Err(Doubt::Suspicious) => self.health.suspicious += 1,
            Err(Doubt::Unknown) => self.health.unknown += 1,
        }
        None
    }

    /// `None` is a line that is believed and says nothing yet.
    fn understand(&mut self, word: &str, mut f: Fields) -> Result<Option<Telemetry>, Doubt> {
        let telemetry = match word {
            "hello" => {
                let hello = Hello {
                    protocol: f.number("protocol")?,
                    up_ms: f.number("up_ms")?,
                    release: f.text("release"),
                    machine: f.text("machine"),
                    cpus: f.number("cpus")?,
                    memory_kib: f.number("memory_kib")?,
                    extra: f.without_ms(),
                };
                if std::mem::replace(&mut self.hello, true) {
                    return Err(Doubt::Suspicious);
                }
                Telemetry::Hello(hello)
            }
            "ready" => {
                let ready = Ready {
                    ms: f.needed("ms")?,
                    disks: f.number("disks")?,
                    workers: f.number("workers")?,
                    extra: f.without_ms(),
                };
                if self.ready_ms.is_some() || ready.ms > MAX_LEAP_MS {
                    return Err(Doubt::Suspicious);
                }
                self.ready_ms = Some(ready.ms);
                Telemetry::Ready(ready)
            }
            "columns" => {
                if !f.name_columns(&mut self.table)? {
                    return Ok(None);
                }
                Telemetry::Columns(self.table.columns().cloned().unwrap_or_default())
            }
            "memcg_columns" => {
                f.name_columns(&mut self.memcg_table)?;
                return Ok(None);
            }
            "memcg" => Telemetry::Memcg(self.memcg(f)?),
            "hung" => Telemetry::Hung(Box::new(self.hung(f)?)),
            "slow" => Telemetry::Slow(Box::new(self.hung(f)?)),
            "sample" => Telemetry::Sample(Box::new(self.sample(f)?)),
            "violated" => {
                let ms = f.needed("ms")?;
                let words = f.0.clone();
                Telemetry::Violated(Violation {
                    ms,
                    check: f.text("check"),
                    what: f.text("what"),
                    got: f.needed("got")?,
                    want: f.needed("want")?,
                    awake_ms: f.number("awake_ms")?,
                    words,
                })
            }
            "checked" => Telemetry::Checked(Checked {
                ms: f.needed("ms")?,
                phase: f.needed("phase")?,
                words: f.0,
            }),
            "acted" => Telemetry::Acted(Acted {
                ms: f.needed("ms")?,
                number: u32::try_from(f.needed("n")?).map_err(|_| Doubt::Malformed)?,
                since: u32::try_from(f.needed("since")?).map_err(|_| Doubt::Malformed)?,
                actor: f.text("actor"),
                to: f.text("to"),
                errno: f.text("errno"),
            }),
            "corrupt" => Telemetry::Corrupt(Corrupt { ms: f.needed("ms")?, words: f.0 }),
            "warn" => {
                Telemetry::Warn(Warn { ms: f.needed("ms")?, what: f.text("what"), words: f.0 })
            }
            "done" => Telemetry::Done(Done {
                ms: f.needed("ms")?,
                reason: f.text("reason"),
                end: f.text("end"),
            }),
            _ => return Err(Doubt::Unknown),
        };
        Ok(Some(telemetry))
    }

    fn hung(&mut self, mut f: Fields) -> Result<Hung, Doubt> {
        let ms = f.needed("ms")?;
        let words = f.0.clone();
        let optional = |f: &mut Fields, key| {
            f.take(key).map(|value| value.parse().map_err(|_| Doubt::Malformed)).transpose()
        };
        let mut hung = Hung {
            ms,
            what: f.text("what"),
            device: f.text("device"),
            worker: optional(&mut f, "worker")?,
            pid: u32::try_from(f.needed("pid")?).map_err(|_| Doubt::Malformed)?,
            comm: f.text("comm"),
            state: f.text("state"),
            stop_ms: optional(&mut f, "stop_ms")?,
            guest_ms: f.number("guest_ms")?,
            awake_ms: f.number("awake_ms")?,
            quiet_ms: f.number("quiet_ms")?,
            io_ms: f.number("io_ms")?,
            tries: f.number("tries")?,
            others: f.number("others")?,
            switches: optional(&mut f, "switches")?,
            cpu_ms: optional(&mut f, "cpu_ms")?,
            wchan: f.text("wchan"),
            stack: f
                .text("stack")
                .split(',')
                .filter(|f| !f.is_empty())
                .map(str::to_owned)
                .collect(),
            words,
            finding: Finding::default(),
        };
        hung.finding = hung.report(&self.dumps);
        Ok(hung)
    }

    fn memcg(&self, mut f: Fields) -> Result<Memcg, Doubt> {
        let ms = f.needed("ms")?;
        let cgroup = f.text("cgroup");
        let last = self.last.as_ref().map_or(self.ready_ms, |last| Some(last.ms));
        let (Some(ready_ms), Some(last_ms)) = (self.ready_ms, last) else {
            return Err(Doubt::Suspicious);
        };
        if ms < last_ms || ms - last_ms > MAX_LEAP_MS {
            return Err(Doubt::Suspicious);
        }
        // As with samples: what they count will be said again.
        let Some(columns) = self.memcg_table.columns() else { return Err(Doubt::Unknown) };
        if cgroup.is_empty() || f.number("truncated")? != 0 {
            return Err(Doubt::Malformed);
        }
        let mut row = vec![0; columns.names.len()];
        for (key, values) in f.groups() {
            if !columns::read_group(&mut row, &key[1..], &values) {
                return Err(Doubt::Malformed);
            }
        }
        let names = columns.names.iter().map(ToString::to_string);
        let numbers = names.zip(row).collect();
        Ok(Memcg { since_ready_ms: ms - ready_ms, cgroup, numbers })
    }

    /// Takes the groups of a row from the fields, if the agent has a table.
    fn row(&self, sample: &mut Sample, f: &mut Fields, truncated: bool) -> Result<(), Doubt> {
        let groups = f.groups();
        let Some(columns) = self.table.columns() else {
            // What they count was said in a line that was lost; it will be said again.
            return if groups.is_empty() { Ok(()) } else { Err(Doubt::Unknown) };
        };
        let last = self.last.as_ref().filter(|_| truncated).map(|last| last.row.clone());
        let mut row = last.unwrap_or_default();
        row.resize(columns.names.len(), 0);
        for (key, values) in &groups {
            if !columns::read_group(&mut row, &key[1..], values) {
                return Err(Doubt::Malformed);
            }
        }
        sample.counters = columns.counters(&row);
        sample.extra = columns.others(&row);
        sample.row = row;
        Ok(())
    }

    fn sample(&mut self, mut f: Fields) -> Result<Sample, Doubt> {
        let mut sample = Sample { ms: f.needed("ms")?, seq: f.needed("seq")?, ..Sample::default() };
        let truncated = f.number("truncated")? != 0;
        self.row(&mut sample, &mut f, truncated)?;
        for (key, value) in f.0 {
            // An unknown key may hold anything; a known one must hold a number.
            match value.parse() {
                Ok(number) if sample.counters.set(&key, number) => {}
                Err(_) if sample.counters.set(&key, 0) => return Err(Doubt::Malformed),
                _ => {
                    self.health.unknown += 1;
                    if sample.extra.len() < MAX_EXTRA {
                        sample.extra.insert(key, value);
                    }
                }
            }
        }
        let Some(ready_ms) = self.ready_ms else {
            return Err(Doubt::Suspicious);
        };
        let start = Sample { ms: ready_ms, ..Sample::default() };
        let last = self.last.as_ref().unwrap_or(&start);
        if truncated {
            sample.counters.fill_from(&last.counters);
        }
        let believable = sample.seq > last.seq
            && sample.ms >= last.ms
            && sample.ms - last.ms <= MAX_LEAP_MS
            // Samples come every 20 ms at most; ten times that many cannot have been lost.
            && sample.seq - last.seq <= 1 + (sample.ms - last.ms)
            && sample.counters.can_follow(&last.counters, sample.ms - last.ms);
        if !believable {
            return Err(Doubt::Suspicious);
        }
        self.health.missing += sample.seq - last.seq - 1;
        sample.since_ready_ms = sample.ms - ready_ms;
        self.last = Some(sample.clone());
        Ok(sample)
    }
}

/// Why a line is not believed.
enum Doubt {
    Malformed,
    Suspicious,
    Unknown,
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The fields of a line that have not been read yet.
struct Fields(Vec<(String, String)>);

impl Fields {
    /// Takes out the groups of a row: `v0`, `v24`, ...
    fn groups(&mut self) -> Vec<(String, String)> {
        self.0.extract_if(.., |(key, _)| key.strip_prefix('v').is_some_and(is_number)).collect()
    }

    /// Adds the columns that the line names to `table`; true if that made it complete.
    fn name_columns(&mut self, table: &mut Table) -> Result<bool, Doubt> {
        let (at, of) = (self.needed("at")?, self.needed("of")?);
        let names = self.take("names").ok_or(Doubt::Malformed)?;
        match table.add(at, of, &names) {
            Added::Refused => Err(Doubt::Suspicious),
            added => Ok(added == Added::Complete),
        }
    }

    fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    fn text(&mut self, key: &str) -> String {
        self.take(key).unwrap_or_default()
    }

    fn number(&mut self, key: &str) -> Result<u64, Doubt> {
        self.take(key).map_or(Ok(0), |value| value.parse().map_err(|_| Doubt::Malformed))
    }

    fn needed(&mut self, key: &str) -> Result<u64, Doubt> {
        let value = self.take(key).ok_or(Doubt::Malformed)?;
        value.parse().map_err(|_| Doubt::Malformed)
    }

    fn without_ms(&mut self) -> BTreeMap<String, String> {
        self.take("ms");
        std::mem::take(&mut self.0).into_iter().take(MAX_EXTRA).collect()
    }
}
