//! Tasks: the same futures on every backend, loop and pool, calm and in a
//! storm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::duplicate_mod, reason = "an example has another one in it")]

#[cfg(all(feature = "tls", unix))]
#[path = "../common/certificates.rs"]
mod certificates;
#[path = "../common/mod.rs"]
mod common;
#[cfg(all(feature = "tls", unix))]
#[path = "../common/peers.rs"]
mod peers;

mod bounds;
mod cancel;
mod echo;
mod everywhere;
mod net;
#[cfg(all(feature = "tls", unix))]
mod programs;
mod protocols;
mod tasks;
mod tokio_traits;
mod upgrade;
