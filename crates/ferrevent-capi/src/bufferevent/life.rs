//! Making bufferevents, referring to them, and their end.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use super::{Bev, Direct, Held, Kind, Own, Whole, option};
use crate::buffer::Buf;
use crate::event::{Base, Ev, what};
use crate::layout::{BufferEvent, Event, Watermarks};
use crate::thread::Lock;
use crate::{debug, log, memory, time};

impl Bev {
    /// Makes one, with a reference for the program.
    pub(super) fn new(base: Option<Base>, kind: Kind, options: c_int) -> Option<Self> {
        if options & (option::DEFER | option::UNLOCK) == option::UNLOCK {
            log::warn("BEV_OPT_UNLOCK_CALLBACKS needs BEV_OPT_DEFER_CALLBACKS");
            return None;
        }
        let input = Buf::new()?;
        let Some(output) = Buf::new() else {
            input.free();
            return None;
        };
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
                enabled: what::WRITE,
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
    pub(super) fn use_lock(self, lock: Option<Arc<Lock>>) -> bool {
        let lock = lock.or_else(|| Lock::recursive().filter(Lock::is_some).map(Arc::new));
        let Some(lock) = lock else { return false };
        let place = lock.place();
        self.input().use_lock(place);
        self.output().use_lock(place);
        // SAFETY: it is there, and no other thread uses what has no lock yet.
        unsafe { (*self.own()).lock = Some(lock) };
        true
    }

    pub(super) fn shared_lock(self) -> Option<Arc<Lock>> {
        // SAFETY: it is there; its lock does not change once there is one.
        unsafe { (*self.own()).lock.clone() }
    }

    #[inline]
    pub(super) fn lock(self) {
        // SAFETY: as above, and it stays as long as the bufferevent does.
        if let Some(lock) = unsafe { &(*self.own()).lock } {
            lock.lock();
        }
    }

    #[inline]
    pub(super) fn unlock(self) {
        // SAFETY: as above.
        if let Some(lock) = unsafe { &(*self.own()).lock } {
            lock.unlock();
        }
    }

    #[inline]
    pub(super) fn hold(self) -> Held {
        self.lock();
        self.set_references(self.references() + 1);
        Held(self)
    }

    /// Gives up a reference, with the lock held, and the lock. Answers whether
    /// it was the last one.
    #[inline]
    pub(super) fn release(self) -> bool {
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
    pub(super) fn end(self) -> bool {
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
        self.drop_limits();
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

    pub(super) fn destroy(self) {
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

    pub(super) fn displace(self) {
        for buffer in [self.input(), self.output()] {
            buffer.owned_by(None);
            buffer.free();
        }
        // SAFETY: made by `new`, and nobody refers to it any more.
        unsafe { memory::displace(self.0) };
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
