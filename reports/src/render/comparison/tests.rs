// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::comparison::tests::{eight_pairs, report, request};
use crate::comparison::{Request, compare};
use crate::render::Look;

const LOOK: Look = Look { width: 100, colour: false };

fn comparison(factor: f64) -> Comparison {
    let mut storms = eight_pairs(factor);
    for storm in &mut storms {
        let number = u64::from(storm.number);
        storm.counters.extend([
            ("reject_reclaim_fail", 300 + 90 * (number % 3)),
            ("reject_compress_poor", 0),
            ("pswpout", 9_000 + 10 * number),
            ("zswapped_kib", 4_000 + number),
            ("zswap_kib", 1_500),
        ]);
    }
    storms[3].end = "qemu-died";
    let expected = [("pages-per-pool-page".to_owned(), "another allocator".to_owned())].into();
    let request = Request { expected, ..request("", "") };
    compare(&report(&[("one", &storms)]), &request).unwrap()
}

#[test]
fn the_terminal_is_told_in_80_columns() {
    let mut storms = eight_pairs(0.93);
    storms
        .iter_mut()
        .for_each(|storm| storm.counters.push(("pswpout", 90 * u64::from(storm.number))));
    let regression = compare(&report(&[("one", &storms)]), &request("", "")).unwrap();
    let text = text(&regression, LOOK);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text, @r"
    A debian-6.1 (6.1.192)
    B debian-6.1 + fix (6.1.192)
      x86_64, steady@0123456789ab, natural, gcc, KASAN as configured, tcg, virtual
      clock, microvm, 80M, 10 s of storm
      8 pairs, 1 metric tested together; looked at with 8 pairs

                               A       B    shift 95 % interval
    writebacks-per-store   0.200   0.186   -7.0 %    -7.9..-6.1  regression
    writebacks-per-hit         -       -        -             -  absent
    reclaim-rejects            -       -        -             -  absent
    poor-rejects               -       -        -             -  absent
    alloc-rejects              -       -        -             -  absent
    disk-swapins               -       -        -             -  absent
    refaults-per-swapin        -       -        -             -  absent
    pages-per-pool-page        -       -        -             -  absent
    swapoff-p50                -       -        -             -  absent
    swapoff-p99                -       -        -             -  absent

    not tested
    writes-per-store      0.0203  0.0203    0.0 %      0.0..0.0

    * writebacks-per-hit: neither side has pool_limit_hit
    * reclaim-rejects: neither side has reject_reclaim_fail
    * poor-rejects: neither side has reject_compress_poor
    * alloc-rejects: neither side has reject_alloc_fail
    * disk-swapins: neither side has pswpin
    * refaults-per-swapin: neither side has workingset_refault_anon
    * pages-per-pool-page: neither side has zswapped_kib
    * swapoff-p50: neither side has swapoff_p50_us
    * swapoff-p99: neither side has swapoff_p99_us

    Regression: writebacks-per-store -7.0 % (p 0.008 at 8 pairs, corrected for all
    metrics).
    Kernels that do not differ are told apart in at most 5 % of all comparisons.
    ");
}

#[test]
fn what_is_open_or_left_out_is_told_too() {
    let text = text(&comparison(1.0), LOOK);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text, @r"
    A debian-6.1 (6.1.192)
    B debian-6.1 + fix (6.1.192)
      x86_64, steady@0123456789ab, natural, gcc, KASAN as configured, tcg, virtual
      clock, microvm, 80M, 10 s of storm
      7 pairs, 3 metrics tested together; looks come at 8, 12, 16 pairs

                               A       B    shift 95 % interval
    writebacks-per-store   0.200   0.200    0.0 %    -1.0..+1.0  too few: 1 more
    writebacks-per-hit         -       -        -             -  absent
    reclaim-rejects       0.0195  0.0195    0.0 %      0.0..0.0  too few: 1 more
    poor-rejects               -       -        -             -  never happened
    alloc-rejects              -       -        -             -  absent
    disk-swapins               -       -        -             -  absent
    refaults-per-swapin        -       -        -             -  absent
    pages-per-pool-page     2.67    2.67    0.0 %      0.0..0.0  too few: 1 more
    swapoff-p50                -       -        -             -  absent
    swapoff-p99                -       -        -             -  absent

    not tested
    writes-per-store       0.453   0.453    0.0 %      0.0..0.0

    * writebacks-per-hit: neither side has pool_limit_hit
    * alloc-rejects: neither side has reject_alloc_fail
    * disk-swapins: neither side has pswpin
    * refaults-per-swapin: neither side has workingset_refault_anon
    * swapoff-p50: neither side has swapoff_p50_us
    * swapoff-p99: neither side has swapoff_p99_us
    * pages-per-pool-page: a shift is expected: another allocator
    * left out: pair 4: A: no machine came to its end

    No answer yet on writebacks-per-store, reclaim-rejects, pages-per-pool-page: 1
    more pair may tell.
    Kernels that do not differ are told apart in at most 5 % of all comparisons.
    ");
}

#[test]
fn numbers_that_scatter_too_much_for_the_last_look_are_called_so() {
    let mut comparison = comparison(1.0);
    for (more, words) in [
        (9, "9 more pairs may tell"),
        (25, "take 32 pairs of such storms, and the last look is at 16"),
        (900, "take more than 100 pairs"),
    ] {
        comparison.answer = crate::comparison::Answer::TooFew { more };
        assert!(words::answer(&comparison).contains(words), "{}", words::answer(&comparison));
    }
}

#[test]
fn a_mail_has_units_and_p_values() {
    insta::assert_snapshot!(markdown(&comparison(0.93)), @r"
    **No answer yet on writebacks-per-store, reclaim-rejects, pages-per-pool-page: 1 more pair may tell.**

    * A: debian-6.1 (6.1.192)
    * B: debian-6.1 + fix (6.1.192)
    * x86\_64, steady@0123456789ab, natural, gcc, KASAN as configured, tcg, virtual clock, microvm, 80M, 10 s of storm
    * 7 pairs, 3 metrics tested together; looks come at 8, 12, 16 pairs

    | metric | | A | B | shift | 95 % interval | p | |
    |---|---|---:|---:|---:|---:|---:|---|
    | writebacks-per-store | pages that zswap wrote back, per store | 0.200 | 0.186 | -7.0 % | -7.9..-6.1 % |  | too few: 1 more |
    | writebacks-per-hit | pages that zswap wrote back, per full pool found |  |  |  |  |  | absent |
    | reclaim-rejects | stores refused: the pool was full and gave nothing back, per store | 0.0195 | 0.0195 | 0.0 % | 0.0..0.0 % |  | too few: 1 more |
    | poor-rejects | stores refused: the page compressed poorly, per store |  |  |  |  |  | never happened |
    | alloc-rejects | stores refused: the pool had no memory, per store |  |  |  |  |  | absent |
    | disk-swapins | swap-ins from disk, of all swap-ins, per swap-in |  |  |  |  |  | absent |
    | refaults-per-swapin | anonymous pages back soon after they went, per swap-in |  |  |  |  |  | absent |
    | pages-per-pool-page | what the pool holds over what it takes | 2.67 | 2.67 | 0.0 % | 0.0..0.0 % |  | too few: 1 more |
    | swapoff-p50 | half of all swapoffs took no longer, ms |  |  |  |  |  | absent |
    | swapoff-p99 | 99 of 100 swapoffs took no longer, ms |  |  |  |  |  | absent |
    | writes-per-store | pages written to disk, written back or refused, per store | 0.453 | 0.453 | 0.0 % | 0.0..0.0 % |  | not tested |

    * writebacks-per-hit: neither side has pool\_limit\_hit
    * alloc-rejects: neither side has reject\_alloc\_fail
    * disk-swapins: neither side has pswpin
    * refaults-per-swapin: neither side has workingset\_refault\_anon
    * swapoff-p50: neither side has swapoff\_p50\_us
    * swapoff-p99: neither side has swapoff\_p99\_us
    * pages-per-pool-page: a shift is expected: another allocator
    * left out: pair 4: A: no machine came to its end
    * A and B are medians; shift and interval are of the pairs. Kernels that do not differ are told apart in at most 5 % of all comparisons.
    ");
}

#[test]
fn a_program_gets_the_exit_code_and_every_value() {
    let json: serde_json::Value = serde_json::from_str(&json(&comparison(0.93))).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["exit_code"], 4);
    let row = &json["rows"][0];
    assert_eq!(row["metric"]["name"], "writebacks-per-store");
    assert_eq!(row["outcome"], "tested");
    assert_eq!(row["verdict"], "too-few");
    assert_eq!(row["a"].as_array().unwrap().len(), 7);
    assert!(row["interval"]["low"].as_f64().unwrap() < 0.0);
}

#[test]
fn a_picture_is_one_whole_document_whatever_the_kernels_are_called() {
    let mut comparison = comparison(0.93);
    comparison.b.kernel = "<script>alert(\"&\")</script>\u{202e}\u{ffff}\x1b".to_owned();
    let svg = svg(&comparison);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("<script") && !svg.contains(['\u{202e}', '\u{ffff}', '\x1b']));
    assert!(svg.contains("&lt;script&gt;alert(&quot;&amp;&quot;)"));
    for elements in ["text", "title", "style"] {
        let opened = svg.matches(&format!("<{elements}")).count();
        assert_eq!(opened, svg.matches(&format!("</{elements}>")).count(), "{elements}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // Every storm's value is there, in every metric that has values.
    let drawn = comparison.rows.iter().filter(|row| row.shift().is_some()).count();
    assert_eq!(svg.matches("<circle class=\"a\"").count(), 7 * drawn + 1);
}

#[test]
fn numbers_keep_three_digits() {
    for (number, shown) in [
        (0.0, "0"),
        (0.031_46, "0.0315"),
        (12.42, "12.4"),
        (1_530.4, "1530"),
        (0.001_23, "0.00123"),
        (0.000_5, "5.00e-4"),
        (3.0e12, "3.00e12"),
    ] {
        assert_eq!(words::value(number), shown);
    }
    assert_eq!(words::per_cent(0.05_f64.ln_1p()), "+5.0");
    assert_eq!(words::per_cent(-0.000_1), "0.0");
    assert_eq!(words::per_cent(20.0), "+4.9e10");
    assert_eq!((words::share_of(0.0), words::share_of(0.0123)), ("0.0 %".into(), "1.3 %".into()));
}

#[test]
fn a_metric_over_time_is_a_line_a_storm_with_marks_below() {
    use crate::comparison::course::tests::{drawn, log};
    let (mut comparison, courses) = drawn(&log(60), "writebacks-per-store");
    comparison.a.kernel = "<script>\u{202e}".to_owned();
    let metric =
        crate::comparison::metric::choose(&["writebacks-per-store".to_owned()]).unwrap()[0];
    let svg = over_time(&comparison, metric, &courses);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("<script") && !svg.contains('\u{202e}'));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg.matches("<polyline class=\"curve middle-a\"").count(), 7);
    assert_eq!(svg.matches("<polyline class=\"curve middle-a dashed\"").count(), 1);
    assert_eq!(svg.matches("<polyline class=\"curve middle-b\"").count(), 8);
    for words in
        ["swapoffs of A", "swapoffs of B", "windows of A", "reports of A", "10 s", "per store"]
    {
        assert!(svg.contains(&format!(">{words}</text>")), "no {words} in {svg}");
    }
    assert!(!svg.contains("windows of B") && !svg.contains("reports of B"));
    assert!(svg.contains(">A, storm 3, after 5.1 s: KASAN: "), "{svg}");
    // What stands still, and what has no point at all.
    let mut still = courses.clone();
    still.iter_mut().for_each(|course| course.points.iter_mut().for_each(|point| point.1 = 0.2));
    for courses in [&still[..], &[]] {
        let svg = over_time(&comparison, metric, courses);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    }
}
