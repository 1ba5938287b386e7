// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

fn seen(hits: u64, windows: u64, swapoffs: u64) -> Evidence {
    let exposure = Exposure { windows, swapoffs, ..Exposure::default() };
    Evidence { machines: hits, hits, exposure }
}

#[test]
fn factors_are_those_that_the_documents_name() {
    for (hits, confidence, expected) in
        [(1, 0.95, 19.0), (1, 10.0 / 11.0, 10.0), (2, 0.95, 3.472_136), (3, 0.95, 1.714_418)]
    {
        let factor = factor(hits, confidence).unwrap();
        assert!((factor - expected).abs() < 1e-6, "{hits}, {confidence}: {factor}");
    }
    assert_eq!(factor(0, 0.95), None);
    assert_eq!(factor(1, 1.0), None);
}

#[test]
fn what_is_wanted_is_just_enough_by_every_clock() {
    for (hits, windows, swapoffs) in [(1, 3, 18), (1, 1, 0), (2, 7, 90), (5, 40, 1), (1, 0, 12)] {
        let buggy = seen(hits, windows, swapoffs);
        for confidence in [0.5, 0.9, 0.95, 0.999] {
            let wanted = wanted_exposure(&buggy, confidence).unwrap();
            let luck = |exposure: Exposure| pass_probability(&buggy, &exposure);
            assert!(luck(wanted) <= 1.0 - confidence + 1e-9, "{buggy:?}: {wanted:?}");
            let fewer = Exposure { swapoffs: wanted.swapoffs - 1, ..wanted };
            assert!(luck(fewer) > 1.0 - confidence, "{buggy:?}: {wanted:?}");
            if windows > 0 {
                let fewer = Exposure { windows: wanted.windows - 1, ..wanted };
                assert!(luck(fewer) > 1.0 - confidence, "{buggy:?}: {wanted:?}");
            } else {
                assert_eq!(wanted.windows, 0, "nothing was stretched");
            }
        }
    }
    assert_eq!(wanted_exposure(&seen(0, 9, 9), 0.95), None);
    assert_eq!(pass_probability(&seen(0, 9, 9), &seen(0, 999, 999).exposure), 1.0);
}

/// Numbers from 0 to 1 that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        // SplitMix64, the finaliser of G. L. Steele, D. Lea and C. H. Flood (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Windows up to and with the first that shows a bug of probability `p`.
    fn windows_to_bug(&mut self, p: f64) -> u64 {
        let windows = ((1.0 - self.next()).ln() / (1.0 - p).ln()).ceil();
        (windows as u64).max(1)
    }
}

/// How often a kernel that is not fixed passes, if the fixed side's exposure is `wanted` of what `hits` runs
/// of the buggy side took.
fn passes(hits: u64, p: f64, wanted: impl Fn(&Evidence) -> u64) -> f64 {
    const TRIALS: u32 = 20_000;
    let mut random = Random(hits.wrapping_mul(7) ^ p.to_bits());
    let mut passed = 0_u32;
    for _ in 0..TRIALS {
        let windows = (0..hits).map(|_| random.windows_to_bug(p)).sum();
        let wanted = wanted(&seen(hits, windows, 0));
        passed += u32::from(random.windows_to_bug(p) > wanted);
    }
    f64::from(passed) / f64::from(TRIALS)
}

#[test]
fn an_unfixed_kernel_passes_as_seldom_as_is_said() {
    // Three standard deviations of a share of 5 % in that many trials.
    let noise = 3.0 * (0.05_f64 * 0.95 / 20_000.0).sqrt();
    for hits in [1, 2, 3, 8] {
        let by_rule = |buggy: &Evidence| wanted_exposure(buggy, 0.95).unwrap().windows;
        for p in [0.5, 0.1, 0.01, 0.001] {
            let share = passes(hits, p, by_rule);
            assert!(share <= 0.05 + noise, "{hits} hits, p = {p}: {share}");
            if p <= 0.01 {
                assert!(share >= 0.045 - noise, "{hits} hits, p = {p}: {share}: too careful");
            }
        }
    }
}

#[test]
fn ten_times_the_exposure_lets_one_in_eleven_pass() {
    let tenfold = |buggy: &Evidence| 10 * buggy.exposure.windows;
    let share = passes(1, 0.001, tenfold);
    assert!((share - 1.0 / 11.0).abs() < 0.007, "{share}");
}

#[test]
fn runs_without_the_bug_make_it_more_careful() {
    let mut buggy = seen(1, 10, 100);
    let alone = wanted_exposure(&buggy, 0.95).unwrap();
    buggy.add(Exposure { windows: 30, swapoffs: 300, ..Exposure::default() }, false);
    let more = wanted_exposure(&buggy, 0.95).unwrap();
    assert_eq!((alone.windows, more.windows), (190, 760));
    // Another run with the bug is worth more than it costs.
    buggy.add(Exposure { windows: 30, swapoffs: 300, ..Exposure::default() }, true);
    let again = wanted_exposure(&buggy, 0.95).unwrap();
    assert_eq!((buggy.machines, buggy.hits, again.windows), (3, 2, 244));
}

#[test]
fn where_cpus_were_taken_off_they_have_to_be_on_the_fixed_side_too() {
    let mut buggy = Evidence::default();
    buggy.add(Exposure { swapoffs: 18, cpu_offs: 5, ..Exposure::default() }, true);
    let wanted = wanted_exposure(&buggy, 0.95).unwrap();
    assert_eq!((wanted.windows, wanted.swapoffs, wanted.cpu_offs), (0, 342, 95));
    let fixed = Exposure { swapoffs: 9_999, guest_ms: 1_000, ..Exposure::default() };
    assert!((pass_probability(&buggy, &fixed) - 1.0).abs() < 1e-9);
    let proof = Proof::new("p".to_owned(), buggy, 1, fixed, 0.95);
    assert_eq!(proof.missing().unwrap().exposure.cpu_offs, 95);
    let enough = Exposure { cpu_offs: 95, ..fixed };
    assert!(Proof::new("p".to_owned(), buggy, 1, enough, 0.95).is_reached());
}

#[test]
fn what_is_missing_is_told_in_exposure_and_in_time() {
    let proof = |windows, swapoffs, guest_ms| {
        let fixed = Exposure { windows, swapoffs, guest_ms, ..Exposure::default() };
        Proof::new("p".to_owned(), seen(1, 3, 18), 1, fixed, 0.95)
    };
    let missing = proof(19, 300, 10_000).missing().unwrap();
    assert_eq!((missing.exposure.windows, missing.exposure.swapoffs), (38, 42));
    assert_eq!(missing.guest_ms, Some(20_000), "the windows take longest");
    assert!(!proof(19, 300, 10_000).is_reached());
    assert_eq!(proof(0, 300, 10_000).missing().unwrap().guest_ms, None);
    assert!(proof(57, 342, 1).is_reached());
    let never = Proof::new("p".to_owned(), seen(0, 3, 18), 1, seen(0, 9999, 9999).exposure, 0.95);
    assert!(never.missing().is_none() && !never.is_reached());
}
