//! `struct event` and `struct bufferevent` as C programs see them. They may
//! allocate the former themselves, and read both, so every field has its
//! place; those that are lists in libevent are ours to use.

use std::ffi::{c_char, c_int, c_short, c_void};
use std::mem::{offset_of, size_of};

use ferrevent_core::timer::TimerId;

use crate::buffer::Buf;
use crate::bufferevent::Bev;
use crate::event::{Base, Ev};
use crate::system::{Socket, timeval};

/// Reads and writes the fields of what a handle stands for: it is there, as
/// the handle says, and no reference to it is kept.
macro_rules! fields {
    ($($read:ident, $write:ident: $type:ty = $($field:ident).+;)*) => { $(
        #[inline]
        #[allow(dead_code, reason = "made for every field")]
        pub(crate) fn $read(self) -> $type {
            // SAFETY: what the handle stands for is there, and no reference
            // to it is kept.
            unsafe { (*self.0.as_ptr()).$($field).+ }
        }

        #[inline]
        #[allow(dead_code, reason = "made for every field")]
        pub(crate) fn $write(self, value: $type) {
            // SAFETY: as above.
            unsafe { (*self.0.as_ptr()).$($field).+ = value }
        }
    )* };
}
pub(crate) use fields;

/// The callback of an event: descriptor or signal, what happened, argument.
pub(crate) type EventFn = unsafe extern "C" fn(Socket, c_short, *mut c_void);
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
    pub(crate) unused: usize,
    pub(crate) fd: Socket,
    pub(crate) base: Option<Base>,
    /// The engine's key of its watch, or 0.
    pub(crate) watch: u64,
    /// The engine's key of its stream, or 0.
    pub(crate) stream: u64,
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

/// The callbacks of a bufferevent: for bytes, and for what happens besides.
pub(crate) type DataFn = unsafe extern "C" fn(Bev, *mut c_void);
pub(crate) type TellFn = unsafe extern "C" fn(Bev, c_short, *mut c_void);

/// The part of a bufferevent that programs see.
#[repr(C)]
pub(crate) struct BufferEvent {
    pub(crate) base: Option<Base>,
    pub(crate) kind: *const c_void,
    pub(crate) read: Event,
    pub(crate) write: Event,
    pub(crate) input: Buf,
    pub(crate) output: Buf,
    pub(crate) read_marks: Watermarks,
    pub(crate) write_marks: Watermarks,
    pub(crate) on_read: Option<DataFn>,
    pub(crate) on_write: Option<DataFn>,
    pub(crate) on_event: Option<TellFn>,
    pub(crate) argument: *mut c_void,
    pub(crate) read_timeout: timeval,
    pub(crate) write_timeout: timeval,
    pub(crate) enabled: c_short,
}

/// `struct event_watermark`; 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Watermarks {
    pub(crate) low: usize,
    pub(crate) high: usize,
}

/// `struct evdns_server_request`: what programs see of it.
#[repr(C)]
pub(crate) struct DnsRequest {
    pub(crate) flags: c_int,
    pub(crate) count: c_int,
    pub(crate) questions: *const *const DnsQuestion,
}

/// `struct evdns_server_question`, with the first byte of its name.
#[repr(C)]
pub(crate) struct DnsQuestion {
    pub(crate) kind: c_int,
    pub(crate) class: c_int,
    pub(crate) name: [c_char; 1],
}

const _: () = {
    assert!(size_of::<DnsRequest>() == 16);
    assert!(offset_of!(DnsRequest, questions) == 8);
    assert!(size_of::<DnsQuestion>() == 12);
    assert!(offset_of!(DnsQuestion, name) == 8);
};

/// Of Linux and others where a `long` has 64 bits.
#[cfg(not(windows))]
const _: () = {
    assert!(size_of::<Event>() == 128);
    assert!(offset_of!(Event, timeout) == 112);
    assert!(size_of::<BufferEvent>() == 392);
    assert!(offset_of!(BufferEvent, write) == 144);
    assert!(offset_of!(BufferEvent, input) == 272);
    assert!(offset_of!(BufferEvent, read_marks) == 288);
    assert!(offset_of!(BufferEvent, on_read) == 320);
    assert!(offset_of!(BufferEvent, read_timeout) == 352);
    assert!(offset_of!(BufferEvent, write_timeout) == 368);
    assert!(offset_of!(BufferEvent, enabled) == 384);
};

/// Of Windows: a time is two numbers of 32 bits, a socket as wide as a pointer.
#[cfg(windows)]
const _: () = {
    assert!(size_of::<Event>() == 120);
    assert!(offset_of!(Event, timeout) == 108);
    assert!(size_of::<BufferEvent>() == 360);
    assert!(offset_of!(BufferEvent, write) == 136);
    assert!(offset_of!(BufferEvent, input) == 256);
    assert!(offset_of!(BufferEvent, read_marks) == 272);
    assert!(offset_of!(BufferEvent, on_read) == 304);
    assert!(offset_of!(BufferEvent, read_timeout) == 336);
    assert!(offset_of!(BufferEvent, write_timeout) == 344);
    assert!(offset_of!(BufferEvent, enabled) == 352);
};

const _: () = {
    assert!(size_of::<Watermarks>() == 16);
    assert!(offset_of!(BufferEvent, read) == 16);
    assert!(offset_of!(BufferEvent, output) == offset_of!(BufferEvent, input) + 8);
    assert!(offset_of!(BufferEvent, write_marks) == offset_of!(BufferEvent, read_marks) + 16);
    assert!(offset_of!(BufferEvent, on_write) == offset_of!(BufferEvent, on_read) + 8);
    assert!(offset_of!(BufferEvent, on_event) == offset_of!(BufferEvent, on_read) + 16);
    assert!(offset_of!(BufferEvent, argument) == offset_of!(BufferEvent, on_read) + 24);
};

const _: () = {
    assert!(size_of::<EventCallback>() == 40);
    assert!(offset_of!(EventCallback, flags) == 16);
    assert!(offset_of!(EventCallback, priority) == 18);
    assert!(offset_of!(EventCallback, closure) == 19);
    assert!(offset_of!(EventCallback, function) == 24);
    assert!(offset_of!(EventCallback, argument) == 32);
    assert!(offset_of!(Event, timer) == 40);
    assert!(offset_of!(Event, fd) == 56);
    assert!(offset_of!(Event, base) == 64);
    assert!(offset_of!(Event, watch) == 72);
    assert!(offset_of!(Event, own) == 88);
    assert!(offset_of!(Calls, running) == 8);
    assert!(offset_of!(Event, events) == 104);
    assert!(offset_of!(Event, result) == 106);
};
