// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series on kernels from git repositories, whose history helps to apply them.

use super::git::{commit, from_git, git, repository};
use super::*;

#[tokio::test]
async fn a_series_that_does_not_fit_is_merged_from_its_base() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = dir.display().to_string();
    let base = commit(&dir, "mm/zswap.c", "int a;\n\n\nint zswap;\n");
    git(&dir, &["checkout", "-q", "-b", "topic"]);
    fs_err::write(dir.join("mm/new.c"), "int new;\n").unwrap();
    commit(&dir, "mm/zswap.c", "int a;\n\n\nint zswap = 2;\n");
    git(&dir, &["checkout", "-q", "main"]);
    // The context of the change is another; then its line is.
    commit(&dir, "mm/zswap.c", "int b;\n\n\nint zswap;\n");
    from_git(&fixture, &repo, "main");
    let series = fixture.library.obtain_series(&format!("{repo}:main..topic")).await.unwrap();
    assert_eq!(series.base.as_ref(), Some(&base));
    fixture.build(Some(&series)).await.unwrap();
    let notice = format!("merged from the commit it was made for, {base}");
    assert!(fixture.notices.lock().unwrap()[0].ends_with(&notice));
    let work = fs_err::read_dir(fixture.kernels.store.path("work")).unwrap();
    let source = work.flatten().next().unwrap().path().join("source");
    let read = |file: &str| fs_err::read_to_string(source.join(file)).unwrap();
    assert_eq!(read("mm/zswap.c"), "int b;\n\n\nint zswap = 2;\n");
    assert_eq!(read("mm/new.c"), "int new;\n");
    commit(&dir, "mm/zswap.c", "int b;\n\n\nint zswap = 3;\n");
    let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
    let says = format!("made for commit {base}; it applies to {base}: name that as `ref:`");
    assert!(error.contains(&says), "{error}");
    assert!(error.contains("mm/zswap.c:1: hunk 1"), "{error}");
    // A base that the source does not have, or that the series does not fit.
    let elsewhere = "0123456789".repeat(4);
    for other in [&elsewhere, &git(&dir, &["rev-parse", "v9.9^{commit}"])] {
        let series = Series { base: Some(other.clone()), ..series.clone() };
        let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
        let missing = if *other == elsewhere { ", which the source does not have" } else { "" };
        assert!(error.ends_with(&format!("it was made for commit {other}{missing}")), "{error}");
    }
    // The branch itself has the series already: nothing would be tested.
    from_git(&fixture, &repo, "topic");
    let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
    assert!(error.contains("the source already has this change"), "{error}");
    from_git(&fixture, &repo, "main");
    // Without one that helps, it is looked for by the files.
    git(&dir, &["tag", "v9.9.1", &base]);
    for base in [None, Some(elsewhere)] {
        let series = Series { base, ..series.clone() };
        let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
        assert!(error.contains("; it applies to v9.9.1: name that as `ref:`"), "{error}");
    }
}

#[tokio::test]
async fn what_must_be_applied_before_is_looked_for_in_the_history() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = dir.display().to_string();
    git(&dir, &["checkout", "-q", "-b", "topic"]);
    for (file, text) in [("one.c", "int one;\n"), ("two.c", "int two;\n")] {
        commit(&dir, file, text);
    }
    commit(&dir, "mm/zswap.c", "int zswap = 2;\n");
    // git itself says which two patches the third one wants.
    let mails = git(&dir, &["format-patch", "--stdout", "--base=v9.9^{commit}", "-1"]);
    let path = fixture.dir.path().join("topic.mbx");
    fs_err::write(&path, format!("{mails}\n")).unwrap();
    let series = fixture.library.series(path.to_str().unwrap()).unwrap();
    let [one, two] = &series.prerequisites[..] else { panic!("{:?}", series.prerequisites) };
    // One of them came in by another way, and not alone.
    git(&dir, &["checkout", "-q", "main"]);
    commit(&dir, "mm/other.c", "int other = 2;\n");
    git(&dir, &["cherry-pick", "topic~2"]);
    let picked = git(&dir, &["rev-parse", "HEAD"]);
    commit(&dir, "mm/other.c", "int other = 3;\n");
    from_git(&fixture, &repo, "main");
    fixture.build(Some(&series)).await.unwrap();
    let missing = format!("{two}: none of the source's newest 1000 commits has it");
    let notices = fixture.notices.lock().unwrap().clone();
    let path = path.display();
    assert_eq!(notices, [format!("series {path} applies, but wants before it {missing}")]);
    // The control: it is found, and nothing is said.
    git(&dir, &["cherry-pick", "topic~1"]);
    fixture.notices.lock().unwrap().clear();
    fixture.build(Some(&series)).await.unwrap();
    assert_eq!(*fixture.notices.lock().unwrap(), [""; 0]);
    git(&dir, &["reset", "-q", "--hard", "HEAD~1"]);

    commit(&dir, "mm/zswap.c", "int zswap = 3;\n");
    let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
    let all = format!("applied before it:\n    {one}: commit {picked} has it\n    {missing}");
    assert!(error.ends_with(&all), "{error}");
    // A clone without its history: the tree of its only commit is nobody's patch.
    let from = format!("file://{repo}");
    git(fixture.dir.path(), &["clone", "-q", "--depth=1", &from, "clone"]);
    from_git(&fixture, &fixture.dir.path().join("clone").display().to_string(), "main");
    let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{one}: none of the source's")), "{error}");
    // What has no patch's id is not looked for.
    let prerequisites = vec!["message-id: <a@b>".to_owned()];
    let series = Series { prerequisites, ..fixture.series("int nothing;", "int zswap;") };
    let error = fixture.build(Some(&series)).await.unwrap_err().to_string();
    assert!(error.ends_with("\n    message-id: <a@b>"), "{error}");
}
