//! Bufferevents that share limits, or one alone: a tree of the engine's, and
//! the timer that wakes it.
//!
//! Whoever moves bytes asks the tree, and anybody may change it, so it has a
//! lock of its own. It is taken with the lock of a bufferevent held, and that
//! of a base is taken with it held; while it is, nobody of the program's is
//! called. What the tree knows of a member is the event that is activated when
//! its turn has come: it is there as long as the member is.

use std::ffi::{c_short, c_void};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use ferrevent_core::limit::Tree;
use ferrevent_core::timer::Tick;

use crate::event::{Base, Ev, what};
use crate::layout::Event;
use crate::system::Socket;
use crate::{memory, time};

/// It is there until [`free`](Pool::free).
#[derive(Clone, Copy)]
pub(super) struct Pool(NonNull<Inner>);

struct Inner {
    timer: Event,
    state: Mutex<State>,
    /// The timer's base goes on as long as it is there.
    stays: bool,
}

struct State {
    tree: Tree<Ev>,
    /// When the timer is due.
    armed: Option<Tick>,
}

impl Pool {
    /// One whose turns come by way of this base.
    pub(super) fn new(base: Option<Base>, stays: bool) -> Option<Self> {
        let pool = Self(memory::place(Inner {
            timer: Event::BLANK,
            state: Mutex::new(State {
                tree: Tree::new(),
                armed: None,
            }),
            stays,
        })?);
        // Without a descriptor nothing can be read: it is only added.
        let events = if stays { what::READ } else { 0 };
        let argument = pool.0.as_ptr().cast();
        pool.timer().prepare(base, -1, events, due, argument);
        pool.stay();
        Some(pool)
    }

    /// Ends it; nobody is in it any more.
    pub(super) fn free(self) {
        self.timer().delete_and_wait();
        // SAFETY: made by `new`, and its timer calls it no more.
        unsafe { memory::displace(self.0) };
    }

    fn timer(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).timer) })
    }

    fn stay(self) {
        // SAFETY: it is there, and this does not change.
        if unsafe { (*self.0.as_ptr()).stays } {
            self.timer().start(time::timeval_of(0));
        }
    }

    /// Works on the tree, and lets those go on whose turn has come by that.
    pub(super) fn with<R>(self, work: impl FnOnce(&mut Tree<Ev>, Tick) -> R) -> R {
        self.with_state(|state, now| work(&mut state.tree, now))
    }

    fn with_state<R>(self, work: impl FnOnce(&mut State, Tick) -> R) -> R {
        // SAFETY: it is there, and its lock does not change.
        let state = unsafe { &(*self.0.as_ptr()).state };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state, Tick(time::monotonic()));
        while let Some(turn) = state.tree.next_granted() {
            turn.schedule();
        }
        let wake_at = state.tree.wake_at();
        if state.armed != wake_at {
            state.armed = wake_at;
            match wake_at {
                Some(at) => self.timer().start_at(at.0),
                None => self.timer().stop_timeout(),
            }
        }
        result
    }

    /// Gives its timer to another base.
    pub(super) fn move_to(self, base: Option<Base>) {
        self.with_state(|state, _| {
            state.armed = None;
            self.timer().stop();
            self.timer().move_to(base);
        });
        self.stay();
    }
}

unsafe extern "C" fn due(_: Socket, _: c_short, pool: *mut c_void) {
    let Some(pool) = NonNull::new(pool.cast()).map(Pool) else {
        return;
    };
    pool.stay();
    pool.with_state(|state, now| {
        state.armed = None;
        state.tree.pump(now);
    });
}
