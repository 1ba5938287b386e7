// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::event::{Exposure, VmEnd};
use crate::statistics::survival::{Curve, Trial, rate};
use crate::ttr::Run;

fn arm(name: &str, times: &[(u64, bool)]) -> Arm {
    let trials: Vec<Run> = times
        .iter()
        .map(|&(ms, shown)| Run {
            cell: format!("{name}-1"),
            seed: 1,
            shown,
            guest_ms: ms,
            host_ms: 2 * ms,
            guests: 1,
            end: Some(VmEnd::Budget),
        })
        .collect();
    let by = |factor: f64| {
        let trials: Vec<Trial> =
            times.iter().map(|&(ms, shown)| Trial { time: ms as f64 * factor, shown }).collect();
        let curve = Curve::of(&trials);
        Times { median: curve.median(), interval: curve.median_interval(), curve }
    };
    let hours: Vec<Trial> =
        times.iter().map(|&(ms, shown)| Trial { time: ms as f64 / 3_600_000.0, shown }).collect();
    Arm {
        name: name.to_owned(),
        technique: name.to_owned(),
        without: None,
        shown: times.iter().filter(|(_, shown)| *shown).count() as u64,
        failed: 0,
        guest: by(1.0),
        host: by(2.0),
        rate: rate(&hours),
        exposure: Exposure { guest_ms: 61_500, swapoffs: 1_234, ..Exposure::default() },
        bursts: 77_000,
        trials,
    }
}

fn ttr() -> Ttr {
    Ttr {
        kernel: "debian-6.1".to_owned(),
        release: "6.1.192".to_owned(),
        arch: "x86_64".to_owned(),
        accel: "tcg".to_owned(),
        profile: "p".to_owned(),
        bound_ms: 30_000,
        arms: vec![
            arm("natural", &[(30_000, false), (30_100, false)]),
            arm("stretch", &[(700, true), (900, true), (1_000, true), (1_200, true)]),
            arm("none", &[]),
        ],
        notes: vec!["natural: <it> is \u{1b}[31mred".to_owned()],
    }
}

#[test]
fn the_table_has_a_line_for_each_arm_and_says_what_was_not_seen() {
    let text = text(&ttr(), Look { width: 100, colour: false });
    let expected = "\
time from the storm's start to the bug of p; guests are watched for 30.0 s of their time
Linux 6.1.192, debian-6.1, x86_64, tcg

                 runs  shown    median              95 %    host's  per guest hour (95 %)
natural             2      0  > 30.1 s                 -  > 60.2 s  0 (0-221)
stretch             4      4    0.90 s    0.70 s or more    1.80 s  3,789 (1,033-9,703)
none                0      0         -                 -         -  -

exposure of all    guest time   swapoffs  writebacks   windows     bursts
natural          1 min 01 s      1,234           0         0     77,000
stretch          1 min 01 s      1,234           0         0     77,000
none             1 min 01 s      1,234           0         0     77,000

* natural: <it> is \\u{1b}[31mred
";
    let blanks = |text: &str| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let (said, wanted) = (blanks(&text), blanks(expected));
    assert_eq!(said[..said.len() - 1], wanted[..wanted.len() - 1], "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    // Columns stand below each other.
    let at =
        |row: usize, word: &str| text.lines().nth(row).unwrap().find(word).unwrap() + word.len();
    assert_eq!(at(3, "median"), at(5, "0.90 s"));
    assert_eq!(at(3, "host's"), at(5, "1.80 s"));
    assert_eq!(at(8, "bursts"), at(9, "77,000"));
}

#[test]
fn json_has_every_trial_and_its_format() {
    let json: serde_json::Value = serde_json::from_str(&json(&ttr())).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["arms"][0]["guest"]["median"], serde_json::Value::Null);
    assert_eq!(json["arms"][1]["guest"]["median"], 900.0);
    assert_eq!(json["arms"][1]["trials"][3]["guest_ms"], 1_200);
    assert_eq!(json["arms"][0]["trials"][0]["shown"], false);
}

#[test]
fn the_picture_has_a_falling_curve_for_each_arm_and_marks_for_the_censored() {
    let svg = svg(&ttr());
    let curves: Vec<&str> = svg.lines().filter(|line| line.starts_with("<polyline")).collect();
    assert_eq!(curves.len(), 2, "an arm without a trial has no curve");
    let heights = |curve: &str| -> Vec<f64> {
        let points = curve.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        points.split(' ').map(|point| point.split(',').nth(1).unwrap().parse().unwrap()).collect()
    };
    let (natural, stretch) = (heights(curves[0]), heights(curves[1]));
    assert_eq!(natural, [70.0, 70.0], "nothing was seen: it stays at the top");
    assert_eq!((stretch.first(), stretch.last()), (Some(&70.0), Some(&390.0)));
    assert!(stretch.is_sorted(), "{stretch:?}");
    // One mark for the entry beside the plot, one for each censored trial.
    assert_eq!(svg.matches("<line class=\"curve hue-0\"").count(), 3);
    assert_eq!(svg.matches("<line class=\"curve hue-1\"").count(), 1);
    assert!(svg.contains("4 of 4, median 0.90 s") && svg.contains(">100 ms<"), "{svg}");
    // Nothing to draw is a picture, too.
    assert!(super::svg(&Ttr { arms: Vec::new(), ..ttr() }).ends_with("</svg>\n"));
}
