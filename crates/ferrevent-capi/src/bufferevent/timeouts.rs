//! Timeouts of bufferevents that have no descriptor: their two events are
//! nothing but timers.

use std::ffi::{c_short, c_void};

use super::{Bev, told};
use crate::event::{Ev, what};
use crate::layout::EventFn;
use crate::system::{Socket, timeval};
use crate::time;

impl Bev {
    pub(super) fn prepare_timeouts(self) {
        let argument = self.as_argument();
        for (ev, function) in [
            (self.read_event(), read_timed_out as EventFn),
            (self.write_event(), write_timed_out as EventFn),
        ] {
            ev.prepare(self.base(), -1, what::FINALIZE, function, argument);
        }
    }

    pub(super) fn restart_read_timeout(self) {
        restart(self.read_event(), self.read_timeout());
    }

    pub(super) fn restart_write_timeout(self) {
        restart(self.write_event(), self.write_timeout());
    }

    pub(super) fn stop_timeouts(self, events: c_short) {
        if events & what::READ != 0 {
            self.read_event().stop();
        }
        if events & what::WRITE != 0 {
            self.write_event().stop();
        }
    }

    /// The program has changed them.
    pub(super) fn timeouts_changed(self) {
        let enabled = self.awake(self.enabled());
        self.stop_timeouts(what::READ | what::WRITE);
        if enabled & what::READ != 0 {
            self.restart_read_timeout();
        }
        if enabled & what::WRITE != 0 && self.output().len() > 0 {
            self.restart_write_timeout();
        }
    }
}

fn restart(ev: Ev, timeout: timeval) {
    if time::micros_of(timeout) > 0 {
        ev.start(timeout);
    }
}

unsafe extern "C" fn read_timed_out(_: Socket, _: c_short, bev: *mut c_void) {
    // SAFETY: the argument of its own event.
    timed_out(unsafe { Bev::of_argument(bev) }, what::READ, told::READING);
}

unsafe extern "C" fn write_timed_out(_: Socket, _: c_short, bev: *mut c_void) {
    // SAFETY: as above.
    timed_out(unsafe { Bev::of_argument(bev) }, what::WRITE, told::WRITING);
}

fn timed_out(bev: Bev, direction: c_short, doing: c_short) {
    let _held = bev.hold();
    bev.disable(direction);
    bev.tell(told::TIMEOUT | doing, 0);
}
