// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long to wait for a guest: base values times one scale.

use std::time::Duration;

use workloads::profile::Clock;

use crate::accel::Accel;

/// Environment variable that multiplies every limit, for machines slower than usual.
pub const SCALE_VARIABLE: &str = "SWAPSTORM_TIMEOUT_SCALE";

/// Limits of patience with one virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// QEMU itself must have set up its machine.
    pub start: Duration,
    /// The kernel must have printed a byte.
    pub first_byte: Duration,
    /// The agent must be ready.
    pub ready: Duration,
    /// Something must have been printed again.
    pub silence: Duration,
    /// Some counter must have grown.
    pub progress: Duration,
    /// A guest that was asked to stop must print something again: its agent does every second of its
    /// own time, whatever hangs beside it.
    pub answer: Duration,
    /// A guest that was asked to stop must be gone, or four times as late if its agent goes on
    /// printing. More than the 10 s of its own time after which the agent says who is stuck and
    /// where, and gives up (`workloads/guest/PROTOCOL.md`).
    pub stop: Duration,
    /// A report is taken for complete when so much time passed since its last line.
    pub report_tail: Duration,
}

impl Timeouts {
    /// Limits for an accelerator and a clock. `scale` is the user's own factor.
    pub fn new(accel: Accel, clock: Clock, scale: f64) -> Self {
        // A translated guest takes about four times as long here as KVM is said to.
        let scale = scale * if accel == Accel::Tcg { 4.0 } else { 1.0 };
        // Counting instructions slows it down further, and a virtual clock's guest must never be ended because
        // the host is busy.
        let scale = scale * if clock.is_virtual() { 4.0 } else { 1.0 };
        let seconds = |base: f64| Duration::from_secs_f64(base * scale);
        Self {
            start: seconds(10.0),
            first_byte: seconds(5.0),
            ready: seconds(15.0),
            silence: seconds(10.0),
            // More than twice the silence: a line that a dead guest's kernel prints by the way (the
            // random generator is ready, say) does not make it one that goes on printing.
            progress: seconds(25.0),
            answer: seconds(5.0),
            stop: seconds(15.0),
            report_tail: seconds(0.25),
        }
    }

    /// The user's factor from the environment; 1 if it is not set.
    ///
    /// # Errors
    /// The words to say if it is not a number from 0.01 to 1000.
    pub fn scale_from_env() -> Result<f64, String> {
        let Some(text) = std::env::var_os(SCALE_VARIABLE) else { return Ok(1.0) };
        let value = text.to_str().and_then(|text| text.parse::<f64>().ok());
        value.filter(|value| (0.01..=1000.0).contains(value)).ok_or_else(|| {
            format!("{SCALE_VARIABLE} is {text:?}; it must be a number from 0.01 to 1000")
        })
    }
}
