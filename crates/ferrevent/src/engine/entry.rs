//! What the table holds.

use std::collections::VecDeque;
use std::sync::Arc;

use ferrevent_core::limit::LimitError;
use ferrevent_core::stream::Machine;
use ferrevent_core::timer::{Tick, TimerId};
use ferrevent_os::sys::fd::OwnedFd;
use ferrevent_os::{Backend, Port, Token};
use socket2::SockAddr;

use super::TURN_OPS;
use super::accept::Listener;
use super::limits::{Limited, Limits};
use super::run::Moment;
use super::watch::Watch;
use crate::rate::Change;

/// Which queue something's events go to: 0 is served first.
///
/// ```
/// use ferrevent::engine::Priority;
/// assert!(Priority(0) < Priority(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(pub u8);

#[derive(Debug)]
pub(super) enum Entry<S, O> {
    Stream(Box<StreamEntry<S>>),
    Listener(Box<Listener<O>>),
    Timer(Box<Timer<O>>),
    /// A registration of interest in a descriptor.
    Watch(Box<Watch<O>>),
    /// An event that only its owner raises.
    User(Box<User<O>>),
}

impl<S, O> Entry<S, O> {
    pub(super) fn priority(&self) -> Priority {
        match self {
            Entry::Stream(stream) => stream.priority,
            Entry::Listener(listener) => listener.priority,
            Entry::Timer(timer) => timer.priority,
            Entry::Watch(watch) => watch.priority,
            Entry::User(user) => user.priority,
        }
    }
}

impl<S, O> Entry<S, O> {
    /// Whether its owner is out, being run by the driver.
    #[inline]
    pub(super) fn is_out(&self) -> bool {
        match self {
            Entry::Stream(_) => false,
            Entry::Listener(listener) => listener.owner.is_none(),
            Entry::Timer(timer) => timer.owner.is_none(),
            Entry::Watch(watch) => watch.owner.is_none(),
            Entry::User(user) => user.owner.is_none(),
        }
    }

    pub(super) fn set_priority(&mut self, priority: Priority) {
        match self {
            Entry::Stream(stream) => stream.priority = priority,
            Entry::Listener(listener) => listener.priority = priority,
            Entry::Timer(timer) => timer.priority = priority,
            Entry::Watch(watch) => watch.priority = priority,
            Entry::User(user) => user.priority = priority,
        }
    }
}

/// A stream as the engine keeps it, and as its driver holds it while it runs.
///
/// ```
/// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
/// # use ferrevent::{Readiness, StreamConfig};
/// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
/// let (near, far) = socket::pair()?;
/// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
/// let mut run = engine.take(token).unwrap();
/// assert_eq!(run.stream().owner, "mine");
/// engine.put_back(run);
/// # drop(far);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct StreamEntry<S> {
    /// The state of the stream.
    pub machine: Machine,
    /// What the driver keeps with it.
    pub owner: S,
    /// None before a host name is resolved.
    pub(super) port: Option<Port>,
    pub(super) extras: Option<Box<Extras>>,
    /// Its rate limits.
    pub(crate) limited: Option<Box<Limited>>,
    pub(super) token: Token,
    pub(super) share: Share,
    pub(super) priority: Priority,
    pub(super) queued: bool,
    /// It had its share, and goes on in the next turn.
    pub(super) unfinished: bool,
}

/// What each stream may move in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allotment {
    /// Received bytes, or sent ones by their weight.
    pub(super) bytes: u32,
    /// A sent byte is worth so many received ones.
    pub(super) sent_weight: u16,
}

/// What a stream has left of its share of a turn.
#[derive(Debug, Default)]
pub(super) struct Share {
    turn: u32,
    bytes: u32,
    sent_weight: u16,
    ops: u16,
}

impl Share {
    /// In a new turn the share is whole again.
    #[inline]
    pub(super) fn begin(&mut self, moment: Moment) {
        if self.turn != moment.turn {
            *self = Self {
                turn: moment.turn,
                bytes: moment.share.bytes,
                sent_weight: moment.share.sent_weight,
                ops: TURN_OPS,
            };
        }
    }

    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.ops = self.ops.saturating_sub(1);
    }

    #[inline]
    pub(super) fn spend_sent(&mut self, bytes: usize) {
        self.spend(bytes.saturating_mul(self.sent_weight.into()));
    }

    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.bytes == 0 || self.ops == 0
    }
}

/// What few streams have.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) timer: Option<TimerId>,
    /// Addresses that are still to be tried.
    pub(super) candidates: VecDeque<SockAddr>,
    /// The address that is being tried.
    pub(super) trying: Option<SockAddr>,
    /// Where to bind before connecting.
    pub(super) bind: Option<SockAddr>,
    /// The other end of a pipe.
    pub(super) piped_to: Option<Token>,
}

impl<S> StreamEntry<S> {
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    #[inline]
    pub(super) fn piped_to(&self) -> Option<Token> {
        self.extras.as_ref()?.piped_to
    }

    /// Its machine, its owner, its port and its key, to be used at once.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<String, &str> = Engine::new(backend.into(), 1);
    /// # let (near, far) = socket::pair()?;
    /// # let token = engine.add_stream(near, PortKind::Socket, String::new()).unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// let (machine, owner, port, key) = run.stream().parts();
    /// while let Some(event) = machine.next_event() {
    ///     owner.push_str(&format!("{key:?}: {event:?} on {port:?}"));
    /// }
    /// # engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn parts(&mut self) -> (&mut Machine, &mut S, Option<&Port>, Token) {
        let Self {
            machine,
            owner,
            port,
            token,
            ..
        } = self;
        (machine, owner, port.as_ref(), *token)
    }

    /// As [`parts`](Self::parts), with its rate limits.
    #[inline]
    pub(crate) fn all_parts(&mut self) -> Parts<'_, S> {
        Parts {
            machine: &mut self.machine,
            owner: &mut self.owner,
            port: self.port.as_ref(),
            token: self.token,
            limited: &mut self.limited,
        }
    }

    /// Changes its rate limits.
    pub(crate) fn change_limits(
        &mut self,
        (change, limits): &(Change, Arc<Limits>),
        now: Tick,
    ) -> Result<(), LimitError> {
        change.apply(&mut self.limited, limits, self.token, now)
    }

    /// Its key.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// assert_eq!(run.stream().token(), token);
    /// engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn token(&self) -> Token {
        self.token
    }

    /// Its descriptor's port; none before a host name is resolved.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// assert!(run.stream().port().is_some());
    /// engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }

    /// Gives its descriptor back, for a driver whose user keeps it. Nothing
    /// moves any more, and the stream is only to be closed.
    ///
    /// ```
    /// # use ferrevent::engine::Engine;
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, socket, sys::{Clock, Sys}};
    /// # let backend = std::sync::Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.clone(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// let near = run.stream().release(&backend).unwrap();
    /// run.stream().machine.close(ferrevent::CloseReason::Closed);
    /// while run.stream().machine.next_event().is_some() {}
    /// engine.put_back(run);
    /// # drop((near, far));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn release(&mut self, backend: &Backend) -> Option<OwnedFd> {
        self.port.take().map(|port| backend.release(port))
    }

    /// Sets the queue of its events.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// run.stream().set_priority(Priority(1));
    /// engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_priority(&mut self, priority: Priority) {
        self.priority = priority;
    }
}

/// A stream, taken apart.
pub(crate) struct Parts<'a, S> {
    pub(crate) machine: &'a mut Machine,
    pub(crate) owner: &'a mut S,
    pub(crate) port: Option<&'a Port>,
    pub(crate) token: Token,
    pub(crate) limited: &'a mut Option<Box<Limited>>,
}

#[derive(Debug)]
pub(super) struct Timer<O> {
    pub(super) armed: Option<TimerId>,
    pub(super) due: bool,
    pub(super) priority: Priority,
    pub(super) owner: Option<O>,
}

#[derive(Debug)]
pub(super) struct User<O> {
    pub(super) raised: bool,
    pub(super) priority: Priority,
    pub(super) owner: Option<O>,
}
