//! The parts of Ferrevent that touch no socket, no clock and no thread:
//! the [`buffer`], the stream machine and the timers.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod filter;
pub mod stream;
pub mod timer;
