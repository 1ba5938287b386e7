// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::*;

/// One entry as a reader of the format sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: String,
    fields: [u32; 13],
    data: Vec<u8>,
}

const INODE: usize = 0;
const MODE: usize = 1;
const SIZE: usize = 6;
const MAJOR: usize = 9;
const MINOR: usize = 10;
const NAME_SIZE: usize = 11;

/// Reads an archive by the kernel's grammar, and nothing that the writer knows.
fn read(mut archive: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let whole = archive.len();
    loop {
        let position = whole - archive.len();
        assert_eq!(position % 4, 0, "a header begins at {position}");
        assert_eq!(&archive[..6], b"070701");
        let field = |index: usize| {
            let digits = std::str::from_utf8(&archive[6 + 8 * index..14 + 8 * index]).unwrap();
            u32::from_str_radix(digits, 16).unwrap()
        };
        let fields: [u32; 13] = std::array::from_fn(field);
        let name_end = 110 + fields[NAME_SIZE] as usize;
        assert_eq!(archive[name_end - 1], 0, "names end with NUL");
        let name = String::from_utf8(archive[110..name_end - 1].to_vec()).unwrap();
        let data_start = name_end.next_multiple_of(4);
        let data_end = data_start + fields[SIZE] as usize;
        let data = archive[data_start..data_end].to_vec();
        archive = &archive[data_end.next_multiple_of(4)..];
        if name == TRAILER {
            assert_eq!((fields[SIZE], archive), (0, &[][..]), "nothing follows the trailer");
            return seen;
        }
        seen.push(Seen { name, fields, data });
    }
}

fn bytes(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(tree, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_archive_says_what_the_tree_holds() {
    let mut tree = Tree::default();
    tree.add("/init", Node::File { data: b"#!ok".to_vec(), executable: true }).unwrap();
    tree.add("/dev/console", Node::CharDevice { major: 5, minor: 1 }).unwrap();
    tree.add("/etc/motd", Node::File { data: b"hello".to_vec(), executable: false }).unwrap();
    tree.add("/sbin", Node::Link { target: "/bin".into() }).unwrap();
    let seen = read(&bytes(&tree));
    let summary: Vec<_> = seen
        .iter()
        .map(|s| (s.name.as_str(), s.fields[MODE], s.fields[MAJOR], s.fields[MINOR], &s.data[..]))
        .collect();
    assert_eq!(
        summary,
        [
            ("dev", 0o040_755, 0, 0, &b""[..]),
            ("dev/console", 0o020_600, 5, 1, b""),
            ("etc", 0o040_755, 0, 0, b""),
            ("etc/motd", 0o100_644, 0, 0, b"hello"),
            ("init", 0o100_755, 0, 0, b"#!ok"),
            ("sbin", 0o120_777, 0, 0, b"/bin"),
        ]
    );
    for (inode, seen) in (1..).zip(&seen) {
        assert_eq!(seen.fields[INODE], inode);
        // uid, gid, mtime, device and check sum: nothing of this machine.
        assert_eq!([2, 3, 5, 7, 8, 12].map(|index| seen.fields[index]), [0; 6]);
    }
}

#[test]
fn an_empty_tree_is_a_trailer() {
    assert_eq!(read(&bytes(&Tree::default())), []);
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        Just(Node::Dir),
        (prop::collection::vec(any::<u8>(), 0..20), any::<bool>())
            .prop_map(|(data, executable)| Node::File { data, executable }),
        (any::<u32>(), any::<u32>()).prop_map(|(major, minor)| Node::CharDevice { major, minor }),
        "[a-z/.]{1,12}".prop_map(|target| Node::Link { target }),
    ]
}

proptest! {
    #[test]
    fn what_was_added_is_read_back_whatever_the_order(
        entries in prop::collection::vec(("(/[a-c.]{1,3}){1,3}", node()), 0..12)
    ) {
        let mut tree = Tree::default();
        let mut taken: Vec<_> = Vec::new();
        for (path, node) in entries {
            if tree.add(&path, node.clone()).is_ok() {
                taken.push((path, node));
            }
        }
        let archive = bytes(&tree);
        let seen = read(&archive);
        prop_assert_eq!(seen.len(), tree.iter().count());
        for (path, node) in &taken {
            let found = seen.iter().find(|seen| format!("/{}", seen.name) == *path).unwrap();
            let data: &[u8] = match node {
                Node::File { data, .. } => data,
                Node::Link { target } => target.as_bytes(),
                _ => &[],
            };
            prop_assert_eq!(&found.data[..], data);
        }

        let mut backwards = Tree::default();
        for (path, node) in taken.into_iter().rev() {
            backwards.add(&path, node).unwrap();
        }
        prop_assert!(bytes(&backwards) == archive);
    }

    #[test]
    fn no_path_leads_out_of_the_image(path in "[/.a\\x00-\\x1f!TRAILER]{0,16}") {
        let mut tree = Tree::default();
        if tree.add(&path, Node::Dir).is_ok() {
            for seen in read(&bytes(&tree)) {
                prop_assert!(!seen.name.starts_with('/'));
                prop_assert!(seen.name.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
