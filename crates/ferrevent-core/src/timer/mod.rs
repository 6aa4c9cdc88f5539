//! Timers in deadline order.
//!
//! A [`TimerQueue`] holds deadlines, each with a small payload, and hands
//! them out when their time has come: never early, in the order of their
//! deadlines to the microsecond, and in the order of setting where deadlines
//! are the same. It has no clock: the caller says what time it is.
//!
//! ```
//! use ferrevent_core::timer::{Tick, TimerQueue};
//!
//! let mut timers = TimerQueue::new(Tick(0));
//! let retry = timers.insert(Tick(500), "retry");
//! let idle = timers.insert(Tick(300), "idle");
//! timers.rearm(idle, Tick(900)); // there was traffic
//!
//! assert_eq!(timers.next_deadline(), Some(Tick(500)));
//! assert_eq!(timers.pop_expired(Tick(499)), None);
//! assert_eq!(timers.pop_expired(Tick(501)), Some((retry, Tick(500), "retry")));
//! assert_eq!(timers.pop_expired(Tick(501)), None);
//! assert_eq!(timers.remove(idle), Some("idle"));
//! assert!(timers.is_empty());
//! ```
//!
//! # How it works
//!
//! With many timers, time goes into cache misses, not into comparisons. So:
//!
//! - A timer is an entry of 32 bytes in a slab, and an id leads to it in one
//!   step. What is moved about is a *record* of 16 bytes: deadline, place in
//!   the slab, stamp.
//! - Records wait in a hierarchical wheel whose slots are chains of small
//!   arrays. A slot is read from front to back, and passed on to finer slots
//!   without a look at the slab. A slot with few records skips the finer
//!   levels: what is due of it is sorted by deadline and order of setting
//!   into a short run that fires from the first-level cache.
//! - Removing a timer, or moving it to a later deadline (what an idle
//!   timeout does at every message), touches its slab entry alone. The
//!   record is found stale, or is moved on, when its old time comes. Stale
//!   records are swept, a few at each insertion, once they outnumber the
//!   timers; so memory stays proportional to the timers that were pending
//!   at one time, and no call has to stop for a sweep of everything.
//!
//! # What else was tried
//!
//! Rounded nanoseconds a timer, one million timers with random deadlines
//! within a minute, as in `examples/timer_bench.rs`; each row is from a run
//! of its own on one machine:
//!
//! | | add | re-arm | delete | fire |
//! |---|---|---|---|---|
//! | this wheel | 55 | 90 | 40 | 75 |
//! | prototype: wheel of linked lists, cascaded to the finest level | 20 | 80 | 40 | 200 |
//! | prototype: four-ary heap beside a slab | 20 | 130 | 120 | 270 |
//! | libevent's binary heap | 70 | 680 | 330 | 2600 |
//!
//! The linked wheel adds faster, because it writes nothing but the entry;
//! but each step along a list waits for a cache miss. Sorting runs of 64
//! instead of 256 made firing twice as slow, of 1024 a little slower.
mod due;
mod id;
mod queue;
mod slab;
#[cfg(test)]
mod tests;
mod tick;
mod wheel;

pub use id::TimerId;
pub use queue::TimerQueue;
pub use tick::Tick;
