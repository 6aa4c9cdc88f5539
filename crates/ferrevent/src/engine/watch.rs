//! The low-level interface: readiness of any descriptor. Several
//! registrations may share one; the kernel knows their union.

use ferrevent_os::sys::fd::{AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use ferrevent_core::timer::TimerId;
use ferrevent_os::{Readiness, Token, What};

use super::descriptors::NOBODY;
use super::entry::Entry;
use super::{Engine, Happening, Priority, Removed, Work, table, table_full};

/// One registration of interest in a descriptor.
#[derive(Debug)]
pub(super) struct Watch<O> {
    pub(super) owner: Option<O>,
    pub(super) timer: Option<TimerId>,
    timeout: Option<Micros>,
    /// The places of its descriptor, and of the registration of the same that
    /// was added after it.
    descriptor: u32,
    next: u32,
    pub(super) priority: Priority,
    pub(super) due: bool,
    interest: Readiness,
    edge: bool,
    persistent: bool,
    /// Whether it takes part in the descriptor's interest.
    armed: bool,
    pending: Readiness,
}

/// A duration, in microseconds and one more, so that none takes no room.
#[derive(Clone, Copy, Debug)]
struct Micros(NonZeroU64);

impl Micros {
    fn new(duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    fn duration(self) -> Duration {
        Duration::from_micros(self.0.get() - 1)
    }
}

impl<O> Watch<O> {
    pub(super) fn describe(&self) -> String {
        format!(
            "of descriptor {}, {:?}{}{}",
            self.descriptor,
            self.interest,
            if self.persistent { "" } else { ", once" },
            if self.armed { "" } else { ", not armed" },
        )
    }
}

/// What of a descriptor is interesting.
///
/// ```
/// use ferrevent::Readiness;
/// use ferrevent::engine::Interest;
/// let both: Interest = Readiness::READ.with(Readiness::WRITE);
/// ```
pub type Interest = Readiness;

/// How a descriptor is watched.
///
/// ```
/// use ferrevent::engine::Registration;
/// use ferrevent::Readiness;
/// let registration = Registration::new(Readiness::READ);
/// assert!(!registration.edge && registration.persistent);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// What is interesting: [`Readiness::READ`], [`Readiness::WRITE`],
    /// [`Readiness::CLOSED`], [`Readiness::PRIORITY`] or several of them.
    /// Errors and hang-ups count as both read and write.
    pub interest: Interest,
    /// Tell only when something becomes ready, instead of as long as it is.
    /// While another registration of the descriptor wants to be told as long
    /// as it is, both are.
    pub edge: bool,
    /// Tell again and again, instead of once until armed anew.
    pub persistent: bool,
    /// Tell, with empty readiness, when nothing was ready for so long.
    pub timeout: Option<Duration>,
    /// Which queue it goes to.
    pub priority: Priority,
}

impl Registration {
    /// Level-triggered and persistent, without a timeout.
    ///
    /// ```
    /// use ferrevent::{Readiness, engine::Registration};
    /// assert!(Registration::new(Readiness::READ).timeout.is_none());
    /// ```
    pub fn new(interest: Interest) -> Self {
        Self {
            interest,
            edge: false,
            persistent: true,
            timeout: None,
            priority: Priority::default(),
        }
    }
}

/// A registration that was refused, with its owner: for the driver to drop
/// where it holds no lock.
///
/// ```
/// # use ferrevent_os::sys::fd::AsFd;
/// # use ferrevent::engine::{Engine, Registration};
/// # use ferrevent::Readiness;
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// let nothing = Registration::new(Readiness::NONE);
/// let refusal = engine.add_watch(near.as_fd(), nothing, "mine").unwrap_err();
/// assert_eq!(refusal.owner, "mine");
/// # drop(far);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Refusal<O> {
    /// Why.
    pub error: io::Error,
    /// The owner that was given.
    pub owner: O,
}

impl<O> From<Refusal<O>> for io::Error {
    fn from(refusal: Refusal<O>) -> Self {
        refusal.error
    }
}

impl<S, O> Engine<S, O> {
    /// Watches a descriptor, which must stay open until the registration is
    /// removed.
    ///
    /// # Errors
    /// `InvalidInput` when nothing is of interest; `AlreadyExists` when a
    /// stream owns it; `Unsupported` for edge-triggering on a backend without
    /// it; else what the kernel says (`EPERM`: this file cannot be polled).
    ///
    /// ```
    /// # use ferrevent_os::sys::fd::AsFd;
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let token = engine.add_watch(near.as_fd(), Registration::new(Readiness::WRITE), "mine")?;
    /// engine.wait(None)?;
    /// assert!(matches!(engine.next(), Some(Happening::Watch(told, _)) if told == token));
    /// engine.remove(token);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add_watch(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: Registration,
        owner: O,
    ) -> Result<Token, Refusal<O>> {
        if registration.interest.is_none() {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "a registration must be interested in something",
            );
            return Err(Refusal { error, owner });
        }
        let raw = fd.as_raw_fd();
        let Some(descriptor) = self.watches.place_for(raw) else {
            let error = io::ErrorKind::InvalidInput.into();
            return Err(Refusal { error, owner });
        };
        let mut owner = Some(owner);
        let token = self.table.insert_with(|_| {
            Entry::Watch(Box::new(Watch {
                owner: owner.take(),
                timer: None,
                timeout: registration.timeout.map(Micros::new),
                descriptor,
                next: NOBODY,
                priority: registration.priority,
                due: false,
                interest: registration.interest,
                edge: registration.edge,
                persistent: registration.persistent,
                armed: false,
                pending: Readiness::NONE,
            }))
        });
        let outcome = match token {
            Some(token) => {
                self.link(descriptor, token);
                self.arm_watch(token).map(|()| token)
            }
            None => Err(table_full()),
        };
        if outcome.is_err()
            && let Some(token) = token
            && let Some(removed) = self.remove_watch(token)
        {
            owner = removed.0;
        }
        match (outcome, owner) {
            (Err(error), Some(owner)) => Err(Refusal { error, owner }),
            (Err(_), None) => unreachable!("what was not added is still here"),
            (Ok(token), _) => Ok(token),
        }
    }

    /// Arms a registration that was told once, and starts its timeout.
    ///
    /// # Errors
    /// `NotFound` when there is no such registration, else the kernel's.
    ///
    /// ```
    /// # use ferrevent_os::sys::fd::AsFd;
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let once = Registration {
    ///     persistent: false,
    ///     ..Registration::new(Readiness::WRITE)
    /// };
    /// let token = engine.add_watch(near.as_fd(), once, "mine")?;
    /// engine.wait(None)?;
    /// engine.next();
    /// engine.arm_watch(token)?;
    /// engine.remove(token);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn arm_watch(&mut self, token: Token) -> io::Result<()> {
        let Some(Entry::Watch(watch)) = self.table.get_mut(token) else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        watch.armed = true;
        let descriptor = watch.descriptor;
        self.start_timeout(token);
        self.update_descriptor(descriptor)
    }

    /// The registrations of a descriptor, in the order in which they were added.
    ///
    /// ```
    /// # use ferrevent_os::sys::fd::{AsFd, AsRawFd};
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let token = engine.add_watch(near.as_fd(), Registration::new(Readiness::WRITE), "mine")?;
    /// assert_eq!(engine.watches_of(near.as_raw_fd()), [token]);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watches_of(&mut self, fd: RawFd) -> Vec<Token> {
        let mut next = self.watches.find(fd).and_then(|it| self.first_watch(it));
        let mut all = Vec::new();
        while let Some(token) = next {
            all.push(token);
            next = self.next_watch(token);
        }
        all
    }

    /// The descriptors that are watched, in order of their numbers.
    ///
    /// ```
    /// # use ferrevent_os::sys::fd::{AsFd, AsRawFd};
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let token = engine.add_watch(near.as_fd(), Registration::new(Readiness::WRITE), "mine")?;
    /// assert_eq!(engine.watched_descriptors(), [near.as_raw_fd()]);
    /// # engine.remove(token);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watched_descriptors(&self) -> Vec<RawFd> {
        self.watches.numbers()
    }

    fn first_watch(&mut self, descriptor: u32) -> Option<Token> {
        let first = self.watches.at(descriptor)?.first;
        self.watch_at(first)
    }

    fn next_watch(&mut self, watch: Token) -> Option<Token> {
        let next = match self.table.get_mut(watch) {
            Some(Entry::Watch(watch)) => watch.next,
            _ => NOBODY,
        };
        self.watch_at(next)
    }

    fn watch_at(&self, place: u32) -> Option<Token> {
        if place == NOBODY {
            return None;
        }
        self.table.key_of(place)
    }

    /// Puts a registration behind those its descriptor has.
    fn link(&mut self, descriptor: u32, watch: Token) {
        let place = table::place_of(watch);
        let Some(mut last) = self.first_watch(descriptor) else {
            if let Some(descriptor) = self.watches.at(descriptor) {
                descriptor.first = place;
            }
            return;
        };
        while let Some(next) = self.next_watch(last) {
            last = next;
        }
        if let Some(Entry::Watch(last)) = self.table.get_mut(last) {
            last.next = place;
        }
    }

    /// Takes one out that was before `next`.
    fn unlink(&mut self, descriptor: u32, watch: Token, next: u32) {
        let place = table::place_of(watch);
        let Some(entry) = self.watches.at(descriptor) else {
            return;
        };
        if entry.first == place {
            entry.first = next;
            return;
        }
        let mut at = self.first_watch(descriptor);
        while let Some(Entry::Watch(before)) = at.and_then(|it| self.table.get_mut(it)) {
            if before.next == place {
                before.next = next;
                return;
            }
            let next = before.next;
            at = self.watch_at(next);
        }
    }

    pub(super) fn remove_watch(&mut self, token: Token) -> Option<Removed<O>> {
        let Some(Entry::Watch(watch)) = self.table.remove(token) else {
            return None;
        };
        if let Some(id) = watch.timer {
            self.timers.remove(id);
        }
        self.unlink(watch.descriptor, token, watch.next);
        // The descriptor may have been closed before: then the kernel has
        // forgotten it already.
        let _ = self.update_descriptor(watch.descriptor);
        self.unblock(token);
        Some(Removed(watch.owner))
    }

    pub(super) fn hear_descriptor(&mut self, token: Token, what: What) -> Option<Happening<S>> {
        let What::Ready(ready) = what else {
            return None;
        };
        let place = self.watches.place_of(token)?;
        let entry = self.watches.at(place)?;
        // Gone meanwhile, it needs not be told again.
        let _ = self
            .backend
            .took(entry.fd, token, entry.interest, entry.edge);
        let mut meant = ready;
        if ready.any(Readiness::ERROR) {
            meant = meant.with(Readiness::READ).with(Readiness::WRITE);
        }
        let first = self.first_watch(place)?;
        // One registration is told at once, several by way of their queues.
        if self.next_watch(first).is_none() {
            let only = first;
            if !self.note_watch(only, meant) {
                return None;
            }
            if !matches!(self.table.get_mut(only), Some(entry) if entry.is_out()) {
                return self.run_watch(only);
            }
            self.enqueue(only, Work::Run(only));
            return None;
        }
        // Before what the kernel told of other descriptors after it.
        let mut told = Vec::new();
        let mut next = Some(first);
        while let Some(watch) = next {
            next = self.next_watch(watch);
            if self.note_watch(watch, meant) {
                told.push(watch);
            }
        }
        for watch in told.into_iter().rev() {
            self.enqueue_first(Work::Run(watch));
        }
        None
    }

    fn note_watch(&mut self, token: Token, ready: Readiness) -> bool {
        let Some(Entry::Watch(watch)) = self.table.get_mut(token) else {
            return false;
        };
        let told = ready.intersection(watch.interest);
        if !watch.armed || told.is_none() {
            return false;
        }
        watch.pending = watch.pending.with(told);
        true
    }

    pub(super) fn run_watch(&mut self, token: Token) -> Option<Happening<S>> {
        let Some(Entry::Watch(watch)) = self.table.get_mut(token) else {
            return None;
        };
        let ready = std::mem::take(&mut watch.pending);
        let due = std::mem::take(&mut watch.due);
        if ready.is_none() && !due {
            return None;
        }
        if watch.persistent {
            self.start_timeout(token);
        } else {
            watch.armed = false;
            let (descriptor, timer) = (watch.descriptor, watch.timer.take());
            if let Some(id) = timer {
                self.timers.remove(id);
            }
            let _ = self.update_descriptor(descriptor);
        }
        Some(Happening::Watch(token, ready))
    }

    fn start_timeout(&mut self, token: Token) {
        let now = self.now;
        if let Some(Entry::Watch(watch)) = self.table.get_mut(token)
            && let Some(timeout) = watch.timeout
        {
            let due = now + timeout.duration();
            watch.due = false;
            let rearmed = watch.timer.is_some_and(|id| self.timers.rearm(id, due));
            if !rearmed {
                watch.timer = Some(self.timers.insert(due, token));
            }
        }
    }

    /// Tells the kernel the union of what the registrations want; forgets a
    /// descriptor that has none left.
    fn update_descriptor(&mut self, place: u32) -> io::Result<()> {
        let token = self.watches.key_of(place);
        let Some(entry) = self.watches.at(place) else {
            return Ok(());
        };
        let (fd, armed_edge, armed) = (entry.fd, entry.edge, entry.interest);
        let (mut wanted, mut edge) = (Readiness::NONE, true);
        let mut next = self.first_watch(place);
        while let Some(Entry::Watch(watch)) = next.and_then(|it| self.table.get_mut(it)) {
            if watch.armed {
                wanted = wanted.with(watch.interest);
                edge &= watch.edge;
            }
            let after = watch.next;
            next = self.watch_at(after);
        }
        let outcome = if wanted == armed && (edge == armed_edge || wanted.is_none()) {
            Ok(())
        } else if wanted.is_none() {
            self.backend.unwatch(fd)
        } else if armed.is_none() {
            self.backend.watch(fd, token, wanted, edge)
        } else {
            match self.backend.rewatch(fd, token, wanted, edge) {
                // Closed and opened anew under the same number.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.backend.watch(fd, token, wanted, edge)
                }
                outcome => outcome,
            }
        };
        if let Some(entry) = self.watches.at(place) {
            if outcome.is_ok() || wanted.is_none() {
                entry.interest = wanted;
                entry.edge = edge;
            }
            if entry.first == NOBODY {
                self.watches.forget(place);
            }
        }
        outcome
    }

    /// Gives every watched descriptor to a new backend.
    pub(super) fn rewatch_all(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for fd in self.watches.numbers() {
            let Some(place) = self.watches.find(fd) else {
                continue;
            };
            let token = self.watches.key_of(place);
            if let Some(entry) = self.watches.at(place)
                && !entry.interest.is_none()
                && let Err(error) = self
                    .backend
                    .watch(entry.fd, token, entry.interest, entry.edge)
            {
                entry.interest = Readiness::NONE;
                outcome = Err(error);
            }
        }
        outcome
    }
}
