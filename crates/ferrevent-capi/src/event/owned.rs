//! Events of buffers, bufferevents and listeners.

use std::ffi::{c_int, c_short, c_void};

use super::add::{Blocking, Until};
use super::{Base, Ev, closure, event_api, finalize, flag, what};
use crate::layout::{Event, EventFn, FinalizeFn};
use crate::system::{Socket, timeval};
use crate::{debug, memory, time};

/// Of so many callbacks in a turn; what comes then waits for the next.
const MOST_DEFERRED: u32 = 32;

impl Ev {
    /// Makes an event out of room for one.
    pub(crate) fn prepare(
        self,
        base: Option<Base>,
        fd: Socket,
        events: c_short,
        function: EventFn,
        argument: *mut c_void,
    ) {
        event_api::assign(self, base, fd, events, Some(function), argument);
    }

    /// One that calls a function from the loop when it is told to, and may be
    /// added for these events; `None` when there is no room.
    pub(crate) fn deferred(
        base: Option<Base>,
        events: c_short,
        function: EventFn,
        argument: *mut c_void,
    ) -> Option<Self> {
        let ev = Self::from_room(memory::place(Event::BLANK)?);
        ev.prepare(base, -1, events, function, argument);
        Some(ev)
    }

    /// Ends such a one, and frees its room.
    pub(crate) fn drop_deferred(self) {
        event_api::delete(self, Blocking::No);
        debug::gone(self);
        // SAFETY: its room was made by `deferred`, and nothing leads to it any more.
        unsafe { memory::displace(self.room()) };
    }

    /// Has its function called by the loop; false when that is so already.
    pub(crate) fn schedule(self) -> bool {
        let Some(base) = self.base() else {
            return false;
        };
        let mut held = base.hold();
        if self.is(flag::ACTIVE | flag::ACTIVE_LATER) {
            return false;
        }
        if held.deferred > MOST_DEFERRED {
            held.put_off(self, what::TIMEOUT);
        } else {
            held.deferred += 1;
            held.activate(self, what::TIMEOUT, 1);
        }
        true
    }

    /// Adds it; no time at all is no timeout.
    pub(crate) fn start(self, timeout: timeval) -> bool {
        let until = (time::micros_of(timeout) > 0).then_some(Until::After(timeout));
        self.base()
            .is_some_and(|base| base.hold().add(self, until) == 0)
    }

    /// Has its time be over then, in microseconds of the monotonic clock.
    pub(crate) fn start_at(self, deadline: u64) {
        if let Some(base) = self.base() {
            base.hold().add(self, Some(Until::At(deadline)));
        }
    }

    /// Takes its timeout away.
    pub(crate) fn stop_timeout(self) {
        let Some(base) = self.base() else { return };
        let mut held = base.hold();
        if self.is(flag::TIMEOUT) {
            held.stop_timer(self);
        }
        self.set_interval(time::timeval_of(0));
    }

    /// Deletes it, without waiting for its callback.
    pub(crate) fn stop(self) {
        let Some(base) = self.base() else { return };
        let mut held = base.hold();
        self.set_interval(time::timeval_of(0));
        if !self.is(flag::INSERTED | flag::TIMEOUT | flag::ACTIVE | flag::ACTIVE_LATER) {
            return;
        }
        held.delete(self, Blocking::No);
    }

    /// Deletes it for good, and waits while another thread calls its function.
    pub(crate) fn delete_and_wait(self) {
        event_api::delete(self, Blocking::Yes);
        debug::gone(self);
    }

    pub(crate) fn is_added(self) -> bool {
        self.base().is_some_and(|base| {
            let _held = base.hold();
            self.is(flag::INSERTED)
        })
    }

    /// Whether its callback is to be called for one of these.
    pub(crate) fn is_pending(self, events: c_short) -> bool {
        self.base().is_some_and(|base| {
            let _held = base.hold();
            self.is_held_pending(events)
        })
    }

    /// As above, with the lock of the base held.
    fn is_held_pending(self, events: c_short) -> bool {
        self.is(flag::INSERTED) && self.waits_for(events)
            || self.is(flag::ACTIVE | flag::ACTIVE_LATER) && self.result() & events != 0
    }

    /// Has its callback called without asking the kernel, unless it is to be
    /// called anyway: next, while the memory it works on is in the processor's
    /// cache; or in the next turn if this is the turn that is named.
    pub(crate) fn attempt(self, result: c_short, not_in: u32) {
        let Some(base) = self.base() else { return };
        let mut held = base.hold();
        if self.is_held_pending(result) {
            return;
        }
        if held.turn == not_in {
            held.put_off(self, result);
        } else {
            held.activate_first(self, result);
        }
    }

    /// Gives it to another base; false when it is added or active.
    pub(crate) fn move_to(self, base: Option<Base>) -> bool {
        event_api::event_base_set(base, Some(self)) == 0
    }

    /// Sets its priority; false when there is no such or it is active.
    pub(crate) fn set_urgency(self, priority: c_int) -> bool {
        event_api::event_priority_set(Some(self), priority) == 0
    }

    /// Ends it: its finalizer is called from the loop, when no callback of the
    /// event runs. False when it has no loop.
    pub(crate) fn finish(self, finalizer: FinalizeFn) -> bool {
        self.base().is_some() && finalize::end(Some(self), Some(finalizer), closure::FINALIZE) == 0
    }
}

impl Base {
    /// The number of the turn.
    pub(crate) fn turn(self) -> u32 {
        self.hold().turn
    }
}
