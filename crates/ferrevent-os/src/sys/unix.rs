//! The calls every Unix has.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

use super::{Call, Fault, Sys, verdict};

pub(crate) use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, pollfd};

impl Sys {
    /// Receives into one slice: `recv(2)` on a socket, else `read(2)`.
    #[inline]
    pub(crate) fn receive(
        &self,
        fd: BorrowedFd<'_>,
        socket: bool,
        into: &mut [u8],
    ) -> io::Result<usize> {
        let raw = fd.as_raw_fd();
        self.moving(Call::Receive, fd, into.len(), |limit| {
            let start = into.as_mut_ptr().cast();
            if socket {
                // SAFETY: `start` points to `into.len() >= limit` writable
                // bytes that nobody else touches during the call.
                unsafe { libc::recv(raw, start, limit, 0) }
            } else {
                // SAFETY: as above.
                unsafe { libc::read(raw, start, limit) }
            }
        })
    }

    /// Receives into one slice and tells whether control data was there, which
    /// is thrown away: `recvmsg(2)`.
    #[inline]
    pub(crate) fn receive_message(
        &self,
        fd: BorrowedFd<'_>,
        into: &mut [u8],
        control: &mut bool,
    ) -> io::Result<usize> {
        let raw = fd.as_raw_fd();
        self.moving(Call::Receive, fd, into.len(), |limit| {
            let mut slice = libc::iovec {
                iov_base: into.as_mut_ptr().cast(),
                iov_len: limit,
            };
            // SAFETY: a zeroed msghdr is a valid empty one.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = &raw mut slice;
            message.msg_iovlen = 1;
            // SAFETY: `slice` lives through the call and spans `limit` bytes,
            // no more than `into` has, that nobody else touches.
            let received = unsafe { libc::recvmsg(raw, &raw mut message, 0) };
            *control = message.msg_flags & libc::MSG_CTRUNC != 0;
            received
        })
    }

    /// Sends one slice: `send(2)` without a signal on a socket, else `write(2)`.
    #[inline]
    pub(crate) fn send(&self, fd: BorrowedFd<'_>, socket: bool, bytes: &[u8]) -> io::Result<usize> {
        let raw = fd.as_raw_fd();
        self.moving(Call::Send, fd, bytes.len(), |limit| {
            let start = bytes.as_ptr().cast();
            if socket {
                // SAFETY: `start` points to at least `limit` readable bytes.
                unsafe { libc::send(raw, start, limit, libc::MSG_NOSIGNAL) }
            } else {
                // SAFETY: as above.
                unsafe { libc::write(raw, start, limit) }
            }
        })
    }

    /// Writes the eight bytes that an eventfd takes, and a pipe too: `write(2)`.
    pub(crate) fn signal(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let one = 1_u64.to_ne_bytes();
        self.moving(Call::Wake, fd, one.len(), |_| {
            // SAFETY: `one` has eight readable bytes and lives through the call.
            unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) }
        })
    }

    /// Sends several slices in order: `sendmsg(2)` without a signal on a
    /// socket, else `writev(2)`.
    pub(crate) fn send_vectored(
        &self,
        fd: BorrowedFd<'_>,
        socket: bool,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let raw = fd.as_raw_fd();
        let total = slices.iter().map(|slice| slice.len()).sum();
        self.moving(Call::Send, fd, total, |limit| {
            let mut parts = slices;
            let cut;
            if limit < total {
                // Only an injected fault cuts a call short: one part will do.
                cut = [IoSlice::new(&slices[0][..limit.clamp(1, slices[0].len())])];
                parts = &cut;
            }
            let start = parts.as_ptr().cast_mut().cast::<libc::iovec>();
            if socket {
                // SAFETY: a zeroed msghdr is a valid empty one.
                let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
                message.msg_iov = start;
                message.msg_iovlen = parts.len() as _;
                // SAFETY: IoSlice has the layout of iovec by its contract,
                // `parts` is alive, and the kernel only reads it.
                unsafe { libc::sendmsg(raw, &raw const message, libc::MSG_NOSIGNAL) }
            } else {
                // SAFETY: as above.
                unsafe { libc::writev(raw, start, parts.len() as libc::c_int) }
            }
        })
    }

    /// `poll(2)`; a signal is no error, only an early return. The timeout is
    /// rounded up to whole milliseconds.
    pub(crate) fn poll(
        &self,
        entries: &mut [pollfd],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        match self.strike(Call::Wait) {
            Some(Fault::Errno(libc::EINTR)) => {
                entries.iter_mut().for_each(|entry| entry.revents = 0);
                return Ok(0);
            }
            fault => verdict(fault)?,
        }
        let millis = timeout.map_or(-1, |time| {
            i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `entries` is a valid slice of pollfd for the whole call.
        let answer = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as _, millis) };
        match usize::try_from(answer) {
            Ok(count) => Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                entries.iter_mut().for_each(|entry| entry.revents = 0);
                if error.raw_os_error() == Some(libc::EINTR) {
                    Ok(0)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// A pipe whose both ends are close-on-exec and non-blocking: the wake-up
    /// where there is no eventfd.
    pub(crate) fn wake_pair(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors that pipe writes.
        self.call(Call::WakeCreate, || unsafe {
            libc::pipe(ends.as_mut_ptr())
        })?;
        // SAFETY: pipe succeeded, so both are open and ours alone.
        let pair = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        for end in [&pair.0, &pair.1] {
            set_nonblocking(end.as_raw_fd())?;
            // SAFETY: F_SETFD takes an integer and touches no memory.
            if unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(pair)
    }
}

/// An entry of the set that is polled.
pub(crate) fn polled(fd: RawFd, events: i16) -> pollfd {
    pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Whether a socket listens (`SO_ACCEPTCONN`).
pub(crate) fn is_listener(socket: &SockRef<'_>) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// Sets `O_NONBLOCK` on a descriptor.
pub(crate) fn set_nonblocking(raw: libc::c_int) -> io::Result<()> {
    // SAFETY: F_GETFL and F_SETFL take and give integers, no memory.
    let answer = unsafe {
        let flags = libc::fcntl(raw, libc::F_GETFL);
        if flags < 0 || flags & libc::O_NONBLOCK != 0 {
            flags
        } else {
            libc::fcntl(raw, libc::F_SETFL, flags | libc::O_NONBLOCK)
        }
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
