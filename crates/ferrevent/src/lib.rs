//! Ferrevent: an event-driven networking engine with buffered streams.
//!
//! An [`EventLoop`] owns streams, listeners and timers. Each stream has a
//! [`Handler`], which is told what happened to it and works on it through
//! [`Stream`]: bytes that came are in its input, bytes written go to its
//! output, and the loop moves them.
//!
//! ```no_run
//! use ferrevent::{EventLoop, Handler, Stream};
//!
//! struct Echo;
//! impl Handler for Echo {
//!     fn readable(&mut self, stream: &mut Stream<'_>) {
//!         stream.echo();
//!     }
//! }
//!
//! let mut events = EventLoop::new()?;
//! events.listen("127.0.0.1:7000".parse()?, || Echo)?;
//! events.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
#[cfg(feature = "async")]
pub mod asynch;
#[cfg(feature = "compress")]
pub mod compress;
pub mod engine;
mod event_loop;
mod filtered;
mod handle;
mod handler;
mod host;
mod mailbox;
mod pool;
mod post;
mod quiet;
mod rate;
#[cfg(feature = "dns")]
pub mod resolver;
mod stream;
mod sync;
#[cfg(feature = "tls")]
pub mod tls;

pub use address::{Address, AddressError, is_unresolved};
pub use engine::Allowance;
pub use event_loop::{Builder, EventLoop};
pub use ferrevent_core::buffer;
pub use ferrevent_core::buffer::Buffer;
pub use ferrevent_core::filter;
pub use ferrevent_core::filter::Filter;
pub use ferrevent_core::limit;
pub use ferrevent_core::stream::{
    Activity, CloseReason, StreamConfig, Timeout, Watermarks, WriteError,
};
pub use ferrevent_os::socket::ListenOptions;
pub use ferrevent_os::{BackendKind, Readiness, UnknownBackend, activation, sys};
pub use handle::{Handle, Refused};
pub use handler::Handler;
pub use host::{
    Context, Key, ListenerId, Local, Remote, SignalId, TimerId, Trigger, Trouble, WatchId,
};
pub use pool::Pool;
pub use rate::RateGroup;
pub use stream::Stream;

/// The README's examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
