//! Tasks over the same engine: streams, listeners and timers as futures.
//!
//! A [`Runtime`] is an [`EventLoop`](crate::EventLoop) or a
//! [`Pool`](crate::Pool) as its tasks see it. Handlers and tasks live beside
//! each other on it. A task is polled by the thread that made it ready, in the
//! callback that brought its bytes.
//!
//! ```
//! use ferrevent::EventLoop;
//! use futures_util::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let mut events = EventLoop::new()?;
//! let runtime = events.runtime();
//! events.block_on(async move {
//!     let listener = runtime.listen(&"127.0.0.1:0".parse()?).await?;
//!     let address = listener.local_addr().expect("TCP has addresses");
//!     runtime
//!         .spawn(async move {
//!             let mut stream = listener.accept().await?;
//!             let mut name = String::new();
//!             stream.read_to_string(&mut name).await?;
//!             stream.write_all(format!("hello {name}").as_bytes()).await?;
//!             stream.close().await
//!         })
//!         .detach();
//!     let mut stream = runtime.connect(&address.into()).await?;
//!     stream.write_all(b"world").await?;
//!     stream.close().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     assert_eq!(answer, "hello world");
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every future here is cancel-safe: one that is dropped before it was ready
//! has taken and lost nothing. What is different is said at its function.

mod accepting;
mod ask;
mod blocking;
mod body;
mod cell;
mod here;
mod hub;
#[cfg(feature = "hyper")]
mod hyper_rt;
mod local;
mod main;
mod runtime;
mod signals;
mod state;
mod stream;
mod task;
mod time;
mod timers;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod udp;
mod watched;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

pub use accepting::Listener;
pub use blocking::BlockingTask;
pub(crate) use here::{Runnable, run};
pub(crate) use hub::Hub;
pub use local::LocalTask;
pub use runtime::{LocalExecutor, Runtime};
pub use signals::Signals;
pub use stream::AsyncStream;
pub use task::{Task, TaskError};
pub use time::{Elapsed, Interval, Sleep};
pub use udp::AsyncUdp;
pub use watched::Watched;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a waker, unless it is there already.
#[inline]
fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) if old.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
}
