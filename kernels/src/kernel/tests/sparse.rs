// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sparse is asked about files of a miniature kernel; a script plays it, make and the compiler are real.

use super::*;
use crate::compile::SparseSaid;

/// Warns of each `char`, and of nothing in a file with an `error` but that.
const WARNS: &str = "sed -n \"s|.*error.*|$1:1:1: error: e|p; s|^char.*|$1:1:1: warning: c|p\" $1; ! grep -q error $1";

impl Fixture {
    /// A program that plays sparse.
    fn sparse(&self, script: &str) -> String {
        let path = self.dir.path().join("sparse");
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    async fn asked(
        &self,
        program: &str,
        series: Option<&Series>,
        files: &[&str],
    ) -> Result<SparseSaid, KernelError> {
        let manifest = self.library.manifest("mini").unwrap();
        let arch = &host::arch::X86_64;
        let request = Request { manifest: &manifest, arch, fragments: &[], series };
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        self.kernels.sparse_by(program, request, &files, &|_| ()).await
    }
}

#[tokio::test]
async fn both_sides_are_asked_about_the_files_that_compile_and_no_warning_of_the_build_is_lost() {
    let fixture = Fixture::new();
    let program = fixture.sparse(WARNS);
    let series = fixture.series("int zswap;", "char zswap = 300;");
    assert_eq!(series.c_files(), ["mm/zswap.c"]);
    let said =
        async |series| fixture.asked(&program, series, &["mm/zswap.c", "mm/new.c"]).await.unwrap();
    let base = said(None).await;
    assert_eq!((base.files, base.warnings), (vec!["mm/zswap.c".to_owned()], Vec::new()));
    let tip = said(Some(&series)).await;
    // The compiler warns, too, and that is not sparse's.
    assert_eq!(tip.warnings, ["mm/zswap.c:1:1: warning: c"]);
    assert!(!tip.is_cut && tip.left_out.is_empty());
    let built = fixture.build(Some(&series)).await.unwrap();
    let [warning] = built.warnings.as_deref().unwrap() else { panic!("{built:?}") };
    assert!(warning.starts_with("mm/zswap.c:1:14: warning: "), "{warning}");
    // One that does not compile is left out, and one that sparse does not understand is told.
    let broken = fixture.series("int zswap;", "int zswap");
    let said = fixture.asked(&program, Some(&broken), &["mm/zswap.c", "mm/other.c"]).await.unwrap();
    assert_eq!(
        (said.files, said.left_out),
        (vec!["mm/other.c".to_owned()], vec!["mm/zswap.c".to_owned()])
    );
    let error = fixture.series("int zswap;", "int error;");
    let said = fixture.asked(&program, Some(&error), &["mm/zswap.c"]).await.unwrap();
    assert_eq!(said.warnings, ["mm/zswap.c:1:1: error: e"]);
}

#[tokio::test]
async fn one_that_does_not_work_is_told() {
    let fixture = Fixture::new();
    let program = fixture.sparse("echo 'sparse: fatal Error'; exit 3");
    let error = fixture.asked(&program, None, &["mm/zswap.c"]).await.unwrap_err().to_string();
    assert!(error.contains("make C=2 with ") && error.contains("--no-sparse"), "{error}");
}
