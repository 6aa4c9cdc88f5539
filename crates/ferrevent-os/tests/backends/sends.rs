//! Sends.

use std::io::{ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent_os::sys::is_canceled;
use ferrevent_os::{Completion, OpKind, PortKind, Token};

use crate::rig::{LOCAL, PATIENCE, local_pair, on_every_backend, send_of};

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
