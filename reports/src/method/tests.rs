// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::console::{Options, Reader, Seen};
use crate::finding::Stack;
use crate::sample::{bug_elsewhere, race_6_1};

fn points() -> Vec<PlacedPoint> {
    let point = |id: &str, functions: &[&str]| PlacedPoint {
        id: id.to_owned(),
        functions: functions.iter().map(|f| (*f).to_owned()).collect(),
        bug: true,
        passed_over: Vec::new(),
    };
    vec![
        point("writeback", &["zswap_writeback_entry", "shrink_memcg_cb"]),
        point("iter", &["mem_cgroup_iter"]),
    ]
}

/// A report whose stack has these frames, `function` or `function+offset/size`.
fn report(kind: &str, title: &str, frames: &str) -> Finding {
    let frame = |word: &str| {
        let (function, offset) = match word.split_once('+') {
            Some((function, place)) => {
                let (offset, size) = place.split_once('/').unwrap();
                (function, Some((offset.parse().unwrap(), size.parse().unwrap())))
            }
            None => (word, None),
        };
        Frame { function: function.into(), offset, source: None, inlined: false }
    };
    let frames = frames.split_whitespace().map(frame).collect();
    Finding {
        title: title.to_owned(),
        kind: kind.to_owned(),
        stacks: vec![Stack { role: StackRole::Access, task: None, frames }],
        ..Finding::default()
    }
}

fn warning(frames: &str) -> Finding {
    report("WARNING", "WARNING in rcu_note_context_switch", frames)
}

/// The point that is blamed.
fn blamed(finding: &Finding, diverted: Option<&str>) -> Option<String> {
    own_report(finding, points().iter(), diverted).map(|own| own.point)
}

const ASLEEP: &str = "rcu_note_context_switch __schedule schedule schedule_timeout msleep";

#[test]
fn a_sleep_that_nobody_called_is_the_methods() {
    for (behind, point) in [
        ("mem_cgroup_iter+20/900 shrink_node", "iter"),
        ("shrink_memcg_cb+20/900 list_lru_walk_one", "writeback"),
        ("kernel_halt+0/40 zswap_writeback_entry+9/90 zbud_zpool_evict", "writeback"),
        ("kernel_restart+80/80 mem_cgroup_iter+9/90", "iter"),
        ("kernel_halt+0/40 shrink_node", "writeback or iter"),
        ("", "writeback or iter"),
    ] {
        let finding = warning(&format!("{ASLEEP} {behind}"));
        assert_eq!(blamed(&finding, None).as_deref(), Some(point), "{behind}");
    }
    for (kind, title) in [
        ("ATOMIC_SLEEP", "BUG: scheduling while atomic in mem_cgroup_iter"),
        ("LOCKDEP", "WARNING: suspicious RCU usage in mem_cgroup_iter"),
        ("DoS", "kernel panic: corrupted stack end in mem_cgroup_iter"),
    ] {
        let finding = report(kind, title, &format!("{ASLEEP} mem_cgroup_iter+20/900"));
        assert_eq!(blamed(&finding, None).as_deref(), Some("iter"), "{title}");
    }
}

#[test]
fn with_a_single_point_there_is_no_question_which() {
    let only = &points()[1..];
    let finding = warning(&format!("{ASLEEP} kernel_halt+0/40 shrink_node"));
    assert_eq!(own_report(&finding, only.iter(), None).unwrap().point, "iter");
    assert_eq!(own_report(&finding, [].iter(), None).unwrap().point, "unknown");
}

#[test]
fn what_the_stretcher_knows_counts_for_a_task_that_sleeps() {
    // Without frame pointers the unwinder may find its way to a caller that never called.
    let lost = format!("{ASLEEP} worker_thread+20/900");
    assert_eq!(blamed(&warning(&lost), None), None);
    assert_eq!(blamed(&warning(&lost), Some("writeback")).as_deref(), Some("writeback"));
    assert_eq!(blamed(&warning(""), Some("iter")).as_deref(), Some("iter"), "no stack at all");
    // Another task's report, while one sleeps.
    let other = warning("ext4_writepages+1/9 do_writepages+1/9");
    assert_eq!(blamed(&other, Some("writeback")), None);
}

#[test]
fn a_report_about_the_kernel_stays_the_kernels() {
    // A warning without a sleep, in a function that is stretched.
    assert_eq!(blamed(&warning("mem_cgroup_iter+20/900 shrink_node"), None), None);
    // A sleep that somebody called.
    let called = format!("{ASLEEP} ata_msleep+20/90 mem_cgroup_iter+20/900");
    assert_eq!(blamed(&warning(&called), None), None);
    assert_eq!(blamed(&bug_elsewhere(), None), None);
    // The bug itself, whoever sleeps: what it is about is memory.
    let mut race = race_6_1();
    for name in ["msleep", "schedule_timeout"] {
        let frame = Frame { function: name.into(), ..race.stacks[0].frames[0].clone() };
        race.stacks[0].frames.insert(6, frame);
    }
    assert_eq!(race.stacks[0].frames[7].function, "msleep");
    assert_eq!(race.stacks[0].frames[8].function, "zswap_writeback_entry");
    assert_eq!(blamed(&race, None), None);
    assert_eq!(blamed(&race, Some("writeback")), None);
}

/// The console of a guest with Linux 6.1 whose tasks were put to sleep in RCU readers.
const OWN_SLEEP: &str = include_str!("../../testdata/own-sleep-6.1.log");

fn reports(console: &str) -> Vec<Finding> {
    let mut reader = Reader::new(Options::default());
    let mut seen = reader.push(console.as_bytes());
    seen.extend(reader.finish());
    let report = |seen| match seen {
        Seen::Report(finding) => Some(*finding),
        Seen::Note(_) => None,
    };
    seen.into_iter().filter_map(report).collect()
}

#[test]
fn a_real_sleep_in_an_rcu_reader_is_told_from_a_warning_of_the_kernels() {
    let points = ["get_swap_device", "__filemap_get_folio"].map(|function| PlacedPoint {
        id: format!("{function}:__rcu_read_unlock:1"),
        functions: vec![function.to_owned()],
        bug: true,
        passed_over: Vec::new(),
    });
    let [own] = &reports(OWN_SLEEP)[..] else { panic!("one report is on the console") };
    assert_eq!(own.title, "WARNING in rcu_note_context_switch");
    // The frame of the diverted function is lost; the stretcher knows which one it was.
    let blamed = |diverted| own_report(own, points.iter(), diverted).unwrap().point;
    assert_eq!(
        blamed(None),
        "get_swap_device:__rcu_read_unlock:1 or __filemap_get_folio:__rcu_read_unlock:1"
    );
    assert_eq!(blamed(Some(&points[1].id)), "__filemap_get_folio:__rcu_read_unlock:1");
    // Where nobody says what was stretched, as in format 1, it still is nobody's call.
    assert_eq!(own_report(own, [].iter(), None).unwrap().point, "unknown");

    // The same, had the kernel scheduled by itself.
    let without: String = OWN_SLEEP
        .lines()
        .filter(|line| !line.contains(" msleep+") && !line.contains(" reboot_work_func+"))
        .map(|line| format!("{line}\n"))
        .collect();
    let [kernels] = &reports(&without)[..] else { panic!("one report is on the console") };
    assert_eq!(kernels.title, own.title);
    assert_eq!(own_report(kernels, points.iter(), None), None);
}
