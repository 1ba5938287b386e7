// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks of the program itself.

use std::fs;

use crate::support::Scene;

/// Stretched windows show the race. Where the guest's processors are taken away, too, tasks come to them seldom: whether it shows
/// in time there is luck, and is told.
#[test]
fn times_to_the_race_are_measured_and_drawn() {
    let scene = Scene::new();
    let words = ["bench", "ttr", "--runs", "1", "--bound", "1m", "--seed", "1", "--json"];
    let techniques = ["--technique", "stretch", "--technique", "preempt+stretch"];
    let ran = scene.run(&[&words[..], &techniques, &["--svg", "times.svg"]].concat());
    ran.expect(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let arms = json["arms"].as_array().unwrap();
    let names: Vec<&str> = arms.iter().map(|arm| arm["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stretch", "preempt+stretch"], "{json:#}");
    for arm in arms {
        assert_eq!(arm["trials"].as_array().unwrap().len(), 1, "{json:#}");
        let is_shown = arm["trials"][0]["shown"] == true;
        assert_eq!(arm["shown"], u32::from(is_shown), "{json:#}");
        let median = is_shown.then(|| arm["trials"][0]["guest_ms"].as_f64().unwrap());
        assert_eq!(arm["guest"]["median"].as_f64(), median, "{json:#}");
        assert!(is_shown || arm["name"] == "preempt+stretch", "{json:#}");
        assert!(!is_shown || arm["exposure"]["windows"].as_u64().unwrap() > 0, "{json:#}");
        // The race may show before there is a sample that counts them.
        assert!(arm["bursts"] == 0 || arm["name"] == "preempt+stretch", "{json:#}");
    }
    let svg = fs::read_to_string(scene.path("times.svg")).unwrap();
    assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
}

/// Load alone, stretched by nothing: what counts is that processors are taken away, and that not having seen the race is told.
#[test]
fn processors_are_taken_away() {
    let scene = Scene::new();
    let words =
        ["bench", "ttr", "--runs", "1", "--bound", "5s", "--technique", "preempt", "--json"];
    let ran = scene.run(&words);
    ran.expect(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let arm = &json["arms"][0];
    assert!(arm["bursts"].as_u64().unwrap() > 0, "{json:#}");
    let shown = arm["shown"].as_u64().unwrap();
    assert_eq!(arm["guest"]["median"].is_null(), shown == 0, "{json:#}");
}
