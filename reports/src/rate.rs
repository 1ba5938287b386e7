// SPDX-License-Identifier: MIT OR Apache-2.0
//! What "no crash" says about the rate of a bug.
//!
//! After n chances without an event the event's probability per chance is, with 95 %
//! confidence, below `1 - 0.05^(1/n)`: the one-sided exact binomial bound of C. J. Clopper
//! and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26 (1934), 404-413. For a length of time it is `-ln(0.05)/t`, the
//! exact Poisson bound of F. Garwood, "Fiducial limits for the Poisson distribution",
//! Biometrika 28 (1936), 437-442. Both are close to `3/n`, the rule of three: J. A. Hanley and
//! A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983), 1743-1745.

use serde::Serialize;

use crate::event::Exposure;

/// Confidence of every bound here.
pub const CONFIDENCE: f64 = 0.95;

/// Upper bound on how often a bug shows that has not shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateBound {
    /// What a chance is.
    pub per: Chance,
    /// How many chances there were; for [`Chance::GuestHour`] the time in hours.
    pub chances: f64,
    /// Upper bound on events per chance at [`CONFIDENCE`]. A probability (at most 1) except
    /// for [`Chance::GuestHour`].
    pub at_most: f64,
}

/// What counts as one chance for the bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chance {
    /// A window held open by the stretcher.
    Window,
    /// A completed swapoff.
    Swapoff,
    /// A CPU that was taken off.
    CpuOff,
    /// An hour of guest time.
    GuestHour,
}

impl Chance {
    /// Plural, as in "at most 1 in 50 stretched windows".
    pub fn names(self) -> &'static str {
        match self {
            Self::Window => "stretched windows",
            Self::Swapoff => "swapoffs",
            Self::CpuOff => "CPUs taken off",
            Self::GuestHour => "guest hours",
        }
    }
}

/// The bounds that this much exposure without an event gives, the most telling first.
pub fn bounds(exposure: &Exposure) -> Vec<RateBound> {
    let counted = [
        (Chance::Window, exposure.windows),
        (Chance::Swapoff, exposure.swapoffs),
        (Chance::CpuOff, exposure.cpu_offs),
    ];
    let mut bounds: Vec<RateBound> = counted
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(per, n)| {
            let chances = n as f64;
            RateBound { per, chances, at_most: binomial(chances) }
        })
        .collect();
    if exposure.guest_ms > 0 {
        let hours = exposure.guest_ms as f64 / 3_600_000.0;
        let at_most = -(1.0 - CONFIDENCE).ln() / hours;
        bounds.push(RateBound { per: Chance::GuestHour, chances: hours, at_most });
    }
    bounds
}

/// `1 - 0.05^(1/n)`, without the cancellation that the plain formula suffers for large n.
fn binomial(chances: f64) -> f64 {
    -((1.0 - CONFIDENCE).ln() / chances).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(exposure: Exposure, per: Chance) -> Option<f64> {
        bounds(&exposure).into_iter().find(|b| b.per == per).map(|b| b.at_most)
    }

    #[test]
    fn bounds_agree_with_published_values() {
        // Clopper-Pearson tables: 0 of 10 gives 25.89 %, 0 of 100 gives 2.951 %.
        for (windows, expected) in [(1, 0.95), (10, 0.258_866), (100, 0.029_513)] {
            let got = bound(Exposure { windows, ..Exposure::default() }, Chance::Window).unwrap();
            assert!((got - expected).abs() < 1e-6, "{windows}: {got}");
        }
        // Garwood: 0 events give 2.9957 per unit of time.
        let hour = Exposure { guest_ms: 3_600_000, ..Exposure::default() };
        let got = bound(hour, Chance::GuestHour).unwrap();
        assert!((got - 2.995_732).abs() < 1e-6, "{got}");
    }

    #[test]
    fn huge_counts_keep_their_digits_and_zero_gives_no_bound() {
        let many = Exposure { swapoffs: u64::MAX, ..Exposure::default() };
        let got = bound(many, Chance::Swapoff).unwrap();
        assert!((got * u64::MAX as f64 - 2.995_732).abs() < 1e-6, "{got}");
        assert_eq!(bounds(&Exposure::default()), []);
    }
}
