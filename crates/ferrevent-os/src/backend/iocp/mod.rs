//! I/O completion ports.
//!
//! How a receive waits, with a block or without, is told in `receive.rs`.
//!
//! A send takes what fits at once; the rest is handed to the kernel, which
//! keeps it pinned until it is sent. Connections are taken by a few accepts
//! that stand ready, and made by ConnectEx.
//!
//! A socket belongs to one port for ever: it cannot move to another loop.

mod listen;
mod queue;
mod receive;
mod watch;

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrevent_core::buffer::{Buffer, Pinned};
use socket2::SockAddr;
use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

use super::{Event, What};
use crate::op::{Accepted, Completion, Op, OpKind, Token};
use crate::port::{Flags, Port, PortKind, Readiness};
use crate::sys::Sys;
use crate::sys::fd::{AsRawFd, OwnedFd, RawFd};
use crate::sys::overlapped::bind_for;
use crate::wake::{Bell, WakeDescriptor, insist};
use listen::Listening;
use queue::{Body, Home, InFlight, NO_ENTRY, Operation, Queue, Sending};
use receive::{Receiving, Standing};
use watch::Watches;

/// The token of a wake-up; the engine's tokens never reach it.
const WAKE: u64 = u64::MAX;
/// Completions taken in one wait at first, and at most.
const FIRST_BATCH: usize = 128;
const LARGEST_BATCH: usize = 1024;
/// What the system says of a socket that has a port (`ERROR_INVALID_PARAMETER`).
const HAS_ONE: i32 = 87;
/// Segments handed to one overlapped send.
const SLICES: usize = 64;

/// What a port has under way with the kernel.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Keeps the completion port until this socket is closed.
    queue: Option<Arc<Queue>>,
    sending: Option<InFlight>,
    connecting: Option<InFlight>,
    listening: Option<Box<Listening>>,
    receiving: Receiving,
    /// What is done at once has no completion.
    skips: bool,
}

#[derive(Debug)]
pub(super) struct Backend {
    sys: Sys,
    watches: Watches,
    standing: Standing,
    queue: Arc<Queue>,
    /// Sockets of the port that were given back, and whether what they do at
    /// once has no completion: they are the port's for as long as they are open.
    given_back: Mutex<HashMap<RawFd, bool>>,
}

pub(super) struct Waiter {
    entries: Vec<OVERLAPPED_ENTRY>,
}

// SAFETY: between waits the entries say nothing.
unsafe impl Send for Waiter {}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waiter for {} completions", self.entries.len())
    }
}

impl Backend {
    pub(super) fn new(sys: Sys, shared: bool) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(sys.completion_port()?));
        Ok(Self {
            sys,
            watches: Watches::new(shared),
            standing: Standing::default(),
            queue,
            given_back: Mutex::default(),
        })
    }

    pub(super) fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            entries: vec![NO_ENTRY; FIRST_BATCH],
        }
    }

    pub(super) fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        let mut port = Port::new(fd, kind, token);
        // What is ready is remembered, and asked for when it is not.
        port.flags.set(Flags::EDGE, true);
        port.ready = Readiness::WRITE;
        // What a new connection brings is taken in one piece.
        port.flags.set(Flags::BULK, kind == PortKind::Tcp);
        port.iocp.receiving = Receiving::new(kind);
        port.iocp.queue = Some(Arc::clone(&self.queue));
        port
    }

    pub(super) fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        if let Err(error) = self.join(port) {
            return Some(op.fail(error));
        }
        match op {
            Op::Receive => {
                port.flags.set(Flags::RECEIVING, true);
                self.receive(port)
            }
            Op::Send(bytes) => self.send(port, bytes),
            Op::Accept => {
                port.flags.set(Flags::ACCEPTING, true);
                self.accept(port)
            }
            Op::Connect(address) => self.connect(port, address),
        }
    }

    #[inline]
    pub(super) fn send_at_once(
        &self,
        port: &mut Port,
        output: &Buffer,
        most: usize,
    ) -> Option<io::Result<usize>> {
        if port.kind == PortKind::Tcp {
            // Begun sends do as well, and their rest need not be asked for.
            return None;
        }
        port.send_at_once(&self.sys, output, most)
    }

    pub(super) fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        let under_way = match kind {
            OpKind::Receive | OpKind::Accept => return port.abandon(kind),
            OpKind::Send => port.iocp.sending,
            OpKind::Connect => port.iocp.connecting,
        };
        if let Some(one) = under_way {
            // If it cannot be taken back, it completes as if nothing was said.
            let _ = self.sys.cancel(port.fd.as_raw_fd(), one.address());
        }
        None
    }

    pub(super) fn event(&self, port: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        match what {
            What::Ready(ready) => self.probed(port, Ok(ready), sink),
            What::Done(completion) => self.done(port, completion, sink),
            What::Wake => {}
        }
    }

    pub(super) fn close(&self, port: Port) {
        drop(self.withdraw(port));
    }

    pub(super) fn release(&self, port: Port) -> OwnedFd {
        if port.flags.has(Flags::REGISTERED) {
            self.given_back()
                .insert(port.fd.as_raw_fd(), port.iocp.skips);
        }
        self.withdraw(port)
    }

    fn withdraw(&self, port: Port) -> OwnedFd {
        let own = &port.iocp;
        let listening = own.listening.as_ref();
        if own.receiving.is_under_way()
            || own.sending.is_some()
            || own.connecting.is_some()
            || listening.is_some_and(|it| it.standing() > 0)
        {
            // A duplicate of the socket may stay open, so they are taken back
            // by hand; they come home by themselves.
            let _ = self.sys.cancel(port.fd.as_raw_fd(), std::ptr::null());
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
        refuse_edge(edge)?;
        self.watches
            .add(&self.sys, &self.queue, fd, token, interest)
    }

    pub(super) fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        refuse_edge(edge)?;
        self.watches
            .change(&self.sys, &self.queue, fd, token, interest)
    }

    pub(super) fn took(&self, fd: RawFd, _: Token, _: Readiness, _: bool) -> io::Result<()> {
        self.watches.took(&self.sys, &self.queue, fd)
    }

    pub(super) fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        self.watches.remove(&self.sys, fd)
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        insist(|| self.sys.post(self.queue.port(), 0))
    }

    pub(super) fn wake_descriptor(&self) -> io::Result<WakeDescriptor> {
        let port = self.queue.port().try_clone_to_owned()?;
        Ok(WakeDescriptor(Bell::Port(port)))
    }

    /// Operations whose memory is the kernel's now.
    pub(super) fn under_way(&self) -> usize {
        self.queue.under_way()
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
        self.watches.tell_again(&self.sys, &self.queue);
        let first = events.len();
        let end = asleep.and_then(|asleep| Instant::now().checked_add(asleep));
        let mut count = 0;
        loop {
            self.standing.look_round(&self.sys);
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let patience = self.standing.patience(left);
            let taken = self
                .queue
                .take(&self.sys, &mut waiter.entries, patience, |home| {
                    self.came_home(home, events);
                })?;
            if taken.woken {
                events.push(Event {
                    token: Token(WAKE),
                    what: What::Wake,
                });
            }
            if taken.count == waiter.entries.len() && taken.count < LARGEST_BATCH {
                waiter.entries.resize(taken.count * 2, NO_ENTRY);
            }
            count += taken.count;
            if count > 0 || patience == left {
                break;
            }
        }
        if count == 0
            && events.len() == first
            && let Some(time) = timeout
        {
            self.sys.clock().advance(time);
        }
        Ok(())
    }

    /// What an operation that is home has to tell.
    fn came_home(&self, home: Home, events: &mut Vec<Event>) {
        let Home {
            operation,
            outcome,
            bytes,
        } = home;
        let name = operation.name();
        let token = operation.token;
        let what = match (operation.body, outcome) {
            (Body::Probe, Ok(())) => What::Ready(Readiness::READ),
            (Body::Probe, Err(error)) => What::Done(Op::Receive.fail(error)),
            (Body::Receive(block, more), outcome) => {
                self.standing.remove(name);
                What::Done(receive::told(block, more, outcome.map(|()| bytes)))
            }
            (Body::Send(_), outcome) => What::Done(Completion::Sent(outcome.map(|()| bytes))),
            (Body::Accept(accepting), outcome) => {
                let fd = accepting.socket;
                What::Done(Completion::Accepted {
                    result: outcome.map(|()| Accepted { fd }),
                    armed: true,
                })
            }
            (Body::Connect(_), outcome) => What::Done(Completion::Connected(outcome)),
            (Body::Poll(polling), outcome) => {
                self.watches
                    .came_home(&self.sys, &self.queue, &polling, token, outcome, events);
                return;
            }
        };
        events.push(Event { token, what });
    }

    fn done(&self, port: &mut Port, completion: Completion, sink: &mut dyn FnMut(Completion)) {
        match completion {
            Completion::Received { result, .. } => self.receive_came_home(port, result, sink),
            Completion::Sent(outcome) => {
                port.iocp.sending = None;
                port.ready = port.ready.with(Readiness::WRITE);
                sink(Completion::Sent(outcome));
            }
            Completion::Connected(outcome) => {
                port.iocp.connecting = None;
                let outcome = outcome.and_then(|()| self.sys.connected(port.fd_ref()));
                sink(Completion::Connected(outcome));
            }
            Completion::Accepted { result, .. } => {
                if let Some(completion) = self.accept_came_home(port, result) {
                    sink(completion);
                }
            }
        }
    }

    fn send(&self, port: &mut Port, bytes: Pinned) -> Option<Completion> {
        let sending = match self.load(bytes) {
            Ok(sending) => sending,
            Err(error) => return Some(Completion::Sent(Err(error))),
        };
        let operation = Operation::new(port.token, Body::Send(Box::new(sending)));
        let fd = port.fd_ref();
        let begun = self
            .queue
            .begin(operation, port.iocp.skips, |body, overlapped| {
                let mut slices = [IoSlice::new(&[]); SLICES];
                // SAFETY: until the call has begun the body is nobody else's,
                // and the queue keeps it and the bytes it pins until it is home.
                let count = match unsafe { &*body } {
                    Body::Send(sending) => sending.io_slices(&mut slices),
                    _ => 0,
                };
                // SAFETY: as above.
                unsafe { self.sys.begin_send(fd, &slices[..count], overlapped) }
            });
        match begun {
            Ok(one) => {
                port.iocp.sending = Some(one);
                None
            }
            Err((_, outcome)) => Some(Completion::Sent(outcome)),
        }
    }

    /// What is to be sent, in memory.
    fn load(&self, bytes: Pinned) -> io::Result<Sending> {
        let Some(range) = bytes.file_range() else {
            return Ok(Sending::Bytes(bytes));
        };
        let (block, filled) = self.sys.read_range(&range)?;
        Ok(Sending::Block(block, filled))
    }

    fn connect(&self, port: &mut Port, address: Box<SockAddr>) -> Option<Completion> {
        if let Err(error) = bind_for(port.fd_ref(), &address) {
            return Some(Completion::Connected(Err(error)));
        }
        let operation = Operation::new(port.token, Body::Connect(address));
        let fd = port.fd_ref();
        let begun = self
            .queue
            .begin(operation, port.iocp.skips, |body, overlapped| {
                // SAFETY: until the call has begun the body is nobody else's.
                let address = match unsafe { &*body } {
                    Body::Connect(address) => std::ptr::from_ref::<SockAddr>(address),
                    _ => return Err(io::ErrorKind::InvalidInput.into()),
                };
                // SAFETY: the queue keeps the address until it is home.
                unsafe { self.sys.begin_connect(fd, address, overlapped) }
            });
        match begun {
            Ok(one) => {
                port.iocp.connecting = Some(one);
                None
            }
            Err((_, outcome)) => Some(Completion::Connected(
                outcome.and_then(|_| self.sys.connected(port.fd_ref())),
            )),
        }
    }

    fn given_back(&self) -> MutexGuard<'_, HashMap<RawFd, bool>> {
        self.given_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the socket one of the port's, before its first operation.
    fn join(&self, port: &mut Port) -> io::Result<()> {
        if port.flags.has(Flags::REGISTERED) {
            return Ok(());
        }
        let known = self.given_back().remove(&port.fd.as_raw_fd());
        port.iocp.skips = match self.sys.associate(self.queue.port(), port.fd_ref()) {
            // It has a port already: ours, unless the number is another's by now.
            Err(error) => match known {
                Some(skips) if error.raw_os_error() == Some(HAS_ONE) => skips,
                _ => return Err(error),
            },
            Ok(skips) => skips,
        };
        port.flags.set(Flags::REGISTERED, true);
        Ok(())
    }
}

impl Sending {
    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Sending::Bytes(bytes) => bytes.io_slices(0, slices),
            Sending::Block(block, len) => {
                slices[0] = IoSlice::new(&block.as_slice()[..*len]);
                1
            }
        }
    }
}

fn refuse_edge(edge: bool) -> io::Result<()> {
    if edge {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Windows has no edge-triggered events: watch level-triggered",
        ));
    }
    Ok(())
}
