// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys: hashes of everything that went into an entry.

use std::fmt;

/// Hexadecimal digits in a key: 128 bits, ample against accidents among thousands.
const DIGITS: usize = 32;

/// Name of an entry: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a key that was printed before.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == DIGITS && digits).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects what goes into an entry.
///
/// Names and values carry their lengths, so no two lists of fields look alike to the hash.
#[derive(Debug, Clone)]
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    /// A key for one kind of entry. Raise `version` whenever the way it is made changes.
    pub fn new(kind: &str, version: u32) -> Self {
        Self(blake3::Hasher::new()).field(kind, version.to_le_bytes())
    }

    /// Adds a named input.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        self
    }

    /// The key of all fields so far.
    pub fn finish(&self) -> Key {
        let mut digits = self.0.finalize().to_hex().to_string();
        digits.truncate(DIGITS);
        Key(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_field_ends_matters() {
        let key = |fields: &[(&str, &str)]| {
            fields.iter().fold(KeyHasher::new("t", 1), |h, (n, v)| h.field(n, v)).finish()
        };
        assert_eq!(key(&[("a", "bc")]), key(&[("a", "bc")]));
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_ne!(key(&[("a", "b"), ("c", "d")]), key(&[("c", "d"), ("a", "b")]));
        assert_ne!(KeyHasher::new("t", 1).finish(), KeyHasher::new("t", 2).finish());
    }

    #[test]
    fn a_printed_key_reads_back_and_other_names_do_not() {
        let key = KeyHasher::new("t", 1).finish();
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        assert_eq!(Key::parse("../../etc"), None);
        assert_eq!(Key::parse(&"g".repeat(32)), None);
    }
}
