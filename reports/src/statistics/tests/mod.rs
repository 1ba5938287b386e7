// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the arithmetic promises: proved by enumeration where that is possible, shown by simulation elsewhere.

mod answers;
mod exact;
mod intervals;
mod power;
pub(crate) mod random;
mod shares;
mod simulation;
mod survival;
