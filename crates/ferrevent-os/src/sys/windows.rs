//! The calls of Winsock that have the shape of their Unix kin.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::ptr;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use windows_sys::Win32::Networking::WinSock;

use super::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use super::{Call, Fault, Sys, errno, verdict, wine};

pub(crate) use WinSock::{
    POLLERR, POLLHUP, POLLNVAL, POLLRDBAND as POLLPRI, POLLRDNORM as POLLIN, POLLWRNORM as POLLOUT,
    WSAPOLLFD as pollfd,
};

impl Sys {
    /// Receives into one slice: `recv`.
    #[inline]
    pub(crate) fn receive(
        &self,
        fd: BorrowedFd<'_>,
        _socket: bool,
        into: &mut [u8],
    ) -> io::Result<usize> {
        let raw = number(fd);
        let received = self.moving(Call::Receive, fd, into.len(), |limit| {
            // SAFETY: `into` has `limit` or more writable bytes that nobody
            // else touches during the call.
            unsafe { WinSock::recv(raw, into.as_mut_ptr(), int(limit), 0) as isize }
        })?;
        if received == 0 && !into.is_empty() && wine::lost_a_reset(fd) {
            return Err(io::Error::from_raw_os_error(WinSock::WSAECONNRESET));
        }
        Ok(received)
    }

    /// The same: control data does not come along with a stream here.
    pub(crate) fn receive_message(
        &self,
        fd: BorrowedFd<'_>,
        into: &mut [u8],
        control: &mut bool,
    ) -> io::Result<usize> {
        *control = false;
        self.receive(fd, true, into)
    }

    /// Sends one slice: `send`.
    #[inline]
    pub(crate) fn send(
        &self,
        fd: BorrowedFd<'_>,
        _socket: bool,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let raw = number(fd);
        self.moving(Call::Send, fd, bytes.len(), |limit| {
            // SAFETY: `bytes` has `limit` or more readable bytes.
            unsafe { WinSock::send(raw, bytes.as_ptr(), int(limit), 0) as isize }
        })
    }

    /// Sends the bytes that wake a thread that polls the other end.
    pub(crate) fn signal(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let one = 1_u64.to_ne_bytes();
        self.moving(Call::Wake, fd, one.len(), |_| {
            // SAFETY: `one` has eight readable bytes and lives through the call.
            unsafe { WinSock::send(number(fd), one.as_ptr(), int(one.len()), 0) as isize }
        })
    }

    /// Sends several slices in order: `WSASend`.
    pub(crate) fn send_vectored(
        &self,
        fd: BorrowedFd<'_>,
        socket: bool,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let raw = number(fd);
        let total = slices.iter().map(|slice| slice.len()).sum();
        let first = slices.first().map_or(&[][..], |slice| &slice[..]);
        self.moving(Call::Send, fd, total, |limit| {
            if limit < total {
                // Only an injected fault cuts a call short: one part will do.
                let cut = &first[..limit.min(first.len())];
                // SAFETY: `cut` is readable and lives through the call.
                return unsafe { WinSock::send(raw, cut.as_ptr(), int(cut.len()), 0) as isize };
            }
            let mut sent = 0;
            // SAFETY: IoSlice has the layout of WSABUF by its contract, the
            // slices are alive and only read, and without an OVERLAPPED the
            // call is over when it returns.
            let answer = unsafe {
                WinSock::WSASend(
                    raw,
                    slices.as_ptr().cast(),
                    u32::try_from(slices.len()).unwrap_or(u32::MAX),
                    &raw mut sent,
                    0,
                    ptr::null_mut(),
                    None,
                )
            };
            if answer == 0 { sent as isize } else { -1 }
        })
        .inspect(|_| debug_assert!(socket, "only sockets send here"))
    }

    /// `WSAPoll`, which has poll(2)'s shape. The timeout is rounded up to whole
    /// milliseconds.
    pub(crate) fn poll(
        &self,
        entries: &mut [pollfd],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        match self.strike(Call::Wait) {
            Some(Fault::Errno(errno::EINTR)) => {
                entries.iter_mut().for_each(|entry| entry.revents = 0);
                return Ok(0);
            }
            fault => verdict(fault)?,
        }
        let millis = timeout.map_or(-1, |time| {
            i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        // SAFETY: `entries` is a valid slice of WSAPOLLFD for the whole call.
        let answer = unsafe { WinSock::WSAPoll(entries.as_mut_ptr(), count, millis) };
        if let Ok(count) = usize::try_from(answer) {
            return Ok(count);
        }
        match io::Error::last_os_error() {
            // One of them was closed meanwhile. poll(2) tells which.
            error if error.raw_os_error() == Some(WinSock::WSAENOTSOCK) => Ok(name_closed(entries)),
            error => Err(error),
        }
    }

    /// Two sockets connected over loopback, the reading end first: WSAPoll
    /// waits for nothing else.
    pub(crate) fn wake_pair(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        verdict(self.strike(Call::WakeCreate))?;
        loopback_pair()
    }
}

/// Marks the entries whose socket is closed, as poll(2) does.
fn name_closed(entries: &mut [pollfd]) -> usize {
    let mut count = 0;
    for entry in entries {
        let mut kind = 0_i32;
        let mut len = int(size_of::<i32>());
        // SAFETY: `kind` has room for `len` bytes, and both live through the
        // call; a number that is no socket is an error, no harm.
        let answer = unsafe {
            WinSock::getsockopt(
                entry.fd,
                WinSock::SOL_SOCKET,
                WinSock::SO_TYPE,
                (&raw mut kind).cast(),
                &raw mut len,
            )
        };
        entry.revents = if answer == 0 { 0 } else { POLLNVAL };
        count += usize::from(answer != 0);
    }
    count
}

/// Two TCP sockets connected to each other over loopback, non-blocking. There
/// is no socketpair here.
pub(crate) fn loopback_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let one = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    one.connect(&listener.local_addr()?)?;
    let name = one.local_addr()?.as_socket();
    let other = loop {
        // Somebody else may have connected to the port meanwhile.
        let (other, peer) = listener.accept()?;
        if peer.as_socket() == name {
            break other;
        }
    };
    for socket in [&one, &other] {
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
    }
    Ok((one.into(), other.into()))
}

/// An entry of the set that is polled.
pub(crate) fn polled(fd: RawFd, events: i16) -> pollfd {
    pollfd {
        fd: fd as WinSock::SOCKET,
        events,
        revents: 0,
    }
}

/// Makes a socket non-blocking.
pub(crate) fn set_nonblocking(raw: RawFd) -> io::Result<()> {
    let mut on = 1;
    // SAFETY: `on` lives through the call; a number that is no socket is an
    // error, no harm.
    let answer =
        unsafe { WinSock::ioctlsocket(raw as WinSock::SOCKET, WinSock::FIONBIO, &raw mut on) };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether a socket listens (`SO_ACCEPTCONN`).
pub(crate) fn is_listener(socket: &SockRef<'_>) -> bool {
    let mut on = 0_u32;
    let mut len = int(size_of::<u32>());
    // SAFETY: `on` has room for `len` bytes, and both live through the call.
    let answer = unsafe {
        WinSock::getsockopt(
            socket.as_raw_fd() as WinSock::SOCKET,
            WinSock::SOL_SOCKET,
            WinSock::SO_ACCEPTCONN,
            (&raw mut on).cast(),
            &raw mut len,
        )
    };
    answer == 0 && on != 0
}

pub(crate) fn number(fd: BorrowedFd<'_>) -> WinSock::SOCKET {
    fd.as_raw_fd() as WinSock::SOCKET
}

pub(crate) fn int(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}
