// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storm: parameters of the guest agent. `guest/PROTOCOL.md` says what each means, its
//! bounds and its default; the names are the same here.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};

use super::{scalar, schemas};

/// What the agent does; `None` leaves a parameter at the agent's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storm {
    /// Whether zswap is on.
    pub zswap: Option<bool>,
    /// zswap's compressor.
    #[serde(deserialize_with = "scalar::algorithm")]
    #[schemars(schema_with = "schemas::algorithm")]
    pub compressor: Option<String>,
    /// zswap's allocator.
    #[serde(deserialize_with = "scalar::algorithm")]
    #[schemars(schema_with = "schemas::algorithm")]
    pub zpool: Option<String>,
    /// Size of zswap's pool in percent of the memory.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 100>")]
    #[schemars(schema_with = "schemas::number::<0, 100>")]
    pub max_pool_percent: Option<u64>,
    /// A full pool takes pages again below this percentage of its size.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 100>")]
    #[schemars(schema_with = "schemas::number::<0, 100>")]
    pub accept_threshold_percent: Option<u64>,
    /// Whether zswap's own shrinker is on, where the kernel has one.
    pub shrinker: Option<bool>,
    /// How long zswap stays on before it is switched off, in milliseconds; 0: it is not.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub zswap_on_ms: Option<Span>,
    /// How long zswap stays off, in milliseconds.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub zswap_off_ms: Option<Span>,
    /// zswap's compressors in turn, with commas.
    #[serde(deserialize_with = "scalar::algorithms")]
    #[schemars(schema_with = "schemas::algorithms")]
    pub compressors: Option<String>,
    /// So many devices stay on for the whole storm.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 16>")]
    #[schemars(schema_with = "schemas::number::<0, 16>")]
    pub stay_on: Option<u64>,
    /// So many KiB of each device are used; 0: all of it.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 67108864>")]
    #[schemars(schema_with = "schemas::number::<0, 67108864>")]
    pub swap_kib: Option<u64>,
    /// How long a device stays on, in milliseconds.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub on_ms: Option<Span>,
    /// How long a device stays off, in milliseconds.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub off_ms: Option<Span>,
    /// Swap priority.
    #[serde(deserialize_with = "span::<_, 0, 32767>")]
    #[schemars(schema_with = "schemas::span::<0, 32767>")]
    pub priority: Option<Span>,
    /// Whether CPUs are taken off and on beside the storm.
    pub hotplug: Option<bool>,
    /// How long all CPUs are on between two that are taken off, in milliseconds.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub cpu_on_ms: Option<Span>,
    /// How long a CPU stays off, in milliseconds.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub cpu_off_ms: Option<Span>,
    /// Number of workers.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 64>")]
    #[schemars(schema_with = "schemas::number::<0, 64>")]
    pub workers: Option<u64>,
    /// Pages of each worker.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1, 65536>")]
    #[schemars(schema_with = "schemas::number::<1, 65536>")]
    pub pages: Option<u64>,
    /// How pages leave.
    pub push: Option<Push>,
    /// Pages for each call that pushes pages out.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1, 65536>")]
    #[schemars(schema_with = "schemas::number::<1, 65536>")]
    pub chunk: Option<u64>,
    /// In which order a worker comes to its chunks.
    pub order: Option<Order>,
    /// `memory.max` of each worker.
    #[serde(deserialize_with = "scalar::size")]
    #[schemars(schema_with = "schemas::size")]
    pub memory_max: Option<String>,
    /// `memory.high` of each worker.
    #[serde(deserialize_with = "scalar::size")]
    #[schemars(schema_with = "schemas::size")]
    pub memory_high: Option<String>,
    /// `memory.zswap.max` of each worker.
    #[serde(deserialize_with = "scalar::size")]
    #[schemars(schema_with = "schemas::size")]
    pub zswap_max: Option<String>,
    /// `cpu.max` of each worker, `QUOTA/PERIOD` in microseconds.
    #[serde(deserialize_with = "scalar::cpu_max")]
    #[schemars(schema_with = "schemas::cpu_max")]
    pub cpu_max: Option<String>,
    /// Percent of each page that compresses well.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 100>")]
    #[schemars(schema_with = "schemas::number::<0, 100>")]
    pub compressible: Option<u64>,
    /// Percent of each worker's pages that are on tmpfs.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 100>")]
    #[schemars(schema_with = "schemas::number::<0, 100>")]
    pub shmem: Option<u64>,
    /// Threads of each worker that read its pages beside it.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 4>")]
    #[schemars(schema_with = "schemas::number::<0, 4>")]
    pub readers: Option<u64>,
    /// How long a worker lives, in milliseconds; 0: for ever.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub life_ms: Option<Span>,
    /// How long a worker stays in a cgroup before that is removed, in milliseconds; 0: for ever.
    #[serde(deserialize_with = "span::<_, 0, 60000>")]
    #[schemars(schema_with = "schemas::span::<0, 60000>")]
    pub memcg_ms: Option<Span>,
    /// Milliseconds between samples.
    #[serde(deserialize_with = "scalar::optional_number::<_, 20, 60000>")]
    #[schemars(schema_with = "schemas::number::<20, 60000>")]
    pub sample_ms: Option<u64>,
    /// Milliseconds after which a swapon or swapoff that does not get on is told of as hung.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1000, 3600000>")]
    #[schemars(schema_with = "schemas::number::<1000, 3600000>")]
    pub hung_ms: Option<u64>,
    /// Seconds of storm between two checks of the invariants; 0: they are not checked.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 86400>")]
    #[schemars(schema_with = "schemas::number::<0, 86400>")]
    pub check_s: Option<u64>,
    /// A self-test of whoever watches: the agent misbehaves in this way.
    pub fault: Option<Misbehaviour>,
}

/// Ways in which the agent can misbehave on request; `guest/PROTOCOL.md` describes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// One byte of one page is flipped.
    CorruptPage,
    /// No line is ever written.
    Mute,
    /// Lines stop, the storm goes on.
    Freeze,
    /// The storm stops, lines go on.
    Stall,
}

/// How pages leave a worker's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// By MADV_PAGEOUT.
    Pageout,
    /// By the memcg's own limit.
    Limit,
    /// Only by chance.
    None,
}

/// In which order a worker comes to its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One behind the other.
    Sequential,
    /// Drawn anew each time.
    Random,
}

/// A range of numbers; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The smallest.
    pub low: u64,
    /// The largest.
    pub high: u64,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// Reads a [`Span`] within bounds, both of which it can reach.
struct SpanVisitor {
    least: u64,
    most: u64,
}

impl SpanVisitor {
    fn parse(&self, text: &str) -> Option<Span> {
        let (low, high) = text.split_once('-')?;
        let number = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
        };
        let span = Span { low: number(low)?, high: number(high)? };
        (self.least <= span.low && span.low <= span.high && span.high <= self.most).then_some(span)
    }
}

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LOW-HIGH or one number, from {} to {}", self.least, self.most)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
        if (self.least..=self.most).contains(&number) {
            Ok(Span { low: number, high: number })
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        self.parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Reads a span from `LEAST` to `MOST`.
pub(super) fn span<'de, D, const LEAST: u64, const MOST: u64>(
    from: D,
) -> Result<Option<Span>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_any(SpanVisitor { least: LEAST, most: MOST }).map(Some)
}

/// Milliseconds between samples where nothing is said (`guest/PROTOCOL.md`).
const SAMPLE_MS: u64 = 500;

impl Storm {
    /// How far samples are apart, in guest time.
    pub fn sampling(&self) -> Duration {
        Duration::from_millis(self.sample_ms.unwrap_or(SAMPLE_MS))
    }

    /// These values, and those of `base` where there are none.
    pub(super) fn over(&self, base: &Self) -> Self {
        Self {
            zswap: self.zswap.or(base.zswap),
            compressor: self.compressor.clone().or_else(|| base.compressor.clone()),
            zpool: self.zpool.clone().or_else(|| base.zpool.clone()),
            max_pool_percent: self.max_pool_percent.or(base.max_pool_percent),
            accept_threshold_percent: self
                .accept_threshold_percent
                .or(base.accept_threshold_percent),
            shrinker: self.shrinker.or(base.shrinker),
            zswap_on_ms: self.zswap_on_ms.or(base.zswap_on_ms),
            zswap_off_ms: self.zswap_off_ms.or(base.zswap_off_ms),
            compressors: self.compressors.clone().or_else(|| base.compressors.clone()),
            stay_on: self.stay_on.or(base.stay_on),
            swap_kib: self.swap_kib.or(base.swap_kib),
            on_ms: self.on_ms.or(base.on_ms),
            off_ms: self.off_ms.or(base.off_ms),
            priority: self.priority.or(base.priority),
            hotplug: self.hotplug.or(base.hotplug),
            cpu_on_ms: self.cpu_on_ms.or(base.cpu_on_ms),
            cpu_off_ms: self.cpu_off_ms.or(base.cpu_off_ms),
            workers: self.workers.or(base.workers),
            pages: self.pages.or(base.pages),
            push: self.push.or(base.push),
            chunk: self.chunk.or(base.chunk),
            order: self.order.or(base.order),
            memory_max: self.memory_max.clone().or_else(|| base.memory_max.clone()),
            memory_high: self.memory_high.clone().or_else(|| base.memory_high.clone()),
            zswap_max: self.zswap_max.clone().or_else(|| base.zswap_max.clone()),
            cpu_max: self.cpu_max.clone().or_else(|| base.cpu_max.clone()),
            compressible: self.compressible.or(base.compressible),
            shmem: self.shmem.or(base.shmem),
            readers: self.readers.or(base.readers),
            life_ms: self.life_ms.or(base.life_ms),
            memcg_ms: self.memcg_ms.or(base.memcg_ms),
            sample_ms: self.sample_ms.or(base.sample_ms),
            hung_ms: self.hung_ms.or(base.hung_ms),
            check_s: self.check_s.or(base.check_s),
            fault: self.fault.or(base.fault),
        }
    }

    /// Name and value of each parameter that is set, without the prefix `swapstorm.`.
    pub fn words(&self) -> Vec<(&'static str, String)> {
        fn text(value: &Option<impl ToString>) -> Option<String> {
            value.as_ref().map(ToString::to_string)
        }
        let toggle = |value: Option<bool>| value.map(|on| if on { "on" } else { "off" });
        let push = self.push.map(|push| match push {
            Push::Pageout => "pageout",
            Push::Limit => "limit",
            Push::None => "none",
        });
        let order = self.order.map(|order| match order {
            Order::Sequential => "sequential",
            Order::Random => "random",
        });
        let fault = self.fault.map(|fault| match fault {
            Misbehaviour::CorruptPage => "corrupt_page",
            Misbehaviour::Mute => "mute",
            Misbehaviour::Freeze => "freeze",
            Misbehaviour::Stall => "stall",
        });
        let all = [
            ("zswap", text(&toggle(self.zswap))),
            ("compressor", text(&self.compressor)),
            ("zpool", text(&self.zpool)),
            ("max_pool_percent", text(&self.max_pool_percent)),
            ("accept_threshold_percent", text(&self.accept_threshold_percent)),
            ("shrinker", text(&toggle(self.shrinker))),
            ("zswap_on_ms", text(&self.zswap_on_ms)),
            ("zswap_off_ms", text(&self.zswap_off_ms)),
            ("compressors", text(&self.compressors)),
            ("stay_on", text(&self.stay_on)),
            ("swap_kib", text(&self.swap_kib)),
            ("on_ms", text(&self.on_ms)),
            ("off_ms", text(&self.off_ms)),
            ("priority", text(&self.priority)),
            ("hotplug", text(&toggle(self.hotplug))),
            ("cpu_on_ms", text(&self.cpu_on_ms)),
            ("cpu_off_ms", text(&self.cpu_off_ms)),
            ("workers", text(&self.workers)),
            ("pages", text(&self.pages)),
            ("push", text(&push)),
            ("chunk", text(&self.chunk)),
            ("order", text(&order)),
            ("memory_max", text(&self.memory_max)),
            ("memory_high", text(&self.memory_high)),
            ("zswap_max", text(&self.zswap_max)),
            ("cpu_max", text(&self.cpu_max)),
            ("compressible", text(&self.compressible)),
            ("shmem", text(&self.shmem)),
            ("readers", text(&self.readers)),
            ("life_ms", text(&self.life_ms)),
            ("memcg_ms", text(&self.memcg_ms)),
            ("sample_ms", text(&self.sample_ms)),
            ("hung_ms", text(&self.hung_ms)),
            ("check_s", text(&self.check_s)),
            ("fault", text(&fault)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
