// SPDX-License-Identifier: MIT OR Apache-2.0
//! One kernel that breaks, once in a while, the invariant that its command line names, or none.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Scene;

/// The profile `mixed`, with looks at the invariants more often and a further word for the kernel. Pages on tmpfs are
/// left out: they make 6.1 hang once in a while.
fn own_profile(scene: &Scene, name: &str, word: &str) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/profiles/mixed.yaml");
    let text = fs::read_to_string(shipped).unwrap();
    let changes = [
        ("\nname: mixed\n", format!("\nname: {name}\n")),
        ("\n  check_s: 10", "\n  check_s: 4".to_owned()),
        ("\n  shmem: 25", "\n  shmem: 0".to_owned()),
        ("\ncmdline:\n", format!("\ncmdline:\n  - {word}\n")),
    ];
    let text = changes.iter().fold(text, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    scene.own(&format!("workloads/profiles/{name}.yaml"), &text);
}

fn titles(cell: &Value) -> Vec<&str> {
    let bugs = cell["bugs"].as_array().unwrap().iter();
    bugs.map(|bug| bug["finding"]["title"].as_str().unwrap()).collect()
}

#[test]
fn each_invariant_that_a_kernel_breaks_is_found_and_none_where_it_breaks_none() {
    let scene = Scene::new();
    let kinds = ["none", "leak", "contents", "entry", "memcg"];
    for kind in kinds {
        own_profile(&scene, kind, &format!("swapstorm_break={kind}"));
    }
    let plan = format!(
        "about: which invariants hold\nkernels: [debian-6.1]\nseries: [invariants-6.1]\n\
         profiles: [{}]\ntechniques: [natural]\nstorm: 20s\n",
        kinds.join(", ")
    );
    fs::write(scene.path("invariants.yaml"), plan).unwrap();
    scene.run(&["run", "./invariants.yaml", "--seed", "3"]).expect(1);
    let report = scene.report();
    let cell = |kind: &str| {
        let mut cells = report["cells"].as_array().unwrap().iter();
        cells.find(|cell| cell["cell"]["profile"] == kind).unwrap()
    };

    let clean = cell("none");
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    assert!(clean["checks"].as_u64().unwrap() >= 3, "{clean:#}");
    assert_eq!(clean["corruption_count"], 0, "{clean:#}");
    for (kind, first, others) in [
        (
            "leak",
            "zswap stores something after swapoff",
            &["zswap entries are left", "a memcg has something in zswap"][..],
        ),
        ("entry", "swap entries are lost", &[]),
        ("memcg", "a memcg dies for ever", &[]),
    ] {
        let cell = cell(kind);
        assert_eq!(cell["verdict"], "kernel-bug", "{cell:#}");
        let titles = titles(cell);
        assert_eq!(titles[0], format!("INVARIANT: {first}"), "{cell:#}");
        // The same damage may show in several numbers, and in no other's.
        let known = |title: &&str| others.iter().any(|other| title.contains(other));
        assert!(titles[1..].iter().all(known), "{cell:#}");
    }
    let contents = cell("contents");
    assert_eq!(contents["verdict"], "kernel-bug", "{contents:#}");
    assert_eq!(titles(contents), [""; 0], "{contents:#}");
    let detail = contents["corruptions"][0]["detail"].as_str().unwrap();
    for word in ["offset=", "expected=", "got=", "saw_page="] {
        assert!(detail.contains(word), "{detail}");
    }
}
