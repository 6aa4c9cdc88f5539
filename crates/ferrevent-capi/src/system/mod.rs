//! What is the system's own, under the same names everywhere: descriptors on
//! Unix, sockets on Windows, and what C has of addresses, files and time.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod own;
#[cfg(windows)]
mod windows_c;
#[cfg(windows)]
mod windows_lookup;
#[cfg(windows)]
mod windows_names;

pub(crate) use own::*;
#[cfg(windows)]
pub(crate) use {windows_c::*, windows_lookup::*};

use std::ffi::c_int;

use ferrevent_os::sys::fd::BorrowedFd;

/// Of what is watched or moved by the engine.
///
/// # Safety
/// It is open as long as the answer is used, or is only told to the kernel,
/// which refuses one that is not.
pub(crate) unsafe fn borrow<'a>(fd: Socket) -> BorrowedFd<'a> {
    // SAFETY: the caller's promise.
    unsafe { BorrowedFd::borrow_raw(raw(fd)) }
}

/// The error that C programs would find, as `std` has it.
pub(crate) fn last() -> std::io::Error {
    std::io::Error::from_raw_os_error(last_error())
}

/// How a socket is made.
#[derive(Clone, Copy)]
pub(crate) struct Making {
    pub(crate) family: c_int,
    pub(crate) kind: c_int,
    pub(crate) close_on_exec: bool,
}
