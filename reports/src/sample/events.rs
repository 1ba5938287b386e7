// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs of runs, event by event.

use std::collections::BTreeMap;

use crate::event::{
    Cell, Exposure, FORMAT, Fault, KernelFacts, LeftOutPoint, MINOR, Meaning, PlacedPoint,
    PointCounts, RunEvent, SampleTable, VmEnd, WALL, What,
};
use crate::exit::Purpose;
use crate::finding::Finding;
use crate::proof::DEFAULT_CONFIDENCE;
use crate::run::RunReport;
use crate::telemetry::{Counters, Health, Sample};

pub(crate) const BUGGY: &str = "buggy";
/// By what measure a guest was starved.
pub(crate) const STARVED: &str = "no sample for 24.1 s, in which QEMU had 0.3 s";
pub(crate) const FIXED: &str = "fixed";
/// A stretch point.
pub(crate) const POINT: &str = "zswap_writeback_entry:_raw_spin_lock:1";
/// One that is not the bug's window.
pub(crate) const OTHER_POINT: &str = "zswap_writeback_entry:__zswap_load:1";

pub(crate) fn cell(id: &str) -> Cell {
    let fixed = id == FIXED;
    Cell {
        id: id.to_owned(),
        key: String::new(),
        kernel: "debian-6.1".to_owned(),
        series: fixed.then(|| "zswap-writeback-swapoff-6.1".to_owned()),
        arch: "x86_64".to_owned(),
        toolchain: "gcc".to_owned(),
        kasan: "generic".to_owned(),
        profile: "zswap-writeback-swapoff".to_owned(),
        profile_digest: "5d1e0c87f2b94a36".to_owned(),
        technique: "stretch".to_owned(),
        clock: WALL.to_owned(),
        number: 1,
        seed: if fixed { 9_130_547_722 } else { 1_552_301_884 },
        expect: Some("zswap-writeback-swapoff".to_owned()),
        should_show: Some(!fixed),
        wanted: fixed.then(|| Exposure { windows: 57, swapoffs: 342, ..Exposure::default() }),
    }
}

/// A log in the making; each event comes 100 ms after the one before.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<RunEvent>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::default().then(What::RunStarted {
            format: FORMAT,
            minor: MINOR,
            id: "night-1".to_owned(),
            version: "0.1.0".to_owned(),
            command: ["repro", "--kernel", "debian-6.1", "--seed", "42"].map(String::from).into(),
            started: "2026-11-22T13:37:02Z".to_owned(),
            seed: 42,
            purpose: Some(Purpose::Repro),
            confidence: Some(DEFAULT_CONFIDENCE),
            host_name: "box".to_owned(),
            host: [
                ("accel", "tcg"),
                ("cpus", "2"),
                ("memory_mib", "7955"),
                ("qemu", "QEMU emulator version 7.2.19"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        })
    }

    pub(crate) fn then(mut self, what: What) -> Self {
        let at_ms = self.events.last().map_or(0, |event| event.at_ms + 100);
        self.events.push(RunEvent { at_ms, run: None, what });
        self
    }

    /// At the same time as the event before.
    pub(crate) fn at_once(self, what: What) -> Self {
        self.after(0, what)
    }

    pub(crate) fn after(mut self, ms: u64, what: What) -> Self {
        self = self.then(what);
        if let Some(event) = self.events.last_mut() {
            event.at_ms = event.at_ms + ms - 100;
        }
        self
    }

    pub(crate) fn planned(self, id: &str) -> Self {
        self.then(What::CellPlanned { cell: cell(id) })
    }

    pub(crate) fn kernel(self, id: &str) -> Self {
        let mut kernel = KernelFacts {
            release: "6.1.192".to_owned(),
            compiler: "gcc (Debian 12.2.0-14+deb12u1) 12.2.0".to_owned(),
            key: "3f1c9a0be27d4458".to_owned(),
            cached: true,
            ms: 212,
            source: "linux-source-6.1 6.1.192-2, sha256 9d0f51c2".to_owned(),
            patches: Vec::new(),
            warnings: None,
            image: None,
        };
        if id == FIXED {
            kernel.key = "a7720e51bc94d00f".to_owned();
            kernel.patches =
                vec!["mm/zswap: hold the swap device before touching its tree".to_owned()];
        }
        self.then(What::KernelReady { cell: id.to_owned(), kernel, variant: None })
    }

    pub(crate) fn started(self, id: &str, boot: u32) -> Self {
        self.started_with(id, boot, "swapstorm.token=k3x9")
    }

    /// As [`Log::started`], with these words at the end of the command line.
    pub(crate) fn started_with(self, id: &str, boot: u32, words: &str) -> Self {
        self.then(What::VmStarted {
            cell: id.to_owned(),
            boot,
            accel: "tcg".to_owned(),
            accel_why: "/dev/kvm is missing".to_owned(),
            seed: Some(u64::from(boot)),
            host: String::new(),
            argv: [
                "qemu-system-x86_64 -nodefaults -no-user-config -display none -nic none -no-reboot",
                "-machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 256M",
                "-kernel /cache/kernels/3f1c9a0be27d4458/vmlinux -initrd /cache/images/77d0/initramfs",
                "-append console=ttyS0\u{a0}nokaslr\u{a0}kasan_multi_shot\u{a0}swapstorm.token=k3x9",
                "-chardev stdio,id=console,signal=off -serial chardev:console",
                "-chardev socket,id=qmp,path=qmp.sock -mon chardev=qmp,mode=control",
                "-chardev socket,id=gdb,path=gdb.sock -gdb chardev:gdb -S",
                "-drive file=disk0.img,if=none,id=disk0,format=raw -device virtio-blk-pci,drive=disk0",
                "-drive file=disk1.img,if=none,id=disk1,format=raw -device virtio-blk-pci,drive=disk1",
            ]
            .iter()
            .flat_map(|words| words.split(' '))
            .map(|word| word.replace('\u{a0}', " "))
            .collect(),
            cmdline: format!("console=ttyS0 nokaslr kasan_multi_shot {words}"),
        })
    }

    pub(crate) fn ready(self, id: &str, boot: u32) -> Self {
        self.after(1430, What::GuestReady { cell: id.to_owned(), boot, boot_ms: 1430 })
    }

    /// A sample, and windows, that come to this exposure.
    pub(crate) fn exposure(mut self, id: &str, boot: u32, exposure: Exposure) -> Self {
        let counters = Counters {
            swapon: exposure.swapons,
            swapoff: exposure.swapoffs,
            verified: exposure.verified,
            oom_kills: exposure.oom_kills,
            cpu_offs: exposure.cpu_offs,
            zswpout: Some(exposure.stores),
            zswpwb: Some(exposure.writebacks),
            ..Counters::default()
        };
        let since_ready_ms = exposure.guest_ms;
        let sample = Sample { since_ready_ms, seq: 1, counters, ..Sample::default() };
        for (at, what) in SampleTable::default().events(id, boot, &sample).into_iter().enumerate() {
            self = if at == 0 { self.after(400, what) } else { self.at_once(what) };
        }
        let counts = PointCounts {
            stretched: exposure.windows,
            returned: exposure.windows,
            refused: match exposure.refused {
                0 => BTreeMap::new(),
                n => BTreeMap::from([("preempt-count".to_owned(), n)]),
            },
            ..PointCounts::default()
        };
        let points = BTreeMap::from([(POINT.to_owned(), counts)]);
        self.at_once(What::Windows { cell: id.to_owned(), boot, points })
    }

    /// Where the kernel is stretched.
    pub(crate) fn points(self, id: &str) -> Self {
        let functions = vec!["zswap_writeback_entry".to_owned()];
        let point = |id: &str, bug| PlacedPoint {
            id: id.into(),
            functions: functions.clone(),
            bug,
            passed_over: Vec::new(),
        };
        self.at_once(What::PointsPlaced {
            cell: id.to_owned(),
            points: vec![point(POINT, true), point(OTHER_POINT, false)],
            left_out: vec![LeftOutPoint {
                id: "shrink_memcg_cb:_raw_spin_lock:1".to_owned(),
                why: "there is no function shrink_memcg_cb".to_owned(),
            }],
        })
    }

    pub(crate) fn found(self, id: &str, boot: u32, guest_ms: u64, finding: Finding) -> Self {
        let (cell, diverted, starved) = (id.to_owned(), None, None);
        self.after(300, What::Found { cell, boot, guest_ms, diverted, starved, finding })
    }

    /// As [`Log::found`], while the host starved the guest.
    pub(crate) fn found_starved(self, id: &str, boot: u32, finding: Finding) -> Self {
        let (cell, guest_ms, diverted) = (id.to_owned(), 9_000, None);
        let starved = Some(STARVED.to_owned());
        self.after(300, What::Found { cell, boot, guest_ms, diverted, starved, finding })
    }

    /// The machine ends; one that ends well has said that it is done.
    pub(crate) fn stopped(mut self, id: &str, boot: u32, why: VmEnd) -> Self {
        if why.meaning() == Meaning::Sound {
            let reason = "stop".to_owned();
            self = self.at_once(What::GuestDone { cell: id.to_owned(), boot, reason });
        }
        self.ended(id, boot, why)
    }

    /// The machine ends, and that is all.
    pub(crate) fn ended(self, id: &str, boot: u32, why: VmEnd) -> Self {
        self.then(What::VmStopped { cell: id.to_owned(), boot, why, detail: String::new() })
    }

    pub(crate) fn checked(self, id: &str, boot: u32, health: Health) -> Self {
        self.then(What::TelemetryChecked { cell: id.to_owned(), boot, health })
    }

    pub(crate) fn failed(self, id: &str, fault: Fault, detail: &str) -> Self {
        self.then(What::CellFailed { cell: id.to_owned(), fault, detail: detail.to_owned() })
    }

    pub(crate) fn finished(self, id: &str) -> Self {
        self.then(What::CellFinished { cell: id.to_owned() })
    }

    pub(crate) fn end(self, interrupted: bool) -> Self {
        self.then(What::RunFinished { interrupted })
    }

    /// The buggy cell as it should be: the race, then one of its consequences.
    pub(crate) fn buggy_cell(self) -> Self {
        let mut follow_up = super::race_6_1();
        follow_up.title = "general protection fault in zswap_writeback_entry".to_owned();
        follow_up.kind = "DoS".to_owned();
        follow_up.head = "general protection fault, probably for non-canonical address".to_owned();
        follow_up.stacks.truncate(1);
        self.kernel(BUGGY)
            .points(BUGGY)
            .started(BUGGY, 1)
            .ready(BUGGY, 1)
            .found(BUGGY, 1, 311, super::race_6_1())
            .found(BUGGY, 1, 590, super::race_6_1())
            .found(BUGGY, 1, 702, follow_up)
            .exposure(
                BUGGY,
                1,
                Exposure {
                    guest_ms: 740,
                    swapons: 22,
                    swapoffs: 18,
                    stores: 2310,
                    writebacks: 147,
                    windows: 3,
                    refused: 0,
                    verified: 4096,
                    oom_kills: 0,
                    cpu_offs: 0,
                },
            )
            .checked(BUGGY, 1, Health { believed: 5, ..Health::default() })
            .stopped(BUGGY, 1, VmEnd::Enough)
            .finished(BUGGY)
    }

    /// The fixed cell as it should be.
    pub(crate) fn fixed_cell(self) -> Self {
        self.kernel(FIXED)
            .points(FIXED)
            .started(FIXED, 1)
            .ready(FIXED, 1)
            .exposure(FIXED, 1, enough())
            .checked(FIXED, 1, Health { believed: 31, ..Health::default() })
            .stopped(FIXED, 1, VmEnd::Enough)
            .finished(FIXED)
    }

    pub(crate) fn report(&self) -> RunReport {
        RunReport::fold(self.events.iter().cloned())
    }
}

/// Exposure that is enough for [`FIXED`].
pub(crate) fn enough() -> Exposure {
    Exposure {
        guest_ms: 13_280,
        swapons: 412,
        swapoffs: 408,
        stores: 41_877,
        writebacks: 2_913,
        windows: 60,
        refused: 2,
        verified: 96_512,
        oom_kills: 1,
        cpu_offs: 0,
    }
}

/// A `repro` in which all went as it should.
pub(crate) fn good_repro() -> Log {
    Log::new().planned(BUGGY).planned(FIXED).buggy_cell().fixed_cell().end(false)
}
