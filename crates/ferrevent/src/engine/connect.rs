//! Connecting: one address after the other until one answers.

use std::collections::VecDeque;
use std::io;

use ferrevent_core::stream::{Activity, CloseReason, Machine, StreamConfig};
use ferrevent_core::timer::Tick;
use ferrevent_os::sys::fd::OwnedFd;
use ferrevent_os::{Backend, Completion, Op, PortKind, Token, socket};
use socket2::SockAddr;

use super::Engine;
use super::entry::{Entry, StreamEntry};

/// Where to connect, and from where.
///
/// ```
/// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
/// # use ferrevent::{Readiness, StreamConfig};
/// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
/// let target = Target {
///     addresses: [SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7)))].into(),
///     bind: None,
/// };
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The addresses, tried in order. Empty while a host name is being
    /// resolved: then [`Engine::resolved`] brings them.
    pub addresses: VecDeque<SockAddr>,
    /// The local address to bind first.
    pub bind: Option<SockAddr>,
}

impl<S, O> Engine<S, O> {
    /// A stream that connects. Errors are told through the stream itself.
    /// `None` when the table is full.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let target = Target {
    ///     addresses: [SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7)))].into(),
    ///     bind: None,
    /// };
    /// let token = engine.connect(target, StreamConfig::DEFAULT, "mine").unwrap();
    /// assert!(engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect(&mut self, target: Target, config: StreamConfig, owner: S) -> Option<Token> {
        let now = self.now;
        let resolving = target.addresses.is_empty();
        let token = self.table.insert_with(|token| {
            let mut stream = StreamEntry::new(token, Machine::connecting(), None, owner);
            stream.machine.configure(now, config);
            let extras = stream.extras_mut();
            extras.candidates = target.addresses;
            extras.bind = target.bind;
            Entry::Stream(Box::new(stream))
        })?;
        if resolving {
            self.queue_stream(token);
        } else {
            self.try_connect(token, None);
        }
        Some(token)
    }

    /// The addresses of a host name have come, or none will.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let target = Target {
    ///     addresses: [].into(),
    ///     bind: None,
    /// };
    /// let token = engine.connect(target, StreamConfig::DEFAULT, "mine").unwrap();
    /// engine.resolved(token, Err(std::io::Error::other("no such host")));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn resolved(&mut self, token: Token, outcome: io::Result<Vec<SockAddr>>) {
        match outcome {
            Ok(addresses) => {
                if let Some(Entry::Stream(stream)) = self.table.get_mut(token) {
                    stream.extras_mut().candidates = addresses.into();
                }
                self.try_connect(token, None);
            }
            Err(error) => self.try_connect(token, Some(error)),
        }
    }

    /// A stream over a socket that is to be connected to this address, and
    /// keeps its descriptor whatever comes of it. It does not block.
    /// `None` when the table is full.
    ///
    /// ```
    /// # use ferrevent::engine::Engine;
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7)));
    /// let fd = socket::for_connecting(engine.backend().sys(), &address, None)?;
    /// let token = engine.connect_over(fd, PortKind::Tcp, address, "mine").unwrap();
    /// assert!(engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect_over(
        &mut self,
        fd: OwnedFd,
        kind: PortKind,
        address: SockAddr,
        owner: S,
    ) -> Option<Token> {
        let (backend, now) = (&self.backend, self.now);
        let token = self.table.insert_with(|token| {
            let port = backend.open(fd, kind, token);
            let mut stream = StreamEntry::new(token, Machine::connecting(), Some(port), owner);
            if let Some(port) = &mut stream.port
                && let Some(completion) = backend.submit(port, Op::Connect(Box::new(address)))
            {
                stream.complete(now, completion);
            }
            Entry::Stream(Box::new(stream))
        })?;
        self.queue_stream(token);
        Some(token)
    }

    fn try_connect(&mut self, token: Token, last: Option<io::Error>) {
        let (backend, now) = (&self.backend, self.now);
        if let Some(Entry::Stream(stream)) = self.table.get_mut(token) {
            stream.try_next(backend, now, last);
        }
        self.queue_stream(token);
    }
}

impl<S> StreamEntry<S> {
    /// An attempt failed; the next address is tried.
    pub(super) fn connect_failed(&mut self, backend: &Backend, now: Tick, error: io::Error) {
        let error = match self.extras_mut().trying.take() {
            Some(address) => socket::naming(error, &address),
            None => error,
        };
        self.try_next(backend, now, Some(error));
    }

    fn try_next(&mut self, backend: &Backend, now: Tick, mut last: Option<io::Error>) {
        while self.machine.is_connecting() && !self.machine.is_closed() {
            let extras = self.extras_mut();
            let Some(address) = extras.candidates.pop_front() else {
                let error = last.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                });
                self.machine.close(CloseReason::Failed {
                    during: Activity::Connect,
                    error,
                });
                return;
            };
            let bind = extras.bind.clone();
            extras.trying = Some(address.clone());
            if let Some(port) = self.port.take() {
                backend.close(port);
            }
            match self.begin_connect(backend, now, &address, bind.as_ref()) {
                Ok(()) => return,
                Err(error) => last = Some(socket::naming(error, &address)),
            }
        }
    }

    fn begin_connect(
        &mut self,
        backend: &Backend,
        now: Tick,
        address: &SockAddr,
        bind: Option<&SockAddr>,
    ) -> io::Result<()> {
        let fd = socket::for_connecting(backend.sys(), address, bind)?;
        let kind = PortKind::of(&fd);
        let mut port = backend.open(fd, kind, self.token);
        match backend.submit(&mut port, Op::Connect(Box::new(address.clone()))) {
            Some(Completion::Connected(Err(error))) => {
                backend.close(port);
                return Err(error);
            }
            Some(completion) => self.complete(now, completion),
            None => {}
        }
        self.port = Some(port);
        Ok(())
    }
}
