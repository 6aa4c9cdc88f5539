//! Sockets and their options.

use std::ffi::{c_int, c_void};
use std::io;

use crate::log;

#[unsafe(no_mangle)]
extern "C" fn evutil_socketpair(
    family: c_int,
    kind: c_int,
    protocol: c_int,
    to: Option<&mut [c_int; 2]>,
) -> c_int {
    let Some(to) = to else { return -1 };
    // SAFETY: room for two descriptors.
    unsafe { libc::socketpair(family, kind, protocol, to.as_mut_ptr()) }
}

#[unsafe(no_mangle)]
extern "C" fn evutil_make_socket_nonblocking(fd: c_int) -> c_int {
    add_flag(fd, libc::F_GETFL, libc::F_SETFL, libc::O_NONBLOCK)
}

#[unsafe(no_mangle)]
extern "C" fn evutil_make_socket_closeonexec(fd: c_int) -> c_int {
    add_flag(fd, libc::F_GETFD, libc::F_SETFD, libc::FD_CLOEXEC)
}

fn add_flag(fd: c_int, read: c_int, write: c_int, flag: c_int) -> c_int {
    // SAFETY: flags of whatever that number is.
    let outcome = unsafe {
        let flags = libc::fcntl(fd, read);
        if flags >= 0 && flags & flag == 0 {
            libc::fcntl(fd, write, flags | flag)
        } else {
            flags
        }
    };
    if outcome < 0 {
        let error = io::Error::last_os_error();
        log::warn_error(
            format_args!("a flag of descriptor {fd} cannot be changed"),
            &error,
        );
        return -1;
    }
    0
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_reuseable(fd: c_int) -> c_int {
    turn_on(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_reuseable_port(fd: c_int) -> c_int {
    turn_on(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_listen_socket_ipv6only(fd: c_int) -> c_int {
    turn_on(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_make_tcp_listen_socket_deferred(fd: c_int) -> c_int {
    turn_on(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT)
}

pub(crate) fn turn_on(fd: c_int, level: c_int, option: c_int) -> c_int {
    let on: c_int = 1;
    let place = (&raw const on).cast::<c_void>();
    // SAFETY: an int that lives through the call.
    unsafe { libc::setsockopt(fd, level, option, place, size_of::<c_int>() as u32) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn evutil_closesocket(fd: c_int) -> c_int {
    // SAFETY: the caller's descriptor, which it gives up.
    unsafe { libc::close(fd) }
}
