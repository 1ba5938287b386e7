// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::console::{Options, Reader, Seen};
use crate::sample;

fn rule() -> Rule {
    Rule::built_in("zswap-writeback-swapoff").expect("it comes with the program")
}

fn reason(finding: &Finding) -> String {
    match rule().matches(finding) {
        Match::Yes => "yes".to_owned(),
        Match::No(why) => why,
    }
}

#[test]
fn every_built_in_rule_can_be_read() {
    for (name, text) in BUILT_IN {
        let rule = Rule::from_yaml(name, text).unwrap();
        assert_eq!(rule.name.as_str(), *name);
    }
    assert_eq!(Rule::built_in("no-such-rule"), None);
}

#[test]
fn the_race_is_recognised_in_each_shape_it_takes() {
    assert_eq!(reason(&sample::race_6_1()), "yes");
    assert_eq!(reason(&sample::race_6_8()), "yes");
    let mut suffixed = sample::race_6_1();
    for frame in suffixed.stacks.iter_mut().flat_map(|s| &mut s.frames) {
        frame.function = format!("{}.isra.0", frame.function).into();
    }
    assert_eq!(reason(&suffixed), "yes");
    let mut arm64 = sample::race_6_1();
    for stack in &mut arm64.stacks {
        stack.frames.retain(|f| !f.function.contains("invalidate_area"));
        for frame in &mut stack.frames {
            frame.function = frame.function.replace("__x64_sys", "__arm64_sys").into();
        }
    }
    assert_eq!(reason(&arm64), "yes");
}

/// The tree's memory was another object before the writeback came to it.
#[test]
fn memory_that_was_used_again_is_related_to_the_race_but_no_proof_of_it() {
    let log = include_bytes!("../../corpus/zswap-writeback-recycled-6.1-arm64.log");
    let mut reader = Reader::new(Options::default());
    let seen = reader.push(log).into_iter().chain(reader.finish());
    let findings: Vec<Finding> = seen
        .filter_map(|seen| match seen {
            Seen::Report(finding) => Some(*finding),
            Seen::Note(_) => None,
        })
        .collect();
    let [recycled] = &findings[..] else { panic!("{findings:#?}") };
    assert!(reason(recycled).starts_with("its \"Freed by\" stack holds none of"));
    assert!(rule().is_related(recycled));
    // BUG_ON(ret) behind the decompression.
    let mut undone = sample::bug_elsewhere();
    assert!(!rule().is_related(&undone));
    undone.stacks[0].frames[0].function = "zswap_writeback_entry".into();
    assert!(rule().is_related(&undone) && reason(&undone) != "yes");
    // The race itself needs no excuse, and other code has none.
    assert!(!rule().is_related(&sample::race_6_1()));
    let mut elsewhere = recycled.clone();
    elsewhere.stacks[0].frames.retain(|f| f.function != "zswap_writeback_entry");
    assert!(!rule().is_related(&elsewhere));
}

#[test]
fn what_is_not_the_race_is_refused_with_the_reason() {
    assert_eq!(
        reason(&sample::bug_elsewhere()),
        "its type is BUG, not KASAN-USE-AFTER-FREE*, KASAN-SLAB-USE-AFTER-FREE*"
    );

    let mut freed_elsewhere = sample::race_6_1();
    freed_elsewhere.stacks[2].frames.retain(|f| !f.function.contains("swapoff"));
    freed_elsewhere.stacks[2].frames.retain(|f| !f.function.contains("invalidate_area"));
    assert_eq!(
        reason(&freed_elsewhere),
        "its \"Freed by\" stack holds none of zswap_frontswap_invalidate_area, zswap_swapoff, \
         __do_sys_swapoff, *_sys_swapoff"
    );

    let mut read_elsewhere = sample::race_6_1();
    read_elsewhere.stacks[0].frames.retain(|f| f.function != "zswap_writeback_entry");
    assert_eq!(
        reason(&read_elsewhere),
        "its access stack holds none of zswap_writeback_entry, zswap_reclaim_entry, shrink_memcg_cb"
    );

    let mut quiet = sample::race_6_1();
    quiet.stacks.retain(|stack| stack.role == StackRole::Access);
    assert_eq!(reason(&quiet), "it has no \"Freed by\" stack");
    quiet.corrupted = Some("it ends early".to_owned());
    assert_eq!(
        reason(&quiet),
        "it has no \"Freed by\" stack (the report is damaged: it ends early)"
    );
}

#[test]
fn the_allocation_tells_the_object_only_where_nobody_knows_who_freed_it() {
    let mut forgotten = sample::race_6_1();
    forgotten.stacks.retain(|stack| stack.role != StackRole::FreedBy);
    assert_eq!(reason(&forgotten), "yes");

    // Another object under the same hands.
    let mut entry = forgotten.clone();
    for stack in entry.stacks.iter_mut().filter(|s| s.role == StackRole::AllocatedBy) {
        stack.frames.retain(|f| f.function != "zswap_frontswap_init");
    }
    assert_eq!(reason(&entry), "it has no \"Freed by\" stack");

    // The tree, but freed by somebody else: that is another bug.
    let mut elsewhere = sample::race_6_1();
    for stack in elsewhere.stacks.iter_mut().filter(|s| s.role == StackRole::FreedBy) {
        for frame in &mut stack.frames {
            frame.function = "kfree".into();
        }
    }
    assert!(reason(&elsewhere).starts_with("its \"Freed by\" stack holds none of"));

    // A rule that does not say so does not look at it.
    let mut strict = rule();
    strict.allocated_by = None;
    assert!(matches!(strict.matches(&forgotten), Match::No(_)));
}

#[test]
fn every_mistake_in_a_rule_file_has_its_place() {
    let good = BUILT_IN[0].1;
    let refused = |text: &str| Rule::from_yaml("my.yaml", text).unwrap_err().to_string();
    insta::assert_snapshot!(refused(&good.replace("freed_by:", "freed-by:")), @r#"my.yaml:22:1: unknown field `freed-by`, did you mean `freed_by`?"#);
    insta::assert_snapshot!(refused(&good.replace("name: zswap", "name: ../zswap")), @r#"my.yaml:2:7: name: expected a name of 1 to 64 letters, digits, `-`, `_` or `.`, not "../zswap-writeback-swapoff""#);
    insta::assert_snapshot!(refused("name: x\ntitle: y\ntypes: KASAN*\naccess: []\nnonsense: 1\n"), @r#"
    my.yaml:3:8: types: expected a list, not "KASAN*"
    my.yaml:4:9: access: the list is empty, expected at least one entry
    my.yaml:5:1: unknown field `nonsense`, expected one of `access`, `allocated_by`, `corruption`, `description`, `freed_by`, `name`, `related`, `title`, `types`
    "#);
    insta::assert_snapshot!(refused("name: x\ntitle: y\ntypes: ['*', a b]\naccess: [a]\n"), @r#"
    my.yaml:3:9: types[0]: expected a function or type name, `*` standing for anything, not "*"
    my.yaml:3:14: types[1]: expected a function or type name, `*` standing for anything, not "a b"
    "#);
    insta::assert_snapshot!(refused("name: x\ntitle: y\n"), @r#"
    my.yaml:1:1: missing field `types`
    my.yaml:1:1: missing field `access`
    "#);
    insta::assert_snapshot!(refused("name: [x\n"), @r#"my.yaml:2:1: while parsing a flow sequence, expected ',' or ']'"#);
    insta::assert_snapshot!(refused(&"#".repeat(MAX_RULE_BYTES + 1)), @r#"my.yaml: a rule is at most 65536 bytes, this file has 65537: is it one?"#);
}

#[test]
fn every_shipped_rule_is_built_in_and_the_schema_is_the_checked_in_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let yaml: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
    assert_eq!(yaml.len(), BUILT_IN.len());
    for file in yaml {
        Rule::from_yaml(&file.display().to_string(), &std::fs::read_to_string(&file).unwrap())
            .unwrap();
    }
    schema::checked_in(folder.join("rule.schema.json"), &Rule::schema()).unwrap();
}

#[test]
fn a_star_stands_for_anything_and_nothing_else_does() {
    for (pattern, word, expected) in [
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("abc", "xabc", false),
        ("a*", "a", true),
        ("*_sys_swapoff", "__x64_sys_swapoff", true),
        ("*_sys_swapoff", "__x64_sys_swapoff_x", false),
        ("*a*b*", "xxaxaxb", true),
        ("*a*b", "bbba", false),
        ("a$b", "ab", false),
    ] {
        assert_eq!(glob(pattern.as_bytes(), word.as_bytes()), expected, "{pattern} {word}");
    }
    let many = "a*".repeat(30) + "b";
    assert!(!glob(many.as_bytes(), "a".repeat(4000).as_bytes()));
}

/// What the console reader makes of a console, the rule must understand.
fn read(console: &str) -> Vec<Finding> {
    let mut reader = Reader::new(Options::default());
    let mut seen = reader.push(console.as_bytes());
    seen.extend(reader.finish());
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Report(finding) => Some(*finding),
            Seen::Note(_) => None,
        })
        .collect()
}

/// Each rule knows its own bug in what 6.1 prints, and neither takes the other's for it.
#[test]
fn a_cpu_that_went_is_another_bug_than_a_device_that_went() {
    let hotplug = Rule::built_in("zswap-cpu-hotplug").unwrap();
    let text = include_str!("../../testdata/cpu-hotplug-6.1.txt");
    let [finding] = &read(text)[..] else { panic!("not one report") };
    assert_eq!(hotplug.matches(finding), Match::Yes, "{finding:#?}");
    assert!(matches!(rule().matches(finding), Match::No(_)));
    assert!(matches!(hotplug.matches(&sample::race_6_1()), Match::No(_)));

    // Freed by others, who had the memory in between: no proof, but no other bug, either.
    let again = text.replace("zswap_cpu_comp_dead", "seq_release");
    let [again] = &read(&again)[..] else { panic!("not one report") };
    assert!(matches!(hotplug.matches(again), Match::No(_)) && hotplug.is_related(again));
    // What lies in memory that is another's: other lengths, other pointers.
    for kind in ["KASAN-READ", "KASAN-WRITE", "DoS"] {
        let other = Finding { kind: kind.to_owned(), ..finding.clone() };
        assert!(matches!(hotplug.matches(&other), Match::No(_)) && hotplug.is_related(&other));
        let elsewhere = Finding { kind: kind.to_owned(), ..sample::bug_elsewhere() };
        assert!(!hotplug.is_related(&elsewhere), "{kind}");
    }
    // Nobody knows who freed it: who allocated it tells.
    let forgotten = Finding {
        stacks: finding.stacks.iter().filter(|s| s.role != StackRole::FreedBy).cloned().collect(),
        ..finding.clone()
    };
    assert_eq!(hotplug.matches(&forgotten), Match::Yes);
}

#[test]
fn the_race_is_recognised_in_what_the_console_reader_finds() {
    let [finding] = &read(sample::RACE_6_1_TEXT)[..] else { panic!("not one report") };
    assert_eq!(reason(finding), "yes", "{finding:#?}");

    // Linux 6.8 and later, with printk's prefix and under another name.
    let newer = sample::RACE_6_1_TEXT
        .replace("use-after-free", "slab-use-after-free")
        .replace("zswap_writeback_entry", "shrink_memcg_cb.isra.0")
        .replace("zswap_frontswap_invalidate_area", "zswap_swapoff")
        .lines()
        .map(|line| format!("[    7.031250][   T21] {line}\r\n"))
        .collect::<String>();
    let [finding] = &read(&newer)[..] else { panic!("not one report") };
    assert_eq!(reason(finding), "yes", "{finding:#?}");

    // Unreliable frames are no evidence.
    let unreliable = sample::RACE_6_1_TEXT
        .replace(" zswap_writeback_entry+0x1dd", " ? zswap_writeback_entry+0x1dd")
        .replace("? zswap_frontswap_load", "? zswap_writeback_entry");
    let [finding] = &read(&unreliable)[..] else { panic!("not one report") };
    assert!(reason(finding).starts_with("its access stack holds none of"), "{finding:#?}");
}

/// A file on tmpfs went while a swapoff took the device away, on 6.1 without the fix.
const FREED_AND_GONE: &str = "\
[   26.121000][   T71] general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] PREEMPT SMP KASAN
[   26.121001][   T71] KASAN: null-ptr-deref in range [0x0000000000000000-0x0000000000000007]
[   26.121002][   T71] CPU: 0 PID: 71 Comm: worker-3 Not tainted 6.1.192 #1
[   26.121003][   T71] RIP: 0010:swap_page_trans_huge_swapped+0x15e/0x1c0
[   26.121004][   T71] Call Trace:
[   26.121005][   T71]  <TASK>
[   26.121006][   T71]  free_swap_and_cache+0xd2/0x100
[   26.121007][   T71]  shmem_undo_range+0x381/0xe70
[   26.121008][   T71]  shmem_evict_inode+0x32a/0x900
[   26.121009][   T71]  evict+0x304/0x7c0
[   26.121010][   T71]  </TASK>
[   26.121011][   T71] ---[ end trace 0000000000000000 ]---
";

fn only_finding(console: &str) -> Finding {
    let mut reader = Reader::new(Options::default());
    let seen = reader.push(console.as_bytes()).into_iter().chain(reader.finish());
    let mut findings = seen.filter_map(|seen| match seen {
        Seen::Report(finding) => Some(*finding),
        Seen::Note(_) => None,
    });
    let finding = findings.next().unwrap();
    assert_eq!(findings.next(), None);
    finding
}

#[test]
fn a_look_at_the_map_of_a_device_that_is_gone_is_told_from_other_faults() {
    let rule = Rule::built_in("free-swap-swapoff").unwrap();
    assert_eq!(rule.matches(&only_finding(FREED_AND_GONE)), Match::Yes);
    let inlined = FREED_AND_GONE.replace("swap_page_trans_huge_swapped", "free_swap_and_cache");
    assert_eq!(rule.matches(&only_finding(&inlined)), Match::Yes);
    // The same fault elsewhere, and another one there.
    let elsewhere = inlined.replace("free_swap_and_cache", "swap_readpage");
    let elsewhere = only_finding(&elsewhere);
    assert!(rule.matches(&elsewhere) != Match::Yes && !rule.is_related(&elsewhere));
    let mut freed = only_finding(FREED_AND_GONE);
    freed.kind = "KASAN-USE-AFTER-FREE-READ".to_owned();
    assert!(rule.matches(&freed) != Match::Yes && rule.is_related(&freed));
}
