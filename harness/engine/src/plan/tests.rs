// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::job::TRIES;

const GOOD: &str = "about: a plan
kernels: [debian-6.1]
arch: [x86_64, arm64]
profiles: [zswap-writeback-swapoff]
techniques: [natural, stretch]
storm: 60s
";

fn read(yaml: &str) -> Result<Plan, String> {
    Plan::from_yaml("p.yaml", yaml.to_owned()).map_err(|error| error.to_string())
}

#[test]
fn what_is_left_out_has_a_default() {
    let plan = read("about: a\nkernels: [k]\nprofiles: [p]\nstorm: 2m\n").unwrap();
    let [point] = &plan.points().unwrap()[..] else { panic!("one") };
    assert_eq!((&point.series, point.arch), (&None, &host::arch::X86_64));
    assert_eq!((point.tries, point.time), (TRIES, None));
    assert_eq!((point.technique, point.runs), (Technique::Natural, 1));
    assert_eq!(point.storm, Duration::from_secs(120));
}

#[test]
fn the_schema_is_what_the_types_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/plans/plan.schema.json");
    document::schema::checked_in(file, &Plan::schema()).unwrap();
}

#[test]
fn every_built_in_plan_is_one() {
    for (name, _) in BUILT_IN {
        Plan::find(name, None).unwrap();
    }
}

#[test]
fn every_mistake_has_its_place_and_says_what_was_expected() {
    for (from, to, place, says) in [
        ("kernels", "kernel", "p.yaml:2:1:", "unknown field `kernel`"),
        ("[debian-6.1]", "debian-6.1", "p.yaml:2:10:", "kernels: expected a list"),
        ("[debian-6.1]", "[]", "p.yaml:2:1:", "`kernels` is empty"),
        ("arm64", "vax", "p.yaml:3:16:", "unknown word `vax`, expected one of"),
        ("arm64", "x86_64", "p.yaml:3:16:", "`x86_64` stands in `arch` twice"),
        ("stretch]", "strech]", "p.yaml:5:23:", "did you mean `stretch`"),
        ("60s", "60", "p.yaml:6:8:", "such as 90s or 10m"),
        ("60s", "\"0s\"", "p.yaml:6:8:", "expected a time from 1s to 24h"),
        ("60s", "60s\nruns: 0", "p.yaml:7:1:", "these are 0 cells"),
        ("60s", "60s\nruns: 9999", "p.yaml:7:1:", "39996 cells, expected 1 to 10000"),
    ] {
        let error = read(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.starts_with(place) && error.contains(says), "{to}: {error}");
    }
}

#[test]
fn a_target_takes_the_place_of_kernels() {
    let yaml = "about: a\ntarget: ssh://root@box:23\nprofiles: [p]\nstorm: 9s\nallow: [zswap]\n";
    let plan = read(yaml).unwrap();
    assert_eq!(plan.target().unwrap().to_string(), "ssh://root@box:23");
    assert_eq!((plan.terms().retune_zswap, plan.terms().beside_swap), (true, false));
    assert!(!plan.terms().switch_cpus);
    assert!(read(&yaml.replace("[zswap]", "[cpus]")).unwrap().terms().switch_cpus);
    for (from, to, place, says) in [
        ("ssh://root@box:23", "box", "p.yaml:2:9:", "expected ssh://user@host"),
        ("storm", "kernels: [k]\nstorm", "p.yaml:4:1:", "leave out `kernels`"),
        ("storm", "series: [s]\nstorm", "p.yaml:4:1:", "leave out `series`"),
        ("storm", "techniques: [stretch]\nstorm", "p.yaml:4:14:", "QEMU's gdbstub"),
        ("storm", "techniques: [preempt]\nstorm", "p.yaml:4:14:", "keeps its processors"),
        ("storm", "techniques: [preempt+stretch]\nstorm", "p.yaml:4:14:", "QEMU's gdbstub"),
        ("storm", "disks: [sda]\nstorm", "p.yaml:4:9:", "expected a device, such as /dev/sdb"),
        ("storm", "console: /no/such/log\nstorm", "p.yaml:4:1:", "/no/such/log"),
        ("[zswap]", "[all]", "p.yaml:5:9:", "unknown word `all`, expected one of `swap`"),
        ("target: ssh://root@box:23", "kernels: [k]", "p.yaml:5:1:", "belongs to a `target`"),
    ] {
        let error = read(&yaml.replace(from, to)).unwrap_err();
        assert!(error.starts_with(place) && error.contains(says), "{to}: {error}");
    }
}

/// The cells of a plan in short: `KERNEL+SERIES/ARCH/TECHNIQUE*RUNS STORM`.
fn points(yaml: &str) -> Vec<String> {
    let word = |point: &Point| {
        let series = point.series.as_ref().map_or(String::new(), |name| format!("+{name}"));
        let Point { kernel, arch, technique, runs, storm, .. } = point;
        format!("{kernel}{series}/{arch}/{technique}*{runs} {}", storm.as_secs())
    };
    read(yaml).unwrap().points().unwrap().iter().map(word).collect()
}

const NIGHT: &str = "about: a
kernels: [a, b]
arch: [x86_64, riscv64]
profiles: [p]
storm: 9s
";

#[test]
fn cells_are_included_excluded_and_changed() {
    let all = [
        "a/x86_64/natural*1 9",
        "a/riscv64/natural*1 9",
        "b/x86_64/natural*1 9",
        "b/riscv64/natural*1 9",
    ];
    assert_eq!(points(NIGHT), all);
    let less = format!("{NIGHT}exclude: [{{kernels: [b], arch: [riscv64]}}]\n");
    assert_eq!(points(&less), all[..3]);
    // What is included takes the rest from above; one that is there already is replaced where it stands.
    let more = format!("{NIGHT}include: [{{kernels: [b, c], arch: [x86_64], storm: 5s}}]\n");
    let replaced = [all[0], all[1], "b/x86_64/natural*1 5", all[3], "c/x86_64/natural*1 5"];
    assert_eq!(points(&more), replaced);
    let changed = format!(
        "{NIGHT}overrides:\n- {{cells: {{arch: [riscv64]}}, runs: 2, storm: 4s}}\n- {{cells: {{kernels: [b]}}, storm: 3s}}\n"
    );
    let after = [all[0], "a/riscv64/natural*2 4", "b/x86_64/natural*1 3", "b/riscv64/natural*2 3"];
    assert_eq!(points(&changed), after);
    // Without lists of its own a plan is what it includes.
    let only = "about: a\nstorm: 9s\ninclude: [{kernels: [k], profiles: [p], series: [none, s], techniques: [stretch]}]\n";
    assert_eq!(points(only), ["k/x86_64/stretch*1 9", "k+s/x86_64/stretch*1 9"]);
}

#[test]
fn compilers_and_modes_of_kasan_multiply_only_where_they_are_named() {
    let plan = read(&format!(
        "{NIGHT}toolchains: [gcc, clang]\nexclude: [{{toolchains: [clang], kernels: [a]}}]\n"
    ));
    let points = plan.unwrap().points().unwrap();
    let clang = points.iter().filter(|point| point.toolchain.as_deref() == Some("clang"));
    assert_eq!((points.len(), clang.count()), (6, 2));
    assert!(points.iter().all(|point| point.kasan.is_none()));
}

#[test]
fn budgets_rules_and_known_bugs_are_read() {
    let plan = read(&format!(
        "{NIGHT}budget: {{run: 8h, cell: 20m, until: \"06:00\"}}\nretries: 0\nstop: {{bugs: 3, same_cell: 1}}\n\
         known: [{{rule: r, note: n, since: 2024-01-30, cells: {{series: [none]}}}}]\n"
    ));
    let plan = plan.unwrap();
    let points = plan.points().unwrap();
    assert_eq!((points[0].tries, points[0].time), (1, Some(Duration::from_secs(1200))));
    let known: Vec<KnownBug> = plan.known().collect();
    assert_eq!(
        (known[0].since.as_str(), &known[0].cells.series[..]),
        ("2024-01-30", &["none".to_owned()][..])
    );
    let limits = plan.limits();
    assert_eq!(
        (limits.stop.bugs, limits.stop.same_cell, limits.stop.infrastructure),
        (Some(3), Some(1), None)
    );
    assert!(limits.end.is_some());
}

#[test]
fn a_nights_mistakes_have_their_place() {
    for (text, place, says) in [
        ("exclude: [{kernels: [c]}]", "p.yaml:6:11:", "is about no cell"),
        ("overrides: [{cells: {kernels: [c]}}]", "p.yaml:6:13:", "is about no cell"),
        ("overrides: [{cells: {}, cpus: 9}]", "p.yaml:6:31:", "a whole number from 1 to 8"),
        ("exclude: [{}]", "p.yaml:1:1:", "these are 0 cells"),
        ("budget: {until: noon}", "p.yaml:6:17:", "such as \"06:00\""),
        ("budget: {run: 8}", "p.yaml:6:15:", "such as 90s or 10m"),
        ("stop: {bugs: 0}", "p.yaml:6:14:", "a whole number from 1"),
        ("retries: 11", "p.yaml:6:10:", "from 0 to 10"),
        ("known: [{note: n, since: 2024-01-30}]", "p.yaml:6:9:", "has a `title` or a `rule`"),
        ("known: [{title: \"*\", note: n, since: 2024-01-30}]", "p.yaml:6:9:", "every bug's"),
        ("known: [{title: t, rule: r, note: n, since: 2024-01-30}]", "p.yaml:6:9:", "either"),
        ("known: [{title: t, note: n, since: yesterday}]", "p.yaml:6:36:", "such as 2026-11-26"),
        ("include: [{runs: 20000}]", "p.yaml:6:18:", "from 0 to 10000"),
    ] {
        let error = read(&format!("{NIGHT}{text}\n")).unwrap_err();
        assert!(error.starts_with(place) && error.contains(says), "{text}: {error}");
    }
}

#[test]
fn the_night_ends_at_the_next_such_time_of_day() {
    let at = |text: &str| -> jiff::Zoned { text.parse().unwrap() };
    let six: jiff::civil::Time = "06:00".parse().unwrap();
    let wait = |text: &str| until(six, &at(text)).as_secs();
    assert_eq!(wait("2026-11-26T22:00[UTC]"), 8 * 3600);
    assert_eq!(wait("2026-11-26T05:59[UTC]"), 60);
    assert_eq!(wait("2026-11-26T06:00[UTC]"), 86_400);
    // The clocks go forward in between.
    assert_eq!(wait("2026-03-28T22:00[Europe/Berlin]"), 7 * 3600);
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = format!(
        "{NIGHT}retries: 99\ntecniques: [natural]\noverrides: [{{cells: {{arch: [vax]}}, cpu: 2}}]\n"
    );
    let error = read(&text).unwrap_err();
    for place in ["p.yaml:6:10:", "p.yaml:7:1:", "p.yaml:8:29:", "p.yaml:8:36:"] {
        assert!(error.contains(place), "no {place} in {error}");
    }
    assert!(error.contains("did you mean `techniques`"), "{error}");
    let form = format!("{NIGHT}exclude: [{{kernels: [x]}}, {{kernels: [y]}}]\n");
    assert_eq!(read(&form).unwrap_err().matches("about no cell").count(), 2);
}

#[test]
fn what_a_name_means_is_placed_where_it_stands() {
    let plan = read(&format!("{NIGHT}include: [{{kernels: [a, other], storm: 3s}}]\n")).unwrap();
    let place = |key, name| plan.wrong(key, name, "no").to_string();
    assert_eq!(place("kernels", "b"), "p.yaml:2:14: no");
    assert_eq!(place("kernels", "other"), "p.yaml:6:25: no");
    assert_eq!(place("arch", "riscv64"), "p.yaml:3:16: no");
}
