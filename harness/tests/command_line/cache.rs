// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the store holds, and its removal.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::scene::Scene;

/// A key made of one digit.
fn key(digit: char) -> String {
    digit.to_string().repeat(32)
}

/// Something in the scene's store, last used so many days ago.
fn stored(scene: &Scene, kind: &str, digit: char, days: u64, files: &[(&str, &str)]) {
    let dir = scene.path("store/v1").join(kind).join(key(digit));
    for (file, text) in files {
        fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
        fs::write(dir.join(file), text).unwrap();
    }
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    fs::File::open(dir).unwrap().set_modified(then).unwrap();
}

fn source(version: &str) -> String {
    format!(r#"{{"package":"linux-source-6.1","version":"{version}","sha256":"0a"}}"#)
}

fn kernel(version: &str) -> String {
    let source = source(version);
    format!(r#"{{"release":"{version}","compiler":"gcc","source":{source},"patches":[]}}"#)
}

/// Two point releases with a kernel each, an initramfs, and a kernel of a forgotten format.
fn fill(scene: &Scene) {
    let (old, new) = ("6.1.99-1", "6.1.192-2");
    stored(scene, "packages", '1', 40, &[("source.json", &source(old))]);
    stored(scene, "packages", '2', 1, &[("source.json", &source(new))]);
    stored(
        scene,
        "kernels",
        '3',
        40,
        &[("kernel.json", &kernel(old)), ("vmlinux", &"x".repeat(1 << 20))],
    );
    stored(
        scene,
        "kernels",
        '4',
        1,
        &[("kernel.json", &kernel(new)), ("vmlinux", &"x".repeat(1 << 20))],
    );
    stored(
        scene,
        "work",
        '5',
        40,
        &[
            ("source.json", &source(old)),
            ("source/Makefile", "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 99\n"),
        ],
    );
    stored(scene, "images", '6', 10, &[("initramfs.cpio", "x")]);
    stored(scene, "kernels", '7', 1, &[("kernel.json", "{}")]);
}

/// The JSON that the program prints.
fn json(scene: &Scene, args: &[&str]) -> Value {
    let output = scene.command().args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", scene.talk(output).1);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// First digits of the keys that are still there, in order.
fn left(scene: &Scene) -> String {
    let kinds = ["packages", "kernels", "work", "images"];
    let entries = kinds.iter().flat_map(|kind| {
        fs::read_dir(scene.path("store/v1").join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().chars().next().unwrap())
    });
    let mut digits: Vec<char> = entries.collect();
    digits.sort_unstable();
    digits.into_iter().collect()
}

#[test]
fn what_is_there_is_listed() {
    let scene = Scene::new();
    fill(&scene);
    let value = json(&scene, &["cache", "list"]);
    let items = value["items"].as_array().unwrap();
    assert_eq!(items.len(), 7);
    let kernel = items.iter().find(|item| item["key"] == key('4')).unwrap();
    assert_eq!((&kernel["kind"], &kernel["what"]), (&"kernel".into(), &"Linux 6.1.192-2".into()));
    assert!(kernel["bytes"].as_u64().unwrap() >= 1 << 20);
    assert_eq!(kernel["in_use"], false);
    let sum: u64 = items.iter().map(|item| item["bytes"].as_u64().unwrap()).sum();
    assert_eq!(value["bytes"], sum);
    let output = scene.command().args(["cache", "list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in
        ["work tree", "Linux 6.1.99", "linux-source-6.1 6.1.99-1", "an initramfs", " MiB", " ago"]
    {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
}

#[test]
fn old_point_releases_and_forgotten_formats_go() {
    let scene = Scene::new();
    fill(&scene);
    let value = json(&scene, &["cache", "gc", "--dry-run"]);
    assert_eq!(value["items"].as_array().unwrap().len(), 4);
    assert_eq!(left(&scene), "1234567", "a dry run removes nothing");
    assert_eq!(
        json(&scene, &["cache", "gc", "--keep-newest", "2"])["items"][0]["why"],
        "of another format"
    );
    assert_eq!(left(&scene), "123456");
    let value = json(&scene, &["cache", "gc"]);
    assert_eq!(value["items"][0]["why"], "there is 6.1.192-2");
    assert_eq!(left(&scene), "246");
    assert_eq!(json(&scene, &["cache", "gc"])["items"], Value::Array(Vec::new()));
}

#[test]
fn age_and_size_remove_more() {
    let scene = Scene::new();
    fill(&scene);
    json(&scene, &["cache", "gc", "--older-than", "1w"]);
    assert_eq!(left(&scene), "24");
    fill(&scene);
    // There is room for the newest kernel alone, which was used after all others.
    stored(&scene, "kernels", '4', 0, &[]);
    let value = json(&scene, &["cache", "list"]);
    let items = value["items"].as_array().unwrap();
    let room = items.iter().find(|item| item["key"] == key('4')).unwrap()["bytes"].to_string();
    json(&scene, &["cache", "gc", "--max-size", &room]);
    assert_eq!(left(&scene), "4");
}

#[test]
fn what_is_locked_stays() {
    let scene = Scene::new();
    fill(&scene);
    let locks = scene.path("store/v1/locks");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("work-{}.lock", key('5')))).unwrap();
    lock.lock().unwrap();
    json(&scene, &["cache", "gc", "--older-than", "0h", "--max-size", "0"]);
    assert_eq!(left(&scene), "5");
    let item = json(&scene, &["cache", "list"])["items"][0].clone();
    assert_eq!((&item["kind"], &item["in_use"]), (&"work tree".into(), &true.into()));
    drop(lock);
    json(&scene, &["cache", "gc", "--max-size", "0"]);
    assert_eq!(left(&scene), "");
}

#[test]
fn two_at_once_remove_everything_once() {
    let scene = Scene::new();
    fill(&scene);
    let start = || scene.command().args(["cache", "gc", "--max-size", "0"]).spawn().unwrap();
    let both = [start(), start()];
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(left(&scene), "");
    assert_eq!(fs::read_dir(scene.path("store/v1/tmp")).unwrap().count(), 0);
}

#[test]
fn wrong_ages_and_sizes_say_what_is_expected() {
    let scene = Scene::new();
    for (option, value, words) in [
        ("--older-than", "soon", "12h, 30d or 2w"),
        ("--max-size", "much", "500M or 20G"),
        ("--keep-newest", "0", "1.."),
    ] {
        let (code, stderr) = scene.run(&["cache", "gc", option, value]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
