//! Sockets to nameservers.

use std::ffi::{c_int, c_short, c_void};
use std::io;
use std::net::SocketAddr;
use std::ptr::NonNull;

use ferrevent_dns::{ExchangeId, LaneId};

use super::settings::Sockets;
use super::{Resolver, now};
use crate::event::{Ev, what};
use crate::layout::Event;
use crate::system::{self, Making, SOCK_DGRAM, SOCK_STREAM, Socket};
use crate::util::{address, socket};
use crate::{debug, memory, time};

/// What goes by it: datagrams, or one question and its answer.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Datagrams(LaneId),
    Stream(ExchangeId),
}

pub(super) struct Inner {
    event: Event,
    fd: Socket,
    resolver: Resolver,
    way: Way,
    server: SocketAddr,
    /// What is not sent yet of a stream, and what has come.
    output: Vec<u8>,
    input: Vec<u8>,
}

/// A socket that its client has not closed, or that the loop may still call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Channel(NonNull<Inner>);

/// So many are read before others have their turn.
const MOST_AT_ONCE: usize = 64;

impl Channel {
    /// Opens a socket that is connected, or connecting.
    pub(super) fn open(
        resolver: Resolver,
        way: Way,
        server: SocketAddr,
        output: Vec<u8>,
    ) -> io::Result<Self> {
        let (kind, events) = match way {
            Way::Datagrams(_) => (SOCK_DGRAM, what::READ),
            Way::Stream(_) => (SOCK_STREAM, what::WRITE),
        };
        let fd = connect(kind, &server, resolver.with(|it| it.settings.sockets))?;
        let made = memory::place(Inner {
            event: Event::BLANK,
            fd,
            resolver,
            way,
            server,
            output,
            input: Vec::new(),
        });
        let Some(made) = made else {
            socket::evutil_closesocket(fd);
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let channel = Self(made);
        resolver.refer();
        let ev = channel.event();
        ev.prepare(
            resolver.base(),
            fd,
            events | what::PERSIST,
            ready,
            made.as_ptr().cast(),
        );
        if !ev.start(time::timeval_of(0)) {
            channel.close();
            return Err(io::Error::other("its socket cannot be waited for"));
        }
        Ok(channel)
    }

    fn event(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).event) })
    }

    /// Works on what is inside, with the lock of the resolver held.
    fn with<R>(self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: it is there; only who holds the lock has a reference, and no
        // longer than this, where its event is not used.
        work(unsafe { &mut *self.0.as_ptr() })
    }

    fn resolver(self) -> Resolver {
        // SAFETY: it is there, and this does not change.
        unsafe { self.0.as_ref().resolver }
    }

    /// Sends a datagram. One that the kernel does not take is lost, as others are.
    pub(super) fn send(self, datagram: &[u8]) -> io::Result<()> {
        match send(self.with(|it| it.fd), datagram) {
            Err(error) if may_pass(&error) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Closes it, with the lock of the resolver held.
    pub(super) fn close(self) {
        let ev = self.event();
        ev.stop();
        debug::gone(ev);
        socket::evutil_closesocket(self.with(|it| std::mem::replace(&mut it.fd, -1)));
        // The loop may be about to call back, if that is another thread's.
        let resolver = self.resolver();
        if resolver.is_shared() && ev.finish(finished) {
            return;
        }
        self.displace();
        resolver.with(|it| it.references -= 1);
    }

    fn displace(self) {
        // SAFETY: made by `open`, and nobody refers to it any more.
        unsafe { memory::displace(self.0) };
    }

    /// Takes what has come, and gives it to the client.
    fn attend(self, way: Way) -> io::Result<()> {
        match way {
            Way::Datagrams(lane) => {
                let mut left = MOST_AT_ONCE;
                while self.take_datagram(lane)? && left > 0 {
                    left -= 1;
                }
            }
            Way::Stream(exchange) => {
                if let Some(message) = self.move_bytes()? {
                    let resolver = self.resolver();
                    resolver.close(way);
                    resolver.with(|it| it.asking.client.exchanged(now(), exchange, &message));
                }
            }
        }
        Ok(())
    }

    /// Takes a datagram; false when no other is waited for.
    fn take_datagram(self, lane: LaneId) -> io::Result<bool> {
        let (fd, server) = self.with(|it| (it.fd, it.server));
        self.resolver().with(|it| {
            let got = receive(fd, &mut it.room)?;
            let client = &mut it.asking.client;
            client.received(now(), lane, server, &it.room[..got]);
            Ok(client.is_awaited(lane))
        })
    }

    /// Takes what a connection has, or gives it what it takes; the answer, once
    /// it is whole.
    fn move_bytes(self) -> io::Result<Option<Vec<u8>>> {
        let fd = self.with(|it| it.fd);
        if self.with(|it| !it.output.is_empty()) {
            let all = self.with(|it| {
                let sent = send(fd, &it.output)?;
                it.output.drain(..sent);
                io::Result::Ok(it.output.is_empty())
            })?;
            if all {
                let ev = self.event();
                ev.stop();
                ev.set_events(what::READ | what::PERSIST);
                ev.start(time::timeval_of(0));
            }
            return Ok(None);
        }
        self.resolver().with(|it| {
            let got = receive(fd, &mut it.room)?;
            if got == 0 {
                return Err(io::Error::other("the server has closed the connection"));
            }
            let bytes = &it.room[..got];
            Ok(self.with(|it| {
                it.input.extend_from_slice(bytes);
                let length = it
                    .input
                    .first_chunk::<2>()
                    .map(|it| u16::from_be_bytes(*it));
                let end = length.map(|length| 2 + usize::from(length));
                let message = end.and_then(|end| it.input.get(2..end));
                message.map(<[u8]>::to_vec)
            }))
        })
    }
}

/// Bytes of a stream or a datagram; none at the end of a stream.
fn receive(fd: Socket, room: &mut [u8]) -> io::Result<usize> {
    usize::try_from(system::receive(fd, room)).map_err(|_| system::last())
}

fn send(fd: Socket, bytes: &[u8]) -> io::Result<usize> {
    usize::try_from(system::send(fd, bytes)).map_err(|_| system::last())
}

fn connect(kind: c_int, server: &SocketAddr, settings: Sockets) -> io::Result<Socket> {
    let (to, length) = address::of(server);
    let fd = system::socket(Making {
        family: to.ss_family.into(),
        kind,
        close_on_exec: true,
    });
    if fd < 0 {
        return Err(system::last());
    }
    set_room(fd, system::SO_RCVBUF, settings.receive_room);
    set_room(fd, system::SO_SNDBUF, settings.send_room);
    if let Some(own) = settings.bind
        && own.is_ipv4() == server.is_ipv4()
    {
        let (own, length) = address::of(&own);
        // SAFETY: an address of that length.
        if unsafe { system::bind(fd, (&raw const own).cast(), length) } < 0 {
            let error = system::last();
            socket::evutil_closesocket(fd);
            return Err(error);
        }
    }
    // SAFETY: an address of that length.
    if unsafe { system::connect(fd, (&raw const to).cast(), length) } < 0 {
        let error = system::last();
        if !error.raw_os_error().is_some_and(system::is_connecting) {
            socket::evutil_closesocket(fd);
            return Err(error);
        }
    }
    Ok(fd)
}

/// 0 is the system's own choice; what it does not take is none of the program's.
fn set_room(fd: Socket, option: c_int, room: c_int) {
    if room > 0 {
        system::set_option(fd, system::SOL_SOCKET, option, room);
    }
}

fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}

unsafe extern "C" fn ready(_: Socket, _: c_short, channel: *mut c_void) {
    let Some(channel) = NonNull::new(channel.cast()).map(Channel) else {
        return;
    };
    let resolver = channel.resolver();
    resolver.lock();
    // It is over, and only its finalizer is still to come.
    if channel.with(|it| it.fd < 0) {
        return resolver.unlock();
    }
    resolver.refer();
    let way = channel.with(|it| it.way);
    if let Err(error) = channel.attend(way)
        && !may_pass(&error)
    {
        resolver.lose(way, &error.to_string());
    }
    resolver.act();
    resolver.release();
}

unsafe extern "C" fn finished(_: Ev, channel: *mut c_void) {
    if let Some(channel) = NonNull::new(channel.cast()).map(Channel) {
        let resolver = channel.resolver();
        channel.displace();
        resolver.lock();
        resolver.release();
    }
}
