//! Locks and conditions, by the functions that the program has set, and the
//! program's threads.

mod pthreads;

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::{PoisonError, RwLock};

use libc::timeval;

use crate::event::Base;
use crate::log;

/// A function that the program may set at any time.
pub(crate) struct Slot<F>(RwLock<Option<F>>);

impl<F: Copy> Slot<F> {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(None))
    }

    pub(crate) fn load(&self) -> Option<F> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, function: Option<F>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = function;
    }
}

/// `struct evthread_lock_callbacks`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LockFunctions {
    version: c_int,
    kinds: c_uint,
    allocate: Option<unsafe extern "C" fn(c_uint) -> *mut c_void>,
    free: Option<unsafe extern "C" fn(*mut c_void, c_uint)>,
    lock: Option<unsafe extern "C" fn(c_uint, *mut c_void) -> c_int>,
    unlock: Option<unsafe extern "C" fn(c_uint, *mut c_void) -> c_int>,
}

/// `struct evthread_condition_callbacks`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ConditionFunctions {
    version: c_int,
    allocate: Option<unsafe extern "C" fn(c_uint) -> *mut c_void>,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
    signal: Option<unsafe extern "C" fn(*mut c_void, c_int) -> c_int>,
    wait: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *const timeval) -> c_int>,
}

/// Where functions are, to tell whether they are the same.
trait Places {
    fn places(&self) -> [usize; 4];
}

impl Places for LockFunctions {
    fn places(&self) -> [usize; 4] {
        [
            self.allocate.map_or(0, |it| it as *const () as usize),
            self.free.map_or(0, |it| it as *const () as usize),
            self.lock.map_or(0, |it| it as *const () as usize),
            self.unlock.map_or(0, |it| it as *const () as usize),
        ]
    }
}

impl Places for ConditionFunctions {
    fn places(&self) -> [usize; 4] {
        [
            self.allocate.map_or(0, |it| it as *const () as usize),
            self.free.map_or(0, |it| it as *const () as usize),
            self.signal.map_or(0, |it| it as *const () as usize),
            self.wait.map_or(0, |it| it as *const () as usize),
        ]
    }
}

const _: () = assert!(size_of::<LockFunctions>() == 40);
const _: () = assert!(size_of::<ConditionFunctions>() == 40);

const VERSION: c_int = 1;
const RECURSIVE: c_uint = 1;

static LOCKS: Slot<LockFunctions> = Slot::new();
static CONDITIONS: Slot<ConditionFunctions> = Slot::new();
static ID: Slot<unsafe extern "C" fn() -> c_ulong> = Slot::new();

/// A lock of the program's kind, and a condition to it; neither when the
/// program has not asked for any.
pub(crate) struct Lock {
    functions: Option<LockFunctions>,
    lock: *mut c_void,
    conditions: Option<ConditionFunctions>,
    condition: *mut c_void,
}

impl Lock {
    pub(crate) const NONE: Self = Self {
        functions: None,
        lock: ptr::null_mut(),
        conditions: None,
        condition: ptr::null_mut(),
    };

    /// A lock as the program has asked for by now. `None` when the program's
    /// functions give none.
    pub(crate) fn new() -> Option<Self> {
        let Some(functions) = LOCKS.load() else {
            return Some(Self::NONE);
        };
        let conditions = CONDITIONS.load();
        // SAFETY: the program's functions, called as they are declared.
        let (lock, condition) = unsafe {
            let lock = functions.allocate.map(|allocate| allocate(0));
            let condition = conditions.and_then(|it| Some(it.allocate?(0)));
            (lock, condition.unwrap_or(ptr::null_mut()))
        };
        let lock = lock.filter(|lock| !lock.is_null())?;
        Some(Self {
            functions: Some(functions),
            lock,
            conditions,
            condition,
        })
    }

    /// A lock that a thread may take again, as the program has asked for, or
    /// one that it has made itself. `None` when it gives none.
    pub(crate) fn recursive(made: *mut c_void) -> Option<Self> {
        let Some(functions) = LOCKS.load() else {
            return Some(Self::NONE);
        };
        let (lock, functions) = if made.is_null() {
            // SAFETY: the program's function, called as it is declared.
            let lock = unsafe { functions.allocate.map(|allocate| allocate(RECURSIVE)) };
            (lock.filter(|lock| !lock.is_null())?, functions)
        } else {
            // What is not ours is not freed.
            let free = None;
            (made, LockFunctions { free, ..functions })
        };
        Some(Self {
            functions: Some(functions),
            lock,
            ..Self::NONE
        })
    }

    pub(crate) fn is_some(&self) -> bool {
        self.functions.is_some()
    }

    #[inline]
    pub(crate) fn lock(&self) {
        if let Some(lock) = self.functions.and_then(|functions| functions.lock) {
            // SAFETY: a lock that its own function has made.
            unsafe { lock(0, self.lock) };
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        if let Some(unlock) = self.functions.and_then(|functions| functions.unlock) {
            // SAFETY: a lock that its own function has made, and that is held.
            unsafe { unlock(0, self.lock) };
        }
    }

    /// Whether threads can wait for each other.
    pub(crate) fn can_wait(&self) -> bool {
        !self.condition.is_null()
    }

    /// Waits, with the lock held, for [`tell_all`](Self::tell_all).
    pub(crate) fn wait(&self) {
        if let Some(wait) = self.conditions.and_then(|functions| functions.wait)
            && self.can_wait()
        {
            // SAFETY: a condition and a lock that their own functions have made.
            unsafe { wait(self.condition, self.lock, ptr::null()) };
        }
    }

    pub(crate) fn tell_all(&self) {
        if let Some(signal) = self.conditions.and_then(|functions| functions.signal)
            && self.can_wait()
        {
            // SAFETY: a condition that its own function has made.
            unsafe { signal(self.condition, 1) };
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: made by their own functions, and used no more.
        unsafe {
            if let Some(free) = self.functions.and_then(|functions| functions.free) {
                free(self.lock, 0);
            }
            if let Some(free) = self.conditions.and_then(|functions| functions.free)
                && self.can_wait()
            {
                free(self.condition);
            }
        }
    }
}

/// The calling thread, as a number that no other running thread has.
#[inline]
pub(crate) fn current() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| ptr::from_ref(place).addr())
}

#[unsafe(no_mangle)]
extern "C" fn evthread_set_lock_callbacks(functions: Option<&LockFunctions>) -> c_int {
    set(&LOCKS, functions.copied(), "locks", |it| {
        !it.places().contains(&0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn evthread_set_condition_callbacks(functions: Option<&ConditionFunctions>) -> c_int {
    set(&CONDITIONS, functions.copied(), "conditions", |it| {
        !it.places().contains(&0)
    })
}

/// Sets functions once: what exists was made by those that were set first.
fn set<F: Copy + Places>(
    slot: &Slot<F>,
    functions: Option<F>,
    what: &str,
    complete: impl Fn(&F) -> bool,
) -> c_int {
    let Some(functions) = functions else {
        slot.store(None);
        return 0;
    };
    if let Some(before) = slot.load() {
        if before.places() == functions.places() {
            return 0;
        }
        log::warn(format_args!(
            "the functions for {what} are set already, and cannot be changed"
        ));
        return -1;
    }
    if !complete(&functions) {
        return -1;
    }
    slot.store(Some(functions));
    0
}

#[unsafe(no_mangle)]
extern "C" fn evthread_set_id_callback(id: Option<unsafe extern "C" fn() -> c_ulong>) {
    ID.store(id);
}

/// Every base can be woken: its backend has what that takes.
#[unsafe(no_mangle)]
extern "C" fn evthread_make_base_notifiable(base: Option<Base>) -> c_int {
    if base.is_some() { 0 } else { -1 }
}

/// Locks are checked by the program's own functions, if at all.
#[unsafe(no_mangle)]
extern "C" fn evthread_enable_lock_debugging() {}

#[unsafe(no_mangle)]
extern "C" fn evthread_enable_lock_debuging() {}
