//! Locks and conditions of pthreads(7).

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::{self, NonNull};

use libc::{pthread_cond_t, pthread_mutex_t, timeval};

use super::{CONDITIONS, ConditionFunctions, ID, LOCKS, LockFunctions, RECURSIVE, VERSION};
use crate::{memory, time};

#[unsafe(no_mangle)]
extern "C" fn evthread_use_pthreads() -> c_int {
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
    debug_assert!(outcome != 0 || LOCKS.load().is_some() && CONDITIONS.load().is_some());
    if outcome == 0 { 0 } else { -1 }
}

const TRY: c_uint = 0x10;

unsafe extern "C" fn allocate_lock(kind: c_uint) -> *mut c_void {
    let Some(mutex) = memory::place(libc::PTHREAD_MUTEX_INITIALIZER) else {
        return ptr::null_mut();
    };
    if kind & RECURSIVE != 0 {
        // SAFETY: the mutex is nobody else's yet, and the attributes live
        // through the calls.
        unsafe {
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&raw mut attributes);
            libc::pthread_mutexattr_settype(&raw mut attributes, libc::PTHREAD_MUTEX_RECURSIVE);
            libc::pthread_mutex_init(mutex.as_ptr(), &raw const attributes);
            libc::pthread_mutexattr_destroy(&raw mut attributes);
        }
    }
    mutex.as_ptr().cast()
}

unsafe extern "C" fn free_lock(lock: *mut c_void, _: c_uint) {
    if let Some(mutex) = NonNull::new(lock.cast::<pthread_mutex_t>()) {
        // SAFETY: made by `allocate_lock`, and used no more.
        unsafe {
            libc::pthread_mutex_destroy(mutex.as_ptr());
            memory::displace(mutex);
        }
    }
}

unsafe extern "C" fn lock(mode: c_uint, lock: *mut c_void) -> c_int {
    // SAFETY: made by `allocate_lock`.
    unsafe {
        if mode & TRY != 0 {
            libc::pthread_mutex_trylock(lock.cast())
        } else {
            libc::pthread_mutex_lock(lock.cast())
        }
    }
}

unsafe extern "C" fn unlock(_: c_uint, lock: *mut c_void) -> c_int {
    // SAFETY: made by `allocate_lock`, and held by this thread.
    unsafe { libc::pthread_mutex_unlock(lock.cast()) }
}

unsafe extern "C" fn allocate_condition(_: c_uint) -> *mut c_void {
    memory::place(libc::PTHREAD_COND_INITIALIZER)
        .map_or(ptr::null_mut(), |condition| condition.as_ptr().cast())
}

unsafe extern "C" fn free_condition(condition: *mut c_void) {
    if let Some(condition) = NonNull::new(condition.cast::<pthread_cond_t>()) {
        // SAFETY: made by `allocate_condition`, and used no more.
        unsafe {
            libc::pthread_cond_destroy(condition.as_ptr());
            memory::displace(condition);
        }
    }
}

unsafe extern "C" fn signal(condition: *mut c_void, all: c_int) -> c_int {
    // SAFETY: made by `allocate_condition`.
    let error = unsafe {
        if all != 0 {
            libc::pthread_cond_broadcast(condition.cast())
        } else {
            libc::pthread_cond_signal(condition.cast())
        }
    };
    if error == 0 { 0 } else { -1 }
}

/// 0 when it was told, 1 when the time is over.
unsafe extern "C" fn wait(
    condition: *mut c_void,
    lock: *mut c_void,
    timeout: *const timeval,
) -> c_int {
    // SAFETY: made by the functions above, the lock is held, and the time is
    // null or one that lives through the call.
    let error = unsafe {
        match timeout.as_ref() {
            None => libc::pthread_cond_wait(condition.cast(), lock.cast()),
            Some(timeout) => {
                let end = time::timeval_of(time::real() + time::micros_of(*timeout));
                let end = libc::timespec {
                    tv_sec: end.tv_sec,
                    tv_nsec: end.tv_usec * 1000,
                };
                libc::pthread_cond_timedwait(condition.cast(), lock.cast(), &raw const end)
            }
        }
    };
    match error {
        0 => 0,
        libc::ETIMEDOUT => 1,
        _ => -1,
    }
}

unsafe extern "C" fn id() -> c_ulong {
    // SAFETY: always may be called.
    unsafe { libc::pthread_self() }
}
