//! Memory that C programs hold: by the functions that they have set, or malloc(3).

use std::ffi::c_void;
use std::ptr::NonNull;

use crate::thread::Slot;

type AllocateFn = unsafe extern "C" fn(usize) -> *mut c_void;
type ReallocateFn = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type FreeFn = unsafe extern "C" fn(*mut c_void);

static ALLOCATE: Slot<AllocateFn> = Slot::new();
static REALLOCATE: Slot<ReallocateFn> = Slot::new();
static FREE: Slot<FreeFn> = Slot::new();

/// Puts a value where the program's own functions, or malloc(3), find room;
/// `None` when there is none.
pub(crate) fn place<T>(value: T) -> Option<NonNull<T>> {
    const { assert!(align_of::<T>() <= 16) };
    let room = allocate(size_of::<T>())?.cast::<T>();
    // SAFETY: so many bytes of nobody else's, aligned as malloc(3) aligns.
    unsafe { room.write(value) };
    Some(room)
}

/// Room for so many bytes, which the program frees; `None` when there is none.
pub(crate) fn allocate(size: usize) -> Option<NonNull<c_void>> {
    // SAFETY: a size; the program's function answers for itself.
    NonNull::new(unsafe {
        match ALLOCATE.load() {
            Some(allocate) => allocate(size),
            None => libc::malloc(size),
        }
    })
}

/// Drops a value and gives its room back.
///
/// # Safety
/// It was made by [`place`], and nobody uses it any more.
pub(crate) unsafe fn displace<T>(value: NonNull<T>) {
    // SAFETY: the caller's promise.
    unsafe {
        value.drop_in_place();
        match FREE.load() {
            Some(free) => free(value.as_ptr().cast()),
            None => libc::free(value.as_ptr().cast()),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_set_mem_functions(
    allocate: Option<AllocateFn>,
    reallocate: Option<ReallocateFn>,
    free: Option<FreeFn>,
) {
    ALLOCATE.store(allocate);
    REALLOCATE.store(reallocate);
    FREE.store(free);
}
