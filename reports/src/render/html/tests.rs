// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::sample::events::good_repro;
use crate::sample::rich::{hostile, night};

/// Tags of a page: what stands between `<` and `>`, style and pictures left out.
fn tags(page: &str) -> Vec<&str> {
    let parts = page.split('<').skip(1);
    parts.map(|part| part.split('>').next().unwrap()).collect()
}

#[test]
fn a_night_has_every_verdict_finding_stack_and_command() {
    let page = render(&night(), Purpose::Search);
    for words in [
        "A kernel bug was found on debian-6.1.",
        "role=\"columnheader\">x86_64</th><th scope=\"col\" role=\"columnheader\">arm64</th>",
        "<th scope=\"row\" role=\"rowheader\">debian-6.1 + zswap-writeback-swapoff-6.1</th>",
        "href=\"#c1\"><span aria-hidden=\"true\">! </span>infrastructure</a>",
        "href=\"#c3\"><span aria-hidden=\"true\">✓ </span>clean</a>",
        "<h3>kernel BUG in ext4_writepages</h3>",
        "<b>zswap_writeback_entry</b><span class=\"dim\">+0x1dd/0x1070</span>",
        "<h4>freed by task 35</h4>",
        "sh bundle-plain-x86_64/replay.sh",
        "swapstorm run nightly --seed 42",
        "at most 1 in 136 swapoffs (95 %)",
        "qemu-system-aarch64 was not found",
        "✗ plain-x86_64: 147</text>",
        "aria-label=\"Swapoffs: plain-x86_64 18, plain-riscv64 2, fix-x86_64 408, fix-arm64 61\"",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert_eq!(page.matches("<figure>").count(), 5);
    // Each link leads somewhere.
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    for report in [night(), hostile(), good_repro().report(), RunReport::default()] {
        let page = render(&report, Purpose::Search);
        for tag in tags(&page) {
            let name = tag.split([' ', '\n']).next().unwrap();
            assert!(
                !["script", "link", "img", "iframe", "object", "base"].contains(&name),
                "{tag}"
            );
            let is_loaded =
                ["src=", "url(", "http:", "https:"].iter().any(|word| tag.contains(word));
            assert!(!is_loaded && !tag.contains(" on"), "{tag}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn what_a_guest_says_is_text_in_bounds() {
    let page = render(&hostile(), Purpose::Search);
    let active = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}' | '\u{fffe}')
    };
    assert!(!page.contains(active));
    // The same tags as of a guest that says nothing of the kind: nothing was closed, opened or given an attribute.
    let is_ours = |tag: &&str| {
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        !tag.contains("alert") && !["svg/onload=alert(5)", "failure", "x"].contains(&name)
    };
    assert!(tags(&page).iter().all(is_ours));
    assert!(page.contains("&#60;script&#62;alert(3)&#60;/script&#62;"), "{page}");
    assert!(page.len() < 4 * MAX_BLOCK, "{}", page.len());
}

#[test]
fn nights_stand_beside_each_other_the_earliest_first() {
    let mut report = night();
    report.runs[0].started = "2026-11-23T01:00:00Z".to_owned();
    let mut earlier = report.clone();
    earlier.runs[0].id = "night-0".into();
    earlier.runs[0].started = "2026-11-22T01:00:00Z".to_owned();
    earlier.cells.iter_mut().for_each(|cell| cell.run = "night-0".into());
    assert!(!render(&report, Purpose::Search).contains("id=\"trend\""));
    report.runs.extend(earlier.runs);
    report.cells.extend(earlier.cells);
    let page = render(&report, Purpose::Search);
    let trend = page.split("id=\"trend\"").nth(1).unwrap();
    let first = trend.find("2026-11-22T01:00:00Z (night-0)").unwrap();
    assert!(first < trend.find("2026-11-23T01:00:00Z (night-1)").unwrap());
    assert!(
        trend.contains("<th scope=\"row\" role=\"rowheader\">debian-6.1, arm64</th>"),
        "{trend}"
    );
    // Its cell is the first of the second run's.
    assert!(trend.contains("href=\"#c6\"><span aria-hidden=\"true\">✗ </span>expected bug</a>"));
}

#[test]
fn a_run_of_thousands_of_cells_stays_a_page() {
    let mut report = night();
    let cell = report.cells[0].clone();
    report.cells.extend(std::iter::repeat_n(cell, 2 * MOST_CELLS));
    let page = render(&report, Purpose::Search);
    assert!(page.contains("506 more cells") && page.contains("expected bug ×1001"), "{page}");
    assert_eq!(page.matches("<article id=\"c").count(), MOST_CELLS);
    assert!(page.len() < 4 << 20, "{}", page.len());
}
