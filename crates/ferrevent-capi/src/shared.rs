//! What a loop calls back and several threads may use: an event, a lock, and
//! how many refer to it.

use std::ffi::c_void;
use std::ptr::NonNull;

use crate::debug;
use crate::event::Ev;
use crate::layout::Event;
use crate::thread::Lock;

/// What all of them have.
pub(crate) struct Shared {
    event: Event,
    lock: Lock,
    references: u32,
}

impl Shared {
    /// With a reference for the program.
    pub(crate) fn new(lock: Lock) -> Self {
        Self {
            event: Event::BLANK,
            lock,
            references: 1,
        }
    }
}

/// A handle of something shared: it is there as long as there are references
/// to it, and until its event is over.
pub(crate) trait Handle: Copy {
    /// Of the argument of its event.
    fn of_argument(argument: NonNull<c_void>) -> Self;

    /// A field of what it stands for, which is there.
    fn shared(self) -> NonNull<Shared>;

    /// The last reference was given up: its event is not to be called any more.
    fn close(self);

    /// Frees it. Nobody refers to it, and its event is over.
    fn displace(self);

    fn event(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.shared().as_ptr()).event) })
    }

    fn lock(self) {
        // SAFETY: it is there, and its lock does not change.
        unsafe { (*self.shared().as_ptr()).lock.lock() };
    }

    fn unlock(self) {
        // SAFETY: as above.
        unsafe { (*self.shared().as_ptr()).lock.unlock() };
    }

    /// How many refer to it, with the lock held.
    fn references(self) -> u32 {
        // SAFETY: it is there, and no reference is kept.
        unsafe { (*self.shared().as_ptr()).references }
    }

    /// One more does, with the lock held.
    fn refer(self) {
        // SAFETY: as above.
        unsafe { (*self.shared().as_ptr()).references += 1 };
    }

    /// One does no more, with the lock held, and it is not the last.
    fn forgo(self) {
        let left = self.references().saturating_sub(1);
        // SAFETY: as above.
        unsafe { (*self.shared().as_ptr()).references = left };
    }

    /// Gives up a reference, and the lock; it ends with the last one.
    fn release(self) {
        self.forgo();
        if self.references() > 0 {
            return self.unlock();
        }
        self.close();
        debug::gone(self.event());
        // SAFETY: it is there, and its lock does not change.
        let several = unsafe { (*self.shared().as_ptr()).lock.is_some() };
        self.unlock();
        // The loop may be about to call back, if that is another thread's.
        if !several || !self.event().finish(finished::<Self>) {
            self.displace();
        }
    }
}

unsafe extern "C" fn finished<H: Handle>(_: Ev, argument: *mut c_void) {
    if let Some(argument) = NonNull::new(argument) {
        H::of_argument(argument).displace();
    }
}
