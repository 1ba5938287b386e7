// SPDX-License-Identifier: MIT OR Apache-2.0
use super::refusal;

#[test]
fn refusals_point_at_the_value_and_say_what_was_expected() {
    let cases = [
        ("bogus: 1\n", "mine.yaml:4:1: unknown field `bogus`, expected one of `clock`, `cmdline`"),
        (
            "storm:\n  workers: 65\n",
            "mine.yaml:5:12: storm.workers: expected a whole number from 0 to 64, not `65`",
        ),
        (
            "storm:\n  workers: many\n",
            "mine.yaml:5:12: storm.workers: expected a whole number from 0 to 64, not \"many\"",
        ),
        (
            "storm:\n  on_ms: 50-1\n",
            "mine.yaml:5:10: storm.on_ms: expected LOW-HIGH or one number, from 0 to 60000, not \"50-1\"",
        ),
        (
            "storm:\n  hotplug: true\n  cpu_off_ms: 60001\n",
            "mine.yaml:6:15: storm.cpu_off_ms: expected LOW-HIGH or one number, from 0 to 60000, not `60001`",
        ),
        (
            "storm: {hotplug: 1}\n",
            "mine.yaml:4:18: storm.hotplug: expected `true` or `false`, not `1`",
        ),
        (
            "preempt: {burst_us: 10-5001}\n",
            "mine.yaml:4:21: preempt.burst_us: expected LOW-HIGH or one number, from 10 to 5000, not \"10-5001\"",
        ),
        (
            "preempt:\n  gap_us: 499\n",
            "mine.yaml:5:11: preempt.gap_us: expected LOW-HIGH or one number, from 500 to 1000000, not `499`",
        ),
        ("preempt: {fifo: 1}\n", "mine.yaml:4:11: preempt: unknown field `fifo`, expected one of"),
        ("fixes: [{series: ../x}]\n", "mine.yaml:4:18: fixes[0].series: expected a name: a letter"),
        (
            "technique: luck\n",
            "mine.yaml:4:12: technique: unknown word `luck`, expected one of `natural`, `stretch`, `preempt`, `preempt+stretch`",
        ),
        (
            "technique: strech\n",
            "mine.yaml:4:12: technique: unknown word `strech`, did you mean `stretch`?",
        ),
        (
            "fixes: [{serie: x}]\n",
            "mine.yaml:4:10: fixes[0]: unknown field `serie`, did you mean `series`?",
        ),
        (
            "storm: {compressors: \"lzo,,lz4\"}\n",
            "mine.yaml:4:22: storm.compressors: expected names of algorithms with commas, at most 63 bytes, not \"lzo,,lz4\"",
        ),
        (
            "storm: {zswap_max: 8T}\n",
            "mine.yaml:4:20: storm.zswap_max: expected a size: bytes, with K, M or G if you like, or `max`, not \"8T\"",
        ),
        (
            "storm: {zswap_max: 20000000000G}\n",
            "mine.yaml:4:20: storm.zswap_max: invalid value: string \"20000000000G\"",
        ),
        (
            "storm: {wokers: 1}\n",
            "mine.yaml:4:9: storm: unknown field `wokers`, did you mean `workers`?",
        ),
        (
            "cmdline: ['a b']\n",
            "mine.yaml:4:11: cmdline[0]: expected one word of the kernel command",
        ),
        ("cmdline: [swapstorm.seed=1]\n", "mine.yaml:4:11: cmdline[0]: expected one word"),
        ("expect: ../rule\n", "mine.yaml:4:9: expect: expected a name: a letter or digit, then"),
        (
            "stretch: [{candidates: [{function: f, call: g}], ms: 1, probability: 1.5, why: x}]\n",
            "mine.yaml:4:70: stretch[0].probability: expected a probability above 0 and up to 1, not `1.5`",
        ),
        (
            "stretch: [{candidates: [{function: f, call: g}], ms: 1, probability: 0, why: x}]\n",
            "mine.yaml:4:70: stretch[0].probability: expected a probability above 0 and up to 1, not `0`",
        ),
        (
            "stretch: [{candidates: [{function: f, call: g, occurrence: 0}], ms: 1, why: x}]\n",
            "mine.yaml:4:60: stretch[0].candidates[0].occurrence: expected a whole number from 1 to 64, not `0`",
        ),
        (
            "stretch: [{candidates: [{function: f, call: g, after: a b}], ms: 1, why: x}]\n",
            "mine.yaml:4:55: stretch[0].candidates[0].after: expected the name of a kernel function, not \"a b\"",
        ),
        (
            "stretch: [{candidates: [{function: f}], ms: 1, why: x}]\n",
            "mine.yaml:4:25: stretch[0].candidates[0]: missing field `call`",
        ),
        (
            "stretch: [{candidates: [], ms: 1, why: x}]\n",
            "mine.yaml:4:24: stretch[0].candidates: the list is empty, expected at least one entry",
        ),
        (
            "stretch: [{candidates: [{function: f, call: g}], role: hlep, ms: 1, why: x}]\n",
            "mine.yaml:4:56: stretch[0].role: unknown word `hlep`, did you mean `help`?",
        ),
        (
            "needs: [{any_of: [{option: PREEMPT}], why: x}]\n",
            "mine.yaml:4:28: needs[0].any_of[0].option: expected an option, `CONFIG_NAME`, not \"PREEMPT\"",
        ),
    ];
    for (extra, expected) in cases {
        let words = refusal(extra);
        assert!(words.starts_with(expected), "{extra}: {words}\n   expected {expected}");
        assert_eq!(words.lines().count(), 1, "{words}");
    }
}

#[test]
fn all_mistakes_of_a_profile_come_out_together() {
    let words = refusal(
        "storm: {workers: 65, push: away}\nvariants:\n  - name: a\n    when: [{form: 6.8}]\n    gest: {}\n",
    );
    let expected = "\
mine.yaml:4:18: storm.workers: expected a whole number from 0 to 64, not `65`
mine.yaml:4:28: storm.push: unknown word `away`, expected one of `pageout`, `limit`, `none`
mine.yaml:6:5: variants[0]: missing field `why`
mine.yaml:7:13: variants[0].when[0]: unknown field `form`, did you mean `from`?
mine.yaml:8:5: variants[0]: unknown field `gest`, did you mean `guest`?";
    assert_eq!(words, expected);
}

#[test]
fn text_that_is_no_yaml_is_placed_too() {
    let words = refusal("storm: [\n");
    assert!(words.starts_with("mine.yaml:"), "{words}");
}
