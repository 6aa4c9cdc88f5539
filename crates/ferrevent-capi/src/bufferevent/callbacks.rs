//! Calling the program's callbacks, at once or from the loop.

use std::ffi::{c_int, c_short, c_void};

use super::{Bev, Waiting, option, told};
use crate::event::{Ev, what};
use crate::system::Socket;

/// How callbacks are to be called (`BEV_TRIG_*`).
pub(super) mod trigger {
    use std::ffi::c_int;

    pub(in crate::bufferevent) const DEFER: c_int = super::option::DEFER;
    pub(in crate::bufferevent) const IGNORE_MARKS: c_int = 1 << 16;
    pub(in crate::bufferevent) const ALL: c_int = DEFER | IGNORE_MARKS;
}

impl Bev {
    /// Calls the callbacks for bytes, if the low marks say so.
    pub(super) fn trigger(self, events: c_short, options: c_int) {
        let ignores = options & trigger::IGNORE_MARKS != 0;
        if events & what::READ != 0 && (ignores || self.input().len() >= self.read_marks().low) {
            self.call_read(options);
        }
        if events & what::WRITE != 0 && (ignores || self.output().len() <= self.write_marks().low) {
            self.call_write(options);
        }
    }

    fn call_read(self, options: c_int) {
        let Some(call) = self.on_read() else { return };
        if (self.options() | options) & option::DEFER != 0 {
            self.put_off(|waiting| waiting.read = true);
            return;
        }
        // SAFETY: what the program has given to be called now.
        unsafe { call(self, self.argument()) };
        self.call_again_at_high_mark();
    }

    fn call_write(self, options: c_int) {
        let Some(call) = self.on_write() else { return };
        if (self.options() | options) & option::DEFER != 0 {
            self.put_off(|waiting| waiting.write = true);
            return;
        }
        // SAFETY: what the program has given to be called now.
        unsafe { call(self, self.argument()) };
    }

    /// Tells of what has happened besides bytes.
    pub(super) fn tell(self, events: c_short, options: c_int) {
        let Some(call) = self.on_event() else { return };
        if (self.options() | options) & option::DEFER != 0 {
            let error = errno();
            self.put_off(|waiting| {
                waiting.events |= events;
                waiting.error = error;
            });
            return;
        }
        // SAFETY: what the program has given to be called now.
        unsafe { call(self, events, self.argument()) };
    }

    /// With an input that is full, reading rests: a callback that has left it
    /// so is called again.
    fn call_again_at_high_mark(self) {
        let high = self.read_marks().high;
        if high != 0 && self.enabled() & what::READ != 0 && self.input().len() >= high {
            self.trigger(what::READ, trigger::DEFER);
        }
    }

    fn put_off(self, note: impl FnOnce(&mut Waiting)) {
        self.make_rare(|it| note(&mut it.waiting));
        if let Some(ev) = self.deferred_event()
            && ev.schedule()
        {
            self.set_references(self.references() + 1);
        }
    }

    fn deferred_event(self) -> Option<Ev> {
        let known = self.make_rare(|it| it.deferred);
        if known.is_some() {
            return known;
        }
        let made = Ev::deferred(self.base(), 0, deferred, self.as_argument());
        self.make_rare(|it| it.deferred = made);
        made
    }

    /// Takes out what waits and is one of these.
    fn take_waiting<T>(self, take: impl FnOnce(&mut Waiting) -> T) -> T {
        self.make_rare(|it| take(&mut it.waiting))
    }

    /// Calls the program, without the lock if it has asked for that.
    fn call_deferred(self, call: impl FnOnce(*mut c_void)) {
        let argument = self.argument();
        if self.has(option::UNLOCK) {
            self.unlock();
            call(argument);
            self.lock();
        } else {
            call(argument);
        }
    }

    fn call_waiting(self) {
        // That it is connected happened before any byte came or went.
        if let Some(call) = self.on_event() {
            let connected = self.take_waiting(|waiting| {
                let connected = waiting.events & told::CONNECTED;
                waiting.events &= !told::CONNECTED;
                connected != 0
            });
            if connected {
                // SAFETY: what the program has given to be called now.
                self.call_deferred(|it| unsafe { call(self, told::CONNECTED, it) });
            }
        }
        if let Some(call) = self.on_read()
            && self.take_waiting(|waiting| std::mem::take(&mut waiting.read))
        {
            // SAFETY: as above.
            self.call_deferred(|it| unsafe { call(self, it) });
            self.call_again_at_high_mark();
        }
        if let Some(call) = self.on_write()
            && self.take_waiting(|waiting| std::mem::take(&mut waiting.write))
        {
            // SAFETY: as above.
            self.call_deferred(|it| unsafe { call(self, it) });
        }
        if let Some(call) = self.on_event() {
            let (events, error) = self.take_waiting(|waiting| {
                let error = std::mem::take(&mut waiting.error);
                (std::mem::take(&mut waiting.events), error)
            });
            if events != 0 {
                set_errno(error);
                // SAFETY: as above.
                self.call_deferred(|it| unsafe { call(self, events, it) });
            }
        }
    }
}

unsafe extern "C" fn deferred(_: Socket, _: c_short, bev: *mut c_void) {
    // SAFETY: the argument of its own event, which has a reference to it.
    let bev = unsafe { Bev::of_argument(bev) };
    bev.lock();
    bev.call_waiting();
    bev.release();
}

pub(super) use crate::system::{last_error as errno, set_last_error as set_errno};

#[unsafe(no_mangle)]
extern "C" fn bufferevent_trigger(bev: Bev, events: c_short, options: c_int) {
    let _held = bev.hold();
    bev.trigger(events, options & trigger::ALL);
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_trigger_event(bev: Bev, events: c_short, options: c_int) {
    let _held = bev.hold();
    bev.tell(events, options & trigger::ALL);
}
