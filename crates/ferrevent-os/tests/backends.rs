//! The boundary itself: what every backend promises about an operation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferrevent_core::buffer::Buffer;
use ferrevent_os::sys::fd::{AsRawFd, OwnedFd};
use ferrevent_os::sys::{Clock, FaultPlan, Sys, is_canceled};
use ferrevent_os::{
    Backend, BackendKind, Completion, Event, Op, OpKind, Port, PortKind, Readiness, Received,
    SockAddr, Token, Waiter, What,
};

/// No test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend and its one waiter.
struct Rig {
    backend: Backend,
    waiter: Waiter,
    /// What a receive that goes on brought beyond what was asked for.
    more: VecDeque<Completion>,
}

/// Runs a test on every backend: calm, in a storm, and as several workers share it.
fn on_every_backend(test: impl Fn(&mut Rig)) {
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
    fn events(&mut self, limit: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        self.backend
            .wait(&mut self.waiter, Some(limit), &mut events)
            .unwrap();
        events
    }

    /// What the first wait brings that brings something: one that a signal
    /// interrupts brings nothing.
    fn some_events(&mut self) -> Vec<Event> {
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
    fn turn(&mut self, port: &mut Port) -> Vec<Completion> {
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
    fn finish(&mut self, port: &mut Port, at_once: Option<Completion>) -> Completion {
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
    fn quiet(&mut self, port: &mut Port) {
        for _ in 0..10 {
            let completions = self.turn(port);
            assert!(completions.is_empty(), "unasked: {completions:?}");
        }
    }

    /// Receives until `len` bytes have come or the peer ends.
    fn receive(&mut self, port: &mut Port, len: usize) -> Vec<u8> {
        self.receive_more(port, len, &mut false)
    }

    /// The same; `armed` tells, before and after, whether a receive goes on.
    fn receive_more(&mut self, port: &mut Port, len: usize, armed: &mut bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at_once = if *armed {
                None
            } else {
                self.backend.submit(port, Op::Receive)
            };
            match self.finish(port, at_once) {
                Completion::Received {
                    result: Ok(Received::Bytes(block, len)),
                    armed: on,
                } => {
                    bytes.extend_from_slice(&block.as_slice()[..len]);
                    *armed = on;
                }
                Completion::Received {
                    result: Ok(Received::End),
                    ..
                } => break,
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
    fn fill(&mut self, port: &mut Port) -> usize {
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

    fn open(&self, fd: impl Into<OwnedFd>, kind: PortKind, token: Token) -> Port {
        let fd = fd.into();
        ferrevent_os::socket::make_nonblocking(self.backend.sys(), &fd).unwrap();
        self.backend.open(fd, kind, token)
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Two connected sockets of the kind that loops join their own streams by.
#[cfg(unix)]
fn local_pair() -> (
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixStream,
) {
    std::os::unix::net::UnixStream::pair().unwrap()
}

#[cfg(windows)]
fn local_pair() -> (TcpStream, TcpStream) {
    tcp_pair()
}

/// Their kind.
const LOCAL: PortKind = if cfg!(unix) {
    PortKind::Unix
} else {
    PortKind::Tcp
};

fn send_of(bytes: &[u8]) -> Op {
    Op::Send(Buffer::from(bytes).pin(usize::MAX, 16))
}

#[test]
fn a_receive_waits_for_bytes_and_brings_them_all() {
    on_every_backend(|rig| {
        let (near, mut far) = tcp_pair();
        let mut port = rig.open(near, PortKind::Tcp, Token(7));
        assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
        rig.quiet(&mut port);
        far.write_all(b"hello").unwrap();
        let first = rig.finish(&mut port, None);
        let Completion::Received {
            result: Ok(Received::Bytes(block, len)),
            armed,
        } = first
        else {
            panic!("{first:?}");
        };
        let mut bytes = block.as_slice()[..len].to_vec();
        if !armed {
            // Whatever is still there waits to be asked for.
            rig.quiet(&mut port);
        }
        let missing = 5 - bytes.len();
        if armed {
            while bytes.len() < 5 {
                match rig.finish(&mut port, None) {
                    Completion::Received {
                        result: Ok(Received::Bytes(block, len)),
                        ..
                    } => bytes.extend_from_slice(&block.as_slice()[..len]),
                    other => panic!("{other:?}"),
                }
            }
        } else {
            bytes.extend(rig.receive(&mut port, missing));
        }
        assert_eq!(bytes, b"hello");
        rig.backend.close(port);
    });
}

#[test]
fn an_end_comes_after_the_last_byte() {
    on_every_backend(|rig| {
        for round in 0..20 {
            let (near, mut far) = tcp_pair();
            let mut port = rig.open(near, PortKind::Tcp, Token(7));
            let sent = vec![round; 100_000];
            let own = sent.clone();
            let sender = thread::spawn(move || far.write_all(&own).map(|()| drop(far)));
            assert!(rig.receive(&mut port, usize::MAX) == sent);
            sender.join().unwrap().unwrap();
            rig.backend.close(port);
        }
    });
}

/// Both come while a receive waits, and before anybody looks: one wake-up is
/// all there is.
#[test]
fn an_end_that_comes_with_the_last_byte_is_told() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(3));
        let mut at_once = rig.backend.submit(&mut port, Op::Receive);
        let early = rig.turn(&mut port);
        rig.more.extend(early);
        far.write_all(b"all").unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        loop {
            let Completion::Received { result, armed } = rig.finish(&mut port, at_once.take())
            else {
                panic!("not a receive");
            };
            match result {
                Ok(Received::Bytes(block, len)) => {
                    bytes.extend_from_slice(&block.as_slice()[..len]);
                }
                Ok(Received::End) => break,
                // A storm takes the buffers away.
                Err(error) => assert!(is_canceled(&error), "{error}"),
            }
            if !armed {
                at_once = rig.backend.submit(&mut port, Op::Receive);
            }
        }
        assert_eq!(bytes, b"all");
        rig.backend.close(port);
    });
}

#[test]
fn a_receive_that_completes_at_once_is_told_what_comes_later() {
    on_every_backend(|rig| {
        // A socket of no known kind is watched level by level.
        for kind in [LOCAL, PortKind::Socket] {
            let (near, mut far) = local_pair();
            let mut port = rig.open(near, kind, Token(7));
            assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
            let at_once = rig.backend.cancel(&mut port, OpKind::Receive);
            let canceled = rig.finish(&mut port, at_once);
            assert!(matches!(
                canceled,
                Completion::Received { result: Err(error), .. } if is_canceled(&error)
            ));
            far.write_all(b"a").unwrap();
            // The event comes while nobody receives.
            rig.quiet(&mut port);
            let later = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                far.write_all(b"b").map(|()| far)
            });
            assert_eq!(rig.receive(&mut port, 2), b"ab");
            later.join().unwrap().unwrap();
            rig.backend.close(port);
        }
    });
}

#[test]
fn a_send_completes_with_what_was_taken() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(7));
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 3) as u8).collect();
        let reader = thread::spawn(move || {
            // Late, so that the kernel's buffer fills first.
            thread::sleep(Duration::from_millis(20));
            let mut seen = Vec::new();
            far.read_to_end(&mut seen).map(|_| seen)
        });
        let mut at = 0;
        while at < sent.len() {
            let at_once = rig.backend.submit(&mut port, send_of(&sent[at..]));
            match rig.finish(&mut port, at_once) {
                Completion::Sent(Ok(taken)) => {
                    assert!(taken > 0 && taken <= sent.len() - at);
                    at += taken;
                }
                other => panic!("{other:?}"),
            }
        }
        rig.quiet(&mut port);
        rig.backend.shutdown_write(&port).unwrap();
        assert!(reader.join().unwrap().unwrap() == sent);
        rig.backend.close(port);
    });
}

#[test]
fn a_send_to_a_peer_that_left_fails() {
    on_every_backend(|rig| {
        let (near, far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(7));
        drop(far);
        // TCP learns of it by the answer to what is sent first.
        let end = Instant::now() + PATIENCE;
        let error = loop {
            assert!(Instant::now() < end, "every send succeeds");
            let at_once = rig.backend.submit(&mut port, send_of(b"lost"));
            match rig.finish(&mut port, at_once) {
                Completion::Sent(Err(error)) => break error,
                Completion::Sent(Ok(_)) => assert_ne!(LOCAL, PortKind::Unix),
                other => panic!("{other:?}"),
            }
        };
        let kinds = [
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
        ];
        let kinds = if cfg!(unix) { &kinds[..1] } else { &kinds };
        assert!(kinds.contains(&error.kind()), "{error:?}");
        rig.backend.close(port);
    });
}

#[test]
fn a_canceled_receive_completes_once_and_loses_nothing() {
    on_every_backend(|rig| {
        for (late, warm) in [(false, false), (true, false), (false, true), (true, true)] {
            let (near, mut far) = local_pair();
            let mut port = rig.open(near, LOCAL, Token(7));
            let mut armed = false;
            if warm {
                // Where it makes a difference, the next receive is that of a
                // stream that is at work.
                far.write_all(b"warm").unwrap();
                let bytes = rig.receive_more(&mut port, 4, &mut armed);
                assert_eq!(bytes, b"warm");
            }
            if !armed {
                assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
            }
            if late {
                // The bytes race the cancel.
                far.write_all(b"race").unwrap();
            }
            let at_once = rig.backend.cancel(&mut port, OpKind::Receive);
            let mut bytes = Vec::new();
            let mut completion = rig.finish(&mut port, at_once);
            loop {
                let Completion::Received { result, armed } = completion else {
                    panic!("{completion:?}");
                };
                match result {
                    Ok(Received::Bytes(block, len)) => {
                        bytes.extend_from_slice(&block.as_slice()[..len]);
                    }
                    Ok(end) => panic!("{end:?}"),
                    Err(error) => assert!(is_canceled(&error), "{error}"),
                }
                if !armed {
                    break;
                }
                completion = rig.finish(&mut port, None);
            }
            rig.quiet(&mut port);
            if !late {
                far.write_all(b"race").unwrap();
            }
            let missing = 4 - bytes.len();
            bytes.extend(rig.receive(&mut port, missing));
            assert_eq!(bytes, b"race");
            assert!(rig.backend.cancel(&mut port, OpKind::Send).is_none());
            rig.backend.close(port);
        }
    });
}

/// A backend may ask the kernel in another way once a stream has been quiet for
/// a while.
#[test]
fn a_receive_that_waits_for_long_brings_what_comes() {
    on_every_backend(|rig| {
        let (near, mut far) = tcp_pair();
        let mut port = rig.open(near, PortKind::Tcp, Token(7));
        let mut armed = false;
        for (rest, sent) in [(0, b"first"), (0, b"again"), (400, b"later"), (0, b"ended")] {
            if !std::mem::replace(&mut armed, true) {
                let at_once = rig.backend.submit(&mut port, Op::Receive);
                rig.more.extend(at_once);
            }
            let end = Instant::now() + Duration::from_millis(rest);
            while Instant::now() < end {
                let early = rig.turn(&mut port);
                rig.more.extend(early);
            }
            far.write_all(sent).unwrap();
            let bytes = rig.receive_more(&mut port, sent.len(), &mut armed);
            assert_eq!(bytes, sent);
        }
        rig.backend.close(port);
    });
}

/// The kernel tells of a reset once: whoever took that for the end of a
/// canceled receive would take what follows for the peer's own end.
#[test]
fn a_reset_that_races_a_cancel_is_told() {
    on_every_backend(|rig| {
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut port = rig.open(listener.accept().unwrap().0, PortKind::Tcp, Token(7));
            assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
            rig.quiet(&mut port);
            socket2::SockRef::from(&far)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(far);
            let mut at_once = rig.backend.cancel(&mut port, OpKind::Receive);
            loop {
                let completion = rig.finish(&mut port, at_once.take());
                match completion {
                    Completion::Received {
                        result: Err(error), ..
                    } if is_canceled(&error) => {
                        at_once = rig.backend.submit(&mut port, Op::Receive);
                    }
                    Completion::Received {
                        result: Err(error), ..
                    } => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                        break;
                    }
                    // Wine's server asks for the error itself (SO_ERROR) when a
                    // socket is polled that has one.
                    Completion::Received {
                        result: Ok(Received::End),
                        ..
                    } if cfg!(windows) && is_polled(rig.backend.kind()) => break,
                    other => panic!("{other:?}"),
                }
            }
            rig.backend.close(port);
        }
    });
}

fn is_polled(kind: BackendKind) -> bool {
    matches!(kind, BackendKind::Poll | BackendKind::Simulated(_))
}

#[test]
fn connections_are_made_taken_and_refused() {
    on_every_backend(|rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SockAddr::from(listener.local_addr().unwrap());
        let mut listening = rig.open(listener, PortKind::Listener, Token(7));
        let fresh = |rig: &Rig| {
            let fd =
                ferrevent_os::socket::for_connecting(rig.backend.sys(), &address, None).unwrap();
            rig.backend.open(fd, PortKind::Tcp, Token(8))
        };
        let mut client = fresh(rig);
        let at_once = rig
            .backend
            .submit(&mut client, Op::Connect(Box::new(address.clone())));
        match rig.finish(&mut client, at_once) {
            Completion::Connected(Ok(())) => {}
            other => panic!("{other:?}"),
        }
        let at_once = rig.backend.submit(&mut listening, Op::Accept);
        match rig.finish(&mut listening, at_once) {
            Completion::Accepted {
                result: Ok(accepted),
                ..
            } => assert_eq!(
                ferrevent_os::socket::peer(&accepted.fd),
                ferrevent_os::socket::local(&client)
            ),
            other => panic!("{other:?}"),
        }
        rig.backend.close(client);
        rig.backend.close(listening);
        let mut client = fresh(rig);
        let at_once = rig
            .backend
            .submit(&mut client, Op::Connect(Box::new(address.clone())));
        match rig.finish(&mut client, at_once) {
            Completion::Connected(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
        rig.backend.close(client);
    });
}

#[test]
fn a_closed_port_is_heard_of_no_more_by_a_new_one() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(7));
        assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
        let _ = rig.backend.submit(&mut port, send_of(b"gone"));
        let _ = far.write_all(b"too late");
        rig.backend.close(port);
        // Very likely the same descriptor number, and another token.
        let (near, mut far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(9));
        assert!(rig.backend.submit(&mut port, Op::Receive).is_none());
        rig.quiet(&mut port);
        far.write_all(b"new").unwrap();
        match rig.finish(&mut port, None) {
            Completion::Received {
                result: Ok(Received::Bytes(block, len)),
                ..
            } => assert!(b"new".starts_with(&block.as_slice()[..len])),
            other => panic!("{other:?}"),
        }
        rig.backend.close(port);
    });
}

#[test]
fn what_is_in_flight_goes_on_when_another_thread_waits() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        let mut port = rig.open(near, LOCAL, Token(8));
        // The kernel takes no more: a send is on its way, and a receive.
        while let Some(told) = rig.backend.submit(&mut port, Op::Receive) {
            // A storm takes the buffers away.
            match told {
                Completion::Received { result, .. } => assert!(is_canceled(&result.unwrap_err())),
                other => panic!("nothing was sent: {other:?}"),
            }
        }
        let sent = rig.fill(&mut port);
        thread::scope(|scope| {
            scope.spawn(|| {
                let told = rig.turn(&mut port);
                rig.more.extend(told);
                let mut seen = vec![0; sent];
                far.read_exact(&mut seen).unwrap();
                let taken = match rig.finish(&mut port, None) {
                    Completion::Sent(Ok(taken)) => taken,
                    other => panic!("{other:?}"),
                };
                let mut seen = vec![0; taken];
                far.read_exact(&mut seen).unwrap();
                far.write_all(b"answer").unwrap();
                match rig.finish(&mut port, None) {
                    Completion::Received {
                        result: Ok(Received::Bytes(block, len)),
                        ..
                    } => {
                        let bytes = &block.as_slice()[..len];
                        assert!(!bytes.is_empty() && b"answer".starts_with(bytes));
                    }
                    other => panic!("{other:?}"),
                }
                rig.backend.close(port);
            });
        });
    });
}

/// A poll tells of the peer's end whatever it is asked for, so a send that
/// waits for room must not wait for that.
#[test]
fn a_send_to_a_peer_that_has_ended_waits_and_goes_on() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let mut port = rig.open(near, LOCAL, Token(9));
        assert!(rig.receive(&mut port, 1).is_empty(), "the peer has ended");
        for _ in 0..3 {
            let sent = rig.fill(&mut port);
            far.read_exact(&mut vec![0; sent]).unwrap();
            let taken = match rig.finish(&mut port, None) {
                Completion::Sent(Ok(taken)) => taken,
                other => panic!("{other:?}"),
            };
            far.read_exact(&mut vec![0; taken]).unwrap();
        }
        rig.fill(&mut port);
        let canceled = match rig.backend.cancel(&mut port, OpKind::Send) {
            Some(completion) => completion,
            None => rig.finish(&mut port, None),
        };
        match canceled {
            Completion::Sent(Err(error)) => assert!(is_canceled(&error), "{error}"),
            // The system found room after all.
            Completion::Sent(Ok(taken)) => assert!(taken > 0),
            other => panic!("{other:?}"),
        }
        rig.quiet(&mut port);
        rig.backend.close(port);
    });
}

#[test]
fn a_wake_ends_a_wait_on_any_thread() {
    on_every_backend(|rig| {
        let backend = &rig.backend;
        let waiter = &mut rig.waiter;
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                backend.wake().unwrap();
            });
            let mut events = Vec::new();
            let start = Instant::now();
            while !events
                .iter()
                .any(|event: &Event| matches!(event.what, What::Wake))
            {
                assert!(start.elapsed() < PATIENCE, "nobody woke it");
                backend.wait(waiter, Some(PATIENCE), &mut events).unwrap();
            }
        });
        // One that comes before the wait is not lost.
        rig.backend.wake().unwrap();
        let events = rig.some_events();
        assert!(events.iter().any(|event| matches!(event.what, What::Wake)));
    });
}

#[test]
fn a_watch_tells_until_it_ends() {
    on_every_backend(|rig| {
        let (near, mut far) = local_pair();
        let fd = near.as_raw_fd();
        rig.backend
            .watch(fd, Token(3), Readiness::READ, false)
            .unwrap();
        let again = rig.backend.watch(fd, Token(3), Readiness::READ, false);
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(rig.events(Duration::ZERO).is_empty());
        far.write_all(b"x").unwrap();
        for _ in 0..3 {
            let events = rig.some_events();
            let told = events.iter().any(|event| {
                event.token == Token(3)
                    && matches!(event.what, What::Ready(ready) if ready.any(Readiness::READ))
            });
            assert!(told, "level-triggered means as long as it lasts");
            rig.backend
                .took(fd, Token(3), Readiness::READ, false)
                .unwrap();
        }
        rig.backend
            .rewatch(fd, Token(4), Readiness::WRITE, false)
            .unwrap();
        let events = rig.some_events();
        assert!(events.iter().all(|event| event.token == Token(4)) && !events.is_empty());
        rig.backend.unwatch(fd).unwrap();
        assert!(rig.events(Duration::ZERO).is_empty());
        let gone = rig.backend.unwatch(fd).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    });
}
