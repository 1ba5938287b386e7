// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

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
    assert_eq!(plan.series().collect::<Vec<_>>(), [None]);
    assert_eq!(plan.arches().collect::<Vec<_>>(), [&host::arch::X86_64]);
    assert_eq!((plan.techniques, plan.runs), (vec![Technique::Natural], 1));
    assert_eq!(plan.storm, Duration::from_secs(120));
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
        ("[debian-6.1]", "debian-6.1", "p.yaml:2:10:", "expected a sequence"),
        ("[debian-6.1]", "[]", "p.yaml:2:1:", "`kernels` is empty"),
        ("arm64", "vax", "p.yaml:3:16:", "there is no architecture `vax`, expected one of"),
        ("arm64", "x86_64", "p.yaml:3:8:", "`x86_64` stands in `arch` twice"),
        ("stretch]", "strech]", "p.yaml:5:23:", "unknown variant `strech`"),
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
    assert_eq!(plan.target.as_ref().unwrap().to_string(), "ssh://root@box:23");
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
        ("storm", "disks: [sda]\nstorm", "p.yaml:4:1:", "`sda` is no device"),
        ("storm", "console: /no/such/log\nstorm", "p.yaml:4:1:", "/no/such/log"),
        ("[zswap]", "[all]", "p.yaml:5:9:", "unknown variant `all`"),
        ("target: ssh://root@box:23", "kernels: [k]", "p.yaml:5:1:", "belongs to a `target`"),
    ] {
        let error = read(&yaml.replace(from, to)).unwrap_err();
        assert!(error.starts_with(place) && error.contains(says), "{to}: {error}");
    }
}

fn cell(series: Option<&str>, technique: &str) -> Cell {
    Cell {
        id: String::new(),
        kernel: "debian-6.1".to_owned(),
        series: series.map(str::to_owned),
        arch: "x86_64".to_owned(),
        profile: "p".to_owned(),
        technique: technique.to_owned(),
        number: 1,
        ..Cell::default()
    }
}

fn named(cells: &[(Cell, u32)]) -> Vec<(String, u64)> {
    let numbers: Vec<u32> = cells.iter().map(|(_, number)| *number).collect();
    let mut cells: Vec<Cell> = cells.iter().map(|(cell, _)| cell.clone()).collect();
    name_cells(&mut cells, &numbers, 7);
    cells.into_iter().map(|cell| (cell.id, cell.seed)).collect()
}

#[test]
fn cells_are_called_by_what_tells_them_apart() {
    let ids = |cells: &[(Cell, u32)]| -> Vec<String> {
        named(cells).into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&[(cell(None, "natural"), 1)]), ["guest"]);
    let two = [(cell(None, "natural"), 1), (cell(Some("fix"), "natural"), 1)];
    assert_eq!(ids(&two), ["plain", "fix"]);
    let runs = [(cell(None, "natural"), 1), (cell(None, "stretch"), 2)];
    assert_eq!(ids(&runs), ["natural-1", "stretch-2"]);
    // No name leaves the run's folder or hides another cell's.
    let odd = ["../a b", "../a/b", "..", "c"].map(|series| (cell(Some(series), "natural"), 1));
    assert_eq!(ids(&odd), ["a-b", "a-b.2", "guest", "c"]);
}

#[test]
fn a_cells_seed_is_its_own_and_does_not_depend_on_its_neighbours() {
    let (natural, stretch) = (cell(None, "natural"), cell(None, "stretch"));
    let all = named(&[(natural.clone(), 1), (natural.clone(), 2), (stretch.clone(), 1)]);
    let seeds: Vec<u64> = all.iter().map(|(_, seed)| *seed).collect();
    assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2] && seeds[1] != seeds[2]);
    assert_eq!(named(&[(stretch, 1)])[0].1, seeds[2]);
}
