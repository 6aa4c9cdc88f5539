//! The calls every Unix has.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::{Call, Fault, Sys, verdict};

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
        self.moving(Call::Receive, into.len(), |limit| {
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
        self.moving(Call::Receive, into.len(), |limit| {
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
        self.moving(Call::Send, bytes.len(), |limit| {
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
        self.moving(Call::Wake, one.len(), |_| {
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
        self.moving(Call::Send, total, |limit| {
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

    /// Reads a file at an offset: `pread(2)`, for file ranges that cannot be
    /// sent by the kernel itself.
    pub(crate) fn read_file(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let limit = match self.strike(Call::ReadFile) {
                None => into.len(),
                Some(Fault::Short(limit)) => limit.max(1).min(into.len()),
                Some(fault) => {
                    verdict(Some(fault))?;
                    continue;
                }
            };
            match file.read_at(&mut into[..limit], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// A new socket, close-on-exec and non-blocking: `socket(2)`.
    pub(crate) fn socket(&self, domain: Domain, kind: Type) -> io::Result<Socket> {
        verdict(self.strike(Call::Socket))?;
        let socket = Socket::new(domain, kind, None)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// `bind(2)`.
    pub(crate) fn bind(&self, socket: &Socket, address: &SockAddr) -> io::Result<()> {
        verdict(self.strike(Call::Bind))?;
        socket.bind(address)
    }

    /// `listen(2)`.
    pub(crate) fn listen(&self, socket: &Socket, backlog: i32) -> io::Result<()> {
        verdict(self.strike(Call::Listen))?;
        socket.listen(backlog)
    }

    /// Begins to connect: `Ok(false)` while the connection is being made.
    pub(crate) fn connect(&self, fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<bool> {
        verdict(self.strike(Call::Connect))?;
        match SockRef::from(&fd).connect(address) {
            Ok(()) => Ok(true),
            // Asked again about an attempt that has succeeded meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Ok(true),
            // An interrupted connect goes on by itself (connect(2), EINTR).
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINPROGRESS | libc::EINTR | libc::EALREADY)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a pending connection, close-on-exec and non-blocking.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn accept(&self, fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
        loop {
            match self.strike(Call::Accept) {
                Some(Fault::Errno(libc::EINTR)) => continue,
                fault => verdict(fault)?,
            }
            match SockRef::from(&fd).accept() {
                Ok((socket, address)) => {
                    socket.set_nonblocking(true)?;
                    return Ok((socket.into(), address));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The error that a socket has waiting (`SO_ERROR`), which also clears it.
    pub(crate) fn socket_error(&self, fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
        verdict(self.strike(Call::SocketOption))?;
        SockRef::from(&fd).take_error()
    }

    /// Ends the sending side: `shutdown(2)`.
    pub(crate) fn shutdown_write(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        verdict(self.strike(Call::Shutdown))?;
        SockRef::from(&fd).shutdown(Shutdown::Write)
    }

    /// `poll(2)`; a signal is no error, only an early return. The timeout is
    /// rounded up to whole milliseconds.
    pub(crate) fn poll(
        &self,
        entries: &mut [libc::pollfd],
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
    pub(crate) fn pipe(&self) -> io::Result<(OwnedFd, OwnedFd)> {
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
