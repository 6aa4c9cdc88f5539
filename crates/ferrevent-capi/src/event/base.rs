//! What a base has inside.

use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::ffi::{c_int, c_short, c_uint};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ferrevent::BackendKind;
use ferrevent::engine::Engine;
use ferrevent_core::timer::Tick;
use ferrevent_core::timer::TimerQueue;
use ferrevent_os::Backend;
use ferrevent_os::sys::{Clock, Sys};

use super::config::{Config, Features};
use super::once::Once;
use super::queue::Queue;
use super::signals::Signals;
use super::streams::{Ends, Streams};
use super::{Base, Ev, EventBase, flag};
use crate::system::timeval;
use crate::thread::{self, WaitLock};
use crate::{log, memory, system, time};

/// The state of a base.
pub(crate) struct Inner {
    pub(super) engine: Engine<Ends, Ev>,
    pub(super) features: Features,
    pub(super) signals: Signals,
    pub(super) streams: Streams,
    /// Whether bufferevents have streams under them.
    pub(super) moves_bytes: bool,
    /// Deadlines, in microseconds of the monotonic clock.
    pub(super) timers: TimerQueue<Ev>,
    /// The events that are active, by priority.
    pub(super) active: Vec<Queue>,
    /// Those that will be, at the next turn.
    pub(super) later: Queue,
    pub(super) counts: Counts,
    /// Whose callback runs, and how many threads wait for its end.
    pub(super) current: Option<Ev>,
    pub(super) waiters: u32,
    /// Callbacks that have ended.
    pub(super) finished: u64,
    /// The thread that turns it.
    pub(super) owner: Option<usize>,
    pub(super) running_priority: Option<usize>,
    /// The number of the turn, and how many callbacks of the library's own
    /// were put into it.
    pub(super) turn: u32,
    pub(super) deferred: u32,
    /// It waits for the kernel, and has to be woken for what changes.
    pub(super) asleep: bool,
    pub(super) got_exit: bool,
    pub(super) got_break: bool,
    pub(super) go_on: bool,
    /// Room for what the kernel tells of one descriptor; empty between turns.
    pub(super) batch: Vec<(Ev, c_short)>,
    /// The time of this turn, while there is one.
    cached: Option<u64>,
    caches_time: bool,
    /// From the monotonic clock to that of the day, and when that was found.
    to_real: i64,
    to_real_found: Option<u64>,
    pub(super) limits: Limits,
    pub(super) once: HashSet<NonNull<Once>>,
    /// Durations that are common: the program holds on to their places, so
    /// there is room for all from the first on.
    common: Vec<timeval>,
}

/// How much is run before the kernel is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) time: Option<u64>,
    pub(super) callbacks: usize,
    /// From this priority on.
    pub(super) from_priority: usize,
}

/// Events that are added or active: an event may count several times.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) added: c_int,
    pub(super) added_most: c_int,
    pub(super) active: c_int,
    pub(super) active_most: c_int,
}

impl Counts {
    #[inline]
    pub(super) fn add(&mut self, ev: Ev) {
        if !ev.is(flag::INTERNAL) {
            self.added += 1;
            self.added_most = self.added_most.max(self.added);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, ev: Ev) {
        if !ev.is(flag::INTERNAL) {
            self.added -= 1;
        }
    }

    #[inline]
    pub(super) fn activate(&mut self) {
        self.active += 1;
        self.active_most = self.active_most.max(self.active);
    }
}

/// How often the clock of the day is compared with the monotonic one.
const COMPARE_EVERY: u64 = 5_000_000;
/// A common duration is told by these bits of its microseconds, and its
/// number by those after them.
const COMMON_MASK: i64 = 0xf000_0000;
const COMMON: i64 = 0x5000_0000;
const COMMON_NUMBER: i64 = 0x0ff0_0000;
const COMMON_MICROS: i64 = 0x000f_ffff;
const COMMON_SHIFT: u32 = 20;
const COMMON_MOST: usize = 256;

impl Base {
    /// Makes a base as the configuration and the environment will have it.
    pub(super) fn new(config: &Config) -> io::Result<Self> {
        let kind = config.choose().ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "no event mechanism is left")
        })?;
        let backend = open(kind)?;
        let kind = backend.kind();
        if config.shows_method() {
            log::message(format_args!("libevent using: {kind}"));
        }
        let lock = if config.wants_lock() {
            WaitLock::new().ok_or(io::ErrorKind::OutOfMemory)?
        } else {
            WaitLock::NONE
        };
        let now = time::monotonic();
        let inner = Inner {
            engine: Engine::new(Arc::new(backend), 1),
            features: Features::of(kind),
            signals: Signals::default(),
            streams: Streams::default(),
            moves_bytes: config.moves_bytes(kind),
            timers: TimerQueue::new(Tick(now)),
            active: vec![Queue::default()],
            later: Queue::default(),
            counts: Counts::default(),
            current: None,
            waiters: 0,
            finished: 0,
            owner: None,
            running_priority: None,
            turn: 1,
            deferred: 0,
            asleep: false,
            got_exit: false,
            got_break: false,
            go_on: false,
            batch: Vec::new(),
            cached: None,
            caches_time: config.caches_time(),
            to_real: 0,
            to_real_found: None,
            limits: config.limits(),
            once: HashSet::new(),
            common: Vec::new(),
        };
        let base = memory::place(EventBase {
            lock,
            inner: UnsafeCell::new(inner),
        });
        Ok(Self(base.ok_or(io::ErrorKind::OutOfMemory)?))
    }

    /// Ends a base. What is still added is deleted; what was being finalised
    /// is, if `finalise` says so.
    pub(super) fn free(self, finalise: bool) {
        let mut held = self.hold();
        for ev in held.everything() {
            held.forget(ev, finalise);
        }
        held.end_all_streams();
        let once: Vec<_> = held.once.drain().collect();
        drop(held);
        for once in once {
            // SAFETY: it was made by `place`, and its event is deleted.
            unsafe { memory::displace(once) };
        }
        // SAFETY: the program has said that it uses the base no more.
        unsafe { memory::displace(self.0) };
    }
}

pub(super) fn open(kind: BackendKind) -> io::Result<Backend> {
    Backend::new(kind, Sys::new(Clock::real(), None))
}

impl Inner {
    /// The time: that of the turn, while there is one.
    #[inline]
    pub(super) fn now(&mut self) -> u64 {
        match self.cached {
            Some(now) => now,
            None => self.look_at_clock(),
        }
    }

    fn look_at_clock(&mut self) -> u64 {
        let now = time::monotonic();
        if self
            .to_real_found
            .is_none_or(|found| found + COMPARE_EVERY < now)
        {
            self.to_real = time::real().cast_signed() - now.cast_signed();
            self.to_real_found = Some(now);
        }
        now
    }

    #[inline]
    pub(super) fn cache_time(&mut self) {
        self.cached = None;
        if self.caches_time {
            self.cached = Some(self.look_at_clock());
        }
    }

    pub(super) fn forget_time(&mut self) {
        self.cached = None;
    }

    pub(super) fn has_cached_time(&self) -> bool {
        self.cached.is_some()
    }

    /// A time of the monotonic clock by that of the day.
    pub(super) fn real_of(&self, monotonic: u64) -> timeval {
        time::timeval_of(monotonic.saturating_add_signed(self.to_real))
    }

    /// Whether something is added or active.
    #[inline]
    pub(super) fn has_events(&self) -> bool {
        self.counts.added > 0
    }

    pub(super) fn count(&self, which: c_uint) -> c_int {
        let mut sum = 0;
        if which & 1 != 0 {
            sum += self.counts.active;
        }
        if which & 4 != 0 {
            sum += self.counts.added;
        }
        sum
    }

    pub(super) fn most(&mut self, which: c_uint, clear: bool) -> c_int {
        let mut sum = 0;
        if which & 1 != 0 {
            sum += self.counts.active_most;
            if clear {
                self.counts.active_most = 0;
            }
        }
        if which & 4 != 0 {
            sum += self.counts.added_most;
            if clear {
                self.counts.added_most = 0;
            }
        }
        sum
    }

    /// The place of a common duration, which stays where it is; `None` when
    /// there are too many.
    pub(super) fn common(&mut self, duration: timeval) -> Option<*const timeval> {
        let duration = self.plain(duration);
        let micros = time::micros_of(duration);
        let same = |it: &&timeval| {
            let (seconds, marked) = system::parts_of(**it);
            let plain = system::timeval_of(seconds, marked & COMMON_MICROS);
            time::micros_of(plain) == micros
        };
        if let Some(known) = self.common.iter().find(same) {
            return Some(ptr::from_ref(known));
        }
        let number = self.common.len();
        if number >= COMMON_MOST {
            log::warn(format_args!(
                "a base has no more than {COMMON_MOST} common durations"
            ));
            return None;
        }
        let (seconds, plain) = system::parts_of(time::timeval_of(micros));
        let mark = COMMON | (number as i64) << COMMON_SHIFT;
        let marked = system::timeval_of(seconds, plain | mark);
        self.common.reserve_exact(COMMON_MOST - number);
        self.common.push(marked);
        self.common.last().map(ptr::from_ref)
    }

    /// A duration, without the mark of a common one.
    #[inline]
    pub(super) fn plain(&self, duration: timeval) -> timeval {
        let (seconds, marked) = system::parts_of(duration);
        let number = (marked & COMMON_NUMBER) >> COMMON_SHIFT;
        if marked & COMMON_MASK == COMMON && (number as usize) < self.common.len() {
            return system::timeval_of(seconds, marked & COMMON_MICROS);
        }
        duration
    }

    /// Whoever waits for the kernel looks again. Another thread is not woken
    /// in a program that has not set up threads, as in libevent: the base has
    /// no lock, and both would be in it at once.
    #[inline]
    pub(super) fn notify(&self) {
        if self.asleep
            && (thread::are_told_apart() || self.owner == Some(thread::current()))
            && let Err(error) = self.engine.backend().wake()
        {
            log::warn_error("a base that waits cannot be woken", &error);
        }
    }

    /// Goes on in the child of a fork.
    pub(super) fn reinit(&mut self) -> io::Result<()> {
        let backend = Arc::new(open(self.engine.backend().kind())?);
        self.signals.use_backend(&backend)?;
        self.engine.use_backend(backend)
    }
}
