// SPDX-License-Identifier: MIT OR Apache-2.0
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::scalar::Kind;

/// A thing.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    /// What it is called.
    name: String,
    #[serde(default)]
    size: Option<u32>,
    #[serde(default)]
    #[schemars(schema_with = "percent")]
    share: u64,
    #[serde(default)]
    #[schemars(schema_with = "span")]
    span: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    colour: Option<Colour>,
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true, "minItems" = 1))]
    words: Vec<String>,
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(default)]
    by_arch: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    on: bool,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["text"]}, {"required": ["source"]}]))]
struct Part {
    path: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    source: Option<String>,
}

/// Each with words of its own.
#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// One.
    #[default]
    Window,
    /// Other.
    Help,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
}

fn percent(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::number(0, 100)
}

fn span(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::range(1, 9)
}

fn says(yaml: &str) -> String {
    read::<Thing>("t.yaml", yaml).unwrap_err().to_string()
}

#[test]
fn a_good_document_is_read() {
    let yaml = "name: 5\nsize: 0x10\nspan: 2-3\nmode: help\ncolour: red\nwords: &w [a, b]\n\
                parts: [{path: /, text: x}]\nby_arch: {x86_64: *w}\non: true\n";
    let thing: Thing = read("t.yaml", yaml).unwrap();
    assert_eq!((thing.name.as_str(), thing.size), ("5", Some(16)));
    assert_eq!((thing.mode, thing.colour), (Mode::Help, Some(Colour::Red)));
    assert_eq!(thing.by_arch["x86_64"], ["a", "b"]);
    assert!(thing.on && thing.parts.len() == 1);
    // What may be left out may be there without a value.
    let thing: Thing = read("t.yaml", "name: a\nsize:\ncolour: ~\n").unwrap();
    assert_eq!((thing.size, thing.colour), (None, None));
}

#[test]
fn every_mistake_comes_with_its_place_and_what_was_meant() {
    let yaml = "\
nam: x
size: -1
share: 101
span: 3-2
mode: hlep
colour: [red]
size: 6
words: [a, b, a]
parts:
  - {path: [], text: x}
  - path: x
    txet: y
  - {text: a, source: b}
by_arch:
  x86_64: 5
on: yes
";
    assert_eq!(
        says(yaml),
        "\
t.yaml:1:1: unknown field `nam`, did you mean `name`?
t.yaml:2:7: size: expected a whole number from 0 to 4294967295, not `-1`
t.yaml:3:8: share: expected a whole number from 0 to 100, not `101`
t.yaml:4:7: span: expected LOW-HIGH or one number, from 1 to 9, not \"3-2\"
t.yaml:5:7: mode: unknown word `hlep`, did you mean `help`? Known are `window`, `help`
t.yaml:6:9: colour: expected one of `red`, `green`, not a list
t.yaml:7:1: `size` stands here twice, first in line 2
t.yaml:8:15: words: `a` stands here twice
t.yaml:10:12: parts[0].path: expected a text, not a list
t.yaml:12:5: parts[1]: unknown field `txet`, did you mean `text`?
t.yaml:13:5: parts[2]: expected only one of `text`, `source`
t.yaml:13:5: parts[2]: missing field `path`
t.yaml:15:11: by_arch.x86_64: expected a list, not `5`
t.yaml:16:5: on: expected `true` or `false`, not \"yes\""
    );
}

#[test]
fn single_mistakes() {
    for (yaml, expected) in [
        ("", "t.yaml:1:1: expected a mapping, not nothing"),
        ("- name", "t.yaml:1:1: expected a mapping, not a list"),
        ("name:\n", "t.yaml:1:1: name: expected a text, not nothing"),
        ("name: a\nname: b\n", "t.yaml:2:1: `name` stands here twice, first in line 1"),
        (
            "name: a\nwords: []\n",
            "t.yaml:2:8: words: the list is empty, expected at least one entry",
        ),
        (
            "name: a\ncolour: blue\n",
            "t.yaml:2:9: colour: unknown word `blue`, expected one of `red`, `green`",
        ),
        ("name: !x a\n", "t.yaml:1:7: tags such as `!x` mean nothing here: leave it out"),
        ("name: a\n---\nname: b\n", "t.yaml:2:1: a second document begins here, and one is read"),
        ("[a]: b\n", "t.yaml:1:1: a key is a word, not a list or a mapping"),
        ("size: 5\n", "t.yaml:1:1: missing field `name`"),
        ("name: a\nwords: &w [*w]\n", "t.yaml:2:12: an alias stands within what it repeats"),
    ] {
        assert_eq!(says(yaml), expected, "{yaml}");
    }
    let unknown = says("name: a\nzzz: 1\n");
    assert!(
        unknown.starts_with("t.yaml:2:1: unknown field `zzz`, expected one of `by_arch`"),
        "{unknown}"
    );
    let broken = says("name: a\nwords: [a\n");
    assert!(broken.starts_with("t.yaml:") && broken.lines().count() == 1, "{broken}");
    let wide = says("name: a\nwords: [ä, {x: 1}]\n");
    assert_eq!(wide, "t.yaml:2:12: words[1]: expected a text, not a mapping");
}

#[test]
fn what_a_document_says_cannot_move_the_cursor() {
    let said = says("name: a\n\"\\e[2J\\n\": 1\ncolour: \"\\e[2J\"\n");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    assert!(said.contains("`\\u{1b}[2J\\n`"), "{said}");
    let long = says(&format!("name: a\n{}: 1\n", "x".repeat(5000)));
    assert!(long.len() < 400, "{long}");
}

#[test]
fn twenty_problems_are_shown_and_the_rest_counted() {
    let yaml: String = (0..25).map(|n| format!("zzzzzz{n}: 1\n")).collect();
    let said = says(&format!("name: a\n{yaml}"));
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("\nt.yaml: and 5 more"), "{said}");
}

#[test]
fn a_document_is_bounded() {
    let parse = |text: &str| Document::parse("t.yaml", text).unwrap_err().to_string();
    let bomb: String =
        (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let one = format!("*a{}", n - 1);
            text + &format!("a{n}: &a{n} [{}]\n", vec![one; 9].join(", "))
        });
    assert!(parse(&bomb).contains("more than 50000 values, aliases included"), "{}", parse(&bomb));
    for depth in [40, 100_000] {
        let deep = parse(&"[".repeat(depth));
        assert!(deep.contains("more than 32 lists") || deep.contains("recursion limit"), "{deep}");
    }
    let long = "x".repeat(MOST_BYTES + 1);
    assert!(parse(&long).contains("bytes are more than"), "{}", parse(&long));
    let wide = format!("[{}]", "a,".repeat(60_000));
    assert!(parse(&wide).contains("more than 50000 values"), "{}", parse(&wide));
}

#[test]
fn a_path_leads_to_the_key_and_to_the_value() {
    let document = Document::parse("t.yaml", "a: 1\nb:\n  - c: [x, y]\n    d:\n").unwrap();
    let at = |path: &Path| {
        let problem = |p: Problem| (p.place.line, p.place.column);
        (problem(document.problem_of_key(path, "")), problem(document.problem(path, "")))
    };
    let c = Path::of("b").item(0).key("c");
    assert_eq!(at(&Path::root()), ((1, 1), (1, 1)));
    assert_eq!(at(&Path::of("b")).0, (2, 1));
    assert_eq!(at(&c), ((3, 5), (3, 8)));
    assert_eq!(at(&c.item(1)), ((3, 12), (3, 12)));
    assert_eq!(at(&Path::of("b").item(0).key("d")), ((4, 5), (4, 5)));
    // As far as there is something.
    assert_eq!(at(&c.item(7)), at(&c));
    assert_eq!(document.refuse(Vec::new()), Ok(()));
    let both = vec![document.problem(&c, "second"), document.problem(&Path::of("a"), "first")];
    let said = document.refuse(both).unwrap_err().to_string();
    assert_eq!(said, "t.yaml:1:4: first\nt.yaml:3:8: second");
}

#[test]
fn what_only_serde_knows_has_its_place_too() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Odd {
        #[serde(deserialize_with = "odd")]
        #[allow(dead_code)]
        number: u8,
    }
    fn odd<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        match u8::deserialize(from)? {
            number if number % 2 == 1 => Ok(number),
            _ => Err(serde::de::Error::custom("expected an odd number")),
        }
    }
    let said = read::<Odd>("t.yaml", "number: 4\n").unwrap_err().to_string();
    assert!(said.starts_with("t.yaml:1:") && said.ends_with("expected an odd number"), "{said}");
}

#[test]
fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
    for (word, expected) in [
        ("strech", Some("stretch")),
        ("natrual", Some("natural")),
        ("NATURAL", Some("natural")),
        ("luck", None),
        ("", None),
    ] {
        assert_eq!(nearest(word, ["natural", "stretch"]), expected, "{word}");
    }
    assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
}

#[test]
fn a_schema_that_is_not_the_checked_in_one_says_what_to_run() {
    let dir = std::env::temp_dir().join(format!("document-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("thing.schema.json");
    std::fs::write(&file, schema::text::<Thing>()).unwrap();
    if std::env::var_os("UPDATE_SCHEMAS").is_none() {
        let said = schema::checked_in(&file, "other").unwrap_err();
        assert!(said.contains("UPDATE_SCHEMAS=1 cargo test schema"), "{said}");
    }
    assert_eq!(schema::checked_in(&file, &schema::text::<Thing>()), Ok(()));
    std::fs::remove_dir_all(dir).unwrap();
}

/// Words of which documents are made, and what makes trouble.
fn yaml() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "name", "size", "parts", "words", "path", ": ", "- ", ":\n", "\n", "\n  ", "\n    ", "[",
        "]", "{", "}", ", ", "&a ", "*a", "!t ", "|\n", ">-\n", "'", "\"", "\\", "#", "---\n",
        "...", "%", "5", "-1", "true", "~", "ä", "\u{1b}", "\t", "?", "<<",
    ];
    prop::collection::vec(prop::sample::select(WORDS), 0..40).prop_map(|words| words.concat())
}

proptest! {
    /// Whatever stands in a file: a value, or problems with a place in it.
    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in prop_oneof![yaml(), ".{0,200}"]) {
        if let Err(problems) = read::<Thing>("t.yaml", &text) {
            prop_assert!(!problems.list.is_empty());
            for Problem { place, message } in problems.list {
                let lines = text.chars().filter(|c| "\n\r\u{85}\u{2028}\u{2029}".contains(*c)).count() + 2;
                prop_assert!((1..=lines).contains(&place.line) && place.column >= 1, "{place} in {text:?}");
                prop_assert!(!message.is_empty() && !message.contains(|c: char| c.is_control()));
            }
        }
    }

    /// A plain scalar is to us what it is to serde's reader.
    #[test]
    fn plain_scalars_are_what_serde_takes_them_for(
        text in prop_oneof!["[-+]?0?[xob]?[0-9a-f_]{0,6}", "[-+]?[0-9]{0,4}[.e]?[-+]?[0-9]{0,3}", "[a-zA-Z~]{0,6}",
            "(null|Null|true|TRUE|False|nan|inf|infinity|\\.inf|-0|yes)"]
    ) {
        let theirs: Result<serde_yaml::Value, _> = serde_yaml::from_str(&text);
        let Ok(theirs) = theirs else { return Ok(()) };
        let ours = crate::scalar::plain(&text);
        let same = match (&theirs, ours) {
            (serde_yaml::Value::Null, Kind::Null) | (serde_yaml::Value::Bool(_), Kind::Boolean) => true,
            (serde_yaml::Value::Number(theirs), Kind::Integer(ours)) => {
                theirs.as_i64().map(i128::from).or(theirs.as_u64().map(i128::from)) == Some(ours)
            }
            (serde_yaml::Value::Number(theirs), Kind::Number(ours)) => theirs.as_f64() == Some(ours),
            // Nothing here has room for them.
            (serde_yaml::Value::Number(theirs), Kind::Text) => !theirs.is_finite(),
            (serde_yaml::Value::String(_), Kind::Text) => true,
            // A sign or a list's dash alone.
            (serde_yaml::Value::Sequence(_), _) => true,
            _ => false,
        };
        prop_assert!(same, "{text:?}: {theirs:?}, {ours:?}");
    }
}
