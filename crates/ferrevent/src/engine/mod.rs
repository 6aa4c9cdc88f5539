//! The engine: everything registered, in one table; turns, in which events
//! come from the kernel and go out one at a time.
//!
//! It calls nobody. Whoever drives it takes what happened from
//! [`Engine::next`] and runs whatever belongs to it. A stream comes out of the
//! table as a [`Run`], which turns its wishes into operations without the
//! engine, and goes back by [`Engine::put_back`]; what comes for it meanwhile
//! waits. So a driver may be one thread, or several that share the engine
//! under a lock which they hold only to fetch and to hand in. The loop, the
//! pool and the C ABI are such drivers.

mod accept;
mod allowance;
mod connect;
mod descriptors;
mod dump;
mod entry;
mod limits;
mod pipe;
mod run;
mod stream;
mod table;
mod turn;
mod waiting;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrevent_core::timer::{Tick, TimerQueue};
use ferrevent_os::{Backend, Event, Token};

pub use accept::Listening;
pub use allowance::Allowance;
pub use connect::Target;
pub(crate) use entry::Parts;
pub use entry::{Priority, StreamEntry};
pub(crate) use limits::{Limited, Limits};
pub use run::{Over, Run};
pub use turn::{Happening, Removed};
pub use waiting::Waiting;
pub use watch::{Interest, Refusal, Registration};

use entry::{Allotment, Entry};
use table::Table;

/// Bytes that all streams together may receive in one turn, before the kernel
/// is asked what else there is; each has its part of them.
const TURN_RECEIVED: usize = 16 * 1024 * 1024;
/// Bytes that they may send.
const TURN_SENT: usize = 512 * 1024;
/// Bytes that one stream may move in one turn, however many there are.
const LEAST_SHARE: usize = 128 * 1024;
/// Bytes that one stream may receive in one turn, however few there are. What
/// its peer has sent lately is still in the processor's caches: a few streams
/// without end cost up to half less if each is emptied before the next than if
/// they take short turns. What is sent is better taken up soon, so there the
/// turns are short.
const MOST_SHARE: usize = 1024 * 1024;
/// Receives and sends of one stream in one turn.
const TURN_OPS: u16 = 32;
/// Connections that one listener may take in one turn.
const TURN_ACCEPTS: u32 = 64;
/// How long a listener rests when descriptors have run out, unless a stream
/// closes earlier.
const STARVED_REST: Duration = Duration::from_millis(250);

/// The engine. `S` is what the driver keeps with every stream, `O` what it
/// keeps with everything else.
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
/// while !engine.is_empty() {
///     let patience = engine.patience(None);
///     engine.wait(patience)?;
///     while let Some(happening) = engine.next() {
///         if let Happening::Timer(token) = happening {
///             engine.remove(token);
///         }
///     }
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Engine<S, O> {
    backend: Arc<Backend>,
    /// Out while somebody waits.
    waiting: Option<Waiting>,
    table: Table<Entry<S, O>>,
    timers: TimerQueue<Token>,
    /// What is to be done in this turn, one queue for each priority.
    queues: Vec<VecDeque<Work>>,
    /// Streams and listeners that had their share and wait for the next turn.
    later: Vec<Token>,
    /// Listeners that rest because descriptors ran out.
    starved: Vec<Token>,
    /// Listeners whose allowance is spent.
    spent: Vec<Token>,
    /// Work for what is out of the table, and what it waits for.
    blocked: Vec<(Token, Work)>,
    watches: descriptors::Descriptors,
    /// The rate limits of its streams.
    limits: Arc<Limits>,
    limits_timer: limits::LimitsTimer,
    now: Tick,
    turn: u32,
    /// Bytes that each stream may move in this turn.
    share: Allotment,
}

/// One thing to be done in a turn.
#[derive(Debug)]
enum Work {
    /// Something the kernel told.
    Kernel(Event),
    /// A stream has something to tell, or a listener may go on.
    Run(Token),
    /// A timer is due.
    Due(Token),
}

impl Work {
    #[inline]
    fn token(&self) -> Token {
        match self {
            Work::Kernel(event) => event.token,
            Work::Run(token) | Work::Due(token) => *token,
        }
    }
}

impl<S, O> Engine<S, O> {
    /// An engine over a backend, with this many priorities (at least 1).
    ///
    /// ```
    /// use ferrevent::engine::Engine;
    /// use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let engine: Engine<(), ()> = Engine::new(backend.into(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(backend: Arc<Backend>, priorities: u8) -> Self {
        let now = backend.sys().now();
        let limits = Arc::new(Limits::new(backend.sys().clone()));
        Self {
            waiting: Some(Waiting::new(&backend)),
            backend,
            table: Table::new(),
            timers: TimerQueue::new(now),
            queues: (0..priorities.max(1)).map(|_| VecDeque::new()).collect(),
            later: Vec::new(),
            starved: Vec::new(),
            spent: Vec::new(),
            blocked: Vec::new(),
            watches: descriptors::Descriptors::default(),
            limits,
            limits_timer: None,
            now,
            turn: 1,
            share: turn::share_of(0),
        }
    }

    /// The backend, for those who wake it.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// engine.backend().wake()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The time of this turn: read once after the wait.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let now = engine.now();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Reads the clock again, for a driver that has worked for long.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let before = engine.now();
    /// assert!(engine.refresh_now() >= before);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn refresh_now(&mut self) -> Tick {
        self.now = self.now.max(self.backend.sys().now());
        self.now
    }

    /// How many registrations there are: streams, listeners, timers, watches
    /// and user events.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// assert_eq!(engine.len(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is registered.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// assert!(engine.is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the key belongs to something that is still registered.
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
    /// assert!(engine.contains(token));
    /// engine.remove(token);
    /// assert!(!engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn contains(&self, token: Token) -> bool {
        self.table.contains(token)
    }

    /// Sets the queue of something's events; a number past the last means the
    /// last. Returns whether there is such a thing.
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
    /// assert!(engine.set_priority(token, Priority(0)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_priority(&mut self, token: Token, priority: Priority) -> bool {
        self.table
            .get_mut(token)
            .map(|entry| entry.set_priority(priority))
            .is_some()
    }

    /// How many priorities there are.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// assert_eq!(engine.priorities(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn priorities(&self) -> u8 {
        u8::try_from(self.queues.len()).unwrap_or(u8::MAX)
    }

    /// Goes on with another backend, in the child of a fork. The driver's
    /// mailbox must be told of it.
    ///
    /// # Errors
    /// When a watched descriptor is refused; everything else goes on.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let other = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None))?;
    /// engine.use_backend(other.into())?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn use_backend(&mut self, backend: Arc<Backend>) -> io::Result<()> {
        self.backend = backend;
        self.waiting = Some(Waiting::new(&self.backend));
        for queue in &mut self.queues {
            queue.retain(|work| !matches!(work, Work::Kernel(_)));
        }
        let mut again = Vec::new();
        for (token, entry) in self.table.iter_mut() {
            match entry {
                Entry::Stream(stream) => stream.use_backend(&self.backend, self.now),
                Entry::Listener(listener) => listener.use_backend(&self.backend),
                _ => continue,
            }
            again.push(token);
        }
        for token in again {
            self.enqueue(token, Work::Run(token));
        }
        self.rewatch_all()
    }
}

/// The error of whoever registers one thing too many.
pub(crate) fn table_full() -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        "four billion registrations exist",
    )
}
