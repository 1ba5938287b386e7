// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel from the node that has built it to another one.

use super::*;

#[tokio::test]
async fn a_kernel_is_taken_over_whatever_apt_knows_there() {
    let fixture = Fixture::new();
    let built = fixture.build(None).await.unwrap();
    let store = |name: &str| Store::open(fixture.dir.path().join(name)).unwrap();
    let on_its_way = store("on-its-way");
    fixture.kernels.hand_over(&built, &on_its_way).await.unwrap();
    fixture.apt(
        "printf 'Package: linux-source-9.9\\nVersion: 9.9.2-1\\nSHA256: %064d\\n' 7",
        "exit 1",
    );
    let node = |name: &str| {
        let kernels = Kernels { asked: Arc::default(), ..fixture.kernels.clone() };
        kernels.in_store(store(name))
    };
    let manifest = fixture.library.manifest("mini").unwrap();
    let arch = &host::arch::X86_64;
    let request = Request { manifest: &manifest, arch, fragments: &[], series: None };
    let told = node("told");
    told.assume(&manifest.source, built.source.clone());
    assert!(told.take_over(request, &on_its_way, &|_| ()).await.unwrap());
    let taken = fixture.build_by(&told, None, &[]).await.unwrap();
    assert_eq!((taken.key, taken.from_store), (built.key, true));
    // Whoever asks apt himself wants another kernel, which nobody has built.
    assert!(!node("untold").take_over(request, &on_its_way, &|_| ()).await.unwrap());
}
