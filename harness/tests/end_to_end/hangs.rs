// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels whose swapoff never ends, and those in which it is merely slow.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Scene, shipped_series};

/// A folder with the patches of a series behind the one that fixes the race, which would show
/// itself once in a while.
pub fn on_top_of_the_fix(scene: &Scene, series: &str) -> String {
    let folder = scene.path(series);
    fs::create_dir(&folder).unwrap();
    let mut list = String::new();
    for name in ["zswap-writeback-swapoff-6.1", series] {
        for file in fs::read_dir(shipped_series(name)).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            if name.ends_with(".patch") {
                fs::copy(file.path(), folder.join(&name)).unwrap();
                list += &format!("{name}\n");
            }
        }
    }
    fs::write(folder.join("series"), list).unwrap();
    format!("./{series}")
}

/// The cell of a plan with this series.
pub fn one_cell(scene: &Scene, series: &str, storm: &str, code: i32) -> Value {
    let plan = format!(
        "about: does swapoff hang\nkernels: [debian-6.1]\nseries: [{series}]\n\
         profiles: [zswap-writeback-swapoff]\ntechniques: [natural]\nstorm: {storm}\n"
    );
    fs::write(scene.path("hangs.yaml"), plan).unwrap();
    scene.run(&["run", "./hangs.yaml", "--seed", "3"]).expect(code);
    scene.report()["cells"][0].take()
}

/// A shipped profile with these changes.
fn own_profile(scene: &Scene, name: &str, changes: &[(&str, &str)]) {
    let file = format!("workloads/profiles/{name}.yaml");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&file);
    let text = fs::read_to_string(shipped).unwrap();
    let text = changes.iter().fold(text, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    scene.own(&file, &text);
}

/// A storm long enough for a hang to show, on a kernel that has one. What counts as hung is shortened, so that it shows soon.
fn hung(scene: &Scene, series: &str) -> Value {
    own_profile(scene, "zswap-writeback-swapoff", &[("\nstorm:\n", "\nstorm:\n  hung_ms: 5000\n")]);
    one_cell(scene, &on_top_of_the_fix(scene, series), "5m", 1)
}

/// Whatever verdict there is, it names swapoff and shows where it hangs.
fn is_a_hung_swapoff(cell: &Value) {
    assert_eq!(cell["verdict"], "kernel-bug", "{cell:#}");
    assert_eq!(cell["expected"], false, "{cell:#}");
    assert!(cell["title"].as_str().unwrap().starts_with("INFO: task hung in "), "{cell:#}");
    // Others may hang for the same reason, and be noticed first.
    let mut findings = cell["bugs"].as_array().unwrap().iter().map(|bug| &bug["finding"]);
    let of_swapoff =
        |finding: &&Value| finding["head"].as_str().unwrap().contains("swapoff of /dev/vd");
    let finding = findings.find(of_swapoff).unwrap_or_else(|| panic!("{cell:#}"));
    let frames = finding["stacks"][0]["frames"].as_array().unwrap();
    let swapoff = |frame: &Value| frame["function"].as_str().unwrap().contains("swapoff");
    assert!(frames.iter().any(swapoff), "{cell:#}");
}

#[test]
fn a_device_whose_swapoff_never_ends_is_a_kernel_bug_though_the_others_go_on() {
    let scene = Scene::new();
    let cell = hung(&scene, "swapoff-hangs-6.1");
    is_a_hung_swapoff(&cell);
    assert!(cell["exposure"]["swapoffs"].as_u64().unwrap() > 60, "{cell:#}");
}

#[test]
fn so_is_one_that_keeps_all_other_devices_waiting() {
    let scene = Scene::new();
    is_a_hung_swapoff(&hung(&scene, "swapoff-hangs-locked-6.1"));
}

/// The storm is over before a swapoff counts as hung: it is found because it does not end.
#[test]
fn a_hang_that_a_short_storm_does_not_notice_shows_when_it_is_to_stop() {
    let scene = Scene::new();
    let series = on_top_of_the_fix(&scene, "swapoff-hangs-6.1");
    let cell = one_cell(&scene, &series, "15s", 1);
    is_a_hung_swapoff(&cell);
    let head = cell["bugs"][0]["finding"]["head"].as_str().unwrap();
    assert!(head.contains("was killed and has not ended"), "{cell:#}");
}

/// Linux 6.1 as it is: a fault on tmpfs that meets the end of a swapoff runs in the kernel for minutes. No sanitizer sees
/// that. It is stretched, since by load alone some guests do not come to it in ten minutes, and devices are on for longer than in the
/// profile, so that there are more faults. The control is every other storm: their workers run all the time, too.
#[test]
fn a_worker_that_does_not_come_back_from_a_fault_is_a_kernel_bug() {
    let scene = Scene::new();
    let changes = [
        ("on_ms: 1-50", "on_ms: 50-300"),
        ("off_ms: 1500-2500", "off_ms: 900-1300"),
        ("probability: 0.05", "probability: 0.3"),
    ];
    own_profile(&scene, "shmem", &changes);
    let plan = "about: tmpfs against swapoff\nkernels: [debian-6.1]\nprofiles: [shmem]\ntechniques: [stretch]\nstorm: 10m\n";
    fs::write(scene.path("shmem.yaml"), plan).unwrap();
    scene.run(&["run", "./shmem.yaml", "--seed", "2"]).expect(1);
    let cell = scene.report()["cells"][0].take();
    assert_eq!(cell["verdict"], "kernel-bug", "{cell:#}");
    // Whether its rule knows it again depends on a stack that a busy kernel may fail to print.
    let head = cell["bugs"][0]["finding"]["head"].as_str().unwrap();
    assert!(head.contains("worker") && head.contains("has not got on"), "{head}");
}
