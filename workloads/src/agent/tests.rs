// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::unix::fs::PermissionsExt;

use host::arch::X86_64;
use tempfile::TempDir;

use super::*;
use crate::profile;

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

#[tokio::test]
async fn the_agent_is_small_static_and_compiled_once() {
    let (_dir, store) = store();
    let arch = Arch::native().unwrap();
    let agent = build(arch, &store).await.unwrap();
    let meta = fs_err::metadata(&agent.path).unwrap();
    assert!(meta.len() < 1_000_000, "{} bytes", meta.len());
    assert_ne!(meta.permissions().mode() & 0o111, 0);
    let elf = object_type_and_interpreter(&fs_err::read(&agent.path).unwrap());
    assert_eq!(elf, (2, false), "an executable (ET_EXEC) without interpreter");
    let files: Vec<_> = fs_err::read_dir(agent.path.parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert!(!files.iter().any(|name| name == "sources"), "{files:?}");

    assert_eq!(build(arch, &store).await.unwrap(), agent);
    assert_eq!(
        fs_err::metadata(&agent.path).unwrap().modified().unwrap(),
        meta.modified().unwrap()
    );
}

/// `e_type`, and whether there is a PT_INTERP: all that matters of a 64-bit little-endian ELF.
fn object_type_and_interpreter(elf: &[u8]) -> (u16, bool) {
    let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let headers = u32_at(32) as usize;
    let (size, count) = (usize::from(u16_at(54)), usize::from(u16_at(56)));
    let has_interpreter = (0..count).any(|index| u32_at(headers + index * size) == 3);
    (u16_at(16), has_interpreter)
}

#[tokio::test]
async fn the_same_sources_give_the_same_bytes() {
    let (_one, first) = store();
    let (_two, second) = store();
    let arch = Arch::native().unwrap();
    let (a, b) = (build(arch, &first).await.unwrap(), build(arch, &second).await.unwrap());
    assert_eq!(a.key, b.key);
    assert!(fs_err::read(a.path).unwrap() == fs_err::read(b.path).unwrap());
}

#[tokio::test]
async fn a_missing_compiler_is_named_with_its_package() {
    let (_dir, store) = store();
    let error = build_with(&AGENT, &X86_64, &store, "vax-none-linux-gnu-").await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("vax-none-linux-gnu-gcc is not installed"), "{words}");
    assert!(words.contains("install vax-none-linux-gnu-gcc"), "{words}");
}

#[tokio::test]
async fn what_the_compiler_says_reaches_the_user() {
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("bad-gcc");
    fs_err::write(&script, "#!/bin/sh\necho 'main.c:1:1: error: no' >&2\nexit 3\n").unwrap();
    fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let slot = TempDir::new().unwrap();
    let error = compile(&AGENT, script.to_str().unwrap(), slot.path()).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("exit code 3") && words.contains("main.c:1:1: error: no"), "{words}");
}

#[tokio::test]
async fn a_compiler_that_the_system_killed_is_not_the_agents_fault() {
    let says = "gcc: fatal error: Killed signal terminated program cc1";
    let scripts = [
        ("said so", format!("echo '{says}' >&2\nexit 1")),
        ("was killed itself", "kill -9 $$".to_owned()),
        ("had no disk", "echo 'as: main.o: No space left on device' >&2\nexit 1".to_owned()),
    ];
    for (how, script) in scripts {
        let dir = TempDir::new().unwrap();
        let compiler = dir.path().join("gcc");
        fs_err::write(&compiler, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
        let slot = TempDir::new().unwrap();
        let error = compile(&AGENT, compiler.to_str().unwrap(), slot.path()).await.unwrap_err();
        assert!(matches!(error, AgentError::Lack { .. }), "{how}: {error}");
        assert!(error.to_string().contains("the machine ran out of"), "{how}: {error}");
    }
}

/// Compiles the agent's own tests and returns their program.
async fn selftest(dir: &Path) -> PathBuf {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let program = dir.join("selftest");
    let units = [
        "selftest.c",
        "act.c",
        "columns.c",
        "cpus.c",
        "latency.c",
        "levels.c",
        "line.c",
        "memcg.c",
        "params.c",
        "pattern.c",
        "preempt.c",
        "random.c",
        "restore.c",
        "task.c",
        "watch.c",
    ];
    Command::new("gcc")
        .args(["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"])
        .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .args(units)
        .arg("-o")
        .arg(&program)
        .cwd(guest)
        .success()
        .await
        .unwrap();
    program
}

#[tokio::test]
async fn the_agents_logic_passes_its_own_tests() {
    let dir = TempDir::new().unwrap();
    let program = selftest(dir.path()).await;
    let output = Command::new(program.to_str().unwrap()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.code, 0, "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with(" passed, 0 failed\n"), "{said}");
}

#[tokio::test]
async fn the_agent_takes_every_word_that_profiles_can_say() {
    let dir = TempDir::new().unwrap();
    let program = selftest(dir.path()).await;
    let run = async |words: &str| {
        let command = Command::new(program.to_str().unwrap()).arg(words);
        let output = command.output().await.unwrap();
        (output.code, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for words in profile::tests::cmdlines_at_the_bounds() {
        assert_eq!(run(&words).await, (0, String::new()), "{words}");
    }
    for arch in host::arch::ALL {
        assert_eq!(run(&format!("swapstorm.end={}", arch.end)).await, (0, String::new()));
    }
    // The control: the same check does see what the agent would not take.
    let refused = run("swapstorm.workers=65").await;
    assert_eq!(refused, (1, "workers=65: out-of-range\n".to_owned()));
}

/// Names between backquotes in the first column of the protocol's tables.
fn documented() -> Vec<&'static str> {
    let protocol = include_str!("../../guest/PROTOCOL.md");
    let cells = protocol.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_protocol_documents_every_parameter_and_counter() {
    let documented = documented();
    let source = |name| SOURCES.iter().find(|(file, _)| *file == name).unwrap().1;
    let mut names = Vec::new();
    for line in source("params.c").lines().map(str::trim) {
        let macros = ["TEXT(", "SPEC(", "PICK("];
        if let Some(inner) = macros.iter().find_map(|name| line.strip_prefix(name)) {
            let mut arguments = inner.trim_end_matches("),").split(", ");
            let first = arguments.next().unwrap();
            // PICK names the field first, the others second.
            names.push(if line.starts_with("PICK") { first } else { arguments.next().unwrap() });
        }
    }
    assert_eq!(names.len(), 55, "{names:?}");
    for line in source("columns.c").lines() {
        names.extend(line.trim().strip_prefix("COUNTER(").and_then(|rest| rest.strip_suffix("),")));
    }
    assert_eq!(names.len(), 55 + 27, "{names:?}");
    for name in names {
        assert!(documented.contains(&name), "{name} is not in PROTOCOL.md");
    }
}
