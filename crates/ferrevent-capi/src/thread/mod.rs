//! Locks and conditions, by the functions that the program has set, and the
//! program's threads.

#[cfg(unix)]
mod pthreads;
#[cfg(windows)]
mod windows;

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::event::Base;
use crate::log;
use crate::system::timeval;

/// A function that the program may set at any time, or a reference to several.
pub(crate) struct Slot<F> {
    place: AtomicPtr<()>,
    kind: PhantomData<F>,
}

impl<F: Copy> Slot<F> {
    pub(crate) const fn new() -> Self {
        // Only what takes a pointer's place, and is never null, fits.
        const {
            assert!(size_of::<Option<F>>() == size_of::<*mut ()>());
            assert!(size_of::<F>() == size_of::<*mut ()>());
        }
        Self {
            place: AtomicPtr::new(ptr::null_mut()),
            kind: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Option<F> {
        let place = self.place.load(Ordering::Acquire);
        // SAFETY: `store` has put it there, or it is null, which is `None`.
        unsafe { std::mem::transmute_copy(&place) }
    }

    pub(crate) fn store(&self, function: Option<F>) {
        // SAFETY: as large as a pointer, see `new`, and `None` is null.
        let place = unsafe { std::mem::transmute_copy(&function) };
        self.place.store(place, Ordering::Release);
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

static LOCKS: Slot<&KeptLocks> = Slot::new();
static CONDITIONS: Slot<&ConditionFunctions> = Slot::new();
/// All that were ever set: what they have made may still be used.
static KEPT: Mutex<Kept> = Mutex::new(Kept {
    locks: Vec::new(),
    conditions: Vec::new(),
});

struct Kept {
    locks: Vec<&'static KeptLocks>,
    conditions: Vec<&'static ConditionFunctions>,
}

/// Functions for locks, and the same for a lock that is somebody else's to free.
struct KeptLocks {
    functions: LockFunctions,
    without_free: LockFunctions,
}

impl Places for KeptLocks {
    fn places(&self) -> [usize; 4] {
        self.functions.places()
    }
}
static ID: Slot<unsafe extern "C" fn() -> c_ulong> = Slot::new();

/// A lock of the program's kind, or none when the program has not asked for any.
pub(crate) struct Lock {
    functions: Option<&'static LockFunctions>,
    lock: *mut c_void,
}

impl Lock {
    pub(crate) const NONE: Self = Self {
        functions: None,
        lock: ptr::null_mut(),
    };

    /// A lock as the program has asked for by now. `None` when the program's
    /// functions give none.
    fn of_kind(kind: c_uint) -> Option<Self> {
        let Some(kept) = LOCKS.load() else {
            return Some(Self::NONE);
        };
        // SAFETY: the program's function, called as it is declared.
        let lock = unsafe { kept.functions.allocate.map(|allocate| allocate(kind)) };
        let lock = lock.filter(|lock| !lock.is_null())?;
        Some(Self {
            functions: Some(&kept.functions),
            lock,
        })
    }

    /// A lock that a thread may take again.
    pub(crate) fn recursive() -> Option<Self> {
        Self::of_kind(RECURSIVE)
    }

    /// One that somebody else has made and frees.
    pub(crate) fn borrowed(made: *mut c_void) -> Self {
        LOCKS.load().map_or(Self::NONE, |kept| Self {
            functions: Some(&kept.without_free),
            lock: made,
        })
    }

    pub(crate) fn place(&self) -> *mut c_void {
        self.lock
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
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(free) = self.functions.and_then(|functions| functions.free) {
            // SAFETY: made by its own function, and used no more.
            unsafe { free(self.lock, 0) };
        }
    }
}

/// A lock and a condition to it.
pub(crate) struct WaitLock {
    lock: Lock,
    functions: Option<&'static ConditionFunctions>,
    condition: *mut c_void,
}

impl WaitLock {
    pub(crate) const NONE: Self = Self {
        lock: Lock::NONE,
        functions: None,
        condition: ptr::null_mut(),
    };

    /// A lock as the program has asked for by now. `None` when the program's
    /// functions give none.
    pub(crate) fn new() -> Option<Self> {
        let lock = Lock::of_kind(0)?;
        let functions = CONDITIONS.load().filter(|_| lock.is_some());
        // SAFETY: the program's function, called as it is declared.
        let condition = unsafe { functions.and_then(|it| Some(it.allocate?(0))) };
        Some(Self {
            lock,
            functions,
            condition: condition.unwrap_or(ptr::null_mut()),
        })
    }

    #[inline]
    pub(crate) fn lock(&self) {
        self.lock.lock();
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        self.lock.unlock();
    }

    /// Whether threads can wait for each other.
    pub(crate) fn can_wait(&self) -> bool {
        !self.condition.is_null()
    }

    /// Waits, with the lock held, for [`tell_all`](Self::tell_all).
    pub(crate) fn wait(&self) {
        if let Some(wait) = self.functions.and_then(|functions| functions.wait)
            && self.can_wait()
        {
            // SAFETY: a condition and a lock that their own functions have made.
            unsafe { wait(self.condition, self.lock.place(), ptr::null()) };
        }
    }

    pub(crate) fn tell_all(&self) {
        if let Some(signal) = self.functions.and_then(|functions| functions.signal)
            && self.can_wait()
        {
            // SAFETY: a condition that its own function has made.
            unsafe { signal(self.condition, 1) };
        }
    }
}

impl Drop for WaitLock {
    fn drop(&mut self) {
        if let Some(free) = self.functions.and_then(|functions| functions.free)
            && self.can_wait()
        {
            // SAFETY: made by its own function, and used no more.
            unsafe { free(self.condition) };
        }
    }
}

/// The calling thread, as a number that no other running thread has.
#[inline]
pub(crate) fn current() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| ptr::from_ref(place).addr())
}

/// Whether the program has set up threads.
pub(crate) fn are_told_apart() -> bool {
    ID.load().is_some()
}

#[unsafe(no_mangle)]
extern "C" fn evthread_set_lock_callbacks(functions: Option<&LockFunctions>) -> c_int {
    let functions = functions.map(|it| KeptLocks {
        functions: *it,
        without_free: LockFunctions { free: None, ..*it },
    });
    set(&LOCKS, functions, "locks", |kept| &mut kept.locks)
}

#[unsafe(no_mangle)]
extern "C" fn evthread_set_condition_callbacks(functions: Option<&ConditionFunctions>) -> c_int {
    let functions = functions.copied();
    set(&CONDITIONS, functions, "conditions", |kept| {
        &mut kept.conditions
    })
}

/// Sets functions once: what exists was made by those that were set first.
fn set<F: Places>(
    slot: &Slot<&'static F>,
    functions: Option<F>,
    what: &str,
    list: impl Fn(&mut Kept) -> &mut Vec<&'static F>,
) -> c_int {
    let Some(functions) = functions else {
        slot.store(None);
        return 0;
    };
    let places = functions.places();
    if let Some(before) = slot.load() {
        if before.places() == places {
            return 0;
        }
        log::warn(format_args!(
            "the functions for {what} are set already, and cannot be changed"
        ));
        return -1;
    }
    if places.contains(&0) {
        return -1;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let list = list(&mut kept);
    let known = list.iter().copied().find(|it| it.places() == places);
    let functions = known.unwrap_or_else(|| {
        let functions: &'static F = Box::leak(Box::new(functions));
        list.push(functions);
        functions
    });
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
