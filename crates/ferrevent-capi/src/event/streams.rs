//! Sockets whose bytes the engine moves, by operations that the kernel
//! completes: what bufferevents have under them on a base that was made with
//! `EVENT_BASE_FLAG_STARTUP_IOCP`.
//!
//! Such a socket has a stream of the engine. A bufferevent's two events are not
//! watched then: the one for reading becomes active when the stream has bytes,
//! an end or an error for it, the one for writing when everything that was
//! handed over has been sent. So all else, marks, timeouts, priorities,
//! pauses, is as it is over a descriptor. Bytes that were handed over stay in
//! the bufferevent's output until the kernel has done with them.
//!
//! The descriptor is the bufferevent's: the engine gives it back, and never
//! closes it.

use std::collections::HashMap;
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferrevent::engine::Run;
use ferrevent::{Buffer, CloseReason, StreamConfig};
use ferrevent_core::stream::StreamEvent;
use ferrevent_os::sys::fd::AsFd;
use ferrevent_os::{PortKind, SockAddr, Token};

use super::base::Inner;
use super::{Base, Ev, flag, what};
use crate::system::{self, Socket};

/// The two events of a bufferevent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) read: Ev,
    pub(crate) write: Ev,
}

/// By the keys of the streams.
#[derive(Debug, Default)]
pub(super) struct Streams(HashMap<u64, Moved>);

#[derive(Debug)]
struct Moved {
    ends: Ends,
    /// Bytes that were handed over, and those of them of which was told that
    /// they were sent.
    handed: u64,
    told: u64,
    over: Option<Over>,
}

/// What is left of one that the engine has no more.
#[derive(Debug)]
struct Over {
    input: Buffer,
    sent: u64,
    failure: c_int,
}

impl Streams {
    pub(super) fn ends(&self) -> impl Iterator<Item = Ends> {
        self.0.values().map(|it| it.ends)
    }
}

/// The directions of a bufferevent have nothing to do with each other.
const CONFIG: StreamConfig = StreamConfig {
    coupled: false,
    ..StreamConfig::DEFAULT
};

/// What a stream can be over: a connection that stands. All else is watched.
fn kind_of(fd: &impl AsFd) -> Option<PortKind> {
    let kind = PortKind::of(fd);
    let stands = match kind {
        PortKind::Tcp => ferrevent_os::socket::peer(fd).is_some(),
        PortKind::Unix => true,
        _ => false,
    };
    stands.then_some(kind)
}

/// The error that C knows; 0 for an end that is none.
fn failure_of(reason: &CloseReason) -> c_int {
    match reason {
        CloseReason::Failed { error, .. } => error.raw_os_error().unwrap_or(system::ECONNRESET),
        _ => 0,
    }
}

impl Inner {
    fn adopt(&mut self, fd: Socket, ends: Ends, peer: Option<SocketAddr>) -> Option<u64> {
        // SAFETY: it is open, and only looked at.
        let kind = peer
            .is_none()
            .then(|| kind_of(&unsafe { system::borrow(fd) }));
        // SAFETY: the descriptor is lent to the engine, which gives it back.
        let lend = || unsafe { system::lend(fd) };
        let token = match (peer, kind.flatten()) {
            (Some(peer), _) => {
                let peer = SockAddr::from(peer);
                self.engine
                    .connect_over(lend(), PortKind::Tcp, peer, ends)?
            }
            (None, Some(kind)) => self.engine.add_stream(lend(), kind, ends)?,
            (None, None) => return None,
        };
        self.engine.with_stream(token, |stream, now| {
            stream.machine.configure(now, CONFIG);
            stream.machine.pause();
        });
        let moved = Moved {
            ends,
            handed: 0,
            told: 0,
            over: None,
        };
        self.streams.0.insert(token.0, moved);
        self.notify();
        Some(token.0)
    }

    /// Whether an event of a stream's is to be told from now on.
    pub(super) fn heed(&mut self, ev: Ev, heeded: bool) {
        let token = Token(ev.stream());
        let reads = ev.waits_for(what::READ);
        // With that it is run in the next turn, and says what it has.
        let there = self.engine.with_stream(token, |stream, _| match heeded {
            true if reads => stream.machine.resume(),
            false if reads => stream.machine.pause(),
            _ => {}
        });
        if there.is_none() && heeded {
            self.put_off(ev, ev.events() & what::IO);
        }
    }

    /// Has a stream work, and tells its two events what has come of it.
    pub(super) fn run_stream(&mut self, run: Run<Ends>) {
        let (ends, writable) = self.work(run);
        if writable && ends.write.is(flag::INSERTED) {
            self.activate(ends.write, what::WRITE, 1);
        }
    }

    /// As above, but for the event for writing: answers whether it is to be told.
    fn work(&mut self, mut run: Run<Ends>) -> (Ends, bool) {
        let backend = Arc::clone(self.engine.backend());
        let mut over = None;
        while let Some(stream) = run.advance(&backend) {
            while let Some(event) = stream.machine.next_event() {
                if let StreamEvent::Closed(reason) = event {
                    over = Some(Over {
                        input: std::mem::take(stream.machine.input()),
                        sent: stream.machine.sent_bytes(),
                        failure: failure_of(&reason),
                    });
                }
            }
        }
        let stream = run.stream();
        let (key, ends) = (stream.token().0, stream.owner);
        if over.is_some()
            && let Some(fd) = stream.release(&backend)
        {
            system::give_back(fd);
        }
        let machine = &mut stream.machine;
        let broke = over.is_some() || machine.broken().is_some();
        let readable = broke || machine.has_ended() || !machine.input().is_empty();
        let writable = broke || !machine.is_connecting() && machine.output().is_empty();
        self.engine.put_back(run);
        if over.is_some()
            && let Some(moved) = self.streams.0.get_mut(&key)
        {
            moved.over = over;
        }
        if readable && ends.read.is(flag::INSERTED) {
            self.activate(ends.read, what::READ, 1);
        }
        (ends, writable)
    }

    /// Takes a stream from the engine.
    fn end_stream(&mut self, key: u64) {
        self.streams.0.remove(&key);
        let Some(mut run) = self.engine.take(Token(key)) else {
            return;
        };
        let backend = Arc::clone(self.engine.backend());
        let stream = run.stream();
        if let Some(fd) = stream.release(&backend) {
            system::give_back(fd);
        }
        stream.machine.close(CloseReason::Closed);
        while stream.machine.next_event().is_some() {}
        self.engine.put_back(run);
    }

    pub(super) fn end_all_streams(&mut self) {
        for key in self.streams.0.keys().copied().collect::<Vec<_>>() {
            self.end_stream(key);
        }
    }
}

/// For bufferevents, whose lock is held.
impl Base {
    /// Whether it moves the bytes of bufferevents.
    pub(crate) fn moves_bytes(self) -> bool {
        self.hold().moves_bytes
    }

    /// Moves a socket's bytes from now on, first connecting it to a peer if
    /// one is given. Its two events are told.
    pub(crate) fn move_bytes(self, fd: Socket, ends: Ends, peer: Option<SocketAddr>) {
        if let Some(key) = self.hold().adopt(fd, ends, peer) {
            ends.read.set_stream(key);
            ends.write.set_stream(key);
        }
    }

    /// Moves them no more: what was received and not taken is lost, and so is
    /// what was handed over and not sent.
    pub(crate) fn stop_moving(self, ends: Ends) {
        let mut held = self.hold();
        let key = ends.read.stream();
        if key != 0 {
            held.end_stream(key);
            ends.read.set_stream(0);
            ends.write.set_stream(0);
        }
    }

    /// What has come, at most so much. Nothing is the peer's end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has come, or why nothing more comes.
    pub(crate) fn take_received(self, key: u64, most: usize) -> io::Result<Buffer> {
        let mut held = self.hold();
        let mut taken = Buffer::new();
        if let Some(over) = held.over(key) {
            if over.input.is_empty() && over.failure != 0 {
                return Err(io::Error::from_raw_os_error(over.failure));
            }
            let _ = over.input.move_to(&mut taken, most);
            return Ok(taken);
        }
        let outcome = held.engine.with_stream(Token(key), |stream, _| {
            let machine = &mut stream.machine;
            if machine.input().is_empty() {
                return match machine.broken().map(failure_of) {
                    Some(failure) if failure != 0 => Err(io::Error::from_raw_os_error(failure)),
                    _ if machine.has_ended() => Ok(()),
                    _ => Err(io::ErrorKind::WouldBlock.into()),
                };
            }
            let _ = machine.input().move_to(&mut taken, most);
            Ok(())
        });
        outcome.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
        Ok(taken)
    }

    /// How much was sent since this was asked last, and what has gone wrong.
    pub(crate) fn take_sent(self, key: u64) -> (usize, Option<io::Error>) {
        let mut held = self.hold();
        let (sent, failure) = match held.over(key) {
            Some(over) => (over.sent, over.failure),
            None => {
                let look = held.engine.stream(Token(key)).map(|stream| {
                    let machine = &stream.machine;
                    (machine.sent_bytes(), machine.broken().map_or(0, failure_of))
                });
                look.unwrap_or_default()
            }
        };
        let failure = (failure != 0).then(|| io::Error::from_raw_os_error(failure));
        let Some(moved) = held.streams.0.get_mut(&key) else {
            return (0, failure);
        };
        let fresh = usize::try_from(sent.saturating_sub(moved.told)).unwrap_or(0);
        moved.told = sent.max(moved.told);
        (fresh, failure)
    }

    /// Whether nothing is under way of what was handed over.
    pub(crate) fn sent_all(self, key: u64) -> bool {
        let held = self.hold();
        held.streams
            .0
            .get(&key)
            .is_none_or(|it| it.handed == it.told || it.over.is_some())
    }

    /// Hands bytes over to be sent, which begins at once.
    pub(crate) fn send_moved(self, key: u64, mut bytes: Buffer) {
        let mut held = self.hold();
        let length = bytes.len() as u64;
        let taken = held.engine.with_stream(Token(key), |stream, _| {
            stream.machine.output().append_buffer(&mut bytes).is_ok()
        });
        if taken == Some(true)
            && let Some(moved) = held.streams.0.get_mut(&key)
        {
            moved.handed += length;
        }
        if let Some(run) = held.engine.take(Token(key)) {
            let (ends, _) = held.work(run);
            // The caller looks what has been sent; others have their turn first.
            if ends.write.is(flag::INSERTED) {
                held.engine.queue_stream(Token(key));
            }
        }
        held.notify();
    }

    /// What came of connecting: an error or 0, or `None` while that is open.
    pub(crate) fn connect_outcome(self, key: u64) -> Option<c_int> {
        let mut held = self.hold();
        if let Some(over) = held.over(key) {
            return Some(over.failure);
        }
        let stream = held.engine.stream(Token(key));
        stream
            .is_none_or(|it| !it.machine.is_connecting())
            .then_some(0)
    }
}

impl Inner {
    fn over(&mut self, key: u64) -> Option<&mut Over> {
        self.streams.0.get_mut(&key)?.over.as_mut()
    }
}
