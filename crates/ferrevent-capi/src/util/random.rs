//! Random bytes that nobody can guess, of the kernel.

use std::ffi::{c_char, c_int, c_void};

use crate::{log, system};

/// Fills all of it.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut left = bytes;
    while !left.is_empty() {
        match system::random(left) {
            Ok(got) => left = left.split_at_mut(got.min(left.len())).1,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => log::fatal(1, format_args!("no random bytes: {error}")),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_secure_rng_get_bytes(to: *mut c_void, length: usize) {
    if length > 0 {
        // SAFETY: the caller's room.
        fill(unsafe { std::slice::from_raw_parts_mut(to.cast(), length) });
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
