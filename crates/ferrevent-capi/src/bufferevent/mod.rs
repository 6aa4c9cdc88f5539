//! `event2/bufferevent.h`: a pair of buffers over a descriptor, over another
//! such pair, or over a filter.
//!
//! Its events are those of the event layer and its buffers those of the
//! buffer layer. What is here is when they are asked, and what the program is
//! told. Bytes that are written leave in the same turn, without asking the
//! kernel first whether they may; what it does not take waits for it.

mod api;
mod callbacks;
mod compat;
mod connect;
mod filter;
mod life;
mod limits;
mod marks;
mod moved;
mod pair;
mod resting;
mod socket;
mod timeouts;

use std::ffi::{c_int, c_short, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use ferrevent::buffer::End;

use crate::buffer::Buf;
use crate::event::{Base, Ev};
use crate::layout::{BufferEvent, DataFn, TellFn, Watermarks, fields};
use crate::system::timeval;
use crate::thread::Lock;
use filter::Filter;
use limits::Limited;

/// What a program asks of a bufferevent (`BEV_OPT_*`).
pub(crate) mod option {
    use std::ffi::c_int;

    pub(crate) const CLOSE_ON_FREE: c_int = 1;
    pub(crate) const THREADSAFE: c_int = 2;
    pub(crate) const DEFER: c_int = 4;
    pub(crate) const UNLOCK: c_int = 8;
}

/// What a program is told of (`BEV_EVENT_*`).
mod told {
    use std::ffi::c_short;

    pub(super) const READING: c_short = 0x01;
    pub(super) const WRITING: c_short = 0x02;
    pub(super) const EOF: c_short = 0x10;
    pub(super) const ERROR: c_short = 0x20;
    pub(super) const TIMEOUT: c_short = 0x40;
    pub(super) const CONNECTED: c_short = 0x80;
}

/// Why reading or writing rests although it is enabled.
mod rest {
    pub(super) const MARK: u8 = 1;
    pub(super) const LIMIT: u8 = 2;
    pub(super) const LOOKUP: u8 = 8;
    pub(super) const FILTER: u8 = 16;
}

/// One read or write, unless the program says otherwise.
const MOST_AT_ONCE: usize = 16384;

/// A bufferevent: what programs see of it, and what is ours.
struct Whole {
    visible: BufferEvent,
    own: Own,
}

struct Own {
    kind: Kind,
    /// Both of a pair have the same; a filter has that of what is below it.
    lock: Option<Arc<Lock>>,
    /// The other one of a pair, or what a filter is over.
    other: Option<Bev>,
    rare: Option<Box<Rare>>,
    references: u32,
    /// The turn in which bytes were written last.
    wrote_in: u32,
    options: u8,
    read_rests: u8,
    write_rests: u8,
    /// Whether bytes may be written before the kernel has said so.
    direct: Direct,
    /// Nobody refers to it any more, and its end waits for the loop.
    ends: bool,
    connecting: bool,
    refused: bool,
    /// The high mark of its input is watched.
    marked: bool,
}

/// Idle ones are many: of what few have there is but a pointer.
const _: () = assert!(size_of::<Whole>() <= 448);

/// What few bufferevents have.
struct Rare {
    filter: Option<Filter>,
    limited: Option<Box<Limited>>,
    /// Calls the callbacks that were put off.
    deferred: Option<Ev>,
    /// What those are to be told.
    waiting: Waiting,
    dns_error: c_int,
    most_read: usize,
    most_written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Socket,
    Pair,
    Filter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direct {
    Unknown,
    Yes,
    No,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            filter: None,
            limited: None,
            deferred: None,
            waiting: Waiting::default(),
            dns_error: 0,
            most_read: MOST_AT_ONCE,
            most_written: MOST_AT_ONCE,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    error: c_int,
    events: c_short,
    read: bool,
    write: bool,
}

/// A bufferevent that the program has not freed, or that somebody still refers to.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bev(NonNull<Whole>);

/// A reference to a bufferevent, with its lock held.
struct Held(Bev);

impl Bev {
    fields! {
        base, set_base: Option<Base> = visible.base;
        input, set_input: Buf = visible.input;
        output, set_output: Buf = visible.output;
        read_marks, set_read_marks: Watermarks = visible.read_marks;
        write_marks, set_write_marks: Watermarks = visible.write_marks;
        on_read, set_on_read: Option<DataFn> = visible.on_read;
        on_write, set_on_write: Option<DataFn> = visible.on_write;
        on_event, set_on_event: Option<TellFn> = visible.on_event;
        argument, set_argument: *mut c_void = visible.argument;
        read_timeout, set_read_timeout: timeval = visible.read_timeout;
        write_timeout, set_write_timeout: timeval = visible.write_timeout;
        enabled, set_enabled: c_short = visible.enabled;
    }

    // Fields of our own.
    fields! {
        other, set_other: Option<Bev> = own.other;
        references, set_references: u32 = own.references;
        wrote_in, set_wrote_in: u32 = own.wrote_in;
        read_rests, set_read_rests: u8 = own.read_rests;
        write_rests, set_write_rests: u8 = own.write_rests;
        connecting, set_connecting: bool = own.connecting;
        refused, set_refused: bool = own.refused;
        marked, set_marked: bool = own.marked;
    }

    // As above, of types that only this module has.
    #[inline]
    fn own(self) -> *mut Own {
        // SAFETY: it is there, see `Bev`.
        unsafe { &raw mut (*self.0.as_ptr()).own }
    }

    #[inline]
    fn kind(self) -> Kind {
        // SAFETY: it is there, and no reference is kept.
        unsafe { (*self.own()).kind }
    }

    #[inline]
    fn options(self) -> c_int {
        // SAFETY: as above.
        unsafe { (*self.own()).options.into() }
    }

    /// Looks at what few have, if it has it.
    #[inline]
    fn rare<T>(self, look: impl FnOnce(&mut Rare) -> T) -> Option<T> {
        // SAFETY: it is there, and the closure calls nobody.
        unsafe { (*self.own()).rare.as_deref_mut() }.map(look)
    }

    /// As above, where it has to have that.
    fn make_rare<T>(self, look: impl FnOnce(&mut Rare) -> T) -> T {
        // SAFETY: as above.
        look(unsafe { (*self.own()).rare.get_or_insert_default() })
    }

    #[inline]
    fn has(self, options: c_int) -> bool {
        self.options() & options != 0
    }

    #[inline]
    fn read_event(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).visible.read) })
    }

    #[inline]
    fn write_event(self) -> Ev {
        // SAFETY: as above.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).visible.write) })
    }

    #[inline]
    fn as_argument(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// # Safety
    /// An argument that [`as_argument`](Self::as_argument) has made of one that
    /// is still there.
    unsafe fn of_argument(argument: *mut c_void) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(argument.cast()) })
    }

    /// One of its buffers has changed.
    #[inline]
    pub(crate) fn buffer_changed(self, buffer: Buf, added: usize, taken: usize) {
        if buffer == self.input() {
            if self.marked() {
                self.look_at_marks();
            }
            if self.kind() == Kind::Filter {
                self.filter_input_changed();
            }
        } else {
            match self.kind() {
                Kind::Socket => self.output_changed(added),
                Kind::Pair => self.pair_output_changed(added, taken),
                Kind::Filter => self.filter_output_changed(added),
            }
        }
    }

    /// The program takes from the front of its input only, and adds to the
    /// back of its output only.
    fn freeze(self) {
        self.input().set_frozen(End::Back, true);
        self.output().set_frozen(End::Front, true);
    }
}
