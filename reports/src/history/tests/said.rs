// SPDX-License-Identifier: MIT OR Apache-2.0
use super::super::*;
use super::{cells, lines, run};
use crate::statistics::tests::random::Random;

fn say(runs: &[Run], filter: &Filter) -> History {
    let mut ledger = Ledger::default();
    for run in runs {
        assert!(ledger.add(run.clone()));
    }
    History::of(&ledger, filter)
}

/// Nights of three storms on one setting: in how many of them a bug showed.
fn nights(shown: &[u32]) -> Vec<Run> {
    let night = |(n, shown): (u32, &u32)| {
        let bug = ("bug", *shown);
        let bugs = if *shown > 0 { &[bug][..] } else { &[] };
        run(n, "a", vec![cells("x86_64", 3, bugs)])
    };
    (0..).zip(shown).map(night).collect()
}

fn turn(shown: &[u32]) -> Turn {
    let history = say(&nights(shown), &Filter::default());
    let [bug] = &history.bugs[..] else { panic!("{history:?}") };
    bug.turn
}

#[test]
fn a_bug_is_known_by_where_when_and_how_often() {
    let mut runs = nights(&[0, 1, 0, 2]);
    let on_arm = Cells { release: "6.1.193".into(), ..cells("arm64", 4, &[("bug", 1)]) };
    runs.push(run(2, "b", vec![on_arm, cells("riscv64", 9, &[])]));
    let history = say(&runs, &Filter::default());
    let [bug] = &history.bugs[..] else { panic!("{history:?}") };
    // What ran before it was first there, and where it never was, does not count.
    assert_eq!((bug.shown, bug.runs), (4, 9 + 4));
    let rate = bug.rate.unwrap();
    assert!((rate.estimate - 4.0 / 13.0).abs() < 1e-12);
    assert!((rate.low - 0.0909).abs() < 1e-3 && (rate.high - 0.6143).abs() < 1e-3, "{rate:?}");
    assert_eq!(
        (bug.first.night.to_string().as_str(), bug.first.arch.as_str()),
        ("2026-01-01", "x86_64")
    );
    assert_eq!((bug.last.night.to_string().as_str(), bug.last.run.as_str()), ("2026-01-03", "a-3"));
    let places: Vec<_> =
        bug.places.iter().map(|place| (place.arch.as_str(), place.shown, place.runs)).collect();
    assert_eq!(places, [("x86_64", 3, 9), ("arm64", 1, 4)]);
    assert_eq!(
        bug.seen_on().into_iter().collect::<Vec<_>>(),
        ["debian-6.1, arm64", "debian-6.1, x86_64"]
    );
    // Two machines in a night are one night.
    assert_eq!((history.nights.len(), history.runs, history.storms()), (4, 5, 25));
    assert_eq!(history.hosts.iter().collect::<Vec<_>>(), ["a", "b"]);
    let third = &history.nights[2];
    assert_eq!((third.runs, third.storms, third.bugs, third.new_bugs), (2, 16, 1, 0));
    assert_eq!(history.nights[1].new_bugs, 1);
}

#[test]
fn what_is_new_tonight_was_never_seen_before_on_any_machine() {
    assert_eq!(turn(&[0, 0, 1]), Turn::New);
    assert_eq!(turn(&[0, 1, 0]), Turn::Recent);
    // A bug that another architecture had last year is not new, though nights before `since` do not count.
    let mut runs = nights(&[0, 0, 0, 1]);
    runs.push(run(0, "b", vec![cells("arm64", 3, &[("bug", 1)])]));
    let since = Some(super::super::Night::of("2026-01-03T00:00:00Z").unwrap());
    let history = say(&runs, &Filter { since, ..Filter::default() });
    assert_eq!((history.nights.len(), history.bugs[0].first.arch.as_str()), (2, "arm64"));
    assert_ne!(history.bugs[0].turn, Turn::New);
    assert_eq!((history.bugs[0].shown, history.bugs[0].runs), (1, 3));
}

#[test]
fn what_vanished_says_how_likely_that_is_by_chance() {
    // Every storm of three nights, and then none of 21. Of the C(30, 9) ways to spread that, C(27, 9) have none in the first night.
    let steady = [3, 3, 3, 0, 0, 0, 0, 0, 0, 0];
    let Turn::Vanished { by_chance } = turn(&steady) else { panic!("{:?}", turn(&steady)) };
    assert!((by_chance * 9_620_325.0 - 1.0).abs() < 1e-9, "{by_chance}");
    // A flake may well stay away for a week: 84 of 147 ways to spread two sightings, one at least in the first night.
    let flaky = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let Turn::Quiet { by_chance: Some(by_chance) } = turn(&flaky) else {
        panic!("{:?}", turn(&flaky))
    };
    assert!((by_chance - 84.0 / 147.0).abs() < 1e-12, "{by_chance}");
    // The only sighting is why it is looked at at all, and tells no rate.
    assert_eq!(turn(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Turn::Quiet { by_chance: Some(1.0) });
    // What did not run did not vanish.
    let mut runs = nights(&[3, 3, 3]);
    runs.extend((3..10).map(|n| run(n, "a", vec![cells("arm64", 3, &[])])));
    assert_eq!(say(&runs, &Filter::default()).bugs[0].turn, Turn::NotRun);
}

#[test]
fn a_bug_that_shows_more_or_less_often_is_told_from_one_that_does_not() {
    let more = [1, 0, 0, 0, 1, 0, 0, 0, 3, 3, 3, 2, 3, 3, 3];
    let Turn::Worse { by_chance } = turn(&more) else { panic!("{:?}", turn(&more)) };
    assert!(by_chance < 1e-6, "{by_chance}");
    let less = [3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 1, 0, 0, 0];
    let Turn::Better { by_chance } = turn(&less) else { panic!("{:?}", turn(&less)) };
    assert!(by_chance < 1e-6, "{by_chance}");
    assert_eq!(turn(&[1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]), Turn::Same);
}

/// Of 1000 histories in which a bug shows at one rate throughout, how many say that it changed: worse, and better or gone. Two settings
/// show it, at rates of their own, and the second one runs every other night.
fn false_alarms(rates: [f64; 2], storms: u32, nights: u32, seed: u64) -> [u32; 2] {
    let mut random = Random::new(seed);
    let mut shown = |rate: f64| (0..storms).filter(|_| random.uniform() <= rate).count() as u32;
    let mut alarms = [0, 0];
    for _ in 0..1000 {
        let night = |n: u32| {
            let mut own = Vec::new();
            for (at, arch) in ["x86_64", "arm64"].into_iter().enumerate() {
                let shown = shown(rates[at]);
                let bugs = [("bug", shown)];
                if at == 0 || n.is_multiple_of(2) {
                    own.push(cells(arch, storms, if shown > 0 { &bugs } else { &[] }));
                }
            }
            run(n, "a", own)
        };
        let runs: Vec<Run> = (0..nights).map(night).collect();
        match say(&runs, &Filter::default()).bugs.first().map(|bug| bug.turn) {
            Some(Turn::Worse { .. }) => alarms[0] += 1,
            Some(Turn::Better { .. } | Turn::Vanished { .. }) => alarms[1] += 1,
            _ => {}
        }
    }
    alarms
}

#[test]
fn a_bug_that_does_not_change_is_seldom_said_to() {
    for (rates, storms, nights) in [
        ([0.3, 0.3], 3, 20),
        ([0.05, 0.05], 3, 30),
        ([0.8, 0.1], 1, 14),
        ([0.1, 0.6], 8, 12),
        ([0.02, 0.9], 4, 40),
        ([0.5, 0.5], 16, 9),
    ] {
        // 25 are promised at most, and 15 more are three times what chance spreads that by.
        let alarms = false_alarms(rates, storms, nights, 1);
        assert!(alarms.iter().all(|n| *n <= 40), "{rates:?} {storms} {nights}: {alarms:?}");
    }
}

#[test]
fn settings_that_ran_more_often_lately_are_no_worse_bug() {
    // Both settings show it at their own rate throughout; only the one that shows it often ran more lately.
    let night = |n: u32| {
        let (often, seldom) = if n < 20 { (4, 36) } else { (36, 4) };
        let cells = vec![
            cells("x86_64", often, &[("bug", often / 2)]),
            cells("arm64", seldom, &[("bug", seldom / 4)]),
        ];
        run(n, "a", cells)
    };
    let runs: Vec<Run> = (0..27).map(night).collect();
    assert_eq!(say(&runs, &Filter::default()).bugs[0].turn, Turn::Same);
}

#[test]
fn the_faces_of_a_bug_that_a_rule_expects_are_one_bug_and_others_are_told_by_signature() {
    let night = |n: u32, face: &str, rule: &str| {
        let mut own = cells("x86_64", 3, &[(face, 1)]);
        own.bugs[0].rule = rule.into();
        run(n, "a", vec![own])
    };
    let runs = [night(0, "one", "the-race"), night(1, "other", "the-race"), night(2, "other", "")];
    let history = say(&runs, &Filter::default());
    let told: Vec<_> = history
        .bugs
        .iter()
        .map(|bug| (bug.rule.as_str(), bug.shown, bug.signature.as_str()))
        .collect();
    assert_eq!(told, [("", 1, "0000000000000005"), ("the-race", 2, "0000000000000005")]);
    // Even one whose signature is the name of a rule.
    let mut ill = night(3, "x", "");
    ill.cells[0].bugs[0].signature = "the-race".into();
    let history = say(&[&runs[..], &[ill]].concat(), &Filter::default());
    assert_eq!(history.bugs.len(), 3);
}

#[test]
fn a_changed_profile_is_told_where_it_may_be_why_a_bug_is_gone() {
    let mut runs = nights(&[3, 3, 3, 0, 0, 0, 0, 0, 0, 0]);
    let before = say(&runs, &Filter::default());
    assert!(!before.bugs[0].profile_changed);
    runs[9].cells[0].digest = "4567".into();
    let after = say(&runs, &Filter::default());
    assert!(after.bugs[0].profile_changed);
    assert!(matches!(after.bugs[0].turn, Turn::Vanished { .. }));
}

#[test]
fn filters_take_what_they_name_and_nothing_else() {
    let fixed = Cells { series: Some("fix".into()), ..cells("x86_64", 2, &[]) };
    let all =
        vec![cells("x86_64", 3, &[("bug", 1)]), cells("arm64", 4, &[("other bug", 1)]), fixed];
    let runs = [run(0, "a", all), run(5, "a", vec![cells("arm64", 5, &[])])];
    let storms = |filter: Filter| {
        let history = say(&runs, &filter);
        (history.storms(), history.nights.len(), history.bugs.len())
    };
    let default = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(storms(default()), (14, 2, 2));
    assert_eq!(storms(Filter { arch: text("x86_64"), ..default() }), (5, 1, 1));
    assert_eq!(storms(Filter { arch: text("arm64"), ..default() }), (9, 2, 1));
    assert_eq!(storms(Filter { kernel: text("debian-6.1 + fix"), ..default() }), (2, 1, 0));
    assert_eq!(storms(Filter { kernel: text("debian-6.1"), ..default() }), (14, 2, 2));
    assert_eq!(storms(Filter { kernel: text("6.1.192"), ..default() }), (14, 2, 2));
    assert_eq!(storms(Filter { kernel: text("mainline"), ..default() }), (0, 0, 0));
    let since = super::super::Night::of("2026-01-04T12:00:00Z");
    assert_eq!(storms(Filter { since, ..default() }), (5, 1, 0));
    assert_eq!(say(&runs, &Filter { newest: 0, ..default() }).newest, 1);
    assert_eq!(say(&[], &default()), History::default());
}

#[test]
fn trouble_is_counted_by_kind_with_the_machines_that_had_it() {
    let troubled = |n: u32, host: &str, kind: &str, why: &str| {
        let trouble = [(kind.into(), 2)].into();
        run(n, host, vec![Cells { trouble, why: why.to_owned(), ..cells("x86_64", 3, &[]) }])
    };
    let mut runs = nights(&[0; 12]);
    runs.push(troubled(1, "b", "qemu-died", "no memory"));
    runs.push(troubled(11, "c", "qemu-died", ""));
    runs.push(troubled(2, "c", "build", "error"));
    let history = say(&runs, &Filter::default());
    let [qemu, build] = &history.trouble[..] else { panic!("{:?}", history.trouble) };
    assert_eq!((qemu.count, qemu.newest, qemu.last.to_string()), (4, 2, "2026-01-11".to_owned()));
    assert_eq!(
        (qemu.hosts.iter().collect::<Vec<_>>(), qemu.why.as_str()),
        (vec![&"b".to_owned(), &"c".to_owned()], "no memory")
    );
    assert_eq!((build.count, build.newest), (2, 0));
}

#[test]
fn metrics_go_from_night_to_night_and_unlike_settings_stay_apart() {
    let with = |n: u32, host: &str, digest: &str, value: f64| {
        let metrics = [("swapoff-mean".into(), value), ("no-such-metric".into(), 1.0)].into();
        let cells = Cells {
            metrics,
            digest: digest.into(),
            accel: "tcg".into(),
            ..cells("x86_64", 3, &[])
        };
        run(n, host, vec![cells])
    };
    let runs = [
        with(3, "a", "1", 7.0),
        with(0, "a", "1", 2.0),
        with(0, "b", "1", 4.0),
        with(1, "a", "2", 9.0),
    ];
    let history = say(&runs, &Filter::default());
    let told: Vec<_> = history
        .courses
        .iter()
        .map(|course| {
            (course.setting.as_str(), course.points.iter().map(|p| p.value).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("debian-6.1, x86_64, mixed, natural, tcg, 1", vec![3.0, 7.0]),
            ("debian-6.1, x86_64, mixed, natural, tcg, 2", vec![9.0]),
        ]
    );
    assert_eq!((history.courses[0].newest(), history.courses[0].median()), (7.0, 5.0));
}

/// `cargo test --release -p reports a_year_of_nights -- --ignored --nocapture`
#[test]
#[ignore = "prints how long a year takes"]
fn a_year_of_nights_is_read_and_told() {
    let metrics = crate::comparison::metric::METRICS;
    let text: String = (0..365)
        .map(|n: u32| {
            let cells = (0..100).map(|at: u32| {
                let bugs = [("bug", 1), ("a rarer bug", 1)];
                let shown = if (n * 7 + at).is_multiple_of(11) {
                    &bugs[..((n + at) % 3) as usize]
                } else {
                    &[]
                };
                let value = |m: usize| f64::from((n * 31 + at * 17) % 1000 + 1) / (m + 3) as f64;
                Cells {
                    kernel: format!("kernel-{}", at % 10).into(),
                    metrics: metrics
                        .iter()
                        .enumerate()
                        .map(|(m, metric)| (metric.name.into(), value(m)))
                        .collect(),
                    ..cells(["x86_64", "arm64"][at as usize % 2], 8, shown)
                }
            });
            let cells = cells
                .enumerate()
                .map(|(at, cells)| Cells { profile: format!("profile-{at}").into(), ..cells });
            lines(&[Run {
                started: format!(
                    "{}-{:02}-{:02}T01:00:00Z",
                    2025 + n / 336,
                    n / 28 % 12 + 1,
                    n % 28 + 1
                ),
                ..run(0, &format!("night-{n}"), cells.collect())
            }])
        })
        .collect();
    let begin = std::time::Instant::now();
    let ledger = super::ledger(&text);
    let read = begin.elapsed();
    let history = History::of(&ledger, &Filter::default());
    let told = begin.elapsed() - read;
    let settings: usize = ledger.runs.iter().map(|(_, run)| run.cells.len()).sum();
    println!(
        "{} nights, {settings} cells, {} bytes: read in {read:?}, folded in {told:?}",
        history.nights.len(),
        text.len()
    );
    assert_eq!((history.nights.len(), settings, ledger.damaged), (365, 36_500, 0));
    let begin = std::time::Instant::now();
    let page = crate::render::history::html(&ledger, &history);
    println!("a page of {} bytes in {:?}", page.len(), begin.elapsed());
}
