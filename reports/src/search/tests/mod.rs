// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the search promises: formulae against sums written out, answers, and confidence by simulation.

mod answers;
mod formulae;
mod measured;
mod simulation;
mod world;
