//! poll(2): the backend of every POSIX system, with nothing but POSIX calls;
//! on Windows WSAPoll, which has its shape (and before Windows 10 version 2004
//! does not tell of a connection attempt that fails).
//!
//! Level-triggered throughout. The set of descriptors lives here, and each
//! wait hands it to the kernel whole, so a wait costs in proportion to all of
//! them: for a handful of descriptors that is no loss.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrevent_core::buffer::Buffer;

use super::{Event, What};
use crate::op::{Completion, Op, OpKind, Token};
use crate::port::{Port, PortKind, Readiness};
use crate::sys::Sys;
use crate::sys::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use crate::sys::own::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, polled, pollfd};
use crate::wake::WakeDescriptor;

#[derive(Debug)]
pub(super) struct Backend {
    sys: Sys,
    set: Mutex<Set>,
    /// Somebody waits with a copy of the set that was current then.
    waiting: AtomicBool,
    wake_reader: OwnedFd,
    wake_writer: OwnedFd,
    /// Several threads take events: what was told is not asked for again
    /// before its event was taken, lest whoever waits spin meanwhile.
    shared: bool,
}

#[derive(Debug, Default)]
struct Set {
    entries: HashMap<RawFd, Asked>,
    version: u64,
}

/// What is asked for of one descriptor.
#[derive(Debug)]
struct Asked {
    token: Token,
    interest: Readiness,
    /// It was told, and not taken yet.
    told: bool,
}

impl Asked {
    fn new(token: Token, interest: Readiness) -> Self {
        Self {
            token,
            interest,
            told: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Waiter {
    polled: Vec<Entry>,
    version: u64,
}

/// One descriptor as poll(2) takes it, and whose it is.
#[derive(Debug)]
struct Entry {
    fd: RawFd,
    events: i16,
    token: Token,
}

impl Backend {
    pub(super) fn new(sys: Sys, shared: bool) -> io::Result<Self> {
        let (wake_reader, wake_writer) = sys.wake_pair()?;
        Ok(Self {
            sys,
            set: Mutex::default(),
            waiting: AtomicBool::new(false),
            wake_reader,
            wake_writer,
            shared,
        })
    }

    pub(super) fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            polled: Vec::new(),
            version: u64::MAX,
        }
    }

    pub(super) fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        let mut port = Port::new(fd, kind, token);
        port.ready = Readiness::WRITE;
        port
    }

    pub(super) fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        let completion = port.begin(&self.sys, op);
        if let Some(interest) = port.missing_interest(Readiness::NONE) {
            self.ask(port, interest);
        }
        completion
    }

    pub(super) fn send_at_once(
        &self,
        port: &mut Port,
        output: &Buffer,
        most: usize,
    ) -> Option<io::Result<usize>> {
        port.send_at_once(&self.sys, output, most)
    }

    pub(super) fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        port.abandon(kind)
    }

    pub(super) fn event(&self, port: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        match what {
            What::Ready(ready) => {
                // Judged by what waited when the event came, as in epoll.rs.
                let excess = port.excess_interest(Readiness::NONE, ready);
                port.note(ready);
                port.progress(&self.sys, sink);
                if let Some(interest) = excess {
                    self.ask(port, interest);
                }
                self.taken(port.fd.as_raw_fd());
            }
            What::Done(completion) => sink(completion),
            What::Wake => {}
        }
    }

    pub(super) fn close(&self, port: Port) {
        drop(self.release(port));
    }

    pub(super) fn release(&self, mut port: Port) -> OwnedFd {
        self.ask(&mut port, Readiness::NONE);
        port.fd
    }

    pub(super) fn watch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        refuse_edge(edge)?;
        let mut set = self.lock();
        if set.entries.contains_key(&fd) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        set.entries.insert(fd, Asked::new(token, interest));
        self.changed(set);
        Ok(())
    }

    pub(super) fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        refuse_edge(edge)?;
        let mut set = self.lock();
        let entry = set.entries.get_mut(&fd).ok_or(io::ErrorKind::NotFound)?;
        *entry = Asked::new(token, interest);
        self.changed(set);
        Ok(())
    }

    pub(super) fn took(&self, fd: RawFd, _: Token, _: Readiness, _: bool) -> io::Result<()> {
        self.taken(fd);
        Ok(())
    }

    pub(super) fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        let mut set = self.lock();
        set.entries.remove(&fd).ok_or(io::ErrorKind::NotFound)?;
        self.changed(set);
        Ok(())
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        crate::wake::signal(&self.sys, self.wake_writer.as_fd())
    }

    pub(super) fn wake_descriptor(&self) -> io::Result<WakeDescriptor> {
        #[cfg(unix)]
        return self.sys.duplicate(&self.wake_writer);
        #[cfg(windows)]
        return self
            .sys
            .duplicate(&self.wake_writer)
            .map(|writer| WakeDescriptor(crate::wake::Bell::Socket(writer)));
    }

    pub(super) fn wait(
        &self,
        waiter: &mut Waiter,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let simulated = self.sys.clock().is_simulated();
        let asleep = if simulated {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        self.waiting.store(true, Ordering::SeqCst);
        waiter.refresh(&self.lock());
        let mut polled: Vec<pollfd> = waiter.pollfds(self.wake_reader.as_raw_fd());
        let outcome = self.sys.poll(&mut polled, asleep);
        self.waiting.store(false, Ordering::SeqCst);
        let count = outcome?;
        if count == 0 {
            if let Some(time) = timeout {
                self.sys.clock().advance(time);
            }
            return Ok(());
        }
        if polled.pop().is_some_and(|wake| wake.revents != 0) {
            crate::wake::drain(&self.sys, self.wake_reader.as_fd());
            events.push(Event {
                token: Token(u64::MAX),
                what: What::Wake,
            });
        }
        let told = polled.iter().zip(&waiter.polled);
        let told = told.filter(|(polled, _)| polled.revents != 0);
        if self.shared {
            let mut set = self.lock();
            for (_, entry) in told.clone() {
                if let Some(asked) = set.entries.get_mut(&entry.fd)
                    && asked.token == entry.token
                {
                    asked.told = true;
                }
            }
            set.version += 1;
        }
        events.extend(told.map(|(polled, entry)| Event {
            token: entry.token,
            what: What::Ready(readiness(polled.revents)),
        }));
        Ok(())
    }

    /// Has exactly this reported of a port.
    fn ask(&self, port: &mut Port, interest: Readiness) {
        if interest == port.armed {
            return;
        }
        port.armed = interest;
        let mut set = self.lock();
        if interest.is_none() {
            set.entries.remove(&port.fd.as_raw_fd());
        } else {
            set.entries
                .insert(port.fd.as_raw_fd(), Asked::new(port.token, interest));
        }
        self.changed(set);
    }

    /// The event of this descriptor was taken: it may be told again.
    fn taken(&self, fd: RawFd) {
        if !self.shared {
            return;
        }
        let mut set = self.lock();
        if let Some(asked) = set.entries.get_mut(&fd)
            && std::mem::take(&mut asked.told)
        {
            self.changed(set);
        }
    }

    fn changed(&self, mut set: MutexGuard<'_, Set>) {
        set.version += 1;
        drop(set);
        if self.waiting.load(Ordering::SeqCst) {
            // The one who waits must look at the set again.
            let _ = self.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Brings the copy of the set up to date.
    fn refresh(&mut self, set: &Set) {
        if self.version == set.version {
            return;
        }
        self.version = set.version;
        self.polled.clear();
        let asked = set.entries.iter().filter(|(_, asked)| !asked.told);
        self.polled.extend(asked.map(|(fd, asked)| Entry {
            fd: *fd,
            events: bits(asked.interest),
            token: asked.token,
        }));
    }

    /// The set as poll(2) takes it, with the wake-up at its end.
    fn pollfds(&self, wake: RawFd) -> Vec<pollfd> {
        self.polled
            .iter()
            .map(|entry| (entry.fd, entry.events))
            .chain([(wake, POLLIN)])
            .map(|(fd, events)| polled(fd, events))
            .collect()
    }
}

fn refuse_edge(edge: bool) -> io::Result<()> {
    if edge {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "poll has no edge-triggered events: watch level-triggered, or use epoll",
        ));
    }
    Ok(())
}

fn bits(interest: Readiness) -> i16 {
    let mut bits = 0;
    for (readiness, bit) in [
        (Readiness::READ, POLLIN),
        (Readiness::WRITE, POLLOUT),
        (Readiness::PRIORITY, POLLPRI),
        #[cfg(target_os = "linux")]
        (Readiness::CLOSED, libc::POLLRDHUP),
        // POSIX tells of it by what can be read.
        #[cfg(not(target_os = "linux"))]
        (Readiness::CLOSED, POLLIN),
    ] {
        if interest.any(readiness) {
            bits |= bit;
        }
    }
    bits
}

fn readiness(bits: i16) -> Readiness {
    let mut readiness = Readiness::NONE;
    for (bit, name) in [
        (POLLIN, Readiness::READ),
        (POLLOUT, Readiness::WRITE),
        (POLLPRI, Readiness::PRIORITY),
        #[cfg(target_os = "linux")]
        (libc::POLLRDHUP, Readiness::CLOSED),
        (POLLERR | POLLHUP | POLLNVAL, Readiness::ERROR),
    ] {
        if bits & bit != 0 {
            readiness = readiness.with(name);
        }
    }
    readiness
}
