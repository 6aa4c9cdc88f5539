//! The seam: every system call and every look at the clock passes one [`Sys`]
//! value, so that a test can make any of them fail, fall short or take time.
//!
//! Calls that a signal interrupted (`EINTR`) are made again here, so no layer
//! above ever sees one; only the waits return early.

#[cfg(windows)]
mod adapters;
#[cfg(windows)]
pub(crate) mod afd;
mod clock;
mod datagram;
pub mod errno;
mod fault;
pub mod fd;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
pub(crate) mod overlapped;
/// The calls that each system has in its own shape, under the same names.
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
pub(crate) mod own;
mod portable;
#[cfg(windows)]
pub(crate) mod status;
#[cfg(windows)]
pub(crate) mod wine;

#[cfg(target_os = "linux")]
pub(crate) use linux::{check_pollable, unsent};
pub(crate) use portable::gone;

use std::io;
use std::sync::Arc;

#[cfg(windows)]
pub use adapters::{NameServers, name_servers};
pub use clock::Clock;
pub(crate) use fault::verdict;
pub use fault::{Call, Fault, FaultPlan, Rule};
pub use limits::raise_descriptor_limit;

/// The operating system as one loop sees it.
///
/// ```
/// use ferrevent_os::sys::{Clock, Sys};
///
/// let sys = Sys::new(Clock::real(), None);
/// assert!(sys.now() <= sys.now());
/// ```
#[derive(Clone, Debug)]
pub struct Sys {
    clock: Clock,
    faults: Option<Arc<FaultPlan>>,
}

impl Sys {
    /// The system with this clock and, for tests, a plan of faults.
    ///
    /// ```
    /// use ferrevent_os::sys::{Clock, Sys};
    /// let sys = Sys::new(Clock::simulated(), None);
    /// ```
    pub fn new(clock: Clock, faults: Option<Arc<FaultPlan>>) -> Self {
        Self { clock, faults }
    }

    /// The same system, for a call that only makes good for a fault.
    #[cfg(target_os = "linux")]
    pub(crate) fn without_faults(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            faults: None,
        }
    }

    /// The same system with these faults, unless it has some already.
    pub(crate) fn or_faults(&self, faults: Arc<FaultPlan>) -> Self {
        Self {
            clock: self.clock.clone(),
            faults: Some(self.faults.clone().unwrap_or(faults)),
        }
    }

    /// The clock of this loop.
    ///
    /// ```
    /// use ferrevent_os::sys::{Clock, Sys};
    /// let sys = Sys::new(Clock::simulated(), None);
    /// assert!(sys.clock().is_simulated());
    /// ```
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time now.
    ///
    /// ```
    /// use ferrevent_os::sys::{Clock, Sys};
    /// let sys = Sys::new(Clock::simulated(), None);
    /// assert_eq!(sys.now(), sys.clock().now());
    /// ```
    pub fn now(&self) -> ferrevent_core::timer::Tick {
        self.clock.now()
    }

    /// Whether an `EAGAIN` or a short call was a lie since this was asked
    /// last: it leaves an edge-triggered kernel silent, which must then be
    /// made to speak again.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) fn take_lie(&self) -> bool {
        self.faults.as_ref().is_some_and(|plan| plan.take_lie())
    }

    #[inline]
    pub(crate) fn strike(&self, call: Call) -> Option<Fault> {
        self.faults.as_ref().and_then(|plan| plan.strike(call))
    }

    /// Makes a call that moves bytes: `attempt` is given how many bytes it
    /// may move at most, and is made again when a signal interrupts it.
    #[inline]
    fn moving(
        &self,
        call: Call,
        fd: fd::BorrowedFd<'_>,
        len: usize,
        mut attempt: impl FnMut(usize) -> isize,
    ) -> io::Result<usize> {
        loop {
            let limit = match self.strike(call) {
                None => len,
                Some(Fault::Short(limit)) => limit.clamp(1, len.max(1)).min(len),
                Some(Fault::Errno(errno::EINTR)) => continue,
                Some(Fault::Errno(errno)) => return Err(gone(fd, errno)),
            };
            let moved = attempt(limit);
            match usize::try_from(moved) {
                Ok(moved) => return Ok(moved),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.raw_os_error() != Some(errno::EINTR) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Makes a call that answers with a number or -1, again when a signal
    /// interrupts it.
    #[cfg(unix)]
    #[inline]
    fn call(&self, call: Call, mut attempt: impl FnMut() -> i32) -> io::Result<i32> {
        loop {
            match self.strike(call) {
                Some(Fault::Errno(errno::EINTR)) => continue,
                fault => verdict(fault)?,
            }
            let answer = attempt();
            if answer >= 0 {
                return Ok(answer);
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(errno::EINTR) {
                return Err(error);
            }
        }
    }
}

/// Has the allocator give the memory that it keeps unused back to the kernel,
/// where that is glibc's (`malloc_trim(3)`); elsewhere it does nothing. It may
/// take milliseconds.
///
/// ```
/// ferrevent_os::sys::give_memory_back();
/// ```
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number, may be called by any thread at any time, and
    // changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether this error means "not now": the caller waits for readiness.
///
/// ```
/// use ferrevent_os::sys::would_block;
/// assert!(would_block(&std::io::ErrorKind::WouldBlock.into()));
/// ```
pub fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether this error means that descriptors or memory have run out, so that
/// the same call may succeed later: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
/// It is known under the name of an address too: see
/// [`naming`](crate::socket::naming).
///
/// ```
/// let error = std::io::Error::from_raw_os_error(24); // EMFILE on Linux
/// assert!(ferrevent_os::sys::is_exhaustion(&error));
/// let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80)).into();
/// let named = ferrevent_os::socket::naming(error, &address);
/// assert!(ferrevent_os::sys::is_exhaustion(&named));
/// ```
pub fn is_exhaustion(error: &io::Error) -> bool {
    is_out_of_descriptors(error) || matches!(number(error), Some(errno::ENOBUFS | errno::ENOMEM))
}

/// Whether it means that descriptors have run out: `EMFILE`, `ENFILE`. Memory,
/// the rest of what [`is_exhaustion`] knows, wants another remedy.
///
/// ```
/// use ferrevent_os::sys::is_out_of_descriptors;
/// assert!(is_out_of_descriptors(&std::io::Error::from_raw_os_error(24))); // EMFILE
/// assert!(!is_out_of_descriptors(&std::io::Error::from_raw_os_error(105))); // ENOBUFS
/// ```
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(number(error), Some(errno::EMFILE | errno::ENFILE))
}

/// The system's number of an error, if it was given an address' name or not.
fn number(error: &io::Error) -> Option<i32> {
    let named = error
        .get_ref()
        .and_then(|named| named.source()?.downcast_ref::<io::Error>());
    named.unwrap_or(error).raw_os_error()
}

/// The error of an operation that was taken back before it moved anything.
///
/// ```
/// use ferrevent_os::sys::{canceled, is_canceled};
/// assert!(is_canceled(&canceled()));
/// ```
pub fn canceled() -> io::Error {
    io::Error::from_raw_os_error(errno::ECANCELED)
}

/// Whether an operation ended because it was taken back.
///
/// ```
/// use ferrevent_os::sys::is_canceled;
/// assert!(!is_canceled(&std::io::ErrorKind::TimedOut.into()));
/// ```
pub fn is_canceled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(errno::ECANCELED)
}

/// Whether an error of accept(2) is one that the connection's own protocol
/// had pending: `EPROTO`, `ENOPROTOOPT`, `EOPNOTSUPP`.
///
/// ```
/// assert!(!ferrevent_os::sys::is_protocol_error(&std::io::Error::other("no")));
/// ```
pub fn is_protocol_error(error: &io::Error) -> bool {
    /// `ERROR_UNEXP_NET_ERR`: what Wine says of a peer that has reset before
    /// it was accepted.
    const UNEXPECTED: i32 = 59;
    match error.raw_os_error() {
        Some(errno::EPROTO | errno::ENOPROTOOPT | errno::EOPNOTSUPP) => true,
        Some(errno) => cfg!(windows) && errno == UNEXPECTED,
        None => false,
    }
}

/// The error of a file that ends before the range that was to be sent.
pub(crate) fn file_ended(offset: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the file ends at byte {offset}, before the range that was to be sent"),
    )
}
