// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single values of a profile. Each is checked while it is read, so that a message can
//! point at its very line and column and say what was expected there.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Unexpected, Visitor};

// What each value has to be; `schemas.rs` says the same for editors.
pub(super) const NAME: &str = "a name: a letter or digit, then letters, digits, `.`, `_` and `-`";
pub(super) const SYMBOL: &str = "the name of a kernel function";
pub(super) const OPTION: &str = "an option, `CONFIG_NAME`";
pub(super) const ALGORITHM: &str = "a name of letters, digits, `_` and `-`, at most 31 bytes";
pub(super) const ALGORITHMS: &str = "names of algorithms with commas, at most 63 bytes";
pub(super) const SIZE: &str = "a size: bytes, with K, M or G if you like, or `max`";
pub(super) const CPU_MAX: &str = "QUOTA/PERIOD in microseconds, each from 1 to 1000000";
pub(super) const PROBABILITY: &str = "a probability above 0 and up to 1";
pub(super) const CMDLINE_WORD: &str = "one word of the kernel command line: printable ASCII without blanks and \
    quotes, at most 200 bytes, and not one of swapstorm's own (they belong under `storm`)";

/// A text that passes a check.
struct Text {
    expected: &'static str,
    passes: fn(&str) -> bool,
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if (self.passes)(text) {
            Ok(text.to_owned())
        } else {
            Err(E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    // A size such as 8192 is a number to YAML.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        if (self.passes)(&number.to_string()) {
            Ok(number.to_string())
        } else {
            Err(E::invalid_type(Unexpected::Unsigned(number), &self))
        }
    }
}

/// A number within bounds, both of which it can be.
struct Number {
    low: u64,
    high: u64,
}

impl Visitor<'_> for Number {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.low, self.high)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        if (self.low..=self.high).contains(&number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }
}

struct Probability;

impl Visitor<'_> for Probability {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PROBABILITY)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
        if number > 0.0 && number <= 1.0 {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
        match number {
            1 => Ok(1.0),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

/// A word of the kernel command line.
struct CmdlineWord(String);

impl<'de> Deserialize<'de> for CmdlineWord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Text { expected: CMDLINE_WORD, passes: is_cmdline_word }).map(Self)
    }
}

/// At most this many words, so that a command line stays below the kernel's bound.
pub(super) const MOST_WORDS: usize = 32;

struct CmdlineWords;

impl<'de> Visitor<'de> for CmdlineWords {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST_WORDS} words of the kernel command line")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut words = Vec::new();
        while let Some(CmdlineWord(word)) = list.next_element()? {
            if words.len() == MOST_WORDS {
                return Err(de::Error::invalid_length(MOST_WORDS + 1, &self));
            }
            words.push(word);
        }
        Ok(words)
    }
}

fn is_cmdline_word(word: &str) -> bool {
    (1..=200).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\'')
        && !word.starts_with("swapstorm.")
}

/// Names of profiles, rules and the like: fit for a file name, and never a path.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_symbol(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
}

fn is_option(text: &str) -> bool {
    text.strip_prefix("CONFIG_").is_some_and(|rest| is_symbol(&format!("_{rest}")))
}

fn is_algorithm(text: &str) -> bool {
    (1..=31).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_list_of_algorithms(text: &str) -> bool {
    text.len() <= 63 && text.split(',').all(is_algorithm)
}

fn is_size(text: &str) -> bool {
    let digits = text.strip_suffix(['K', 'M', 'G']).unwrap_or(text);
    text == "max"
        || (digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u64>().is_ok_and(|number| number <= u64::MAX >> 30))
}

fn is_cpu_max(text: &str) -> bool {
    let within = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u64>().is_ok_and(|number| (1..=1_000_000).contains(&number))
    };
    text.split_once('/').is_some_and(|(quota, period)| within(quota) && within(period))
}

pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text { expected: NAME, passes: is_name })
}

pub(super) fn optional_name<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    name(from).map(Some)
}

pub(super) fn symbol<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text { expected: SYMBOL, passes: is_symbol })
}

pub(super) fn optional_symbol<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    symbol(from).map(Some)
}

pub(super) fn option<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text { expected: OPTION, passes: is_option })
}

pub(super) fn some_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    option(from).map(Some)
}

pub(super) fn algorithm<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_str(Text { expected: ALGORITHM, passes: is_algorithm }).map(Some)
}

pub(super) fn algorithms<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_str(Text { expected: ALGORITHMS, passes: is_list_of_algorithms }).map(Some)
}

pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Text { expected: SIZE, passes: is_size }).map(Some)
}

pub(super) fn cpu_max<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_str(Text { expected: CPU_MAX, passes: is_cpu_max }).map(Some)
}

pub(super) fn probability<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    from.deserialize_any(Probability)
}

pub(super) fn cmdline_words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_seq(CmdlineWords)
}

pub(super) fn number<'de, D, const LOW: u64, const HIGH: u64>(from: D) -> Result<u64, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_u64(Number { low: LOW, high: HIGH })
}

pub(super) fn optional_number<'de, D, const LOW: u64, const HIGH: u64>(
    from: D,
) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    number::<D, LOW, HIGH>(from).map(Some)
}
