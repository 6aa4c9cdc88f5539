//! Locks and conditions of Windows: critical sections, which a thread may
//! enter again, and condition variables.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::{self, NonNull};

use windows_sys::Win32::System::Threading::{
    CONDITION_VARIABLE, CRITICAL_SECTION, DeleteCriticalSection, EnterCriticalSection,
    GetCurrentThreadId, INFINITE, InitializeCriticalSection, LeaveCriticalSection,
    SleepConditionVariableCS, TryEnterCriticalSection, WakeAllConditionVariable,
    WakeConditionVariable,
};

use super::{ConditionFunctions, ID, LockFunctions, RECURSIVE, VERSION};
use crate::system::timeval;
use crate::{memory, time};

#[unsafe(no_mangle)]
extern "C" fn evthread_use_windows_threads() -> c_int {
    let locks = LockFunctions {
        version: VERSION,
        kinds: RECURSIVE,
        allocate: Some(allocate_lock),
        free: Some(free_lock),
        lock: Some(lock),
        unlock: Some(unlock),
    };
    let conditions = ConditionFunctions {
        version: VERSION,
        allocate: Some(allocate_condition),
        free: Some(free_condition),
        signal: Some(signal),
        wait: Some(wait),
    };
    let outcome = super::evthread_set_lock_callbacks(Some(&locks))
        | super::evthread_set_condition_callbacks(Some(&conditions));
    ID.store(Some(id));
    if outcome == 0 { 0 } else { -1 }
}

const TRY: c_uint = 0x10;

unsafe extern "C" fn allocate_lock(_: c_uint) -> *mut c_void {
    let Some(section) = memory::place(CRITICAL_SECTION::default()) else {
        return ptr::null_mut();
    };
    // SAFETY: nobody else's yet, and it stays where it is.
    unsafe { InitializeCriticalSection(section.as_ptr()) };
    section.as_ptr().cast()
}

unsafe extern "C" fn free_lock(lock: *mut c_void, _: c_uint) {
    if let Some(section) = NonNull::new(lock.cast::<CRITICAL_SECTION>()) {
        // SAFETY: made by `allocate_lock`, and used no more.
        unsafe {
            DeleteCriticalSection(section.as_ptr());
            memory::displace(section);
        }
    }
}

unsafe extern "C" fn lock(mode: c_uint, lock: *mut c_void) -> c_int {
    // SAFETY: made by `allocate_lock`.
    unsafe {
        if mode & TRY != 0 {
            return c_int::from(TryEnterCriticalSection(lock.cast()) == 0);
        }
        EnterCriticalSection(lock.cast());
    }
    0
}

unsafe extern "C" fn unlock(_: c_uint, lock: *mut c_void) -> c_int {
    // SAFETY: made by `allocate_lock`, and held by this thread.
    unsafe { LeaveCriticalSection(lock.cast()) };
    0
}

unsafe extern "C" fn allocate_condition(_: c_uint) -> *mut c_void {
    memory::place(CONDITION_VARIABLE::default())
        .map_or(ptr::null_mut(), |condition| condition.as_ptr().cast())
}

unsafe extern "C" fn free_condition(condition: *mut c_void) {
    if let Some(condition) = NonNull::new(condition.cast::<CONDITION_VARIABLE>()) {
        // SAFETY: made by `allocate_condition`, and used no more.
        unsafe { memory::displace(condition) };
    }
}

unsafe extern "C" fn signal(condition: *mut c_void, all: c_int) -> c_int {
    // SAFETY: made by `allocate_condition`.
    unsafe {
        if all != 0 {
            WakeAllConditionVariable(condition.cast());
        } else {
            WakeConditionVariable(condition.cast());
        }
    }
    0
}

/// 0 when it was told, 1 when the time is over.
unsafe extern "C" fn wait(
    condition: *mut c_void,
    lock: *mut c_void,
    timeout: *const timeval,
) -> c_int {
    // SAFETY: null or a time that lives through the call.
    let millis = unsafe { timeout.as_ref() }.map_or(INFINITE, |timeout| {
        let millis = time::micros_of(*timeout).div_ceil(1000);
        u32::try_from(millis).unwrap_or(INFINITE - 1)
    });
    // SAFETY: made by the functions above, and the lock is held once.
    if unsafe { SleepConditionVariableCS(condition.cast(), lock.cast(), millis) } != 0 {
        return 0;
    }
    if std::io::Error::last_os_error().kind() == std::io::ErrorKind::TimedOut {
        1
    } else {
        -1
    }
}

unsafe extern "C" fn id() -> c_ulong {
    // SAFETY: always may be called.
    unsafe { GetCurrentThreadId() }
}
