// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a plain scalar is, by the rules of YAML 1.2's core schema, as serde's reader applies them.

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    /// No number here is so large that it does not fit.
    Integer(i128),
    Number(f64),
    Text,
}

/// What the scalar `text` is that stands without quotes.
pub(crate) fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Kind::Boolean,
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Kind::Integer(number);
    }
    // Rust also reads words such as `infinity`.
    let starts = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && text.starts_with(starts) && !zero_led(text) => {
            Kind::Number(number)
        }
        _ => Kind::Text,
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix)))
        .unwrap_or((digits, 10));
    let signed = digits.starts_with(['+', '-']);
    if signed || (radix == 10 && zero_led(text)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(|number| sign * number)
}

/// `007` is a text.
fn zero_led(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}
