// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON Schemas (draft 2020-12) of what is read, made from the types that read it.
//!
//! Beyond the standard's words there is one that editors know, too: `errorMessage` says what a value has to
//! be. A string of the format `range` is `LOW-HIGH`, whose ends keep to `minimum` and `maximum`.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::Value;

/// The schema of a `T` that is read.
pub fn of<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$comment".to_owned(), "SPDX-License-Identifier: MIT OR Apache-2.0".into());
    let mut schema = schema.to_value();
    plain_descriptions(&mut schema);
    schema
}

/// Docs of types become descriptions: without the links of rustdoc and the line ends of the source.
fn plain_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(all) => {
            if let Some(Value::String(text)) = all.get_mut("description") {
                let paragraphs = text.split("\n\n").map(|one| one.replace('\n', " "));
                let text_alone = paragraphs.collect::<Vec<_>>().join("\n\n");
                *text = text_alone.replace("[`", "`").replace("`]", "`");
            }
            all.values_mut().for_each(plain_descriptions);
        }
        Value::Array(all) => all.iter_mut().for_each(plain_descriptions),
        _ => {}
    }
}

/// The schema of a `T` as the text of a file.
pub fn text<T: JsonSchema>() -> String {
    format!("{:#}\n", of::<T>())
}

/// A text that matches `pattern` (a regular expression that Rust and JavaScript read alike); `expected`
/// says what it is.
pub fn string(pattern: &str, expected: &str) -> Schema {
    json_schema!({"type": "string", "pattern": pattern, "errorMessage": expected})
}

/// One of these words.
pub fn word<'a>(words: impl IntoIterator<Item = &'a str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    json_schema!({"type": "string", "enum": words})
}

/// A whole number, both of whose bounds belong to it.
pub fn number(low: u64, high: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": low, "maximum": high})
}

/// `LOW-HIGH` or one number, within bounds that belong to it.
pub fn range(low: u64, high: u64) -> Schema {
    json_schema!({
        "type": ["integer", "string"],
        "minimum": low,
        "maximum": high,
        "pattern": "^[0-9]+-[0-9]+$",
        "format": "range",
        "errorMessage": format!("LOW-HIGH or one number, from {low} to {high}"),
    })
}

/// The schema of a type that reads itself: `inline_schema!(Word, schema::string("^[a-z]+$", "a word"))`.
#[macro_export]
macro_rules! inline_schema {
    ($type:ident, $schema:expr) => {
        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $schema
            }
        }
    };
}

/// For tests: whether `file` holds `text`. With `UPDATE_SCHEMAS` in the environment the file is written.
///
/// # Errors
/// Says what to run if it does not, or why the file cannot be used.
pub fn checked_in(file: impl AsRef<Path>, text: &str) -> Result<(), String> {
    let file = file.as_ref();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        return fs_err::write(file, text).map_err(|error| error.to_string());
    }
    match fs_err::read_to_string(file) {
        Ok(found) if found == text => Ok(()),
        Ok(_) => Err(format!(
            "{} is not what the types say\n  hint: run UPDATE_SCHEMAS=1 cargo test schema",
            file.display()
        )),
        Err(error) => Err(error.to_string()),
    }
}
