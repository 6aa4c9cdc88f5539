//! A backend and what its tests do with it.

use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferrevent_core::buffer::Buffer;
use ferrevent_os::sys::fd::OwnedFd;
use ferrevent_os::sys::{Clock, FaultPlan, Sys, is_canceled};
use ferrevent_os::{
    Backend, BackendKind, Completion, Event, Op, Port, PortKind, Received, Token, Waiter,
};

/// No test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A backend and its one waiter.
pub(crate) struct Rig {
    pub(crate) backend: Backend,
    pub(crate) waiter: Waiter,
    /// What a receive that goes on brought beyond what was asked for.
    pub(crate) more: VecDeque<Completion>,
}

/// Runs a test on every backend: calm, in a storm, and as several workers share it.
pub(crate) fn on_every_backend(test: impl Fn(&mut Rig)) {
    let given = std::env::var("FERREVENT_STORM").ok();
    let seed = given.and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let more = (2..8).map(BackendKind::Simulated);
    for kind in BackendKind::ALL.iter().copied().chain(more) {
        for (storm, shared) in [(None, false), (Some(seed), false), (None, true)] {
            let name = format!("{kind}, storm {storm:?}, shared {shared}");
            eprintln!("-- on {name}");
            let plan = storm.map(FaultPlan::storm).map(Arc::new);
            let sys = Sys::new(Clock::real(), plan);
            let backend = if shared {
                Backend::new_shared(kind, sys).unwrap()
            } else {
                Backend::new(kind, sys).unwrap()
            };
            let waiter = backend.waiter();
            let replay = Replay(name, seed);
            test(&mut Rig {
                backend,
                waiter,
                more: VecDeque::new(),
            });
            drop(replay);
        }
    }
}

/// Says how to run a test again, should it panic.
struct Replay(String, u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or_default().to_owned();
            eprintln!(
                "-- it failed on: {}\n-- again: FERREVENT_STORM={} cargo test -p ferrevent-os \
                 --test backends -- --exact {name} --nocapture",
                self.0, self.1
            );
        }
    }
}

impl Rig {
    pub(crate) fn events(&mut self, limit: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        self.backend
            .wait(&mut self.waiter, Some(limit), &mut events)
            .unwrap();
        events
    }

    /// What the first wait brings that brings something: one that a signal
    /// interrupts brings nothing.
    pub(crate) fn some_events(&mut self) -> Vec<Event> {
        let end = Instant::now() + PATIENCE;
        loop {
            let events = self.events(PATIENCE);
            if !events.is_empty() {
                return events;
            }
            assert!(Instant::now() < end, "nothing is told");
        }
    }

    /// What a wait brings for one port.
    pub(crate) fn turn(&mut self, port: &mut Port) -> Vec<Completion> {
        let mut completions = Vec::new();
        for event in self.events(Duration::from_millis(2)) {
            if event.token == port.token() {
                self.backend
                    .event(port, event.what, &mut |one| completions.push(one));
            }
        }
        completions
    }

    /// The completion of an operation that was just submitted, or the next
    /// one of a receive that goes on.
    pub(crate) fn finish(&mut self, port: &mut Port, at_once: Option<Completion>) -> Completion {
        let end = Instant::now() + PATIENCE;
        if let Some(completion) = at_once.or_else(|| self.more.pop_front()) {
            return completion;
        }
        while self.more.is_empty() {
            assert!(Instant::now() < end, "the operation never completes");
            let completions = self.turn(port);
            let final_ones = completions
                .iter()
                .filter(|one| !matches!(one, Completion::Received { armed: true, .. }));
            assert!(
                final_ones.count() <= 1,
                "it completes twice: {completions:?}"
            );
            self.more.extend(completions);
        }
        self.more.pop_front().unwrap()
    }

    /// Nothing more is told of this port.
    pub(crate) fn quiet(&mut self, port: &mut Port) {
        for _ in 0..10 {
            let completions = self.turn(port);
            assert!(completions.is_empty(), "unasked: {completions:?}");
        }
    }

    /// Receives until `len` bytes have come or the peer ends.
    pub(crate) fn receive(&mut self, port: &mut Port, len: usize) -> Vec<u8> {
        self.receive_more(port, len, &mut false)
    }

    /// The same; `armed` tells, before and after, whether a receive goes on.
    pub(crate) fn receive_more(
        &mut self,
        port: &mut Port,
        len: usize,
        armed: &mut bool,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at_once = if *armed {
                None
            } else {
                self.backend.submit(port, Op::Receive)
            };
            match self.finish(port, at_once) {
                Completion::Received {
                    result: Ok(Received::End),
                    ..
                } => break,
                Completion::Received {
                    result: Ok(received),
                    armed: on,
                } => {
                    let mut came = Buffer::new();
                    received.append_to(&mut came).unwrap();
                    bytes.extend(came.take_vec(came.len()).unwrap());
                    *armed = on;
                }
                // A storm takes the buffers away.
                Completion::Received {
                    result: Err(error), ..
                } if *armed && is_canceled(&error) => *armed = false,
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    /// Sends until a send has to wait; how many bytes went before that one.
    pub(crate) fn fill(&mut self, port: &mut Port) -> usize {
        let piece = vec![5; 100_000];
        let mut sent = 0;
        loop {
            let at_once = self.backend.submit(port, send_of(&piece));
            let mut completions: Vec<_> = at_once.into_iter().collect();
            for _ in 0..25 {
                if completions.is_empty() {
                    completions = self.turn(port);
                }
            }
            match completions.pop() {
                Some(Completion::Sent(Ok(taken))) => sent += taken,
                None => return sent,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn open(&self, fd: impl Into<OwnedFd>, kind: PortKind, token: Token) -> Port {
        let fd = fd.into();
        ferrevent_os::socket::make_nonblocking(self.backend.sys(), &fd).unwrap();
        self.backend.open(fd, kind, token)
    }
}

pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Two connected sockets of the kind that loops join their own streams by.
#[cfg(unix)]
pub(crate) fn local_pair() -> (
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixStream,
) {
    std::os::unix::net::UnixStream::pair().unwrap()
}

#[cfg(windows)]
pub(crate) fn local_pair() -> (TcpStream, TcpStream) {
    tcp_pair()
}

/// Their kind.
pub(crate) const LOCAL: PortKind = if cfg!(unix) {
    PortKind::Unix
} else {
    PortKind::Tcp
};

pub(crate) fn send_of(bytes: &[u8]) -> Op {
    Op::Send(Buffer::from(bytes).pin(usize::MAX, 16))
}
