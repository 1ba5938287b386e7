// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

/// One thing in a package.
enum Put<'a> {
    Dir,
    File(&'a [u8], u32),
    Other(EntryType, &'a str),
}
use Put::{Dir, File, Other};

/// A tar archive as `dpkg-deb --fsys-tarfile` writes it, of whatever paths and kinds.
fn tar(entries: &[(&str, Put<'_>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, put) in entries {
        let (kind, data, mode, target) = match *put {
            Dir => (EntryType::Directory, &b""[..], 0o755, ""),
            File(data, mode) => (EntryType::Regular, data, mode, ""),
            Other(kind, target) => (kind, &b""[..], 0o777, target),
        };
        let mut header = tar::Header::new_gnu();
        // Written past the crate, which would refuse what a hostile package may hold.
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }
    tar.into_inner().unwrap()
}

fn read(entries: &[(&str, Put<'_>)]) -> Result<Tree, PackageError> {
    read_tar("p", &tar(entries)[..], &mut 1000)
}

fn file(data: &str, executable: bool) -> Node {
    Node::File { data: data.into(), executable }
}

fn link(target: &str) -> Node {
    Node::Link { target: target.to_owned() }
}

#[test]
fn files_links_and_hard_links_come_to_lie_as_if_bin_were_usr_bin() {
    let tree = read(&[
        ("./", Dir),
        ("./bin/", Dir),
        ("./bin/su", File(b"su", 0o4755)),
        ("./bin/also", Other(EntryType::Link, "./bin/su")),
        ("./lib64/ld.so", Other(EntryType::Symlink, "/lib/x/ld.so")),
        ("./etc/secret", File(b"s", 0o600)),
        ("./usr/bin/x", Other(EntryType::Symlink, "../../bin/su")),
        ("./binary", File(b"b", 0o644)),
    ]);
    let tree = tree.unwrap();
    let seen: Vec<(&str, &Node)> = tree.iter().filter(|(_, node)| **node != Node::Dir).collect();
    let expected = [
        ("binary", &file("b", false)),
        ("etc/secret", &file("s", false)),
        ("usr/bin/also", &file("su", true)),
        ("usr/bin/su", &file("su", true)),
        ("usr/bin/x", &link("../../bin/su")),
        ("usr/lib64/ld.so", &link("/lib/x/ld.so")),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_links_of_a_merged_system_are_the_images_own() {
    let entries = [
        ("./bin", Other(EntryType::Symlink, "usr/bin")),
        ("./usr/bin/", Dir),
        ("./usr/bin/a", File(b"a", 0o755)),
    ];
    let mut image = Tree::default();
    let mut contents = Contents::default();
    contents.add("p", read(&entries).unwrap(), &[]).unwrap();
    contents.lay_into(&mut image).unwrap();
    link_merged(&mut image).unwrap();
    assert_eq!(image.get("/bin"), Some(&link("usr/bin")));
    assert_eq!(image.get("/sbin"), None);
    // A link to somewhere else is another matter.
    let elsewhere = read(&[("./bin", Other(EntryType::Symlink, "opt/bin"))]).unwrap();
    assert_eq!(elsewhere.get("/usr/bin"), Some(&link("opt/bin")));
}

#[test]
fn what_an_image_must_not_hold_is_refused_with_its_name() {
    let cases = [
        ("/etc/x", File(b"", 0o644), "it is absolute"),
        ("./../x", File(b"", 0o644), "lead elsewhere"),
        ("./a/../../x", Dir, "lead elsewhere"),
        ("./dev/sda", Other(EntryType::Block, ""), "no device nodes"),
        ("./dev/null", Other(EntryType::Char, ""), "no device nodes"),
        ("./fifo", Other(EntryType::Fifo, ""), "neither file, folder nor link"),
        ("./hard", Other(EntryType::Link, "../../etc/shadow"), "no file \"../../etc/shadow\""),
        ("./hard", Other(EntryType::Link, "/etc/shadow"), "it is absolute"),
        ("./x\u{1b}[2J", Dir, "control character"),
    ];
    for (path, put, why) in cases {
        let error = read(&[(path, put)]).unwrap_err();
        assert!(matches!(&error, PackageError::Contents { path: p, .. } if p == path), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(why) && !words.contains('\u{1b}'), "{words}");
    }
}

#[test]
fn files_are_bounded_and_a_torn_archive_is_noticed() {
    let big = [0; 600];
    assert!(read(&[("./a", File(&big, 0o644))]).is_ok());
    let twice = [("./a", File(&big, 0o644)), ("./b", File(&big, 0o644))];
    assert!(matches!(read(&twice), Err(PackageError::TooLarge { .. })));
    let linked = [("./a", File(&big, 0o644)), ("./b", Other(EntryType::Link, "a"))];
    assert!(matches!(read(&linked), Err(PackageError::TooLarge { .. })));
    let torn = &tar(&[("./a", File(&big, 0o644))])[..700];
    assert!(matches!(read_tar("p", torn, &mut 1000), Err(PackageError::Unreadable { .. })));
}

#[test]
fn packages_may_share_what_is_the_same_and_nothing_else() {
    let one = || read(&[("./etc/", Dir), ("./etc/a", File(b"1", 0o644))]).unwrap();
    let other = || read(&[("./etc/a", File(b"2", 0o644))]).unwrap();
    let mut contents = Contents::default();
    contents.add("first", one(), &[]).unwrap();
    contents.add("second", one(), &[]).unwrap();
    contents.add("third", other(), &["etc/a".to_owned()]).unwrap();
    let error = contents.add("fourth", other(), &[]).unwrap_err().to_string();
    assert!(error.starts_with("the packages first and fourth differ in \"/etc/a\""), "{error}");
}

#[test]
fn what_is_left_out_is_whole_names() {
    let tree = read(&[
        ("./usr/share/doc/a", File(b"", 0o644)),
        ("./usr/shared", File(b"", 0o644)),
        ("./etc/x", File(b"", 0o644)),
    ]);
    let mut contents = Contents::default();
    contents.add("p", tree.unwrap(), &["usr/share".to_owned(), "/etc/".to_owned()]).unwrap();
    let mut image = Tree::default();
    contents.lay_into(&mut image).unwrap();
    let paths: Vec<&str> = image.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["usr", "usr/shared"]);
}

#[test]
fn a_star_is_any_part_of_one_name() {
    let path = "usr/lib/x86_64-linux-gnu/libm.so.6";
    for fits in ["usr/lib/*/libm.so*", "usr/lib/*", "*/*/x*gnu", "usr/lib/*/*.so.*", "*"] {
        assert!(is_at_or_below(path, fits), "{fits}");
    }
    for not in ["usr/*/libm.so*", "usr/lib/*/libc*", "usr/lib/*/libm", "usr/li", "*/*/*/*/*", ""] {
        assert!(!is_at_or_below(path, not), "{not:?}");
    }
}

#[test]
fn a_recipes_file_replaces_a_packages() {
    let mut image = Tree::default();
    image.add("/etc/a", file("mine", false)).unwrap();
    let mut contents = Contents::default();
    let package = read(&[("./etc/a", File(b"1", 0o644)), ("./etc/b", File(b"2", 0o644))]);
    contents.add("p", package.unwrap(), &[]).unwrap();
    contents.lay_into(&mut image).unwrap();
    assert_eq!(image.get("/etc/a"), Some(&file("mine", false)));
    assert_eq!(image.get("/etc/b"), Some(&file("2", false)));
}
