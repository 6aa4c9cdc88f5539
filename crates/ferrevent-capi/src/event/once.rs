//! Events that nobody holds: they happen once, and are gone.

use std::ffi::{c_int, c_short, c_void};
use std::ptr::NonNull;

use super::add::Until;
use super::{Base, Ev, event_api, what};
use crate::layout::{Event, EventFn};
use crate::memory;
use crate::system::{Socket, timeval};

pub(super) struct Once {
    event: Event,
    base: Base,
    function: EventFn,
    argument: *mut c_void,
}

impl Base {
    /// Calls a function once, when something has happened or a time is over.
    pub(super) fn once(
        self,
        fd: Socket,
        events: c_short,
        function: EventFn,
        argument: *mut c_void,
        timeout: Option<timeval>,
    ) -> c_int {
        if events & (what::SIGNAL | what::PERSIST) != 0 {
            return -1;
        }
        let is_timer = events & (what::TIMEOUT | what::IO) == what::TIMEOUT;
        if !is_timer && events & what::IO == 0 {
            return -1;
        }
        let once = memory::place(Once {
            event: Event::BLANK,
            base: self,
            function,
            argument,
        });
        let Some(once) = once else { return -1 };
        // SAFETY: a field of what was just made.
        let room = unsafe { NonNull::new_unchecked(&raw mut (*once.as_ptr()).event) };
        let ev = Ev::from_room(room);
        let (fd, events) = if is_timer {
            (-1, 0)
        } else {
            (fd, events & what::IO)
        };
        event_api::assign(ev, Some(self), fd, events, Some(call), once.as_ptr().cast());
        let mut held = self.hold();
        held.once.insert(once);
        let at_once = timeout.is_none_or(|it| it.tv_sec == 0 && it.tv_usec == 0);
        let outcome = if is_timer && at_once {
            held.activate(ev, what::TIMEOUT, 1);
            0
        } else {
            held.add(ev, timeout.map(Until::After))
        };
        if outcome != 0 {
            held.once.remove(&once);
            // SAFETY: made above, and not added.
            unsafe { memory::displace(once) };
        }
        outcome
    }
}

unsafe extern "C" fn call(fd: Socket, result: c_short, once: *mut c_void) {
    let Some(once) = NonNull::new(once.cast::<Once>()) else {
        return;
    };
    // SAFETY: made by `once`, and its event is deleted before it is called.
    let (base, function, argument) = unsafe {
        let once = once.as_ref();
        (once.base, once.function, once.argument)
    };
    base.hold().once.remove(&once);
    // SAFETY: what the program has given to be called now.
    unsafe { function(fd, result, argument) };
    // SAFETY: nothing leads to it any more.
    unsafe { memory::displace(once) };
}
