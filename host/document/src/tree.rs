// SPDX-License-Identifier: MIT OR Apache-2.0
//! A document as a tree that keeps places.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::path::Step;
use crate::problem::{Place, Problem, escaped};
use crate::scalar::{self, Kind};

/// Bytes of a document. None that people write is nearly as long.
pub const MOST_BYTES: usize = 1 << 20;
/// Values of a document, copies by aliases included.
pub const MOST_NODES: usize = 50_000;
/// Lists and mappings within each other.
pub const DEEPEST: usize = 32;

/// A value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar { text: String, is_plain: bool },
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    /// Where the child's key stands, and the child.
    pub(crate) fn step(&self, step: &Step) -> Option<(Place, &Self)> {
        match (&self.value, step) {
            (Value::List(list), Step::Item(at)) => list.get(*at).map(|node| (node.place, node)),
            (Value::Mapping(entries), Step::Key(key)) => {
                let entry = entries.iter().find(|entry| entry.key == *key)?;
                Some((entry.place, &entry.node))
            }
            _ => None,
        }
    }

    /// What it is if it is a scalar.
    pub(crate) fn scalar(&self) -> Option<(&str, Kind)> {
        match &self.value {
            Value::Scalar { text, is_plain: true } => Some((text, scalar::plain(text))),
            Value::Scalar { text, is_plain: false } => Some((text, Kind::Text)),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// How many entries a list has.
    pub(crate) fn length(&self) -> usize {
        match &self.value {
            Value::List(list) => list.len(),
            _ => 0,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(list) => list.iter().map(Self::size).sum(),
            Value::Mapping(entries) => entries.iter().map(|entry| entry.node.size()).sum(),
        }
    }
}

/// Reads a document. The problems that it comes with are keys that stand twice in their mapping, of which the first
/// is in the tree.
///
/// # Errors
/// Why there is no tree.
pub(crate) fn parse(text: &str) -> Result<(Node, Vec<Problem>), Problem> {
    let start = Place { line: 1, column: 1 };
    if text.len() > MOST_BYTES {
        let words = format!("{} bytes are more than the {MOST_BYTES} that are read", text.len());
        return Err(Problem::new(start, words));
    }
    let parser = Parser::new_from_str(text);
    let mut builder = Builder { parser, anchors: HashMap::new(), nodes: 0, twice: Vec::new() };
    let root = builder.document(start)?;
    Ok((root, builder.twice))
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Values that an alias can repeat.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Keys that stand twice in their mapping.
    twice: Vec<Problem>,
}

type Next<'a> = (Event<'a>, Span);

fn place(at: Marker) -> Place {
    Place { line: at.line().max(1), column: at.col() + 1 }
}

fn no_yaml(error: &ScanError) -> Problem {
    Problem::new(place(*error.marker()), error.info().replace('\n', " "))
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Next<'a>, Problem> {
        match self.parser.next_event() {
            Some(next) => next.map_err(|error| no_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self, start: Place) -> Result<Node, Problem> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => {
                    let value = Value::Scalar { text: String::new(), is_plain: true };
                    return Ok(Node { place: start, value });
                }
                next => break self.node(next, 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), span) => {
                    let words = "a second document begins here, and one is read";
                    return Err(Problem::new(place(span.start), words));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, span): Next<'a>, depth: usize) -> Result<Node, Problem> {
        let at = place(span.start);
        let stop = |words: String| Err(Problem::new(at, words));
        self.nodes += 1;
        let (Event::Scalar(_, _, anchor, ref tag)
        | Event::SequenceStart(anchor, ref tag)
        | Event::MappingStart(anchor, ref tag)) = event
        else {
            let Event::Alias(anchor) = event else {
                return stop("the document ends in the middle of a value".to_owned());
            };
            let Some(node) = self.anchors.get(&anchor) else {
                return stop("an alias stands within what it repeats".to_owned());
            };
            self.nodes += node.size();
            let node = Node { place: at, value: node.value.clone() };
            return if self.nodes > MOST_NODES { self.too_many(at) } else { Ok(node) };
        };
        if let Some(tag) = tag {
            let words = format!("`{}{}`", escaped(&tag.handle), escaped(&tag.suffix));
            return stop(format!("tags such as {words} mean nothing here: leave it out"));
        }
        if self.nodes > MOST_NODES {
            return self.too_many(at);
        }
        if depth > DEEPEST {
            return stop(format!("more than {DEEPEST} lists and mappings stand within each other"));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            _ => self.mapping(depth)?,
        };
        let node = Node { place: at, value };
        if anchor != 0 {
            self.nodes += node.size();
            if self.nodes > MOST_NODES {
                return self.too_many(at);
            }
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn too_many<T>(&self, at: Place) -> Result<T, Problem> {
        let words = format!("these are more than {MOST_NODES} values, aliases included");
        Err(Problem::new(at, words))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(list)),
                next => list.push(self.node(next, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        loop {
            let next = self.next()?;
            let key = match next {
                (Event::MappingEnd, _) => return Ok(Value::Mapping(entries)),
                next => self.node(next, depth + 1)?,
            };
            let place = key.place;
            let Value::Scalar { text: key, .. } = key.value else {
                return Err(Problem::new(place, "a key is a word, not a list or a mapping"));
            };
            let next = self.next()?;
            let mut node = self.node(next, depth + 1)?;
            if matches!(node.scalar(), Some(("", Kind::Null))) {
                // What is not there has no place of its own.
                node.place = place;
            }
            match seen.get(&key) {
                Some(first) => {
                    let words = format!("`{}` stands here twice", escaped(&key));
                    let words = format!("{words}, first in line {}", first.line);
                    self.twice.push(Problem::new(place, words));
                }
                None => {
                    seen.insert(key.clone(), place);
                    entries.push(Entry { key, place, node });
                }
            }
        }
    }
}
