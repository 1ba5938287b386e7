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
            Telemetry::Sample(_) => "sample",
            Telemetry::Corrupt(_) => "corrupt",
            Telemetry::Warn(_) => "warn",
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

/// Pieces of consoles, good and bad.
fn console() -> impl Strategy<Value = Vec<u8>> {
    let storm_line = proptest::sample::select(STORM.split_inclusive('\n').collect::<Vec<_>>())
        .prop_map(|line| line.as_bytes().to_vec());
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
