// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expected-bug rules: which report is the bug that a run is looking for.
//!
//! A rule is a YAML file. It asks for a type of finding, a function in the access stack and,
//! where it says so, one in the "Freed by" stack. KASAN forgets who freed an object once its
//! quarantine had to let the object go; where it did, a rule may take the "Allocated by" stack
//! for the name of the object. Whatever a rule does not match is another bug and never counted as
//! the expected one, [related](Rule::is_related) reports not excepted.

use std::borrow::Cow;
use std::fmt;

use document::{Problems, schema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::finding::{Finding, StackRole};

/// Largest rule file that is read, in bytes.
pub const MAX_RULE_BYTES: usize = 64 * 1024;

/// The rules that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("zswap-writeback-swapoff", include_str!("../rules/zswap-writeback-swapoff.yaml")),
    ("zswap-cpu-hotplug", include_str!("../rules/zswap-cpu-hotplug.yaml")),
    ("free-swap-swapoff", include_str!("../rules/free-swap-swapoff.yaml")),
    ("shmem-swapin-swapoff", include_str!("../rules/shmem-swapin-swapoff.yaml")),
];

/// An expected bug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Short name, by which profiles name the rule.
    pub name: Word,
    /// The bug in one line.
    pub title: String,
    /// The bug in a paragraph.
    #[serde(default)]
    pub description: String,
    /// Patterns for the finding's type; one must match.
    pub types: Patterns,
    /// Patterns for functions of the access stack; one must match one frame.
    pub access: Patterns,
    /// Patterns for functions of the "Freed by" stack; one must match one frame. Left out if
    /// the bug is not about freed memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_by: Option<Patterns>,
    /// Patterns for functions of the "Allocated by" stack that tell the freed object as surely.
    /// Looked at only if the report has no "Freed by" stack at all; one must then match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated_by: Option<Patterns>,
    /// Patterns for types of what the same race may do to the same code instead: such a report is not the
    /// expected bug, but no other bug, either ([`Rule::is_related`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<Patterns>,
    /// What a page that came back with wrong contents is to this bug. Left out: a bug of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption: Option<Corruption>,
}

/// What wrong contents are to an expected bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Corruption {
    /// What the same race may do instead, as what `related` lists.
    Related,
}

/// Whether a finding is the expected bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not, and why.
    No(String),
}

/// A rule file that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Wrong YAML, unknown keys, missing keys or wrong values.
    #[error(transparent)]
    Document(#[from] Problems),
    /// The file is too large.
    #[error("{file}: a rule is at most {MAX_RULE_BYTES} bytes, this file has {bytes}: is it one?")]
    TooLarge {
        /// The file's name as given.
        file: String,
        /// Its size.
        bytes: usize,
    },
}

impl Rule {
    /// Reads a rule. `file` is used for error messages only.
    ///
    /// # Errors
    /// [`RuleError`] with file, line and column of every problem.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_RULE_BYTES {
            return Err(RuleError::TooLarge { file: file.to_owned(), bytes: text.len() });
        }
        Ok(document::read(file, text)?)
    }

    /// The JSON Schema of a rule, as the text of a file.
    pub fn schema() -> String {
        document::schema::text::<Self>()
    }

    /// The rule of this name that comes with the program.
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        // A test reads every one of them.
        Self::from_yaml(name, text).ok()
    }

    /// Names of the rules that come with the program.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Whether `finding` is this bug.
    pub fn matches(&self, finding: &Finding) -> Match {
        if !self.types.matches(&finding.kind) {
            return Match::No(format!("its type is {}, not {}", finding.kind, self.types.list()));
        }
        if !self.holds(finding, StackRole::Access, &self.access) {
            return Match::No(no_frame(finding, StackRole::Access, &self.access));
        }
        match &self.freed_by {
            Some(patterns)
                if !self.holds(finding, StackRole::FreedBy, patterns)
                    && !self.tells_the_object_by_its_allocation(finding) =>
            {
                Match::No(no_frame(finding, StackRole::FreedBy, patterns))
            }
            _ => Match::Yes,
        }
    }

    /// Whether nobody knows who freed the object, but who allocated it says which one it is.
    fn tells_the_object_by_its_allocation(&self, finding: &Finding) -> bool {
        !has_stack(finding, StackRole::FreedBy)
            && self
                .allocated_by
                .as_ref()
                .is_some_and(|patterns| self.holds(finding, StackRole::AllocatedBy, patterns))
    }

    /// Whether `finding` has one of the rule's functions in its access stack, whatever else it
    /// is. After the expected bug has struck in the same boot, such a report is taken for its
    /// consequence: the same code stumbling over the same freed memory.
    pub fn is_about_the_same_code(&self, finding: &Finding) -> bool {
        self.holds(finding, StackRole::Access, &self.access)
    }

    /// Whether `finding` is what the same race may do to the same code instead. It is not the
    /// expected bug, but where that should show it is no reason to stop looking for it either:
    /// the guest, which may be past showing anything, is booted again.
    pub fn is_related(&self, finding: &Finding) -> bool {
        self.related.as_ref().is_some_and(|types| types.matches(&finding.kind))
            && self.is_about_the_same_code(finding)
            && self.matches(finding) != Match::Yes
    }

    /// Whether `finding` is of the rule's type but lacks a stack that the rule judges by: it was
    /// cut, by the end of its machine for instance.
    pub fn lacks_evidence(&self, finding: &Finding) -> bool {
        let complete = has_stack(finding, StackRole::Access)
            && (self.freed_by.is_none() || has_stack(finding, StackRole::FreedBy));
        !complete && (self.types.matches(&finding.kind) || is_cut_in_its_head(finding))
    }

    /// Whether the rule looks for `function` in stacks of this role: renderings point it out.
    pub fn names(&self, role: StackRole, function: &str) -> bool {
        match role {
            StackRole::Access => self.access.matches(function),
            StackRole::FreedBy => self.freed_by.as_ref().is_some_and(|p| p.matches(function)),
            StackRole::AllocatedBy => {
                self.allocated_by.as_ref().is_some_and(|p| p.matches(function))
            }
            StackRole::Other => false,
        }
    }

    fn holds(&self, finding: &Finding, role: StackRole, patterns: &Patterns) -> bool {
        finding
            .stacks
            .iter()
            .filter(|stack| stack.role == role)
            .flat_map(|stack| &stack.frames)
            .any(|frame| patterns.matches(&frame.function))
    }
}

/// Whether nothing but the beginning of a sanitizer's first line is there: `BUG: KASAN: use-a`.
/// Its type then cannot be known.
fn is_cut_in_its_head(finding: &Finding) -> bool {
    const HEAD: &str = "BUG: KASAN: ";
    let head = finding.head.trim_end();
    finding.stacks.is_empty()
        && finding.kind.ends_with("UNKNOWN")
        && (HEAD.starts_with(head) || head.starts_with(HEAD))
}

fn has_stack(finding: &Finding, role: StackRole) -> bool {
    finding.stacks.iter().any(|stack| stack.role == role && !stack.frames.is_empty())
}

fn no_frame(finding: &Finding, role: StackRole, patterns: &Patterns) -> String {
    let stack = if role == StackRole::FreedBy { "\"Freed by\" stack" } else { "access stack" };
    if has_stack(finding, role) {
        format!("its {stack} holds none of {}", patterns.list())
    } else {
        match &finding.corrupted {
            Some(why) => format!("it has no {stack} (the report is damaged: {why})"),
            None => format!("it has no {stack}"),
        }
    }
}

/// A name fit for a file name: letters, digits, `-`, `_` and `.`, at most 64, not first a dot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word(String);

impl Word {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a [`Word`] is.
const WORD: &str = "a name of 1 to 64 letters, digits, `-`, `_` or `.`";

document::inline_schema!(Word, schema::string("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$", WORD));

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(Checked {
                expecting: WORD,
                good: |word| {
                    (1..=64).contains(&word.len())
                        && !word.starts_with('.')
                        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                },
            })
            .map(Self)
    }
}

/// Alternatives, each a whole word in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Whether one of the alternatives matches the whole of `word`. The suffix that a compiler
    /// puts behind a dot (`.isra.0`) is not looked at.
    pub fn matches(&self, word: &str) -> bool {
        let word = word.split_once('.').map_or(word, |(function, _)| function);
        self.0.iter().any(|pattern| glob(pattern.as_bytes(), word.as_bytes()))
    }

    fn list(&self) -> String {
        self.0.join(", ")
    }
}

/// What one of [`Patterns`] is.
const PATTERN: &str = "a function or type name, `*` standing for anything";

impl JsonSchema for Patterns {
    fn schema_name() -> Cow<'static, str> {
        "Patterns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut pattern =
            schema::string(r"^[A-Za-z0-9_*$-]*[A-Za-z0-9_$-][A-Za-z0-9_*$-]*$", PATTERN);
        pattern.insert("maxLength".to_owned(), 128.into());
        json_schema!({"type": "array", "minItems": 1, "items": pattern})
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PatternList).map(Self)
    }
}

/// Reads a list of patterns. Checks happen while reading, where YAML still knows the place.
struct PatternList;

impl<'de> Visitor<'de> for PatternList {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of one pattern or more")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut patterns = Vec::new();
        while let Some(pattern) = list.next_element_seed(Checked {
            expecting: PATTERN,
            good: |pattern| {
                pattern.len() <= 128
                    && pattern.bytes().any(|b| b != b'*')
                    && pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-*$".contains(&b))
            },
        })? {
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err(de::Error::invalid_length(0, &self));
        }
        Ok(patterns)
    }
}

/// Reads a string that must pass a check.
struct Checked {
    expecting: &'static str,
    good: fn(&str) -> bool,
}

impl Visitor<'_> for Checked {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if (self.good)(text) {
            Ok(text.to_owned())
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

/// Greedy matching with a single point of return: linear in practice, quadratic at worst.
fn glob(pattern: &[u8], word: &[u8]) -> bool {
    let (mut p, mut w) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while w < word.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, w));
            p += 1;
        } else if pattern.get(p) == Some(&word[w]) {
            p += 1;
            w += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            p = after_star;
            w = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests;
