// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine under swapstorm: architectures, packages, child processes, artefact store, tools.

pub mod apt;
pub mod arch;
pub mod lack;
pub mod lock;
pub mod process;
pub mod store;
pub mod tools;
pub mod version;
