// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges in which nothing can be searched, refused before anything is made.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::scene::Scene;

/// A repository `linux` with three commits, of which the first is tagged `v1`, and a branch `side` off it.
fn repository(scene: &Scene) {
    scene.sh(
        "mkdir linux; cd linux; git init -q -b main; git config user.name A; git config user.email a@example.org
         for n in 1 2 3; do echo $n > Makefile; git add .; git commit -q -m \"change $n\"; test $n = 1 && git tag v1 || true; done
         git switch -q -c side v1; echo 4 > Makefile; git commit -q -a -m side; git switch -q main",
    );
}

#[test]
fn what_is_no_range_is_refused() {
    let scene = Scene::new();
    let refuses = |args: &[&str], says: &str| {
        let args: Vec<&str> = ["bisect"].iter().chain(args).copied().collect();
        scene.refuses(&args, 2, &[says]);
    };
    refuses(&[], "this is no range");
    refuses(&["--kernel", "debian-6.1"], "this is no range");
    refuses(&["--kernel", "debian-6.1", "--kernel", "debian-6.1"], "a kernel is named twice");
    let two = ["--kernel", "debian-6.1", "--kernel", "debian-6.12"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { [&two[..], more].concat() };
    refuses(&with(&["--series", "mixed"]), "a series is bisected on one kernel");
    refuses(&with(&["--profile", "writeback-steady"]), "expects no bug");
    refuses(&with(&["--resume", "nowhere"]), "nowhere: there is no such file or folder");
    refuses(&with(&["--kernel", "debian-6.0"]), "debian-6.0");
    refuses(&with(&["--regression", "writebacks"]), "there is no metric `writebacks`");
    for (more, says) in [
        (&["--confidence", "1"][..], "expected a probability above 0.5 and below 1"),
        (&["--regression", "swapoff-p99", "--command", "true"], "cannot be used with"),
        (&["--command-limit", "1s"], "--command"),
    ] {
        let (code, stderr) = scene.run(&[&["bisect"], &two[..], more].concat());
        assert_eq!(code, Some(2));
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[test]
fn ends_of_a_repository_must_be_on_one_way_and_in_order() {
    let scene = Scene::new();
    repository(&scene);
    let refuses = |good: &str, bad: &str, says: &str| {
        scene.refuses(&["bisect", "--good", good, "--bad", bad], 2, &[says]);
    };
    // Work that is not committed, staged or not, and files that git does not know.
    scene.sh("cd linux; echo dirty >> Makefile; git add Makefile; echo dirtier >> Makefile; echo new > new; git stash list");
    let every_byte = |repo: &str| {
        scene.sh(&format!("find {repo} -printf '%p %m %T@\\n' | LC_ALL=C sort; find {repo} -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"))
    };
    let before = every_byte("linux");
    refuses("linux:main", "linux:v1", "the older commit comes first: swap the two");
    refuses("linux:main", "linux:side", "git merge-base");
    refuses("linux:v1", "linux:nothing", "there is no commit `nothing`");
    refuses("linux:v1", "../linux:main", "in different repositories");
    refuses("linux", "linux:main", "hint: expected REPO:REF");
    scene.sh("git clone -q --depth 1 file://$PWD/linux shallow; cd shallow; git fetch -q --depth 1 origin tag v1");
    let fixup = |words: &str, says: &str| {
        let ends = ["bisect", "--good", "linux:v1", "--bad", "linux:main", "--fixup", words];
        scene.refuses(&ends, 2, &[says]);
    };
    fixup("./none.patch", "none.patch");
    scene.sh("printf -- '--- a/Makefile\\n+++ b/Makefile\\n@@ -1 +1 @@\\n-1\\n+2\\n' > fix.patch");
    fixup("./fix.patch@v1..nothing", "there is no commit `nothing`");
    let shallow = every_byte("shallow");
    refuses("shallow:v1", "shallow:main", "git fetch --unshallow");
    // Whatever was said of them, the repositories are as they were, to the last byte and time.
    assert_eq!(every_byte("linux"), before);
    assert_eq!(every_byte("shallow"), shallow);
}

/// The log of a search among the commits of `linux`, of which those from `bad` on do not compile.
fn search_for_build_failures(scene: &Scene, bad: usize) {
    let ids = scene.sh("git -C linux rev-list --first-parent --reverse main");
    let ids: Vec<&str> = ids.lines().collect();
    let population = |id: &str| format!("linux:{id}/x86_64/any/kasan-as-configured/mixed/natural");
    let position = |id: &&str| {
        json!({"population": population(id), "weight": 1.0,
            "label": {"kernel": format!("linux:{id}"), "change": "a change", "author": null, "fixes": null,
                "diffstat": {"files": [{"file": "mm/<b>.c", "lines": [7, 2]}], "more": 30, "added": 90, "removed": 2}}})
    };
    let range = json!({"positions": ids.iter().map(position).collect::<Vec<_>>(), "predicate": "build-failure",
        "confidence": 0.95, "storm_ms": 1000});
    let mut log = vec![
        json!({"event": "run-started", "format": 2, "minor": 4, "id": "one", "version": "", "command": ["bisect"],
            "started": "2026-11-22T13:37:02Z", "seed": 1, "purpose": "search", "host": {}}),
        json!({"event": "range-loaded", "range": range}),
    ];
    // Each once, and then the culprit and its parent again, as a search does it.
    let each = (0..ids.len()).map(|at| (at, 1));
    let again = (2..=4).flat_map(|number| [(bad, number), (bad - 1, number)]);
    for (at, number) in each.chain(again) {
        let (id, cell) = (ids[at], format!("at{at}-{number}"));
        log.push(json!({"event": "cell-planned", "cell": {"id": cell, "kernel": format!("linux:{id}"), "series": null,
            "arch": "x86_64", "profile": "mixed", "technique": "natural", "seed": 1, "expect": null,
            "should_show": null, "number": number}}));
        log.push(match at >= bad {
            true => json!({"event": "cell-failed", "cell": cell, "fault": "build", "detail": "mm/zswap.c:1: error"}),
            false => json!({"event": "kernel-ready", "cell": cell, "kernel": {"release": "6.1", "compiler": "gcc",
                "key": id, "cached": false, "ms": 1, "source": "linux"}}),
        });
        log.push(json!({"event": "cell-finished", "cell": cell}));
    }
    log.push(json!({"event": "run-finished", "interrupted": false}));
    let lines: String = log
        .into_iter()
        .map(|mut event| {
            event["at_ms"] = json!(1);
            format!("{event}\n")
        })
        .collect();
    fs::create_dir(scene.path("run")).unwrap();
    fs::write(scene.path("run/events.jsonl"), lines).unwrap();
}

#[test]
fn the_log_of_a_search_is_one_that_git_replays_and_its_report_has_the_answer() {
    let scene = Scene::new();
    repository(&scene);
    scene.sh(
        "cd linux; for n in 5 6 7; do echo $n > Makefile; git commit -q -a -m \"change $n\"; done",
    );
    search_for_build_failures(&scene, 3);
    let stdout = |args: &[&str]| {
        let output = scene.command().args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    fs::write(scene.path("bisect.log"), stdout(&["bisect", "log", "run"])).unwrap();
    let said = scene.sh("cd linux; git bisect replay ../bisect.log; git bisect log");
    let culprit = scene.sh("git -C linux rev-list --first-parent --reverse main | sed -n 4p");
    assert!(said.contains(&format!("# first bad commit: [{}]", culprit.trim())), "{said}");
    for format in ["text", "markdown", "html"] {
        let report = stdout(&["report", "run", "--format", format]);
        assert!(report.contains("The bug came with a change"), "{format}: {report}");
        let name = if format == "html" { "mm/&#60;b&#62;.c" } else { "mm/<b>.c" };
        let files = format!(
            "{name} |   9 +++++++--\n    ... and 30 more\n    31 files changed, 90 added(+)"
        );
        assert!(report.contains(&files), "{format}: {report}");
    }
    let json = stdout(&["report", "run", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let search = &json["searches"][0];
    assert_eq!(search["predicate"], "build-failure", "{search:#}");
    assert!(search["answer"]["probability"].as_f64().unwrap() > 0.95, "{search:#}");
    assert_eq!(search["positions"].as_array().unwrap().len(), 6, "{search:#}");
    assert_eq!(search["positions"][3]["diffstat"]["more"], 30, "{search:#}");
    // A series' patches are no commits, and a run without a search has none.
    scene.sh("sed 's/linux:\\([0-9a-f]*\\)/k\\1/g' -i run/events.jsonl");
    scene.refuses(&["bisect", "log", "run"], 2, &["are no commits"]);
    scene.sh("sed '/range-loaded/d' -i run/events.jsonl");
    scene.refuses(&["bisect", "log", "run"], 2, &["this is no run of bisect"]);
}

/// A kernel that builds in a moment.
const MAKEFILE: &str = r#"VERSION = 6
PATCHLEVEL = 1
all: vmlinux bzImage
tinyconfig:
	printf 'CONFIG_64BIT=y\nCONFIG_ZSWAP_SHRINKER_DEFAULT_ON=y\n' > $(O)/.config
olddefconfig:
vmlinux:
	cat a.c b.c > $(O)/vmlinux
	mkdir -p $(O)/include/config $(O)/arch/x86/boot
	echo 6.1.0 > $(O)/include/config/kernel.release
bzImage: vmlinux
	cp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
.PHONY: vmlinux bzImage
"#;

/// A repository `linux` of such kernels: a merge, of whose branch of three the second commit is itself a merge, and commits before
/// and behind it. `a.c` has `side 2` from that commit's branch on.
fn merges(scene: &Scene) {
    scene.own(
        "kernels/config/standard.yaml",
        "config: {base: tinyconfig, fragments: [], arch: {x86_64: []}}\nmake: {}\n",
    );
    scene.sh("mkdir -p linux/scripts/kconfig; cd linux; git init -q -b main; git config user.name A; git config user.email a@example.org");
    fs::write(scene.path("linux/Makefile"), MAKEFILE).unwrap();
    scene.sh("cd linux
         echo 'shift 2; cat /dev/null \"$@\" >> .config' > scripts/kconfig/merge_config.sh
         change() { echo \"$2\" >> $1.c; git add .; git commit -q -m \"$2\"; }
         change a start; change b start; git tag start
         git switch -q -c side; change a 'side 1'
         git switch -q -c inner; change a 'inner 1'; change a 'inner 2'; change a 'inner 3'
         git switch -q side; git merge -q --no-ff -m 'merge inner' inner; change a 'side 2'
         git switch -q main; change b 'main 1'; change b 'main 2'
         git merge -q --no-ff -m 'merge side' side
         change b 'main 3'; change b 'main 4'");
}

/// What the program prints, and its exit code.
fn told(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let output = scene.command().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A search between the ends of [`merges`], by the command that comes next.
const SEARCH: [&str; 8] =
    ["bisect", "--good", "linux:start", "--bad", "linux:main", "--confidence", "0.95", "--command"];

fn bisected(scene: &Scene, command: &str, more: &[&str]) -> String {
    let (code, stdout, stderr) = told(scene, &[&SEARCH[..], &[command], more].concat());
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    stdout
}

/// The newest run of the scene.
fn newest_run(scene: &Scene) -> String {
    scene.sh("ls -td out/*/ | head -n 1").trim().to_owned()
}

/// The commit that git comes to by the log of this run.
fn replayed(scene: &Scene, run: &str) -> String {
    let (_, log, _) = told(scene, &["bisect", "log", run]);
    fs::write(scene.path("bisect.log"), log).unwrap();
    let said = scene.sh("cd linux; git bisect replay ../bisect.log; git bisect log; git bisect reset > /dev/null 2>&1");
    let found = said.lines().find(|line| {
        line.contains("first bad commit: [") || line.contains("first fixed commit: [")
    });
    let found = found.unwrap_or_else(|| panic!("{said}"));
    found.rsplit_once("] ").unwrap().1.to_owned()
}

#[test]
fn the_branch_of_a_merge_is_searched_by_itself_and_a_merge_in_it_and_git_replays_it() {
    let scene = Scene::new();
    merges(&scene);
    let bad = "! grep -q 'inner 2' \"$SWAPSTORM_KERNEL_IMAGE\"";
    let said = bisected(&scene, bad, &[]);
    for words in [
        "The bug came with ",
        "(\"merge side\")\n",
        "\nIn the branch that was merged by ",
        "(\"merge inner\")\n",
        "(\"inner 2\")\n",
        "    a.c |   1 +\n",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(said.matches("In the branch").count(), 2, "{said}");
    assert!(!said.contains("searches its branch"), "{said}");
    let run = newest_run(&scene);
    assert_eq!(replayed(&scene, &run), "inner 2");
    let (code, report, _) = told(&scene, &["report", &run]);
    assert!(
        code == Some(0) && report.contains(said.split_once('\n').unwrap().1.trim()),
        "{report}"
    );
    // Again with what was seen: no kernel is run again.
    let resumed = bisected(&scene, bad, &["--resume", &run]);
    assert_eq!(resumed, said);
    let again = fs::read_to_string(scene.path(&newest_run(&scene)).join("events.jsonl")).unwrap();
    assert!(
        !again.contains("cell-planned") && again.matches("range-loaded").count() == 3,
        "{again}"
    );
    // A fix is searched from the other side.
    let fixed = "grep -q 'side 2' \"$SWAPSTORM_KERNEL_IMAGE\"";
    let said = bisected(&scene, fixed, &["--fixed"]);
    assert!(said.contains("The bug went with ") && said.contains("(\"side 2\")\n"), "{said}");
    assert_eq!(replayed(&scene, &newest_run(&scene)), "side 2");
}

#[test]
fn a_merge_of_which_neither_side_has_the_bug_alone_is_named_itself() {
    let scene = Scene::new();
    merges(&scene);
    let both = "! { grep -q 'main 2' \"$SWAPSTORM_KERNEL_IMAGE\" && grep -q 'side 1' \"$SWAPSTORM_KERNEL_IMAGE\"; }";
    let said = bisected(&scene, both, &[]);
    assert!(
        said.contains("The bug came with the merge itself, and neither of its sides: "),
        "{said}"
    );
    let run = newest_run(&scene);
    assert_eq!(replayed(&scene, &run), "merge side");
}

#[test]
fn a_search_that_is_killed_in_a_branch_goes_on_there() {
    let scene = Scene::new();
    merges(&scene);
    let bad = "! grep -q 'inner 2' \"$SWAPSTORM_KERNEL_IMAGE\"";
    // A kernel that has the branch alone is in no hurry.
    let image = "$SWAPSTORM_KERNEL_IMAGE";
    let waits =
        format!("grep -q 'side 1' {image} && ! grep -q 'main 1' {image} && sleep 1000; {bad}");
    let mut command = scene.command();
    command.args(SEARCH).arg(&waits).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let is_there = |line: &String| line.starts_with("branch1-at") && line.contains("built");
    let seen: Vec<String> = lines.by_ref().take_while(|line| !is_there(line)).collect();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "{seen:#?}");
    let killed = newest_run(&scene);
    let (_, report, _) = told(&scene, &["report", &killed]);
    assert!(report.contains("In the branch that was merged by "), "{report}");
    let whole = bisected(&scene, &format!("true; {bad}"), &[]);
    let planned = |run: &str| {
        let log = fs::read_to_string(scene.path(run).join("events.jsonl")).unwrap();
        log.matches("cell-planned").count()
    };
    let in_one_go = planned(&newest_run(&scene));
    let resumed = bisected(&scene, bad, &["--resume", &killed]);
    let last = |said: &str| {
        said.rsplit_once("The bug came with ").unwrap().1.lines().next().unwrap().to_owned()
    };
    assert!(
        last(&resumed).ends_with("(\"inner 2\")") && last(&resumed) == last(&whole),
        "{resumed}"
    );
    // What was seen before it was killed counts, but for the one that was under way.
    assert!(planned(&newest_run(&scene)) + planned(&killed) <= in_one_go + 2);
}
