//! Names into addresses, by the system's own resolver.

use std::ffi::{c_char, c_int};
use std::ptr;

use crate::system::{self, addrinfo};

/// The answer to a request that was cancelled.
pub(crate) const CANCELED: c_int = -90001;

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    to: Option<&mut *mut addrinfo>,
) -> c_int {
    let Some(to) = to else {
        return system::EAI_SYSTEM;
    };
    *to = ptr::null_mut();
    // SAFETY: the caller's strings and hints, each of them null or good.
    unsafe { system::getaddrinfo(name, service, hints, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_freeaddrinfo(list: *mut addrinfo) {
    if !list.is_null() {
        // SAFETY: a list of `evutil_getaddrinfo`'s, used no more.
        unsafe { system::freeaddrinfo(list) };
    }
}

#[unsafe(no_mangle)]
extern "C" fn evutil_gai_strerror(error: c_int) -> *const c_char {
    match error {
        CANCELED => c"Request canceled".as_ptr(),
        0 => c"No error".as_ptr(),
        _ => system::lookup_error(error),
    }
}
