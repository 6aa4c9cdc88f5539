//! The command, as its users run it, against the peers they use.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod rig;

mod capacity;
mod check;
mod logs;
mod manual;
mod service;
mod streams;
#[cfg(target_os = "linux")]
mod uring;
