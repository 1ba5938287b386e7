// SPDX-License-Identifier: MIT OR Apache-2.0
//! Made-up build folders, as a kill leaves them. What a real make does: `kernel/tests/interrupted.rs`.

use super::*;

/// A build folder whose files were written at the seconds that the test says.
struct Build {
    dir: tempfile::TempDir,
}

/// When make began.
const BEGAN: u64 = 1000;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Build {
    fn new() -> Self {
        let build = Self { dir: tempfile::tempdir().unwrap() };
        // Something was written long after all that the tests are about.
        build.write("drivers/late.o", 5000, "torn");
        build
    }

    fn write(&self, file: &str, time: u64, text: &str) {
        let path = self.dir.path().join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        let file = fs_err::File::options().write(true).open(path).unwrap();
        file.file().set_modified(at(time)).unwrap();
    }

    /// A target and its record.
    fn made(&self, target: &str, time: u64, recorded: u64, record: &str) {
        self.write(target, time, "text");
        let path = Path::new(target);
        let name = format!(".{}.cmd", path.file_name().unwrap().to_str().unwrap());
        self.write(path.with_file_name(name).to_str().unwrap(), recorded, record);
    }

    /// True if the repair keeps the file.
    #[track_caller]
    fn keeps(&self, file: &str) -> bool {
        repair(self.dir.path(), at(BEGAN), false).unwrap();
        self.has(file)
    }

    fn has(&self, file: &str) -> bool {
        self.dir.path().join(file).exists()
    }
}

/// What fixdep writes, for `target` made from `inputs`.
fn listed(target: &str, inputs: &[&str]) -> String {
    let inputs: String = inputs.iter().map(|input| format!("  {input} \\\n")).collect();
    format!(
        "savedcmd_{target} := gcc -Wp,-MMD,x.d -c -o {target} x.c\n\nsource_{target} := x.c\n\n\
         deps_{target} := \\\n    $(wildcard include/config/SWAP) \\\n{inputs}\n\
         {target}: $(deps_{target})\n\n$(deps_{target}):\n"
    )
}

#[test]
fn an_object_is_kept_if_its_record_is_whole_and_not_older() {
    let record = listed("mm/a.o", &[]);
    for (time, recorded, text, kept) in [
        (1001, 1001, record.as_str(), true),
        (1001, 1002, record.as_str(), true),
        (1001, 1002, "cmd_mm/a.o := ld -o mm/a.o\n", true),
        // It was written again, and the record is of the last time.
        (1002, 1001, record.as_str(), false),
        (1002, 900, record.as_str(), false),
        // Torn records.
        (1001, 1002, "", false),
        (1001, 1002, "cmd_mm/a.o := ld -o mm/", false),
        (1001, 1002, record.trim_end_matches("$(deps_mm/a.o):\n"), false),
        (1001, 1002, record.split_inclusive('\n').next().unwrap(), false),
        (1001, 1002, "rubbish\n", false),
        // The end of its recipe may have been missing.
        (4999, 4999, record.as_str(), false),
    ] {
        let build = Build::new();
        build.made("mm/a.o", time, recorded, text);
        assert_eq!(build.keeps("mm/a.o"), kept, "{time} {recorded} {text}");
        assert_eq!(build.has("mm/.a.o.cmd"), kept || recorded < BEGAN, "{time} {recorded} {text}");
    }
    let build = Build::new();
    build.write("mm/a.o", 1001, "no record");
    assert!(!build.keeps("mm/a.o"));
    assert!(!build.has("drivers/late.o"));
}

#[test]
fn what_make_did_not_write_is_left_alone() {
    let build = Build::new();
    build.write("mm/old.o", 999, "no record");
    build.write("vmlinux", 999, "old");
    // The record of a file that was there before: make would compile it again without.
    build.made("mm/a.o", 999, 1001, "torn");
    assert!(build.keeps("mm/old.o") && build.has("vmlinux") && build.has("mm/a.o"));
    assert!(!build.has("mm/.a.o.cmd"));
}

#[test]
fn what_a_finished_object_was_made_from_is_finished() {
    let build = Build::new();
    let inputs = ["lib/table.h", "lib/later.h", "./arch/x86/lib/tables.c", "lib/unused.o"];
    build.made("lib/a.o", 1010, 1011, &listed("lib/a.o", &inputs));
    build.made("lib/b.o", 1010, 900, &listed("lib/b.o", &["lib/of_torn.h"]));
    build.write("lib/table.h", 1009, "");
    build.write("lib/later.h", 1012, "");
    build.write("lib/of_torn.h", 1009, "");
    build.write("lib/unknown.h", 1009, "");
    build.write("arch/x86/lib/tables.c", 1009, "");
    assert!(build.keeps("lib/table.h") && build.has("arch/x86/lib/tables.c"));
    for gone in ["lib/later.h", "lib/of_torn.h", "lib/unknown.h", "lib/b.o"] {
        assert!(!build.has(gone), "{gone}");
    }
}

#[test]
fn what_was_prepared_is_kept_once_an_object_came_after_it() {
    let files = [
        "scripts/kconfig/conf",
        "tools/objtool/libsubcmd/libsubcmd.a",
        "include/generated/bounds.h",
        "arch/x86/include/generated/asm/early.h",
        "arch/x86/tools/relocs",
    ];
    // Objects of host programs, and those of folders that `prepare` enters, prove nothing.
    for (proof, kept) in [("init/main.o", true), ("scripts/mod/empty.o", false), ("lib/a.o", false)]
    {
        let build = Build::new();
        files.iter().for_each(|file| build.write(file, 1001, ""));
        build.write("tools/objtool/objtool", 1020, "torn");
        build.write("lib/gen_table", 1001, "not prepared");
        build.made(proof, 1010, 1010, &listed(proof, &[]));
        build.keeps(proof);
        for file in files {
            assert_eq!(build.has(file), kept, "{file} with {proof}");
        }
        assert!(!build.has("tools/objtool/objtool") && !build.has("lib/gen_table"));
    }
}

#[test]
fn records_of_host_tools_and_of_links_are_not_believed() {
    let build = Build::new();
    let record = "cmd_x := ld -o x\n";
    for file in ["tools/objtool/check.o", "vmlinux", "vmlinux.o"] {
        build.made(file, 1001, 1002, record);
    }
    build.write("System.map", 1001, "");
    build.keeps("vmlinux");
    for gone in ["tools/objtool/check.o", "vmlinux", "vmlinux.o", ".vmlinux.cmd", "System.map"] {
        assert!(!build.has(gone), "{gone}");
    }
}

#[test]
fn what_conf_renames_and_touches_is_kept_and_its_temporary_files_are_not() {
    let build = Build::new();
    let kept = [
        ".config",
        "include/config/auto.conf",
        "include/config/SWAP",
        "include/generated/autoconf.h",
    ];
    kept.iter().for_each(|file| build.write(file, 1001, ""));
    build.write("include/config/auto.conf.tmp", 1001, "");
    build.write("include/generated/autoconf.h.tmp", 1001, "");
    build.keeps(".config");
    for file in kept {
        assert!(build.has(file), "{file}");
    }
    assert!(!build.has("include/config/auto.conf.tmp"));
    assert!(!build.has("include/generated/autoconf.h.tmp"));
}

#[test]
fn after_a_power_cut_nothing_is_believed() {
    let build = Build::new();
    build.made("mm/a.o", 1001, 1002, &listed("mm/a.o", &[]));
    build.write("include/config/auto.conf", 1001, "");
    build.write("mm/old.o", 999, "");
    repair(build.dir.path(), at(BEGAN), true).unwrap();
    assert!(
        !build.has("mm/a.o") && !build.has("include/config/auto.conf") && build.has("mm/old.o")
    );
}
