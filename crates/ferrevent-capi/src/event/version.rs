//! Which libevent this stands for, and the end of the library.

use std::ffi::c_char;

use super::compat::CURRENT;

#[unsafe(no_mangle)]
extern "C" fn event_get_version() -> *const c_char {
    c"2.1.12-stable".as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_version_number() -> u32 {
    0x0201_0c00
}

/// Nothing is kept that the process's end does not take back; the base that
/// has no name is forgotten.
#[unsafe(no_mangle)]
extern "C" fn libevent_global_shutdown() {
    if CURRENT.load().is_some() {
        CURRENT.store(None);
    }
    crate::debug::forget_all();
}
