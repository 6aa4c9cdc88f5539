//! Running a stream. It is taken out of the table, and the one it is piped to
//! with it; it is told what the kernel said; what it has to tell is told; its
//! wishes become operations; it goes back. While it is out nobody else has
//! it, and whatever comes for it waits: that is all there is to a strand.

use ferrevent_core::timer::Tick;
use ferrevent_os::{Backend, Token, What};

use super::entry::{Allotment, Entry, StreamEntry};
use super::{Engine, Work};

/// How often bytes go to and fro between two piped streams in one turn.
const PIPE_ROUNDS: u8 = 16;

/// A turn: its time, its number, and the bytes that each stream may move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Tick,
    pub(super) turn: u32,
    pub(super) share: Allotment,
}

/// A stream that was taken out of the table to be run, and the one that it is
/// piped to. It needs no engine while it runs.
///
/// ```
/// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
/// # use ferrevent::{Readiness, StreamConfig};
/// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
/// # use std::{sync::Arc, time::Duration};
/// let backend = Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
/// let mut engine: Engine<&str, &str> = Engine::new(Arc::clone(&backend), 1);
/// let (near, far) = socket::pair()?;
/// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
/// let mut run = engine.take(token).unwrap();
/// run.stream().machine.write(b"hello").unwrap();
/// while let Some(stream) = run.advance(&backend) {
///     while let Some(event) = stream.machine.next_event() {
///         println!("{event:?}");
///     }
/// }
/// assert_eq!(run.stream().machine.sent_bytes(), 5);
/// engine.put_back(run);
/// # drop(far);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Run<S> {
    stream: Box<StreamEntry<S>>,
    piped: Option<Box<StreamEntry<S>>>,
    told: Option<What>,
    /// What came right behind it.
    more: Vec<What>,
    begun: bool,
    rounds: u8,
    moment: Moment,
}

/// Streams that are over, out of the table for good: at most the two of a
/// [`Run`].
pub type Over<S> = [Option<Box<StreamEntry<S>>>; 2];

impl<S> Run<S> {
    /// Has the stream hear more before anything else is done.
    pub(super) fn hear_too(&mut self, what: What) {
        self.more.push(what);
    }

    /// The stream.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// # let (near, far) = socket::pair()?;
    /// # let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// assert_eq!(run.stream().owner, "mine");
    /// # engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stream(&mut self) -> &mut StreamEntry<S> {
        &mut self.stream
    }

    /// The keys of the stream and of the one it is piped to.
    pub(crate) fn tokens(&self) -> [Option<Token>; 2] {
        let piped = self.piped.as_ref().map(|stream| stream.token);
        [Some(self.stream.token), piped]
    }

    /// Does something to the stream, and to the one it is piped to.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// # let (near, far) = socket::pair()?;
    /// # let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// run.each(|stream| println!("{} bytes wait", stream.machine.output().len()));
    /// # engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn each(&mut self, mut work: impl FnMut(&mut StreamEntry<S>)) {
        work(&mut self.stream);
        if let Some(piped) = &mut self.piped {
            work(piped);
        }
    }

    /// The time of its turn.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// # let (near, far) = socket::pair()?;
    /// # let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let run = engine.take(token).unwrap();
    /// assert_eq!(run.now(), engine.now());
    /// # engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn now(&self) -> Tick {
        self.moment.now
    }

    /// Works until a stream has something to tell, and gives that stream;
    /// `None` when there is nothing more to do in this turn.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::sync::Arc;
    /// # let backend = Arc::new(Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?);
    /// # let mut engine: Engine<&str, &str> = Engine::new(Arc::clone(&backend), 1);
    /// # let (near, far) = socket::pair()?;
    /// # let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// while let Some(stream) = run.advance(&backend) {
    ///     while stream.machine.next_event().is_some() {}
    /// }
    /// # engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn advance(&mut self, backend: &Backend) -> Option<&mut StreamEntry<S>> {
        let moment = self.moment;
        if !self.begun {
            self.begun = true;
            let more = std::mem::take(&mut self.more);
            for what in self.told.take().into_iter().chain(more) {
                self.stream.hear(backend, what, moment);
            }
            if self.stream.machine.has_events() {
                return Some(&mut self.stream);
            }
        }
        if self.piped.is_some() {
            return self.advance_both(backend);
        }
        let tells = self.stream.pursue(backend, moment);
        tells.then_some(&mut self.stream)
    }

    fn advance_both(&mut self, backend: &Backend) -> Option<&mut StreamEntry<S>> {
        let Self {
            stream,
            piped: Some(piped),
            rounds,
            moment,
            ..
        } = self
        else {
            return None;
        };
        pass_both(stream, piped);
        loop {
            if stream.pursue(backend, *moment) {
                return Some(stream);
            }
            if piped.pursue(backend, *moment) {
                return Some(piped);
            }
            // What was sent has made room.
            if !pass_both(stream, piped) {
                // What came at once was neither told nor passed on, so nobody
                // has asked for the rest yet.
                stream.unfinished |= stream.may_receive_more();
                piped.unfinished |= piped.may_receive_more();
                return None;
            }
            *rounds += 1;
            if *rounds >= PIPE_ROUNDS {
                stream.unfinished = true;
                return None;
            }
        }
    }
}

fn pass_both<S>(one: &mut StreamEntry<S>, other: &mut StreamEntry<S>) -> bool {
    pass(one, other) | pass(other, one)
}

/// Moves the input of one to the output of the other, and the end after the
/// last byte; returns whether anything changed.
fn pass<S>(from: &mut StreamEntry<S>, to: &mut StreamEntry<S>) -> bool {
    let room = to.machine.config().output.high;
    if to.machine.check_write().is_err() || to.machine.output().len() >= room {
        return false;
    }
    let mut changed = false;
    if !from.machine.input().is_empty() {
        let input = from.machine.input();
        changed = to.machine.output().append_buffer(input).is_ok();
    }
    if from.machine.take_end() {
        to.machine.finish_write();
        changed = true;
    }
    changed
}

impl<S, O> Engine<S, O> {
    /// Takes a stream out of the table, to run it. `None` when there is no
    /// such stream, or it is out already.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let run = engine.take(token).unwrap();
    /// // While it is out its key stays valid, but nobody else may have it.
    /// assert!(engine.take(token).is_none());
    /// engine.put_back(run);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take(&mut self, token: Token) -> Option<Run<S>> {
        self.begin(token, None).ok()
    }

    /// What is out of the table, and must come back before this stream can be
    /// run.
    pub(crate) fn missing(&mut self, token: Token) -> Option<Token> {
        if self.table.is_out(token) {
            return Some(token);
        }
        let other = match self.table.get_mut(token)? {
            Entry::Stream(stream) => stream.piped_to()?,
            _ => return None,
        };
        self.table.is_out(other).then_some(other)
    }

    /// Takes a stream out, and the one it is piped to. When one of them is
    /// out already, the token is the one to wait for.
    #[inline]
    pub(super) fn begin(&mut self, token: Token, told: Option<What>) -> Result<Run<S>, Missing> {
        let Some(stream) = self.take_stream(token) else {
            return Err(Missing { token, told });
        };
        let mut piped = None;
        if let Some(other) = stream.piped_to()
            && self.table.contains(other)
        {
            piped = self.take_stream(other);
            if piped.is_none() {
                self.table.put_back(token, Entry::Stream(stream));
                return Err(Missing { token: other, told });
            }
        }
        Ok(Run {
            stream,
            piped,
            told,
            more: Vec::new(),
            begun: false,
            rounds: 0,
            moment: Moment {
                now: self.now,
                turn: self.turn,
                share: self.share,
            },
        })
    }

    #[inline]
    fn take_stream(&mut self, token: Token) -> Option<Box<StreamEntry<S>>> {
        if !matches!(self.table.get_mut(token)?, Entry::Stream(_)) {
            return None;
        }
        match self.table.take(token) {
            Some(Entry::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Puts streams back that have nothing more to tell in this turn. Those
    /// that are over, and have told so, are removed and given to the caller.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let mut run = engine.take(token).unwrap();
    /// run.stream().machine.close(ferrevent::CloseReason::Closed);
    /// while run.stream().machine.next_event().is_some() {}
    /// let [over, _] = engine.put_back(run);
    /// assert_eq!(over.map(|stream| stream.owner), Some("mine"));
    /// assert!(!engine.contains(token));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn put_back(&mut self, run: Run<S>) -> Over<S> {
        let Run { stream, piped, .. } = run;
        let Some(piped) = piped else {
            return [self.put_one(stream), None];
        };
        // The one that lives on is told of the other's end: it must be there.
        if piped.machine.is_closed() {
            [self.put_one(stream), self.put_one(piped)]
        } else {
            let other = self.put_one(piped);
            [self.put_one(stream), other]
        }
    }

    #[inline]
    fn put_one(&mut self, mut stream: Box<StreamEntry<S>>) -> Option<Box<StreamEntry<S>>> {
        let token = stream.token;
        let tells = stream.machine.has_events();
        if stream.machine.is_closed() && !tells {
            self.table.remove(token);
            self.dispose(&mut stream);
            self.unblock(token);
            return Some(stream);
        }
        if (tells || stream.unfinished) && !stream.queued {
            stream.queued = true;
            self.later.push(token);
        }
        self.arm_stream(&mut stream);
        let limited = stream.limited.is_some();
        if stream.limited.as_ref().is_some_and(|it| it.leaves()) {
            stream.limited = None;
        }
        self.table.put_back(token, Entry::Stream(stream));
        self.unblock(token);
        if limited {
            self.tend_limits();
        }
        None
    }

    /// Work that waited for this one is to be done now.
    #[inline]
    pub(super) fn unblock(&mut self, token: Token) {
        if !self.blocked.is_empty() {
            self.unblock_slow(token);
        }
    }

    fn unblock_slow(&mut self, token: Token) {
        let (now, still) = std::mem::take(&mut self.blocked)
            .into_iter()
            .partition(|(by, _)| *by == token);
        self.blocked = still;
        let now: Vec<(Token, Work)> = now;
        // It goes first: what came later for the same stream is behind it.
        for (_, work) in now.into_iter().rev() {
            self.enqueue_first(work);
        }
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
        if stream.limited.take().is_some() {
            self.tend_limits();
        }
    }
}

/// What could not be run, because something else is out of the table.
pub(super) struct Missing {
    /// What is out.
    pub(super) token: Token,
    pub(super) told: Option<What>,
}
