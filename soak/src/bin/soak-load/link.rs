//! A blocking socket that looks up every so often.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::plan::Plan;
use crate::{TICK, World};

pub(crate) struct Link {
    socket: Socket,
    is_unix: bool,
}

/// What came of a call that does not wait for ever.
pub(crate) enum Moved {
    Bytes(usize),
    /// Nothing yet.
    Not,
    /// The peer has ended its side, or takes nothing any more.
    End,
    /// It was broken off.
    Broken,
}

impl Link {
    pub(crate) fn connect(plan: &Plan, world: &World) -> io::Result<Self> {
        let address = world.options.address(plan.route);
        let is_unix = plan.route.is_unix();
        let (domain, protocol) = if is_unix {
            (Domain::UNIX, None)
        } else {
            (address.domain(), Some(Protocol::TCP))
        };
        let socket = Socket::new(domain, Type::STREAM, protocol)?;
        if plan.small_buffer {
            socket.set_recv_buffer_size(2048)?;
        }
        // Linux bounds a connect by this too.
        socket.set_write_timeout(Some(world.options.patience))?;
        socket.connect(address)?;
        socket.set_write_timeout(Some(TICK))?;
        socket.set_read_timeout(Some(TICK))?;
        if !is_unix {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self { socket, is_unix })
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Moved> {
        match io::Read::read(&mut &self.socket, into) {
            Ok(0) => Ok(Moved::End),
            other => moved(other),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Moved> {
        moved(io::Write::write(&mut &self.socket, bytes))
    }

    /// Whether something is there to read.
    pub(crate) fn peek(&self) -> io::Result<Moved> {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match SockRef::from(&self.socket).peek(&mut byte) {
            Ok(0) => Ok(Moved::End),
            other => moved(other),
        }
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes so that the peer sees it broken off: with a reset over TCP. A unix
    /// socket must hold unread bytes for it, see unix_release_sock in Linux.
    pub(crate) fn break_off(self) -> io::Result<()> {
        if self.is_unix {
            return Ok(());
        }
        self.socket.set_linger(Some(Duration::ZERO))
    }
}

fn moved(outcome: io::Result<usize>) -> io::Result<Moved> {
    use io::ErrorKind as Kind;
    match outcome {
        Ok(len) => Ok(Moved::Bytes(len)),
        Err(error) => match error.kind() {
            Kind::WouldBlock | Kind::TimedOut | Kind::Interrupted => Ok(Moved::Not),
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => Ok(Moved::Broken),
            _ => Err(error),
        },
    }
}
