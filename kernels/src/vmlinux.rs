// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one reader of kernel images with symbols: functions, the direct calls they make, and the
//! source places behind their addresses.
//!
//! An image is read in pieces: a kernel with debug information is larger than what this program
//! may hold, and most questions need its symbol table alone.

mod calls;
mod error;
mod image;
mod places;
mod running;
mod sites;
mod stores;

pub use calls::Call;
pub use error::VmlinuxError;
pub use image::{CallPattern, FoundCall, Function, NamedCall, Vmlinux};
pub use places::{Place, Places};
pub use running::{CurrentTask, PreemptCount, RunningTask};
pub use sites::{PARTS, Part, Promise, Site};

#[cfg(test)]
mod tests;
