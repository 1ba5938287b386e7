// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beta distribution: what is believed of a share, and the ends of exact intervals of one.

/// Halvings after which a float has no digits left to gain.
const HALVINGS: u32 = 60;
/// Terms of the continued fraction; it needs far fewer.
const TERMS: u32 = 10_000;
/// What the continued fraction takes for nothing.
const TINY: f64 = 1e-300;

/// Natural logarithm of the beta function.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// The value below which a variable of `Beta(a, b)` lies with this probability.
pub(crate) fn quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if cumulative(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function, by its continued fraction: NIST Digital Library of Mathematical Functions,
/// 8.17.22, which converges quickly below `(a + 1) / (a + b + 2)`, evaluated by W. J. Lentz's method (1976).
fn cumulative(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - cumulative(1.0 - x, b, a);
    }
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in (1..=TERMS).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() <= f64::EPSILON * fraction.abs() {
            break;
        }
    }
    (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp() / a * fraction
}
