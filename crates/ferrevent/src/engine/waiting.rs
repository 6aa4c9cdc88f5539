//! Waiting: how long, and by whom.

use std::io;
use std::time::Duration;

use ferrevent_os::{Backend, Event, Waiter};

use super::Engine;
use crate::quiet::{self, QUIET};

/// The waiting half of an engine; whoever has it waits for all.
///
/// ```
/// # use ferrevent::engine::Engine;
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # use std::{sync::Arc, time::Duration};
/// # let backend = Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
/// # let mut engine: Engine<&str, &str> = Engine::new(Arc::clone(&backend), 1);
/// let mut waiting = engine.lend_waiting().unwrap();
/// waiting.wait(&backend, Some(Duration::ZERO))?;
/// # engine.gather(waiting);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Waiting {
    waiter: Waiter,
    pub(super) events: Vec<Event>,
}

impl Waiting {
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            waiter: backend.waiter(),
            events: Vec::new(),
        }
    }

    /// Waits, no longer than `patience`. Once it has waited for a second it
    /// gives the memory back that the thread keeps for its buffers.
    ///
    /// # Errors
    /// Those of the backend's wait.
    ///
    /// ```
    /// # use ferrevent::engine::Engine;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # use std::{sync::Arc, time::Duration};
    /// # let backend = Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
    /// # let mut engine: Engine<&str, &str> = Engine::new(Arc::clone(&backend), 1);
    /// # let mut waiting = engine.lend_waiting().unwrap();
    /// waiting.wait(&backend, Some(Duration::from_millis(1)))?;
    /// # engine.gather(waiting);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait(&mut self, backend: &Backend, patience: Option<Duration>) -> io::Result<()> {
        if !may_be_quiet(backend, patience) {
            return backend.wait(&mut self.waiter, patience, &mut self.events);
        }
        let asleep = backend.sys().now();
        backend.wait(&mut self.waiter, Some(QUIET), &mut self.events)?;
        let slept = backend.sys().now().since(asleep);
        if slept < QUIET || !self.events.is_empty() {
            return Ok(());
        }
        backend.give_back();
        quiet::give_back();
        let slept = backend.sys().now().since(asleep);
        let patience = patience.map(|patience| patience.saturating_sub(slept));
        backend.wait(&mut self.waiter, patience, &mut self.events)
    }
}

/// Whether it could come to a long wait where there is memory to give.
#[inline]
fn may_be_quiet(backend: &Backend, patience: Option<Duration>) -> bool {
    patience.is_none_or(|patience| patience > QUIET)
        && (quiet::keeps_memory() || backend.keeps_memory())
        && !backend.sys().clock().is_simulated()
}

impl<S, O> Engine<S, O> {
    /// How long a wait may last: not at all while something is to be done,
    /// else until the next timer, and no longer than `limit`.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// assert!(engine.patience(None) <= Some(Duration::from_millis(1)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn patience(&mut self, limit: Option<Duration>) -> Option<Duration> {
        if !self.later.is_empty() || self.queues.iter().any(|queue| !queue.is_empty()) {
            return Some(Duration::ZERO);
        }
        let next = self.timers.next_deadline().map(|deadline| {
            let now = self.backend.sys().now();
            Duration::from_micros(deadline.0.saturating_sub(now.0))
        });
        match (limit, next) {
            (Some(limit), Some(next)) => Some(limit.min(next)),
            (limit, next) => limit.or(next),
        }
    }

    /// Waits, no longer than `patience`, and gathers what happened.
    /// [`next`](Self::next) then gives it out.
    ///
    /// # Errors
    /// Those of the backend's wait.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// engine.wait(Some(Duration::from_millis(1)))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let Some(mut waiting) = self.waiting.take() else {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "somebody else waits for this engine",
            ));
        };
        let outcome = waiting.wait(&self.backend, patience);
        self.gather(waiting);
        outcome
    }

    /// Lends what is needed to wait, for a driver that lets others work with
    /// the engine meanwhile. `None` while it is lent.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::{sync::Arc, time::Duration};
    /// # let backend = Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
    /// # let mut engine: Engine<&str, &str> = Engine::new(Arc::clone(&backend), 1);
    /// let mut waiting = engine.lend_waiting().unwrap();
    /// assert!(engine.lend_waiting().is_none());
    /// waiting.wait(&backend, Some(Duration::from_millis(1)))?;
    /// engine.gather(waiting);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn lend_waiting(&mut self) -> Option<Waiting> {
        self.waiting.take()
    }
}
