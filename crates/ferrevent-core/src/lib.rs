//! The parts of Ferrevent that touch no socket, no clock and no thread:
//! the [`buffer`], the stream machine, the filters, the rate limits and the timers.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod filter;
pub mod limit;
pub mod stream;
pub mod timer;
