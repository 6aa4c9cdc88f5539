//! Listeners: connections are taken one at a time, and a listener rests while
//! descriptors have run out instead of spinning.

use ferrevent_os::sys::fd::OwnedFd;
use std::collections::VecDeque;
use std::io;

use ferrevent_os::{Accepted, Backend, Completion, Op, OpKind, Port, PortKind, Token, What, sys};

use super::allowance::Allowance;
use super::entry::Entry;
use super::{Engine, Happening, Priority, STARVED_REST, TURN_ACCEPTS, Work};

/// A listening socket in the table.
#[derive(Debug)]
pub(super) struct Listener<O> {
    /// Always there, but for the moment in which it changes backends.
    pub(super) port: Option<Port>,
    pub(super) owner: Option<O>,
    pub(super) priority: Priority,
    pub(super) state: Listening,
    allowance: Option<Allowance>,
    /// Taken by the kernel when the allowance was spent: they wait for more.
    kept: VecDeque<Accepted>,
    /// What its connections are.
    kind: PortKind,
    turn: u32,
    taken: u32,
    /// The next connection is to be asked for.
    idle: bool,
}

impl<O> Listener<O> {
    /// Goes on with another backend; the accept in flight begins anew.
    pub(super) fn use_backend(&mut self, backend: &Backend) {
        if let Some(port) = self.port.take() {
            self.port = Some(backend.take_over(port));
            self.idle = true;
        }
    }

    fn is_spent(&self) -> bool {
        self.allowance.as_ref().is_some_and(Allowance::is_spent)
    }

    /// Takes back the accept in flight.
    fn cancel(&mut self, backend: &Backend) {
        if let Some(port) = &mut self.port
            && backend.cancel(port, OpKind::Accept).is_some()
        {
            self.idle = true;
        }
    }
}

/// What a listener is doing.
///
/// ```
/// use ferrevent::engine::Listening;
/// println!("{:?}", Listening::Resting);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listening {
    /// Taking connections.
    Open,
    /// Told to take none for now.
    Paused,
    /// Resting, because descriptors or memory ran out.
    Resting,
}

impl<S, O> Engine<S, O> {
    /// A listener over a listening, non-blocking socket. `None` when the
    /// table is full.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    /// let fd = socket::listening(engine.backend().sys(), &address, &socket::ListenOptions::default())?;
    /// let token = engine.add_listener(fd, Priority(0), "mine").unwrap();
    /// assert!(engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add_listener(&mut self, fd: OwnedFd, priority: Priority, owner: O) -> Option<Token> {
        let kind = PortKind::accepted_by(&fd);
        let backend = &self.backend;
        let token = self.table.insert_with(|token| {
            Entry::Listener(Box::new(Listener {
                port: Some(backend.open(fd, PortKind::Listener, token)),
                owner: Some(owner),
                priority,
                state: Listening::Open,
                allowance: None,
                kept: VecDeque::new(),
                kind,
                turn: 0,
                taken: 0,
                idle: true,
            }))
        })?;
        self.enqueue(token, Work::Run(token));
        Some(token)
    }

    /// Stops a listener from taking connections, or lets it go on. Returns
    /// whether there is such a listener.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    /// let fd = socket::listening(engine.backend().sys(), &address, &socket::ListenOptions::default())?;
    /// let token = engine.add_listener(fd, Priority(0), "mine").unwrap();
    /// assert!(engine.pause_listener(token, true));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pause_listener(&mut self, token: Token, pause: bool) -> bool {
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return false;
        };
        if pause {
            listener.state = Listening::Paused;
            listener.cancel(&self.backend);
        } else {
            listener.state = Listening::Open;
            self.enqueue(token, Work::Run(token));
        }
        true
    }

    /// Lets a listener take no more connections than this allowance has, from
    /// now on. Returns whether there is such a listener.
    ///
    /// ```
    /// # use ferrevent::Allowance;
    /// # use ferrevent::engine::{Engine, Priority};
    /// # use ferrevent_os::{Backend, BackendKind, SockAddr, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    /// let fd = socket::listening(engine.backend().sys(), &address, &socket::ListenOptions::default())?;
    /// let token = engine.add_listener(fd, Priority(0), "mine").unwrap();
    /// assert!(engine.limit_listener(token, Allowance::new(100)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn limit_listener(&mut self, token: Token, allowance: Allowance) -> bool {
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return false;
        };
        listener.allowance = Some(allowance);
        self.resume_soon(token);
        true
    }

    /// Gives connections back to an allowance: listeners that had none left
    /// go on.
    ///
    /// ```
    /// # use ferrevent::Allowance;
    /// # use ferrevent::engine::{Engine, Priority};
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let allowance = Allowance::new(0);
    /// engine.give_back(&allowance, 2);
    /// assert_eq!(allowance.left(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn give_back(&mut self, allowance: &Allowance, connections: u32) {
        allowance.put(connections);
        // Those of another allowance look at it, and wait on.
        for token in std::mem::take(&mut self.spent) {
            self.resume_soon(token);
        }
    }

    pub(super) fn hear_listener(&mut self, token: Token, what: What) -> Option<Happening<S>> {
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return None;
        };
        // The event is taken then, the connection is not.
        let spent = listener.is_spent() && matches!(what, What::Ready(_));
        if spent {
            listener.cancel(&self.backend);
        }
        let mut outcome = None;
        self.backend
            .event(listener.port.as_mut()?, what, &mut |completion| {
                outcome = Some(completion);
            });
        if spent {
            self.resume_soon(token);
        }
        let outcome = outcome?;
        self.accepted(token, outcome)
    }

    /// Asks for the next connection, unless the listener had its share of the
    /// turn or is to take none.
    pub(super) fn go_on_accepting(&mut self, token: Token) -> Option<Happening<S>> {
        let turn = self.turn;
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return None;
        };
        if listener.state == Listening::Resting {
            listener.state = Listening::Open;
        }
        if listener.state != Listening::Open || (!listener.idle && listener.kept.is_empty()) {
            return None;
        }
        if listener.is_spent() {
            self.note_spent(token);
            return None;
        }
        if listener.turn != turn {
            listener.turn = turn;
            listener.taken = 0;
        }
        if listener.taken >= TURN_ACCEPTS {
            self.later.push(token);
            return None;
        }
        listener.taken += 1;
        if let Some(accepted) = listener.kept.pop_front() {
            return self.give_out(token, accepted);
        }
        listener.idle = false;
        let completion = self.backend.submit(listener.port.as_mut()?, Op::Accept)?;
        self.accepted(token, completion)
    }

    fn accepted(&mut self, token: Token, completion: Completion) -> Option<Happening<S>> {
        let Completion::Accepted { result, armed } = completion else {
            return None;
        };
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return None;
        };
        // Told before its accept was taken back, it may say that this goes on.
        listener.idle |= !armed;
        let paused = listener.state == Listening::Paused;
        match result {
            Ok(accepted) if listener.is_spent() => {
                listener.kept.push_back(accepted);
                listener.cancel(&self.backend);
                self.resume_soon(token);
                None
            }
            Ok(accepted) => self.give_out(token, accepted),
            Err(error) if sys::is_canceled(&error) => {
                if !paused {
                    self.resume_soon(token);
                }
                None
            }
            Err(error) if sys::is_exhaustion(&error) => {
                self.rest(token);
                Some(Happening::AcceptFailed {
                    token,
                    error,
                    resting: true,
                })
            }
            Err(error) if concerns_one_connection(&error) => {
                self.resume_soon(token);
                None
            }
            Err(error) => Some(Happening::AcceptFailed {
                token,
                error,
                resting: false,
            }),
        }
    }

    fn give_out(&mut self, token: Token, accepted: Accepted) -> Option<Happening<S>> {
        let Some(Entry::Listener(listener)) = self.table.get_mut(token) else {
            return None;
        };
        if let Some(allowance) = &listener.allowance {
            allowance.take();
        }
        let kind = listener.kind;
        self.resume_soon(token);
        Some(Happening::Accepted(token, accepted, kind))
    }

    /// It goes on when something is given back.
    fn note_spent(&mut self, token: Token) {
        if !self.spent.contains(&token) {
            self.spent.push(token);
        }
    }

    fn resume_soon(&mut self, token: Token) {
        self.enqueue(token, Work::Run(token));
    }

    /// Lets a listener rest until a descriptor is freed or some time passed.
    fn rest(&mut self, token: Token) {
        if let Some(Entry::Listener(listener)) = self.table.get_mut(token) {
            listener.state = Listening::Resting;
            // It may have rested before, and nothing been freed since.
            if !self.starved.contains(&token) {
                self.starved.push(token);
            }
            self.timers.insert(self.now + STARVED_REST, token);
        }
    }

    /// A stream gave its descriptor back: resting listeners may go on.
    pub(super) fn descriptor_freed(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        for token in std::mem::take(&mut self.starved) {
            self.enqueue(token, Work::Run(token));
        }
    }

    /// The socket of a listener, to ask for its address.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    /// let fd = socket::listening(engine.backend().sys(), &address, &socket::ListenOptions::default())?;
    /// let token = engine.add_listener(fd, Priority(0), "mine").unwrap();
    /// println!("{:?}", engine.listener_port(token).and_then(socket::local));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn listener_port(&mut self, token: Token) -> Option<&Port> {
        match self.table.get_mut(token)? {
            Entry::Listener(listener) => listener.port.as_ref(),
            _ => None,
        }
    }
}

/// Whether an error of accept(2) concerns the connection that would have been
/// taken, not the listener: the man page names the network errors that Linux
/// passes on.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
            | Kind::PermissionDenied
    ) || sys::is_protocol_error(error)
}
