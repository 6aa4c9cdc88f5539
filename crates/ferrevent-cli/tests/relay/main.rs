//! The command, as its users run it, against the peers they use.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../ferrevent/tests/common/certificates.rs"]
mod certificates;
#[path = "../../../ferrevent/tests/common/peers.rs"]
mod peers;
mod rig;

mod capacity;
mod check;
mod compress;
mod logs;
mod manual;
mod rate;
mod service;
mod streams;
mod tls;
#[cfg(target_os = "linux")]
mod uring;
