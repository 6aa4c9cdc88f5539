//! The calls only Linux has: epoll(7), eventfd(2), accept4(2), sendfile(2).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Call, Fault, Sys, verdict};
use crate::op::OpKind;

/// Whether epoll_pwait2 (Linux 5.11) has answered `ENOSYS` or been refused by
/// a sandbox: then timeouts have milliseconds, rounded up.
static COARSE_WAIT: AtomicBool = AtomicBool::new(false);

impl Sys {
    /// `epoll_create1(2)`.
    pub(crate) fn epoll_create(&self) -> io::Result<OwnedFd> {
        let raw = self.call(Call::WaiterCreate, || {
            // SAFETY: takes an integer, touches no memory.
            unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }
        })?;
        // SAFETY: just created, so open and ours alone.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }

    /// `epoll_ctl(2)`.
    pub(crate) fn epoll_control(
        &self,
        epoll: BorrowedFd<'_>,
        operation: libc::c_int,
        fd: RawFd,
        events: u32,
        data: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: data };
        self.call(Call::WaiterControl, || {
            // SAFETY: `event` is valid for the length of the call; a number that
            // is not open is an error, no harm.
            unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &raw mut event) }
        })
        .map(drop)
    }

    /// `epoll_pwait2(2)`, or `epoll_wait(2)` where that is missing. A signal
    /// is no error, only an early return. Fills `events` from its start and
    /// returns how many.
    pub(crate) fn epoll_wait(
        &self,
        epoll: BorrowedFd<'_>,
        events: &mut [libc::epoll_event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        match self.strike(Call::Wait) {
            Some(Fault::Errno(libc::EINTR)) => return Ok(0),
            fault => verdict(fault)?,
        }
        let capacity = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
        let answer = match timeout {
            Some(time) if !time.is_zero() && !COARSE_WAIT.load(Ordering::Relaxed) => {
                let answer = wait_fine(epoll, events, capacity, time);
                if answer < 0 && refused(&io::Error::last_os_error()) {
                    COARSE_WAIT.store(true, Ordering::Relaxed);
                    wait_coarse(epoll, events, capacity, timeout)
                } else {
                    answer
                }
            }
            _ => wait_coarse(epoll, events, capacity, timeout),
        };
        match usize::try_from(answer) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// The fault that an operation meets which the kernel does by itself.
    #[inline]
    pub(crate) fn strike_op(&self, kind: OpKind) -> Option<Fault> {
        self.strike(match kind {
            OpKind::Receive => Call::Receive,
            OpKind::Send => Call::Send,
            OpKind::Accept => Call::Accept,
            OpKind::Connect => Call::Connect,
        })
    }

    /// Whether a wait may begin: false when a signal ends it at once.
    #[inline]
    pub(crate) fn strike_wait(&self) -> io::Result<bool> {
        match self.strike(Call::Wait) {
            Some(Fault::Errno(libc::EINTR)) => Ok(false),
            fault => verdict(fault).map(|()| true),
        }
    }

    /// The fault that the making of a ring meets.
    pub(crate) fn strike_ring(&self) -> io::Result<()> {
        verdict(self.strike(Call::WaiterCreate))
    }

    /// A counter that wakes whoever waits for it: `eventfd(2)`.
    pub(crate) fn eventfd(&self) -> io::Result<OwnedFd> {
        let raw = self.call(Call::WakeCreate, || {
            // SAFETY: takes integers, touches no memory.
            unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }
        })?;
        // SAFETY: just created, so open and ours alone.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }

    /// Takes a pending connection, close-on-exec and non-blocking.
    pub(crate) fn accept(&self, fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let (raw, nobody) = (fd.as_raw_fd(), std::ptr::null_mut());
        let raw = self.call(Call::Accept, || {
            // SAFETY: without room for an address accept4 writes none.
            unsafe { libc::accept4(raw, nobody, std::ptr::null_mut(), flags) }
        })?;
        // SAFETY: just opened, so open and ours alone.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }

    /// Sends a piece of a file without bringing it into user memory:
    /// `sendfile(2)`.
    pub(crate) fn send_file(
        &self,
        to: BorrowedFd<'_>,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        let start = libc::off_t::try_from(offset)
            .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
        self.moving(Call::SendFile, to, len, |limit| {
            let mut offset = start;
            // SAFETY: `offset` is valid for the length of the call; both
            // descriptors are borrowed, so open.
            unsafe { libc::sendfile(to.as_raw_fd(), file.as_raw_fd(), &raw mut offset, limit) }
        })
    }
}

fn wait_fine(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    capacity: libc::c_int,
    timeout: Duration,
) -> libc::c_int {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: `events` has room for `capacity` entries and `time` lives
    // through the call; without a signal mask its size is not looked at. The
    // raw call is used because an older C library has no wrapper to link to.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            capacity,
            &raw const time,
            std::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    libc::c_int::try_from(answer).unwrap_or(-1)
}

fn wait_coarse(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    capacity: libc::c_int,
    timeout: Option<Duration>,
) -> libc::c_int {
    let millis = timeout.map_or(-1, |time| {
        i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    // SAFETY: `events` has room for `capacity` entries.
    unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), capacity, millis) }
}

/// Whether a descriptor can be polled, as epoll_ctl(2) would say: a plain file
/// or a folder cannot (`EPERM`), nor what is not open (`EBADF`).
pub(crate) fn check_pollable(fd: RawFd) -> io::Result<()> {
    // SAFETY: a zeroed stat is only room for the answer.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` has room for the answer; a number that is not open is an
    // error, no harm.
    if unsafe { libc::fstat(fd, &raw mut stat) } < 0 {
        return Err(io::Error::last_os_error());
    }
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR => Err(io::Error::from_raw_os_error(libc::EPERM)),
        _ => Ok(()),
    }
}

/// The bytes of a socket that the kernel has taken and its peer has not
/// acknowledged (TCP) or read (unix sockets).
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `SIOCOUTQ`, which has the number of `TIOCOUTQ`, writes one int.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Whether the kernel does not know the call, or a sandbox does not let it pass.
fn refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}
