//! The events of C programs: libevent's rules over the engine's watches and
//! the timer queue.
//!
//! What is libevent's own is here: an event that has become active waits in
//! the queue of its priority, where `event_del` still finds it, and after each
//! priority the kernel is asked again. What is ready and when the time has
//! come is the engine's and the timer queue's business.
//!
//! A timer is memory of the program's besides its entry in the queue, which is
//! one more place to wait for. Rounded nanoseconds a timer, one million of them
//! with random deadlines, as in `bench/c/timers_libevent.c`, the best of three
//! rounds on one machine:
//!
//! | | add | again | delete | fire |
//! |---|---|---|---|---|
//! | the queue alone, from Rust | 50 | 70 | 40 | 80 |
//! | here | 60 | 220 | 120 | 350 |
//! | with a list of all timed events, each removed and inserted to be moved | 65 | 310 | 210 | 540 |
//! | as here, but not fetching ahead | 70 | 250 | 185 | 530 |
//! | libevent | 60 | 710 | 410 | 3000 |

mod add;
mod base;
mod base_api;
mod compat;
mod config;
mod dump;
mod event_api;
mod finalize;
mod once;
mod owned;
mod queue;
mod signals;
mod streams;
mod turn;
mod version;

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_short, c_void};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use ferrevent_core::timer::TimerId;
use ferrevent_os::Token;

use crate::layout::{Calls, Event, EventCallback, EventFn, FinalizeFn, Function, Own, fields};
use crate::system::{self, Socket, timeval};
use crate::thread::WaitLock;
use base::Inner;
pub(crate) use streams::Ends;

/// What an event waits for, and what has happened to it (`EV_*`).
pub(crate) mod what {
    use std::ffi::c_short;

    pub(crate) const TIMEOUT: c_short = 0x01;
    pub(crate) const READ: c_short = 0x02;
    pub(crate) const WRITE: c_short = 0x04;
    pub(crate) const SIGNAL: c_short = 0x08;
    pub(crate) const PERSIST: c_short = 0x10;
    pub(crate) const EDGE: c_short = 0x20;
    pub(crate) const FINALIZE: c_short = 0x40;
    pub(crate) const CLOSED: c_short = 0x80;
    pub(crate) const IO: c_short = READ | WRITE | CLOSED;
}

/// Where an event is (`EVLIST_*`).
pub(crate) mod flag {
    use std::ffi::c_short;

    pub(crate) const TIMEOUT: c_short = 0x01;
    pub(crate) const INSERTED: c_short = 0x02;
    pub(crate) const ACTIVE: c_short = 0x08;
    pub(crate) const INTERNAL: c_short = 0x10;
    pub(crate) const ACTIVE_LATER: c_short = 0x20;
    pub(crate) const FINALIZING: c_short = 0x40;
    pub(crate) const INIT: c_short = 0x80;
}

/// What is called for an event that is active.
pub(crate) mod closure {
    pub(crate) const PLAIN: u8 = 0;
    pub(crate) const SIGNAL: u8 = 1;
    pub(crate) const PERSIST: u8 = 2;
    pub(crate) const FINALIZE: u8 = 5;
    pub(crate) const FINALIZE_AND_FREE: u8 = 6;
}

/// An event, wherever the program keeps it: it has promised to keep it until
/// it has deleted it, and to use it and its base from one thread at a time
/// unless there are locks.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ev(NonNull<Event>);

impl Ev {
    fields! {
        flags, set_flags: c_short = callback.flags;
        priority, set_priority: u8 = callback.priority;
        closure, set_closure: u8 = callback.closure;
        argument, set_argument: *mut c_void = callback.argument;
        function, set_function: Option<EventFn> = callback.function.event;
        finalizer, set_finalizer: Option<FinalizeFn> = callback.function.finalize;
        next, set_next: Option<Ev> = callback.next;
        previous, set_previous: Option<Ev> = callback.previous;
        timer, set_timer: Option<TimerId> = timer;
        fd, set_fd: Socket = fd;
        base, set_base: Option<Base> = base;
        watch, set_watch: u64 = watch;
        stream, set_stream: u64 = stream;
        interval, set_interval: timeval = own.interval;
        calls, set_calls: c_short = own.signal.count;
        running_calls, set_running_calls: *mut c_short = own.signal.running;
        events, set_events: c_short = events;
        result, set_result: c_short = result;
        timeout, set_timeout: timeval = timeout;
    }

    pub(crate) fn from_room(room: NonNull<Event>) -> Self {
        Self(room)
    }

    pub(crate) fn room(self) -> NonNull<Event> {
        self.0
    }

    pub(crate) fn address(self) -> usize {
        self.0.addr().get()
    }

    /// Has the processor fetch it: it is used soon.
    #[inline(always)]
    fn prefetch(self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let place = self.0.as_ptr().cast::<i8>().cast_const();
            // SAFETY: this reads nothing that could be seen, wherever it is.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(place);
                _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(64));
            }
        }
    }

    #[inline]
    pub(crate) fn is(self, flags: c_short) -> bool {
        self.flags() & flags != 0
    }

    #[inline]
    pub(crate) fn waits_for(self, events: c_short) -> bool {
        self.events() & events != 0
    }

    /// What it waits for, if that is a signal.
    fn signal(self) -> c_int {
        system::signal_of(self.fd())
    }

    /// The key of its watch, if it has one.
    fn token(self) -> Option<Token> {
        Some(self.watch()).filter(|key| *key != 0).map(Token)
    }

    /// Stops the calls of a signal's callback that are being made.
    fn stop_calls(self) {
        if self.waits_for(what::SIGNAL) && self.calls() != 0 && !self.running_calls().is_null() {
            // SAFETY: it points to the count of the turn that makes the calls,
            // and is reset before that ends.
            unsafe { *self.running_calls() = 0 };
            // The count is gone when the turn is, and the event may be too.
            self.set_running_calls(std::ptr::null_mut());
        }
    }
}

impl Event {
    /// An event that is nothing yet.
    pub(crate) const BLANK: Self = Self {
        callback: EventCallback {
            next: None,
            previous: None,
            flags: 0,
            priority: 0,
            closure: closure::PLAIN,
            function: Function { event: None },
            argument: std::ptr::null_mut(),
        },
        timer: None,
        unused: 0,
        fd: -1,
        base: None,
        watch: 0,
        stream: 0,
        own: Own {
            signal: Calls {
                count: 0,
                running: std::ptr::null_mut(),
            },
        },
        events: 0,
        result: 0,
        timeout: timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
    };
}

/// `struct event_base`.
pub(crate) struct EventBase {
    lock: WaitLock,
    inner: UnsafeCell<Inner>,
}

/// A base that the program has not freed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Base(NonNull<EventBase>);

impl Base {
    #[inline]
    pub(crate) fn hold(self) -> Held {
        self.lock().lock();
        Held { base: self }
    }

    #[inline]
    fn lock<'a>(self) -> &'a WaitLock {
        // SAFETY: the base is there, see `Base`, and its lock does not change
        // as long as it is.
        unsafe { &self.0.as_ref().lock }
    }
}

/// A base, with its lock held: only one thread has it, and no function keeps
/// a reference to what is inside over a call of the program's.
pub(crate) struct Held {
    base: Base,
}

impl Held {
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Calls the program, without the lock.
    #[inline]
    pub(crate) fn away<R>(&mut self, call: impl FnOnce() -> R) -> R {
        self.base.lock().unlock();
        let result = call();
        self.base.lock().lock();
        result
    }

    /// Calls the program with the lock held: it may look, and change nothing.
    pub(crate) fn aside<R>(&mut self, call: impl FnOnce() -> R) -> R {
        call()
    }
}

impl Deref for Held {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        // SAFETY: the lock is held, or there is but one thread; a reference
        // lives no longer than an expression that does not call the program.
        unsafe { &*self.base.0.as_ref().inner.get() }
    }
}

impl DerefMut for Held {
    #[inline]
    fn deref_mut(&mut self) -> &mut Inner {
        // SAFETY: as above.
        unsafe { &mut *self.base.0.as_ref().inner.get() }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        self.base.lock().unlock();
    }
}
