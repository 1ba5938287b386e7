// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON Schemas of single values: what `scalar.rs` reads, in words that editors and
//! [`document`] know.

use document::schema;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::scalar::{self, MOST_WORDS};

pub(super) fn name(_: &mut SchemaGenerator) -> Schema {
    schema::string("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", scalar::NAME)
}

pub(super) fn symbol(_: &mut SchemaGenerator) -> Schema {
    schema::string("^[A-Za-z_.][A-Za-z0-9_.]{0,127}$", scalar::SYMBOL)
}

pub(super) fn option(_: &mut SchemaGenerator) -> Schema {
    schema::string("^CONFIG_[A-Za-z0-9_.]{0,127}$", scalar::OPTION)
}

pub(super) fn algorithm(_: &mut SchemaGenerator) -> Schema {
    schema::string("^[A-Za-z0-9_-]{1,31}$", scalar::ALGORITHM)
}

pub(super) fn algorithms(_: &mut SchemaGenerator) -> Schema {
    let mut list =
        schema::string("^[A-Za-z0-9_-]{1,31}(,[A-Za-z0-9_-]{1,31})*$", scalar::ALGORITHMS);
    list.insert("maxLength".to_owned(), 63.into());
    list
}

pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "integer"],
        "minimum": 0,
        "maximum": u64::MAX >> 30,
        "pattern": "^(max|[0-9]+[KMG]?)$",
        "errorMessage": scalar::SIZE,
    })
}

pub(super) fn cpu_max(_: &mut SchemaGenerator) -> Schema {
    let number = "0*([1-9][0-9]{0,5}|1000000)";
    schema::string(&format!("^{number}/{number}$"), scalar::CPU_MAX)
}

pub(super) fn probability(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "errorMessage": scalar::PROBABILITY,
    })
}

pub(super) fn cmdline_words(_: &mut SchemaGenerator) -> Schema {
    // Neither quotes nor blanks, and not one that begins with `swapstorm.`: no look-ahead, which Rust lacks.
    let mut word = schema::string("^[!#-&(-~]{1,200}$", scalar::CMDLINE_WORD);
    word.insert("not".to_owned(), serde_json::json!({"pattern": r"^swapstorm\."}));
    json_schema!({"type": "array", "maxItems": MOST_WORDS, "items": word})
}

pub(super) fn number<const LOW: u64, const HIGH: u64>(_: &mut SchemaGenerator) -> Schema {
    schema::number(LOW, HIGH)
}

pub(super) fn span<const LOW: u64, const HIGH: u64>(_: &mut SchemaGenerator) -> Schema {
    schema::range(LOW, HIGH)
}
