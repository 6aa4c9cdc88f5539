//! Datagrams: sent and received whole, by UDP sockets that do not block.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::{Call, Fault, Sys, errno, verdict};
use crate::socket::naming;

impl Sys {
    /// Has a socket send to one peer, and receive from it alone: `connect(2)`.
    ///
    /// # Errors
    /// Those of connect(2), naming the address.
    ///
    /// ```
    /// # use std::net::UdpSocket;
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let sys = Sys::new(Clock::real(), None);
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// sys.connect_datagrams(&one, other.local_addr()?)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect_datagrams(&self, socket: &UdpSocket, peer: SocketAddr) -> io::Result<()> {
        self.whole(Call::Connect, || socket.connect(peer))
            .map_err(|error| naming(error, &peer.into()))
    }

    /// Sends a datagram: `send(2)` to the peer it is connected to, `sendto(2)`
    /// to an address.
    ///
    /// # Errors
    /// Those of send(2); `WouldBlock` while there is no room.
    ///
    /// ```
    /// # use std::net::UdpSocket;
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let sys = Sys::new(Clock::real(), None);
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// assert_eq!(sys.send_datagram(&one, b"hello", Some(other.local_addr()?))?, 5);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn send_datagram(
        &self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> io::Result<usize> {
        self.whole(Call::SendDatagram, || match to {
            Some(to) => socket.send_to(bytes, to),
            None => socket.send(bytes),
        })
    }

    /// Receives a datagram from the peer it is connected to: `recv(2)`.
    ///
    /// # Errors
    /// Those of recv(2); `WouldBlock` while there is none.
    ///
    /// ```
    /// # use std::net::UdpSocket;
    /// # use ferrevent_os::sys::{Clock, Sys, would_block};
    /// # let sys = Sys::new(Clock::real(), None);
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let error = sys.receive_datagram(&socket, &mut [0; 100]).unwrap_err();
    /// assert!(would_block(&error));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn receive_datagram(&self, socket: &UdpSocket, into: &mut [u8]) -> io::Result<usize> {
        self.whole(Call::ReceiveDatagram, || socket.recv(into))
    }

    /// Receives a datagram, and tells who sent it: `recvfrom(2)`.
    ///
    /// # Errors
    /// As [`receive_datagram`](Self::receive_datagram).
    ///
    /// ```
    /// # use std::net::UdpSocket;
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let sys = Sys::new(Clock::real(), None);
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// one.send_to(b"hello", other.local_addr()?)?;
    /// let (len, from) = sys.receive_datagram_from(&other, &mut [0; 100])?;
    /// assert_eq!((len, from), (5, one.local_addr()?));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn receive_datagram_from(
        &self,
        socket: &UdpSocket,
        into: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        self.whole(Call::ReceiveDatagram, || socket.recv_from(into))
    }

    /// Makes a call that is done whole or not at all, again when a signal
    /// interrupts it. There are no short datagrams: such a fault is none.
    fn whole<T>(&self, call: Call, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match self.strike(call) {
                Some(Fault::Errno(errno::EINTR)) => continue,
                fault => verdict(fault)?,
            }
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}
