//! How an overlapped call ended: the status that the kernel wrote, as the
//! error that the same call would have brought at once.

use std::io;

use windows_sys::Win32::Foundation::{self as status, NTSTATUS, RtlNtStatusToDosError};
use windows_sys::Win32::Networking::WinSock;

use super::errno;

/// Success, or the error. Whatever is negative is an error: the same one may
/// have several names.
pub(crate) fn outcome(code: NTSTATUS) -> io::Result<()> {
    if code >= 0 {
        return Ok(());
    }
    let error = match code {
        status::STATUS_CANCELLED | HANDLES_CLOSED => errno::ECANCELED,
        status::STATUS_CONNECTION_REFUSED | status::STATUS_REMOTE_NOT_LISTENING => {
            WinSock::WSAECONNREFUSED
        }
        status::STATUS_CONNECTION_RESET
        | status::STATUS_CONNECTION_DISCONNECTED
        | status::STATUS_REMOTE_DISCONNECT
        | status::STATUS_PORT_UNREACHABLE => errno::ECONNRESET,
        status::STATUS_CONNECTION_ABORTED | status::STATUS_LOCAL_DISCONNECT => errno::ECONNABORTED,
        status::STATUS_IO_TIMEOUT | status::STATUS_TIMEOUT | status::STATUS_LINK_TIMEOUT => {
            WinSock::WSAETIMEDOUT
        }
        status::STATUS_NETWORK_UNREACHABLE => WinSock::WSAENETUNREACH,
        status::STATUS_HOST_UNREACHABLE | status::STATUS_PROTOCOL_UNREACHABLE => {
            WinSock::WSAEHOSTUNREACH
        }
        status::STATUS_HOST_DOWN => WinSock::WSAEHOSTDOWN,
        status::STATUS_ADDRESS_ALREADY_EXISTS | status::STATUS_SHARING_VIOLATION => {
            WinSock::WSAEADDRINUSE
        }
        status::STATUS_INVALID_ADDRESS_COMPONENT | status::STATUS_INVALID_ADDRESS => {
            WinSock::WSAEADDRNOTAVAIL
        }
        status::STATUS_INSUFFICIENT_RESOURCES
        | status::STATUS_QUOTA_EXCEEDED
        | status::STATUS_PAGEFILE_QUOTA
        | status::STATUS_NO_MEMORY => errno::ENOBUFS,
        status::STATUS_PIPE_DISCONNECTED => WinSock::WSAESHUTDOWN,
        // SAFETY: takes and gives a number.
        other => unsafe { RtlNtStatusToDosError(other) as i32 },
    };
    Err(io::Error::from_raw_os_error(error))
}

/// What Wine says when a socket was closed with a receive under way.
const HANDLES_CLOSED: NTSTATUS = status::STATUS_HANDLES_CLOSED;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_call() {
        assert!(outcome(0).is_ok());
        // A warning or a note is no failure of the call.
        assert!(outcome(status::STATUS_PENDING).is_ok());
        for (code, kind) in [
            (
                status::STATUS_CONNECTION_REFUSED,
                io::ErrorKind::ConnectionRefused,
            ),
            (
                status::STATUS_CONNECTION_RESET,
                io::ErrorKind::ConnectionReset,
            ),
            (status::STATUS_IO_TIMEOUT, io::ErrorKind::TimedOut),
            (
                status::STATUS_ADDRESS_ALREADY_EXISTS,
                io::ErrorKind::AddrInUse,
            ),
        ] {
            assert_eq!(outcome(code).unwrap_err().kind(), kind);
        }
        for code in [status::STATUS_CANCELLED, HANDLES_CLOSED] {
            assert!(super::super::is_canceled(&outcome(code).unwrap_err()));
        }
    }
}
