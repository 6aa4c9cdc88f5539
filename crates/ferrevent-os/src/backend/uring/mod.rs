//! io_uring(7).
//!
//! Sockets go by completions: a receive is one multishot operation that takes
//! blocks from a ring of provided buffers ([`buffers`]), so an idle connection
//! owns none; an accept is multishot too; a send is one operation, and all
//! that a turn has to submit goes to the kernel with its wait, in one system
//! call. Other descriptors, files that are sent and whatever an older kernel
//! lacks go by readiness: a poll operation, then the calls that `epoll.rs`
//! makes too.
//!
//! One thread's ring has completions made when it asks for them. A shared one
//! does not: then a worker that is held up in a handler would hold up every
//! stream whose operations it had submitted (`bench/c/ring_owner.c` shows by
//! how much). There whoever submits while another waits tells the kernel at
//! once.
//!
//! Who owns what: the bytes of a send and the address of a connect are in the
//! port's slot ([`slots`]) until their completion; a block lent for receiving
//! is the kernel's until a completion names it; a descriptor that is closed
//! lives until the kernel has taken every submission that names it.

mod buffers;
mod complete;
mod entry;
mod renew;
mod ring;
mod slots;
mod state;
mod watch;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrevent_core::buffer::Buffer;

use super::{Event, What};
use crate::op::{Completion, Op, OpKind, Token};
use crate::port::{Port, PortKind, Readiness};
use crate::sys::{Fault, Sys};
use slots::mark;
use state::{State, Without};

/// Pieces of one send.
const PIECES: usize = 16;

#[derive(Debug)]
pub(super) struct Backend {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    sys: Sys,
    wake: OwnedFd,
    shared: bool,
    state: Mutex<State>,
}

/// The waiting half. When it goes, so do the operations in flight: only the
/// thread that turns a ring may end them.
pub(super) struct Waiter {
    core: Arc<Core>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("io_uring waiter")
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.core.lock().end_all();
    }
}

/// What sendmsg(2) takes.
#[derive(Debug)]
struct Message {
    header: libc::msghdr,
    pieces: [libc::iovec; PIECES],
}

// SAFETY: its pointers are for the kernel alone. They lead into the `Pinned`
// beside it and into the message itself, both owned by the same slot.
unsafe impl Send for Message {}

impl Backend {
    pub(super) fn new(sys: Sys, shared: bool) -> io::Result<Self> {
        ring::count_forks();
        let wake = sys.eventfd()?;
        let state = State::new(&sys, wake.as_raw_fd(), shared, Without::from_environment())?;
        Ok(Self {
            core: Arc::new(Core {
                sys,
                wake,
                shared,
                state: Mutex::new(state),
            }),
        })
    }

    pub(super) fn sys(&self) -> &Sys {
        &self.core.sys
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            core: Arc::clone(&self.core),
        }
    }

    pub(super) fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        let mut port = Port::new(fd, kind, token);
        port.ready = Readiness::WRITE;
        let mut state = self.core.lock();
        port.slot = state.slots.add(token, port.fd.as_raw_fd());
        if let Some(slot) = state.slots.get(port.slot) {
            slot.mark(mark::ONCE, kind == PortKind::Unix);
        }
        drop(state);
        port
    }

    #[inline]
    pub(super) fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        let core = &*self.core;
        let mut state = core.lock();
        let by_completion = state.by_completion(port, &op);
        if !by_completion {
            return core.submit_by_readiness(&mut state, port, op);
        }
        let mut limit = usize::MAX;
        match core.sys.strike_op(op.kind()) {
            // What the kernel tries again by itself.
            None | Some(Fault::Errno(libc::EINTR | libc::EAGAIN)) => {}
            Some(Fault::Short(most)) => limit = most.max(1),
            Some(Fault::Errno(libc::ENOBUFS)) if op.kind() == OpKind::Receive => {
                state.ran_dry();
                return Some(op.fail(crate::sys::canceled()));
            }
            Some(Fault::Errno(errno)) => {
                let error = match op.kind() {
                    OpKind::Receive | OpKind::Send => crate::sys::gone(port.fd_ref(), errno),
                    _ => io::Error::from_raw_os_error(errno),
                };
                return Some(op.fail(error));
            }
        }
        match op {
            Op::Receive => {
                if let Some(slot) = state.slots.get(port.slot) {
                    slot.mark(mark::ROOMY, port.expects_much());
                }
                state.receive(port.slot);
            }
            Op::Accept => state.accept(port.slot),
            Op::Connect(address) => state.connect(port.slot, address),
            Op::Send(bytes) => state.send(port.slot, bytes, limit),
        }
        core.flush_for_sleeper(&mut state);
        None
    }

    pub(super) fn send_at_once(
        &self,
        _: &mut Port,
        _: &Buffer,
        _: usize,
    ) -> Option<io::Result<usize>> {
        None
    }

    pub(super) fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        let mut state = self.core.lock();
        if let Some(completion) = port.abandon(kind) {
            return Some(completion);
        }
        state.cancel(port.slot, kind);
        self.core.flush_for_sleeper(&mut state);
        None
    }

    #[inline]
    pub(super) fn event(&self, port: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        match what {
            What::Done(completion) => sink(completion),
            What::Ready(ready) => {
                port.note(ready);
                port.progress(&self.core.sys, sink);
                let mut state = self.core.lock();
                state.poll_for(port);
                self.core.flush_for_sleeper(&mut state);
            }
            What::Wake => {}
        }
    }

    pub(super) fn close(&self, port: Port) {
        let mut state = self.core.lock();
        state.close(port.slot, Some(port.fd));
        // A listener's address is to be free when this returns.
        let told = port.kind == PortKind::Listener && state.flush();
        if !told {
            self.core.flush_for_sleeper(&mut state);
        }
    }

    pub(super) fn release(&self, port: Port) -> OwnedFd {
        let mut state = self.core.lock();
        state.close(port.slot, None);
        // What the kernel was told of this descriptor it is told now, lest
        // the number soon mean something else.
        state.flush();
        port.fd
    }

    pub(super) fn watch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        crate::sys::check_pollable(fd)?;
        let mut state = self.core.lock();
        state.watch(fd, token, interest, edge)?;
        self.core.flush_for_sleeper(&mut state);
        Ok(())
    }

    pub(super) fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.unwatch(fd)?;
        self.watch(fd, token, interest, edge)
    }

    pub(super) fn took(&self, fd: RawFd, _: Token, _: Readiness, edge: bool) -> io::Result<()> {
        if self.core.shared && !edge {
            let mut state = self.core.lock();
            state.poll_watch_again(fd);
            self.core.flush_for_sleeper(&mut state);
        }
        Ok(())
    }

    pub(super) fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        let mut state = self.core.lock();
        state.unwatch(fd)?;
        self.core.flush_for_sleeper(&mut state);
        Ok(())
    }

    /// Operations that the kernel has, or is to get.
    pub(super) fn under_way(&self) -> usize {
        self.core.lock().slots.in_flight()
    }

    /// Whether buffers were lent for a burst.
    pub(super) fn keeps_memory(&self) -> bool {
        self.core.lock().keeps_memory()
    }

    pub(super) fn give_back(&self) {
        self.core.lock().give_back();
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        crate::wake::signal(&self.core.sys, self.core.wake.as_fd())
    }

    pub(super) fn wake_descriptor(&self) -> io::Result<OwnedFd> {
        self.core.wake.try_clone()
    }

    pub(super) fn wait(
        &self,
        _: &mut Waiter,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let core = &*self.core;
        let simulated = core.sys.clock().is_simulated();
        let before = events.len();
        match core.sys.strike_wait()? {
            true => {}
            // Interrupted, on purpose.
            false => return Ok(()),
        }
        let patience = if simulated {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        core.turn(patience, events)?;
        if events.len() == before
            && let Some(time) = timeout
        {
            core.sys.clock().advance(time);
        }
        Ok(())
    }
}

/// Whether rings cannot be had here at all, so that another backend must do.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let refused = [
        libc::EPERM,
        libc::EACCES,
        libc::ENOSYS,
        libc::EINVAL,
        libc::ENOMEM,
    ];
    error.kind() == io::ErrorKind::Unsupported
        || error
            .raw_os_error()
            .is_some_and(|errno| refused.contains(&errno))
}

impl Core {
    /// Tells the kernel what there is to tell, waits, and takes what came.
    fn turn(&self, patience: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let before = events.len();
        let mut state = self.lock();
        state.begin_turn()?;
        loop {
            state.take_ready(events);
            let more = state.fill();
            let idle = !more && events.len() == before;
            let wait_for = u32::from(idle && patience != Some(Duration::ZERO));
            let (ring, submit, closing) = state.depart(wait_for > 0);
            drop(state);
            let outcome = ring.enter(submit, wait_for, patience);
            state = self.lock();
            state.arrive(closing);
            match outcome {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    // Another thread turned it before this one.
                    state.revive()?;
                    continue;
                }
                outcome => outcome?,
            }
            state.complete(events);
            if !more {
                return Ok(());
            }
        }
    }

    fn submit_by_readiness(
        &self,
        state: &mut State,
        port: &mut Port,
        op: Op,
    ) -> Option<Completion> {
        let completion = port.begin(&self.sys, op);
        state.poll_for(port);
        self.flush_for_sleeper(state);
        completion
    }

    /// While another thread waits in the kernel, nobody else would tell it.
    #[inline]
    fn flush_for_sleeper(&self, state: &mut State) {
        if state.is_asleep() && !(self.shared && state.flush()) {
            // Only the one that sleeps may submit, or the kernel did not take
            // it: the one that sleeps sees to it.
            let _ = crate::wake::signal(&self.sys, self.wake.as_fd());
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
