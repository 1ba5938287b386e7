// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm parse` as a program.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/corpus").join(name)
}

fn parse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapstorm"));
    command.arg("parse").env_remove("SWAPSTORM_OUT");
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it starts")
}

fn stdout(command: &mut Command, code: i32) -> String {
    let output = output(command);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_bug_is_shown_and_its_exit_code_is_one() {
    let text = stdout(parse().arg(corpus("zswap-writeback-6.1.log")), 1);
    for words in
        ["KASAN: use-after-free Write in zswap_writeback_entry", "freed by", "allocated by"]
    {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn a_clean_log_is_clean() {
    let text = stdout(parse().arg(corpus("clean-6.1.log")), 0);
    assert!(text.contains("0 reports"), "{text}");
}

#[test]
fn an_expected_bug_does_not_count() {
    let dir = tempfile::tempdir().expect("a folder");
    let rules = dir.path().join("expected.yaml");
    let rule = "name: shrink\ntitle: the race\ndescription: swapoff frees what the shrinker locks\n\
                types: [\"KASAN-USE-AFTER-FREE-*\"]\naccess: [shrink_memcg_cb]\nfreed_by: [zswap_swapoff]\n";
    fs_err::write(&rules, rule).expect("written");
    let log = corpus("zswap-shrink-6.12.log");
    let text = stdout(parse().arg(&log).arg("--expect").arg(&rules), 0);
    assert!(text.contains("expected"), "{text}");
    stdout(parse().arg(corpus("zswap-writeback-6.1.log")).arg("--expect").arg(&rules), 1);
}

#[test]
fn json_is_what_the_schema_says() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/schema/parse.schema.json");
    let schema: Value =
        serde_json::from_str(&fs_err::read_to_string(schema).expect("checked in")).expect("JSON");
    for log in ["zswap-writeback-6.1.log", "zswap-shrink-6.12.log", "clean-6.1.log"] {
        let code = i32::from(log != "clean-6.1.log");
        let text = stdout(parse().args(["--format", "json"]).arg(corpus(log)), code);
        let answer: Value = serde_json::from_str(&text).expect("one object");
        check(&answer, &schema, &schema, log);
    }
    // The check itself refuses what is wrong.
    let wrong = serde_json::json!({"format": 1, "file": "x"});
    assert!(std::panic::catch_unwind(|| check(&wrong, &schema, &schema, "wrong")).is_err());
}

/// As much of JSON Schema as ours uses.
fn check(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let inner = root.pointer(name.trim_start_matches('#')).expect("a definition");
        return check(value, inner, root, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(want) => assert_eq!(kind, want, "{at}"),
        Value::Array(want) => assert!(want.iter().any(|w| w == kind), "{at} is {kind}"),
        _ => {}
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], root, &format!("{at}[{index}]"));
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(name.as_str().expect("a name")), "{at} lacks {name}");
    }
    for (name, inner) in object {
        let known = &schema["properties"][name];
        let known = if known.is_null() { &schema["additionalProperties"] } else { known };
        assert!(known.is_object(), "{at}.{name} is not in the schema");
        check(inner, known, root, &format!("{at}.{name}"));
    }
}

#[test]
fn packed_logs_and_stdin_say_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = fs_err::read(corpus("zswap-shrink-6.12.log")).expect("checked in");
    let want = "KASAN: slab-use-after-free Write in shrink_memcg_cb";
    let mut child =
        parse().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(&plain).expect("it reads");
    let text = child.wait_with_output().expect("it ends").stdout;
    assert!(String::from_utf8_lossy(&text).contains(want));
    // In two parts, as who appends to a packed log leaves it.
    let (clean, cut) =
        (fs_err::read(corpus("clean-6.1.log")).expect("checked in"), plain.len() / 2);
    for tool in ["gzip", "xz", "zstd"] {
        let parts = [&clean[..], &plain[..cut], &plain[cut..]].map(|part| pack(tool, part));
        let packed = dir.path().join(tool);
        fs_err::write(&packed, parts.concat()).expect("written");
        let text = stdout(parse().arg(&packed), 1);
        assert!(text.contains(want), "{tool}: {text}");
        // A log that ends too early is not taken for a short one.
        fs_err::write(&packed, &parts[1][..parts[1].len() / 2]).expect("written");
        let output = output(parse().arg(&packed));
        // How much there is before the break depends on the packer.
        let is_there = String::from_utf8_lossy(&output.stdout).contains("slab-use-after-free");
        assert_eq!(output.status.code(), Some(if is_there { 1 } else { 3 }), "{tool}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("cannot be read to its end"), "{tool}: {error}");
    }
}

fn pack(tool: &str, plain: &[u8]) -> Vec<u8> {
    match tool {
        "zstd" => {
            // A frame that is to be passed over comes first.
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            let frame = ruzstd::encoding::compress_to_vec(plain, level);
            [&frame[..], b"\x50\x2a\x4d\x18\x03\0\0\0abc"].concat()
        }
        "xz" => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut packer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("memory");
            packer.write_all(plain).expect("memory");
            packer.finish().expect("memory")
        }
        _ => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            packer.write_all(plain).expect("memory");
            packer.finish().expect("memory")
        }
    }
}

/// `parse --follow` with its output.
struct Follower {
    child: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Follower {
    fn start(log: &Path) -> Self {
        let mut command = parse();
        command.args(["--follow", "--quiet"]).arg(log);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        Follower { child, lines: std::io::BufReader::new(stdout).lines() }
    }

    /// Waits for a line that holds the words.
    fn wait_for(&mut self, words: &str) {
        let found = self.lines.by_ref().any(|line| line.expect("text").contains(words));
        assert!(found, "no {words:?} before the end of the output");
    }
}

#[test]
fn a_log_is_followed_before_it_is_there_and_after_it_is_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("console.log");
    let mut follower = Follower::start(&log);
    fs_err::write(&log, fs_err::read(corpus("zswap-shrink-6.12.log")).expect("it is there"))
        .expect("written");
    follower.wait_for("slab-use-after-free Write in shrink_memcg_cb");
    // Moved away; the new one is no shorter.
    fs_err::rename(&log, dir.path().join("console.log.1")).expect("moved");
    let next = fs_err::read(corpus("zswap-writeback-6.1.log")).expect("it is there");
    fs_err::write(&log, &next).expect("written");
    follower.wait_for("1 report in");
    follower.wait_for("use-after-free Write in zswap_writeback_entry");
    // Cut, and the same again.
    fs_err::write(&log, "").expect("cut");
    follower.wait_for("2 reports in");
    fs_err::write(&log, &next).expect("written");
    follower.wait_for("use-after-free Write in zswap_writeback_entry");
    let pid = i32::try_from(follower.child.id()).expect("a process");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    follower.wait_for("reports in");
    assert_eq!(follower.child.wait().expect("it ends").code(), Some(130));
}

#[test]
fn what_cannot_grow_is_not_followed() {
    let dir = tempfile::tempdir().expect("a folder");
    let packed = dir.path().join("log.gz");
    fs_err::write(&packed, pack("gzip", b"x")).expect("written");
    for log in [&packed, Path::new("/no/such/folder/console.log")] {
        stdout(parse().arg("--follow").arg(log), 2);
    }
}

#[test]
fn stdin_is_followed_to_its_end() {
    let mut follower = Follower::start(Path::new("-"));
    let mut stdin = follower.child.stdin.take().expect("a pipe");
    let log = fs_err::read(corpus("zswap-shrink-6.12.log")).expect("checked in");
    stdin.write_all(&log).expect("it reads");
    // It is told while whoever writes has not ended.
    follower.wait_for("slab-use-after-free Write in shrink_memcg_cb");
    drop(stdin);
    follower.wait_for("1 report in 150 lines");
    assert_eq!(follower.child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_folder_gives_one_line_for_each_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("answers.jsonl");
    stdout(parse().arg("--dir").arg(corpus("")).arg("--out").arg(&out), 1);
    let lines = fs_err::read_to_string(&out).expect("written");
    let count = |name: &str| {
        let line = lines.lines().find(|line| line.contains(name)).expect("one line each");
        let answer: Value = serde_json::from_str(line).expect("JSON");
        answer["reports"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("zswap-writeback-6.1.log"), 2);
    assert_eq!(count("clean-6.1.log"), 0);
}

#[test]
fn a_log_that_cannot_be_read_leaves_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = dir.path().join("logs");
    fs_err::create_dir(&logs).expect("made");
    let packed = pack("gzip", &fs_err::read(corpus("clean-6.1.log")).expect("checked in"));
    fs_err::write(logs.join("a\x1b[2J.log"), &packed[..packed.len() / 2]).expect("written");
    let bug = corpus("zswap-shrink-6.12.log");
    std::os::unix::fs::symlink(fs_err::canonicalize(&bug).expect("there"), logs.join("b.log"))
        .expect("linked");
    let output = output(parse().arg("--dir").arg(&logs));
    // The bug counts for more than the log that broke off, of which nothing is lost either.
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).expect("text");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("b.log") && lines.contains("shrink_memcg_cb"), "{lines}");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.contains("a\\x1b[2J.log: cannot be read to its end"), "{stderr:?}");
    // A missing one is the user's mistake, which the bug in the next one does not hide.
    let text = stdout(parse().arg("/no/such.log").arg(&bug), 2);
    assert!(text.contains("shrink_memcg_cb"), "{text}");
}

#[test]
fn what_was_read_of_a_packed_log_before_its_end_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bug = fs_err::read(corpus("zswap-shrink-6.12.log")).expect("checked in");
    // Numbers do not pack well, so that the report is far from the end.
    for number in 0..20_000_u64 {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bug.extend_from_slice(format!("[    9.000000] noise {noise:x}\n").as_bytes());
    }
    let clean = fs_err::read(corpus("clean-6.1.log")).expect("checked in");
    for (log, code) in [(&bug, 1), (&clean, 3)] {
        for packer in ["gzip", "xz"] {
            let packed = pack(packer, log);
            let file = dir.path().join("cut.packed");
            fs_err::write(&file, &packed[..packed.len() - packed.len() / 8]).expect("written");
            let output = output(parse().arg(&file));
            assert_eq!(output.status.code(), Some(code), "{packer}");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(text.contains("shrink_memcg_cb"), code == 1, "{packer}: {text}");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(error.contains("cannot be read to its end"), "{packer}: {error}");
        }
    }
}

#[test]
fn what_is_no_kernels_log_is_not_called_clean() {
    let dir = tempfile::tempdir().expect("a folder");
    let bug = corpus("zswap-shrink-6.12.log");
    for text in ["", "Dear list,\n\nit hangs.\n", "Mar 04 12:00:01 box app[7]: WARNING: x\n"] {
        let log = dir.path().join("mail.txt");
        fs_err::write(&log, text).expect("written");
        for format in ["text", "json", "github"] {
            let output = output(parse().args(["--format", format]).arg(&log));
            assert_eq!(output.status.code(), Some(2), "{text:?}");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(error.contains("mail.txt") && error.contains("hint: "), "{error}");
        }
        // It does not hide a bug in another log.
        stdout(parse().arg(&log).arg(&bug), 1);
    }
    let log = dir.path().join("console.log");
    fs_err::write(&log, "[    1.000000] Run /init as init process\n").expect("written");
    stdout(parse().arg(&log), 0);
}

#[test]
fn tasks_of_one_title_are_all_named_and_logs_are_summed_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let hang = |task: &str| {
        format!(
            "[  1.0] INFO: task {task} blocked for more than 120 seconds.\n[  1.0] Call Trace:\n\
             [  1.0]  __schedule+0x1/0x2\n[  1.0]  take_slot+0x1/0x2\n[  1.0]  f+0x1/0x2\n"
        )
    };
    let log = dir.path().join("console.log");
    let panic = "[  2.0] Kernel panic - not syncing: hung_task: blocked tasks\n";
    let tasks = ["swapoff:9", "dd:10", "cc1:11"].map(hang).concat() + panic;
    fs_err::write(&log, tasks).expect("written");
    let text = stdout(parse().arg(&log).arg(corpus("clean-6.1.log")), 1);
    for words in [
        "swapoff/9",
        "2 more x INFO: task hung in take_slot: dd/10, cc1/11",
        "  then: Kernel panic - not syncing: hung_task: blocked tasks",
        "3 reports in 16 lines; the kernel panicked",
        "together: 3 reports in 76 lines of 2 logs",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn a_trace_without_its_head_is_not_called_clean() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("console.log");
    let trace = "[  1.0] RIP: 0010:take_slot+0x1/0x2\n[  1.0] Call Trace:\n[  1.0]  f+0x1/0x2\n";
    fs_err::write(&log, trace).expect("written");
    let text = stdout(parse().arg(&log), 1);
    assert!(text.contains("first lines are lost") && text.contains("take_slot"), "{text}");
    assert!(text.contains("0 reports"), "{text}");
}

#[test]
fn nobody_follows_a_log_for_a_reader_that_has_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("console.log");
    fs_err::write(&log, fs_err::read(corpus("zswap-shrink-6.12.log")).expect("checked in"))
        .expect("written");
    let mut follower = Follower::start(&log);
    follower.wait_for("slab-use-after-free Write in shrink_memcg_cb");
    let Follower { mut child, lines } = follower;
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn the_file_for_a_folders_reports_is_named_on_the_command_line_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let text = stdout(parse().env("SWAPSTORM_OUT", &out).arg("--dir").arg(corpus("")), 1);
    assert!(text.contains("clean-6.1.log"), "{text}");
    assert!(!out.exists(), "a folder for runs is no file");
    let error = output(parse().arg("--out").arg(&out).arg(corpus("clean-6.1.log")));
    assert_eq!(error.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&error.stderr).contains("add --dir"));
    let error = output(parse().arg(dir.path()));
    assert_eq!(error.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&error.stderr).contains("hint: --dir"));
}

#[test]
fn output_that_gets_lost_is_no_success() {
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let (full, _) = full.into_parts();
    let output = output(parse().arg(corpus("clean-6.1.log")).stdout(full));
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));
}

#[test]
fn annotations_are_one_line_each() {
    let text = stdout(parse().args(["--format", "github"]).arg(corpus("zswap-shrink-6.12.log")), 1);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("::error file="), "{text}");
}

#[test]
fn a_log_that_is_not_there_is_the_users_mistake() {
    let output = output(parse().arg("/no/such.log"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such.log"));
}

#[test]
fn the_benchmark_runs_each_program_on_each_input() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_swapstorm"));
    bench.args(["bench", "parse", "--clean", "1", "--crash", "1", "--runs", "2", "--json"]);
    let rows: Value = serde_json::from_str(&stdout(&mut bench, 0)).expect("JSON");
    let rows = rows.as_array().expect("rows");
    let inputs: Vec<&Value> = rows.iter().map(|row| &row["input"]).collect();
    assert_eq!(inputs, ["clean", "clean", "clean", "crash", "crash", "crash"]);
    for row in rows {
        assert_eq!(row["seconds"].as_array().map(Vec::len), Some(2), "{row}");
        assert!(row["bytes"].as_u64() >= Some(1_000_000), "{row}");
    }
}

/// Scores on logs that are not ours to copy: `SWAPSTORM_CRASH_LOGS`, or `shared/crash-logs`
/// beside the checkout. Without them our own corpus has to do.
#[test]
fn scores_hold_their_floors() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/crash-logs");
    let logs = std::env::var_os("SWAPSTORM_CRASH_LOGS").map_or(beside, PathBuf::from);
    if !logs.join("score.py").exists() {
        return;
    }
    for transform in [false, true] {
        for set in ["open", "open-2", "zswap-logs"] {
            let score = score(&logs, set, transform);
            if let Some(wrong) = score.pointer("/negatives/fp").and_then(Value::as_f64) {
                assert_eq!(wrong, 0.0, "{set}: false reports");
            }
            let n = number(&score, "/total/n");
            for (key, floor) in
                [("detected", 0.995), ("title", 0.98), ("title_or_alt", 0.985), ("type", 0.99)]
            {
                at_least(number(&score, &format!("/total/{key}")) / n, floor, set, key);
            }
            let frames = number(&score, "/total/frame_n");
            at_least(number(&score, "/total/frame") / frames, 0.975, set, "frame");
            let (precision, recall) = corrupted(&score);
            at_least(precision, 0.95, set, "precision of corrupted");
            at_least(recall, 0.95, set, "recall of corrupted");
            let several = !score["multi"].is_null();
            for key in ["recall", "precision"].into_iter().filter(|_| several) {
                let hits = number(&score, &format!("/multi/{key}/0"));
                let all = number(&score, &format!("/multi/{key}/1"));
                at_least(hits / all, 0.97, set, key);
            }
        }
        let negative = score(&logs, "neg-open", transform);
        assert_eq!(number(&negative, "/negatives/fp"), 0.0, "false reports");
        let guilty = score(&logs, "guilty-open", transform);
        at_least(
            number(&guilty, "/guilty/0") / number(&guilty, "/guilty/1"),
            0.9,
            "guilty-open",
            "file",
        );
    }
}

fn score(logs: &Path, set: &str, transform: bool) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    let json = dir.path().join("score.json");
    let program = env!("CARGO_BIN_EXE_swapstorm");
    let mut command = Command::new("python3");
    command.current_dir(dir.path()).arg(logs.join("score.py")).args(["--set", set]);
    command.arg("--batch-cmd").arg(format!("{program} parse --dir {{dir}} --out {{out}}"));
    command.arg("--json").arg(&json);
    if transform {
        command.args(["--transform", "crlf"]);
    }
    assert!(output(&mut command).status.success(), "score.py failed on {set}");
    serde_json::from_str(&fs_err::read_to_string(json).expect("the score")).expect("JSON")
}

/// Precision and recall of the flag among the reports that were found; 1 where there is nothing
/// to be right or wrong about.
fn corrupted(score: &Value) -> (f64, f64) {
    // What a set has none of is not in its score.
    let count = |at: &str| score.pointer(at).and_then(Value::as_f64).unwrap_or(0.0);
    let (right, all) = (count("/corrupted_cases/corrupted"), count("/corrupted_cases/n"));
    let wrong = count("/clean/detected") - count("/clean/corrupted");
    let ratio = |hits: f64, of: f64| if of > 0.0 { hits / of } else { 1.0 };
    (ratio(right, right + wrong), ratio(right, all))
}

fn number(score: &Value, pointer: &str) -> f64 {
    score.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer}"))
}

fn at_least(is: f64, floor: f64, set: &str, what: &str) {
    assert!(is >= floor, "{set}: {what} is {is:.3}, floor {floor}");
}

/// A program stands for the kernel: it has functions, inlined ones too, and line numbers.
#[test]
fn a_vmlinux_gives_places_and_inlined_functions() {
    use object::{Object, ObjectSymbol};

    let dir = tempfile::tempdir().expect("a folder");
    let source = dir.path().join("slot.c");
    let code = "static inline __attribute__((always_inline)) int look(volatile int *slot)\n\
                {\n\treturn *slot + 1;\n}\n\
                __attribute__((noinline)) int take(volatile int *slot)\n\
                {\n\treturn look(slot) * 3;\n}\n\
                int main(int argc, char **argv)\n{\n\t(void)argv;\n\treturn take(&argc);\n}\n";
    fs_err::write(&source, code).expect("written");
    let vmlinux = dir.path().join("vmlinux");
    let mut gcc = Command::new("gcc");
    gcc.args(["-g", "-O2", "-no-pie", "-o"]).arg(&vmlinux).arg("slot.c").current_dir(dir.path());
    assert!(output(&mut gcc).status.success(), "gcc is needed for this, as it is for guests");
    let bytes = fs_err::read(&vmlinux).expect("just linked");
    let image = object::File::parse(&bytes[..]).expect("ELF");
    let mut text: Vec<u64> = image.symbols().map(|symbol| symbol.address()).collect();
    text.sort_unstable();
    let take = image.symbols().find(|symbol| symbol.name() == Ok("take")).expect("defined");
    let next = text.iter().find(|address| **address > take.address()).expect("not the last");
    let size = next - take.address();

    let explain = |offset: u64, size: u64| {
        let log = dir.path().join("console.log");
        let report = format!(
            "[ 1.0] WARNING: CPU: 0 PID: 7 at slot.c:3 take+{offset:#x}/{size:#x}\n\
             [ 1.0] RIP: 0010:take+{offset:#x}/{size:#x}\n[ 1.0] Call Trace:\n\
             [ 1.0]  somewhere+0x1/0x2\n[ 1.0]  else+0x1/0x2\n"
        );
        fs_err::write(&log, report).expect("written");
        let mut command = parse();
        command.args(["--format", "json", "--vmlinux"]).arg(&vmlinux).arg(&log);
        let answer: Value = serde_json::from_str(&stdout(&mut command, 1)).expect("JSON");
        answer["reports"][0]["stacks"][0]["frames"].clone()
    };
    let frames = explain(0, size);
    assert_eq!(frames[0]["function"], "look", "{frames}");
    assert_eq!(frames[0]["inlined"], true);
    assert!(frames[0]["source"].as_str().expect("a place").ends_with("slot.c:3"), "{frames}");
    assert_eq!(frames[1]["function"], "take");
    assert!(frames[1]["source"].as_str().expect("a place").ends_with("slot.c:7"), "{frames}");
    let frames = explain(0, size + 8);
    assert_eq!(frames[0]["function"], "take");
    assert!(frames[0]["source"].as_str().expect("a reason").contains("another build"), "{frames}");
}

/// The helper's name is on no list, but its file is in lib/.
#[test]
fn a_vmlinux_tells_helpers_from_their_callers() {
    use object::{Object, ObjectSymbol};

    let dir = tempfile::tempdir().expect("a folder");
    for (file, code) in [
        ("lib/odd.c", "int odd_find(volatile int *slot)\n{\n\treturn *slot + 1;\n}\n"),
        (
            "mm/slots.c",
            "int odd_find(volatile int *slot);\nint take_slot(volatile int *slot)\n\
             {\n\treturn odd_find(slot) * 3;\n}\n\
             int main(int argc, char **argv)\n{\n\t(void)argv;\n\treturn take_slot(&argc);\n}\n",
        ),
    ] {
        let file = dir.path().join(file);
        fs_err::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs_err::write(file, code).expect("written");
    }
    let vmlinux = dir.path().join("vmlinux");
    let mut gcc = Command::new("gcc");
    gcc.args(["-g", "-O1", "-no-pie", "-o"]).arg(&vmlinux).args(["lib/odd.c", "mm/slots.c"]);
    assert!(output(gcc.current_dir(dir.path())).status.success(), "gcc is needed for this");
    let bytes = fs_err::read(&vmlinux).expect("just linked");
    let image = object::File::parse(&bytes[..]).expect("ELF");
    let mut text: Vec<u64> = image.symbols().map(|symbol| symbol.address()).collect();
    text.sort_unstable();
    let size = |name: &str| {
        let at = image.symbols().find(|s| s.name() == Ok(name)).expect("defined").address();
        text.iter().find(|address| **address > at).expect("not the last") - at
    };
    let log = dir.path().join("console.log");
    let (odd, take) = (size("odd_find"), size("take_slot"));
    let report = format!(
        "[ 1.0] BUG: KASAN: use-after-free in odd_find+0x0/{odd:#x}\n\
         [ 1.0] Read of size 4 at addr ffff888012345678 by task dd/7\n[ 1.0] Call Trace:\n\
         [ 1.0]  kasan_report+0x1/0x2\n[ 1.0]  odd_find+0x1/{odd:#x}\n\
         [ 1.0]  take_slot+0x5/{take:#x}\n"
    );
    fs_err::write(&log, report).expect("written");
    let answer = |arguments: &[&Path]| -> Value {
        let mut command = parse();
        command.args(["--format", "json"]).args(arguments).arg(&log);
        let answer: Value = serde_json::from_str(&stdout(&mut command, 1)).expect("JSON");
        answer["reports"][0].clone()
    };
    let plain = answer(&[]);
    assert_eq!(plain["title"], "KASAN: use-after-free Read in odd_find");
    let told = answer(&[Path::new("--vmlinux"), &vmlinux]);
    assert_eq!(told["title"], "KASAN: use-after-free Read in take_slot", "{told}");
    assert_eq!((&told["frame"], &told["guilty_file"]), (&"take_slot".into(), &"mm/slots.c".into()));
}
