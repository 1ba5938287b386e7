// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast consoles are read, beside `grep` on the same bytes in the same run.
//!
//! `clean` is a storm without a report; `crash` is reports back to back: the folder that
//! `SWAPSTORM_CRASH_LOGS` names (files `*/logs/*.log`), or our own corpus.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reports::console::{FIRST_WORDS, Options, Reader};

/// Bytes of each input: enough to leave the processor's caches.
const SIZE: usize = 64 << 20;
/// As much as a program reads at a time.
const CHUNK: usize = 64 << 10;

fn read(log: &[u8]) -> u64 {
    let mut reader = Reader::new(Options::default());
    let mut seen = 0;
    for chunk in log.chunks(CHUNK) {
        seen += reader.push(chunk).len();
    }
    seen += reader.finish().len();
    seen as u64 + reader.stats().lines
}

fn grep(file: &Path, words: &str) {
    // Through a pipe: with /dev/null for its output GNU grep stops at the first match.
    let output = Command::new("grep").args(["-c", "-a", "-E", words]).arg(file).output();
    // Exit code 1 only says that nothing was found.
    assert!(
        output.is_ok_and(|o| o.status.code().is_some_and(|c| c < 2)),
        "grep is needed for this"
    );
}

fn crashes() -> Vec<u8> {
    let mut all = Vec::new();
    let Some(folder) = std::env::var_os("SWAPSTORM_CRASH_LOGS") else {
        all.extend_from_slice(include_bytes!("../corpus/zswap-writeback-6.1.log"));
        all.extend_from_slice(include_bytes!("../corpus/zswap-shrink-6.12.log"));
        return all;
    };
    for set in fs::read_dir(folder).into_iter().flatten().flatten() {
        for log in fs::read_dir(set.path().join("logs")).into_iter().flatten().flatten() {
            all.extend(fs::read(log.path()).unwrap_or_default());
        }
    }
    all
}

fn consoles(c: &mut Criterion) {
    let clean = include_bytes!("../corpus/clean-6.1.log").to_vec();
    let words = FIRST_WORDS.join("|").replace('.', "\\.");
    for (name, log) in [("clean", clean), ("crash", crashes())] {
        let log: Vec<u8> = log.iter().copied().cycle().take(SIZE).collect();
        let mut file = tempfile::NamedTempFile::new().expect("a file in the temporary folder");
        file.write_all(&log).expect("room in the temporary folder");
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(10);
        group.bench_function("reader", |b| b.iter(|| read(&log)));
        group.bench_function("grep -c -a -E", |b| b.iter(|| grep(file.path(), &words)));
        group.finish();
    }
}

criterion_group!(benches, consoles);
criterion_main!(benches);
