//! `event2/event_compat.h`: functions on the base that was made last by
//! `event_init`.

use std::ffi::{c_char, c_int, c_short, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::base_api::{
    event_base_get_method, event_base_loop, event_base_loopbreak, event_base_loopexit,
    event_base_new_with_config, event_base_once, event_base_priority_init,
};
use super::{Base, Ev, EventBase, event_api};
use crate::layout::EventFn;
use crate::log;
use crate::system::{Socket, timeval};

/// The base of functions that name none.
pub(super) static CURRENT: Current = Current(AtomicPtr::new(ptr::null_mut()));

pub(super) struct Current(AtomicPtr<EventBase>);

impl Current {
    pub(super) fn load(&self) -> Option<Base> {
        NonNull::new(self.0.load(Ordering::Acquire)).map(Base)
    }

    pub(super) fn store(&self, base: Option<Base>) {
        let place = base.map_or(ptr::null_mut(), |base| base.0.as_ptr());
        self.0.store(place, Ordering::Release);
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_init() -> Option<Base> {
    let base = event_base_new_with_config(None);
    if base.is_none() {
        log::fatal(1, "event_init: no event base can be made");
    }
    CURRENT.store(base);
    base
}

#[unsafe(no_mangle)]
extern "C" fn event_dispatch() -> c_int {
    event_loop(0)
}

#[unsafe(no_mangle)]
extern "C" fn event_loop(flags: c_int) -> c_int {
    event_base_loop(CURRENT.load(), flags)
}

#[unsafe(no_mangle)]
extern "C" fn event_loopexit(timeout: Option<&timeval>) -> c_int {
    event_base_loopexit(CURRENT.load(), timeout)
}

#[unsafe(no_mangle)]
extern "C" fn event_loopbreak() -> c_int {
    event_base_loopbreak(CURRENT.load())
}

#[unsafe(no_mangle)]
extern "C" fn event_once(
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
    timeout: Option<&timeval>,
) -> c_int {
    event_base_once(CURRENT.load(), fd, events, function, argument, timeout)
}

#[unsafe(no_mangle)]
extern "C" fn event_get_method() -> *const c_char {
    event_base_get_method(CURRENT.load())
}

#[unsafe(no_mangle)]
extern "C" fn event_priority_init(number: c_int) -> c_int {
    event_base_priority_init(CURRENT.load(), number)
}

#[unsafe(no_mangle)]
extern "C" fn event_set(
    ev: Option<Ev>,
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
) {
    if let Some(ev) = ev {
        event_api::assign(ev, CURRENT.load(), fd, events, function, argument);
    }
}
