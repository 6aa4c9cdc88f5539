//! Streams: completions become the machine's input, its wishes operations.

use ferrevent_core::limit::Direction;
use ferrevent_core::stream::{Machine, StreamConfig};
use ferrevent_core::timer::Tick;
use ferrevent_os::sys::fd::OwnedFd;
use ferrevent_os::{Backend, Completion, Op, OpKind, Port, PortKind, Token, What, sys};

use super::entry::{Entry, Share, StreamEntry};
use super::limits::Limited;
use super::run::Moment;
use super::{Engine, Priority, Work};

impl<S> StreamEntry<S> {
    pub(super) fn new(token: Token, machine: Machine, port: Option<Port>, owner: S) -> Self {
        Self {
            machine,
            owner,
            port,
            extras: None,
            limited: None,
            token,
            share: Share::default(),
            priority: Priority::default(),
            queued: false,
            unfinished: false,
        }
    }

    /// Tells the machine how an operation ended.
    #[inline]
    pub(super) fn complete(&mut self, now: Tick, completion: Completion) {
        let limited = self.limited.as_deref_mut();
        complete(&mut self.machine, &mut self.share, limited, now, completion);
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
    fn submit(&mut self, backend: &Backend, now: Tick) -> bool {
        loop {
            let (left, received) = self.submit_once(backend, now);
            // What came at once may be for the filters alone: then there is
            // nothing to tell, but perhaps an answer of theirs to send.
            let machine = &self.machine;
            if left || !received || !machine.has_filters() || machine.has_events() {
                return left;
            }
        }
    }

    /// Also returns whether something was received at once.
    #[inline]
    fn submit_once(&mut self, backend: &Backend, now: Tick) -> (bool, bool) {
        let Self {
            machine,
            share,
            port: Some(port),
            limited,
            ..
        } = self
        else {
            return (false, false);
        };
        let mut limited = limited.as_deref_mut();
        if machine.is_closed() {
            return (false, false);
        }
        loop {
            if let Some(range) = machine.wants_file() {
                let read = backend.sys().read_range(&range);
                share.spend(read.as_ref().map_or(0, |(_, filled)| *filled));
                machine.file_read(now, read);
            }
            let Some(output) = machine.sendable(now) else {
                if machine.wants_file().is_none() {
                    break;
                }
                // A filter took what lay before it, and put nothing out yet.
                if share.is_spent() {
                    return (true, false);
                }
                continue;
            };
            let most = match &mut limited {
                None => usize::MAX,
                Some(limited) => limited.ask(Direction::Write, output.len(), now),
            };
            if most == 0 {
                machine.send_delayed(now);
                break;
            }
            if let Some(outcome) = backend.send_at_once(port, output, most) {
                let sent = *outcome.as_ref().unwrap_or(&0);
                share.spend_sent(sent);
                if let Some(limited) = &mut limited {
                    limited.sent(sent, now);
                }
                machine.sent_at_once(now, outcome);
            } else if let Some(bytes) = machine.next_send_of(now, most) {
                let len = bytes.len();
                match backend.submit(port, Op::Send(bytes)) {
                    Some(completion) => {
                        complete(machine, share, limited.as_deref_mut(), now, completion);
                    }
                    None => {
                        // One that waits here takes its bytes when it goes.
                        if let Some(limited) = &mut limited
                            && !port.holds_send()
                        {
                            limited.sends(len, now);
                        }
                        break;
                    }
                }
            }
            if share.is_spent() {
                return (true, false);
            }
        }
        if machine.wants_shutdown() {
            let outcome = backend.shutdown_write(port);
            machine.shutdown_ended(outcome);
        }
        if machine.unwants_receive()
            && let Some(completion) = backend.cancel(port, OpKind::Receive)
        {
            complete(machine, share, limited.as_deref_mut(), now, completion);
        }
        if machine.wants_receive() {
            if share.is_spent() {
                return (true, false);
            }
            if let Some(limited) = &mut limited
                && !limited.may_receive(port, now)
            {
                return (false, false);
            }
            machine.receive_began(now);
            port.expect_much(machine.has_room(Port::MUCH));
            if let Some(completion) = backend.submit(port, Op::Receive) {
                complete(machine, share, limited, now, completion);
                return (false, true);
            }
        }
        (false, false)
    }

    /// Pursues what it wants; returns whether it has something to tell in
    /// this turn.
    #[inline]
    pub(super) fn pursue(&mut self, backend: &Backend, moment: Moment) -> bool {
        self.share.begin(moment);
        if self.limited.is_some() {
            self.see_to_limits(backend, moment.now);
        }
        self.unfinished = self.submit(backend, moment.now);
        if let Some(limited) = &self.limited {
            limited.settle(moment.now);
        }
        self.machine.has_events() && (!self.share.is_spent() || self.machine.is_closed())
    }

    /// Hears what the kernel told.
    #[inline]
    pub(super) fn hear(&mut self, backend: &Backend, what: What, moment: Moment) {
        self.share.begin(moment);
        if self.limited.is_some() {
            self.make_way(backend, &what, moment.now);
        }
        let Self {
            machine,
            share,
            port: Some(port),
            limited,
            ..
        } = self
        else {
            return;
        };
        let mut limited = limited.as_deref_mut();
        let mut failed_connect = None;
        backend.event(port, what, &mut |completion| match completion {
            Completion::Connected(Err(error)) => failed_connect = Some(error),
            completion => complete(
                machine,
                share,
                limited.as_deref_mut(),
                moment.now,
                completion,
            ),
        });
        if let Some(error) = failed_connect {
            self.connect_failed(backend, moment.now, error);
        }
    }
}

/// Tells a machine how an operation ended, and counts it against the share of
/// its turn.
#[inline]
fn complete(
    machine: &mut Machine,
    share: &mut Share,
    limited: Option<&mut Limited>,
    now: Tick,
    completion: Completion,
) {
    if let Some(limited) = limited {
        limited.complete(&completion, now);
    }
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
            Ok(_) => machine.receive_ended(now),
            Err(error) if sys::is_canceled(&error) => machine.receive_canceled(),
            Err(error) => machine.receive_failed(now, error),
        },
        Completion::Sent(Err(error)) if sys::is_canceled(&error) => machine.send_canceled(),
        Completion::Sent(outcome) => {
            share.spend_sent(*outcome.as_ref().unwrap_or(&0));
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
    /// let Some(Happening::Stream(mut run)) = engine.next() else {
    ///     unreachable!("it was queued")
    /// };
    /// assert_eq!(run.stream().token(), token);
    /// # engine.put_back(run);
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
}
