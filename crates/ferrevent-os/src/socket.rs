//! Making sockets: for connecting, for listening, in pairs.

use std::io;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::sys::fd::{AsFd, OwnedFd};
use crate::sys::{Clock, Sys};

/// How a listening socket is made.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
/// let options = ListenOptions {
///     backlog: 16,
///     ..ListenOptions::default()
/// };
/// let listener = socket::listening(&sys, &address, &options)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections the kernel holds before they are taken. Default 4096,
    /// which Linux cuts to `net.core.somaxconn`.
    pub backlog: i32,
    /// Several sockets may listen on the same address and share its
    /// connections (`SO_REUSEPORT`). Default false.
    pub reuse_port: bool,
    /// An IPv6 socket takes IPv4 connections too. Default false.
    pub dual_stack: bool,
    /// Small writes are sent at once (`TCP_NODELAY`) on every connection
    /// taken. Default true.
    pub nodelay: bool,
    /// The kernel probes idle connections taken (`SO_KEEPALIVE`). Default
    /// false.
    pub keepalive: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            reuse_port: false,
            dual_stack: false,
            nodelay: true,
            keepalive: false,
        }
    }
}

/// A listening socket. A unix path that a dead server left behind is taken
/// over; one where somebody answers is not.
///
/// # Errors
/// Those of the system, naming the address.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
/// let listener = socket::listening(&sys, &address, &ListenOptions::default())?;
/// assert!(socket::local(&listener).is_some());
/// # std::io::Result::Ok(())
/// ```
pub fn listening(sys: &Sys, address: &SockAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let make = || {
        let socket = sys.socket(address.domain(), Type::STREAM)?;
        if address.is_unix() {
            #[cfg(unix)]
            if let Some(path) = address.as_pathname() {
                remove_dead_socket(path)?;
            }
        } else {
            // Windows lets another program take the port away by it.
            #[cfg(unix)]
            sys.set_option(|| socket.set_reuse_address(true))?;
            // The system hands these down to every connection that is taken.
            sys.set_option(|| socket.set_tcp_nodelay(options.nodelay))?;
            sys.set_option(|| socket.set_keepalive(options.keepalive))?;
            if address.domain() == Domain::IPV6 {
                sys.set_option(|| socket.set_only_v6(!options.dual_stack))?;
            }
            if options.reuse_port {
                sys.set_option(|| reuse_port(&socket))?;
            }
        }
        sys.bind(&socket, address)?;
        sys.listen(&socket, options.backlog)?;
        Ok(socket.into())
    };
    make().map_err(|error| naming(error, address))
}

/// Prepares a socket that listens already: non-blocking, and small writes are
/// sent at once (`TCP_NODELAY`) on every connection taken.
///
/// # Errors
/// `InvalidInput` for what is no listening stream socket; else those of the
/// system.
///
/// ```
/// # use ferrevent_os::socket;
/// # use ferrevent_os::sys::{Clock, Sys};
/// # let sys = Sys::new(Clock::real(), None);
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// socket::prepare_listening(&sys, &listener.into())?;
/// let (one, other) = socket::pair()?;
/// assert!(socket::prepare_listening(&sys, &one).is_err());
/// # drop(other);
/// # std::io::Result::Ok(())
/// ```
pub fn prepare_listening(sys: &Sys, fd: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(fd);
    // Refused for what is no socket at all.
    let stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    #[cfg(target_os = "linux")]
    let stream = stream && socket.is_listener().unwrap_or(false);
    if !stream {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no listening stream socket",
        ));
    }
    if !socket.local_addr()?.is_unix() {
        sys.set_option(|| socket.set_tcp_nodelay(true))?;
    }
    make_nonblocking(sys, fd)
}

/// A socket ready to connect to this address.
///
/// # Errors
/// Those of the system.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
/// let socket = socket::for_connecting(&sys, &address, None)?;
/// # std::io::Result::Ok(())
/// ```
pub fn for_connecting(
    sys: &Sys,
    address: &SockAddr,
    bind: Option<&SockAddr>,
) -> io::Result<OwnedFd> {
    let socket = sys.socket(address.domain(), Type::STREAM)?;
    if !address.is_unix() {
        sys.set_option(|| socket.set_tcp_nodelay(true))?;
    }
    if let Some(local) = bind {
        sys.bind(&socket, local)
            .map_err(|error| naming(error, local))?;
    }
    Ok(socket.into())
}

/// A UDP socket on this address, non-blocking.
///
/// # Errors
/// Those of socket(2) and bind(2), naming the address.
///
/// ```
/// # use ferrevent_os::socket;
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
/// let socket = socket::datagram(&sys, &address)?;
/// assert!(socket::local(&socket).is_some());
/// # std::io::Result::Ok(())
/// ```
pub fn datagram(sys: &Sys, address: &SockAddr) -> io::Result<OwnedFd> {
    let make = || {
        let socket = sys.socket(address.domain(), Type::DGRAM)?;
        sys.bind(&socket, address)?;
        Ok(socket.into())
    };
    make().map_err(|error| naming(error, address))
}

/// Two connected sockets, non-blocking: unix sockets, on Windows TCP over
/// loopback.
///
/// # Errors
/// Those of socketpair(2).
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let (one, other) = socket::pair()?;
/// # std::io::Result::Ok(())
/// ```
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair_by(&Sys::new(Clock::real(), None))
}

/// The same, by way of a loop's own system: with its faults, if it has some.
///
/// # Errors
/// Those of socketpair(2).
///
/// ```
/// # use ferrevent_os::socket;
/// # use ferrevent_os::sys::{Clock, Sys};
/// # let sys = Sys::new(Clock::real(), None);
/// let (one, other) = socket::pair_by(&sys)?;
/// # std::io::Result::Ok(())
/// ```
pub fn pair_by(sys: &Sys) -> io::Result<(OwnedFd, OwnedFd)> {
    sys.pair()
}

/// Makes a descriptor non-blocking, as every stream's must be.
///
/// # Errors
/// Those of fcntl(2).
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let (one, other) = std::os::unix::net::UnixStream::pair()?;
/// socket::make_nonblocking(&sys, &one)?;
/// # drop(other);
/// # std::io::Result::Ok(())
/// ```
pub fn make_nonblocking(sys: &Sys, fd: &impl AsFd) -> io::Result<()> {
    sys.set_nonblocking(fd.as_fd())
}

/// The same error, with the address it is about.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
/// let error = socket::naming(std::io::ErrorKind::AddrInUse.into(), &address);
/// assert!(error.to_string().contains("127.0.0.1:0"));
/// # std::io::Result::Ok(())
/// ```
pub fn naming(error: io::Error, address: &SockAddr) -> io::Error {
    io::Error::new(
        error.kind(),
        Naming {
            error,
            address: describe(address),
        },
    )
}

/// An address as a user writes it: `127.0.0.1:80`, `[::1]:80`, `unix:/path`.
///
/// ```
/// let address: std::net::SocketAddr = "[::1]:80".parse().unwrap();
/// assert_eq!(ferrevent_os::socket::describe(&address.into()), "[::1]:80");
/// ```
pub fn describe(address: &SockAddr) -> String {
    if let Some(address) = address.as_socket() {
        return address.to_string();
    }
    #[cfg(unix)]
    if let Some(path) = address.as_pathname() {
        return format!("unix:{}", path.display());
    }
    "unix:".to_owned()
}

/// Sets or clears the keepalive of a connected socket.
///
/// # Errors
/// Those of setsockopt(2).
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// socket::set_keepalive(&listener, true)?;
/// # std::io::Result::Ok(())
/// ```
pub fn set_keepalive(fd: &impl AsFd, on: bool) -> io::Result<()> {
    SockRef::from(fd).set_keepalive(on)
}

#[derive(Debug)]
struct Naming {
    error: io::Error,
    address: String,
}

impl std::fmt::Display for Naming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.address, self.error)
    }
}

impl std::error::Error for Naming {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(unix)]
fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(windows)]
fn reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "Windows does not share a port between listeners: listen once, on a pool",
    ))
}

/// Removes a unix socket nobody listens on any more.
#[cfg(unix)]
fn remove_dead_socket(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;

    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

/// Sets or clears `TCP_NODELAY`.
///
/// # Errors
/// Those of setsockopt(2).
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// socket::set_nodelay(&listener, true)?;
/// # std::io::Result::Ok(())
/// ```
pub fn set_nodelay(fd: &impl AsFd, on: bool) -> io::Result<()> {
    SockRef::from(fd).set_tcp_nodelay(on)
}

/// Lets no more than so many bytes wait unsent in the kernel
/// (`TCP_NOTSENT_LOWAT`, tcp(7)): what is written later goes no later, and can
/// still be put into another order here. `u32::MAX` is no limit.
///
/// # Errors
/// Those of setsockopt(2); `Unsupported` where the system has no such option.
///
/// ```
/// # use ferrevent_os::socket;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let set = socket::set_notsent_lowat(&listener, 65_536);
/// assert!(set.is_ok() || cfg!(not(target_os = "linux")));
/// # std::io::Result::Ok(())
/// ```
pub fn set_notsent_lowat(fd: &impl AsFd, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return SockRef::from(fd).set_tcp_notsent_lowat(bytes);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, bytes);
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system does not limit what waits unsent in a socket",
        ))
    }
}

/// The IP address of the other end, if it has one.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert_eq!(socket::peer(&listener), None);
/// # std::io::Result::Ok(())
/// ```
pub fn peer(fd: &impl AsFd) -> Option<std::net::SocketAddr> {
    SockRef::from(fd).peer_addr().ok()?.as_socket()
}

/// The IP address of this end, if it has one.
///
/// ```
/// # use ferrevent_os::socket::{self, ListenOptions};
/// # use ferrevent_os::{SockAddr, sys::{Clock, Sys}};
/// # let sys = Sys::new(Clock::real(), None);
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert_eq!(socket::local(&listener), listener.local_addr().ok());
/// # std::io::Result::Ok(())
/// ```
pub fn local(fd: &impl AsFd) -> Option<std::net::SocketAddr> {
    SockRef::from(fd).local_addr().ok()?.as_socket()
}

/// The bytes that the kernel has taken and not yet sent, or the peer not yet
/// acknowledged (`SIOCOUTQ`, tcp(7), unix(7)): `None` where the system does
/// not tell.
///
/// # Errors
/// Those of ioctl(2).
///
/// ```
/// # use ferrevent_os::socket;
/// let (near, far) = socket::pair()?;
/// println!("{:?}", socket::unsent(&near)?);
/// # drop(far);
/// # std::io::Result::Ok(())
/// ```
pub fn unsent(fd: &impl AsFd) -> io::Result<Option<u64>> {
    #[cfg(target_os = "linux")]
    return crate::sys::unsent(fd.as_fd()).map(Some);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Ok(None)
    }
}
