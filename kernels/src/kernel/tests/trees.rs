// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel trees that are named in place of a manifest.

use super::git::{commit, git, repository};
use super::*;

const STANDARD: &str =
    "config: {base: tinyconfig, fragments: [mini, late], arch: {x86_64: []}}\nmake: {}\n";
/// Options that only some trees have.
const LATE: &str = "CONFIG_LATE=y\n\n#! optional\nCONFIG_LATER=y\n";

/// A fixture whose trees have a version, and none of the options in `late.config`.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    let makefile = format!("VERSION = 9\nPATCHLEVEL = 9\nSUBLEVEL = 1\n{MAKEFILE}")
        .replace("/CONFIG_NEEDS_MORE=/d", "/CONFIG_LATE/d");
    for (file, text) in [
        ("src/linux-9.9/Makefile", makefile.as_str()),
        ("user/config/standard.yaml", STANDARD),
        ("user/config/late.config", LATE),
    ] {
        fs_err::write(root.join(file), text).unwrap();
    }
    fixture
}

impl Fixture {
    /// Builds as another run would; returns the kernel and the notices.
    async fn build_tree(&self, name: &str) -> Result<(KernelArtifact, Vec<String>), KernelError> {
        let kernels = Kernels { asked: Arc::default(), ..self.kernels.clone() };
        self.notices.lock().unwrap().clear();
        let kernel = self.build_named(name, &kernels, None, &[]).await?;
        Ok((kernel, self.notices.lock().unwrap().clone()))
    }
}

#[tokio::test]
async fn a_tree_is_built_without_a_manifest_and_it_is_said_how() {
    let fixture = fixture();
    let dir = fixture.dir.path().join("src/linux-9.9");
    let (kernel, notices) = fixture.build_tree(dir.to_str().unwrap()).await.unwrap();
    assert_eq!(kernel.source.version, "dir");
    let late = fixture.dir.path().join("user/config/late.config");
    let lacks = format!("this source has no CONFIG_LATE ({}:1)", late.display());
    let says = "configured for x86_64 by tinyconfig and mini, late";
    assert_eq!(notices, [format!("Linux 9.9, {says}"), lacks.clone()]);
    // It is said again of a kernel that was built before.
    let (again, notices) = fixture.build_tree(dir.to_str().unwrap()).await.unwrap();
    assert!(again.from_store);
    assert_eq!(notices, [format!("Linux 9.9.1, {says}"), lacks]);
}

#[tokio::test]
async fn a_tree_with_an_option_that_it_drops_is_not_built() {
    let fixture = fixture();
    let dir = fixture.dir.path().join("src/linux-9.9");
    for option in ["LATE", "LATER"] {
        fs_err::write(dir.join("Kconfig"), format!("config {option}\n\tbool \"x\"\n")).unwrap();
        let error = fixture.build_tree(dir.to_str().unwrap()).await.unwrap_err();
        let KernelError::Config(error) = error else { panic!("{error}") };
        assert_eq!(error.dropped[0].name, format!("CONFIG_{option}"));
    }
    assert_eq!(fixture.compiled(), [""; 0]);
}

#[tokio::test]
async fn a_commit_of_a_repository_is_built_by_any_name_that_git_knows() {
    let fixture = fixture();
    let dir = repository(&fixture);
    let first = git(&dir, &["rev-parse", "HEAD"]);
    let second = commit(&dir, "mm/other.c", "int other = 2;\n");
    for (reference, is) in [
        ("v9.9", &first),
        ("main", &second),
        ("HEAD", &second),
        ("HEAD~1", &first),
        (&second[..10], &second),
        ("main^{commit}", &second),
    ] {
        let named = format!("{}:{reference}", dir.display());
        let (kernel, _) = fixture.build_tree(&named).await.unwrap();
        assert_eq!(kernel.source.digest.digits(), is, "{reference}");
        assert_eq!(kernel.source.version, reference);
    }
    for nonsense in ["nonsuch", "HEAD~9", "0000000"] {
        let named = format!("{}:{nonsense}", dir.display());
        let error = fixture.build_tree(&named).await.unwrap_err().to_string();
        assert!(error.contains(&format!("no tag or branch `{nonsense}`")), "{error}");
    }
}

#[tokio::test]
async fn a_tarball_is_built_as_it_is() {
    let fixture = fixture();
    let root = fixture.dir.path();
    run(root, "tar -C src -cJf linux-9.9.tar.xz linux-9.9");
    let named = root.join("linux-9.9.tar.xz").display().to_string();
    let (kernel, _) = fixture.build_tree(&named).await.unwrap();
    assert_eq!((kernel.source.package.as_str(), kernel.from_store), ("linux-9.9.tar.xz", false));
    fs_err::write(root.join("src/linux-9.9/mm/other.c"), "int other = 2;\n").unwrap();
    run(root, "tar -C src -cJf linux-9.9.tar.xz linux-9.9");
    let (other, _) = fixture.build_tree(&named).await.unwrap();
    assert_ne!(other.source.digest, kernel.source.digest);
    assert!(!other.from_store);
}
