//! Listening: a few accepts stand ready, each with a socket of its own, and
//! what they took waits until it is asked for. Whoever comes in a burst and
//! finds none left waits in the system's own queue; those are taken from there
//! one by one before new accepts are made ready.

use std::collections::VecDeque;
use std::io;

use socket2::{Domain, SockRef, Type};
use windows_sys::Win32::Foundation::ERROR_NOT_READY;

use super::Backend;
use super::queue::{Accepting, Body, Operation};
use crate::op::{Accepted, Completion};
use crate::port::{Flags, Port};
use crate::sys::fd::AsFd;
use crate::sys::overlapped::Addresses;
use crate::sys::{Call, Fault, errno, is_canceled, verdict};

/// Accepts that stand ready on one listener.
const STANDING: usize = 4;

/// What a listening port has under way.
#[derive(Debug)]
pub(super) struct Listening {
    domain: Domain,
    nodelay: bool,
    keepalive: bool,
    standing: usize,
    /// One came lately: more may wait in the system's queue.
    burst: bool,
    taken: VecDeque<io::Result<Accepted>>,
}

/// Whether an accept found nobody after all.
fn is_empty_handed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_NOT_READY as i32)
}

impl Listening {
    fn new(port: &Port) -> io::Result<Self> {
        let fd = port.fd_ref();
        let socket = SockRef::from(&fd);
        Ok(Self {
            domain: socket.local_addr()?.domain(),
            nodelay: socket.tcp_nodelay().unwrap_or(false),
            keepalive: socket.keepalive().unwrap_or(false),
            standing: 0,
            burst: false,
            taken: VecDeque::new(),
        })
    }

    pub(super) fn standing(&self) -> usize {
        self.standing
    }

    /// Sets what a connection has from its listener.
    fn hand_down(&self, accepted: Accepted) -> io::Result<Accepted> {
        let socket = SockRef::from(&accepted.fd);
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if self.keepalive {
            socket.set_keepalive(true)?;
        }
        Ok(accepted)
    }
}

impl Backend {
    /// Hands on a connection that was taken, or waits for one.
    pub(super) fn accept(&self, port: &mut Port) -> Option<Completion> {
        let mut listening = match port.iocp.listening.take() {
            Some(listening) => listening,
            None => match Listening::new(port) {
                Ok(listening) => Box::new(listening),
                Err(error) => return self.accepted(port, Err(error)),
            },
        };
        if listening.taken.is_empty() && listening.burst {
            self.take_queued(port, &mut listening);
        }
        if listening.taken.is_empty() {
            self.stand_ready(port, &mut listening);
        }
        let next = self.next_taken(&mut listening);
        port.iocp.listening = Some(listening);
        self.accepted(port, next?)
    }

    /// An accept is home.
    pub(super) fn accept_came_home(
        &self,
        port: &mut Port,
        result: io::Result<Accepted>,
    ) -> Option<Completion> {
        let mut listening = port.iocp.listening.take()?;
        listening.standing = listening.standing.saturating_sub(1);
        match result.and_then(|accepted| self.complete(port, &listening, accepted)) {
            // Nobody asked for it to be taken back but the system; or another
            // worker took from the queue what it was about to take (seen under
            // Wine).
            Err(error) if is_canceled(&error) || is_empty_handed(&error) => {}
            result => {
                listening.burst = true;
                listening.taken.push_back(result);
            }
        }
        port.iocp.listening = Some(listening);
        if port.flags.has(Flags::ACCEPTING) {
            return self.accept(port);
        }
        None
    }

    fn accepted(&self, port: &mut Port, result: io::Result<Accepted>) -> Option<Completion> {
        port.flags.set(Flags::ACCEPTING, false);
        Some(Completion::Accepted {
            result,
            armed: false,
        })
    }

    /// Takes one that waits in the system's queue, if any does.
    fn take_queued(&self, port: &Port, listening: &mut Listening) {
        match self.sys.accept_queued(port.fd_ref()) {
            Ok(fd) => {
                let accepted = listening.hand_down(Accepted { fd });
                listening.taken.push_back(accepted);
            }
            // What is wrong, if anything is, the accepts that stand tell.
            Err(_) => listening.burst = false,
        }
    }

    /// Begins as many accepts as are missing. That sockets have run out is
    /// told only when none stands ready any more.
    fn stand_ready(&self, port: &Port, listening: &mut Listening) {
        while listening.standing < STANDING {
            match self.begin_accept(port, listening.domain) {
                Ok(Some(accepted)) => {
                    let result = accepted.and_then(|it| self.complete(port, listening, it));
                    listening.taken.push_back(result);
                    if listening.taken.len() >= STANDING {
                        return;
                    }
                }
                Ok(None) => listening.standing += 1,
                Err(error) => {
                    if listening.standing == 0 && listening.taken.is_empty() {
                        listening.taken.push_back(Err(error));
                    }
                    return;
                }
            }
        }
    }

    /// Begins one accept; `Some` is a connection that was there already.
    fn begin_accept(
        &self,
        port: &Port,
        domain: Domain,
    ) -> io::Result<Option<io::Result<Accepted>>> {
        let socket = self.sys.blocking_socket(domain, Type::STREAM)?;
        let accepting = Accepting {
            socket: socket.into(),
            addresses: Addresses::EMPTY,
        };
        let operation = Operation::new(port.token, Body::Accept(Box::new(accepting)));
        let listener = port.fd_ref();
        let begun = self
            .queue
            .begin(operation, port.iocp.skips, |body, overlapped| {
                // SAFETY: until the call has begun the body is nobody else's.
                let Body::Accept(accepting) = (unsafe { &mut *body }) else {
                    return Err(io::ErrorKind::InvalidInput.into());
                };
                let addresses = &raw mut accepting.addresses;
                // SAFETY: the queue keeps both until the accept is home.
                unsafe {
                    self.sys
                        .begin_accept(listener, &accepting.socket, addresses, overlapped)
                }
            });
        let Err((operation, outcome)) = begun else {
            return Ok(None);
        };
        outcome?;
        let Body::Accept(accepting) = operation.body else {
            return Ok(None);
        };
        let fd = accepting.socket;
        Ok(Some(Ok(Accepted { fd })))
    }

    /// Makes a connection whole that an accept which stood ready took.
    fn complete(
        &self,
        port: &Port,
        listening: &Listening,
        accepted: Accepted,
    ) -> io::Result<Accepted> {
        self.sys.accepted(port.fd_ref(), accepted.fd.as_fd())?;
        listening.hand_down(accepted)
    }

    /// The next connection; a fault leaves it where it is, as accept(2) would.
    fn next_taken(&self, listening: &mut Listening) -> Option<io::Result<Accepted>> {
        if listening.taken.is_empty() {
            return None;
        }
        match self.sys.strike(Call::Accept) {
            Some(Fault::Errno(errno::EINTR | errno::EAGAIN)) | None => {}
            fault => {
                if let Err(error) = verdict(fault) {
                    return Some(Err(error));
                }
            }
        }
        listening.taken.pop_front()
    }
}
