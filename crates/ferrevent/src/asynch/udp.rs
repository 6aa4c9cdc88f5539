//! UDP sockets.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use ferrevent_os::socket;
use ferrevent_os::sys::Sys;

use super::{Runtime, Watched};
use crate::Readiness;

/// A UDP socket, connected or not. Several tasks may send and receive at once.
/// Every future is cancel-safe: a datagram is received by one that is ready, or
/// stays for the next; one that was sent went whole.
///
/// A datagram that is longer than the buffer is cut (recv(2)); Windows says so
/// by an error, and the datagram is gone all the same.
///
/// ```
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// events.block_on(async move {
///     let one = runtime.udp("127.0.0.1:0".parse().unwrap())?;
///     let other = runtime.udp("127.0.0.1:0".parse().unwrap())?;
///     one.send_to(b"hello", other.local_addr()?).await?;
///     let mut bytes = [0; 100];
///     let (len, from) = other.recv_from(&mut bytes).await?;
///     assert_eq!((len, from), (5, one.local_addr()?));
///     std::io::Result::Ok(())
/// })??;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct AsyncUdp {
    watched: Watched<UdpSocket>,
    sys: Sys,
}

impl Runtime {
    /// A UDP socket on this address.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2), naming the address.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let socket = events.runtime().udp("127.0.0.1:0".parse().unwrap())?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn udp(&self, address: SocketAddr) -> io::Result<AsyncUdp> {
        let socket = socket::datagram(&self.hub().sys, &address.into())?;
        Ok(self.take_udp(socket.into()))
    }

    /// Takes a UDP socket that is there already. It is made non-blocking.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = events.runtime().adopt_udp(socket)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn adopt_udp(&self, socket: UdpSocket) -> io::Result<AsyncUdp> {
        socket::make_nonblocking(&self.hub().sys, &socket)?;
        Ok(self.take_udp(socket))
    }

    fn take_udp(&self, socket: UdpSocket) -> AsyncUdp {
        AsyncUdp {
            watched: self.watch(socket),
            sys: self.hub().sys.clone(),
        }
    }
}

impl AsyncUdp {
    /// Sends to one peer from now on, and receives from it alone. What came
    /// from others before that is still received.
    ///
    /// # Errors
    /// Those of connect(2), naming the address.
    ///
    /// ```
    /// # async fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// socket.connect("127.0.0.1:7".parse().unwrap())?;
    /// socket.send(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.sys.connect_datagrams(self.watched.source(), peer)
    }

    /// Sends a datagram to the peer that it is [connected](Self::connect) to.
    ///
    /// # Errors
    /// Those of send(2): one that is too long, or, told late, that nobody
    /// listens there.
    ///
    /// ```
    /// # async fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// socket.send(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.watched
            .io(Readiness::WRITE, |socket| {
                self.sys.send_datagram(socket, bytes, None)
            })
            .await
    }

    /// Sends a datagram to this address.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// ```
    /// # async fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// socket.send_to(b"hello", "127.0.0.1:7".parse().unwrap()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.watched
            .io(Readiness::WRITE, |socket| {
                self.sys.send_datagram(socket, bytes, Some(to))
            })
            .await
    }

    /// Receives a datagram from the peer that it is [connected](Self::connect)
    /// to; what does not fit is lost.
    ///
    /// # Errors
    /// Those of recv(2).
    ///
    /// ```
    /// # async fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// let mut bytes = [0; 1500];
    /// let len = socket.recv(&mut bytes).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.watched
            .io(Readiness::READ, |socket| {
                self.sys.receive_datagram(socket, into)
            })
            .await
    }

    /// Receives a datagram, and tells who sent it; what does not fit is lost.
    ///
    /// # Errors
    /// Those of recv(2).
    ///
    /// ```
    /// # async fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// let mut bytes = [0; 1500];
    /// let (len, from) = socket.recv_from(&mut bytes).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.watched
            .io(Readiness::READ, |socket| {
                self.sys.receive_datagram_from(socket, into)
            })
            .await
    }

    /// Its own address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    ///
    /// ```
    /// # fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// println!("at {}", socket.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.watched.source().local_addr()
    }

    /// The socket, for its options.
    ///
    /// ```
    /// # fn example(socket: ferrevent::asynch::AsyncUdp) -> std::io::Result<()> {
    /// socket.socket().set_broadcast(true)
    /// # }
    /// ```
    pub fn socket(&self) -> &UdpSocket {
        self.watched.source()
    }
}
