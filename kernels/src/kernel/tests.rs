// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole way from apt to the store, with a miniature kernel that builds in a moment.
//! apt is played by two scripts; dpkg, tar, patch, make and the compiler are real.

mod git;
mod git_series;
mod handed;
mod interrupted;
mod sparse;
mod trees;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;

use host::store::StoreError;

use super::*;
use crate::{Library, SourceError};

const MAKEFILE: &str = r#"
all: vmlinux bzImage
tinyconfig:
	echo 'CONFIG_64BIT=y' > $(O)/.config
olddefconfig:
	sed -i '/CONFIG_NEEDS_MORE=/d' $(O)/.config
vmlinux: $(O)/mm/zswap.o $(O)/mm/other.o
	cat $^ > $(O)/vmlinux
	mkdir -p $(O)/include/config $(O)/arch/x86/boot
	echo 9.9.1 > $(O)/include/config/kernel.release
bzImage: vmlinux
	cp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
$(O)/mm/%.o: mm/%.c
	@echo '  CC      mm/$*.o'
	@echo $* >> $(O)/compiled
	@mkdir -p $(O)/mm
	@$(or $(CC),gcc) -c $< -o $@
mm/%.o: $(O)/mm/%.o
	@if [ "$(C)" = 2 ]; then echo "  CHECK   $$PWD/mm/$*.c"; $(CHECK) $$PWD/mm/$*.c; fi
"#;
const MERGE: &str = "shift 2; cat \"$@\" >> .config\n";
const KCONFIG: &str = "config NEEDS_MORE\n\tbool \"Needs\"\n\tdepends on MORE\n";
const MANIFEST: &str = "about: a miniature
source: {debian: {package: linux-source-9.9}}
config: {base: tinyconfig, fragments: [mini], arch: {x86_64: []}}
";

struct Fixture {
    dir: tempfile::TempDir,
    library: Library,
    kernels: Kernels,
    notices: Mutex<Vec<String>>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (file, text) in [
            ("src/linux-9.9/Makefile", MAKEFILE),
            ("src/linux-9.9/Kconfig", KCONFIG),
            ("src/linux-9.9/scripts/kconfig/merge_config.sh", MERGE),
            ("src/linux-9.9/mm/zswap.c", "int zswap;\n"),
            ("src/linux-9.9/mm/other.c", "int other;\n"),
            (
                "deb/DEBIAN/control",
                "Package: linux-source-9.9\nVersion: 9.9.1-1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n",
            ),
            ("user/manifests/mini.yaml", MANIFEST),
            ("user/config/mini.config", "CONFIG_MINI=y\n"),
            ("lists/one", ""),
        ] {
            fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs_err::write(root.join(file), text).unwrap();
        }
        fs_err::create_dir_all(root.join("deb/usr/src")).unwrap();
        run(root, "tar -C src -cJf deb/usr/src/linux-source-9.9.tar.xz linux-9.9");
        run(root, "dpkg-deb --root-owner-group --build deb mini.deb");
        let apt = MachineApt {
            get: root.join("apt-get").display().to_string(),
            cache: root.join("apt-cache").display().to_string(),
            state: vec![root.join("lists")],
        };
        let kernels = Kernels::new(Store::open(root.join("store")).unwrap()).without_ccache();
        let archive =
            Archive { tools: suite_tools(root), mirror: Some("http://mirror".to_owned()) };
        let kernels = Kernels { apt, archive, ..kernels };
        let library = Library::new(Some(root.join("user")));
        let fixture = Self { dir, library, kernels, notices: Mutex::default() };
        fixture.apt(
            "sum=$(sha256sum $DIR/mini.deb)
             printf 'Package: linux-source-9.9\\nVersion: 9.9.1-1\\nSHA256: %s\\n' ${sum%% *}",
            "cp $DIR/mini.deb .",
        );
        fixture
    }

    /// Replaces the scripts that play apt.
    fn apt(&self, cache: &str, get: &str) {
        for (name, script) in [("apt-cache", cache), ("apt-get", get)] {
            let path = self.dir.path().join(name);
            let text = format!("#!/bin/sh\nDIR={}\n{script}\n", self.dir.path().display());
            fs_err::write(&path, text).unwrap();
            fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        // apt's lists change with its answers.
        let lists = self.dir.path().join("lists/one");
        let mut text = fs_err::read_to_string(&lists).unwrap();
        text.push('x');
        fs_err::write(lists, text).unwrap();
    }

    fn series(&self, from: &str, to: &str) -> Series {
        let text = format!(
            "Subject: s\n--- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -1 +1 @@\n-{from}\n+{to}\n"
        );
        let path = self.dir.path().join("s.patch");
        fs_err::write(&path, text).unwrap();
        self.library.series(path.to_str().unwrap()).unwrap()
    }

    async fn build(&self, series: Option<&Series>) -> Result<KernelArtifact, KernelError> {
        self.build_with(series, &[]).await
    }

    /// Builds as another run would.
    async fn build_with(
        &self,
        series: Option<&Series>,
        fragments: &[Fragment],
    ) -> Result<KernelArtifact, KernelError> {
        let kernels = Kernels { asked: Arc::default(), ..self.kernels.clone() };
        self.build_by(&kernels, series, fragments).await
    }

    async fn build_by(
        &self,
        kernels: &Kernels,
        series: Option<&Series>,
        fragments: &[Fragment],
    ) -> Result<KernelArtifact, KernelError> {
        self.build_named("mini", kernels, series, fragments).await
    }

    /// Builds what is named, a manifest or a tree.
    async fn build_named(
        &self,
        name: &str,
        kernels: &Kernels,
        series: Option<&Series>,
        fragments: &[Fragment],
    ) -> Result<KernelArtifact, KernelError> {
        let manifest = self.library.manifest(name).unwrap();
        let arch = &host::arch::X86_64;
        let request = Request { manifest: &manifest, arch, fragments, series };
        let progress = |news: Progress<'_>| {
            if let Progress::Notice(text) | Progress::Waiting(text) = news {
                self.notices.lock().unwrap().push(text.to_owned());
            }
        };
        kernels.build(request, &progress).await
    }

    /// Objects compiled so far, in any work tree.
    fn compiled(&self) -> Vec<String> {
        let work = self.kernels.store.path("work");
        let trees = fs_err::read_dir(work).into_iter().flatten().flatten();
        let logs = trees
            .filter_map(|tree| fs_err::read_to_string(tree.path().join("build/compiled")).ok());
        let mut objects: Vec<String> =
            logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        objects.sort();
        objects
    }
}

fn run(dir: &Path, command: &str) {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_kernel_is_made_once_and_a_series_compiles_only_what_it_touches() {
    let fixture = Fixture::new();
    let plain = fixture.build(None).await.unwrap();
    assert_eq!((plain.release.as_str(), plain.from_store), ("9.9.1", false));
    assert_eq!(plain.config().unwrap().value("CONFIG_MINI"), "y");
    for image in host::arch::X86_64.images {
        assert!(plain.image(image).is_file());
    }
    assert_eq!(fixture.compiled(), ["other", "zswap"]);
    let again = fixture.build(None).await.unwrap();
    assert!(again.from_store && again.key == plain.key);
    let series = fixture.series("int zswap;", "int zswap = 1;");
    let patched = fixture.build(Some(&series)).await.unwrap();
    assert_eq!(fixture.compiled(), ["other", "zswap", "zswap"]);
    assert_eq!(patched.patches, ["s"]);
    assert_ne!(fs_err::read(patched.vmlinux()).unwrap(), fs_err::read(plain.vmlinux()).unwrap());
    assert!(plain.image_hash.is_some() && patched.image_hash != plain.image_hash);
    // A word in a file changes the kernel's key and not its image.
    let word = fixture.build(Some(&fixture.series("int zswap;", "int zswap; /* word */"))).await;
    let word = word.unwrap();
    assert!(word.key != plain.key && word.image_hash == plain.image_hash, "{word:?}");
    // The way back, when the store has lost the plain one, gives the same bytes.
    let vmlinux = fs_err::read(plain.vmlinux()).unwrap();
    host::store::remove_tree(plain.vmlinux().parent().unwrap()).unwrap();
    let back = fixture.build(None).await.unwrap();
    assert_eq!(fs_err::read(back.vmlinux()).unwrap(), vmlinux);
    assert_eq!(fixture.compiled(), ["other", "zswap", "zswap", "zswap", "zswap"]);
}

#[tokio::test]
async fn a_kernel_keeps_the_warnings_of_what_it_did_not_compile_itself() {
    let fixture = Fixture::new();
    assert_eq!(fixture.build(None).await.unwrap().warnings, Some(Vec::new()));
    let series = fixture.series("int zswap;", "char zswap = 300;");
    let warned = fixture.build(Some(&series)).await.unwrap();
    let [one] = warned.warnings.as_deref().unwrap() else { panic!("{warned:?}") };
    assert!(one.starts_with("mm/zswap.c:1:14: warning: "), "{one}");
    assert_eq!(fixture.build(Some(&series)).await.unwrap().warnings, warned.warnings);
    // A file beside it changes nothing of that, nor does the way back leave anything.
    let text = "--- a/mm/other.c\n+++ b/mm/other.c\n@@ -1 +1 @@\n-int other;\n+int other = 2;\n";
    let path = fixture.dir.path().join("other.patch");
    fs_err::write(&path, text).unwrap();
    let mut both = fixture.library.series(path.to_str().unwrap()).unwrap();
    both.patches.extend(series.patches.clone());
    assert_eq!(fixture.build(Some(&both)).await.unwrap().warnings, warned.warnings);
    let other = fixture.library.series(path.to_str().unwrap()).unwrap();
    assert_eq!(fixture.build(Some(&other)).await.unwrap().warnings, Some(Vec::new()));
    // A build folder from before there was a record.
    let work = fixture.kernels.store.path("work");
    for tree in fs_err::read_dir(work).unwrap() {
        host::store::remove_tree(&tree.unwrap().path().join("build/warnings.json")).unwrap();
    }
    let series = fixture.series("int zswap;", "char zswap = 301;");
    assert_eq!(fixture.build(Some(&series)).await.unwrap().warnings, None);
}

#[tokio::test]
async fn ccache_is_asked_with_a_folder_of_ours_and_changes_no_key() {
    let mut fixture = Fixture::new();
    let plain = fixture.build(None).await.unwrap();
    let vmlinux = fs_err::read(plain.vmlinux()).unwrap();
    let (program, dir) = (fixture.dir.path().join("ccache"), fixture.dir.path().join("kept"));
    let log = fixture.dir.path().join("asked");
    let script = format!(
        "#!/bin/sh\necho \"$CCACHE_DIR $CCACHE_MAXSIZE $1\" >> {}\nexec \"$@\"\n",
        log.display()
    );
    fs_err::write(&program, script).unwrap();
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    for kept in ["kernels", "work"] {
        host::store::remove_tree(&fixture.kernels.store.path(kept)).unwrap();
    }
    let program = program.display().to_string();
    fixture.kernels.ccache = Some(Ccache { program, dir: dir.clone() });
    let cached = fixture.build(None).await.unwrap();
    assert!(!cached.from_store && cached.key == plain.key);
    assert_eq!(fs_err::read(cached.vmlinux()).unwrap(), vmlinux);
    let asked = fs_err::read_to_string(log).unwrap();
    assert_eq!(asked, format!("{} 2G gcc\n", dir.display()).repeat(2));
}

#[tokio::test]
async fn a_kernel_that_does_not_compile_shows_the_error_and_the_log() {
    let fixture = Fixture::new();
    let series = fixture.series("int zswap;", "int zswap = nonsuch;");
    let error = fixture.build(Some(&series)).await.unwrap_err();
    let KernelError::Compile(error) = error else { panic!("{error}") };
    assert!(error.errors[0].starts_with("mm/zswap.c:1:13: error: "), "{error}");
    assert!(fs_err::read_to_string(&error.log).unwrap().contains(&error.errors[0]));
    // The same tree builds when the mistake is taken off.
    assert!(fixture.build(None).await.is_ok());
}

#[tokio::test]
async fn a_machine_without_memory_is_not_the_kernels_fault() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path().join("src/linux-9.9");
    from_dir(&fixture, &dir);
    let says = "gcc: fatal error: Killed signal terminated program cc1";
    for (recipe, wanted) in [
        ("@kill -9 $$$$", "] Killed"),
        (&*format!("@echo '{says}'; exit 1"), says),
        ("@exit 137", "] Error 137"),
        ("@kill -9 $$PPID", "the system killed it"),
    ] {
        let makefile = MAKEFILE.replace("@$(or $(CC),gcc) -c $< -o $@", recipe);
        fs_err::write(dir.join("Makefile"), makefile).unwrap();
        let error = fixture.build(None).await.unwrap_err();
        assert!(matches!(error, KernelError::NoMemory(_)), "{recipe}: {error}");
        assert!(error.to_string().contains(wanted), "{recipe}: {error}");
    }
    // The control: a source that holds such words.
    fs_err::write(dir.join("Makefile"), MAKEFILE).unwrap();
    fs_err::write(dir.join("mm/zswap.c"), format!("#error {says}\n")).unwrap();
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Compile(_)), "{error}");
}

#[tokio::test]
async fn an_option_that_the_kernel_drops_stops_the_build_and_is_explained() {
    let fixture = Fixture::new();
    let asked = Fragment::parse("profile.yaml", "# why\nCONFIG_NEEDS_MORE=y\n").unwrap();
    let error = fixture.build_with(None, &[asked]).await.unwrap_err();
    let KernelError::Config(error) = error else { panic!("{error}") };
    let dropped = &error.dropped[0];
    assert_eq!((dropped.name.as_str(), dropped.got.as_str()), ("CONFIG_NEEDS_MORE", "n"));
    assert_eq!(dropped.place, "profile.yaml:2");
    assert_eq!(dropped.remarks.last().unwrap(), "depends on MORE (Kconfig:3); here MORE=n");
    assert_eq!(fixture.compiled(), [""; 0]);
}

#[tokio::test]
async fn a_conflict_comes_before_the_configuration() {
    let fixture = Fixture::new();
    let prerequisites = vec!["message-id: <first@example.org>".to_owned()];
    let series = fixture.series("int other_text;", "int zswap = 1;");
    let series = Series { prerequisites, ..series };
    let error = fixture.build(Some(&series)).await.unwrap_err();
    assert!(matches!(error, KernelError::Conflict(_)), "{error}");
    let error = error.to_string();
    let wanted = "wants these applied before it:\n    message-id: <first@example.org>";
    assert!(error.ends_with(wanted), "{error}");
    assert_eq!(fixture.compiled(), [""; 0]);
}

#[tokio::test]
async fn two_at_once_compile_once() {
    let fixture = Fixture::new();
    let (one, two) = tokio::join!(fixture.build(None), fixture.build(None));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.key, two.key);
    assert_eq!(fixture.compiled(), ["other", "zswap"]);
    assert_eq!(*fixture.notices.lock().unwrap(), ["this kernel"]);
}

#[tokio::test]
async fn a_damaged_kernel_is_noticed_and_made_again() {
    let fixture = Fixture::new();
    let vmlinux = fixture.build(None).await.unwrap().vmlinux();
    fs_err::remove_file(&vmlinux).unwrap();
    fs_err::write(&vmlinux, "rubbish").unwrap();
    let again = fixture.build(None).await.unwrap();
    assert!(!again.from_store);
    let notices = fixture.notices.lock().unwrap();
    assert!(notices[0].contains("was damaged"), "{notices:?}");
}

#[tokio::test]
async fn without_apt_the_newest_version_in_the_store_is_taken() {
    let fixture = Fixture::new();
    fixture.build(None).await.unwrap();
    fixture.apt("exit 100", "exit 100");
    let kernel = fixture.build(None).await.unwrap();
    assert!(kernel.from_store);
    let notices = fixture.notices.lock().unwrap();
    assert!(notices[0].contains("9.9.1-1 from the store"), "{notices:?}");
}

#[tokio::test]
async fn what_apt_cannot_do_is_explained() {
    let fixture = Fixture::new();
    let show = "printf 'Package: linux-source-9.9\\nVersion: 9.9.1-1\\nSHA256: %064d\\n' 0";
    let unreachable = "echo 'E: Failed to fetch http://x  Could not resolve x' >&2; exit 100";
    for (cache, get, says) in [
        ("exit 100", "", "apt does not know this package"),
        (show, unreachable, "apt cannot reach its mirror"),
        (show, "cp $DIR/mini.deb .", "another SHA-256"),
    ] {
        fixture.apt(cache, get);
        let error = fixture.build(None).await.unwrap_err();
        assert!(matches!(
            error,
            KernelError::Source(SourceError::Apt { .. } | SourceError::Damaged { .. })
        ));
        assert!(error.to_string().contains(says), "{error}");
    }
    fixture.apt(show, "echo 'E: Write error - write (28: No space left on device)'; exit 100");
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Store(StoreError::Full { .. })), "{error}");
}

#[tokio::test]
async fn a_package_of_a_suite_comes_through_an_apt_of_our_own() {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    let manifest = MANIFEST.replace("linux-source-9.9", "linux-source-9.9, suite: tomorrow");
    fs_err::write(root.join("user/manifests/mini.yaml"), manifest).unwrap();
    // The machine's apt is not asked.
    fixture.apt("exit 100", "exit 100");
    let plain = fixture.build(None).await.unwrap();
    assert_eq!((plain.source.version.as_str(), plain.from_store), ("9.9.1-1~x1", false));
    let sources = fs_err::read_to_string(root.join("sources")).unwrap();
    assert!(sources.contains("URIs: http://mirror\nSuites: tomorrow\n"), "{sources}");
    // The root is gone, and for a day nobody is asked.
    assert_eq!(fs_err::read_dir(fixture.kernels.store.path("tmp")).unwrap().count(), 0);
    let asked = || fs_err::read_to_string(root.join("asked")).unwrap();
    let before = asked();
    assert!(fixture.build(None).await.unwrap().from_store);
    assert_eq!(asked(), before);

    // A day later nobody answers.
    let memo = fixture.kernels.store.path("apt/linux-source-9.9_tomorrow.json");
    let text = fs_err::read_to_string(&memo).unwrap();
    let old = regex::Regex::new("\"asked\":[0-9]+").unwrap().replace(&text, "\"asked\":1");
    fs_err::write(&memo, old.as_ref()).unwrap();
    fs_err::write(root.join("silent"), "").unwrap();
    assert!(fixture.build(None).await.unwrap().from_store);
    let notices = fixture.notices.lock().unwrap().clone();
    assert!(notices.last().unwrap().contains("taking version 9.9.1-1~x1"), "{notices:?}");

    // An answer that is remembered for another mirror is none.
    let archive =
        Archive { mirror: Some("http://other".to_owned()), ..fixture.kernels.archive.clone() };
    let kernels = Kernels { archive, asked: Arc::default(), ..fixture.kernels.clone() };
    let error = fixture.build_by(&kernels, None, &[]).await.unwrap_err();
    assert!(matches!(error, KernelError::Source(SourceError::Suite(_))), "{error}");
    assert!(
        error.to_string().contains("tomorrow for amd64: apt cannot reach its mirror"),
        "{error}"
    );
}

/// Programs that play an apt with a root of its own, which `$APT_CONFIG` names.
fn suite_tools(root: &Path) -> host::apt::Tools {
    let script = format!(
        r#"#!/bin/sh
DIR={}
echo "$@" >> $DIR/asked
[ ! -e $DIR/silent ] || {{ echo 'E: Could not connect to mirror'; exit 100; }}
apt=${{APT_CONFIG%/apt.conf}}
case "$*" in
*update) cp $apt/etc/sources.list.d/debian.sources $DIR/sources; touch $apt/lists/x_Packages ;;
*print-uris*)
    sum=$(sha256sum $DIR/mini.deb)
    echo "'http://mirror/x' linux-source-9.9_9.9.1-1~x1_all.deb 9 SHA256:${{sum%% *}}" ;;
*) cp $DIR/mini.deb . ;;
esac
"#,
        root.display()
    );
    let get = root.join("suite-apt-get");
    fs_err::write(&get, script).unwrap();
    fs_err::set_permissions(&get, PermissionsExt::from_mode(0o755)).unwrap();
    let get = get.display().to_string();
    host::apt::Tools { get, config: "true".to_owned(), etc: root.join("etc") }
}

/// Makes `mini` the manifest of a tarball that `origin` leads to, with the digest of `file`.
fn from_tarball(fixture: &Fixture, origin: &str, file: &str) {
    let root = fixture.dir.path();
    let sum = Command::new("sha256sum").arg(root.join(file)).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let source = format!("{{tarball: {{{origin}, sha256: {}}}}}", &sum[..64]);
    let manifest = MANIFEST.replace("{debian: {package: linux-source-9.9}}", &source);
    fs_err::write(root.join("user/manifests/mini.yaml"), manifest).unwrap();
}

#[tokio::test]
async fn a_tarball_becomes_a_kernel_once_its_digest_is_right() {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    run(root, "tar -C src -czf linux-9.9.tgz linux-9.9");
    let origin = format!("file: {}", root.join("linux-9.9.tgz").display());
    from_tarball(&fixture, &origin, "mini.deb");
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Source(SourceError::Digest { .. })), "{error}");
    from_tarball(&fixture, &origin, "linux-9.9.tgz");
    let kernel = fixture.build(None).await.unwrap();
    assert_eq!(kernel.source.package, "linux-9.9.tgz");
    // The tarball is not needed again, not even for another series.
    fs_err::remove_file(root.join("linux-9.9.tgz")).unwrap();
    let series = fixture.series("int zswap;", "int zswap = 1;");
    assert!(fixture.build(Some(&series)).await.is_ok());
    host::store::remove_tree(&fixture.kernels.store.path("sources")).unwrap();
    host::store::remove_tree(&fixture.kernels.store.path("kernels")).unwrap();
    let error = fixture.build(None).await.unwrap_err();
    assert!(error.to_string().contains("there is no tarball"), "{error}");
}

#[tokio::test]
async fn a_tarball_that_reaches_out_of_its_folder_is_refused() {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    let origin = format!("file: {}", root.join("evil.tar").display());
    for (make, says) in [
        ("tar -cPf evil.tar --transform=s,^src/linux-9.9,/evil, src/linux-9.9", "Removing leading"),
        ("tar -cPf evil.tar --transform=s,^src/linux-9.9,a/../../evil, src/linux-9.9", "'..'"),
        ("tar -cf evil.tar user", "no Makefile"),
    ] {
        run(root, make);
        from_tarball(&fixture, &origin, "evil.tar");
        let error = fixture.build(None).await.unwrap_err();
        assert!(matches!(error, KernelError::Source(SourceError::Unusable { .. })), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    std::os::unix::fs::symlink("../../../etc", root.join("src/linux-9.9/evil")).unwrap();
    run(root, "tar -C src -cf evil.tar linux-9.9");
    from_tarball(&fixture, &origin, "evil.tar");
    let error = fixture.build(None).await.unwrap_err().to_string();
    assert!(error.contains("its link evil leads out of the tree"), "{error}");
    assert!(!root.join("evil").exists() && !Path::new("/evil").exists());
}

#[tokio::test]
async fn a_tarball_is_fetched_by_its_url_and_a_refusal_is_explained() {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    run(root, "tar -C src -cJf linux-9.9.tar.xz linux-9.9");
    let body = fs_err::read(root.join("linux-9.9.tar.xz")).unwrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // The first request is refused.
    std::thread::spawn(move || {
        for (request, stream) in server.incoming().flatten().enumerate() {
            use std::io::{BufRead, BufReader, Write};
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let (status, body) =
                if request == 0 { ("404 Gone", &[][..]) } else { ("200 OK", &body[..]) };
            let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        }
    });
    from_tarball(
        &fixture,
        &format!("url: \"http://{address}/linux-9.9.tar.xz\""),
        "linux-9.9.tar.xz",
    );
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Source(SourceError::Download { .. })), "{error}");
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(fixture.build(None).await.unwrap().release, "9.9.1");
}

/// Makes `mini` the manifest of the tree in place at `dir`.
fn from_dir(fixture: &Fixture, dir: &Path) {
    let source = format!("{{dir: {}}}", dir.display());
    let manifest = MANIFEST.replace("{debian: {package: linux-source-9.9}}", &source);
    fs_err::write(fixture.dir.path().join("user/manifests/mini.yaml"), manifest).unwrap();
}

#[tokio::test]
async fn a_tree_in_place_is_followed_and_never_written_to() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path().join("src/linux-9.9");
    from_dir(&fixture, &dir);
    let all = || {
        let list =
            Command::new("find").arg(&dir).args(["-printf", "%p %m %s %T@ %C@ %i\n"]).output();
        String::from_utf8(list.unwrap().stdout).unwrap()
    };
    let before = all();
    let plain = fixture.build(None).await.unwrap();
    let series = fixture.series("int zswap;", "int zswap = 1;");
    fixture.build(Some(&series)).await.unwrap();
    assert_eq!(all(), before);
    assert_eq!(plain.source.version, "dir");
    assert_eq!(fixture.compiled(), ["other", "zswap", "zswap"]);
    assert!(fixture.build(None).await.unwrap().from_store);
    // One edit compiles one file, also when it comes with a patch that is taken off.
    fs_err::write(dir.join("mm/other.c"), "int other = 2;\n").unwrap();
    let edited = fixture.build(None).await.unwrap();
    assert!(!edited.from_store && edited.key != plain.key);
    assert_eq!(fixture.compiled(), ["other", "other", "zswap", "zswap", "zswap"]);
    // A file that is only touched is no edit; another state's kernel is still there.
    fs_err::write(dir.join("mm/other.c"), "int other;\n").unwrap();
    let back = fixture.build(None).await.unwrap();
    assert!(back.from_store && back.key == plain.key);
}

#[tokio::test]
async fn an_edit_of_kconfig_in_a_tree_in_place_configures_again() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path().join("src/linux-9.9");
    from_dir(&fixture, &dir);
    fixture.build(None).await.unwrap();
    let makefile = MAKEFILE.replace("sed -i", "echo CONFIG_LATER=y >> $(O)/.config; sed -i");
    fs_err::write(dir.join("Makefile"), makefile).unwrap();
    assert_eq!(fixture.build(None).await.unwrap().config().unwrap().value("CONFIG_LATER"), "y");
}

#[tokio::test]
async fn a_tree_in_place_that_cannot_be_used_is_explained() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path().join("src/linux-9.9");
    from_dir(&fixture, &dir.join("nonsuch"));
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Source(SourceError::Dir { .. })), "{error}");
    assert!(error.to_string().contains("there is no such folder"), "{error}");
    from_dir(&fixture, &dir);
    fs_err::write(dir.join(".config"), "").unwrap();
    let error = fixture.build(None).await.unwrap_err().to_string();
    assert!(error.contains("built in place: .config is there"), "{error}");
    assert!(error.contains("`make mrproper`"), "{error}");
}
