// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest agent's lines on the console. `workloads/guest/PROTOCOL.md` is the format.
