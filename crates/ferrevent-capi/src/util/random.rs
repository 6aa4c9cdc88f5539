//! Random bytes that nobody can guess, by getrandom(2).

use std::ffi::{c_char, c_int, c_void};

use crate::log;

/// Fills all of it.
pub(crate) fn fill(bytes: &mut [u8]) {
    // SAFETY: so much room.
    unsafe { evutil_secure_rng_get_bytes(bytes.as_mut_ptr().cast(), bytes.len()) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_secure_rng_get_bytes(to: *mut c_void, mut left: usize) {
    let mut to = to;
    while left > 0 {
        // SAFETY: the caller's room, of which so much is left.
        let got = unsafe { libc::getrandom(to, left, 0) };
        match usize::try_from(got) {
            Ok(got) => {
                // SAFETY: no further than what is left.
                to = unsafe { to.byte_add(got) };
                left -= got;
            }
            Err(_) => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    log::fatal(1, format_args!("no random bytes: {error}"));
                }
            }
        }
    }
}

/// The kernel has seeded it.
#[unsafe(no_mangle)]
extern "C" fn evutil_secure_rng_init() -> c_int {
    0
}

/// No device is read.
#[unsafe(no_mangle)]
extern "C" fn evutil_secure_rng_set_urandom_device_file(_: *mut c_char) -> c_int {
    0
}

/// The kernel needs no more than it has.
#[unsafe(no_mangle)]
extern "C" fn evutil_secure_rng_add_bytes(_: *const c_char, _: usize) {}
