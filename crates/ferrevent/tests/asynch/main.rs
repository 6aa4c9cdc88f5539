//! Tasks: the same futures on every backend, loop and pool, calm and in a
//! storm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod echo;
mod everywhere;
mod tasks;
