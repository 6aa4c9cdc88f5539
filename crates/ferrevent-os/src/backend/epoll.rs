//! epoll(7).
//!
//! A stream socket is registered once, edge-triggered, and what is ready is
//! remembered on its port: no `epoll_ctl` after the first. TCP is registered
//! for both directions. A unix socket would report room at every byte that its
//! peer takes, so there interest in writing comes with the first `EAGAIN` and
//! goes at the first event that nobody waits for.
//!
//! On other descriptors a short read proves nothing, so they are
//! level-triggered and asked for no more than the waiting operations need:
//! interest in reading stays, interest in writing comes and goes as above.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use ferrevent_core::buffer::Buffer;

use super::{Event, What};
use crate::op::{Completion, Op, OpKind, Token};
use crate::port::{Flags, Port, PortKind, Readiness};
use crate::sys::Sys;

/// The token of the wake-up counter; the engine's tokens never reach it.
const WAKE: u64 = u64::MAX;
/// Events taken in one wait at first, and at most.
const FIRST_BATCH: usize = 128;
const LARGEST_BATCH: usize = 1024;

/// What an edge-triggered port is always asked for.
const EDGE: Readiness = Readiness::READ
    .with(Readiness::CLOSED)
    .with(Readiness::PRIORITY);

#[derive(Debug)]
pub(super) struct Backend {
    sys: Sys,
    epoll: OwnedFd,
    wake: OwnedFd,
    /// Several threads take events: a level is told once, and again when its
    /// event was taken (`EPOLLONESHOT`), lest whoever waits spin meanwhile.
    shared: bool,
}

pub(super) struct Waiter {
    events: Vec<libc::epoll_event>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoll waiter for {} events", self.events.len())
    }
}

impl Backend {
    pub(super) fn new(sys: Sys, shared: bool) -> io::Result<Self> {
        let epoll = sys.epoll_create()?;
        let wake = sys.eventfd()?;
        // Edge-triggered: every write wakes, and nothing need be read back.
        let edge = (libc::EPOLLIN | libc::EPOLLET) as u32;
        sys.epoll_control(
            epoll.as_fd(),
            libc::EPOLL_CTL_ADD,
            wake.as_raw_fd(),
            edge,
            WAKE,
        )?;
        Ok(Self {
            sys,
            epoll,
            wake,
            shared,
        })
    }

    pub(super) fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            events: vec![libc::epoll_event { events: 0, u64: 0 }; FIRST_BATCH],
        }
    }

    pub(super) fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        let mut port = Port::new(fd, kind, token);
        let edge = matches!(kind, PortKind::Tcp | PortKind::Unix);
        port.flags.set(Flags::EDGE, edge);
        port.ready = Readiness::WRITE;
        port
    }

    #[inline]
    pub(super) fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        // A socket that is not yet connected reports a hang-up: register it
        // only after the attempt has begun.
        let connecting = matches!(op, Op::Connect(_));
        if !connecting
            && !port.flags.has(Flags::REGISTERED)
            && port.flags.has(Flags::EDGE)
            && let Err(error) = self.arm(port)
        {
            return Some(op.fail(error));
        }
        let kind = op.kind();
        let completion = port.begin(&self.sys, op);
        let waits = completion.as_ref().is_none_or(Completion::is_armed);
        let armed = if waits { self.arm(port) } else { Ok(()) };
        self.make_good(port);
        match (completion, armed) {
            (completion, Ok(())) => completion,
            (None, Err(error)) => port.abandon(kind).map(|taken| taken.with_error(error)),
            (Some(completion), Err(_)) => {
                // What came is kept; whoever goes on meets the error.
                let _ = port.abandon(kind);
                Some(completion.armed(false))
            }
        }
    }

    #[inline]
    pub(super) fn send_at_once(
        &self,
        port: &mut Port,
        output: &Buffer,
        most: usize,
    ) -> Option<io::Result<usize>> {
        let outcome = port.send_at_once(&self.sys, output, most);
        self.make_good(port);
        outcome
    }

    pub(super) fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        port.abandon(kind)
    }

    #[inline]
    pub(super) fn event(&self, port: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        match what {
            What::Ready(ready) => {
                // Judged by what waited when the event came: the next receive
                // is on its way as soon as this one is told.
                let once = self.shared && !port.flags.has(Flags::EDGE);
                let excess = port.excess_interest(standing(port), ready);
                port.note(ready);
                port.progress(&self.sys, sink);
                // Asked for too much, the kernel only speaks more often; a
                // port that it knows already it does not refuse.
                if once {
                    port.armed = Readiness::NONE;
                    let _ = self.arm(port);
                } else if let Some(interest) = excess {
                    let _ = self.ask(port, interest);
                }
                self.make_good(port);
            }
            What::Done(completion) => sink(completion),
            What::Wake => {}
        }
    }

    pub(super) fn close(&self, port: Port) {
        drop(self.release(port));
    }

    pub(super) fn release(&self, port: Port) -> OwnedFd {
        if port.flags.has(Flags::REGISTERED) {
            // A descriptor that was duplicated would stay in the set after
            // its close, so it is taken out by hand.
            let _ = self.control(libc::EPOLL_CTL_DEL, port.fd.as_raw_fd(), 0, port.token);
        }
        port.fd
    }

    pub(super) fn watch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, self.bits(interest, edge), token)
    }

    pub(super) fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, self.bits(interest, edge), token)
    }

    pub(super) fn took(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        if self.shared && !edge {
            return self.rewatch(fd, token, interest, edge);
        }
        Ok(())
    }

    pub(super) fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Token(0))
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        crate::wake::signal(&self.sys, self.wake.as_fd())
    }

    pub(super) fn wake_descriptor(&self) -> io::Result<OwnedFd> {
        self.sys.duplicate(&self.wake)
    }

    pub(super) fn wait(
        &self,
        waiter: &mut Waiter,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let asleep = if self.sys.clock().is_simulated() {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        let count = self
            .sys
            .epoll_wait(self.epoll.as_fd(), &mut waiter.events, asleep)?;
        events.extend(waiter.events[..count].iter().map(|event| Event {
            token: Token(event.u64),
            what: if event.u64 == WAKE {
                What::Wake
            } else {
                What::Ready(readiness(event.events))
            },
        }));
        if count == waiter.events.len() && count < LARGEST_BATCH {
            waiter
                .events
                .resize(count * 2, libc::epoll_event { events: 0, u64: 0 });
        }
        if count == 0
            && let Some(time) = timeout
        {
            self.sys.clock().advance(time);
        }
        Ok(())
    }

    /// Asks for what the waiting operations need and is not yet asked for.
    fn arm(&self, port: &mut Port) -> io::Result<()> {
        match port.missing_interest(standing(port)) {
            Some(interest) => self.ask(port, interest),
            None => Ok(()),
        }
    }

    /// Asks for exactly this; for nothing at all by taking the port out. The
    /// kernel reports anew what is ready, on an edge-triggered port too.
    fn ask(&self, port: &mut Port, interest: Readiness) -> io::Result<()> {
        let known = port.flags.has(Flags::REGISTERED);
        let operation = match (interest.is_none(), known) {
            (true, false) => return Ok(()),
            (true, true) => libc::EPOLL_CTL_DEL,
            (false, true) => libc::EPOLL_CTL_MOD,
            (false, false) => libc::EPOLL_CTL_ADD,
        };
        self.control(
            operation,
            port.fd.as_raw_fd(),
            self.bits(interest, port.flags.has(Flags::EDGE)),
            port.token,
        )?;
        port.flags.set(Flags::REGISTERED, !interest.is_none());
        port.armed = interest;
        Ok(())
    }

    /// After an injected `EAGAIN` or short call: has the kernel report again what is ready.
    #[inline]
    fn make_good(&self, port: &Port) {
        if self.sys.take_lie() {
            let events = self.bits(port.armed, port.flags.has(Flags::EDGE));
            // A port that is not registered has nothing to be told of. No
            // kernel lies, so this call is none that may fail.
            let _ = self.sys.without_faults().epoll_control(
                self.epoll.as_fd(),
                libc::EPOLL_CTL_MOD,
                port.fd.as_raw_fd(),
                events,
                port.token.0,
            );
        }
    }

    fn bits(&self, interest: Readiness, edge: bool) -> u32 {
        let mut bits = 0;
        for (readiness, bit) in [
            (Readiness::READ, libc::EPOLLIN),
            (Readiness::WRITE, libc::EPOLLOUT),
            (Readiness::CLOSED, libc::EPOLLRDHUP),
            (Readiness::PRIORITY, libc::EPOLLPRI),
        ] {
            if interest.any(readiness) {
                bits |= bit;
            }
        }
        if edge {
            bits |= libc::EPOLLET;
        } else if self.shared {
            bits |= libc::EPOLLONESHOT;
        }
        bits as u32
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: RawFd,
        events: u32,
        token: Token,
    ) -> io::Result<()> {
        self.sys
            .epoll_control(self.epoll.as_fd(), operation, fd, events, token.0)
    }
}

/// What a port is asked for whatever waits.
#[inline]
fn standing(port: &Port) -> Readiness {
    match port.kind {
        PortKind::Tcp => EDGE.with(Readiness::WRITE),
        PortKind::Unix => EDGE,
        _ => Readiness::NONE,
    }
}

#[inline]
fn readiness(bits: u32) -> Readiness {
    let mut readiness = Readiness::NONE;
    for (bit, name) in [
        (libc::EPOLLIN, Readiness::READ),
        (libc::EPOLLOUT, Readiness::WRITE),
        (libc::EPOLLRDHUP, Readiness::CLOSED),
        (libc::EPOLLPRI, Readiness::PRIORITY),
        (libc::EPOLLERR | libc::EPOLLHUP, Readiness::ERROR),
    ] {
        if bits & bit as u32 != 0 {
            readiness = readiness.with(name);
        }
    }
    readiness
}
