// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::*;
use crate::exit::Purpose;
use crate::render;
use crate::sample::events::{BUGGY, FIXED, Log, enough, good_repro};
use crate::sample::{bug_elsewhere, race_6_1, race_6_8};

/// Events of two cells and three boots in any order, as a damaged or merged log may hold them.
fn any_event() -> impl Strategy<Value = What> {
    let cell = prop_oneof![Just(BUGGY.to_owned()), Just(FIXED.to_owned()), Just("x\x1b[m".into())];
    let end = prop_oneof![
        Just(VmEnd::Enough),
        Just(VmEnd::Budget),
        Just(VmEnd::Derailed),
        Just(VmEnd::Interrupted),
        Just(VmEnd::Crashed),
        Just(VmEnd::WentSilent),
        Just(VmEnd::NeverReady),
        Just(VmEnd::QemuDied),
        Just(VmEnd::ConnectionLost),
    ];
    let fault = prop_oneof![Just(Fault::Infrastructure), Just(Fault::Build)];
    let finding = prop_oneof![Just(race_6_1()), Just(race_6_8()), Just(bug_elsewhere())];
    let counters = prop_oneof![Just(enough()), Just(Exposure::default())];
    let rest = (any::<u64>(), any::<bool>(), 0..6u8);
    (cell, 0..3u32, end, fault, finding, counters, rest).prop_flat_map(
        |(cell, boot, why, fault, finding, exposure, (n, flag, health))| {
            let detail = "d\x1b[m".to_owned();
            let health =
                Health { believed: 9, suspicious: u64::from(health == 0), ..Health::default() };
            let id = cell.clone();
            prop_oneof![
                Just(What::CellPlanned { cell: crate::sample::events::cell(&id) }),
                Just(What::VmStarted {
                    cell: cell.clone(),
                    boot,
                    accel: "tcg".into(),
                    argv: vec!["qemu".into(), "-S".into()],
                    cmdline: String::new()
                }),
                Just(What::GuestReady { cell: cell.clone(), boot, boot_ms: n }),
                Just(What::Exposure { cell: cell.clone(), boot, exposure }),
                Just(What::Found { cell: cell.clone(), boot, guest_ms: n, finding }),
                Just(What::Corruption { cell: cell.clone(), boot, detail: detail.clone() }),
                Just(What::TelemetryChecked { cell: cell.clone(), boot, health }),
                Just(What::VmStopped { cell: cell.clone(), boot, why, detail: detail.clone() }),
                Just(What::CellFailed { cell: cell.clone(), fault, detail }),
                Just(What::CellFinished { cell }),
                Just(What::RunFinished { interrupted: flag }),
            ]
        },
    )
}

proptest! {
    #[test]
    fn no_log_hides_a_bug_or_breaks_a_rendering(
        events in proptest::collection::vec((any::<u64>(), any_event()), 0..40),
    ) {
        let events: Vec<RunEvent> =
            events.into_iter().map(|(at_ms, what)| RunEvent { at_ms, what }).collect();
        let report = RunReport::fold(events.clone());
        for event in &events {
            match &event.what {
                What::Found { cell, .. } | What::Corruption { cell, .. } => {
                    prop_assert_eq!(
                        report.cell(cell).map(|cell| cell.verdict.word().ends_with("bug")),
                        Some(true)
                    );
                }
                _ => {}
            }
        }
        for cell in report.cells.iter().filter(|cell| cell.verdict.word() == "clean") {
            prop_assert!(cell.exposure.swapoffs > 0 && cell.boots.iter().any(Boot::ready));
        }
        let look = render::Look { width: 80, colour: false };
        let text = render::text(&report, Purpose::Repro, look)
            + &render::markdown(&report, Purpose::Search);
        prop_assert!(!text.contains('\x1b'));
        let json = render::json(&report, Purpose::Repro);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}

#[test]
fn boots_of_a_cell_add_up() {
    let report = Log::new()
        .planned(BUGGY)
        .exposure(BUGGY, 1, enough())
        .exposure(BUGGY, 1, enough())
        .exposure(BUGGY, 2, Exposure { swapoffs: u64::MAX, windows: 4, ..Exposure::default() })
        .report();
    let sum = report.cell(BUGGY).unwrap().exposure;
    assert_eq!((sum.windows, sum.swapoffs), (40, u64::MAX));
}

#[test]
fn the_command_is_repeated_with_the_seed_that_it_had() {
    let mut report = good_repro().report();
    for given in [
        &["repro", "--seed", "1", "--json"][..],
        &["repro", "--seed=1", "--json"],
        &["repro", "--json"],
        &["repro", "--json", "--seed"],
    ] {
        report.command = given.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(report.repeat_command(), ["swapstorm", "repro", "--json", "--seed", "42"]);
    }
    // Nothing was drawn for a guest to log in to, and what looks like options are a command's words.
    report.cells[0].cell.technique = NO_TECHNIQUE.to_owned();
    report.command = ["exec", "--", "mkfs", "--seed", "7"].map(str::to_owned).to_vec();
    assert_eq!(report.repeat_command()[1..], report.command);
}

#[test]
fn a_flood_of_reports_is_bounded() {
    let mut log = Log::new().planned(BUGGY).started(BUGGY, 1).ready(BUGGY, 1);
    for n in 0..400 {
        let mut finding = bug_elsewhere();
        finding.title = format!("bug {n}");
        log = log.found(BUGGY, 1, 1, finding);
    }
    // The expected bug is not lost among them.
    let report = log.found(BUGGY, 1, 1, race_6_1()).report();
    let cell = report.cell(BUGGY).unwrap();
    assert_eq!(cell.bugs.len(), MAX_BUGS + 1);
    assert!(cell.showed_expected());
}
