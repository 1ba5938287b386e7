// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's real apt-get, at a small signed archive on disk (`tests/make-repository.sh`).
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use host::apt::{AptError, AptFailure};
use host::arch::{ARM64, X86_64};
use host::process::ProcessError;
use tempfile::TempDir;

use super::*;
use crate::image::build_with;
use crate::tree::Node;
use crate::{ImageArtifact, ImageError, Recipe, Supplies};

/// A machine with its apt configuration, an archive and a store.
struct Bench {
    dir: TempDir,
    store: Store,
    tools: Tools,
    notices: Rc<RefCell<Vec<String>>>,
    notice: Box<dyn Fn(&str)>,
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs_err::copy(entry.path(), to).unwrap();
        }
    }
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/packages/tests");
        copy(&here.join("repository"), &dir.path().join("archive"));
        let etc = dir.path().join("etc");
        fs_err::create_dir(&etc).unwrap();
        fs_err::copy(here.join("key.asc"), etc.join("key.asc")).unwrap();
        let store = Store::open(dir.path().join("the store")).unwrap();
        let tools = Tools { etc, ..Tools::default() };
        let notices = Rc::<RefCell<Vec<String>>>::default();
        let kept = notices.clone();
        let notice = Box::new(move |text: &str| kept.borrow_mut().push(text.to_owned()));
        let bench = Self { dir, store, tools, notices, notice };
        bench.configure(&bench.url());
        bench
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("archive").display())
    }

    fn configure(&self, url: &str) {
        let etc = self.path("etc");
        let key = etc.join("key.asc");
        let line = format!("deb [signed-by={}] {url} bookworm main\n", key.display());
        fs_err::write(etc.join("sources.list"), line).unwrap();
    }

    /// Replaces a part of a file in the archive by something of the same length.
    fn tamper(&self, file: &str, before: &[u8], after: &[u8]) {
        let path = self.path("archive").join(file);
        let mut bytes = fs_err::read(&path).unwrap();
        let found = bytes.windows(before.len()).position(|window| window == before).unwrap();
        bytes[found..found + after.len()].copy_from_slice(after);
        fs_err::write(path, bytes).unwrap();
    }

    async fn ask<'a>(&'a self, change: impl FnOnce(&mut Request<'a>)) -> Result<Set, PackageError> {
        let mut request = Request {
            arch: &X86_64,
            suite: Suite::of(&X86_64),
            names: vec![name("greeting")],
            mirror: None,
            store: &self.store,
            tools: &self.tools,
            notice: &*self.notice,
        };
        change(&mut request);
        let set = request.choose().await?;
        Ok(request.files(set).await?.0)
    }

    async fn failure(&self) -> (AptFailure, String) {
        let error = self.ask(|_| ()).await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("\n  hint: "), "{words}");
        // Nothing half fetched is left.
        assert_eq!(self.store.list(SETS).unwrap(), []);
        assert_eq!(fs_err::read_dir(self.store.path("tmp")).unwrap().count(), 0);
        match error {
            PackageError::Apt(AptError::Failed { failure, .. }) => (failure, words),
            other => panic!("{other:?}"),
        }
    }

    /// Makes apt's last answer old.
    fn a_week_passes(&self) {
        for entry in fs_err::read_dir(self.store.path("apt")).unwrap() {
            let path = entry.unwrap().path();
            let mut last: Remembered =
                serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
            last.asked -= WEEK;
            fs_err::write(path, serde_json::to_vec(&last).unwrap()).unwrap();
        }
    }
}

fn name(name: &str) -> PackageName {
    PackageName::try_from(name.to_owned()).unwrap()
}

/// An image of packages, and things of its own among them.
const RECIPE: &str = "description: x\npackages: [greeting]\nleave_out: [usr/share]\n\
    links: [{path: /bin/salute, to: greet}]\n\
    files: [{path: /usr/lib/greeting/text, text: good night}]\n";

async fn image(bench: &Bench, recipe: &str) -> Result<ImageArtifact, ImageError> {
    let recipe = Recipe::from_yaml("r.yaml", recipe).unwrap();
    let (arch, store, programs) = (&X86_64, &bench.store, &BTreeMap::new());
    let supplies = Supplies { arch, programs, mirror: None, store, notice: &*bench.notice };
    build_with(&recipe, supplies, &bench.tools).await
}

#[tokio::test]
async fn an_image_of_packages_is_the_same_everywhere_and_stays_without_them() {
    let (one, other) = (Bench::new(), Bench::new());
    let first = image(&one, RECIPE).await.unwrap();
    let bytes = fs_err::read(&first.path).unwrap();
    assert_eq!(fs_err::read(image(&other, RECIPE).await.unwrap().path).unwrap(), bytes);

    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["usr/bin/greet\0", "usr/bin/salute\0", "bin\0", "usr/bin\0", "good night"] {
        assert!(holds(text), "{text}");
    }
    for text in ["usr/share", "good morning", "\0bin/"] {
        assert!(!holds(text), "{text}");
    }

    fs_err::remove_dir_all(one.path("archive")).unwrap();
    fs_err::remove_dir_all(one.store.path(SETS.name)).unwrap();
    assert_eq!(image(&one, RECIPE).await.unwrap(), first);
    let whole = RECIPE.replace("[usr/share]", "[]");
    assert!(image(&one, &whole).await.is_err());
    assert_ne!(image(&other, &whole).await.unwrap().key, first.key);
}

const POOL: &str = "pool/main/greeting_2.0-1_amd64.deb";
const LISTS: &str = "dists/bookworm/main/binary-amd64/Packages";
const RELEASE: &str = "dists/bookworm/InRelease";

#[tokio::test]
async fn packages_come_with_what_they_need_and_hold_what_was_put_in() {
    let bench = Bench::new();
    let set = bench.ask(|_| ()).await.unwrap();
    let names: Vec<(&str, &str)> =
        set.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
    assert_eq!(names, [("greeting", "1:2.0-1"), ("greeting-data", "1:2.0-1")]);

    let entry = bench.store.find(SETS, &set.key()).unwrap().unwrap();
    let mut left = 1000;
    let tree =
        of_deb("greeting", &entry.dir().join(&set.packages[0].file), &mut left).await.unwrap();
    let script = Node::File { data: b"cat /usr/lib/greeting/text\n".to_vec(), executable: true };
    assert_eq!(tree.get("/usr/bin/greet"), Some(&script));
    assert_eq!(tree.get("/usr/bin/hello"), Some(&Node::Link { target: "greet".to_owned() }));
    assert!(left < 1000);
}

#[tokio::test]
async fn apt_is_asked_once_a_week_and_its_absence_is_borne() {
    let bench = Bench::new();
    let first = bench.ask(|_| ()).await.unwrap();
    let fetching = "fetching packages of bookworm for amd64: greeting";
    assert_eq!(bench.notices.take().last().unwrap(), fetching);

    // Nothing is listening there: an answer can only come from the store.
    bench.configure("http://127.0.0.1:1/debian");
    assert_eq!(bench.ask(|_| ()).await.unwrap(), first);
    assert_eq!(bench.notices.take(), [""; 0]);

    bench.a_week_passes();
    assert_eq!(bench.ask(|_| ()).await.unwrap(), first);
    let announced = "cannot fetch packages of bookworm for amd64: apt cannot reach its mirror: \
                     taking from the store greeting 1:2.0-1";
    assert_eq!(bench.notices.take().last().unwrap(), announced);

    // Another request has nothing to fall back to.
    let other = bench.ask(|request| request.names = vec![name("greeting-data")]).await;
    assert!(other.is_err_and(|error| error.is_silence()));
}

#[tokio::test]
async fn a_mirror_that_is_named_is_asked() {
    let bench = Bench::new();
    let url = bench.url();
    bench.configure("http://127.0.0.1:1/debian");
    assert_eq!(bench.failure().await.0, AptFailure::Unreachable);
    assert!(bench.ask(|request| request.mirror = Some(&url)).await.is_ok());
}

#[tokio::test]
async fn damaged_packages_in_the_store_are_fetched_again() {
    let bench = Bench::new();
    let set = bench.ask(|_| ()).await.unwrap();
    let entry = bench.store.find(SETS, &set.key()).unwrap().unwrap();
    let deb = entry.dir().join(&set.packages[0].file);
    let whole = fs_err::read(&deb).unwrap();
    fs_err::remove_file(&deb).unwrap();
    fs_err::write(&deb, "torn").unwrap();
    bench.ask(|_| ()).await.unwrap();
    assert_eq!(fs_err::read(&deb).unwrap(), whole);
    let notices = bench.notices.take();
    assert!(notices.iter().any(|notice| notice.contains("were damaged")), "{notices:?}");
}

#[tokio::test]
async fn an_archive_without_a_signature_is_refused() {
    let bench = Bench::new();
    let signed = fs_err::read_to_string(bench.path("archive").join(RELEASE)).unwrap();
    let inner = signed.split("\n\n").nth(1).unwrap().split("-----BEGIN").next().unwrap();
    fs_err::remove_file(bench.path("archive").join(RELEASE)).unwrap();
    fs_err::write(bench.path("archive/dists/bookworm/Release"), inner).unwrap();
    let (failure, words) = bench.failure().await;
    assert_eq!(failure, AptFailure::Unsigned, "{words}");
    assert!(words.contains("is not signed"), "{words}");
}

#[tokio::test]
async fn an_archive_with_another_signature_is_refused() {
    let bench = Bench::new();
    bench.tamper(RELEASE, b"swapstorm tests", b"swapstorm hosts");
    assert_eq!(bench.failure().await.0, AptFailure::Unsigned);

    let bench = Bench::new();
    fs_err::remove_file(bench.path("etc/key.asc")).unwrap();
    assert_eq!(bench.failure().await.0, AptFailure::Unsigned);
}

#[tokio::test]
async fn lists_and_packages_that_were_tampered_with_are_refused() {
    let bench = Bench::new();
    bench.tamper(LISTS, b"1:2.0-1", b"1:2.0-2");
    assert_eq!(bench.failure().await.0, AptFailure::Tampered);

    let bench = Bench::new();
    bench.tamper(POOL, b"debian-binary", b"debian-cinary");
    let (failure, words) = bench.failure().await;
    assert_eq!(failure, AptFailure::Tampered, "{words}");
    assert!(words.contains("Hash Sum mismatch"), "{words}");

    let bench = Bench::new();
    fs_err::write(bench.path("archive").join(POOL), "short").unwrap();
    assert_eq!(bench.failure().await.0, AptFailure::Tampered);
}

#[tokio::test]
async fn what_the_archive_does_not_have_is_said() {
    let bench = Bench::new();
    // The second one is a pattern to apt that fits a package, but names none.
    for unknown in ["farewell", "gree.ing"] {
        let error = bench.ask(|request| request.names.push(name(unknown))).await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("there is no such package") && words.contains(unknown), "{words}");
        assert!(error.is_of_request());
    }
    let suite = |request: &mut Request<'_>| request.suite = "trixie".to_owned().try_into().unwrap();
    let arch = |request: &mut Request<'_>| request.arch = &ARM64;
    for error in [bench.ask(suite).await, bench.ask(arch).await] {
        let error = error.unwrap_err();
        let failure = AptFailure::NoSuchSuite;
        assert!(
            matches!(&error, PackageError::Apt(AptError::Failed { failure: f, .. }) if *f == failure),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_stores_folder_may_have_any_name_that_apt_can_read() {
    let mut bench = Bench::new();
    bench.store = Store::open(bench.path("a 'b'; {c} %41 #")).unwrap();
    assert!(bench.ask(|_| ()).await.is_ok());
    bench.store = Store::open(bench.path("a\"b")).unwrap();
    let words = bench.ask(|_| ()).await.unwrap_err().to_string();
    assert!(words.contains("quotation mark") && words.contains("SWAPSTORM_CACHE"), "{words}");
}

#[tokio::test]
async fn a_machine_without_apt_is_told_what_to_install() {
    let mut bench = Bench::new();
    bench.tools.config = "no-such-apt-config".to_owned();
    let error = bench.ask(|_| ()).await.unwrap_err();
    assert!(
        matches!(error, PackageError::Apt(AptError::Process(ProcessError::Missing { .. }))),
        "{error}"
    );
    assert!(host::tools::install_hint(&Tools::default().config).contains("install apt (Debian)"));
    fs_err::remove_file(bench.path("etc/sources.list")).unwrap();
    assert!(matches!(bench.ask(|_| ()).await, Err(PackageError::Apt(AptError::NoMirror))));
}
