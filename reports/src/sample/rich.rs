// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that have something of everything, and runs whose guests mean ill.

use super::events::{BUGGY, FIXED, Log, cell, enough};
use super::{bug_elsewhere, race_6_1};
use crate::event::{Cell, Exposure, Fault, VmEnd, What};
use crate::exit::Purpose;
use crate::run::RunReport;
use crate::telemetry::Health;

/// A night: two kernels on three architectures, with a verdict of nearly each kind.
pub(crate) fn night() -> RunReport {
    let ids = ["x86_64", "arm64", "riscv64"];
    let mut log = search();
    for (of, prefix) in [(BUGGY, "plain"), (FIXED, "fix")] {
        for arch in ids {
            let id = format!("{prefix}-{arch}");
            let cell =
                Cell { id, arch: arch.to_owned(), wanted: None, should_show: None, ..cell(of) };
            log = log.then(What::CellPlanned { cell });
        }
    }
    let bug = Exposure {
        guest_ms: 740,
        swapons: 22,
        swapoffs: 18,
        stores: 2310,
        writebacks: 147,
        windows: 3,
        verified: 4096,
        ..Exposure::default()
    };
    // The whole text is pinned elsewhere, and long.
    let mut race = race_6_1();
    race.text = race.text.lines().take(4).collect::<Vec<_>>().join("\n");
    let mut follow_up = race.clone();
    follow_up.title = "general protection fault in zswap_writeback_entry".to_owned();
    follow_up.kind = "DoS".to_owned();
    follow_up.stacks.truncate(1);
    let sound = Health { believed: 9, ..Health::default() };
    log = log
        .kernel("plain-x86_64")
        .points("plain-x86_64")
        .started("plain-x86_64", 1)
        .ready("plain-x86_64", 1)
        .found("plain-x86_64", 1, 311, race)
        .found("plain-x86_64", 1, 702, follow_up)
        .exposure("plain-x86_64", 1, bug)
        .checked("plain-x86_64", 1, sound)
        .stopped("plain-x86_64", 1, VmEnd::Enough)
        .finished("plain-x86_64")
        .failed(
            "plain-arm64",
            Fault::Infrastructure,
            "qemu-system-aarch64 was not found\n  hint: apt install qemu-system-arm",
        )
        .finished("plain-arm64")
        .kernel("plain-riscv64")
        .started("plain-riscv64", 1)
        .ready("plain-riscv64", 1)
        .exposure(
            "plain-riscv64",
            1,
            Exposure { guest_ms: 9_000, swapoffs: 2, ..Exposure::default() },
        )
        .checked("plain-riscv64", 1, sound)
        .stopped("plain-riscv64", 1, VmEnd::Budget)
        .finished("plain-riscv64")
        .kernel("fix-x86_64")
        .points("fix-x86_64")
        .started("fix-x86_64", 1)
        .ready("fix-x86_64", 1)
        .exposure("fix-x86_64", 1, enough())
        .checked("fix-x86_64", 1, sound)
        .stopped("fix-x86_64", 1, VmEnd::Budget)
        .finished("fix-x86_64")
        .kernel("fix-arm64")
        .started("fix-arm64", 1)
        .ready("fix-arm64", 1)
        .found("fix-arm64", 1, 52, bug_elsewhere())
        .exposure(
            "fix-arm64",
            1,
            Exposure {
                guest_ms: 2_100,
                swapoffs: 61,
                writebacks: 502,
                stores: 9_001,
                windows: 11,
                verified: 20_480,
                ..Exposure::default()
            },
        )
        .checked("fix-arm64", 1, sound)
        .stopped("fix-arm64", 1, VmEnd::Enough)
        .finished("fix-arm64")
        .failed(
            "fix-riscv64",
            Fault::Unreachable,
            "this kernel is built without preemption, so the window cannot open",
        )
        .finished("fix-riscv64");
    log.end(false).report()
}

/// A guest, and a plan, that say what would mean something in one format or another.
pub(crate) fn hostile() -> RunReport {
    let mut finding = bug_elsewhere();
    finding.title =
        "100%::set-output name=x::<img src=x onerror=alert(1)>,\u{202e}\r\nok 9 # SKIP".to_owned();
    finding.head =
        "BUG: \x1b]0;owned\x07 ]]> </failure><script>alert(2)</script> \u{fffe}\u{0}".to_owned();
    finding.text = format!(
        "Subtest: x\nok 1 x\n1..7\nKernel panic - not syncing: VFS: x\nreboot: System halted\n\u{2066}\n::error::x\n\
         </pre><script>alert(3)</script>\n{}\n",
        "A".repeat(1 << 20)
    );
    finding.stacks[0].frames[0].function = "<b onmouseover='alert(4)'>\"\x1b[2J\u{9b}1m".into();
    finding.stacks[0].task = Some("\"><svg/onload=alert(5)>".to_owned());
    let series = Some("# SKIP, x86_64\nok 7".to_owned());
    let expect = None;
    search()
        .then(What::CellPlanned { cell: Cell { series, expect, ..cell(BUGGY) } })
        .kernel(BUGGY)
        .started(BUGGY, 1)
        .ready(BUGGY, 1)
        .found(BUGGY, 1, 9, finding)
        .then(What::GuestWarned {
            cell: BUGGY.into(),
            boot: 1,
            detail: "</li><script>alert(6)</script>\n# x".into(),
        })
        .then(What::Corruption {
            cell: BUGGY.into(),
            boot: 1,
            detail: "javascript:alert(7)\n1..9".into(),
        })
        .finished(BUGGY)
        .end(false)
        .report()
}

/// A log that begins with a run that looks for any bug.
fn search() -> Log {
    let mut log = Log::new();
    if let Some(What::RunStarted { purpose, command, .. }) =
        log.events.first_mut().map(|event| &mut event.what)
    {
        *purpose = Some(Purpose::Search);
        *command = ["run", "nightly", "--seed", "42"].map(String::from).into();
    }
    log
}
