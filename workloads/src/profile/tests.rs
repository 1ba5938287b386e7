// SPDX-License-Identifier: MIT OR Apache-2.0
use tempfile::TempDir;

use super::*;

const MINIMAL: &str = "\
name: mine
description: a test
guest: {memory_mib: 256, cpus: 2, disks: 4, disk_mib: 2}
";

fn read(extra: &str) -> Result<Profile, ProfileError> {
    Profile::from_yaml("mine", "mine.yaml", &format!("{MINIMAL}{extra}"))
}

fn refusal(extra: &str) -> String {
    read(extra).unwrap_err().to_string()
}

/// Command lines with every storm parameter at its smallest and at its largest value, and
/// those of the built-in profiles.
pub(crate) fn cmdlines_at_the_bounds() -> Vec<String> {
    let low = read(
        "storm: {zswap: false, compressor: l, zpool: z, max_pool_percent: 0, \
         accept_threshold_percent: 0, shrinker: false, stay_on: 0, on_ms: 0, off_ms: 0-0, priority: 0, \
         workers: 0, pages: 1, push: none, chunk: 1, memory_max: 0, memory_high: 0K, zswap_max: 0, \
         cpu_max: 1/1, compressible: 0, sample_ms: 20}",
    );
    let high = read(&format!(
        "storm: {{zswap: true, compressor: {0}, zpool: {0}, max_pool_percent: 100, \
         accept_threshold_percent: 100, shrinker: true, stay_on: 16, on_ms: 0-60000, off_ms: 60000, \
         priority: 0-32767, workers: 64, pages: 65536, push: limit, chunk: 65536, memory_max: max, \
         memory_high: {1}G, zswap_max: {1}, cpu_max: 1000000/1000000, compressible: 100, sample_ms: 60000}}",
        "z".repeat(31),
        u64::MAX >> 30,
    ));
    let built_in = BUILT_IN.iter().map(|(name, _)| Profile::load(name, None));
    let all = [low, high].into_iter().chain(built_in);
    all.map(|profile| profile.unwrap().cmdline(u64::MAX, "0123456789abcdefABCDEF", 86400)).collect()
}

#[test]
fn built_in_profiles_read_and_stay_below_the_shortest_command_line() {
    for (name, _) in BUILT_IN {
        let profile = Profile::load(name, None).unwrap();
        assert_eq!(profile.expect.as_deref(), Some("zswap-writeback-swapoff"));
        assert!(!profile.stretch.is_empty() && !profile.needs.is_empty());
        let words = profile.cmdline(u64::MAX, &"f".repeat(32), 86400);
        // 1024 bytes is riscv's bound, the smallest; the machine's own words need room too.
        assert!(words.len() < 700, "{name}: {} bytes", words.len());
    }
}

#[test]
fn the_command_line_has_the_profiles_words_and_the_storms() {
    let profile =
        read("cmdline: [nokaslr]\nstorm: {workers: 3, on_ms: 1-50, shrinker: false}").unwrap();
    assert_eq!(
        profile.cmdline(7, "abc", 10),
        "loglevel=6 printk.devkmsg=on nokaslr swapstorm.token=abc swapstorm.seed=7 \
         swapstorm.seconds=10 swapstorm.shrinker=off swapstorm.on_ms=1-50 swapstorm.workers=3"
    );
}

#[test]
fn refusals_point_at_the_value_and_say_what_was_expected() {
    let cases = [
        ("bogus: 1\n", "mine.yaml:4:1: unknown field `bogus`, expected one of `name`"),
        (
            "storm:\n  workers: 65\n",
            "mine.yaml:5:12: storm.workers: invalid value: integer `65`, \
             expected a whole number from 0 to 64",
        ),
        (
            "storm:\n  workers: many\n",
            "mine.yaml:5:12: storm.workers: invalid type: string \"many\", \
             expected a whole number from 0 to 64",
        ),
        (
            "storm:\n  on_ms: 50-1\n",
            "mine.yaml:5:10: storm.on_ms: invalid value: string \"50-1\", \
             expected LOW-HIGH or one number, from 0 to 60000",
        ),
        (
            "storm: {zswap_max: 8T}\n",
            "mine.yaml:4:20: storm.zswap_max: invalid value: string \"8T\", \
             expected a size: bytes, with K, M or G if you like, or `max`",
        ),
        ("storm: {wokers: 1}\n", "mine.yaml:4:9: storm: unknown field `wokers`"),
        ("cmdline: ['a b']\n", "mine.yaml:4:11: cmdline[0]: invalid value: string \"a b\""),
        ("cmdline: [swapstorm.seed=1]\n", "mine.yaml:4:11: cmdline[0]: invalid value"),
        ("expect: ../rule\n", "mine.yaml:4:9: expect: invalid value: string \"../rule\""),
        (
            "stretch: [{function: f, call: g, occurrence: 1, ms: 1, probability: 1.5, why: x}]\n",
            "mine.yaml:4:69: stretch[0].probability: invalid value: floating point `1.5`, \
             expected a probability above 0 and up to 1",
        ),
        (
            "stretch: [{function: f, call: g, occurrence: 0, ms: 1, why: x}]\n",
            "mine.yaml:4:46: stretch[0].occurrence: invalid value: integer `0`",
        ),
        ("stretch: [{function: f}]\n", "mine.yaml:4:11: stretch[0]: missing field `call`"),
        (
            "needs: [{any_of: [{option: PREEMPT}], why: x}]\n",
            "mine.yaml:4:28: needs[0].any_of[0].option: invalid value: string \"PREEMPT\"",
        ),
    ];
    for (extra, expected) in cases {
        let words = refusal(extra);
        assert!(words.starts_with(expected), "{extra}: {words}\n   expected {expected}");
    }
}

#[test]
fn text_that_is_no_yaml_is_placed_too() {
    let words = refusal("storm: [\n");
    assert!(words.starts_with("mine.yaml:"), "{words}");
}

#[test]
fn a_users_profile_comes_before_a_built_in_one() {
    let dir = TempDir::new().unwrap();
    let text = MINIMAL.replace("mine", "zswap-writeback-swapoff");
    fs_err::write(dir.path().join("zswap-writeback-swapoff.yaml"), text).unwrap();
    fs_err::write(dir.path().join("mine.yaml"), MINIMAL).unwrap();
    fs_err::write(dir.path().join("other.yaml"), MINIMAL).unwrap();

    let own = Some(dir.path());
    let profile = Profile::load("zswap-writeback-swapoff", own).unwrap();
    assert_eq!(profile.description, "a test");
    assert_eq!(Profile::load("mine", own).unwrap().name, "mine");
    assert_eq!(names(own), ["mine", "other", BUILT_IN[0].0, BUILT_IN[1].0]);

    let error = Profile::load("other", own).unwrap_err().to_string();
    assert!(error.contains("calls itself \"mine\"") && error.contains("name: other"), "{error}");
    let error = Profile::load("../mine", own).unwrap_err().to_string();
    assert!(error.starts_with("there is no profile \"../mine\""), "{error}");
    assert!(error.contains("mine, other, zswap-writeback-swapoff"), "{error}");
}

#[test]
fn a_huge_file_is_not_read() {
    let dir = TempDir::new().unwrap();
    let file = fs_err::File::create(dir.path().join("mine.yaml")).unwrap();
    file.set_len(MOST_BYTES + 1).unwrap();
    let error = Profile::load("mine", Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("262145 bytes"), "{error}");
}

#[test]
fn unmet_needs_say_what_was_asked_what_is_and_why() {
    let profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
    let all = |_: &str| Some("y".to_owned());
    assert_eq!(profile.unmet(all), []);

    let dynamic = |option: &str| (option != "CONFIG_PREEMPT").then(|| "y".to_owned());
    assert_eq!(profile.unmet(dynamic), [], "one alternative is enough");

    let voluntary = |option: &str| (!option.starts_with("CONFIG_PREEMPT")).then(|| "y".to_owned());
    let unmet = profile.unmet(voluntary);
    assert_eq!(unmet.len(), 1);
    let words = unmet[0].to_string();
    assert!(
        words.starts_with(
            "needs CONFIG_PREEMPT=y (it is n) or CONFIG_PREEMPT_DYNAMIC=y (it is n): swapoff waits"
        ),
        "{words}"
    );
}
