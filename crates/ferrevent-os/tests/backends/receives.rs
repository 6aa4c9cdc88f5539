//! Receives.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent_os::sys::is_canceled;
use ferrevent_os::{Completion, Op, OpKind, PortKind, Received, Token};

use crate::rig::{LOCAL, local_pair, on_every_backend, tcp_pair};

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

/// Its owner has room, and the peer is ahead: however many blocks a receive
/// takes, what comes is in order.
#[test]
fn much_comes_in_order() {
    on_every_backend(|rig| {
        let (near, mut far) = tcp_pair();
        let mut port = rig.open(near, PortKind::Tcp, Token(7));
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 3) as u8).collect();
        let all = sent.clone();
        let writer = thread::spawn(move || far.write_all(&all));
        let mut came = Vec::new();
        let mut armed = false;
        while came.len() < sent.len() {
            port.expect_much(true);
            let more = rig.receive_more(&mut port, 1, &mut armed);
            assert!(!more.is_empty(), "it ends after {} bytes", came.len());
            came.extend_from_slice(&more);
        }
        writer.join().unwrap().unwrap();
        assert!(came == sent);
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
                Ok(many @ Received::Many(..)) => {
                    panic!("{many:?}, and room for so much was not told")
                }
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
                    other => panic!("{other:?}"),
                }
            }
            rig.backend.close(port);
        }
    });
}
