//! `event2/buffer.h` over the engine's buffer.
//!
//! A position (`struct evbuffer_ptr`) is a number of bytes from the front. A
//! part of a file is mapped into memory when it is added.

mod add;
mod callbacks;
mod compat;
mod direct;
mod file;
mod gone;
mod io;
mod position;
mod space;
mod take;

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use ferrevent::Buffer;
use ferrevent::buffer::End;

use crate::bufferevent::Bev;
use crate::memory;
use crate::thread::Lock;
pub(crate) use add::evbuffer_add;
use callbacks::Callbacks;
pub(crate) use take::evbuffer_remove;

/// `struct evbuffer`.
pub(crate) struct EvBuffer {
    inner: UnsafeCell<Inner>,
}

pub(crate) struct Inner {
    pub(super) buffer: Buffer,
    pub(super) callbacks: Option<Box<Callbacks>>,
    lock: Lock,
    flags: u32,
    /// Callers that are in the middle of a call, and one for the program.
    users: u32,
    /// The bufferevent whose input or output it is.
    owner: Option<Bev>,
}

/// A buffer that the program has not freed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Buf(NonNull<EvBuffer>);

/// A buffer with its lock held; it stays until this is dropped, even if a
/// callback frees it.
pub(crate) struct Held(Buf);

impl Buf {
    fn inner(self) -> *mut Inner {
        // SAFETY: the buffer is there, see `Buf`.
        unsafe { self.0.as_ref().inner.get() }
    }

    #[inline]
    pub(crate) fn hold(self) -> Held {
        // SAFETY: as above; the lock does not change once there is one.
        unsafe { (*self.inner()).lock.lock() };
        let mut held = Held(self);
        held.users += 1;
        held
    }

    pub(crate) fn new() -> Option<Self> {
        let room = memory::place(EvBuffer {
            inner: UnsafeCell::new(Inner {
                buffer: Buffer::new(),
                callbacks: None,
                lock: Lock::NONE,
                flags: 0,
                users: 1,
                owner: None,
            }),
        });
        room.map(Buf)
    }

    /// One of a bufferevent's, which is told of each change.
    pub(crate) fn owned_by(self, owner: Option<Bev>) {
        self.hold().owner = owner;
    }

    /// Protects it by a lock that somebody else has made and frees.
    pub(crate) fn use_lock(self, place: *mut c_void) {
        // SAFETY: the buffer is there, and nobody else has it yet.
        unsafe { (*self.inner()).lock = Lock::borrowed(place) };
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.look(Buffer::len)
    }

    /// Whether bytes can be added to its back, or taken from its front.
    #[inline]
    pub(crate) fn set_frozen(self, end: End, frozen: bool) {
        let mut held = self.hold();
        if frozen {
            held.buffer.freeze(end);
        } else {
            held.buffer.unfreeze(end);
        }
    }

    /// Ends it, when the last call that uses it has ended.
    pub(crate) fn free(self) {
        if self.is_plain() && self.has_one_user() {
            self.displace();
        } else {
            self.hold().users -= 1;
        }
    }

    /// Nobody uses it any more.
    fn displace(self) {
        // SAFETY: the program has freed it, and no call is in the middle of it.
        unsafe { memory::displace(self.0) };
        gone::tell();
    }
}

impl Deref for Held {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        // SAFETY: the lock is held, or there is but one thread; no reference
        // lives over a call of the program's.
        unsafe { &*self.0.inner() }
    }
}

impl DerefMut for Held {
    #[inline]
    fn deref_mut(&mut self) -> &mut Inner {
        // SAFETY: as above.
        unsafe { &mut *self.0.inner() }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        gone::tell();
        self.users -= 1;
        let over = self.users == 0;
        if over && let Some(callbacks) = &mut self.callbacks {
            callbacks.forget_all();
        }
        self.lock.unlock();
        if over {
            self.0.displace();
        }
    }
}

impl Held {
    pub(super) fn buf(&self) -> Buf {
        self.0
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_new() -> Option<Buf> {
    Buf::new()
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_free(buf: Option<Buf>) {
    if let Some(buf) = buf {
        buf.free();
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_get_length(buf: Buf) -> usize {
    buf.len()
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_enable_locking(buf: Buf, lock: *mut c_void) -> c_int {
    let held = buf.hold();
    if held.lock.is_some() {
        return -1;
    }
    let fresh = if lock.is_null() {
        Lock::recursive()
    } else {
        Some(Lock::borrowed(lock))
    };
    // There is none when the program has no locks.
    let Some(fresh) = fresh.filter(Lock::is_some) else {
        return -1;
    };
    fresh.lock();
    // SAFETY: the buffer is held; the lock is held as its drop expects it.
    unsafe { (*buf.inner()).lock = fresh };
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_lock(buf: Buf) {
    buf.hold().lock.lock();
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_unlock(buf: Buf) {
    buf.hold().lock.unlock();
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_set_flags(buf: Buf, flags: u64) -> c_int {
    buf.hold().flags |= flags as u32;
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_clear_flags(buf: Buf, flags: u64) -> c_int {
    buf.hold().flags &= !(flags as u32);
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_freeze(buf: Buf, front: c_int) -> c_int {
    buf.hold().buffer.freeze(end(front));
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_unfreeze(buf: Buf, front: c_int) -> c_int {
    buf.hold().buffer.unfreeze(end(front));
    0
}

fn end(front: c_int) -> End {
    if front != 0 { End::Front } else { End::Back }
}
