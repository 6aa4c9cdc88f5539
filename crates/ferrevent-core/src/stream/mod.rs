//! The stream machine: one state machine for every stream, on every backend.
//!
//! It holds the two buffers and every rule about them: watermarks, timeouts,
//! pausing, half-close, flush and finish, and in what order its owner hears of
//! what. It has no socket and no clock: the engine tells it what happened
//! ([`received`](Machine::received), [`sent`](Machine::sent), ...) and asks it
//! what it wants ([`wants_receive`](Machine::wants_receive),
//! [`next_send`](Machine::next_send), [`wake_at`](Machine::wake_at), ...).
//!
//! Rate limits and filters (TLS, compression) take their place between
//! [`received`](Machine::received) and the input buffer, and between the
//! output buffer and [`next_send`](Machine::next_send).

mod config;
mod machine;
mod reason;
mod timeouts;

pub use config::{StreamConfig, Watermarks};
pub use machine::{Machine, StreamEvent};
pub use reason::{Activity, CloseReason, Timeout, WriteError, panic_message};
