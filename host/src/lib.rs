// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine under swapstorm: architectures, child processes, artefact store, tools.

pub mod arch;
pub mod lock;
pub mod process;
pub mod store;
pub mod tools;
pub mod yaml;
