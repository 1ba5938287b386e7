// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work trees that come, go, follow their source and survive kills.

use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
    key: Key,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("store/pristine/mm")).unwrap();
        for (file, text) in [("mm/a.c", "a\n"), ("mm/b.c", "b\n"), ("other.c", "o\n")] {
            fs_err::write(dir.path().join("store/pristine").join(file), text).unwrap();
        }
        let store = Store::open(dir.path().join("store")).unwrap();
        Self { dir, store, key: host::store::KeyHasher::new("t", 1).finish() }
    }

    fn pristine(&self) -> Pristine {
        let dir = self.dir.path().join("store/pristine");
        Pristine { dir, listing: None, kept: true }
    }

    /// A tree of somebody else's, as it is now.
    fn theirs(&self) -> Pristine {
        let mut listing = Listing::default();
        for file in ["mm/a.c", "mm/b.c", "mm/b.c/deep", "other.c", "link"] {
            let mark = fingerprint(&self.pristine().dir.join(file)).unwrap();
            if let Some(mark) = mark {
                listing.insert(file.to_owned(), mark);
            }
        }
        Pristine { listing: Some(listing), kept: false, ..self.pristine() }
    }

    async fn open(&self) -> WorkTree {
        WorkTree::open(&self.store, &self.key, &|_| {}).await.unwrap()
    }

    fn series(&self, diffs: &[&str]) -> Series {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        let path = dir.path().join("s.patch");
        fs_err::write(&path, diffs.concat()).unwrap();
        crate::Library::default().series(path.to_str().unwrap()).unwrap()
    }
}

const A: &str = "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-a\n+patched\n";
const B: &str = "--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1 @@\n-b\n+patched\n";
const NEW: &str = "--- /dev/null\n+++ b/new/n.c\n@@ -0,0 +1 @@\n+new\n";

fn read(tree: &WorkTree, file: &str) -> String {
    fs_err::read_to_string(tree.source().join(file)).unwrap()
}

#[tokio::test]
async fn a_series_comes_and_goes_and_touches_only_its_files() {
    let fixture = Fixture::new();
    let tree = fixture.open().await;
    let (ab, a) = (fixture.series(&[A, B, NEW]), fixture.series(&[A]));
    let inode = |file: &str| fs_err::metadata(tree.source().join(file)).unwrap().ino();
    tree.apply(&fixture.pristine(), None).await.unwrap();
    let before = (inode("mm/a.c"), inode("other.c"));
    tree.apply(&fixture.pristine(), Some(&ab)).await.unwrap();
    assert_eq!(
        (read(&tree, "mm/a.c"), read(&tree, "new/n.c")),
        ("patched\n".into(), "new\n".into())
    );
    assert_ne!(inode("mm/a.c"), before.0, "the pristine inode is not written to");
    assert_eq!(inode("other.c"), before.1);
    let patched = inode("mm/a.c");
    tree.apply(&fixture.pristine(), Some(&a)).await.unwrap();
    assert_eq!(inode("mm/a.c"), patched, "what stays the same is not compiled again");
    assert_eq!(read(&tree, "mm/b.c"), "b\n");
    assert!(!tree.source().join("new/n.c").exists());
    tree.apply(&fixture.pristine(), None).await.unwrap();
    assert_eq!(read(&tree, "mm/a.c"), "a\n");
    let now = fs_err::metadata(tree.source().join("mm/a.c")).unwrap();
    let pristine = fs_err::metadata(fixture.pristine().dir.join("mm/a.c")).unwrap();
    assert!(now.modified().unwrap() > pristine.modified().unwrap(), "make sees the way back");
    assert_eq!(fs_err::read_to_string(fixture.pristine().dir.join("mm/a.c")).unwrap(), "a\n");
}

#[tokio::test]
async fn a_series_that_does_not_fit_changes_nothing() {
    let fixture = Fixture::new();
    let tree = fixture.open().await;
    tree.apply(&fixture.pristine(), Some(&fixture.series(&[A]))).await.unwrap();
    let misfit = fixture.series(&[A, &B.replace("-b", "-c")]);
    let error = tree.apply(&fixture.pristine(), Some(&misfit)).await.unwrap_err();
    assert!(matches!(error, KernelError::Conflict(_)));
    assert_eq!((read(&tree, "mm/a.c"), read(&tree, "mm/b.c")), ("patched\n".into(), "b\n".into()));
}

#[tokio::test]
async fn a_tree_of_the_users_is_copied_and_followed() {
    let fixture = Fixture::new();
    let theirs = fixture.pristine().dir;
    std::os::unix::fs::symlink("mm/a.c", theirs.join("link")).unwrap();
    let tree = fixture.open().await;
    tree.apply(&fixture.theirs(), Some(&fixture.series(&[A]))).await.unwrap();
    let inode = |dir: &Path, file: &str| fs_err::symlink_metadata(dir.join(file)).unwrap().ino();
    for file in ["mm/a.c", "mm/b.c", "other.c", "link"] {
        assert_ne!(inode(&tree.source(), file), inode(&theirs, file), "{file}");
    }
    let before = inode(&tree.source(), "other.c");
    // An edit, with a time of long ago; a file that becomes a folder; another link.
    fs_err::write(theirs.join("mm/a.c"), "a\nmore\n").unwrap();
    let old = fs_err::File::open(theirs.join("mm/a.c")).unwrap();
    old.file().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    for file in ["mm/b.c", "link"] {
        fs_err::remove_file(theirs.join(file)).unwrap();
    }
    fs_err::create_dir(theirs.join("mm/b.c")).unwrap();
    fs_err::write(theirs.join("mm/b.c/deep"), "deep\n").unwrap();
    std::os::unix::fs::symlink("other.c", theirs.join("link")).unwrap();
    tree.apply(&fixture.theirs(), None).await.unwrap();
    assert_eq!((read(&tree, "mm/a.c"), read(&tree, "link")), ("a\nmore\n".into(), "o\n".into()));
    assert_eq!(read(&tree, "mm/b.c/deep"), "deep\n");
    let modified = fs_err::metadata(tree.source().join("mm/a.c")).unwrap().modified().unwrap();
    assert!(modified > SystemTime::UNIX_EPOCH, "make must see the edit");
    assert_eq!(inode(&tree.source(), "other.c"), before);
    // The way back.
    fs_err::remove_dir_all(theirs.join("mm/b.c")).unwrap();
    fs_err::write(theirs.join("mm/b.c"), "b\n").unwrap();
    tree.apply(&fixture.theirs(), None).await.unwrap();
    assert_eq!(read(&tree, "mm/b.c"), "b\n");
}

#[tokio::test]
async fn a_tree_that_changes_while_it_is_copied_is_noticed_and_read_again() {
    let fixture = Fixture::new();
    let stale = fixture.theirs();
    fs_err::write(stale.dir.join("mm/a.c"), "later\n").unwrap();
    let tree = fixture.open().await;
    let series = fixture.series(&[B]);
    let changed = |error: Result<(), KernelError>| {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("changed while it was read"), "{error}");
    };
    changed(tree.apply(&stale, None).await);
    tree.apply(&fixture.theirs(), None).await.unwrap();
    assert_eq!(read(&tree, "mm/a.c"), "later\n");
    // The same where a tree is there already, and for a file that the series touches.
    fs_err::write(stale.dir.join("mm/a.c"), "old\n").unwrap();
    let stale = fixture.theirs();
    fs_err::write(stale.dir.join("mm/a.c"), "new\n").unwrap();
    changed(tree.apply(&stale, None).await);
    tree.apply(&fixture.theirs(), None).await.unwrap();
    assert_eq!(read(&tree, "mm/a.c"), "new\n");
    let stale = fixture.theirs();
    fs_err::write(stale.dir.join("mm/b.c"), "b\nmore\n").unwrap();
    changed(tree.apply(&stale, Some(&series)).await);
    tree.apply(&fixture.theirs(), Some(&series)).await.unwrap();
    assert_eq!(read(&tree, "mm/b.c"), "patched\nmore\n");
}

#[tokio::test]
async fn what_a_kill_between_two_files_left_is_put_right() {
    let fixture = Fixture::new();
    let tree = fixture.open().await;
    tree.apply(&fixture.pristine(), None).await.unwrap();
    // The state of a process killed after the journal and one of two files.
    let both = ["mm/a.c", "mm/b.c"].map(str::to_owned);
    tree.write_differs(&both.into()).unwrap();
    fs_err::remove_file(tree.source().join("mm/a.c")).unwrap();
    fs_err::write(tree.source().join("mm/a.c"), "patched\n").unwrap();
    fs_err::create_dir(tree.root.join("source.new")).unwrap();
    drop(tree);
    let tree = fixture.open().await;
    tree.apply(&fixture.pristine(), None).await.unwrap();
    assert_eq!((read(&tree, "mm/a.c"), read(&tree, "mm/b.c")), ("a\n".into(), "b\n".into()));
}

/// A make that writes a torn object and a finished one, says so, and does what `then` says.
fn make(tree: &WorkTree, then: &str) -> Command {
    let script = format!(
        "echo half > torn.o; mkdir -p mm; echo whole > mm/whole.o; echo 'cmd_mm/whole.o := x' > mm/.whole.o.cmd
         touch -d '+ 1 minute' torn.o; echo ready; {then}"
    );
    Command::new("sh").args(["-c", &script]).cwd(tree.build())
}

/// True for each of the files that make has written.
fn left(tree: &WorkTree) -> [bool; 3] {
    ["old.o", "torn.o", "mm/whole.o"].map(|file| tree.build().join(file).exists())
}

#[tokio::test]
async fn what_a_killed_make_may_have_torn_is_removed_and_the_rest_kept() {
    let fixture = Fixture::new();
    let tree = fixture.open().await;
    let old = tree.build().join("old.o");
    fs_err::write(&old, "whole").unwrap();
    let past = SystemTime::now() - std::time::Duration::from_secs(60);
    fs_err::File::open(&old).unwrap().file().set_modified(past).unwrap();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let mut ready = Some(ready);
    let running = tree.run(make(&tree, "exec sleep 1000"), |_| {
        if let Some(ready) = ready.take() {
            ready.send(()).unwrap();
        }
    });
    tokio::select! {
        _ = running => panic!("it should run until it is killed"),
        _ = is_ready => {}
    }
    drop(tree);
    let tree = fixture.open().await;
    assert_eq!(left(&tree), [true, false, true]);
    // Somebody else kills make, such as a system that is out of memory.
    assert_eq!(tree.run(make(&tree, "kill -9 $$"), |_| {}).await.unwrap(), 128 + 9);
    drop(tree);
    let tree = fixture.open().await;
    assert_eq!(left(&tree), [true, false, true]);
    // The machine went down meanwhile.
    assert_eq!(tree.run(make(&tree, "kill -9 $$"), |_| {}).await.unwrap(), 128 + 9);
    let began = fs_err::metadata(tree.making()).unwrap().modified().unwrap();
    fs_err::write(tree.making(), "another boot").unwrap();
    let making = fs_err::File::options().write(true).open(tree.making()).unwrap();
    making.file().set_modified(began).unwrap();
    drop(tree);
    let tree = fixture.open().await;
    assert_eq!(left(&tree), [true, false, false]);
    // The control: a make that ends by itself loses nothing, even when it fails.
    assert_eq!(tree.run(make(&tree, "exit 2"), |_| {}).await.unwrap(), 2);
    drop(tree);
    let tree = fixture.open().await;
    assert_eq!(left(&tree), [true, true, true]);
}
