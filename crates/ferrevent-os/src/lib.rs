//! The operating system as Ferrevent sees it: backends over epoll and poll,
//! all sockets and wake-ups, and the seam that every system call and the
//! clock pass.
//!
//! All of Ferrevent's `unsafe` code for Rust programs is here; each block says
//! why it is sound.

pub mod activation;
mod backend;
pub mod op;
mod port;
mod readiness;
pub mod signal;
pub mod socket;
pub mod sys;
mod wake;

pub use backend::{Backend, BackendKind, Event, UnknownBackend, Waiter, What};
pub use op::{Accepted, Completion, Op, OpKind, Received, Token};
pub use port::{Port, PortKind, Readiness};
pub use socket2::SockAddr;
pub use wake::WakeDescriptor;
