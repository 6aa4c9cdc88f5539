//! Receives.
//!
//! An idle stream waits by a receive of no bytes, a probe: it holds no buffer
//! and tells only that there is something to take. Then a pooled block is
//! filled at once, by the same rules as after an event of epoll.
//!
//! A stream that is new or has just received is not idle. Its next receive
//! stands with a block, which saves a call for each message, or with four when
//! the last came full. At most [`MOST_STANDING`] blocks stand at a time. A
//! receive that still waits after two rounds of [`ROUND`] is taken back, and
//! the stream probes.
//!
//! Whoever gives up receiving is told at once that it is so, and nothing is
//! taken back: what comes after that, a block or the word that something is
//! there, is kept for when it receives again.

use std::collections::HashMap;
use std::io;
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferrevent_core::buffer::{Block, BlockClass};
use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::Backend;
use super::queue::{Body, InFlight, More, Operation};
use crate::op::{Completion, Op, Received};
use crate::port::{Flags, Port, PortKind, Readiness};
use crate::sys::fd::{AsRawFd, RawFd};
use crate::sys::overlapped::MOST_PIECES;
use crate::sys::{Sys, is_canceled, wine};

/// Blocks of one backend that receives may stand with.
const MOST_STANDING: usize = 256;
/// How often is looked for those that stand for nothing.
const ROUND: Duration = Duration::from_millis(100);

/// What a port has under way to receive.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// A receive with a block.
    filling: Option<InFlight>,
    /// What such a one brought while nobody wanted it.
    ahead: Option<Box<io::Result<Received>>>,
    /// The error of a probe, told once everything before it was received.
    trouble: Option<i32>,
    /// A receive of no bytes is under way.
    probing: bool,
    /// Something came lately.
    lively: bool,
    /// It came in a full block of the largest.
    full: bool,
}

impl Receiving {
    /// That of a port which was just opened.
    pub(super) fn new(kind: PortKind) -> Self {
        Self {
            lively: kind == PortKind::Tcp,
            ..Self::default()
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.probing || self.filling.is_some()
    }
}

/// What a receive with blocks tells.
pub(super) fn told(block: Block, more: Option<More>, outcome: io::Result<usize>) -> Completion {
    let result = outcome.map(|len| match more {
        _ if len == 0 => Received::End,
        Some(more) if len > block.capacity() => {
            let mut left = len;
            let blocks = iter::once(block).chain(*more).map_while(|block| {
                let part = left.min(block.capacity());
                left -= part;
                (part > 0).then(|| worth(block, part))
            });
            Received::Many(blocks.collect(), len)
        }
        _ => Received::Bytes(worth(block, len), len),
    });
    Completion::Received {
        result,
        armed: false,
    }
}

/// The block, or a smaller one for what would be lost in it.
fn worth(block: Block, len: usize) -> Block {
    if block.is_worth(len) {
        return block;
    }
    Block::copy_of(&block.as_slice()[..len])
}

impl Backend {
    /// Receives what is there, else waits for it.
    pub(super) fn receive(&self, port: &mut Port) -> Option<Completion> {
        loop {
            if let Some(result) = port.iocp.receiving.ahead.take() {
                port.flags.set(Flags::RECEIVING, false);
                return Some(Completion::Received {
                    result: *result,
                    armed: false,
                });
            }
            let receiving = &mut port.iocp.receiving;
            let may_be_there = port.ready.any(Readiness::READ);
            if receiving.filling.is_some() || (receiving.probing && !may_be_there) {
                return None;
            }
            if !may_be_there && let Some(error) = receiving.trouble.take() {
                port.flags.set(Flags::RECEIVING, false);
                return Some(Op::Receive.fail(io::Error::from_raw_os_error(error)));
            }
            if self.may_fill(port) {
                match self.fill(port) {
                    Filling::Done(completion) => return Some(self.filled(port, completion)),
                    Filling::Stands => return None,
                    Filling::Refused => port.iocp.receiving.lively = false,
                }
            } else if port.kind != PortKind::Tcp
                && let Some(completion) = port.try_receive(&self.sys)
            {
                return Some(self.filled(port, completion));
            }
            if !port.ready.any(Readiness::READ) {
                match self.probe(port) {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => {
                        port.flags.set(Flags::RECEIVING, false);
                        return Some(Op::Receive.fail(error));
                    }
                }
            }
        }
    }

    /// A probe is home, and said this.
    pub(super) fn probed(
        &self,
        port: &mut Port,
        outcome: io::Result<Readiness>,
        sink: &mut dyn FnMut(Completion),
    ) {
        port.iocp.receiving.probing = false;
        match outcome {
            Ok(ready) => port.ready = port.ready.with(ready),
            Err(error) if is_canceled(&error) => {}
            Err(error) => {
                port.iocp.receiving.trouble = error.raw_os_error();
                // Whatever came before it is still there.
                port.ready = port.ready.with(Readiness::READ);
            }
        }
        self.go_on_receiving(port, sink);
    }

    /// A receive is home, with a block or an error.
    pub(super) fn receive_came_home(
        &self,
        port: &mut Port,
        result: io::Result<Received>,
        sink: &mut dyn FnMut(Completion),
    ) {
        if port.iocp.receiving.filling.take().is_none() {
            return self.probed(port, result.map(|_| Readiness::NONE), sink);
        }
        match result {
            // It stood for too long.
            Err(error) if is_canceled(&error) => port.iocp.receiving.lively = false,
            result => {
                let completion = Completion::Received {
                    result,
                    armed: false,
                };
                if port.flags.has(Flags::RECEIVING) {
                    return sink(self.filled(port, completion));
                }
                if let Completion::Received { result, .. } = self.filled(port, completion) {
                    port.iocp.receiving.ahead = Some(Box::new(result));
                }
            }
        }
        self.go_on_receiving(port, sink);
    }

    fn go_on_receiving(&self, port: &mut Port, sink: &mut dyn FnMut(Completion)) {
        if port.flags.has(Flags::RECEIVING)
            && let Some(completion) = self.receive(port)
        {
            sink(completion);
        }
    }

    /// Whether to receive into a block now: something is there, or the receive
    /// may stand with it. One that is capped takes nothing ahead of its attempt.
    fn may_fill(&self, port: &Port) -> bool {
        let receiving = &port.iocp.receiving;
        port.kind == PortKind::Tcp
            && (port.ready.any(Readiness::READ)
                || (receiving.lively
                    && !receiving.probing
                    && !port.is_capped()
                    && self.standing.has_room()))
    }

    /// Receives into a block: at once, or when something comes.
    fn fill(&self, port: &mut Port) -> Filling {
        // Only a probe tells that something is there.
        let stands = !port.ready.any(Readiness::READ);
        port.ready = port.ready.without(Readiness::READ);
        let size = port.room();
        let block = Block::with_capacity_at_least(size);
        let more = port.iocp.receiving.full && port.expects_much() && !port.is_capped();
        let more = more.then(|| Box::new([(); 3].map(|()| Block::take(BlockClass::K64))));
        let count = if more.is_some() { 4 } else { 1 };
        let operation = Operation::new(port.token, Body::Receive(block, more));
        let fd = port.fd_ref();
        let begun = self
            .queue
            .begin(operation, port.iocp.skips, |body, overlapped| {
                // SAFETY: until the call has begun the body is nobody else's.
                let Body::Receive(block, more) = (unsafe { &mut *body }) else {
                    return Err(io::ErrorKind::InvalidInput.into());
                };
                let first = block.as_mut_slice();
                let most = size.min(first.len());
                let mut into: [*mut [u8]; MOST_PIECES] = [&mut first[..most]; MOST_PIECES];
                for (into, block) in into[1..]
                    .iter_mut()
                    .zip(more.iter_mut().flat_map(|it| it.iter_mut()))
                {
                    *into = block.as_mut_slice();
                }
                self.standing.add(overlapped, fd.as_raw_fd(), count);
                // SAFETY: the queue keeps the blocks until it is home.
                unsafe { self.sys.begin_receive(fd, &into[..count], overlapped) }
            });
        let (operation, outcome) = match begun {
            Ok(one) => {
                port.iocp.receiving.filling = Some(one);
                return Filling::Stands;
            }
            Err(over) => over,
        };
        self.standing.remove(operation.name());
        let Body::Receive(block, more) = operation.body else {
            return Filling::Refused;
        };
        match outcome {
            // The system has no memory to lock: a probe needs none.
            Err(error) if stands && error.raw_os_error() == Some(WinSock::WSAENOBUFS) => {
                Filling::Refused
            }
            outcome => Filling::Done(told(block, more, outcome)),
        }
    }

    /// Takes note of what a receive brought.
    fn filled(&self, port: &mut Port, completion: Completion) -> Completion {
        port.flags.set(Flags::RECEIVING, false);
        let Completion::Received { mut result, .. } = completion else {
            return completion;
        };
        let receiving = &mut port.iocp.receiving;
        let len = result.as_ref().map_or(0, Received::len);
        receiving.lively = len > 0;
        receiving.full = len >= BlockClass::K64.capacity();
        match &result {
            Ok(Received::Bytes(..) | Received::Many(..)) => {
                if port.kind == PortKind::Tcp {
                    port.judge_bulk(len);
                }
            }
            Ok(Received::End) => {
                // The kernel told it to the probe, and not once more.
                let mut trouble = receiving.trouble.take();
                if trouble.is_none() && wine::lost_a_reset(port.fd_ref()) {
                    trouble = Some(WinSock::WSAECONNRESET);
                }
                if let Some(error) = trouble {
                    result = Err(io::Error::from_raw_os_error(error));
                }
            }
            Err(_) => {}
        }
        Completion::Received {
            result,
            armed: false,
        }
    }

    /// Asks to be told when something is there; `true` if it is already.
    fn probe(&self, port: &mut Port) -> io::Result<bool> {
        let operation = Operation::new(port.token, Body::Probe);
        // Where a message would be lost by it, it is only looked at.
        let peek = port.kind == PortKind::Socket;
        let fd = port.fd_ref();
        let begun = self
            .queue
            .begin(operation, port.iocp.skips, |_, overlapped| {
                // SAFETY: the queue keeps the operation until it is home.
                unsafe { self.sys.begin_probe(fd, peek, overlapped) }
            });
        match begun {
            Ok(_) => {
                port.iocp.receiving.probing = true;
                Ok(false)
            }
            Err((_, outcome)) => {
                outcome?;
                port.ready = port.ready.with(Readiness::READ);
                Ok(true)
            }
        }
    }
}

/// How a receive with a block began.
enum Filling {
    Done(Completion),
    Stands,
    Refused,
}

/// The receives that stand with a block, of all streams of a backend.
#[derive(Debug, Default)]
pub(super) struct Standing {
    blocks: AtomicUsize,
    rounds: Mutex<Rounds>,
}

#[derive(Debug, Default)]
struct Rounds {
    /// By the address of their OVERLAPPED, which is nobody else's until they
    /// are home and removed.
    receives: HashMap<usize, Stand>,
    number: u32,
    next: Option<Instant>,
}

#[derive(Debug)]
struct Stand {
    socket: RawFd,
    since: u32,
    blocks: usize,
}

impl Standing {
    fn has_room(&self) -> bool {
        self.blocks.load(Ordering::Relaxed) < MOST_STANDING
    }

    fn add(&self, name: *const OVERLAPPED, socket: RawFd, blocks: usize) {
        self.blocks.fetch_add(blocks, Ordering::Relaxed);
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let stand = Stand {
            socket,
            since: rounds.number,
            blocks,
        };
        rounds.receives.insert(name.addr(), stand);
    }

    pub(super) fn remove(&self, name: *const OVERLAPPED) {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stand) = rounds.receives.remove(&name.addr()) {
            self.blocks.fetch_sub(stand.blocks, Ordering::Relaxed);
        }
    }

    /// How long a wait may last: until the next round while some stand.
    pub(super) fn patience(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.blocks.load(Ordering::Relaxed) == 0 {
            return limit;
        }
        Some(limit.map_or(ROUND, |limit| limit.min(ROUND)))
    }

    /// Takes those back that stand since before the last round, when the time
    /// has come.
    pub(super) fn look_round(&self, sys: &Sys) {
        if self.blocks.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = Instant::now();
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        match rounds.next {
            Some(next) if next > now => return,
            _ => rounds.next = Some(now + ROUND),
        }
        rounds.number = rounds.number.wrapping_add(1);
        let number = rounds.number;
        for (name, stand) in &mut rounds.receives {
            if number.wrapping_sub(stand.since) >= 2 {
                let name = std::ptr::without_provenance(*name);
                // One that is over already is on its way home.
                let _ = sys.cancel(stand.socket, name);
                stand.since = number;
            }
        }
    }
}
