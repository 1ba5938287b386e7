// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest is made to do: storm profiles, and the guest agent that carries them out.
//!
//! A [`Profile`] (YAML, see `profiles/`) says what the guest is given, which storm runs
//! in it, what its kernel needs for the bug to be reachable, and where a window is worth
//! stretching. It becomes words on the kernel command line. The [`agent`] (C, see
//! `guest/`) is PID 1 of the guest and reads them; `guest/PROTOCOL.md` is their contract.

pub mod agent;
pub mod profile;

pub use document::Problems;
pub use profile::Profile;
