# SPDX-License-Identifier: MIT OR Apache-2.0
"""Event logs to make reports of: a night with a verdict of nearly each kind, the same with words that mean ill, a search, and a hunt.

What a guest showed in them is taken from `reports/testdata/run-1.jsonl`, the log of a real run.
"""

import json
from pathlib import Path

TESTDATA = Path(__file__).parent.parent / "testdata"

# Closes what it may stand in, and then means something in one format or another: markup, an XML section, a terminal's
# escapes, letters that turn the direction of writing, a plan and a result of KTAP, words at which the kernel's parser
# stops, a command of a GitHub job.
HOSTILE = (
    "\"'></title></style></pre></td></svg>]]></failure>&#0;"
    "<script>alert('hostile')</script><img class=hostile src='http://swapstorm.invalid/' onerror=\"alert('hostile')\">"
    "<a class=hostile href=\"javascript:alert('hostile')\">x</a>"
    "\x1b]0;hostile\x07\x1b[2J\x9b1m\u202e\u2066\ufffe\x00"
    "\n1..9\nok 9 hostile # SKIP\n    not ok 7 hostile\nreboot: System halted\n::error::hostile\n"
)
# A part of it that a reader must find as text: a report that leaves such words out is not tested with them.
VISIBLE = "<script>alert('hostile')</script>"

# Bytes of a line that a guest prints: a log takes no line of more than 1 MiB.
LONG_LINE = 1_000_000

# Fields whose words the harness chooses, and no guest, plan or host: most have a meaning only as they are.
OWN_WORDS = {
    "arch", "clock", "event", "fault", "kasan", "key", "predicate", "purpose", "role", "signature", "started", "status",
    "technique", "toolchain", "why",
}


def night(day, shows=True):
    """A night of this day of a month on two architectures; `shows`: whether the known race is seen in it."""
    race = next(event["finding"] for event in real_run() if event["event"] == "found")
    other = {
        "title": "WARNING in folio_lock_anon_vma_read", "type": "WARNING", "frame": "folio_lock_anon_vma_read",
        "head": "WARNING: CPU: 1 PID: 71 at mm/rmap.c:531 folio_lock_anon_vma_read+0x1f/0x40", "stacks": race["stacks"],
        "text": "WARNING: CPU: 1 PID: 71 at mm/rmap.c:531\n" + "A" * LONG_LINE, "signature": "00000000000000aa",
        "offset": 0,
    }
    log = [run_started(f"night-{day}", f"2026-11-{day}T22:00:00Z", ["run", "nightly", "--seed", "42"])]
    log.append({"event": "known-loaded", "bug": {
        "title": "WARNING in blkdev_*", "note": "known upstream", "since": "2026-11-01", "cells": {}}})
    for arch in ("x86_64", "arm64"):
        race_cell, clean, failed, late = (f"{name}-{arch}" for name in ("plain", "fixed", "failed", "late"))
        log += cell(race_cell, arch) + machine(race_cell, [race, race, other] if shows else [], writebacks=140)
        log += cell(clean, arch, "zswap-writeback-swapoff-6.1") + machine(clean, [], writebacks=900)
        log += cell(failed, arch, kernel="debian-6.12", ready=False) + [
            {"event": "cell-failed", "cell": failed, "fault": "infrastructure", "detail": "No space left on device"},
            {"event": "cell-finished", "cell": failed}]
        log += cell(late, arch, kernel="mainline", ready=False) + [
            {"event": "cell-cancelled", "cell": late, "why": "the night is over", "planned": True}]
    log.append({"event": "notice", "text": "the host swapped for 12 s"})
    log.append({"event": "run-finished", "interrupted": False})
    return log


def hostile(log):
    """The same with HOSTILE behind every word that is not the harness's own: the same word always becomes the same."""
    def poison(value, name=""):
        if isinstance(value, dict):
            return {field: poison(inner, field) for field, inner in value.items()}
        if isinstance(value, list):
            return [poison(inner, name) for inner in value]
        if isinstance(value, str) and name not in OWN_WORDS and name != "columns":
            return value + HOSTILE
        return value
    return [poison(event) for event in log]


def search():
    """A search among eight commits, of which those from the sixth on do not compile."""
    ids = [f"{number:040x}" for number in range(1, 9)]
    positions = [{
        "population": f"linux:{commit}/x86_64/any/kasan-as-configured/mixed/natural", "weight": 1.0,
        "label": {"kernel": f"linux:{commit}", "change": f"mm: change {commit[-1]}", "author": None, "fixes": None},
    } for commit in ids]
    log = [run_started("search", "2026-11-22T13:37:02Z", ["bisect"]), {"event": "range-loaded", "range": {
        "positions": positions, "predicate": "build-failure", "confidence": 0.95, "storm_ms": 1000}}]
    for at, commit in enumerate(ids):
        name = f"at{at}-1"
        log.append({"event": "cell-planned", "cell": {
            "id": name, "kernel": f"linux:{commit}", "series": None, "arch": "x86_64", "profile": "mixed",
            "technique": "natural", "seed": 1, "expect": None, "should_show": None}})
        if at < 5:
            log.append(kernel_ready(name))
        else:
            log.append({"event": "cell-failed", "cell": name, "fault": "build", "detail": "mm/zswap.c:1: error"})
        log.append({"event": "cell-finished", "cell": name})
    log.append({"event": "run-finished", "interrupted": False})
    return log


def hunt():
    """A hunt beside two actors that goes on from an earlier one, with a square of each kind and a function whose name is markup."""
    beside = {"overlapped": 0, "partly": 0, "blocked": 0}
    sites = {}
    for function, calls in {"zswap_writeback_entry": 40, "shrink_worker": 5, "<b>f</b>": 3}.items():
        for call in range(calls):
            site = {"reached": 9, "refused": {"rcu-reader": 9} if call % 7 == 6 else {}}
            if call % 7 < 5:
                site["beside"] = {"swapoff": {**beside, **[
                    {"overlapped": 1}, {"overlapped": 3}, {"partly": 7}, {"overlapped": 12}, {"blocked": 2}][call % 7]}}
            sites[f"{function}:callee{call}#1"] = site
    log = [run_started("hunt", "2026-11-22T13:37:02Z", ["hunt", "--resume", "out/hunt-1"]), *cell("hunt", "x86_64"),
           {"event": "sites-chosen", "cell": "hunt", "sites": 60, "functions": 5},
           {"event": "sites-known", "cell": "hunt", "after": "earlier", "sites": sites}]
    storm = machine("hunt", [], 40)
    slept = {"event": "slept", "cell": "hunt", "boot": 1, "site": "shrink_worker:callee6#1", "actor": "zswap",
             "outcome": "overlapped", "done": 1, "ms": 40}
    return [*log, *storm[:5], slept, *storm[5:], {"event": "run-finished", "interrupted": False}]


def write(log, folder):
    """Makes the folder of a run with this log."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"at_ms": 100 * at, **event}) + "\n" for at, event in enumerate(log)]
    (folder / "events.jsonl").write_text("".join(lines))
    return folder


def real_run():
    with open(TESTDATA / "run-1.jsonl") as lines:
        return [json.loads(line) for line in lines]


def run_started(run, started, command):
    return {"event": "run-started", "format": 2, "minor": 4, "id": run, "version": "0.1.0", "command": command,
            "started": started, "seed": 42, "purpose": "search", "host_name": "box", "host": {"cpus": "2", "cpu": "a CPU"}}


def kernel_ready(name):
    return {"event": "kernel-ready", "cell": name, "kernel": {
        "release": "6.1.192", "compiler": "gcc 12.2.0", "key": "3f1c9a0be27d4458", "cached": False, "ms": 9000,
        "source": "linux-source-6.1 6.1.192-2", "patches": []}}


def cell(name, arch, series=None, kernel="debian-6.1", ready=True):
    profile = "zswap-writeback-swapoff"
    whole = kernel if series is None else f"{kernel}+{series}"
    planned = {"event": "cell-planned", "cell": {
        "id": name, "key": f"{whole}/{arch}/gcc/kasan-generic/{profile}@5d1e0c87f2b9/stretch/1", "kernel": kernel,
        "series": series, "arch": arch, "toolchain": "gcc", "kasan": "generic", "profile": profile,
        "profile_digest": "5d1e0c87f2b94a36", "technique": "stretch", "clock": "wall", "number": 1, "seed": 11,
        "expect": None, "should_show": None}}
    return [planned, kernel_ready(name)] if ready else [planned]


def machine(name, findings, writebacks):
    at = {"cell": name, "boot": 1}
    columns = ["guest_ms", "seq", "swapon", "swapoff", "verified", "zswpout", "zswpwb"]
    found = [{"event": "found", **at, "guest_ms": 480, "finding": finding} for finding in findings]
    return [
        {"event": "vm-started", **at, "accel": "tcg", "accel_why": "/dev/kvm is missing", "seed": 77,
         "argv": ["qemu-system-x86_64", "-smp", "2"], "cmdline": "nokaslr"},
        {"event": "guest-ready", **at, "boot_ms": 1498},
        {"event": "columns", **at, "columns": columns},
        {"event": "sample", **at, "row": [250, 1, 9, 7, 800, 410, 3]},
        {"event": "sample", **at, "row": [9500, 2, 260, 250, 52000, 19000, writebacks]},
        *found,
        {"event": "guest-warned", **at, "detail": "slow: a disk of this guest takes its time"},
        {"event": "guest-done", **at, "reason": "stop"},
        {"event": "telemetry-checked", **at, "health": {
            "believed": 6, "foreign": 0, "malformed": 0, "suspicious": 0, "missing": 0, "unknown": 0}},
        {"event": "vm-stopped", **at, "why": "budget"},
        {"event": "cell-finished", "cell": name},
    ]
