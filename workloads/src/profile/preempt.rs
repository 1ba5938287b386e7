// SPDX-License-Identifier: MIT OR Apache-2.0
//! The technique `preempt`: parameters of the guest agent that only it uses. `guest/PROTOCOL.md` says what each
//! means, its bounds and its default; the names are the same here.

use schemars::JsonSchema;
use serde::Deserialize;

use super::storm::{Span, span};
use super::{scalar, schemas};

/// How processors are taken away from tasks; `None` leaves a parameter at the agent's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preempt {
    /// How long a SCHED_FIFO task keeps its CPU, in microseconds.
    #[serde(deserialize_with = "span::<_, 10, 5000>")]
    #[schemars(schema_with = "schemas::span::<10, 5000>")]
    pub burst_us: Option<Span>,
    /// How long it leaves the CPU alone, in microseconds.
    #[serde(deserialize_with = "span::<_, 500, 1_000_000>")]
    #[schemars(schema_with = "schemas::span::<500, 1_000_000>")]
    pub gap_us: Option<Span>,
    /// Percent of the workers that run under SCHED_IDLE.
    #[serde(deserialize_with = "scalar::optional_number::<_, 0, 100>")]
    #[schemars(schema_with = "schemas::number::<0, 100>")]
    pub idle_workers: Option<u64>,
    /// Whether the kernel's threads that write back for zswap run under SCHED_IDLE.
    pub idle_shrinkers: Option<bool>,
    /// `cpu.max` of each worker in place of the storm's, `QUOTA/PERIOD` in microseconds: up to Linux 6.17 a task out of
    /// quota stops where it is in the kernel.
    #[serde(deserialize_with = "scalar::cpu_max")]
    #[schemars(schema_with = "schemas::cpu_max")]
    pub cpu_max: Option<String>,
}

impl Preempt {
    /// Name and value of each of the agent's parameters, without the prefix `swapstorm.`.
    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        let toggle = |on: bool| if on { "on" } else { "off" }.to_owned();
        let all = [
            ("preempt", Some(toggle(true))),
            ("burst_us", self.burst_us.map(|span| span.to_string())),
            ("gap_us", self.gap_us.map(|span| span.to_string())),
            ("idle_workers", self.idle_workers.map(|percent| percent.to_string())),
            ("idle_shrinkers", self.idle_shrinkers.map(toggle)),
            ("cpu_max", self.cpu_max.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
