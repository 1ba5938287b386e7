// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

const FILES: Bucket = Bucket { name: "files", check: Check::Digests };
const TREES: Bucket = Bucket { name: "trees", check: Check::Counts };

fn key() -> Key {
    KeyHasher::new("test", 1).finish()
}

fn silent() {}

async fn slot(store: &Store, bucket: Bucket) -> Slot {
    match store.claim(bucket, &key(), silent).await.unwrap() {
        Claim::Absent(slot) => slot,
        Claim::Found(entry) => panic!("{entry:?} was not expected"),
    }
}

async fn publish(store: &Store, bucket: Bucket) -> Entry {
    let slot = slot(store, bucket).await;
    fs_err::create_dir(slot.dir().join("sub")).unwrap();
    fs_err::write(slot.dir().join("sub/file"), "contents").unwrap();
    slot.publish().await.unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    (dir, store)
}

#[tokio::test]
async fn what_was_published_is_found_and_not_made_again() {
    let (_dir, store) = store();
    for bucket in [FILES, TREES] {
        assert_eq!(store.find(bucket, &key()).unwrap(), None);
        let made = publish(&store, bucket).await;
        let Claim::Found(found) = store.claim(bucket, &key(), silent).await.unwrap() else {
            panic!("{} lost it", bucket.name)
        };
        assert_eq!((&found, store.list(bucket).unwrap()), (&made, vec![made.clone()]));
        assert_eq!(fs_err::read(found.dir().join("sub/file")).unwrap(), b"contents");
    }
}

#[tokio::test]
async fn an_entry_is_copied_from_a_store_that_has_it_whole() {
    let ((_dir, store), (_other_dir, other)) = (store(), store());
    for bucket in [FILES, TREES] {
        assert_eq!(store.adopt(bucket, &key(), &other).await.unwrap(), None);
        let theirs = publish(&other, bucket).await;
        let copied = store.adopt(bucket, &key(), &other).await.unwrap().unwrap();
        assert_ne!(copied.dir(), theirs.dir());
        assert_eq!(fs_err::read(copied.dir().join("sub/file")).unwrap(), b"contents");
        assert_eq!(store.find(bucket, &key()).unwrap(), Some(copied.clone()));
        // It is asked for once.
        fs_err::remove_dir_all(theirs.dir()).unwrap();
        assert_eq!(store.adopt(bucket, &key(), &other).await.unwrap(), Some(copied));
    }
}

#[tokio::test]
async fn what_is_damaged_is_not_copied() {
    let ((_dir, store), (_other_dir, other)) = (store(), store());
    let theirs = publish(&other, FILES).await;
    fs_err::remove_file(theirs.dir().join("sub/file")).unwrap();
    fs_err::write(theirs.dir().join("sub/file"), "c0ntents").unwrap();
    assert_eq!(store.adopt(FILES, &key(), &other).await.unwrap(), None);
    assert_eq!(store.list(FILES).unwrap(), []);
}

#[tokio::test]
async fn a_dropped_slot_leaves_nothing() {
    let (_dir, store) = store();
    let slot = slot(&store, FILES).await;
    let temporary = slot.dir().to_owned();
    fs_err::write(temporary.join("half"), "half").unwrap();
    drop(slot);
    assert!(!temporary.exists());
    assert_eq!(store.find(FILES, &key()).unwrap(), None);
}

#[tokio::test]
async fn damage_is_noticed_named_and_made_good() {
    type Damage = fn(&Path);
    let same_size: Damage = |dir| {
        fs_err::remove_file(dir.join("sub/file")).unwrap();
        fs_err::write(dir.join("sub/file"), "c0ntents").unwrap();
    };
    let removed: Damage = |dir| fs_err::remove_file(dir.join("sub/file")).unwrap();
    let no_manifest: Damage = |dir| fs_err::remove_file(dir.join(MANIFEST)).unwrap();
    let torn_manifest: Damage = |dir| fs_err::write(dir.join(MANIFEST), "{\"files\":").unwrap();
    for (bucket, damage) in [
        (FILES, same_size),
        (FILES, removed),
        (FILES, no_manifest),
        (FILES, torn_manifest),
        (TREES, removed),
        (TREES, no_manifest),
    ] {
        let (_dir, store) = store();
        let entry = publish(&store, bucket).await;
        damage(entry.dir());
        assert_eq!(store.find(bucket, &key()).unwrap(), None);
        let slot = slot(&store, bucket).await;
        assert!(slot.damage().is_some());
        assert!(!entry.dir().exists(), "the damaged entry is out of the way");
        drop(slot);
        publish(&store, bucket).await;
        assert!(store.find(bucket, &key()).unwrap().is_some());
    }
}

#[tokio::test]
async fn leftovers_of_the_dead_are_swept_and_those_of_the_living_kept() {
    let (dir, store) = store();
    let living = slot(&store, FILES).await;
    let dead = store.path("tmp/files-0123");
    fs_err::create_dir_all(dead.join("deep")).unwrap();
    Store::open(dir.path().join("store")).unwrap();
    assert!(living.dir().exists());
    assert!(!dead.exists());
}

#[tokio::test]
async fn the_second_claimant_waits_and_then_finds() {
    let (_dir, store) = store();
    let slot = slot(&store, FILES).await;
    fs_err::write(slot.dir().join("file"), "once").unwrap();
    let (told, hears) = tokio::sync::oneshot::channel();
    let second = {
        let store = store.clone();
        tokio::spawn(
            async move { store.claim(FILES, &key(), || told.send(()).unwrap()).await.unwrap() },
        )
    };
    hears.await.unwrap();
    let first = slot.publish().await.unwrap();
    let Claim::Found(found) = second.await.unwrap() else { panic!("made twice") };
    assert_eq!(found, first);
}

#[test]
fn a_full_disk_is_told_apart_and_names_the_folder() {
    let (_dir, store) = store();
    let full = store.error(io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(&full, StoreError::Full { root, .. } if root == store.root()));
    assert!(full.to_string().contains("MiB free"));
    let other = store.error(io::Error::from(io::ErrorKind::PermissionDenied));
    assert!(matches!(other, StoreError::Io { .. }));
}

/// Not a test by itself: the other process of the next one.
#[tokio::test]
async fn claimant() {
    let Some(root) = std::env::var_os("STORE_TEST_ROOT") else { return };
    let store = Store::open(root).unwrap();
    let claimed = store.claim(FILES, &key(), silent).await.unwrap();
    if let Claim::Absent(slot) = &claimed {
        fs_err::write(slot.dir().join("half"), "half").unwrap();
    }
    // The parent sees this file, and never writes to our stdin.
    fs_err::write(std::env::var_os("STORE_TEST_READY").unwrap(), "").unwrap();
    let _ = io::Read::read(&mut io::stdin(), &mut [0]);
}

/// Another process that claims the entry and goes no further; returns when it has.
async fn claim_elsewhere(dir: &tempfile::TempDir, store: &Store) -> tokio::process::Child {
    use tokio::io::AsyncReadExt;
    // Opened by the child for writing, the pipe tells us when the claim is there.
    let ready = dir.path().join("ready");
    rustix::fs::mkfifoat(rustix::fs::CWD, &ready, rustix::fs::Mode::RWXU).unwrap();
    let mut reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&ready).unwrap();
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::claimant"])
        .env("STORE_TEST_ROOT", store.root())
        .env("STORE_TEST_READY", &ready)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    reader.readable().await.unwrap();
    reader.read_to_end(&mut Vec::new()).await.unwrap();
    child
}

#[tokio::test]
async fn a_killed_process_holds_nothing_back() {
    let (dir, store) = store();
    let mut child = claim_elsewhere(&dir, &store).await;
    let temporary = store.path("tmp").join(guarded(FILES.name, &key()));
    assert!(temporary.join("half").exists(), "the other process holds the claim");
    Store::open(store.root()).unwrap();
    assert!(temporary.exists(), "what a living process makes is not swept");
    child.kill().await.unwrap();
    let slot = slot(&store, FILES).await;
    assert!(!slot.dir().join("half").exists());
    drop(slot);
    publish(&store, FILES).await;
}

#[tokio::test]
async fn what_is_there_is_listed_with_size_and_last_use() {
    let (_dir, store) = store();
    let entry = publish(&store, FILES).await;
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let folder = fs_err::File::open(entry.dir()).unwrap();
    folder.file().set_modified(before).unwrap();
    fs_err::create_dir_all(store.path("work").join(key().as_str())).unwrap();
    // A second name takes no room; what has no key is not listed, nor are newer layouts.
    let file = entry.dir().join("sub/file");
    fs_err::hard_link(&file, store.path("work").join(key().as_str()).join("link")).unwrap();
    fs_err::write(store.path("notes"), "").unwrap();
    for other in ["v0/kernels", "v2/kernels", "other"] {
        fs_err::create_dir_all(store.root().join(other)).unwrap();
    }
    let items = store.inventory().unwrap();
    let names: Vec<_> = items.iter().map(|item| (item.kind.as_str(), item.key.as_str())).collect();
    assert_eq!(names, [("v0", ""), ("files", key().as_str()), ("work", key().as_str())]);
    assert!(items[1].bytes > 0 && items[2].bytes == 0, "{items:?}");
    assert_eq!(items[1].used, before);
    assert!(items[1].in_use, "this process has just made it");
    // To ask for it is to use it.
    store.find(FILES, &key()).unwrap().unwrap();
    assert!(store.inventory().unwrap()[1].used > before);
}

#[tokio::test]
async fn what_a_running_process_has_asked_for_is_not_removed() {
    let (dir, store) = store();
    let entry = publish(&store, FILES).await;
    let other = Store::open(store.root()).unwrap();
    // Ours ends here, and that of another process begins.
    drop(store);
    let mut child = claim_elsewhere(&dir, &other).await;
    let item = other.inventory().unwrap().remove(0);
    assert!(item.in_use);
    assert_eq!(other.remove(&item).unwrap(), Removal::InUse);
    assert!(entry.dir().join("sub/file").exists());
    child.kill().await.unwrap();
    let item = other.inventory().unwrap().remove(0);
    assert!(!item.in_use);
    assert_eq!(other.remove(&item).unwrap(), Removal::Removed);
    assert!(!entry.dir().exists());
    assert_eq!(fs_err::read_dir(other.path("tmp")).unwrap().count(), 0);
    // Somebody else was quicker.
    assert_eq!(other.remove(&item).unwrap(), Removal::Removed);
    assert_eq!(fs_err::read_dir(other.path("users")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_locked_or_of_a_newer_layout_is_not_removed() {
    let (_dir, store) = store();
    let other = Store::open(store.root()).unwrap();
    for folder in ["v0/kernels", "v2/kernels"] {
        fs_err::create_dir_all(store.root().join(folder)).unwrap();
    }
    let work = store.path("work").join(key().as_str());
    fs_err::create_dir_all(&work).unwrap();
    let item = |kind: &str, key: &str| {
        let used = std::time::SystemTime::now();
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Item { kind, key, path: PathBuf::new(), bytes: 0, used, in_use: false }
    };
    // As the supervisor of a make that is ending does, beyond its process's end.
    let lock = FileLock::try_take(&store.lock_path(&guarded("work", &key()))).unwrap();
    assert_eq!(other.remove(&item("work", key().as_str())).unwrap(), Removal::InUse);
    drop(lock);
    assert!(work.exists());
    assert_eq!(other.remove(&item("work", key().as_str())).unwrap(), Removal::Removed);
    assert_eq!(other.remove(&item("v2", "")).unwrap(), Removal::InUse);
    assert_eq!(other.remove(&item("v0", "")).unwrap(), Removal::Removed);
    assert!(!work.exists() && !store.root().join("v0").exists());
    assert!(store.root().join("v2/kernels").exists());
}
