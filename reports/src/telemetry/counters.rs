// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counters of a sample that a verdict rests on: one table says name and kind of each.

use serde::{Deserialize, Serialize};

use crate::event::Exposure;

/// Highest believable rise of a counter in one guest millisecond; a hundred fast CPUs stay below it.
const MAX_RISE_PER_MS: u64 = 100_000;
/// Guest milliseconds granted on top, for clocks that are read a moment apart.
const RISE_SLACK_MS: u64 = 1_000;
/// Highest believable value of a kernel counter in the first sample.
const MAX_START: u64 = 1 << 48;

macro_rules! counters {
    (
        agent { $($(#[$agent_doc:meta])* $agent:ident,)* }
        kernel { $($(#[$kernel_doc:meta])* $kernel:ident,)* }
    ) => {
        /// Counters of a sample. The agent's own are 0 when left out; the kernel's are
        /// `None` where the kernel does not have them. All but `stored_pages` only grow.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counters {
            $($(#[$agent_doc])* pub $agent: u64,)*
            $(
                $(#[$kernel_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $kernel: Option<u64>,
            )*
        }

        impl Counters {
            /// Every counter with its name; `None` where the kernel does not have it.
            pub fn each(&self) -> Vec<(&'static str, Option<u64>)> {
                vec![
                    $((stringify!($agent), Some(self.$agent)),)*
                    $((stringify!($kernel), self.$kernel),)*
                ]
            }

            /// Sets the counter `key`; false if there is none of that name.
            pub(crate) fn set(&mut self, key: &str, value: u64) -> bool {
                match key {
                    $(stringify!($agent) => self.$agent = value,)*
                    $(stringify!($kernel) => self.$kernel = Some(value),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

counters! {
    agent {
        /// Completed swapon calls.
        swapon,
        /// Completed swapoff calls.
        swapoff,
        /// swapon failed with ENOMEM.
        swapon_enomem,
        /// swapon failed with EBUSY.
        swapon_ebusy,
        /// swapon failed with EINVAL.
        swapon_einval,
        /// swapon failed otherwise.
        swapon_other,
        /// swapoff failed with ENOMEM.
        swapoff_enomem,
        /// swapoff failed with EINTR.
        swapoff_eintr,
        /// swapoff failed with EBUSY.
        swapoff_ebusy,
        /// swapoff failed with EINVAL.
        swapoff_einval,
        /// swapoff failed otherwise.
        swapoff_other,
        /// Pages given new contents.
        touched,
        /// Pages read back and compared, every byte.
        verified,
        /// Passes of a worker over all its pages.
        rounds,
        /// Pages with wrong contents.
        corruptions,
        /// Workers and loops killed by the OOM killer.
        oom_kills,
        /// Workers and loops started again.
        respawns,
        /// CPUs taken off.
        cpu_offs,
        /// CPUs taken on again.
        cpu_ons,
        /// CPUs that the kernel would not take off or on.
        cpu_refused,
    }
    kernel {
        /// debugfs `zswap/stored_pages`: a level, not a count.
        stored_pages,
        /// debugfs `zswap/written_back_pages`.
        written_back_pages,
        /// debugfs `zswap/reject_reclaim_fail`.
        reject_reclaim_fail,
        /// debugfs `zswap/pool_limit_hit`.
        pool_limit_hit,
        /// vmstat `zswpin`.
        zswpin,
        /// vmstat `zswpout`.
        zswpout,
        /// vmstat `zswpwb`.
        zswpwb,
        /// vmstat `pswpin`.
        pswpin,
        /// vmstat `pswpout`.
        pswpout,
    }
}

impl Counters {
    /// Sets the counters of `exposure` that the guest counts; time and windows stay.
    pub(super) fn apply(&self, exposure: &mut Exposure) {
        exposure.swapons = self.swapon;
        exposure.swapoffs = self.swapoff;
        exposure.stores = self.zswpout.unwrap_or(0);
        exposure.writebacks = self.writebacks();
        exposure.verified = self.verified;
        exposure.oom_kills = self.oom_kills;
        exposure.cpu_offs = self.cpu_offs;
    }

    /// Pages written back by zswap, from whichever source the kernel has.
    pub fn writebacks(&self) -> u64 {
        self.written_back_pages.max(self.zswpwb).unwrap_or(0)
    }

    /// Whether these counters can follow `earlier`, `elapsed_ms` guest milliseconds later.
    pub(super) fn can_follow(&self, earlier: &Counters, elapsed_ms: u64) -> bool {
        let most = elapsed_ms.saturating_add(RISE_SLACK_MS).saturating_mul(MAX_RISE_PER_MS);
        self.each().into_iter().zip(earlier.each()).all(|((name, now), (_, before))| {
            match (now, before) {
                (Some(now), _) if name == "stored_pages" => now <= MAX_START,
                (Some(now), Some(before)) => now >= before && now - before <= most,
                // The kernel's counters run from its start: the first one says nothing of the rise.
                (Some(now), None) => now <= MAX_START,
                (None, _) => true,
            }
        })
    }

    /// Takes from `earlier` what a truncated line may have lost.
    pub(super) fn fill_from(&mut self, earlier: &Counters) {
        let now = *self;
        for ((name, here), (_, before)) in now.each().into_iter().zip(earlier.each()) {
            if let (None | Some(0), Some(before)) = (here, before) {
                self.set(name, before);
            }
        }
    }
}
