// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies where in a guest's root file system. All of it belongs to root, and nothing
//! has a time: what a tree holds is all that its archive depends on.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A tree of at most this many entries.
const MOST_ENTRIES: usize = 100_000;
/// PATH_MAX of Linux, without the final NUL.
const LONGEST_PATH: usize = 4095;
/// NAME_MAX of Linux.
const LONGEST_NAME: usize = 255;

/// One thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder, mode 0755.
    Dir,
    /// A regular file, mode 0644, or 0755 if it is executable.
    File {
        /// Its contents.
        data: Vec<u8>,
        /// Whether it can be run.
        executable: bool,
    },
    /// A character device, mode 0600.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points, as it stands.
        target: String,
    },
}

/// Why something cannot lie where it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The path is not one that an image may hold.
    #[error("{path:?} cannot be a path in an image: {why}")]
    BadPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two things at one place.
    #[error("{path:?} is in the image twice")]
    Twice {
        /// The place.
        path: String,
    },
    /// Something lies below what is not a folder.
    #[error("{path:?} cannot lie below {parent:?}, which is not a folder")]
    NotAFolder {
        /// What was to be added.
        path: String,
        /// What is in its way.
        parent: String,
    },
    /// A link to nowhere.
    #[error(
        "the link {path:?} cannot point at {target:?}: it must be 1 to 4095 bytes without control characters"
    )]
    BadTarget {
        /// The link.
        path: String,
        /// Where it should point.
        target: String,
    },
    /// The archive's format has 32 bits for a size.
    #[error(
        "{path:?} is too large for an initramfs: {bytes} bytes, and 4 GiB is the format's bound"
    )]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// Too many entries.
    #[error("an image holds at most {MOST_ENTRIES} entries")]
    TooMany,
}

/// What lies where. Paths are kept without the leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds `node` at an absolute path, and the folders above it. A folder may be added again.
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        let inner = checked(path)?;
        check_node(path, &node)?;
        for (slash, _) in inner.match_indices('/') {
            let parent = &inner[..slash];
            let found = self.nodes.entry(parent.to_owned()).or_insert(Node::Dir);
            if *found != Node::Dir {
                let (path, parent) = (path.to_owned(), format!("/{parent}"));
                return Err(TreeError::NotAFolder { path, parent });
            }
        }
        match self.nodes.entry(inner.to_owned()) {
            Entry::Occupied(there) if node == Node::Dir && *there.get() == Node::Dir => {}
            Entry::Occupied(_) => return Err(TreeError::Twice { path: path.to_owned() }),
            Entry::Vacant(place) => {
                place.insert(node);
            }
        }
        if self.nodes.len() > MOST_ENTRIES { Err(TreeError::TooMany) } else { Ok(()) }
    }

    /// What lies at an absolute path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.strip_prefix('/')?)
    }

    /// Like [`Tree::iter`], but the tree is used up.
    pub fn into_nodes(self) -> impl Iterator<Item = (String, Node)> {
        self.nodes.into_iter()
    }

    /// Everything in the tree by path, without the leading slash. A folder comes before
    /// what lies in it, as its path is the shorter one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }
}

/// The path without its leading slash.
fn checked(path: &str) -> Result<&str, TreeError> {
    let refuse = |why| Err(TreeError::BadPath { path: path.to_owned(), why });
    let Some(inner) = path.strip_prefix('/') else {
        return refuse("it must begin with a slash");
    };
    if path.len() > LONGEST_PATH {
        return refuse("it is longer than 4095 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse("it holds a control character");
    }
    // The end of an archive is a file of this name.
    if inner == crate::newc::TRAILER {
        return refuse("the name marks the end of an archive");
    }
    for name in inner.split('/') {
        match name {
            "" => return refuse("it has an empty part"),
            "." | ".." => return refuse("`.` and `..` lead elsewhere"),
            _ if name.len() > LONGEST_NAME => {
                return refuse("a part of it is longer than 255 bytes");
            }
            _ => {}
        }
    }
    Ok(inner)
}

fn check_node(path: &str, node: &Node) -> Result<(), TreeError> {
    match node {
        Node::Link { target }
            if target.is_empty()
                || target.len() > LONGEST_PATH
                || target.chars().any(char::is_control) =>
        {
            Err(TreeError::BadTarget { path: path.to_owned(), target: target.clone() })
        }
        Node::File { data, .. } if u32::try_from(data.len()).is_err() => {
            Err(TreeError::TooLarge { path: path.to_owned(), bytes: data.len() as u64 })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(path: &str) -> Result<(), TreeError> {
        Tree::default().add(path, Node::Dir)
    }

    #[test]
    fn hostile_names_are_refused() {
        let long_name = format!("/{}", "x".repeat(256));
        let long_path = "/x".repeat(2048);
        let hostile = [
            "",
            "init",
            "/",
            "//",
            "/a/",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/../etc",
            "/a/.",
            "/a\0b",
            "/a\nb",
            "/\u{1b}[31m",
            "/TRAILER!!!",
            &long_name,
            &long_path,
        ];
        for path in hostile {
            assert!(matches!(add(path), Err(TreeError::BadPath { .. })), "{path:?}");
        }
        let fine = ["/init", "/...", "/..a", "/a/TRAILER!!!", "/ü b", &long_name[..256]];
        for path in fine {
            assert_eq!(add(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn folders_above_are_made_and_come_first() {
        let mut tree = Tree::default();
        tree.add("/a/b/c", Node::CharDevice { major: 5, minor: 1 }).unwrap();
        tree.add("/a-b", Node::Dir).unwrap();
        tree.add("/a", Node::Dir).unwrap();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "a-b", "a/b", "a/b/c"]);
    }

    #[test]
    fn two_things_cannot_lie_at_one_place_nor_below_a_file() {
        let file = || Node::File { data: vec![1], executable: false };
        let mut tree = Tree::default();
        tree.add("/a", file()).unwrap();
        assert_eq!(tree.add("/a", file()), Err(TreeError::Twice { path: "/a".into() }));
        assert_eq!(tree.add("/a", Node::Dir), Err(TreeError::Twice { path: "/a".into() }));
        let below = TreeError::NotAFolder { path: "/a/b".into(), parent: "/a".into() };
        assert_eq!(tree.add("/a/b", file()), Err(below));
        let link = Node::Link { target: "/".into() };
        tree.add("/link", link).unwrap();
        assert!(matches!(tree.add("/link/x", file()), Err(TreeError::NotAFolder { .. })));
    }

    #[test]
    fn a_link_points_somewhere() {
        let mut tree = Tree::default();
        let target = String::new();
        assert!(matches!(tree.add("/l", Node::Link { target }), Err(TreeError::BadTarget { .. })));
    }
}
