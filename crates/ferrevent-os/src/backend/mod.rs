//! Backends: one file or folder each, the same names inside every one.
//!
//! | name | what it is |
//! |---|---|
//! | `epoll` | Linux; sockets registered once, edge-triggered |
//! | `uring/` | Linux; io_uring: multishot operations, one system call for a turn |
//! | `iocp/` | Windows; I/O completion ports, receives of no bytes |
//! | `poll` | any POSIX system, and Windows by WSAPoll; level-triggered |
//! | `simulated` | a completion kernel played over poll, for tests |
//!
//! kqueue takes its place here, as a file with the same names inside and one
//! line in each `match` below and in `kind.rs`.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(windows)]
pub(crate) mod iocp;
mod kind;
mod poll;
mod simulated;
#[cfg(target_os = "linux")]
mod uring;
mod watch;

use std::io;
use std::time::Duration;

use ferrevent_core::buffer::Buffer;

use crate::op::{Completion, Op, OpKind, Token};
use crate::port::{Port, PortKind, Readiness};
use crate::sys::Sys;
use crate::sys::fd::OwnedFd;
use crate::wake::WakeDescriptor;

pub use kind::{BackendKind, UnknownBackend};

/// Something the kernel told.
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
/// # use ferrevent_os::sys::{Clock, Sys};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let mut events = Vec::new();
/// backend.wake()?;
/// backend.wait(&mut backend.waiter(), None, &mut events)?;
/// for event in events {
///     println!("{:?} for {:?}", event.what, event.token);
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Event {
    /// Whom it concerns.
    pub token: Token,
    /// What happened.
    pub what: What,
}

/// What an event tells.
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
/// # use ferrevent_os::sys::{Clock, Sys};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let mut events = Vec::new();
/// backend.wake()?;
/// backend.wait(&mut backend.waiter(), None, &mut events)?;
/// assert!(matches!(events[0].what, What::Wake));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// A descriptor is ready for something.
    Ready(Readiness),
    /// An operation has completed.
    Done(Completion),
    /// Somebody called [`Backend::wake`]; the token means nothing.
    Wake,
}

/// The shared half of a backend: `Sync`, used by whoever runs a stream. The
/// waiting half is a [`Waiter`].
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
/// # use ferrevent_os::sys::{Clock, Sys};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let (near, far) = socket::pair()?;
/// let mut port = backend.open(near, PortKind::Socket, Token(1));
/// assert!(backend.submit(&mut port, Op::Receive).is_none());
/// backend.close(port);
/// # drop(far);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Backend {
    inner: Kind,
    /// Why it is not the one that was asked for.
    refusal: Option<io::Error>,
}

#[derive(Debug)]
enum Kind {
    #[cfg(target_os = "linux")]
    Epoll(epoll::Backend),
    #[cfg(windows)]
    Iocp(iocp::Backend),
    #[cfg(target_os = "linux")]
    Uring(uring::Backend),
    Poll(poll::Backend),
    Simulated(simulated::Backend),
}

/// The waiting half of a backend: one for each thread that waits.
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
/// # use ferrevent_os::sys::{Clock, Sys};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let mut waiter = backend.waiter();
/// backend.wait(&mut waiter, Some(Duration::ZERO), &mut Vec::new())?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Waiter(WaiterKind);

#[derive(Debug)]
enum WaiterKind {
    #[cfg(target_os = "linux")]
    Epoll(epoll::Waiter),
    #[cfg(windows)]
    Iocp(iocp::Waiter),
    #[cfg(target_os = "linux")]
    Uring(uring::Waiter),
    Poll(poll::Waiter),
    Simulated(simulated::Waiter),
}

macro_rules! each {
    ($self:ident, $backend:ident => $call:expr) => {
        match &$self.inner {
            #[cfg(target_os = "linux")]
            Kind::Epoll($backend) => $call,
            #[cfg(windows)]
            Kind::Iocp($backend) => $call,
            #[cfg(target_os = "linux")]
            Kind::Uring($backend) => $call,
            Kind::Poll($backend) => $call,
            Kind::Simulated($backend) => $call,
        }
    };
}
use each;

impl Backend {
    /// Opens a backend.
    ///
    /// # Errors
    /// Those of the calls that make it: descriptors or memory have run out,
    /// or the kernel does not have it.
    ///
    /// ```
    /// use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// backend.wake()?;
    /// let mut events = Vec::new();
    /// backend.wait(&mut backend.waiter(), None, &mut events)?;
    /// assert_eq!(events.len(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(kind: BackendKind, sys: Sys) -> io::Result<Self> {
        Self::open_kind(kind, sys, false)
    }

    /// Opens a backend whose events are taken by several threads: nothing is
    /// told again before its event was taken, so that the one that waits does
    /// not spin while another is at work on it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new_shared(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_shared(kind: BackendKind, sys: Sys) -> io::Result<Self> {
        Self::open_kind(kind, sys, true)
    }

    fn open_kind(kind: BackendKind, sys: Sys, shared: bool) -> io::Result<Self> {
        let inner = match kind {
            #[cfg(target_os = "linux")]
            BackendKind::Epoll => Kind::Epoll(epoll::Backend::new(sys, shared)?),
            #[cfg(windows)]
            BackendKind::Iocp => Kind::Iocp(iocp::Backend::new(sys, shared)?),
            #[cfg(target_os = "linux")]
            BackendKind::Uring => match uring::Backend::new(sys.clone(), shared) {
                Ok(backend) => Kind::Uring(backend),
                Err(error) if uring::is_refusal(&error) => {
                    let mut other = Self::open_kind(BackendKind::Epoll, sys, shared)?;
                    other.refusal = Some(error);
                    return Ok(other);
                }
                Err(error) => return Err(error),
            },
            BackendKind::Poll => Kind::Poll(poll::Backend::new(sys, shared)?),
            BackendKind::Simulated(seed) => {
                Kind::Simulated(simulated::Backend::new(sys, seed, shared)?)
            }
        };
        Ok(Self {
            inner,
            refusal: None,
        })
    }

    /// Which one it is: another one than was asked for when that was refused.
    ///
    /// ```
    /// use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None))?;
    /// assert_eq!(backend.kind(), BackendKind::Poll);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn kind(&self) -> BackendKind {
        match &self.inner {
            #[cfg(target_os = "linux")]
            Kind::Epoll(_) => BackendKind::Epoll,
            #[cfg(target_os = "linux")]
            Kind::Uring(_) => BackendKind::Uring,
            #[cfg(windows)]
            Kind::Iocp(_) => BackendKind::Iocp,
            Kind::Poll(_) => BackendKind::Poll,
            Kind::Simulated(backend) => BackendKind::Simulated(backend.seed()),
        }
    }

    /// Why the one that was asked for could not be had. Only io_uring is
    /// given up for another: where rings are forbidden (`EPERM`, `EACCES`: a
    /// sandbox, `kernel.io_uring_disabled`), unknown (`ENOSYS`), too old, or
    /// larger than the memory that may be locked (`ENOMEM`).
    ///
    /// ```
    /// use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None))?;
    /// assert!(backend.refusal().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn refusal(&self) -> Option<&io::Error> {
        self.refusal.as_ref()
    }

    /// The system and clock this backend uses.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let _now = backend.sys().now();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sys(&self) -> &Sys {
        each!(self, backend => backend.sys())
    }

    /// A waiting half for one thread.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let waiter = backend.waiter();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn waiter(&self) -> Waiter {
        Waiter(match &self.inner {
            #[cfg(target_os = "linux")]
            Kind::Epoll(backend) => WaiterKind::Epoll(backend.waiter()),
            #[cfg(windows)]
            Kind::Iocp(backend) => WaiterKind::Iocp(backend.waiter()),
            #[cfg(target_os = "linux")]
            Kind::Uring(backend) => WaiterKind::Uring(backend.waiter()),
            Kind::Poll(backend) => WaiterKind::Poll(backend.waiter()),
            Kind::Simulated(backend) => WaiterKind::Simulated(backend.waiter()),
        })
    }

    /// Takes a non-blocking descriptor under its wing. Nothing is received
    /// before an operation asks for it.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// assert_eq!(port.token(), Token(1));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        each!(self, backend => backend.open(fd, kind, token))
    }

    /// Begins an operation. `Some` is its one completion, come at once;
    /// `None` means that an event will bring it.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// let bytes = ferrevent_core::buffer::Buffer::from(&b"hello"[..]);
    /// let completion = backend.submit(&mut port, Op::Send(bytes.pin(usize::MAX, 16)));
    /// assert!(matches!(completion, Some(Completion::Sent(Ok(5))) | None));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        each!(self, backend => backend.submit(port, op))
    }

    /// Sends what the kernel takes at once of these bytes, and not more than
    /// `most`, with no operation in flight on the way out. `None` when it takes none now, or never does
    /// so: then they go by [`Op::Send`]. No send may be in flight.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// let bytes = ferrevent_core::buffer::Buffer::from(&b"hello"[..]);
    /// assert!(matches!(backend.send_at_once(&mut port, &bytes, 1024), Some(Ok(5)) | None));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn send_at_once(
        &self,
        port: &mut Port,
        output: &Buffer,
        most: usize,
    ) -> Option<io::Result<usize>> {
        each!(self, backend => backend.send_at_once(port, output, most))
    }

    /// Takes an operation back. It still completes exactly once: with
    /// [`canceled`](crate::sys::canceled), or as if nothing had been said when
    /// the completion was already under way.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// assert!(backend.submit(&mut port, Op::Receive).is_none());
    /// let completion = backend.cancel(&mut port, OpKind::Receive);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        each!(self, backend => backend.cancel(port, kind))
    }

    /// Operations whose memory is the kernel's now: those of io_uring and of
    /// completion ports that were begun and are not home, also of ports that were closed. A
    /// backend that tells readiness gives the kernel nothing to keep.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None))?;
    /// assert_eq!(backend.under_way(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn under_way(&self) -> usize {
        match &self.inner {
            #[cfg(target_os = "linux")]
            Kind::Uring(backend) => backend.under_way(),
            #[cfg(windows)]
            Kind::Iocp(backend) => backend.under_way(),
            _ => 0,
        }
    }

    /// Whether it holds memory for a burst that may be over.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// assert!(!backend.keeps_memory());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn keeps_memory(&self) -> bool {
        match &self.inner {
            #[cfg(target_os = "linux")]
            Kind::Uring(backend) => backend.keeps_memory(),
            _ => false,
        }
    }

    /// Gives that memory back. To be called where it is waited, when nothing
    /// has happened for a while.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// backend.give_back();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn give_back(&self) {
        #[cfg(target_os = "linux")]
        if let Kind::Uring(backend) = &self.inner {
            backend.give_back();
        }
    }

    /// Turns an event of this port into completions.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// assert!(backend.submit(&mut port, Op::Receive).is_none());
    /// drop(far);
    /// let mut events = Vec::new();
    /// backend.wait(&mut backend.waiter(), None, &mut events)?;
    /// for event in events {
    ///     backend.event(&mut port, event.what, &mut |completion| println!("{completion:?}"));
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn event(&self, port: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        each!(self, backend => backend.event(port, what, sink));
    }

    /// Ends the sending side of a port's socket.
    ///
    /// # Errors
    /// Those of shutdown(2); a descriptor that is no socket has none.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// backend.shutdown_write(&port)?;
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown_write(&self, port: &Port) -> io::Result<()> {
        if port.is_socket() {
            self.sys().shutdown_write(port.fd_ref())
        } else {
            Ok(())
        }
    }

    /// Closes a port. Its operations in flight complete nowhere; their memory
    /// lives until the kernel has let go of it.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// backend.close(port);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn close(&self, port: Port) {
        each!(self, backend => backend.close(port));
    }

    /// Gives up a port but not its descriptor.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// let near = backend.release(port);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn release(&self, port: Port) -> OwnedFd {
        each!(self, backend => backend.release(port))
    }

    /// Wakes one waiting thread, now or at its next wait. Any thread may.
    ///
    /// # Errors
    /// Only those of a broken descriptor.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| backend.wake());
    ///     backend.wait(&mut backend.waiter(), None, &mut Vec::new())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wake(&self) -> io::Result<()> {
        each!(self, backend => backend.wake())
    }

    /// A descriptor of its own whose every eight-byte write wakes this
    /// backend: for signal handlers, which may do little else.
    ///
    /// # Errors
    /// When descriptors have run out.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let descriptor = backend.wake_descriptor()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wake_descriptor(&self) -> io::Result<WakeDescriptor> {
        each!(self, backend => backend.wake_descriptor())
    }

    /// Waits until something happens or the timeout has passed, and appends
    /// what happened. A signal may end the wait early. On a simulated clock
    /// nothing sleeps: the clock is moved instead.
    ///
    /// # Errors
    /// Those of the kernel; none is expected on a sound descriptor.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let mut events = Vec::new();
    /// backend.wait(&mut backend.waiter(), Some(Duration::from_millis(1)), &mut events)?;
    /// assert!(events.is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait(
        &self,
        waiter: &mut Waiter,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        match (&self.inner, &mut waiter.0) {
            #[cfg(target_os = "linux")]
            (Kind::Epoll(backend), WaiterKind::Epoll(waiter)) => {
                backend.wait(waiter, timeout, events)
            }
            #[cfg(windows)]
            (Kind::Iocp(backend), WaiterKind::Iocp(waiter)) => {
                backend.wait(waiter, timeout, events)
            }
            #[cfg(target_os = "linux")]
            (Kind::Uring(backend), WaiterKind::Uring(waiter)) => {
                backend.wait(waiter, timeout, events)
            }
            (Kind::Poll(backend), WaiterKind::Poll(waiter)) => {
                backend.wait(waiter, timeout, events)
            }
            (Kind::Simulated(backend), WaiterKind::Simulated(waiter)) => {
                backend.wait(waiter, timeout, events)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this waiter belongs to another backend",
            )),
        }
    }

    /// Takes over a port of another backend, in the child of a fork: what was
    /// in flight there stays with the parent, and is to be submitted anew.
    /// The other backend is told nothing, because it is the parent's.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// let other = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None))?;
    /// let port = other.take_over(port);
    /// # drop(far);
    /// # drop(port);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_over(&self, port: Port) -> Port {
        self.open(port.fd, port.kind, port.token)
    }
}
