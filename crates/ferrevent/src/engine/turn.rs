//! Turns: wait, gather, give out.

use std::collections::VecDeque;
use std::io;

use ferrevent_core::timer::Tick;
use ferrevent_os::{Accepted, Event, PortKind, Readiness, Token, What};

use super::descriptors::is_descriptor;
use super::entry::{Allotment, Entry, Timer, User};
use super::limits::LIMITS;
use super::waiting::Waiting;
use super::{Engine, LEAST_SHARE, MOST_SHARE, Priority, Run, TURN_RECEIVED, TURN_SENT, Work};

/// Something for the driver to do.
///
/// ```
/// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
/// # use ferrevent::{Readiness, StreamConfig};
/// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
/// # use std::time::Duration;
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
/// let token = engine.add_timer(Priority(0), "mine").unwrap();
/// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
/// let patience = engine.patience(None);
/// engine.wait(patience)?;
/// match engine.next() {
///     Some(Happening::Timer(due)) => assert_eq!(due, token),
///     other => println!("{other:?}"),
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening<S> {
    /// A stream is to be run, until [`Run::advance`] finds nothing more to do.
    Stream(Run<S>),
    /// A listener took a connection, of this kind.
    Accepted(Token, Accepted, PortKind),
    /// A listener met an error. `resting` tells that descriptors or memory ran
    /// out and that it goes on by itself; otherwise it is at its end.
    AcceptFailed {
        /// The listener.
        token: Token,
        /// What the system said.
        error: io::Error,
        /// Whether it goes on by itself.
        resting: bool,
    },
    /// A timer is due.
    Timer(Token),
    /// A watched descriptor is ready, or nothing was ready for too long
    /// (then the readiness is empty).
    Watch(Token, Readiness),
    /// A user event was raised.
    User(Token),
}

/// What each of so many streams may move in one turn.
pub(super) fn share_of(streams: usize) -> Allotment {
    let part = |of: usize, most| (of / streams.max(1)).clamp(LEAST_SHARE, most);
    let received = part(TURN_RECEIVED, MOST_SHARE);
    Allotment {
        bytes: u32::try_from(received).unwrap_or(u32::MAX),
        sent_weight: (received / part(TURN_SENT, TURN_SENT)) as u16,
    }
}

/// What was removed, with its owner unless that is out: for the driver to
/// drop where it holds no lock.
///
/// ```
/// # use ferrevent::engine::{Engine, Priority};
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
/// let token = engine.add_user(Priority(0), "mine").unwrap();
/// assert_eq!(engine.remove(token).unwrap().0, Some("mine"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Removed<O>(pub Option<O>);

impl<S, O> Engine<S, O> {
    /// Takes back what [`lend_waiting`](Self::lend_waiting) gave, and begins a
    /// turn with what it brings.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let waiting = engine.lend_waiting().unwrap();
    /// engine.gather(waiting);
    /// assert!(engine.next().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn gather(&mut self, mut waiting: Waiting) {
        self.now = self.now.max(self.backend.sys().now());
        let going_on = self.later.len();
        self.begin_turn();
        self.gather_timers();
        let incoming = &mut waiting.events;
        incoming.retain(|event| !matches!(event.what, What::Wake));
        self.share = share_of(going_on + incoming.len());
        if let [queue] = self.queues.as_mut_slice() {
            queue.extend(incoming.drain(..).map(Work::Kernel));
        }
        for event in incoming.drain(..) {
            self.enqueue(event.token, Work::Kernel(event));
        }
        self.waiting = Some(waiting);
    }

    /// When the next timer is due.
    pub(crate) fn next_deadline(&mut self) -> Option<Tick> {
        self.timers.next_deadline()
    }

    /// Whether [`next`](Self::next) may have something.
    pub(crate) fn has_work(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// How much of that there is.
    pub(crate) fn work_len(&self) -> usize {
        self.queues.iter().map(|queue| queue.len()).sum()
    }

    /// Whether the waiting half is not lent.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.waiting.is_some()
    }

    /// Begins a turn without a wait: those that had their share go on.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// engine.begin_turn();
    /// assert!(engine.next().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn begin_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.share = share_of(self.later.len());
        for token in std::mem::take(&mut self.later) {
            self.enqueue(token, Work::Run(token));
        }
    }

    /// The next thing to do in this turn, in order of priority; `None` when
    /// the turn is over.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// engine.raise(token);
    /// assert!(matches!(engine.next(), Some(Happening::User(_))));
    /// assert!(engine.next().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    #[expect(clippy::should_implement_trait, reason = "it does not end for ever")]
    pub fn next(&mut self) -> Option<Happening<S>> {
        while let Some(work) = self.queues.iter_mut().find_map(|queue| queue.pop_front()) {
            let token = work.token();
            if self.is_out(token) {
                self.blocked.push((token, work));
                continue;
            }
            let happening = match work {
                Work::Kernel(event) => self.hear(event.token, event.what),
                Work::Run(token) => self.run(token),
                Work::Due(token) => self.due(token),
            };
            if happening.is_some() {
                return happening;
            }
        }
        None
    }

    fn gather_timers(&mut self) {
        while let Some((id, _, token)) = self.timers.pop_expired(self.now) {
            if token == LIMITS {
                self.limits_due();
                continue;
            }
            match self.table.get_mut(token) {
                Some(Entry::Timer(timer)) if timer.armed == Some(id) => {
                    timer.armed = None;
                    timer.due = true;
                }
                Some(Entry::Watch(watch)) if watch.timer == Some(id) => {
                    watch.timer = None;
                    watch.due = true;
                }
                _ => {}
            }
            self.enqueue(token, Work::Due(token));
        }
    }

    pub(super) fn enqueue(&mut self, token: Token, work: Work) {
        match self.queue_of(token) {
            Some(queue) => queue.push_back(work),
            None => self.block_or_drop(token, work),
        }
    }

    pub(super) fn enqueue_first(&mut self, work: Work) {
        let token = work.token();
        match self.queue_of(token) {
            Some(queue) => queue.push_front(work),
            None => self.block_or_drop(token, work),
        }
    }

    /// Out of the table, its work waits; gone for good, nobody's does.
    fn block_or_drop(&mut self, token: Token, work: Work) {
        if self.table.is_out(token) {
            self.blocked.push((token, work));
        }
    }

    /// The queue of something's priority; with several, none while it is out.
    fn queue_of(&mut self, token: Token) -> Option<&mut VecDeque<Work>> {
        let last = self.queues.len() - 1;
        let priority = if last == 0 || is_descriptor(token) {
            0
        } else {
            usize::from(self.table.get_mut(token)?.priority().0).min(last)
        };
        self.queues.get_mut(priority)
    }

    /// Whether something is out of the table, or its owner is.
    #[inline]
    fn is_out(&mut self, token: Token) -> bool {
        match self.table.get_mut(token) {
            Some(entry) => entry.is_out(),
            None => self.table.is_out(token),
        }
    }

    /// Takes a stream out to be run; if the one it is piped to is out, it
    /// waits for that one.
    #[inline]
    fn start(&mut self, token: Token, told: Option<What>) -> Option<Happening<S>> {
        match self.begin(token, told) {
            Ok(mut run) => {
                while let Some(what) = self.next_told_to(token) {
                    run.hear_too(what);
                }
                Some(Happening::Stream(run))
            }
            Err(missing) => {
                let work = match missing.told {
                    Some(what) => Work::Kernel(Event { token, what }),
                    None => Work::Run(token),
                };
                self.blocked.push((missing.token, work));
                None
            }
        }
    }

    /// What the kernel told of the same stream next: several receives that came
    /// together are one to its handler. What is only ready waits for what the
    /// handler makes of the first.
    #[inline]
    fn next_told_to(&mut self, token: Token) -> Option<What> {
        let queue = self.queues.iter_mut().find(|queue| !queue.is_empty())?;
        let done = |event: &Event| event.token == token && matches!(event.what, What::Done(_));
        if !matches!(queue.front(), Some(Work::Kernel(event)) if done(event)) {
            return None;
        }
        match queue.pop_front()? {
            Work::Kernel(event) => Some(event.what),
            Work::Run(_) | Work::Due(_) => None,
        }
    }

    fn hear(&mut self, token: Token, what: What) -> Option<Happening<S>> {
        if is_descriptor(token) {
            return self.hear_descriptor(token, what);
        }
        match self.table.get_mut(token)? {
            Entry::Stream(_) => self.start(token, Some(what)),
            Entry::Listener(_) => self.hear_listener(token, what),
            _ => None,
        }
    }

    fn run(&mut self, token: Token) -> Option<Happening<S>> {
        match self.table.get_mut(token)? {
            Entry::Stream(stream) => {
                stream.queued = false;
                self.start(token, None)
            }
            Entry::Listener(_) => self.go_on_accepting(token),
            Entry::Watch(_) => self.run_watch(token),
            Entry::User(user) => std::mem::take(&mut user.raised).then_some(Happening::User(token)),
            Entry::Timer(_) => None,
        }
    }

    fn due(&mut self, token: Token) -> Option<Happening<S>> {
        let now = self.now;
        match self.table.get_mut(token)? {
            Entry::Timer(timer) => {
                std::mem::take(&mut timer.due).then_some(Happening::Timer(token))
            }
            Entry::Stream(stream) => {
                if let Some(extras) = &mut stream.extras {
                    extras.timer = None;
                }
                stream.machine.time_passed(now);
                self.start(token, None)
            }
            Entry::Listener(_) => self.go_on_accepting(token),
            Entry::Watch(_) => self.run_watch(token),
            Entry::User(_) => None,
        }
    }
}

/// Timers and user events.
impl<S, O> Engine<S, O> {
    /// A timer, not yet armed. `None` when the table is full: when four
    /// billion registrations exist.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add_timer(&mut self, priority: Priority, owner: O) -> Option<Token> {
        self.table.insert_with(|_| {
            Entry::Timer(Box::new(Timer {
                armed: None,
                due: false,
                priority,
                owner: Some(owner),
            }))
        })
    }

    /// Arms a timer, or arms it anew; what it had queued is revoked. Returns
    /// whether the timer exists.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_secs(1)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn arm_timer(&mut self, token: Token, deadline: Tick) -> bool {
        let Some(Entry::Timer(timer)) = self.table.get_mut(token) else {
            return false;
        };
        timer.due = false;
        let rearmed = timer
            .armed
            .is_some_and(|id| self.timers.rearm(id, deadline));
        if !rearmed {
            timer.armed = Some(self.timers.insert(deadline, token));
        }
        true
    }

    /// Disarms a timer. Returns whether it was armed.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// assert!(engine.disarm_timer(token));
    /// assert!(!engine.disarm_timer(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn disarm_timer(&mut self, token: Token) -> bool {
        let Some(Entry::Timer(timer)) = self.table.get_mut(token) else {
            return false;
        };
        let was_due = std::mem::take(&mut timer.due);
        let was_armed = timer
            .armed
            .take()
            .is_some_and(|id| self.timers.remove(id).is_some());
        was_due || was_armed
    }

    /// Removes a timer that is neither armed nor due.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// engine.disarm_timer(token);
    /// engine.remove_idle_timer(token);
    /// assert!(!engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn remove_idle_timer(&mut self, token: Token) -> Option<O> {
        let Some(Entry::Timer(timer)) = self.table.get_mut(token) else {
            return None;
        };
        if timer.armed.is_some() || timer.due {
            return None;
        }
        self.remove(token)?.0
    }

    /// An event that is raised by its owner and nobody else.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// assert!(engine.contains(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add_user(&mut self, priority: Priority, owner: O) -> Option<Token> {
        self.table.insert_with(|_| {
            Entry::User(Box::new(User {
                raised: false,
                priority,
                owner: Some(owner),
            }))
        })
    }

    /// Raises a user event; raising it again before it was given out changes
    /// nothing. Returns whether it exists.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// assert!(engine.raise(token));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn raise(&mut self, token: Token) -> bool {
        let Some(Entry::User(user)) = self.table.get_mut(token) else {
            return false;
        };
        if !std::mem::replace(&mut user.raised, true) {
            self.enqueue(token, Work::Run(token));
        }
        true
    }

    /// What the driver keeps with something that is no stream; `None` while
    /// that is out.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Priority};
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// assert_eq!(engine.owner(token), Some(&"mine"));
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn owner(&mut self, token: Token) -> Option<&O> {
        match self.table.get_mut(token)? {
            Entry::Listener(listener) => listener.owner.as_ref(),
            Entry::Timer(timer) => timer.owner.as_ref(),
            Entry::Watch(watch) => watch.owner.as_ref(),
            Entry::User(user) => user.owner.as_ref(),
            Entry::Stream(_) => None,
        }
    }

    /// Takes what the driver keeps with a listener, timer, watch or user
    /// event, to run it; [`put_owner`](Self::put_owner) gives it back.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// assert_eq!(engine.take_owner(token), Some("mine"));
    /// engine.put_owner(token, "mine");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_owner(&mut self, token: Token) -> Option<O> {
        match self.table.get_mut(token)? {
            Entry::Listener(listener) => listener.owner.take(),
            Entry::Timer(timer) => timer.owner.take(),
            Entry::Watch(watch) => watch.owner.take(),
            Entry::User(user) => user.owner.take(),
            Entry::Stream(_) => None,
        }
    }

    /// Gives back what [`take_owner`](Self::take_owner) took; dropped when
    /// its registration has been removed meanwhile.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// engine.take_owner(token);
    /// engine.put_owner(token, "somebody else's");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn put_owner(&mut self, token: Token, owner: O) {
        let slot = match self.table.get_mut(token) {
            Some(Entry::Listener(listener)) => &mut listener.owner,
            Some(Entry::Timer(timer)) => &mut timer.owner,
            Some(Entry::Watch(watch)) => &mut watch.owner,
            Some(Entry::User(user)) => &mut user.owner,
            _ => return,
        };
        *slot = Some(owner);
        self.unblock(token);
    }

    /// Removes a listener, timer, watch or user event, and revokes what it
    /// had queued. Returns whether there was one.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_user(Priority(0), "mine").unwrap();
    /// assert!(engine.remove(token).is_some());
    /// assert!(engine.remove(token).is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn remove(&mut self, token: Token) -> Option<Removed<O>> {
        match self.table.get_mut(token) {
            None | Some(Entry::Stream(_)) => return None,
            Some(Entry::Watch(_)) => return self.remove_watch(token),
            Some(Entry::Timer(timer)) => {
                if let Some(id) = timer.armed {
                    self.timers.remove(id);
                }
            }
            Some(Entry::Listener(_) | Entry::User(_)) => {}
        }
        self.unblock(token);
        Some(Removed(match self.table.remove(token)? {
            Entry::Listener(listener) => {
                if let Some(port) = listener.port {
                    self.backend.close(port);
                }
                listener.owner
            }
            Entry::Timer(timer) => timer.owner,
            Entry::User(user) => user.owner,
            Entry::Stream(_) | Entry::Watch(_) => None,
        }))
    }
}
