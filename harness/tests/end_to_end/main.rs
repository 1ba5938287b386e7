// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real kernels in real QEMU. The first test that needs a kernel builds it (minutes); the store in
//! Cargo's target folder keeps it for the others and for the next time.

#![expect(
    unreachable_pub,
    reason = "in a test program, `pub` is what a module offers its siblings"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bad_input;
mod bench;
mod bisect;
mod check;
mod cluster;
mod compare;
mod hangs;
mod hunt;
mod invariants;
mod lifetime;
mod login;
mod nightly;
mod replay;
mod repro;
mod reverted;
mod run;
mod same;
mod series;
mod silent_guests;
mod store;
mod stretch;
mod support;
mod target;
mod undisturbed;
