//! The boundary itself: what every backend promises about an operation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod receives;
mod rig;
mod sends;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use ferrevent_os::sys::fd::AsRawFd;
use ferrevent_os::sys::is_canceled;
use ferrevent_os::{Completion, Event, Op, PortKind, Readiness, Received, SockAddr, Token, What};

use rig::{LOCAL, PATIENCE, Rig, local_pair, on_every_backend, send_of};

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
