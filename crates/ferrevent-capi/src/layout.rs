//! `struct event` as C programs see it. They may allocate it themselves, and
//! read it, so every field has its place; those that are lists in libevent
//! are ours to use.

use std::ffi::{c_int, c_short, c_void};
use std::mem::{offset_of, size_of};

use ferrevent_core::timer::TimerId;
use libc::timeval;

use crate::event::{Base, Ev};

/// The callback of an event: descriptor or signal, what happened, argument.
pub(crate) type EventFn = unsafe extern "C" fn(c_int, c_short, *mut c_void);
/// The callback of an event's end.
pub(crate) type FinalizeFn = unsafe extern "C" fn(Ev, *mut c_void);

#[repr(C)]
pub(crate) struct EventCallback {
    /// Its neighbours among those that are active.
    pub(crate) next: Option<Ev>,
    pub(crate) previous: Option<Ev>,
    pub(crate) flags: c_short,
    pub(crate) priority: u8,
    pub(crate) closure: u8,
    pub(crate) function: Function,
    pub(crate) argument: *mut c_void,
}

#[repr(C)]
pub(crate) union Function {
    pub(crate) event: Option<EventFn>,
    pub(crate) finalize: Option<FinalizeFn>,
}

#[repr(C)]
pub(crate) struct Event {
    pub(crate) callback: EventCallback,
    /// While its time runs.
    pub(crate) timer: Option<TimerId>,
    /// Its place among those whose time runs.
    pub(crate) timed_place: usize,
    pub(crate) fd: c_int,
    pub(crate) base: Option<Base>,
    /// The engine's key of its watch, or 0.
    pub(crate) watch: u64,
    pub(crate) reserved: u64,
    pub(crate) own: Own,
    pub(crate) events: c_short,
    pub(crate) result: c_short,
    /// When its time is over, by the monotonic clock.
    pub(crate) timeout: timeval,
}

/// What only one kind of event has.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union Own {
    /// The interval of one that persists.
    pub(crate) interval: timeval,
    pub(crate) signal: Calls,
}

/// How often the callback of a signal is still to be called.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) count: c_short,
    /// The count of the calls that are being made.
    pub(crate) running: *mut c_short,
}

const _: () = {
    assert!(size_of::<EventCallback>() == 40);
    assert!(offset_of!(EventCallback, flags) == 16);
    assert!(offset_of!(EventCallback, priority) == 18);
    assert!(offset_of!(EventCallback, closure) == 19);
    assert!(offset_of!(EventCallback, function) == 24);
    assert!(offset_of!(EventCallback, argument) == 32);
    assert!(size_of::<Event>() == 128);
    assert!(offset_of!(Event, timer) == 40);
    assert!(offset_of!(Event, fd) == 56);
    assert!(offset_of!(Event, base) == 64);
    assert!(offset_of!(Event, watch) == 72);
    assert!(offset_of!(Event, own) == 88);
    assert!(offset_of!(Calls, running) == 8);
    assert!(offset_of!(Event, events) == 104);
    assert!(offset_of!(Event, result) == 106);
    assert!(offset_of!(Event, timeout) == 112);
};
