//! What all bufferevents have in common.

use std::ffi::{c_int, c_short, c_void};
use std::mem::MaybeUninit;

use super::{Bev, Kind};
use crate::buffer::{self, Buf};
use crate::event::Base;
use crate::layout::{DataFn, TellFn};
use crate::system::timeval;
use crate::time;

impl Bev {
    pub(super) fn set_callbacks(
        self,
        on_read: Option<DataFn>,
        on_write: Option<DataFn>,
        on_event: Option<TellFn>,
        argument: *mut c_void,
    ) {
        let _held = self.hold();
        self.set_on_read(on_read);
        self.set_on_write(on_write);
        self.set_on_event(on_event);
        self.set_argument(argument);
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn bufferevent_free(bev: Option<Bev>) {
    let Some(bev) = bev else { return };
    bev.lock();
    bev.set_callbacks(None, None, None, std::ptr::null_mut());
    bev.release();
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_incref(bev: Bev) {
    bev.lock();
    bev.set_references(bev.references() + 1);
    bev.unlock();
}

/// Answers whether it was the last reference.
#[unsafe(no_mangle)]
extern "C" fn bufferevent_decref(bev: Bev) -> c_int {
    bev.lock();
    bev.release().into()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_lock(bev: Bev) {
    bev.lock();
    bev.set_references(bev.references() + 1);
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_unlock(bev: Bev) {
    bev.release();
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_setcb(
    bev: Bev,
    on_read: Option<DataFn>,
    on_write: Option<DataFn>,
    on_event: Option<TellFn>,
    argument: *mut c_void,
) {
    bev.set_callbacks(on_read, on_write, on_event, argument);
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_getcb(
    bev: Bev,
    on_read: Option<&mut MaybeUninit<Option<DataFn>>>,
    on_write: Option<&mut MaybeUninit<Option<DataFn>>>,
    on_event: Option<&mut MaybeUninit<Option<TellFn>>>,
    argument: Option<&mut MaybeUninit<*mut c_void>>,
) {
    fn tell<T>(place: Option<&mut MaybeUninit<T>>, value: T) {
        if let Some(place) = place {
            place.write(value);
        }
    }
    let _held = bev.hold();
    tell(on_read, bev.on_read());
    tell(on_write, bev.on_write());
    tell(on_event, bev.on_event());
    tell(argument, bev.argument());
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_base(bev: Bev) -> Option<Base> {
    bev.base()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_input(bev: Bev) -> Buf {
    bev.input()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_output(bev: Bev) -> Buf {
    bev.output()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_enabled(bev: Bev) -> c_short {
    let _held = bev.hold();
    bev.enabled()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_enable(bev: Bev, events: c_short) -> c_int {
    let _held = bev.hold();
    if bev.enable(events) { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_disable(bev: Bev, events: c_short) -> c_int {
    let _held = bev.hold();
    if bev.disable(events) { 0 } else { -1 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bufferevent_write(bev: Bev, data: *const c_void, length: usize) -> c_int {
    // SAFETY: the caller's bytes.
    unsafe { buffer::evbuffer_add(bev.output(), data, length) }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_write_buffer(bev: Bev, from: Buf) -> c_int {
    Buf::pour(bev.output(), from)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bufferevent_read(bev: Bev, to: *mut c_void, length: usize) -> usize {
    // SAFETY: the caller's room.
    let taken = unsafe { buffer::evbuffer_remove(bev.input(), to, length) };
    // As C converts it.
    (taken as isize).cast_unsigned()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_read_buffer(bev: Bev, to: Buf) -> c_int {
    Buf::pour(to, bev.input())
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn bufferevent_set_timeouts(
    bev: Bev,
    read: Option<&timeval>,
    write: Option<&timeval>,
) -> c_int {
    let none = time::timeval_of(0);
    let _held = bev.hold();
    bev.set_read_timeout(read.copied().unwrap_or(none));
    bev.set_write_timeout(write.copied().unwrap_or(none));
    let outcome = if bev.kind() == Kind::Socket {
        bev.socket_timeouts_changed()
    } else {
        bev.timeouts_changed();
        true
    };
    if outcome { 0 } else { -1 }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn bufferevent_flush(bev: Bev, events: c_short, mode: c_int) -> c_int {
    let _held = bev.hold();
    match bev.kind() {
        Kind::Socket => 0,
        Kind::Pair => bev.flush_pair(events, mode),
        Kind::Filter => bev.flush_filter(events, mode),
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_priority(bev: Bev) -> c_int {
    let _held = bev.hold();
    bev.read_event().priority().into()
}
