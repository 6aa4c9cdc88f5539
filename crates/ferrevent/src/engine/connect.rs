//! Connecting: one address after the other until one answers.

use std::collections::VecDeque;
use std::io;

use ferrevent_core::stream::{Activity, CloseReason, Machine, StreamConfig};
use ferrevent_os::{Completion, Op, PortKind, Token, socket};
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
            self.try_next(token, None);
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
                    self.try_next(token, None);
                }
            }
            Err(error) => self.try_next(token, Some(error)),
        }
    }

    /// The attempt that was going on has failed.
    pub(super) fn connect_failed(&mut self, token: Token, error: io::Error) {
        let trying = match self.table.get_mut(token) {
            Some(Entry::Stream(stream)) => stream.extras_mut().trying.take(),
            _ => None,
        };
        let error = match trying {
            Some(address) => socket::naming(error, &address),
            None => error,
        };
        self.try_next(token, Some(error));
    }

    /// Tries the next address that is left; `last` is why the one before did
    /// not do. The error of the last address is the one that is told.
    fn try_next(&mut self, token: Token, mut last: Option<io::Error>) {
        loop {
            let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
                return;
            };
            if !stream.machine.is_connecting() || stream.machine.is_closed() {
                return;
            }
            if let Some(port) = stream.port.take() {
                self.backend.close(port);
            }
            let extras = stream.extras_mut();
            let Some(address) = extras.candidates.pop_front() else {
                let error = last.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                });
                stream.machine.close(CloseReason::Failed {
                    during: Activity::Connect,
                    error,
                });
                break;
            };
            let bind = extras.bind.clone();
            extras.trying = Some(address.clone());
            match self.begin_connect(token, &address, bind.as_ref()) {
                Ok(()) => break,
                Err(error) => last = Some(socket::naming(error, &address)),
            }
        }
        self.queue_stream(token);
    }

    fn begin_connect(
        &mut self,
        token: Token,
        address: &SockAddr,
        bind: Option<&SockAddr>,
    ) -> io::Result<()> {
        let now = self.now;
        let fd = socket::for_connecting(self.backend.sys(), address, bind)?;
        let kind = PortKind::of(&fd);
        let mut port = self.backend.open(fd, kind, token);
        let completion = self
            .backend
            .submit(&mut port, Op::Connect(Box::new(address.clone())));
        if let Some(Completion::Connected(Err(error))) = completion {
            self.backend.close(port);
            return Err(error);
        }
        let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
            self.backend.close(port);
            return Ok(());
        };
        stream.port = Some(port);
        if let Some(completion) = completion {
            stream.complete(now, completion);
        }
        Ok(())
    }
}
