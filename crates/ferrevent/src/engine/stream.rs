//! Streams: completions become the machine's input, its wishes operations.

use ferrevent_core::stream::{CloseReason, Machine, StreamConfig};
use ferrevent_core::timer::Tick;
use ferrevent_os::{Backend, Completion, Op, OpKind, Port, PortKind, Token, What, sys};
use std::os::fd::OwnedFd;

use super::entry::{Entry, Share, StreamEntry};
use super::{Engine, Happening, Priority, Work};

impl<S> StreamEntry<S> {
    pub(super) fn new(token: Token, machine: Machine, port: Option<Port>, owner: S) -> Self {
        Self {
            machine,
            owner,
            port,
            extras: None,
            token,
            share: Share::default(),
            priority: Priority::default(),
            queued: false,
        }
    }

    /// Tells the machine how an operation ended.
    #[inline]
    pub(super) fn complete(&mut self, now: Tick, completion: Completion) {
        complete(&mut self.machine, &mut self.share, now, completion);
    }

    /// Goes on with another backend; what was in flight begins anew.
    pub(super) fn use_backend(&mut self, backend: &Backend, now: Tick) {
        let Some(port) = self.port.take() else {
            return;
        };
        let mut port = backend.take_over(port);
        self.machine.receive_canceled();
        self.machine.send_canceled();
        let trying = self.extras.as_ref().and_then(|it| it.trying.clone());
        if self.machine.is_connecting()
            && let Some(address) = trying
            && let Some(completion) = backend.submit(&mut port, Op::Connect(Box::new(address)))
        {
            self.complete(now, completion);
        }
        self.port = Some(port);
    }

    /// Turns wishes into operations until none is left or the share is spent.
    /// Returns whether something was left for the next turn.
    #[inline]
    fn pursue(&mut self, backend: &Backend, now: Tick) -> bool {
        let Self {
            machine,
            share,
            port: Some(port),
            ..
        } = self
        else {
            return false;
        };
        if machine.is_closed() {
            return false;
        }
        while let Some(output) = machine.sendable() {
            if let Some(outcome) = backend.send_at_once(port, output) {
                share.spend(*outcome.as_ref().unwrap_or(&0));
                machine.sent_at_once(now, outcome);
            } else if let Some(bytes) = machine.next_send(now) {
                match backend.submit(port, Op::Send(bytes)) {
                    Some(completion) => complete(machine, share, now, completion),
                    None => break,
                }
            }
            if share.is_spent() {
                return true;
            }
        }
        if machine.wants_shutdown() {
            let outcome = backend.shutdown_write(port);
            machine.shutdown_ended(outcome);
        }
        if machine.unwants_receive()
            && let Some(completion) = backend.cancel(port, OpKind::Receive)
        {
            complete(machine, share, now, completion);
        }
        if machine.wants_receive() {
            if share.is_spent() {
                return true;
            }
            machine.receive_began(now);
            if let Some(completion) = backend.submit(port, Op::Receive) {
                complete(machine, share, now, completion);
            }
        }
        false
    }
}

/// Tells a machine how an operation ended, and counts it against the share of
/// its turn.
#[inline]
fn complete(machine: &mut Machine, share: &mut Share, now: Tick, completion: Completion) {
    match completion {
        Completion::Received { result, armed } => match result {
            Ok(received) if !received.is_empty() => {
                let len = received.len();
                share.spend(len);
                machine.received(now, armed, len, |input| {
                    // The input's back is never frozen.
                    let _ = received.append_to(input);
                });
            }
            Ok(_) => machine.receive_ended(),
            Err(error) if sys::is_canceled(&error) => machine.receive_canceled(),
            Err(error) => machine.receive_failed(error),
        },
        Completion::Sent(Err(error)) if sys::is_canceled(&error) => machine.send_canceled(),
        Completion::Sent(outcome) => {
            share.spend(*outcome.as_ref().unwrap_or(&0));
            machine.sent(now, outcome);
        }
        Completion::Connected(outcome) => machine.connect_ended(now, outcome),
        _ => {}
    }
}

impl<S, O> Engine<S, O> {
    /// A stream over a connected descriptor, which is made non-blocking.
    /// `None` when the table is full.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// assert!(engine.contains(token));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add_stream(&mut self, fd: OwnedFd, kind: PortKind, owner: S) -> Option<Token> {
        let backend = &self.backend;
        let token = self.table.insert_with(|token| {
            let port = backend.open(fd, kind, token);
            Entry::Stream(Box::new(StreamEntry::new(
                token,
                Machine::connected(),
                Some(port),
                owner,
            )))
        })?;
        self.queue_stream(token);
        Some(token)
    }

    /// Takes a stream out of the table, to run what belongs to it.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let stream = engine.take(token).unwrap();
    /// // While it is out its key stays valid, but nobody else may have it.
    /// assert!(engine.take(token).is_none());
    /// engine.put_back(stream);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn take(&mut self, token: Token) -> Option<Box<StreamEntry<S>>> {
        if !matches!(self.table.get_mut(token)?, Entry::Stream(_)) {
            return None;
        }
        match self.table.take(token) {
            Some(Entry::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Pursues what a stream that was taken out now wants. Returns whether it
    /// has something to tell at once.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut stream = engine.take(token).unwrap();
    /// stream.machine.write(b"hello").unwrap();
    /// while stream.machine.next_event().is_some() || engine.pursue(&mut stream) {}
    /// assert_eq!(stream.machine.sent_bytes(), 5);
    /// engine.put_back(stream);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn pursue(&mut self, stream: &mut StreamEntry<S>) -> bool {
        stream.share.begin(self.turn);
        if stream.pursue(&self.backend, self.now) && !stream.queued {
            stream.queued = true;
            self.later.push(stream.token);
        }
        self.arm_stream(stream);
        if stream.machine.has_events() {
            if !stream.share.is_spent() || stream.machine.is_closed() {
                return true;
            }
            if !stream.queued {
                stream.queued = true;
                self.later.push(stream.token);
            }
        }
        false
    }

    /// Puts a stream back that has nothing to tell now. One that is over and
    /// has told so is removed; what the driver kept with it comes back.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut stream = engine.take(token).unwrap();
    /// stream.machine.close(ferrevent::CloseReason::Closed);
    /// while stream.machine.next_event().is_some() {}
    /// assert_eq!(engine.put_back(stream), Some("mine"));
    /// assert!(!engine.contains(token));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn put_back(&mut self, mut stream: Box<StreamEntry<S>>) -> Option<S> {
        let token = stream.token;
        if stream.machine.is_closed() && !stream.machine.has_events() {
            self.table.remove(token);
            self.dispose(&mut stream);
            return Some(stream.owner);
        }
        let piped = stream
            .extras
            .as_ref()
            .is_some_and(|extras| extras.piped_to.is_some());
        self.table.put_back(token, Entry::Stream(stream));
        if piped {
            self.queue_stream(token);
        }
        None
    }

    /// Has a stream run in this turn, or in the next one if this one is over.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// engine.queue_stream(token);
    /// engine.wait(Some(Duration::ZERO))?;
    /// assert!(matches!(engine.next(), Some(Happening::Stream(told)) if told == token));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue_stream(&mut self, token: Token) {
        if let Some(Entry::Stream(stream)) = self.table.get_mut(token)
            && !stream.queued
        {
            stream.queued = true;
            self.enqueue(token, Work::Run(token));
        }
    }

    /// Works on a stream in the table from outside its callbacks, and has it
    /// run. `None` when there is no such stream or it is running.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// engine.with_stream(token, |stream, _| stream.machine.pause());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn with_stream<R>(
        &mut self,
        token: Token,
        work: impl FnOnce(&mut StreamEntry<S>, Tick) -> R,
    ) -> Option<R> {
        let now = self.now;
        let Entry::Stream(stream) = self.table.get_mut(token)? else {
            return None;
        };
        let result = work(stream, now);
        self.queue_stream(token);
        Some(result)
    }

    /// A stream in the table, to look at; none while it is running.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// assert_eq!(engine.stream(token).map(|stream| stream.owner), Some("mine"));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stream(&mut self, token: Token) -> Option<&StreamEntry<S>> {
        match self.table.get_mut(token)? {
            Entry::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Sets the limits and timeouts of a stream.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// assert!(engine.configure(token, StreamConfig::DEFAULT));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn configure(&mut self, token: Token, config: StreamConfig) -> bool {
        self.with_stream(token, |stream, now| stream.machine.configure(now, config))
            .is_some()
    }

    /// Every stream's key, for a driver that ends them all.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// assert_eq!(engine.streams(), [token]);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn streams(&mut self) -> Vec<Token> {
        self.table
            .iter_mut()
            .filter(|(_, entry)| matches!(entry, Entry::Stream(_)))
            .map(|(token, _)| token)
            .collect()
    }

    pub(super) fn hear_stream(&mut self, token: Token, what: What) -> Option<Happening> {
        let (backend, now, turn) = (&self.backend, self.now, self.turn);
        let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
            return None;
        };
        stream.share.begin(turn);
        let StreamEntry {
            machine,
            share,
            port: Some(port),
            ..
        } = &mut **stream
        else {
            return None;
        };
        let mut failed_connect = None;
        backend.event(port, what, &mut |completion| match completion {
            Completion::Connected(Err(error)) => failed_connect = Some(error),
            completion => complete(machine, share, now, completion),
        });
        if let Some(error) = failed_connect {
            self.connect_failed(token, error);
        }
        self.after_event(token)
    }

    pub(super) fn run_stream(&mut self, token: Token) -> Option<Happening> {
        let turn = self.turn;
        let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
            return None;
        };
        stream.queued = false;
        stream.share.begin(turn);
        self.after_event(token)
    }

    pub(super) fn stream_time(&mut self, token: Token) -> Option<Happening> {
        let now = self.now;
        let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
            return None;
        };
        if let Some(extras) = &mut stream.extras {
            extras.timer = None;
        }
        stream.machine.time_passed(now);
        self.after_event(token)
    }

    /// Tells the driver of a stream that has something to tell, and works on
    /// alone for one that has not.
    #[inline]
    fn after_event(&mut self, token: Token) -> Option<Happening> {
        let Some(Entry::Stream(stream)) = self.table.get_mut(token) else {
            return None;
        };
        if stream
            .extras
            .as_ref()
            .is_some_and(|extras| extras.piped_to.is_some())
        {
            return self.run_piped(token);
        }
        if stream.machine.has_events() {
            return Some(Happening::Stream(token));
        }
        let mut stream = self.take(token)?;
        let more = self.pursue(&mut stream);
        self.table.put_back(token, Entry::Stream(stream));
        more.then_some(Happening::Stream(token))
    }

    /// Sees to it that the machine is told the time when it wants to be.
    #[inline]
    fn arm_stream(&mut self, stream: &mut StreamEntry<S>) {
        let Some(due) = stream.machine.wake_at() else {
            return;
        };
        let token = stream.token;
        let extras = stream.extras_mut();
        // A timer that fires too early only asks again: moving it for every
        // byte would cost more.
        let armed = extras
            .timer
            .and_then(|id| self.timers.deadline(id).map(|at| (id, at)));
        match armed {
            Some((_, at)) if at <= due => {}
            Some((id, _)) => {
                self.timers.rearm(id, due);
            }
            None => extras.timer = Some(self.timers.insert(due, token)),
        }
    }

    /// Gives back to the system what a stream held.
    fn dispose(&mut self, stream: &mut StreamEntry<S>) {
        if let Some(extras) = stream.extras.take() {
            if let Some(id) = extras.timer {
                self.timers.remove(id);
            }
            if let Some(other) = extras.piped_to {
                self.unpipe(other, stream.token);
            }
        }
        if let Some(port) = stream.port.take() {
            self.backend.close(port);
            self.descriptor_freed();
        }
    }

    /// Closes every stream for this reason without telling anybody.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// assert_eq!(engine.drop_stream(token), Some("mine"));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn drop_stream(&mut self, token: Token) -> Option<S> {
        let mut stream = self.take(token)?;
        stream.machine.close(CloseReason::Closed);
        self.table.remove(token);
        self.dispose(&mut stream);
        Some(stream.owner)
    }
}
