//! The calls that are the same on every system.

use std::fs::File;
use std::io;
use std::net::Shutdown;

use ferrevent_core::buffer::{Block, FileRangeRef};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use super::{Call, Fault, Sys, errno, file_ended, own, verdict};

impl Sys {
    /// Reads the beginning of a file range, at most 64 KiB, where the kernel
    /// cannot send it by itself or a filter must see it.
    ///
    /// # Errors
    /// Those of `pread(2)`, and `UnexpectedEof` where the file is too short.
    ///
    /// ```
    /// use std::{fs::File, sync::Arc};
    /// use ferrevent_core::buffer::FileRangeRef;
    /// use ferrevent_os::sys::{Clock, Sys};
    ///
    /// let file = Arc::new(File::open("Cargo.toml")?);
    /// let range = FileRangeRef { file: &file, offset: 1, len: 7 };
    /// let (block, filled) = Sys::new(Clock::real(), None).read_range(&range)?;
    /// assert_eq!(&block.as_slice()[..filled], b"package");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn read_range(&self, range: &FileRangeRef<'_>) -> io::Result<(Block, usize)> {
        let mut block = Block::with_capacity_at_least(range.len);
        let room = block.capacity().min(range.len);
        let filled = self.read_file(range.file, range.offset, &mut block.as_mut_slice()[..room])?;
        if filled == 0 {
            return Err(file_ended(range.offset));
        }
        Ok((block, filled))
    }

    /// Reads a file at an offset: `pread(2)`.
    fn read_file(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let limit = match self.strike(Call::ReadFile) {
                None => into.len(),
                Some(Fault::Short(limit)) => limit.max(1).min(into.len()),
                Some(fault) => {
                    verdict(Some(fault))?;
                    continue;
                }
            };
            match read_at(file, &mut into[..limit], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// A new socket, close-on-exec and non-blocking: `socket(2)`.
    pub(crate) fn socket(&self, domain: Domain, kind: Type) -> io::Result<Socket> {
        let socket = self.blocking_socket(domain, kind)?;
        self.set_nonblocking(socket.as_fd())?;
        Ok(socket)
    }

    /// The same, but for calls that are begun and never wait.
    pub(crate) fn blocking_socket(&self, domain: Domain, kind: Type) -> io::Result<Socket> {
        verdict(self.strike(Call::Socket))?;
        Socket::new(domain, kind, None)
    }

    /// Two connected sockets, close-on-exec and non-blocking: `socketpair(2)`.
    pub(crate) fn pair(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        verdict(self.strike(Call::Pair))?;
        #[cfg(unix)]
        {
            let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
            self.set_nonblocking(one.as_fd())?;
            self.set_nonblocking(other.as_fd())?;
            Ok((one.into(), other.into()))
        }
        #[cfg(windows)]
        own::loopback_pair()
    }

    /// Sets an option of a socket: `setsockopt(2)`.
    pub(crate) fn set_option(&self, set: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        verdict(self.strike(Call::SocketOption))?;
        set()
    }

    /// A second descriptor of the same thing: `dup(2)`.
    pub(crate) fn duplicate(&self, fd: &OwnedFd) -> io::Result<OwnedFd> {
        verdict(self.strike(Call::Duplicate))?;
        fd.try_clone()
    }

    /// Sets `O_NONBLOCK` on a descriptor: `fcntl(2)`.
    pub(crate) fn set_nonblocking(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        verdict(self.strike(Call::SetFlags))?;
        own::set_nonblocking(fd.as_raw_fd())
    }

    /// Starts a thread that nobody waits for: `pthread_create(3)`.
    ///
    /// # Errors
    /// When the system has no room for one more.
    ///
    /// ```
    /// use ferrevent_os::sys::{Clock, Sys};
    /// Sys::new(Clock::real(), None).start_thread("helper", || ())?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn start_thread(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        verdict(self.strike(Call::Thread))?;
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)?;
        Ok(())
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
        let interrupted = match self.strike(Call::Connect) {
            Some(Fault::Errno(errno::EINTR)) => true,
            fault => verdict(fault).map(|()| false)?,
        };
        match SockRef::from(&fd).connect(address) {
            Ok(()) => Ok(!interrupted),
            // Asked again about an attempt that has succeeded meanwhile.
            Err(error) if error.raw_os_error() == Some(errno::EISCONN) => Ok(true),
            // An interrupted connect goes on by itself (connect(2), EINTR).
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(errno::EINPROGRESS | errno::EINTR | errno::EALREADY)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a pending connection, close-on-exec and non-blocking.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn accept(&self, fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        loop {
            match self.strike(Call::Accept) {
                Some(Fault::Errno(errno::EINTR)) => continue,
                fault => verdict(fault)?,
            }
            match SockRef::from(&fd).accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true)?;
                    return Ok(socket.into());
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
        if let Some(Fault::Errno(errno)) = self.strike(Call::Shutdown) {
            return Err(gone(fd, errno));
        }
        SockRef::from(&fd).shutdown(Shutdown::Write)
    }
}

/// An injected error. Where it says that the connection is gone, it is gone:
/// what came is still there, and then the end, on both sides.
pub(crate) fn gone(fd: BorrowedFd<'_>, errno: i32) -> io::Error {
    if matches!(
        errno,
        errno::ECONNRESET | errno::EPIPE | errno::ENOTCONN | errno::ETIMEDOUT
    ) {
        let _ = SockRef::from(&fd).shutdown(Shutdown::Both);
    }
    io::Error::from_raw_os_error(errno)
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}
