// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::*;

const TOKEN: &str = "k3x9";

fn read(text: &str) -> (Vec<Telemetry>, Health) {
    let mut reader = TelemetryReader::new(TOKEN);
    let seen = reader.push(text.as_bytes());
    (seen, *reader.health())
}

const STORM: &str = "\
Linux version 6.1.192 swapstorm.token=k3x9\r\n\
[    0.901234] swapstorm k3x9 hello ms=0 protocol=1 up_ms=901 release=6.1.192 machine=x86_64 cpus=2 memory_kib=172100\r\n\
[    0.950000][    T1] swapstorm k3x9 warn ms=49 what=write path=/sys/module/zswap/parameters/shrinker_enabled value=Y errno=ENOENT\r\n\
[    1.000000][    T1] swapstorm k3x9 ready ms=99 disks=4 disk_kib=2044 workers=8 seed=7 zswap=Y compressor=lzo zpool=zbud\r\n\
Adding 2044k swap on /dev/vda.  Priority:1 extents:1 across:2044k FS\r\n\
<6>[    1.250000][    T1] swapstorm k3x9 sample ms=349 seq=1 swapon=14 swapoff=10 swapoff_enomem=2 touched=2048 verified=900 stored_pages=310 written_back_pages=41 zswpout=400\r\n\
swapstorm k3x9 sample ms=599 seq=2 swapon=30 swapoff=28 swapoff_enomem=2 touched=4096 verified=2900 stored_pages=12 written_back_pages=141 zswpout=800 new_key=x\r\n\
swapstorm k3x9 corrupt ms=640 worker=3 page=17 offset=8 expected=170 got=0 wrong=4088\r\n\
swapstorm k3x9 done ms=700 reason=time end=poweroff\r\n";

#[test]
fn a_storm_is_read_whatever_prefix_printk_uses() {
    let (seen, health) = read(STORM);
    let words: Vec<&str> = seen
        .iter()
        .map(|t| match t {
            Telemetry::Hello(_) => "hello",
            Telemetry::Ready(_) => "ready",
            Telemetry::Columns(_) => "columns",
            Telemetry::Sample(_) => "sample",
            Telemetry::Memcg(_) => "memcg",
            Telemetry::Hung(_) => "hung",
            Telemetry::Slow(_) => "slow",
            Telemetry::Corrupt(_) => "corrupt",
            Telemetry::Warn(_) => "warn",
            Telemetry::Violated(_) => "violated",
            Telemetry::Checked(_) => "checked",
            Telemetry::Acted(_) => "acted",
            Telemetry::Done(_) => "done",
        })
        .collect();
    assert_eq!(words, ["hello", "warn", "ready", "sample", "sample", "corrupt", "done"]);
    assert_eq!(health, Health { believed: 7, unknown: 1, ..Health::default() });
    assert_eq!(health.doubt(), None);
    let Telemetry::Sample(sample) = &seen[4] else { panic!("{seen:?}") };
    assert_eq!(sample.extra["new_key"], "x");
    assert_eq!(sample.counters.zswpwb, None);
    let mut exposure = Exposure { windows: 5, ..Exposure::default() };
    sample.apply(&mut exposure);
    assert_eq!(
        exposure,
        Exposure {
            guest_ms: 500,
            swapons: 30,
            swapoffs: 28,
            stores: 800,
            writebacks: 141,
            windows: 5,
            refused: 0,
            verified: 2900,
            oom_kills: 0,
            cpu_offs: 0,
        }
    );
    let Telemetry::Corrupt(corrupt) = &seen[5] else { panic!("{seen:?}") };
    assert_eq!(corrupt.detail(), "worker=3 page=17 offset=8 expected=170 got=0 wrong=4088");
}

#[test]
fn lines_of_others_are_counted_and_not_believed() {
    let (seen, health) = read(
        "swapstorm other sample ms=1 seq=1\n\
         swapstorm \n\
         my swapstorm k3x9 ready ms=1\n\
         Command line: swapstorm k3x9 ready ms=1\n",
    );
    assert_eq!(seen, []);
    assert_eq!(health, Health { foreign: 2, ..Health::default() });
}

#[test]
fn broken_lines_are_malformed() {
    for line in [
        "swapstorm k3x9",
        "swapstorm k3x9 ",
        "swapstorm k3x9 sample",
        "swapstorm k3x9 sample ms=1",
        "swapstorm k3x9 ready ms=1  disks=1",
        "swapstorm k3x9 ready ms=-1",
        "swapstorm k3x9 ready ms=99999999999999999999",
        "swapstorm k3x9 ready ms=1 ms=1",
        "swapstorm k3x9 ready ms=1 zpool=%4",
        "swapstorm k3x9 ready ms=1 zpool=a\x1b[m",
        "swapstorm k3x9 READY ms=1",
        &format!("swapstorm k3x9 ready ms=1 zpool={}", "z".repeat(MAX_LINE)),
    ] {
        let (seen, health) = read(&format!("{line}\n"));
        assert_eq!((seen.len(), health.malformed), (0, 1), "{line}: {health:?}");
    }
    assert_eq!(read("swapstorm k3x9 ready ms=12").0, [], "a line without its end may be cut");
}

#[test]
fn values_are_decoded_and_shown_escaped() {
    let (seen, _) = read("swapstorm k3x9 warn ms=4 what=parameter name=x value=a%20b%1B%0A\n");
    let Telemetry::Warn(warn) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!(warn.words[1].1, "a b\x1b\n");
    assert_eq!(warn.detail(), "parameter name=x value=a b\\x1b\\n");
}

#[test]
fn contradictions_are_refused() {
    let ready =
        "swapstorm k3x9 ready ms=0\nswapstorm k3x9 sample ms=100 seq=1 swapoff=50 zswpout=9\n";
    for (line, why) in [
        ("sample ms=200 seq=2 swapoff=49", "a counter fell"),
        ("sample ms=200 seq=2 swapoff=9999999999", "a counter leapt"),
        ("sample ms=99 seq=2 swapoff=50", "time fell"),
        ("sample ms=99999999999 seq=2 swapoff=50", "time leapt"),
        ("sample ms=200 seq=1 swapoff=50", "a number came twice"),
        ("sample ms=200 seq=900 swapoff=50", "too many are missing"),
        ("ready ms=200", "ready came twice"),
    ] {
        let (seen, health) = read(&format!("{ready}swapstorm k3x9 {line}\n"));
        assert_eq!((seen.len(), health.suspicious), (2, 1), "{why}: {health:?}");
        assert!(health.doubt().is_some());
    }
    let (seen, health) = read("swapstorm k3x9 sample ms=200 seq=2\n");
    assert_eq!((seen.len(), health.suspicious), (0, 1), "a sample before ready");
}

#[test]
fn a_lost_sample_and_a_truncated_one_are_no_contradiction() {
    let (seen, health) = read(
        "swapstorm k3x9 ready ms=0\n\
         swapstorm k3x9 sample ms=100 seq=1 swapoff=50 verified=7 zswpout=9\n\
         swapstorm k3x9 sample ms=900 seq=3 swapoff=60 truncated=1\n",
    );
    assert_eq!((seen.len(), health.missing, health.suspicious), (3, 1, 0));
    let Telemetry::Sample(sample) = &seen[2] else { panic!("{seen:?}") };
    assert_eq!((sample.counters.verified, sample.counters.zswpout), (7, Some(9)));
}

const TABLE: &str = "\
swapstorm k3x9 ready ms=0\n\
swapstorm k3x9 columns ms=1 at=0 of=6 names=swapoff,verified,zswpout,swapoff.vda\n\
swapstorm k3x9 columns ms=1 at=4 of=6 names=stored_pages,reject_compress_poor\n\
swapstorm k3x9 sample ms=100 seq=1 v0=5,,9,2 v4=7\n";

#[test]
fn rows_are_read_by_a_table() {
    let (seen, health) = read(TABLE);
    let [Telemetry::Ready(_), Telemetry::Columns(columns), Telemetry::Sample(sample)] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(columns.names.len(), 6);
    assert_eq!(sample.row, [5, 0, 9, 2, 7, 0]);
    let counters =
        Counters { swapoff: 5, zswpout: Some(9), stored_pages: Some(7), ..Counters::default() };
    assert_eq!(sample.counters, counters);
    // What no verdict rests on goes into the log as well.
    let others = [("reject_compress_poor", "0"), ("swapoff.vda", "2")];
    let others = others.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sample.extra, BTreeMap::from(others));
    // The exposure follows from the row alone.
    let mut exposure = Exposure::default();
    sample.apply(&mut exposure);
    assert_eq!(columns.exposure(&sample.row, sample.since_ready_ms), exposure);
    assert_eq!((exposure.guest_ms, exposure.swapoffs, exposure.stores), (100, 5, 9));
    // A line of the table is believed, though it tells nothing yet.
    assert_eq!(health, Health { believed: 4, ..Health::default() });
}

#[test]
fn a_table_that_is_named_again_is_no_news_and_another_one_is_refused() {
    for (line, news, suspicious, why) in [
        ("at=0 of=6 names=swapoff,verified", 0, 0, "named again"),
        ("at=4 of=6 names=stored_pages,reject_compress_poor", 0, 0, "named again"),
        ("at=0 of=6 names=verified,swapoff", 0, 1, "in another order"),
        ("at=0 of=7 names=swapoff", 0, 1, "of another size"),
        ("at=5 of=6 names=reject_compress_poor,more", 0, 1, "beyond its end"),
        ("at=0 of=6 names=", 0, 1, "without a name"),
    ] {
        let (seen, health) = read(&format!("{TABLE}swapstorm k3x9 columns ms=200 {line}\n"));
        assert_eq!((seen.len(), health.suspicious), (3 + news, suspicious), "{why}: {health:?}");
    }
}

#[test]
fn a_row_without_its_table_or_beyond_it_is_not_guessed_at() {
    let row = "swapstorm k3x9 sample ms=100 seq=1 v0=5,,9,2 v4=7\n";
    let without = TABLE.replacen("at=0", "at=1", 1);
    let (seen, health) = read(&without);
    assert_eq!((seen.len(), health.unknown), (1, 1), "{health:?}");
    // It is named again some time.
    let later = TABLE.split_once('\n').unwrap().1.replace("seq=1", "seq=2");
    let (seen, health) = read(&format!("{without}{later}"));
    assert_eq!((seen.len(), health.missing, health.suspicious), (3, 1, 0), "{health:?}");
    for row in [row.replace("v4=7", "v4=7,8,9"), row.replace("v4=7", "v9=1"), row.replace('7', "x")]
    {
        let table = TABLE.rsplit_once("swapstorm").unwrap().0;
        let (seen, health) = read(&format!("{table}{row}"));
        assert_eq!((seen.len(), health.malformed), (2, 1), "{row}");
    }
}

const MEMCG: &str = "\
swapstorm k3x9 ready ms=50\n\
swapstorm k3x9 memcg_columns ms=60 at=0 of=3 names=memory.current,zswap,zswpwb\n\
swapstorm k3x9 memcg ms=160 cgroup=w3 v0=8192,,7\n";

#[test]
fn a_cgroups_numbers_are_those_that_the_kernel_has() {
    let (seen, health) = read(MEMCG);
    assert_eq!(health, Health { believed: 3, ..Health::default() });
    let Telemetry::Memcg(memcg) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!((memcg.cgroup.as_str(), memcg.since_ready_ms), ("w3", 110));
    // None is 0 that the kernel does not have, and what it has is 0 where nothing stands.
    let numbers: Vec<(&str, u64)> =
        memcg.numbers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(numbers, [("memory.current", 8192), ("zswap", 0), ("zswpwb", 7)]);
}

#[test]
fn a_cgroups_numbers_are_not_guessed_at() {
    for (line, doubts) in [
        ("memcg ms=170 cgroup=w3 v0=1,2,3,4", (1, 0)), // beyond the table
        ("memcg ms=170 cgroup=w3 v0=x", (1, 0)),
        ("memcg ms=170 v0=1", (1, 0)),
        ("memcg ms=170 cgroup=w3 v0=1 truncated=1", (1, 0)),
        ("memcg ms=49 cgroup=w3 v0=1", (0, 1)), // before the storm began
        ("memcg_columns ms=170 at=0 of=2 names=zswap,zswpwb", (0, 1)),
    ] {
        let (seen, health) = read(&format!("{MEMCG}swapstorm k3x9 {line}\n"));
        assert_eq!((seen.len(), (health.malformed, health.suspicious)), (2, doubts), "{line}");
    }
    let (seen, health) = read("swapstorm k3x9 ready ms=0\nswapstorm k3x9 memcg ms=1 cgroup=w0\n");
    assert_eq!((seen.len(), health.unknown, health.suspicious), (1, 1, 0), "its table was lost");
}

#[test]
fn rows_contradict_each_other_as_old_samples_do() {
    let (_, health) = read(&format!("{TABLE}swapstorm k3x9 sample ms=200 seq=2 v0=4,,9\n"));
    assert_eq!(health.suspicious, 1);
    // Nothing is known of a counter that this reader has no name for, and levels fall.
    let fallen = "swapstorm k3x9 sample ms=200 seq=2 v0=6,,9,1 v4=1\n";
    assert_eq!(read(&format!("{TABLE}{fallen}")).1.suspicious, 0);
    // What a truncated row has lost is as it was.
    let (seen, health) =
        read(&format!("{TABLE}swapstorm k3x9 sample ms=200 seq=2 v0=6 truncated=1\n"));
    let Some(Telemetry::Sample(sample)) = seen.last() else { panic!("{seen:?}") };
    assert_eq!((&sample.row[..], health.suspicious), (&[6, 0, 9, 2, 7, 0][..], 0));
}

const HUNG: &str = "\
[   21.1][    T1] sysrq: Show Blocked State\n\
[   21.1][    T1] task:swap-vda        state:D stack:0     pid:35    ppid:1      flags:0x00004006\n\
[   21.1][    T1] Call Trace:\n\
[   21.1][    T1]  <TASK>\n\
[   21.1][    T1]  __schedule+0x5a3/0xe30\n\
[   21.1][    T1]  schedule+0x6b/0x110\n\
[   21.1][    T1]  schedule_timeout+0x10c/0x1c0\n\
[   21.1][    T1]  __do_sys_swapoff+0x2a1/0x16c0\n\
[   21.1][    T1]  do_syscall_64+0x34/0x80\n\
[   21.1][    T1]  </TASK>\n\
[   21.2][    T1] swapstorm k3x9 hung ms=20400 what=swapoff device=/dev/vda pid=35 comm=swap-vda state=D guest_ms=20100 awake_ms=20050 quiet_ms=20010 io_ms=0 tries=0 others=412 switches=190 cpu_ms=3 wchan= stack=try_to_unuse+0x1/0x2,do_syscall_64+0x34/0x80\n";

fn hung(text: &str) -> Hung {
    let (seen, health) = read(text);
    let [Telemetry::Hung(hung)] = &seen[..] else { panic!("{seen:?} {health:?}") };
    (**hung).clone()
}

#[test]
fn a_swapoff_that_hangs_is_a_report_with_its_stack() {
    let hung = hung(HUNG);
    assert_eq!((hung.pid, hung.others, hung.switches), (35, 412, Some(190)));
    assert_eq!(hung.excuse(), None);
    let finding = &hung.finding;
    assert_eq!(finding.title, "INFO: task hung in swapoff");
    assert_eq!((finding.kind.as_str(), finding.corrupted.as_deref()), ("HANG", None));
    assert_eq!(finding.head, "swapstorm: swapoff of /dev/vda (pid 35) has not got on for 20 s");
    assert_eq!((finding.offset, finding.line), (44, 2));
    assert!(finding.text.contains("\n __do_sys_swapoff+0x2a1/0x16c0\n"), "{}", finding.text);
    assert!(!finding.text.contains("INFO: task"), "the kernel said no such thing");
    let frames = &finding.stacks[0].frames;
    assert!(frames.iter().any(|frame| frame.function == "__do_sys_swapoff"), "{frames:?}");
    assert_eq!((finding.scene.pid, &*finding.scene.comm), (Some(35), "swap-vda"));
    assert!(!finding.signature.is_empty());
}

#[test]
fn without_the_kernels_stack_the_agents_own_will_do() {
    let line = HUNG.rsplit_once("[   21.2]").unwrap().1;
    let finding = hung(&format!("[   21.2]{line}")).finding;
    assert_eq!(finding.title, "INFO: task hung in try_to_unuse");
    // Another task's stack is not taken for it.
    let other = hung(&HUNG.replace("pid:35 ", "pid:36 ")).finding;
    assert_eq!(other.title, finding.title);
    let (bare, _) = line.split_once("stack=").unwrap();
    let finding = hung(&format!("[   21.2]{bare}stack=\n")).finding;
    assert_eq!(finding.title, "INFO: task hung in swapoff");
    assert_eq!((finding.kind.as_str(), finding.frame.as_str()), ("HANG", "swapoff"));
}

#[test]
fn a_task_on_a_cpu_is_looked_for_there() {
    let spinning = HUNG
        .replace("state=D", "state=R")
        .replace(
            "task:swap-vda        state:D stack:0     pid:35    ppid:1",
            "CPU: 1 PID: 35 Comm: swap-vda",
        )
        .replace("schedule", "spin");
    let finding = hung(&spinning).finding;
    assert!(finding.text.contains("spin_timeout+0x10c"), "{}", finding.text);
}

#[test]
fn not_everything_that_does_not_get_on_is_the_kernels_fault() {
    for (from, to, words) in [
        ("tries=0", "tries=9000", "refused swapoff 9000 times"),
        ("io_ms=0", "io_ms=19000", "has hardly answered for 19000 ms"),
        ("state=D", "state=T", "stopped"),
    ] {
        let excuse = hung(&HUNG.replace(from, to)).excuse().unwrap();
        assert!(excuse.contains(words), "{excuse}");
    }
    assert_eq!(hung(&HUNG.replace("io_ms=0", "io_ms=9000")).excuse(), None);
}

#[test]
fn a_hang_needs_a_task_and_our_token() {
    for (from, to) in [("pid=35", "pid=99999999999"), (" pid=35", ""), ("cpu_ms=3", "cpu_ms=x")] {
        let (seen, health) = read(&HUNG.replace(from, to));
        assert_eq!((seen.len(), health.malformed), (0, 1), "{to}");
    }
    assert_eq!(read(&HUNG.replace("k3x9", "forged")).1.foreign, 1);
}

#[test]
fn a_worker_that_does_not_end_is_told_of_by_number() {
    let line = "swapstorm k3x9 slow ms=9 what=worker worker=3 pid=40 comm=worker-3 state=D stop_ms=1000 \
        guest_ms=1001 awake_ms=0 quiet_ms=0 io_ms=0 tries=0 others=0 wchan= stack=do_swap_page+0x1/0x2\n";
    let (seen, _) = read(line);
    let [Telemetry::Slow(slow)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((slow.worker, slow.stop_ms, slow.switches), (Some(3), Some(1000), None));
    assert_eq!(
        slow.finding.head,
        "swapstorm: worker 3 (pid 40) was killed and has not ended for 1 s"
    );
    assert_eq!(slow.finding.title, "INFO: task hung in do_swap_page");
}

const VIOLATED: &str = "swapstorm k3x9 violated ms=31000 check=zswap-empty what=/sys/kernel/debug/zswap/stored_pages \
    got=79 want=0 awake_ms=10057 phase=2\n";

#[test]
fn an_invariant_that_does_not_hold_is_a_report_with_its_numbers() {
    let violation = |text: &str| {
        let (seen, health) = read(text);
        let [Telemetry::Violated(violation)] = &seen[..] else { panic!("{seen:?} {health:?}") };
        violation.report()
    };
    let finding = violation(VIOLATED);
    assert_eq!(finding.title, "INVARIANT: zswap stores something after swapoff");
    assert_eq!((finding.kind.as_str(), finding.frame.as_str()), (INVARIANT, ""));
    assert_eq!(
        finding.head,
        "swapstorm: /sys/kernel/debug/zswap/stored_pages is 79, expected 0, after 10057 ms"
    );
    assert!(finding.text.ends_with("\ncheck=zswap-empty what=/sys/kernel/debug/zswap/stored_pages got=79 want=0 awake_ms=10057 phase=2\n"));
    // The same bug in another run has other numbers, and another bug another signature.
    let again = violation(&VIOLATED.replace("79", "3").replace("phase=2", "phase=7"));
    assert_eq!(again.signature, finding.signature);
    let other = violation(&VIOLATED.replace("zswap-empty", "memcg-gone"));
    assert_ne!(other.signature, finding.signature);
    // A newer agent may know more of them; who it is may be anything.
    let newer = violation(&VIOLATED.replace("zswap-empty", "new%1B%5B31m"));
    assert_eq!(newer.title, "INVARIANT: new\\x1b[31m");
    for (from, to) in [(" got=79", ""), ("want=0", "want=-1"), ("awake_ms=10057", "awake_ms=x")] {
        let (seen, health) = read(&VIOLATED.replace(from, to));
        assert_eq!((seen.len(), health.malformed), (0, 1), "{to}");
    }
}

#[test]
fn what_a_check_looked_at_is_kept_in_its_order() {
    let line =
        "swapstorm k3x9 checked ms=9 phase=3 took_ms=440 stored_pages=0 nr_dying_descendants=0\n";
    let (seen, _) = read(line);
    let [Telemetry::Checked(checked)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(checked.phase, 3);
    assert_eq!(checked.detail(), "took_ms=440 stored_pages=0 nr_dying_descendants=0");
}

/// Pieces of consoles, good and bad.
fn console() -> impl Strategy<Value = Vec<u8>> {
    let lines = STORM.split_inclusive('\n').chain(TABLE.split_inclusive('\n'));
    let lines: Vec<&str> = lines.chain(HUNG.split_inclusive('\n')).chain([VIOLATED]).collect();
    let storm_line = proptest::sample::select(lines).prop_map(|line| line.as_bytes().to_vec());
    let long = (900..1200usize)
        .prop_map(|n| format!("swapstorm k3x9 warn ms=1 x={}\r\n", "y".repeat(n)).into_bytes());
    let prefixed = (900..1200usize)
        .prop_map(|n| [vec![b' '; n], b"swapstorm k3x9 warn ms=1\n".to_vec()].concat());
    let noise = proptest::collection::vec(any::<u8>(), 0..64);
    let piece = prop_oneof![8 => storm_line, 1 => long, 1 => prefixed, 2 => noise];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunking_does_not_matter(console in console(), cuts in proptest::collection::vec(1..200usize, 1..50)) {
        let mut whole = TelemetryReader::new(TOKEN);
        let expected = whole.push(&console);
        let mut reader = TelemetryReader::new(TOKEN);
        let mut seen = Vec::new();
        let mut rest = &console[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            seen.extend(reader.push(chunk));
            rest = after;
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(reader.health(), whole.health());
        prop_assert!(reader.begun_len() <= MAX_LINE + 1);
    }
}
