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
mod limits;
mod marks;
mod pair;
mod socket;
mod timeouts;

use std::ffi::{c_int, c_short, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ferrevent::buffer::End;

use crate::buffer::Buf;
use crate::event::{Base, Ev};
use crate::layout::{BufferEvent, DataFn, Event, TellFn, Watermarks, fields};
use crate::thread::Lock;
use crate::{debug, log, memory, time};
use filter::Filter;

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

/// What few bufferevents have.
struct Rare {
    filter: Option<Filter>,
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
        read_timeout, set_read_timeout: libc::timeval = visible.read_timeout;
        write_timeout, set_write_timeout: libc::timeval = visible.write_timeout;
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

    /// Makes one, with a reference for the program.
    fn new(base: Option<Base>, kind: Kind, options: c_int) -> Option<Self> {
        if options & (option::DEFER | option::UNLOCK) == option::UNLOCK {
            log::warn("BEV_OPT_UNLOCK_CALLBACKS needs BEV_OPT_DEFER_CALLBACKS");
            return None;
        }
        let (input, output) = (Buf::new()?, Buf::new()?);
        let made = memory::place(Whole {
            visible: BufferEvent {
                base,
                kind: ptr::null(),
                read: Event::BLANK,
                write: Event::BLANK,
                input,
                output,
                read_marks: Watermarks::default(),
                write_marks: Watermarks::default(),
                on_read: None,
                on_write: None,
                on_event: None,
                argument: ptr::null_mut(),
                read_timeout: time::timeval_of(0),
                write_timeout: time::timeval_of(0),
                enabled: crate::event::what::WRITE,
            },
            own: Own {
                kind,
                lock: None,
                other: None,
                rare: None,
                references: 1,
                options: options as u8,
                wrote_in: 0,
                read_rests: 0,
                write_rests: 0,
                direct: Direct::Unknown,
                ends: false,
                connecting: false,
                refused: false,
                marked: false,
            },
        });
        let Some(made) = made else {
            input.free();
            output.free();
            return None;
        };
        let bev = Self(made);
        if options & option::THREADSAFE != 0 && !bev.use_lock(None) {
            bev.displace();
            return None;
        }
        input.owned_by(Some(bev));
        output.owned_by(Some(bev));
        Some(bev)
    }

    /// Protects it and its buffers by a lock, one of its own if none is given.
    fn use_lock(self, lock: Option<Arc<Lock>>) -> bool {
        let lock = lock.or_else(|| Lock::recursive().filter(Lock::is_some).map(Arc::new));
        let Some(lock) = lock else { return false };
        let place = lock.place();
        self.input().use_lock(place);
        self.output().use_lock(place);
        // SAFETY: it is there, and nobody else has it yet.
        unsafe { (*self.own()).lock = Some(lock) };
        true
    }

    fn shared_lock(self) -> Option<Arc<Lock>> {
        // SAFETY: it is there; its lock does not change once there is one.
        unsafe { (*self.own()).lock.clone() }
    }

    #[inline]
    fn lock(self) {
        // SAFETY: as above, and it stays as long as the bufferevent does.
        if let Some(lock) = unsafe { &(*self.own()).lock } {
            lock.lock();
        }
    }

    #[inline]
    fn unlock(self) {
        // SAFETY: as above.
        if let Some(lock) = unsafe { &(*self.own()).lock } {
            lock.unlock();
        }
    }

    #[inline]
    fn hold(self) -> Held {
        self.lock();
        self.set_references(self.references() + 1);
        Held(self)
    }

    /// Gives up a reference, with the lock held, and the lock. Answers whether
    /// it was the last one.
    #[inline]
    fn release(self) -> bool {
        let left = self.references().saturating_sub(1);
        self.set_references(left);
        if left > 0 {
            self.unlock();
            return false;
        }
        self.end()
    }

    /// Nobody refers to it: it ends when no callback of its events runs.
    #[cold]
    fn end(self) -> bool {
        // SAFETY: it is there, and no reference is kept.
        if unsafe { std::mem::replace(&mut (*self.own()).ends, true) } {
            self.unlock();
            return false;
        }
        match self.kind() {
            Kind::Socket => {}
            Kind::Pair => self.leave_partner(),
            Kind::Filter => self.leave_underlying(),
        }
        self.write_event().stop();
        if let Some(deferred) = self.rare(|it| it.deferred.take()).flatten() {
            deferred.drop_deferred();
        }
        // The lock goes with it, which a loop may do at once.
        let lock = self.shared_lock();
        let waits = self.read_event().finish(finished);
        if let Some(lock) = lock {
            lock.unlock();
        }
        if !waits {
            self.destroy();
        }
        true
    }

    fn destroy(self) {
        let below = self.other().filter(|_| self.kind() == Kind::Filter);
        match self.kind() {
            Kind::Socket => self.close(),
            Kind::Pair => {}
            Kind::Filter => self.free_context(),
        }
        debug::gone(self.read_event());
        debug::gone(self.write_event());
        self.displace();
        if let Some(below) = below {
            below.lock();
            below.release();
        }
    }

    fn displace(self) {
        for buffer in [self.input(), self.output()] {
            buffer.owned_by(None);
            buffer.free();
        }
        // SAFETY: made by `new`, and nobody refers to it any more.
        unsafe { memory::displace(self.0) };
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

    fn enable(self, events: c_short) -> bool {
        self.set_enabled(self.enabled() | events);
        let events = self.awake(events);
        events == 0 || self.enable_now(events)
    }

    fn disable(self, events: c_short) -> bool {
        self.set_enabled(self.enabled() & !events);
        self.disable_now(events);
        true
    }

    /// Those of the directions that do not rest.
    fn awake(self, mut events: c_short) -> c_short {
        use crate::event::what::{READ, WRITE};
        if self.read_rests() != 0 {
            events &= !READ;
        }
        if self.write_rests() != 0 {
            events &= !WRITE;
        }
        events
    }

    fn enable_now(self, events: c_short) -> bool {
        match self.kind() {
            Kind::Socket => self.enable_socket(events),
            Kind::Pair => self.enable_pair(events),
            Kind::Filter => self.enable_filter(events),
        }
    }

    fn disable_now(self, events: c_short) {
        match self.kind() {
            Kind::Socket => self.disable_socket(events),
            Kind::Pair => self.stop_timeouts(events),
            Kind::Filter => self.disable_filter(events),
        }
    }

    fn rest_reading(self, why: u8) {
        if self.read_rests() == 0 {
            self.disable_now(crate::event::what::READ);
        }
        self.set_read_rests(self.read_rests() | why);
    }

    fn wake_reading(self, why: u8) {
        let read = crate::event::what::READ;
        self.set_read_rests(self.read_rests() & !why);
        if self.read_rests() == 0 && self.enabled() & read != 0 {
            self.enable_now(read);
        }
    }

    fn rest_writing(self, why: u8) {
        if self.write_rests() == 0 {
            self.disable_now(crate::event::what::WRITE);
        }
        self.set_write_rests(self.write_rests() | why);
    }

    fn wake_writing(self, why: u8) {
        let write = crate::event::what::WRITE;
        self.set_write_rests(self.write_rests() & !why);
        if self.write_rests() == 0 && self.enabled() & write != 0 {
            self.enable_now(write);
        }
    }

    /// The program takes from the front of its input only, and adds to the
    /// back of its output only.
    fn freeze(self) {
        self.input().set_frozen(End::Back, true);
        self.output().set_frozen(End::Front, true);
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The loop says that none of its callbacks runs.
unsafe extern "C" fn finished(_: Ev, bev: *mut c_void) {
    // SAFETY: the argument of its own events.
    let bev = unsafe { Bev::of_argument(bev) };
    // Whoever has given up the last reference may still be on its way out.
    bev.lock();
    bev.unlock();
    bev.destroy();
}
