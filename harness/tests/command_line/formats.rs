// SPDX-License-Identifier: MIT OR Apache-2.0
//! Schemas, completions and manual pages, and files of YAML with several mistakes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::scene::Scene;

/// What the program prints; it must succeed and say nothing else.
fn prints(scene: &Scene, args: &[&str]) -> String {
    let output = scene.command().args(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let (code, stderr) = scene.talk(output);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

/// Names of the commands that `--help` lists.
fn commands(scene: &Scene) -> Vec<String> {
    let help = prints(scene, &["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<String> =
        names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect();
    assert!(names.len() > 10 && names.iter().any(|name| name == "repro"), "{names:?}");
    names
}

#[test]
fn schemas_are_those_beside_the_data() {
    let scene = Scene::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = prints(&scene, &["schema"]);
    let files = [
        ("manifest", "kernels/manifests/manifest.schema.json"),
        ("standard", "kernels/config/standard.schema.json"),
        ("plan", "harness/engine/plans/plan.schema.json"),
        ("profile", "workloads/profiles/profile.schema.json"),
        ("recipe", "images/recipes/recipe.schema.json"),
        ("rule", "reports/rules/rule.schema.json"),
    ];
    assert_eq!(list.lines().count(), files.len(), "{list}");
    for (format, file) in files {
        assert!(list.lines().any(|line| line.split(' ').next() == Some(format)), "{list}");
        let file = fs::read_to_string(root.join(file)).unwrap();
        assert_eq!(prints(&scene, &["schema", format]), file);
        let schema: serde_json::Value = serde_json::from_str(&file).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
    }
    let (code, stderr) = scene.run(&["schema", "profil"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("'profile'"), "{stderr}");
}

#[test]
fn completions_know_every_command_and_are_what_the_shell_reads() {
    let scene = Scene::new();
    let commands = commands(&scene);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = prints(&scene, &["completions", shell]);
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell}: no {command}");
        }
    }
    fs::write(scene.path("script"), prints(&scene, &["completions", "bash"])).unwrap();
    // Whoever has no bash has nobody to complete for.
    scene.sh("command -v bash > /dev/null || exit 0
         bash -c '. ./script; COMP_WORDS=(swapstorm rep); COMP_CWORD=1
                  _swapstorm swapstorm rep swapstorm; printf \"%s\\n\" \"${COMPREPLY[@]}\"' > words
         for word in repro report replay; do grep -qx $word words; done
         ! grep -qx run words");
    assert_eq!(scene.run(&["completions", "tcsh"]).0, Some(2));
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let scene = Scene::new();
    let pages = scene.path("a/man1");
    let (code, stderr) = scene.run(&["man", pages.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    let mut names: Vec<String> = commands(&scene);
    names.push("cache-gc".to_owned());
    for name in names {
        let page = fs::read_to_string(pages.join(format!("swapstorm-{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH swapstorm-{name} 1")), "{page}");
    }
    let page = fs::read_to_string(pages.join("swapstorm.1")).unwrap();
    assert!(page.contains("Exit codes:"), "{page}");
    // What the environment says here is nobody's business there.
    for file in fs::read_dir(&pages).unwrap() {
        let page = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!page.contains(scene.dir.path().to_str().unwrap()), "{page}");
    }
    let all = prints(&scene, &["man"]);
    assert_eq!(all.matches(".TH ").count(), fs::read_dir(&pages).unwrap().count());

    fs::write(scene.path("file"), "").unwrap();
    let (code, stderr) = scene.run(&["man", "file"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("file"), "{stderr}");
}

#[test]
fn every_mistake_of_a_file_is_a_line_and_the_exit_code_is_2() {
    let scene = Scene::new();
    scene.own(
        "kernels/manifests/bad.yaml",
        "about: [a]\nsource:\n  git: {repo: /x, rev: v6.8}\ntoolchain: tcc\nmake:\n  vax: [-k]\n",
    );
    let (code, stderr) = scene.run(&["build", "bad"]);
    assert_eq!(code, Some(2), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    let expected = [
        "bad.yaml:1:8: about: expected a text, not a list",
        "bad.yaml:3:19: source.git: unknown field `rev`, did you mean `ref`?",
        "bad.yaml:4:12: toolchain: expected gcc, clang, or a version of it like clang-16, not \"tcc\"",
        "bad.yaml:6:3: make: unknown word `vax`, expected one of `x86_64`",
        "bad.yaml:6:9: make.vax[0]: expected a setting for make, NAME=value, not \"-k\"",
    ];
    assert_eq!(lines.len(), expected.len(), "{stderr}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("/{expected}")), "{line}: {expected}");
    }

    scene.own(
        "workloads/profiles/bad.yaml",
        "name: bad\ndescription: a\ngest: {cpus: 0}\nstorm: {\"\\e[2J\": 1, push: limt}\n",
    );
    let (code, stderr) = scene.run(&["repro", "--profile", "bad"]);
    assert_eq!(code, Some(2), "{stderr}");
    for says in [
        "bad.yaml:3:1: unknown field `gest`, did you mean `guest`?",
        "bad.yaml:4:9: storm: unknown field `\\u{1b}[2J`",
        "bad.yaml:4:27: storm.push: unknown word `limt`, did you mean `limit`?",
    ] {
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    assert!(!scene.path("out").exists());
}

#[test]
fn the_program_needs_nothing_but_itself() {
    let scene = Scene::new();
    // Somewhere else, under another name, without a home.
    let program = scene.path("elsewhere");
    fs::copy(env!("CARGO_BIN_EXE_swapstorm"), &program).unwrap();
    let home = scene.path("home");
    fs::create_dir(&home).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        let output = command.env_clear().env("HOME", &home).current_dir("/").args(args).output();
        scene.talk(output.unwrap())
    };
    // It gets as far as looking for a compiler: manifest, fragments and profile are in it.
    for args in [&["build", "debian-6.1"][..], &["run", "architectures"], &["exec", "--", "true"]] {
        let (code, stderr) = run(args);
        assert_eq!(code, Some(3), "{args:?}: {stderr}");
        assert!(stderr.contains("is not installed") && stderr.contains("hint: "), "{stderr}");
    }
    assert_eq!(run(&["schema", "profile"]), (Some(0), String::new()));
}
