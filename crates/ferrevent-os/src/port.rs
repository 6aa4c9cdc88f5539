//! A port: one descriptor as a backend knows it. The stream that owns the
//! descriptor owns its port, so whoever may run the stream may use the port
//! without a lock.

use std::num::NonZeroU32;

use ferrevent_core::buffer::Pinned;
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
use socket2::Protocol;
use socket2::{Domain, SockRef, Type};

use crate::op::Token;
use crate::sys::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::sys::own;

/// What kind of descriptor a port has: it decides which calls move its bytes
/// and how far its readiness can be trusted.
///
/// ```
/// use ferrevent_os::PortKind;
/// assert_eq!(PortKind::of(&std::io::pipe()?.0), PortKind::File);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortKind {
    /// A TCP socket: a short read means that it is drained.
    Tcp,
    /// A unix stream socket: a short read means that it is drained, unless
    /// control data cut it short (`SCM_RIGHTS`, `SO_PASSCRED`; unix(7)),
    /// which recvmsg(2) tells by `MSG_CTRUNC`.
    Unix,
    /// Any other socket: a read may stop short of what is there, so only the
    /// kernel's word counts.
    Socket,
    /// A pipe, a terminal, anything else that can be polled.
    File,
    /// A listening socket.
    Listener,
}

impl PortKind {
    /// Finds out what a descriptor is.
    ///
    /// ```
    /// use ferrevent_os::PortKind;
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert_eq!(PortKind::of(&socket), PortKind::Listener);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn of(fd: &impl AsFd) -> Self {
        let socket = SockRef::from(fd);
        match socket.r#type() {
            Err(_) => PortKind::File,
            Ok(_) if own::is_listener(&socket) => PortKind::Listener,
            Ok(kind) => Self::of_connection(&socket, kind),
        }
    }

    /// Finds out what the connections of a listening socket are.
    ///
    /// ```
    /// use ferrevent_os::PortKind;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert_ne!(PortKind::accepted_by(&listener), PortKind::Listener);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn accepted_by(listener: &impl AsFd) -> Self {
        let socket = SockRef::from(listener);
        match socket.r#type() {
            Err(_) => PortKind::Socket,
            Ok(kind) => Self::of_connection(&socket, kind),
        }
    }

    fn of_connection(socket: &SockRef<'_>, kind: Type) -> Self {
        let is_unix = || {
            let name = socket.local_addr();
            name.is_ok_and(|name| name.domain() == Domain::UNIX)
        };
        match kind {
            Type::STREAM if is_tcp(socket) => PortKind::Tcp,
            Type::STREAM if is_unix() => PortKind::Unix,
            _ => PortKind::Socket,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn is_tcp(socket: &SockRef<'_>) -> bool {
    matches!(socket.protocol(), Ok(Some(Protocol::TCP)))
}

#[cfg(windows)]
fn is_tcp(socket: &SockRef<'_>) -> bool {
    // Winsock has no other stream protocol for IP.
    let name = socket.local_addr();
    name.is_ok_and(|name| name.as_socket().is_some())
}

#[cfg(not(any(
    windows,
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd"
)))]
fn is_tcp(_: &SockRef<'_>) -> bool {
    // Without SO_PROTOCOL nothing tells SCTP from TCP: trust only the kernel.
    false
}

/// A set of readiness kinds, and of interests in them.
///
/// ```
/// use ferrevent_os::Readiness;
/// let both = Readiness::READ.with(Readiness::WRITE);
/// assert!(both.any(Readiness::WRITE));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert!(Readiness::NONE.is_none());
    /// ```
    pub const NONE: Self = Self(0);
    /// Bytes, connections or an end can be read.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert!(!Readiness::READ.is_none());
    /// ```
    pub const READ: Self = Self(1);
    /// Bytes can be written, or a connection attempt has ended.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert_ne!(Readiness::WRITE, Readiness::READ);
    /// ```
    pub const WRITE: Self = Self(2);
    /// The peer has ended its side (`EPOLLRDHUP`), where the kernel says so.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// let interest = Readiness::READ.with(Readiness::CLOSED);
    /// ```
    pub const CLOSED: Self = Self(4);
    /// Out-of-band data (`EPOLLPRI`).
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// let interest = Readiness::READ.with(Readiness::PRIORITY);
    /// ```
    pub const PRIORITY: Self = Self(8);
    /// An error or a hang-up (`EPOLLERR`, `EPOLLHUP`): always reported.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert!(Readiness::ERROR.any(Readiness::ERROR));
    /// ```
    pub const ERROR: Self = Self(16);

    /// Whether any of `other` is in this set.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert!(!Readiness::READ.any(Readiness::WRITE));
    /// ```
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// assert!(!Readiness::READ.is_none());
    /// ```
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// This set and `other`.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// let both = Readiness::READ.with(Readiness::WRITE);
    /// assert!(both.any(Readiness::READ));
    /// ```
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// let both = Readiness::READ.with(Readiness::WRITE);
    /// assert_eq!(both.intersection(Readiness::READ), Readiness::READ);
    /// ```
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This set without `other`.
    ///
    /// ```
    /// use ferrevent_os::Readiness;
    /// let both = Readiness::READ.with(Readiness::WRITE);
    /// assert_eq!(both.without(Readiness::READ), Readiness::WRITE);
    /// ```
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One descriptor as a backend knows it.
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
/// # use ferrevent_os::sys::{Clock, Sys};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let (near, far) = socket::pair()?;
/// let mut port = backend.open(near, PortKind::Socket, Token(1));
/// println!("{port:?}");
/// # drop(far);
/// # backend.close(port);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Port {
    pub(crate) fd: OwnedFd,
    pub(crate) kind: PortKind,
    /// What is known to be ready: attempts are made without asking.
    pub(crate) ready: Readiness,
    /// What the kernel has been asked to report.
    pub(crate) armed: Readiness,
    pub(crate) flags: Flags,
    pub(crate) token: Token,
    /// The most bytes of a receive, below the bit [`MUCH_ROOM`]; 0 is no limit.
    cap: u32,
    /// Its place in a backend that keeps something of its own for each port.
    #[cfg(target_os = "linux")]
    pub(crate) slot: u32,
    /// The bytes of a send in flight.
    pub(crate) sending: Option<Box<Pinned>>,
    /// What a completion port has under way for it. After the descriptor, so
    /// that this is closed first.
    #[cfg(windows)]
    pub(crate) iocp: crate::backend::iocp::Own,
}

/// There is room for [`Port::MUCH`] bytes.
const MUCH_ROOM: u32 = 1 << 31;

/// What else a port remembers, one bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const RECEIVING: u8 = 1;
    pub(crate) const ACCEPTING: u8 = 2;
    pub(crate) const CONNECTING: u8 = 4;
    /// The kernel knows the descriptor.
    #[cfg(any(windows, target_os = "linux"))]
    pub(crate) const REGISTERED: u8 = 8;
    /// Much comes at a time: the next receive takes a large block.
    pub(crate) const BULK: u8 = 16;
    /// Little came the last time.
    pub(crate) const WANING: u8 = 128;
    /// An event spoke of out-of-band data, an end or an error: a short read
    /// means nothing until `EAGAIN` has been seen.
    pub(crate) const THOROUGH: u8 = 32;
    /// Registered once, edge-triggered, for both directions.
    pub(crate) const EDGE: u8 = 64;

    pub(crate) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub(crate) fn set(&mut self, bit: u8, on: bool) {
        if on {
            self.0 |= bit;
        } else {
            self.0 &= !bit;
        }
    }
}

impl Port {
    pub(crate) fn new(fd: OwnedFd, kind: PortKind, token: Token) -> Self {
        Self {
            fd,
            kind,
            ready: Readiness::NONE,
            armed: Readiness::NONE,
            flags: Flags::default(),
            token,
            cap: 0,
            #[cfg(target_os = "linux")]
            slot: 0,
            sending: None,
            #[cfg(windows)]
            iocp: crate::backend::iocp::Own::default(),
        }
    }

    /// The key under which its events are reported.
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
    pub fn token(&self) -> Token {
        self.token
    }

    /// What kind of descriptor it is.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// assert_eq!(port.kind(), PortKind::Socket);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn kind(&self) -> PortKind {
        self.kind
    }

    /// Lets its receives bring no more than so many bytes each, or as many as
    /// they will. A capped receive takes its bytes when it is attempted, never
    /// ahead of that: one that waits brings nothing by itself. One that was
    /// submitted before goes on as it was.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, Token, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::num::NonZeroU32;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// port.cap_receives(NonZeroU32::new(500));
    /// assert!(port.is_capped());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn cap_receives(&mut self, most: Option<NonZeroU32>) {
        let most = most.map_or(0, |most| most.get().min(MUCH_ROOM - 1));
        self.cap = most | self.cap & MUCH_ROOM;
    }

    /// Bytes for which there is room if [`expect_much`](Self::expect_much) says so.
    ///
    /// ```
    /// assert_eq!(ferrevent_os::Port::MUCH, 256 * 1024);
    /// ```
    pub const MUCH: usize = 256 * 1024;

    /// Tells whether its owner has room for [`MUCH`](Self::MUCH) bytes: a receive
    /// that goes on need not be asked for again before so many have come.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, Op, PortKind, Token, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// let mut port = backend.open(near, PortKind::Socket, Token(1));
    /// port.expect_much(true);
    /// assert!(backend.submit(&mut port, Op::Receive).is_none());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn expect_much(&mut self, room: bool) {
        self.cap = self.cap & !MUCH_ROOM | if room { MUCH_ROOM } else { 0 };
    }

    #[cfg(any(windows, target_os = "linux"))]
    pub(crate) fn expects_much(&self) -> bool {
        self.cap & MUCH_ROOM != 0
    }

    /// The cap of its receives; 0 is none.
    pub(crate) fn cap(&self) -> u32 {
        self.cap & !MUCH_ROOM
    }

    /// Whether its receives are capped.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, Token, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// assert!(!backend.open(near, PortKind::Socket, Token(1)).is_capped());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn is_capped(&self) -> bool {
        self.cap() > 0
    }

    /// Whether a send waits here for room in the kernel, which has seen
    /// nothing of it yet: it can be taken back at once.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, Token, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = socket::pair()?;
    /// assert!(!backend.open(near, PortKind::Socket, Token(1)).holds_send());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn holds_send(&self) -> bool {
        self.sending.is_some()
    }

    pub(crate) fn fd_ref(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.kind != PortKind::File
    }
}

#[cfg(unix)]
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Port {
    fn as_socket(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
