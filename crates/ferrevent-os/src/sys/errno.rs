//! The numbers of the errors that this layer tells apart, and that a test may
//! inject: errno(3), on Windows those of Winsock.

#[cfg(unix)]
pub use libc::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EALREADY, ECANCELED, ECONNABORTED, ECONNREFUSED,
    ECONNRESET, EINPROGRESS, EINTR, EINVAL, EIO, EISCONN, EMFILE, ENETUNREACH, ENFILE, ENOBUFS,
    ENOMEM, ENOPROTOOPT, ENOSPC, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE, EPROTO, ETIMEDOUT,
};

#[cfg(windows)]
pub use windows::*;

#[cfg(windows)]
#[expect(missing_docs, reason = "each is the error of that name")]
mod windows {
    use windows_sys::Win32::Foundation as system;
    use windows_sys::Win32::Networking::WinSock as winsock;

    pub const EACCES: i32 = winsock::WSAEACCES;
    pub const EADDRINUSE: i32 = winsock::WSAEADDRINUSE;
    pub const EADDRNOTAVAIL: i32 = winsock::WSAEADDRNOTAVAIL;
    pub const EAGAIN: i32 = winsock::WSAEWOULDBLOCK;
    pub const EALREADY: i32 = winsock::WSAEALREADY;
    pub const ECANCELED: i32 = system::ERROR_OPERATION_ABORTED as i32;
    pub const ECONNABORTED: i32 = winsock::WSAECONNABORTED;
    pub const ECONNREFUSED: i32 = winsock::WSAECONNREFUSED;
    pub const ECONNRESET: i32 = winsock::WSAECONNRESET;
    /// A connection attempt that goes on: Winsock says so by `WSAEWOULDBLOCK`.
    pub const EINPROGRESS: i32 = winsock::WSAEWOULDBLOCK;
    pub const EINTR: i32 = winsock::WSAEINTR;
    pub const EINVAL: i32 = winsock::WSAEINVAL;
    pub const EIO: i32 = system::ERROR_IO_DEVICE as i32;
    pub const EISCONN: i32 = winsock::WSAEISCONN;
    pub const EMFILE: i32 = winsock::WSAEMFILE;
    pub const ENETUNREACH: i32 = winsock::WSAENETUNREACH;
    pub const ENFILE: i32 = system::ERROR_TOO_MANY_OPEN_FILES as i32;
    pub const ENOBUFS: i32 = winsock::WSAENOBUFS;
    pub const ENOMEM: i32 = system::ERROR_NOT_ENOUGH_MEMORY as i32;
    pub const ENOPROTOOPT: i32 = winsock::WSAENOPROTOOPT;
    pub const ENOSPC: i32 = system::ERROR_DISK_FULL as i32;
    pub const ENOTCONN: i32 = winsock::WSAENOTCONN;
    pub const EOPNOTSUPP: i32 = winsock::WSAEOPNOTSUPP;
    pub const EPERM: i32 = system::ERROR_ACCESS_DENIED as i32;
    /// The sending side is gone: Winsock says so by `WSAESHUTDOWN`.
    pub const EPIPE: i32 = winsock::WSAESHUTDOWN;
    pub const EPROTO: i32 = winsock::WSAEPROTONOSUPPORT;
    pub const ETIMEDOUT: i32 = winsock::WSAETIMEDOUT;
}
