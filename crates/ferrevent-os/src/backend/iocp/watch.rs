//! Readiness of sockets that are no streams. The driver tells an event once;
//! a level is asked for again after it was told, before the next wait, or on
//! a shared backend when its event was taken.

use std::collections::HashMap;
use std::io;
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::queue::{Body, InFlight, Operation, Polling, Queue};
use super::{Event, What};
use crate::op::Token;
use crate::port::Readiness;
use crate::sys::Sys;
use crate::sys::afd::{Poll, base};
use crate::sys::fd::RawFd;
use crate::sys::overlapped::Begun;

#[derive(Debug)]
pub(super) struct Watches {
    shared: bool,
    driver: OnceLock<OwnedHandle>,
    /// Somebody was told and not asked for again.
    told: AtomicBool,
    watched: Mutex<HashMap<RawFd, Watched>>,
}

#[derive(Debug)]
struct Watched {
    token: Token,
    interest: Readiness,
    /// The socket as the driver knows it.
    base: RawFd,
    under_way: Option<InFlight>,
    told: bool,
}

impl Watches {
    pub(super) fn new(shared: bool) -> Self {
        Self {
            shared,
            driver: OnceLock::new(),
            told: AtomicBool::new(false),
            watched: Mutex::default(),
        }
    }

    pub(super) fn add(
        &self,
        sys: &Sys,
        queue: &Queue,
        fd: RawFd,
        token: Token,
        interest: Readiness,
    ) -> io::Result<()> {
        let mut watched = self.lock();
        if watched.contains_key(&fd) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut entry = Watched {
            token,
            interest,
            base: base(fd)?,
            under_way: None,
            told: false,
        };
        self.ask(sys, queue, fd, &mut entry)?;
        watched.insert(fd, entry);
        Ok(())
    }

    pub(super) fn change(
        &self,
        sys: &Sys,
        queue: &Queue,
        fd: RawFd,
        token: Token,
        interest: Readiness,
    ) -> io::Result<()> {
        let mut watched = self.lock();
        let entry = watched.get_mut(&fd).ok_or(io::ErrorKind::NotFound)?;
        self.take_back(sys, entry);
        entry.token = token;
        entry.interest = interest;
        if self.shared {
            return self.ask(sys, queue, fd, entry);
        }
        // Asked for at the last moment, lest it tell what was there before.
        entry.told = true;
        self.told.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn remove(&self, sys: &Sys, fd: RawFd) -> io::Result<()> {
        let mut entry = self.lock().remove(&fd).ok_or(io::ErrorKind::NotFound)?;
        self.take_back(sys, &mut entry);
        Ok(())
    }

    /// The event of this one was taken: it may be told again.
    pub(super) fn took(&self, sys: &Sys, queue: &Queue, fd: RawFd) -> io::Result<()> {
        if !self.shared {
            return Ok(());
        }
        match self.lock().get_mut(&fd) {
            Some(entry) if entry.told => self.ask(sys, queue, fd, entry),
            _ => Ok(()),
        }
    }

    /// Before a wait of the only one who waits: what was told, and still
    /// holds, is told again.
    pub(super) fn tell_again(&self, sys: &Sys, queue: &Queue) {
        if self.shared || !self.told.swap(false, Ordering::AcqRel) {
            return;
        }
        for (fd, entry) in self.lock().iter_mut().filter(|(_, entry)| entry.told) {
            if self.ask(sys, queue, *fd, entry).is_err() {
                // It is tried again before the next wait.
                self.told.store(true, Ordering::Release);
            }
        }
    }

    /// A wait of the driver's is over.
    pub(super) fn came_home(
        &self,
        sys: &Sys,
        queue: &Queue,
        home: &Polling,
        token: Token,
        outcome: io::Result<()>,
        events: &mut Vec<Event>,
    ) {
        let mut watched = self.lock();
        let Some(entry) = watched.get_mut(&home.fd) else {
            return;
        };
        // One that was taken back has nothing to say any more.
        if entry.token != token || entry.under_way != home.name {
            return;
        }
        entry.under_way = None;
        let ready = match outcome {
            Err(_) => Readiness::ERROR,
            Ok(()) => match home.poll.answer() {
                Some(ready) => ready,
                // Closed: the system has forgotten it, and nothing is told.
                None => return,
            },
        };
        let ready = ready.intersection(entry.interest.with(Readiness::ERROR));
        if ready.is_none() && self.ask(sys, queue, home.fd, entry).is_ok() {
            return;
        }
        entry.told = true;
        self.told.store(true, Ordering::Release);
        events.push(Event {
            token,
            what: What::Ready(ready),
        });
    }

    fn ask(&self, sys: &Sys, queue: &Queue, fd: RawFd, entry: &mut Watched) -> io::Result<()> {
        if entry.under_way.is_some() {
            return Ok(());
        }
        let driver = self.driver(sys, queue)?.as_handle();
        let polling = Polling {
            fd,
            name: None,
            poll: Poll::new(entry.base, entry.interest),
        };
        let operation = Operation::new(entry.token, Body::Poll(Box::new(polling)));
        // The driver's handle does not skip: a completion comes always.
        let begun = queue.begin(operation, false, |body, overlapped| {
            // SAFETY: until the call has begun the body is nobody else's.
            let Body::Poll(polling) = (unsafe { &mut *body }) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            polling.name = InFlight::of(overlapped);
            let poll = &raw mut polling.poll;
            // SAFETY: the queue keeps both until the wait is home.
            unsafe { sys.begin_poll(driver, poll, overlapped)? };
            Ok(Begun::Pending)
        });
        match begun {
            Ok(name) => {
                entry.under_way = Some(name);
                entry.told = false;
                Ok(())
            }
            Err((_, outcome)) => outcome.map(drop),
        }
    }

    fn take_back(&self, sys: &Sys, entry: &mut Watched) {
        if let (Some(one), Some(driver)) = (entry.under_way.take(), self.driver.get()) {
            sys.cancel_poll(driver.as_handle(), one.address());
        }
    }

    fn driver(&self, sys: &Sys, queue: &Queue) -> io::Result<&OwnedHandle> {
        if let Some(driver) = self.driver.get() {
            return Ok(driver);
        }
        let fresh = sys.open_driver(queue.port())?;
        Ok(self.driver.get_or_init(|| fresh))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RawFd, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
