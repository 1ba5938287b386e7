// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources, series and packages that are not what they should be, or are hostile.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use crate::scene::Scene;

/// A port of the loopback interface where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The SHA-256 that coreutils say.
fn sha256(scene: &Scene, file: &str) -> String {
    scene.sh(&format!("sha256sum {file} | cut -d' ' -f1 > sum"));
    fs::read_to_string(scene.path("sum")).unwrap().trim().to_owned()
}

/// A folder `linux` that looks like a kernel's source.
fn linux(scene: &Scene) {
    scene.sh(
        "mkdir -p linux/mm; cd linux; touch Makefile Kconfig; seq 9 > mm/zswap.c; ln -s mm link",
    );
}

/// A patch that changes the fifth line of a file of [`linux`].
fn patch(file: &str) -> String {
    format!(
        "From: A Hacker <a@example.org>\nSubject: [PATCH] mm: change\n\n--- a/{file}\n+++ b/{file}\n@@ -4,3 +4,3 @@\n 4\n-5\n+five\n 6\n"
    )
}

#[test]
fn a_tarball_must_be_the_one_that_the_manifest_means() {
    let scene = Scene::new();
    linux(&scene);
    scene.sh("tar -cf linux.tar linux");
    let (zeros, found) = ("0".repeat(64), sha256(&scene, "linux.tar"));
    let file = scene.path("linux.tar").display().to_string();
    scene.manifest(&format!("tarball: {{file: {file}, sha256: {zeros}}}"));
    let says = format!("linux.tar: its SHA-256 is {found}, the manifest says {zeros}");
    scene.refuses(&["build", "mine"], 2, &[&says]);

    scene.manifest(&format!("tarball: {{file: {file}.gone, sha256: {zeros}}}"));
    scene.refuses(&["build", "mine"], 2, &["there is no tarball [SCENE]/linux.tar.gone"]);

    let url = format!("http://127.0.0.1:{}/linux.tar", closed_port());
    scene.manifest(&format!("tarball: {{url: \"{url}\", sha256: {zeros}}}"));
    scene.refuses(&["build", "mine"], 3, &[&format!("{url} cannot be fetched")]);

    // A server that gives something else.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/linux.tar", server.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        client.write_all(b"HTTP/1.0 200 OK\r\n\r\nevil").unwrap();
    });
    scene.manifest(&format!("tarball: {{url: \"{url}\", sha256: {zeros}}}"));
    scene.refuses(&["build", "mine"], 2, &[&url, "its SHA-256 is ", &zeros]);
}

#[test]
fn a_tarball_that_reaches_out_of_its_tree_is_refused() {
    for (pack, says) in [
        (
            "tar -cPf evil.tar --transform 's,^mine$,linux/../../../evil,' linux mine",
            "names in it lead out of the tree:",
        ),
        (
            "tar -cPf evil.tar --transform 's,^mine$,/tmp/swapstorm-evil,' linux mine",
            "names in it lead out of the tree:",
        ),
        (
            "ln -s ../../evil linux/out; tar -cf evil.tar linux",
            "its link out leads out of the tree",
        ),
        (
            "ln -s /etc/passwd linux/out; tar -cf evil.tar linux",
            "its link out leads out of the tree",
        ),
        // First a link to a folder, then a file through it.
        (
            "mkdir away; ln -s $PWD/away linux/out; tar -cf evil.tar linux; \
             tar -rf evil.tar --transform 's,^mine$,linux/out/evil,' mine",
            "tar cannot unpack it:",
        ),
        // Another name for a file outside.
        (
            "ln linux/Makefile linux/x; tar -cPf evil.tar --sort=name --transform 'flags=h;s,^.*$,/etc/passwd,' linux",
            "names in it lead out of the tree:",
        ),
        ("mkfifo linux/pipe; tar -cf evil.tar linux", "its pipe is neither a file nor a folder"),
        ("rm linux/Makefile; tar -cf evil.tar linux", "there is no Makefile"),
        ("echo no archive > evil.tar", "tar cannot unpack it:"),
    ] {
        let scene = Scene::new();
        linux(&scene);
        scene.sh("echo evil > mine");
        scene.sh(pack);
        let sum = sha256(&scene, "evil.tar");
        let file = scene.path("evil.tar").display().to_string();
        scene.manifest(&format!("tarball: {{file: {file}, sha256: {sum}}}"));
        scene.refuses(&["build", "mine"], 2, &["[SCENE]/evil.tar: ", says]);
        scene.sh("! find . -name evil | grep . && ! [ -e /tmp/swapstorm-evil ]");
    }
}

#[test]
fn a_package_that_was_tampered_with_is_refused() {
    let scene = Scene::new();
    // apt is a fake, as its archive would be: what comes is not what the signed lists say.
    scene.fake(
        "apt-cache",
        &format!(
            "printf 'Package: linux-source-9.9\\nVersion: 9.9.1-1\\nSHA256: {}\\n'",
            "0".repeat(64)
        ),
    );
    scene.fake("apt-get", "echo evil > linux-source-9.9_9.9.1-1_all.deb");
    scene.manifest("debian: {package: linux-source-9.9}");
    let says =
        "linux-source-9.9 9.9.1-1: what was fetched has another SHA-256 than apt's lists say";
    scene.refuses(&["build", "mine"], 3, &[says]);
    // What apt notices itself.
    scene.fake("apt-get", "echo 'E: Failed to fetch http://x/y  Hash Sum mismatch' >&2; exit 100");
    let says = "linux-source-9.9: what the mirror has is not what its signed lists say";
    scene.refuses(&["build", "mine"], 3, &[says, "Hash Sum mismatch"]);
    scene.fake("apt-get", "echo 'E: Failed to fetch http://x/y  Could not connect' >&2; exit 100");
    scene.refuses(&["build", "mine"], 3, &["linux-source-9.9: apt cannot reach its mirror"]);
}

#[test]
fn packages_of_a_guest_that_cannot_be_had_or_trusted() {
    let scene = Scene::new();
    scene.fake("qemu-system-x86_64", "echo QEMU emulator version 9.9");
    let exec = |mirror: &str, words: &[&str]| {
        scene.refuses(&["exec", "--mirror", mirror, "--", "true"], 3, words);
    };
    let nobody = format!("http://127.0.0.1:{}/debian", closed_port());
    exec(&nobody, &["cannot fetch packages of bookworm for amd64", "apt cannot reach its mirror"]);
    // Signed by a key that no machine trusts.
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/../images/src/packages/tests/repository");
    exec(&format!("file://{archive}"), &["are not signed by a key that is trusted"]);
    // Signed well, and then tampered with: what apt says of that.
    scene.fake("apt-get", "echo 'E: Failed to fetch copy:/x.deb  Hash Sum mismatch' >&2; exit 100");
    exec(&nobody, &["is not what its signed lists say", "Hash Sum mismatch"]);
    let no_mirror = ["exec", "--mirror", "debian", "--", "true"];
    scene.refuses(&no_mirror, 2, &["\"debian\" cannot be a mirror"]);
}

#[test]
fn a_patch_that_reaches_out_of_the_tree_is_refused() {
    let scene = Scene::new();
    linux(&scene);
    scene.manifest(&format!("dir: {}", scene.path("linux").display()));
    for (text, says) in [
        (patch("mm/../../../evil"), "one.patch:4:1: `a/mm/../../../evil` lies outside"),
        (patch("zswap.c").replace("a/", "/"), "one.patch:4:1: `/zswap.c` is an absolute path"),
        (patch(".git/hooks/post-checkout"), "one.patch:4:1: `a/.git/hooks/post-checkout` lies"),
        (
            patch("mm/evil")
                .replace("--- ", "diff --git a/mm/evil b/mm/evil\nnew file mode 120000\n--- "),
            "one.patch:5:1: only regular files can be patched",
        ),
        ("hello\n".to_owned(), "one.patch:1:1: it changes no file"),
    ] {
        fs::write(scene.path("one.patch"), text).unwrap();
        scene.refuses(
            &["build", "mine", "--series", "./one.patch"],
            2,
            &["./one.patch".trim_start_matches("./"), says],
        );
    }
    // What the tree itself has is known only there.
    fs::write(scene.path("one.patch"), patch("link/zswap.c")).unwrap();
    let says = "link/zswap.c: link is a symbolic link, which patches may not follow";
    scene.refuses(&["build", "mine", "--series", "./one.patch"], 2, &[says]);

    fs::create_dir(scene.path("quilt")).unwrap();
    for (order, says) in [
        ("../one.patch\n", "quilt/series:1:1: `../one.patch` lies outside the series' folder"),
        ("# one\n/etc/passwd\n", "quilt/series:2:1: `/etc/passwd` lies outside"),
        ("gone.patch\n", "quilt/series:1:1: there is no patch `gone.patch` beside it"),
        ("# nothing\n", "quilt/series:1:1: there are no patches in it"),
    ] {
        fs::write(scene.path("quilt/series"), order).unwrap();
        scene.refuses(&["build", "mine", "--series", "./quilt"], 2, &[says]);
    }
    for (path, says) in [
        ("./linux", "./linux: there is no file `series` in it"),
        ("./gone", "./gone: there is no such file or folder"),
    ] {
        scene.refuses(&["build", "mine", "--series", path], 2, &[says]);
    }
}

#[test]
fn a_mailbox_must_hold_a_whole_series() {
    let scene = Scene::new();
    linux(&scene);
    scene.manifest(&format!("dir: {}", scene.path("linux").display()));
    let mail = |tag: &str, file: &str| {
        let patch = patch(file).replace("[PATCH]", tag);
        format!("From a@example.org Thu Jan  1 00:00:00 1970\n{patch}\n")
    };
    for (mails, says) in [
        (
            mail("[PATCH 1/3]", "mm/zswap.c") + &mail("[PATCH 3/3]", "mm/zswap.c"),
            "series.mbx:1:1: patch 2 of 3 is missing",
        ),
        (
            mail("[PATCH 1/2]", "mm/zswap.c") + &mail("[PATCH 1/3]", "mm/zswap.c"),
            "series.mbx:1:1: the subjects count differently",
        ),
        (mail("[PATCH]", "../../evil"), "series.mbx:1: mail \"[PATCH] mm: change\":"),
        (
            "From a@b Thu Jan  1 00:00:00 1970\nSubject: hello\n\ntext\n".to_owned(),
            "no mail here carries a patch",
        ),
    ] {
        fs::write(scene.path("series.mbx"), mails).unwrap();
        scene.refuses(&["build", "mine", "--series", "./series.mbx"], 2, &[says]);
    }
}

#[test]
fn a_base_that_the_source_does_not_have_is_named() {
    let scene = Scene::new();
    linux(&scene);
    scene.sh(
        "cd linux; git init -q -b main; git add .; git -c user.name=a -c user.email=a@b commit -q -m start",
    );
    scene.manifest(&format!("git: {{repo: {}, ref: main}}", scene.path("linux").display()));
    let base = "0123456789".repeat(4);
    let text = patch("mm/zswap.c").replace("-5\n", "-other\n");
    let text =
        format!("From a@b Thu Jan  1 00:00:00 1970\n{text}--\n2.39\n\nbase-commit: {base}\n");
    fs::write(scene.path("series.mbx"), text).unwrap();
    let says = format!("it was made for commit {base}, which");
    let args = ["build", "mine", "--series", "./series.mbx"];
    scene.refuses(&args, 2, &["0001-mm-change.patch", "mm/zswap.c:4: hunk 1", &says]);
    scene.sh("git -C linux fsck --strict");
}
