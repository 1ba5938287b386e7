// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that make a CI system run a night: `harness/recipes/`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use document::Document;

use crate::scene::Scene;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// `nightly.sh` in the scene, where another program is called swapstorm.
fn night(scene: &Scene) -> Command {
    let mut command = Command::new("sh");
    let path = format!("{}:{}", scene.path("fakes").display(), std::env::var("PATH").unwrap());
    command
        .arg(folder().join("nightly.sh"))
        .env("PATH", path)
        .env("SWAPSTORM_OUT", scene.path("out"))
        .current_dir(scene.dir.path());
    command
}

/// Says what it was asked for, and makes the folder of a run if it is to.
const FAKE: &str = r#"echo "$@" >> log
case $1 in
run) [ -n "$RUN" ] && mkdir -p "$SWAPSTORM_OUT/$RUN"; exit "$CODE" ;;
report) echo "<$4>"; exit "$CODE" ;;
esac"#;

#[test]
fn a_night_has_the_exit_code_of_its_run_and_leaves_its_reports() {
    for code in ["0", "1", "4"] {
        let scene = Scene::new();
        scene.fake("swapstorm", FAKE);
        scene.sh("mkdir -p out/run-20240101T000000Z out/run-20260101T000000Z out/mine
             touch -d '400 days ago' out/run-20240101T000000Z out/mine
             touch -d '300 days ago' out/run-20260101T000000Z");
        let run = "run-20260102T000000Z";
        let ended = night(&scene).env("CODE", code).env("RUN", run).status().unwrap();
        assert_eq!(ended.code(), Some(code.parse().unwrap()));
        let report = |name: &str| fs::read_to_string(scene.path("out").join(run).join(name));
        assert_eq!(report("junit.xml").unwrap(), "<junit>\n");
        assert_eq!(report("report.html").unwrap(), "<html>\n");
        let log = fs::read_to_string(scene.path("log")).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let out = format!("{}/", scene.path("out").display());
        assert_eq!((lines[0], lines.len()), ("run nightly", 6), "{log}");
        assert_eq!(lines[3], format!("--quiet history record out/{run}").replace("out/", &out));
        assert_eq!(lines[4], "history");
        assert_eq!(lines[5], "--quiet cache gc --older-than 30d --max-size 60G");
        // After a year a run goes, and nothing else does.
        let left = ["out/run-20240101T000000Z", "out/run-20260101T000000Z", "out/mine"];
        assert_eq!(left.map(|name| scene.path(name).exists()), [false, true, true]);
    }
}

#[test]
fn what_the_machine_failed_is_tried_once_more() {
    let scene = Scene::new();
    let fails_once = r#"echo "$@" >> log
        case "$1 $2" in
        "run nightly") mkdir -p "$SWAPSTORM_OUT/run-20260102T000000Z"; exit 3 ;;
        "run --resume") exit 1 ;;
        esac"#;
    scene.fake("swapstorm", fails_once);
    assert_eq!(night(&scene).status().unwrap().code(), Some(1));
    let log = fs::read_to_string(scene.path("log")).unwrap();
    let second = log.lines().nth(1).unwrap();
    assert_eq!(
        second,
        format!("run --resume {}/run-20260102T000000Z", scene.path("out").display())
    );
}

/// The soak is no recipe, but a script that runs swapstorm as they do. Whatever is asked for, its runs have folders, but
/// for `FAIL`.
fn soak(scene: &Scene, fail: &str) -> (Option<i32>, Vec<String>, String) {
    let fake = r#"echo "$@" >> log
        case "$1" in run|repro) mkdir -p "$SWAPSTORM_OUT/run-$(wc -l < log)" ;; esac
        case "$*" in "$FAIL") exit "$CODE" ;; *soak-replay.yaml*) exit 1 ;; esac"#;
    scene.fake("swapstorm", fake);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("soak.sh");
    let path = format!("{}:{}", scene.path("fakes").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(script).env("PATH", path).env("SWAPSTORM_OUT", scene.path("out"));
    command.env("TIMES", "2").env("TTR_RUNS", "3").current_dir(scene.dir.path());
    let (what, code) = fail.split_once('=').unwrap();
    let output = command.env("FAIL", what).env("CODE", code).output().unwrap();
    let log = fs::read_to_string(scene.path("log")).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), log.lines().map(str::to_owned).collect(), said)
}

#[test]
fn a_soak_does_all_of_its_parts_and_says_which_one_failed() {
    let scene = Scene::new();
    let (code, log, said) = soak(&scene, "nothing=0");
    let begins = [
        "run soak",
        "run architectures",
        "repro ",
        "repro ",
        "run /",
        "replay /",
        "replay /",
        "bench ttr ",
    ];
    assert_eq!((code, log.len()), (Some(0), begins.len()), "{log:#?} {said}");
    for (line, begin) in log.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line} is not {begin}");
    }
    // What is replayed is the run before it, and not one of the others.
    assert!(log[5].ends_with("/run-5"), "{log:#?}");

    let (code, log, said) = soak(&Scene::new(), "repro --profile hotplug --seed 2=4");
    assert_eq!((code, log.len()), (Some(1), begins.len()), "it goes on: {log:#?}");
    assert!(said.ends_with("soak: failed: hotplug-2\n"), "{said}");
    // Ctrl-C is no failure of one part.
    let (code, log, _) = soak(&Scene::new(), "run soak=130");
    assert_eq!((code, log.len()), (Some(130), 1), "{log:#?}");
}

/// `soak-killed.sh` with a swapstorm whose killed runs leave a file or a process, or whose guests come to another verdict
/// four at a time.
fn soak_killed(trouble: &str) -> (Option<i32>, String) {
    let scene = Scene::new();
    let fake = r#"case "$*" in
        "run --resume "*) exit 1 ;;
        run*) mkdir -p "$8/run-1"
            case "$8 $TROUBLE" in
            */soak-killed\ file) touch "$TMPDIR/left" ;;
            */soak-killed\ process) (cd "$8/run-1" && exec sleep 600) & echo $! > pid ;;
            esac
            case "$8" in */soak-killed) exec sleep 60 ;; esac
            exit 1 ;;
        *soak-killed-4*json) [ "$TROUBLE" = verdict ] && verdict=kernel-bug ;;
        esac
        printf '  "id": "one",\n  "verdict": "%s",\n' "${verdict:-clean}""#;
    scene.fake("swapstorm", fake);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("soak-killed.sh");
    let path = format!("{}:{}", scene.path("fakes").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(script).env("PATH", path).env("SWAPSTORM_OUT", scene.path("out"));
    command.env("TIMES", "1").env("LONGEST", "1").env("TROUBLE", trouble);
    let output = command.current_dir(scene.dir.path()).output().unwrap();
    scene.sh("! [ -e pid ] || kill $(cat pid)");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_soak_whose_harness_is_killed_sees_what_is_left_and_what_differs() {
    let (code, said) = soak_killed("");
    assert_eq!(code, Some(0), "{said}");
    for (trouble, words) in [
        ("file", "LEFT: files\nsoak-killed: failed: 1\n"),
        ("process", "LEFT: processes\nsoak-killed: failed: 1\n"),
        ("verdict", "soak-killed: failed: verdicts\n"),
    ] {
        let (code, said) = soak_killed(trouble);
        assert_eq!(code, Some(1), "{trouble}: {said}");
        assert!(said.ends_with(words), "{trouble}: {said}");
    }
}

#[test]
fn a_plan_that_is_refused_leaves_older_runs_alone() {
    let scene = Scene::new();
    scene.fake("swapstorm", FAKE);
    scene.sh("mkdir -p out/run-20260101T000000Z");
    let ended = night(&scene).arg("./x.yaml").env("CODE", "2").env("RUN", "").status().unwrap();
    assert_eq!(ended.code(), Some(2));
    assert_eq!(fs::read_dir(scene.path("out/run-20260101T000000Z")).unwrap().count(), 0);
    let log = fs::read_to_string(scene.path("log")).unwrap();
    assert!(log.starts_with("run ./x.yaml\n") && !log.contains("report"), "{log}");
}

#[test]
fn a_night_that_is_told_to_end_tells_its_run_and_waits_for_it() {
    let scene = Scene::new();
    scene.fake(
        "swapstorm",
        r#"[ "$1" = run ] || exit 0
        trap 'echo kindly > ended; exit 130' TERM
        mkdir -p "$SWAPSTORM_OUT/run-20260102T000000Z"
        echo ready
        while sleep 0.05; do :; done"#,
    );
    let mut child = night(&scene).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_to_string(scene.path("ended")).unwrap(), "kindly\n");
}

#[test]
fn each_file_is_what_its_reader_reads() {
    let scene = Scene::new();
    for name in ["github.yaml", "gitlab.yaml"] {
        Document::parse(name, &read(name)).unwrap();
    }
    for script in ["recipes/nightly.sh", "package.sh"] {
        let script = folder().join("..").join(script);
        scene.sh(&format!("sh -n '{}'", script.display()));
    }
    // systemd wants programs that are there.
    for name in ["swapstorm.service", "swapstorm.timer"] {
        let unit = read(name).replace("/usr/bin/swapstorm-nightly", "/bin/true");
        fs::write(scene.path(name), unit).unwrap();
    }
    scene.sh(
        "command -v systemd-analyze > /dev/null || exit 0
         systemd-analyze verify --man=no ./swapstorm.service ./swapstorm.timer > said 2>&1 || { cat said; exit 1; }
         ! grep swapstorm said",
    );
}

/// What stands behind `swapstorm ` in a file, up to the end of that command.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let behind = text.split("swapstorm ").skip(1);
    let lines = behind.map(|rest| rest.split(['\n', '`', '|', '>', ';']).next().unwrap_or(rest));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn commands_and_options_in_the_recipes_are_ours() {
    let scene = Scene::new();
    let mut checked = 0;
    for name in ["nightly.sh", "github.yaml", "gitlab.yaml", "README.md"] {
        for words in command_lines(&read(name)) {
            let (options, names): (Vec<&String>, Vec<&String>) =
                words.iter().partition(|word| word.starts_with("--"));
            let subcommand = match names.first().map(|name| name.as_str()) {
                Some(name @ ("run" | "report" | "doctor" | "compare")) => vec![name],
                Some("cache") => vec!["cache", names[1]],
                _ => continue,
            };
            let output = scene.command().args(&subcommand).arg("--help").output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{name}: {words:?}");
            for option in options {
                assert!(help.contains(option.as_str()), "{name}: no {option} in {help}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked} commands were found");
}
