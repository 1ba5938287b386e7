// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running guest as an actor: something that prints, that can be asked to stop, and that ends.
//!
//! There are two kinds: a [`Vm`] (QEMU) and a [`target`] (a machine that runs its kernel already,
//! over SSH). Both are a [`Machine`]. A [`stretch::Stretcher`], or a [`hunt::Hunter`], works beside a `Vm`, on
//! QEMU's gdbstub.
//! Nothing here knows a verdict or a run.

pub mod accel;
pub mod hunt;
pub mod news;
pub mod qemu;
pub mod random;
pub mod ssh;
pub mod stretch;
pub mod target;
pub mod timeouts;

pub use accel::Accel;
pub use news::{Kind, Machine, News};
pub use qemu::{Vm, VmError, VmSpec};
pub use random::Random;
pub use timeouts::Timeouts;
