//! Sockets and their options.

use std::ffi::c_int;
use std::io;

use crate::log;
use crate::system::{self, Socket};

#[unsafe(no_mangle)]
extern "C" fn evutil_socketpair(
    family: c_int,
    kind: c_int,
    protocol: c_int,
    to: Option<&mut [Socket; 2]>,
) -> c_int {
    to.map_or(-1, |to| system::pair(family, kind, protocol, to))
}

#[unsafe(no_mangle)]
extern "C" fn evutil_make_socket_nonblocking(fd: Socket) -> c_int {
    flag(fd, system::make_nonblocking(fd))
}

#[unsafe(no_mangle)]
extern "C" fn evutil_make_socket_closeonexec(fd: Socket) -> c_int {
    flag(fd, system::close_on_exec(fd))
}

fn flag(fd: Socket, outcome: io::Result<()>) -> c_int {
    if let Err(error) = outcome {
        log::warn_error(
            format_args!("a flag of descriptor {fd} cannot be changed"),
            &error,
        );
        return -1;
    }
    0
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_reuseable(fd: Socket) -> c_int {
    system::reuse_address(fd)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_reuseable_port(fd: Socket) -> c_int {
    system::reuse_port(fd)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_ipv6only(fd: Socket) -> c_int {
    system::set_option(fd, system::IPPROTO_IPV6, system::IPV6_V6ONLY, 1)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_tcp_listen_socket_deferred(fd: Socket) -> c_int {
    system::defer_accept(fd)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_closesocket(fd: Socket) -> c_int {
    system::close(fd)
}

/// The error of a socket, where the last call only said that it would block.
#[cfg(windows)]
#[unsafe(no_mangle)]
extern "C" fn evutil_socket_geterror(fd: Socket) -> c_int {
    use windows_sys::Win32::Networking::WinSock::WSAEWOULDBLOCK;
    let last = system::last_error();
    if last == WSAEWOULDBLOCK && fd >= 0 {
        match system::error_of(fd) {
            0 => last,
            error => error,
        }
    } else {
        last
    }
}

/// What an error of Winsock's means. The string stays.
#[cfg(windows)]
#[unsafe(no_mangle)]
extern "C" fn evutil_socket_error_to_string(error: c_int) -> *const std::ffi::c_char {
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<BTreeMap<c_int, CString>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = known.entry(error).or_insert_with(|| {
        let text = io::Error::from_raw_os_error(error).to_string();
        CString::new(text).unwrap_or_default()
    });
    text.as_ptr()
}
