// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels from git repositories that the tests make.

use super::*;

/// Runs git in `dir`, without the user's configuration; returns what it prints.
pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A Hacker", "-c", "user.email=a@example.org"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes the miniature kernel a repository with a branch `main` and an annotated tag `v9.9`.
pub(super) fn repository(fixture: &Fixture) -> PathBuf {
    let dir = fixture.dir.path().join("src/linux-9.9");
    git(&dir, &["init", "-q", "-b", "main"]);
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "-q", "-m", "start"]);
    git(&dir, &["tag", "-a", "-m", "first", "v9.9"]);
    dir
}

/// Commits another text for a file; returns the commit.
pub(super) fn commit(dir: &Path, file: &str, text: &str) -> String {
    fs_err::write(dir.join(file), text).unwrap();
    git(dir, &["add", "."]);
    git(dir, &["commit", "-q", "-m", file]);
    git(dir, &["rev-parse", "HEAD"])
}

/// Makes `mini` the manifest of a commit.
pub(super) fn from_git(fixture: &Fixture, repo: &str, reference: &str) {
    let source = format!("{{git: {{repo: \"{repo}\", ref: \"{reference}\"}}}}");
    let manifest = MANIFEST.replace("{debian: {package: linux-source-9.9}}", &source);
    fs_err::write(fixture.dir.path().join("user/manifests/mini.yaml"), manifest).unwrap();
}

/// The only mirror.
fn mirror(fixture: &Fixture) -> PathBuf {
    let mirrors = fs_err::read_dir(fixture.kernels.store.path("git")).unwrap();
    mirrors.flatten().next().unwrap().path()
}

/// Removes an object from a mirror.
fn lose(mirror: &Path, id: &str) {
    fs_err::remove_file(mirror.join("objects").join(&id[..2]).join(&id[2..])).unwrap();
}

async fn source_error(fixture: &Fixture) -> String {
    let error = fixture.build(None).await.unwrap_err();
    assert!(matches!(error, KernelError::Source(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_branch_is_followed_and_costs_what_changed() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = dir.display().to_string();
    from_git(&fixture, &repo, "main");
    // What is not committed does not count, and the checkout is left alone.
    fs_err::write(dir.join("mm/other.c"), "this is not C").unwrap();
    let status = || git(&dir, &["--no-optional-locks", "status", "--porcelain=v2", "--branch"]);
    let before = (status(), fs_err::read(dir.join(".git/index")).unwrap());
    let plain = fixture.build(None).await.unwrap();
    assert_eq!((status(), fs_err::read(dir.join(".git/index")).unwrap()), before);
    assert_eq!((plain.source.package.as_str(), plain.source.version.as_str()), (&*repo, "main"));
    assert_eq!(plain.source.digest.digits(), git(&dir, &["rev-parse", "HEAD"]));
    assert_eq!(fixture.compiled(), ["other", "zswap"]);
    git(&dir, &["checkout", "-q", "mm/other.c"]);
    let next = commit(&dir, "mm/other.c", "int other = 2;\n");
    let edited = fixture.build(None).await.unwrap();
    assert_eq!(edited.source.digest.digits(), next);
    assert_eq!(fixture.compiled(), ["other", "other", "zswap"]);
    // A series goes on top, and the tag is the earlier commit.
    let series = fixture.series("int zswap;", "int zswap = 1;");
    fixture.build(Some(&series)).await.unwrap();
    assert_eq!(fixture.compiled(), ["other", "other", "zswap", "zswap"]);
    from_git(&fixture, &repo, "v9.9");
    assert_eq!(fixture.build(None).await.unwrap().source.digest, plain.source.digest);
}

#[tokio::test]
async fn all_kernels_of_a_run_are_of_one_commit_though_the_branch_moves_on() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    from_git(&fixture, &dir.display().to_string(), "main");
    let first = git(&dir, &["rev-parse", "HEAD"]);
    let run = fixture.kernels.clone();
    let of = async |series: Option<&Series>| {
        let kernel = fixture.build_by(&run, series, &[]).await.unwrap();
        kernel.source.digest.digits().to_owned()
    };
    assert_eq!(of(None).await, first);
    commit(&dir, "mm/other.c", "int other = 2;\n");
    let series = fixture.series("int zswap;", "int zswap = 1;");
    assert_eq!(of(Some(&series)).await, first);
    // The next run asks again.
    assert_ne!(fixture.build(None).await.unwrap().source.digest.digits(), first);
}

#[tokio::test]
async fn commits_by_their_ids_share_a_work_tree() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let second = commit(&dir, "mm/zswap.c", "int zswap = 2;\n");
    commit(&dir, "mm/zswap.c", "int zswap = 3;\n");
    for (reference, compiled) in [
        (git(&dir, &["rev-parse", "v9.9^{commit}"]), &["other", "zswap"][..]),
        (second, &["other", "zswap", "zswap"]),
    ] {
        from_git(&fixture, &dir.display().to_string(), &reference);
        assert_eq!(fixture.build(None).await.unwrap().source.digest.digits(), reference);
        assert_eq!(fixture.compiled(), compiled);
    }
    // Both are kept without the history, and need the repository no more.
    fs_err::rename(&dir, fixture.dir.path().join("elsewhere")).unwrap();
    host::store::remove_tree(&fixture.kernels.store.path("kernels")).unwrap();
    host::store::remove_tree(&fixture.kernels.store.path("sources")).unwrap();
    assert!(fixture.build(None).await.is_ok());
}

#[tokio::test]
async fn trees_of_neighbours_share_the_files_that_are_the_same() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    from_git(&fixture, &dir.display().to_string(), "main");
    for sub in ["old/deep", "mm"] {
        fs_err::create_dir_all(dir.join(sub)).unwrap();
    }
    fs_err::write(dir.join("old/deep/x"), "x").unwrap();
    let before = commit(&dir, "turns", "file");
    fixture.build(None).await.unwrap();
    git(&dir, &["rm", "-q", "-r", "old", "turns"]);
    fs_err::create_dir(dir.join("turns")).unwrap();
    commit(&dir, "turns/into", "folder");
    commit(&dir, "mm/other.c", "int other = 2;\n");
    fixture.build(None).await.unwrap();
    let sources = fs_err::read_dir(fixture.kernels.store.path("sources")).unwrap();
    let mut trees: Vec<_> = sources.flatten().map(|entry| entry.path().join("tree")).collect();
    trees.sort_by_key(|tree| tree.join("turns").is_dir());
    let [first, second] = &trees[..] else { panic!("{trees:?}") };
    let inode = |tree: &Path, file: &str| {
        std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(tree.join(file)).unwrap())
    };
    assert_eq!(inode(first, "mm/zswap.c"), inode(second, "mm/zswap.c"));
    let read = |tree: &Path| fs_err::read_to_string(tree.join("mm/other.c")).unwrap();
    assert_eq!((read(first), read(second)), ("int other;\n".into(), "int other = 2;\n".into()));
    assert!(first.join("old/deep/x").is_file() && !second.join("old").exists());
    assert!(first.join("turns").is_file() && second.join("turns/into").is_file());
    // A damaged mirror is noticed on this way too.
    host::store::remove_tree(second.parent().unwrap()).unwrap();
    host::store::remove_tree(&fixture.kernels.store.path("kernels")).unwrap();
    let mirror = mirror(&fixture);
    fs_err::write(mirror.join("swapstorm-last"), before).unwrap();
    lose(&mirror, &git(&dir, &["rev-parse", "HEAD:mm/other.c"]));
    fixture.build(None).await.unwrap();
    assert_eq!(read(second), "int other = 2;\n");
    let notices = fixture.notices.lock().unwrap().clone();
    assert!(notices[0].contains("was damaged and is made again"), "{notices:?}");
}

#[tokio::test]
async fn a_repository_out_of_reach_gives_what_is_known_of_it() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = format!("file://{}", dir.display());
    for reference in ["main", "HEAD", "v9.9", "refs/heads/main"] {
        from_git(&fixture, &repo, reference);
        let kernel = fixture.build(None).await.unwrap();
        let hidden = dir.join("hidden");
        fs_err::rename(dir.join(".git"), &hidden).unwrap();
        // There is nothing there, which no retry would help.
        assert!(source_error(&fixture).await.contains("it is no git repository"), "{reference}");
        fs_err::rename(&hidden, dir.join(".git")).unwrap();
        // A port where nobody listens is a server out of reach.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let gone = format!("git://127.0.0.1:{port}/linux");
        from_git(&fixture, &gone, reference);
        let error = source_error(&fixture).await;
        assert!(error.contains("cannot be fetched from") && error.contains("hint: "), "{error}");
        // Its mirror is played by the other's.
        let mirror = |repo: &str| {
            let key = KeyHasher::new("mirror", 1).field("repo", repo).finish();
            fixture.kernels.store.path("git").join(key.as_str())
        };
        host::store::remove_tree(&mirror(&gone)).unwrap();
        run(
            fixture.dir.path(),
            &format!("cp -a {} {}", mirror(&repo).display(), mirror(&gone).display()),
        );
        fixture.notices.lock().unwrap().clear();
        let known = fixture.build(None).await.unwrap();
        assert_eq!(known.source.digest, kernel.source.digest);
        let notices = fixture.notices.lock().unwrap().clone();
        // A tag is what it is; a branch may have moved on.
        if reference == "v9.9" {
            assert_eq!(notices, [""; 0]);
        } else {
            assert!(
                notices[0].contains(&format!("cannot be asked for {reference}: taking")),
                "{notices:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_repository_does_not_have_is_explained() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = dir.display().to_string();
    from_git(&fixture, &repo, "v9,9");
    let error = source_error(&fixture).await;
    assert!(
        error.ends_with("has no tag or branch `v9,9`\n  hint: did you mean `v9.9`?"),
        "{error}"
    );
    from_git(&fixture, &repo, &"0123456789".repeat(4));
    assert!(source_error(&fixture).await.contains("it has no commit 0123456789"));
    from_git(&fixture, &fixture.dir.path().join("user").display().to_string(), "main");
    assert!(source_error(&fixture).await.contains("it is no git repository"));
    git(&dir, &["rm", "-q", "Makefile"]);
    git(&dir, &["commit", "-q", "-m", "empty"]);
    from_git(&fixture, &repo, "main");
    assert!(source_error(&fixture).await.contains("there is no Makefile"));
}

#[tokio::test]
async fn a_shallow_clone_will_do_and_a_damaged_mirror_is_made_again() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    commit(&dir, "mm/other.c", "int other = 2;\n");
    let from = format!("file://{}", dir.display());
    git(fixture.dir.path(), &["clone", "-q", "--depth=1", &from, "clone"]);
    from_git(&fixture, &fixture.dir.path().join("clone").display().to_string(), "main");
    let plain = fixture.build(None).await.unwrap();
    for bucket in ["kernels", "sources"] {
        host::store::remove_tree(&fixture.kernels.store.path(bucket)).unwrap();
    }
    // Blobs are lost; the locks of a killed git are there.
    let mirror = mirror(&fixture);
    fs_err::write(mirror.join("shallow.lock"), "").unwrap();
    lose(&mirror, &git(&dir, &["rev-parse", "HEAD:mm/other.c"]));
    fixture.notices.lock().unwrap().clear();
    assert_eq!(fixture.build(None).await.unwrap().source.digest, plain.source.digest);
    let notices = fixture.notices.lock().unwrap().clone();
    assert!(notices[0].contains("was damaged and is made again"), "{notices:?}");
}

#[tokio::test]
async fn what_killed_gits_leave_is_cleared_away_and_nothing_else() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let repo = dir.display().to_string();
    let key = KeyHasher::new("mirror", 1).field("repo", &repo).finish();
    let mirror = fixture.kernels.store.path("git").join(key.as_str());
    let half = mirror.with_extension("new");
    fs_err::create_dir_all(&half).unwrap();
    fs_err::write(half.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    // Names that look like those of loose objects' folders, and like those of half of a pack.
    for branch in ["mm/topic", "tmp_topic"] {
        git(&dir, &["checkout", "-q", "-b", branch]);
        commit(&dir, "mm/other.c", &format!("int other; /* {branch} */\n"));
        let lock = mirror.join("refs/heads").join(format!("{branch}.lock"));
        let pack = mirror.join("objects/pack/tmp_pack_x");
        if mirror.exists() {
            for file in [&lock, &pack] {
                fs_err::create_dir_all(file.parent().unwrap()).unwrap();
                fs_err::write(file, "").unwrap();
            }
        }
        from_git(&fixture, &repo, branch);
        fixture.build(None).await.unwrap();
        assert!(!half.exists() && !lock.exists() && !pack.exists());
    }
    from_git(&fixture, &repo, "mm/topic");
    commit(&dir, "mm/other.c", "int another;\n");
    git(&dir, &["branch", "-f", "mm/topic"]);
    fs_err::write(mirror.join("refs/heads/mm/topic.lock"), "").unwrap();
    fixture.build(None).await.unwrap();
    assert!(mirror.join("refs/heads/tmp_topic").is_file());
    // An empty file is what a crash of the machine leaves of an object: the repository is well.
    let id = git(&dir, &["rev-parse", "HEAD"]);
    let object = mirror.join("objects").join(&id[..2]).join(&id[2..]);
    fs_err::remove_file(&object).unwrap();
    fs_err::write(&object, "").unwrap();
    for bucket in ["kernels", "sources"] {
        host::store::remove_tree(&fixture.kernels.store.path(bucket)).unwrap();
    }
    fixture.notices.lock().unwrap().clear();
    fixture.build(None).await.unwrap();
    let notices = fixture.notices.lock().unwrap().clone();
    assert!(notices[0].contains("was damaged and is made again"), "{notices:?}");
}

#[tokio::test]
async fn submodules_stay_empty_and_may_become_folders_and_folders_files() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    from_git(&fixture, &dir.display().to_string(), "main");
    for digit in ["1", "2"] {
        let link = format!("160000,{},sub", digit.repeat(40));
        git(&dir, &["update-index", "--add", "--cacheinfo", &link]);
        git(&dir, &["commit", "-q", "-m", digit]);
        fixture.build(None).await.unwrap();
    }
    git(&dir, &["rm", "-q", "--cached", "sub"]);
    fs_err::create_dir_all(dir.join("sub")).unwrap();
    commit(&dir, "sub/file", "text\n");
    let built = async |file: &str| {
        let commit = fixture.build(None).await.unwrap().source.digest.digits().to_owned();
        let key = KeyHasher::new("git tree", 1).field("commit", commit).finish();
        let tree = fixture.kernels.store.path("sources").join(key.as_str()).join("tree");
        fs_err::read_to_string(tree.join(file)).unwrap()
    };
    assert_eq!(built("sub/file").await, "text\n");
    git(&dir, &["rm", "-q", "-r", "sub"]);
    commit(&dir, "sub", "a file\n");
    assert_eq!(built("sub").await, "a file\n");
}

#[tokio::test]
async fn nothing_in_a_repository_or_its_configuration_is_run() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let evil = fixture.dir.path().join("evil");
    let script = format!("touch {}", evil.display());
    for name in
        ["core.fsmonitor", "uploadpack.packObjectsHook", "filter.evil.smudge", "core.sshCommand"]
    {
        git(&dir, &["config", name, &script]);
    }
    for hook in ["post-checkout", "reference-transaction", "pre-auto-gc"] {
        let hook = dir.join(".git/hooks").join(hook);
        fs_err::create_dir_all(hook.parent().unwrap()).unwrap();
        fs_err::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs_err::write(dir.join(".gitattributes"), "*.c filter=evil\n").unwrap();
    // The commit itself runs them: that is the control.
    commit(&dir, "mm/other.c", "int other = 3;\n");
    assert!(evil.exists());
    fs_err::remove_file(&evil).unwrap();
    from_git(&fixture, &dir.display().to_string(), "main");
    fixture.build(None).await.unwrap();
    assert!(!evil.exists());
}

#[tokio::test]
async fn a_link_that_leads_out_of_a_commits_tree_is_refused() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    std::os::unix::fs::symlink("../../../etc", dir.join("evil")).unwrap();
    commit(&dir, "mm/other.c", "int other = 3;\n");
    from_git(&fixture, &dir.display().to_string(), "main");
    assert!(source_error(&fixture).await.contains("its link evil leads out of the tree"));
}

#[tokio::test]
async fn a_repository_of_another_user_is_explained() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    let chown = Command::new("chown").args(["-R", "65534"]).arg(&dir).output().unwrap();
    if !chown.status.success() {
        // Only root can give files away.
        return;
    }
    from_git(&fixture, &dir.display().to_string(), "main");
    let error = source_error(&fixture).await;
    assert!(error.contains("it belongs to another user") && error.contains("hint: "), "{error}");
}

#[tokio::test]
async fn a_partial_clone_is_read_as_it_is() {
    let fixture = Fixture::new();
    let dir = repository(&fixture);
    git(&dir, &["config", "uploadpack.allowFilter", "true"]);
    for text in ["int other = 2;\n", "int other = 3;\n"] {
        commit(&dir, "mm/other.c", text);
    }
    let from = format!("file://{}", dir.display());
    let clone = fixture.dir.path().join("clone");
    git(fixture.dir.path(), &["clone", "-q", "--filter=blob:none", &from, "clone"]);
    let objects = || git(&clone, &["count-objects", "-v"]);
    let before = objects();
    // The files of its commit are there; those of its history would have to be fetched.
    from_git(&fixture, &clone.display().to_string(), "main");
    let series = fixture.series("int zswap;", "int zswap = 1;");
    let prerequisites = vec![format!("patch-id: {}", "0123456789".repeat(4))];
    fixture.build(Some(&Series { prerequisites, ..series })).await.unwrap();
    assert_eq!(*fixture.notices.lock().unwrap(), [""; 0]);
    from_git(&fixture, &clone.display().to_string(), "v9.9");
    let error = source_error(&fixture).await;
    assert!(error.contains("it is a partial clone, or damaged\n  hint: "), "{error}");
    assert_eq!(objects(), before);
}
