// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds that are interrupted, and go on where they were: a real make and a real compiler, whose recipes write
//! their records as kbuild's do.

use super::*;

/// In the order in which they are compiled.
const OBJECTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// `DIR` is the folder with the scripts.
const MAKEFILE: &str = "
.NOTPARALLEL:
all: vmlinux bzImage
tinyconfig:
\techo 'CONFIG_64BIT=y' > $(O)/.config
olddefconfig:
\t@true
vmlinux: $(foreach name,a b c d e f,$(O)/mm/$(name).o)
\tcat $^ > $(O)/vmlinux
\tmkdir -p $(O)/include/config $(O)/arch/x86/boot
\techo 9.9.1 > $(O)/include/config/kernel.release
bzImage: vmlinux
\tcp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
$(O)/mm/%.o: mm/%.c
\t@echo '  CC      mm/$*.o'
\t@mkdir -p $(O)/mm
\t@gcc -c $< -o $@
\t@echo $* >> DIR/compiled
\t@sh DIR/halt $* $@
\t@echo 'cmd_mm/$*.o := gcc -c mm/$*.c' > $(O)/mm/.$*.o.cmd
";

/// Tears the object that the plan names, and has make end as the plan says. The next file is a minute younger, as
/// if make had gone on: what was finished just before an end is compiled again in any case.
const HALT: &str = "
read object how < DIR/plan || exit 0
[ \"$object\" = \"$1\" ] || exit 0
: > DIR/plan
printf torn > \"$2\"
touch -d '+ 1 minute' \"$2.later\"
case $how in
drop) echo '  TORN    torn.o'; exec sleep 1000 ;;
TERM) kill -TERM $PPID; exec sleep 1000 ;;
KILL) kill -KILL $PPID ;;
esac
";

struct Builds {
    fixture: Fixture,
}

impl Builds {
    fn new() -> Self {
        let fixture = Fixture::new();
        let root = fixture.dir.path().to_owned();
        let (tree, dir) = (root.join("src/linux-9.9"), root.display().to_string());
        fs_err::write(tree.join("Makefile"), MAKEFILE.replace("DIR", &dir)).unwrap();
        for object in OBJECTS {
            let text = format!("int {object}(void) {{ return sizeof(__FILE__); }}\n");
            fs_err::write(tree.join(format!("mm/{object}.c")), text).unwrap();
        }
        fs_err::write(root.join("halt"), HALT.replace("DIR", &dir)).unwrap();
        fs_err::write(root.join("plan"), "").unwrap();
        from_dir(&fixture, &tree);
        Self { fixture }
    }

    /// The objects compiled since the last time that this was asked.
    fn compiled(&self) -> Vec<String> {
        let log = self.fixture.dir.path().join("compiled");
        let text = fs_err::read_to_string(&log).unwrap_or_default();
        fs_err::write(log, "").unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// What the only work tree of the store holds of an object; `None` if it is not there.
    fn left(&self, object: &str) -> Option<Vec<u8>> {
        let work = self.fixture.kernels.store.path("work");
        let tree = fs_err::read_dir(work).unwrap().next().unwrap().unwrap().path();
        fs_err::read(tree.join(format!("build/mm/{object}.o"))).ok()
    }

    /// Builds until the compiler has come to `object`, and make ends in this way.
    async fn interrupted_at(&self, object: &str, how: &str) {
        fs_err::write(self.fixture.dir.path().join("plan"), format!("{object} {how}\n")).unwrap();
        let manifest = self.fixture.library.manifest("mini").unwrap();
        let arch = &host::arch::X86_64;
        let request = Request { manifest: &manifest, arch, fragments: &[], series: None };
        let (torn, is_torn) = tokio::sync::oneshot::channel();
        let torn = Mutex::new(Some(torn));
        let progress = |news: Progress<'_>| {
            if let Progress::Objects { current: "torn.o", .. } = news
                && let Some(torn) = torn.lock().unwrap().take()
            {
                torn.send(()).unwrap();
            }
        };
        tokio::select! {
            built = self.fixture.kernels.build(request, &progress) => {
                assert!(built.is_err() && how != "drop", "{how}: {built:?}");
            }
            // Dropped here, as it is when the program ends.
            _ = is_torn => assert_eq!(how, "drop"),
        }
    }
}

#[tokio::test]
async fn what_was_compiled_before_an_interruption_is_used_again_and_gives_the_same_kernel() {
    let mut builds = Builds::new();
    let whole = builds.fixture.build(None).await.unwrap();
    assert_eq!(builds.compiled(), OBJECTS);
    let files = |kernel: &KernelArtifact| {
        let images = host::arch::X86_64.images.iter().map(|image| kernel.image(image));
        let all = images.chain([kernel.vmlinux(), kernel.config_path()]);
        all.map(|file| fs_err::read(file).unwrap()).collect::<Vec<_>>()
    };
    let expected = (whole.key.clone(), files(&whole));

    let store = Store::open(builds.fixture.dir.path().join("another")).unwrap();
    builds.fixture.kernels.store = store;
    // A make that is asked to stop removes what it did not finish.
    builds.interrupted_at("b", "TERM").await;
    assert_eq!(builds.compiled(), ["a", "b"]);
    assert_eq!(builds.left("b"), None);
    // One that is killed leaves it, and another make would take it for finished.
    builds.interrupted_at("d", "KILL").await;
    assert_eq!(builds.compiled(), ["b", "c", "d"]);
    assert_eq!(builds.left("d").as_deref(), Some(&b"torn"[..]));
    builds.interrupted_at("e", "drop").await;
    assert_eq!(builds.compiled(), ["d", "e"]);
    let last = builds.fixture.build(None).await.unwrap();
    assert_eq!(builds.compiled(), ["e", "f"]);
    assert!(!last.from_store);
    assert_eq!((last.key.clone(), files(&last)), expected);
}
