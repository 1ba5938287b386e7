// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole of a document against its schema. These are the words of JSON Schema that schemars makes of
//! types, and those that types here add to them; a word that is not known says nothing.
//!
//! It is more lenient than the standard in one point, as serde's reader is: what stands without quotes where
//! a text is expected is one, even if it looks like a number.

use regex::Regex;
use serde_json::{Map, Value as Json};

use crate::nearest::nearest;
use crate::path::Path;
use crate::problem::{Place, Problem, escaped};
use crate::scalar::Kind;
use crate::tree::{Entry, Node, Value};

/// Schemas within each other: what refers to itself ends with the document.
const DEEPEST: usize = 128;

/// Everything that is wrong with a document.
pub(crate) fn check(schema: &Json, root: &Node) -> Vec<Problem> {
    let mut check = Check { root: schema, problems: Vec::new() };
    check.node(schema, root, &Path::root(), 0);
    check.problems
}

struct Check<'a> {
    root: &'a Json,
    problems: Vec<Problem>,
}

type Object = Map<String, Json>;

impl<'a> Check<'a> {
    fn wrong(&mut self, place: Place, path: &Path, words: &str) {
        self.problems.push(Problem::new(place, format!("{}{words}", path.prefix())));
    }

    /// What a value is where another one was expected.
    fn other(&mut self, schema: &Object, node: &Node, path: &Path) {
        let words = format!("expected {}, not {}", expected(schema), found(node));
        self.wrong(node.place, path, &words);
    }

    fn resolve(&self, schema: &'a Json) -> Option<&'a Object> {
        let mut schema = schema.as_object()?;
        for _ in 0..DEEPEST {
            let Some(reference) = schema.get("$ref") else { return Some(schema) };
            schema = self.root.pointer(reference.as_str()?.strip_prefix('#')?)?.as_object()?;
        }
        None
    }

    fn node(&mut self, schema: &'a Json, node: &Node, path: &Path, depth: usize) {
        if let Some(schema) = self.resolve(schema) {
            self.object(schema, node, path, depth);
        }
    }

    fn object(&mut self, schema: &'a Object, node: &Node, path: &Path, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        for key in ["oneOf", "anyOf"] {
            let Some(all) = schema.get(key).and_then(Json::as_array) else { continue };
            if all.iter().all(|one| one.get("required").is_some() && one.get("type").is_none()) {
                self.choice(all, key == "oneOf", node, path);
            } else if !self.alternatives(schema, all, node, path, depth) {
                return;
            }
        }
        if !admits(schema, node) {
            return self.other(schema, node, path);
        }
        match &node.value {
            Value::Scalar { .. } => self.scalar(schema, node, path),
            Value::List(list) => self.list(schema, list, node, path, depth),
            Value::Mapping(entries) => self.mapping(schema, entries, node, path, depth),
        }
    }

    /// Keys of which one must be there, and only one if it `is_either`.
    fn choice(&mut self, all: &[Json], is_either: bool, node: &Node, path: &Path) {
        let Value::Mapping(entries) = &node.value else { return };
        let names = all.iter().filter_map(|one| one["required"].as_array());
        let names: Vec<&str> = names.flatten().filter_map(Json::as_str).collect();
        let here = |name: &&&str| entries.iter().any(|entry| entry.key == **name);
        let there = names.iter().filter(here).count();
        // A key that was misspelt is told of as such.
        let is_meant = entries.iter().any(|entry| {
            !names.contains(&&*entry.key) && nearest(&entry.key, names.iter().copied()).is_some()
        });
        let few = there == 0 && !is_meant;
        if few || (is_either && there > 1) {
            let one = match (there, is_either) {
                (0, true) => "one",
                (0, false) => "at least one",
                _ => "only one",
            };
            self.wrong(node.place, path, &format!("expected {one} of {}", list(&names)));
        }
    }

    /// Whether nothing was found to be wrong.
    fn alternatives(
        &mut self,
        schema: &Object,
        all: &'a [Json],
        node: &Node,
        path: &Path,
        depth: usize,
    ) -> bool {
        let before = self.problems.len();
        let all: Vec<&Object> = all.iter().filter_map(|one| self.resolve(one)).collect();
        if all.iter().all(|one| !words(one).is_empty()) {
            let consts: Vec<&str> = all.iter().flat_map(|one| words(one)).collect();
            self.word(&consts, node, path);
            return self.problems.len() == before;
        }
        let fitting: Vec<&&Object> = all.iter().filter(|one| admits(one, node)).collect();
        let Some(first) = fitting.first() else {
            let all: Vec<String> = all.iter().map(|one| expected(one)).collect();
            let all: Vec<&str> = all.iter().map(|s| &**s).filter(|s| *s != "nothing").collect();
            let own = schema.get("errorMessage").and_then(Json::as_str).map(str::to_owned);
            let own = own.unwrap_or_else(|| all.join(" or "));
            self.wrong(node.place, path, &format!("expected {own}, not {}", found(node)));
            return false;
        };
        for one in &fitting {
            let mut tried = Check { root: self.root, problems: Vec::new() };
            tried.object(one, node, path, depth + 1);
            if tried.problems.is_empty() {
                return true;
            }
        }
        self.object(first, node, path, depth + 1);
        false
    }

    fn word(&mut self, known: &[&str], node: &Node, path: &Path) {
        let word = node.scalar().map(|(text, _)| text);
        if word.is_some_and(|word| known.contains(&word)) {
            return;
        }
        let meant = word.and_then(|word| nearest(word, known.iter().copied()));
        let words = match (word, meant) {
            (Some(word), Some(meant)) => {
                let all = list(known);
                format!("unknown word `{}`, did you mean `{meant}`? Known are {all}", escaped(word))
            }
            (Some(word), None) => {
                format!("unknown word `{}`, expected one of {}", escaped(word), list(known))
            }
            (None, _) => format!("expected one of {}, not {}", list(known), found(node)),
        };
        self.wrong(node.place, path, &words);
    }

    fn scalar(&mut self, schema: &Object, node: &Node, path: &Path) {
        let Some((text, kind)) = node.scalar() else { return };
        let known = words(schema);
        if !known.is_empty() && kind != Kind::Null {
            return self.word(&known, node, path);
        }
        let types = types(schema);
        let number = match kind {
            Kind::Integer(number) => Some(number as f64),
            Kind::Number(number) => Some(number),
            _ => None,
        };
        let is_number = types.iter().any(|name| ["integer", "number"].contains(name));
        let good = match number.filter(|_| is_number) {
            Some(number) => is_within(schema, number),
            None => kind == Kind::Null || is_such_a_text(schema, text),
        };
        if !good {
            self.other(schema, node, path);
        }
    }

    fn list(&mut self, schema: &'a Object, list: &[Node], node: &Node, path: &Path, depth: usize) {
        let bound = |key| schema.get(key).and_then(Json::as_u64);
        let length = list.len() as u64;
        if bound("minItems").is_some_and(|least| length < least) {
            self.wrong(node.place, path, "the list is empty, expected at least one entry");
        }
        if let Some(most) = bound("maxItems").filter(|most| length > *most) {
            self.wrong(node.place, path, &format!("expected at most {most} entries, not {length}"));
        }
        for (at, entry) in list.iter().enumerate() {
            if let Some(items) = schema.get("items") {
                self.node(items, entry, &path.item(at), depth + 1);
            }
        }
        if schema.get("uniqueItems") == Some(&Json::Bool(true)) {
            self.unique(list, path);
        }
    }

    fn unique(&mut self, list: &[Node], path: &Path) {
        let mut seen = std::collections::HashSet::new();
        for node in list {
            let Some((text, _)) = node.scalar() else { continue };
            if !seen.insert(text) {
                self.wrong(node.place, path, &format!("`{}` stands here twice", escaped(text)));
            }
        }
    }

    fn mapping(
        &mut self,
        schema: &'a Object,
        entries: &[Entry],
        node: &Node,
        path: &Path,
        depth: usize,
    ) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object);
        let free: Vec<&str> = properties
            .unwrap_or(&none)
            .keys()
            .map(String::as_str)
            .filter(|known| !entries.iter().any(|entry| entry.key == *known))
            .collect();
        let mut meant = Vec::new();
        for Entry { key, place, node } in entries {
            if let Some(names) = schema.get("propertyNames").and_then(|s| self.resolve(s)) {
                let name = Value::Scalar { text: key.clone(), is_plain: false };
                self.scalar(names, &Node { place: *place, value: name }, path);
            }
            if let Some(property) = properties.and_then(|properties| properties.get(key)) {
                self.node(property, node, &path.key(key), depth + 1);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) => {
                    let near = nearest(key, free.iter().copied());
                    meant.extend(near);
                    let known = properties.unwrap_or(&none).keys();
                    let words = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => {
                            let known: Vec<&str> = known.map(String::as_str).collect();
                            format!("expected one of {}", list(&known))
                        }
                    };
                    let words = format!("unknown field `{}`, {words}", escaped(key));
                    self.wrong(*place, path, &words);
                }
                Some(other) => self.node(other, node, &path.key(key), depth + 1),
                None => {}
            }
        }
        let there = |name: &str| entries.iter().any(|entry| entry.key == name);
        for name in strings(schema.get("required")) {
            if !there(name) && !meant.contains(&name) {
                self.wrong(node.place, path, &format!("missing field `{name}`"));
            }
        }
        let depends = schema.get("dependentRequired").and_then(Json::as_object);
        for (name, needed) in depends.into_iter().flatten() {
            let entry = entries.iter().find(|entry| entry.key == *name);
            let missing = strings(Some(needed)).find(|needed| !there(needed));
            if let (Some(entry), Some(missing)) = (entry, missing) {
                self.wrong(entry.place, path, &format!("`{name}` belongs to `{missing}`"));
            }
        }
    }
}

fn strings(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn types(schema: &Object) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        list => strings(list).collect(),
    }
}

/// The words that a value may be: `enum` and `const`.
fn words(schema: &Object) -> Vec<&str> {
    let constant = schema.get("const").and_then(Json::as_str);
    strings(schema.get("enum")).chain(constant).collect()
}

/// Whether the value is of the schema's type.
fn admits(schema: &Object, node: &Node) -> bool {
    let types = types(schema);
    let has = |name| types.contains(&name);
    if types.is_empty() {
        return true;
    }
    match (&node.value, node.scalar().map(|(_, kind)| kind)) {
        (Value::List(_), _) => has("array"),
        (Value::Mapping(_), _) => has("object"),
        (_, Some(Kind::Null)) => has("null"),
        (_, Some(Kind::Boolean)) => has("boolean") || has("string"),
        (_, Some(Kind::Integer(_))) => has("integer") || has("number") || has("string"),
        (_, Some(Kind::Number(_))) => has("number") || has("string"),
        _ => has("string"),
    }
}

/// The bounds of a number; those that its type has by itself included.
fn bounds(schema: &Object) -> (Option<f64>, Option<f64>) {
    let own = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => Some(f64::from(u8::MAX)),
        Some("uint16") => Some(f64::from(u16::MAX)),
        Some("uint32") => Some(f64::from(u32::MAX)),
        _ => None,
    };
    let number = |key| schema.get(key).and_then(Json::as_f64);
    (number("minimum"), number("maximum").or(own))
}

fn is_within(schema: &Object, number: f64) -> bool {
    let (low, high) = bounds(schema);
    let above = schema.get("exclusiveMinimum").and_then(Json::as_f64);
    low.is_none_or(|low| number >= low)
        && high.is_none_or(|high| number <= high)
        && above.is_none_or(|above| number > above)
}

fn is_such_a_text(schema: &Object, text: &str) -> bool {
    let length = |key| schema.get(key).and_then(Json::as_u64);
    let chars = text.chars().count() as u64;
    let pattern = schema.get("pattern").and_then(Json::as_str);
    // A pattern that is none lets nothing pass.
    let is_match = |pattern| Regex::new(pattern).map(|pattern| pattern.is_match(text));
    let other = schema.get("not").and_then(|not| not["pattern"].as_str());
    length("minLength").is_none_or(|least| chars >= least)
        && length("maxLength").is_none_or(|most| chars <= most)
        && pattern.is_none_or(|pattern| is_match(pattern).unwrap_or(false))
        && other.is_none_or(|pattern| !is_match(pattern).unwrap_or(true))
        && (schema.get("format").and_then(Json::as_str) != Some("range") || is_range(schema, text))
}

fn is_range(schema: &Object, text: &str) -> bool {
    let ends = text.split_once('-').and_then(|(low, high)| {
        Some((low.parse::<u64>().ok()? as f64, high.parse::<u64>().ok()? as f64))
    });
    ends.is_some_and(|(low, high)| low <= high && is_within(schema, low) && is_within(schema, high))
}

/// What a value has to be, in words.
fn expected(schema: &Object) -> String {
    if let Some(own) = schema.get("errorMessage").and_then(Json::as_str) {
        return own.to_owned();
    }
    let known = words(schema);
    if !known.is_empty() {
        return format!("one of {}", list(&known));
    }
    let each = |name: &&str| match (*name, bounds(schema)) {
        ("integer", (Some(low), Some(high))) => format!("a whole number from {low} to {high}"),
        ("integer", (Some(low), None)) => format!("a whole number from {low} on"),
        ("integer", _) => "a whole number".to_owned(),
        ("number", _) => "a number".to_owned(),
        ("string", _) => "a text".to_owned(),
        ("boolean", _) => "`true` or `false`".to_owned(),
        ("array", _) => "a list".to_owned(),
        ("object", _) => "a mapping".to_owned(),
        (other, _) => other.to_owned(),
    };
    let types = types(schema);
    if types == ["null"] {
        return "nothing".to_owned();
    }
    let all: Vec<String> = types.iter().filter(|name| **name != "null").map(each).collect();
    all.join(" or ")
}

/// What a value is, in words.
fn found(node: &Node) -> String {
    match (&node.value, node.scalar()) {
        (Value::List(_), _) => "a list".to_owned(),
        (Value::Mapping(_), _) => "a mapping".to_owned(),
        (_, Some((_, Kind::Null))) => "nothing".to_owned(),
        (_, Some((text, Kind::Text))) => format!("\"{}\"", escaped(text)),
        (_, Some((text, _))) => format!("`{}`", escaped(text)),
        _ => "something else".to_owned(),
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
