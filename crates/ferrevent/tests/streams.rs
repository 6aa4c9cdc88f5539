//! How streams behave, on every backend and transport.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Recorder, Works, addresses, listen, on_every_backend, random_bytes, until};
use ferrevent::{
    Address, BackendKind, Buffer, CloseReason, Handler, Stream, StreamConfig, Timeout, WriteError,
};

fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

#[test]
fn an_echo_loses_nothing_and_closes_after_the_last_byte() {
    on_every_backend(|events| {
        for address in addresses("echo") {
            let sent = random_bytes(3_000_000, 7);
            let server = listen(events, &address, || |stream: &mut Stream<'_>| stream.echo());
            let mut left = sent.clone();
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" || what == "writable" {
                    let n = left.len().min(100_000);
                    if n > 0 {
                        let piece: Vec<u8> = left.drain(..n).collect();
                        stream.write(&piece).unwrap();
                    } else {
                        stream.finish_write();
                    }
                }
            });
            events.connect(server, recorder).unwrap();
            until(events, "the close", || record.see().reason.is_some());
            let record = record.see();
            assert!(record.bytes == sent);
            assert!(matches!(record.reason, Some(CloseReason::Finished)));
            assert_eq!(record.log, ["opened", "readable", "ended", "closed"]);
        }
    });
}

#[test]
fn writes_before_the_connection_stands_are_sent() {
    on_every_backend(|events| {
        for address in addresses("early") {
            let (server, seen) = Recorder::new();
            let mut server = Some(server);
            let to = listen(events, &address, move || server.take().unwrap());
            let (client, _) = Recorder::new();
            let handle = events.connect(to, client).unwrap();
            handle.write(&b"early"[..]).unwrap();
            handle.finish_write();
            until(events, "the bytes", || seen.see().reason.is_some());
            assert_eq!(seen.see().bytes, b"early");
        }
    });
}

#[test]
fn a_slow_reader_bounds_what_is_held() {
    on_every_backend(|events| {
        let simulated = matches!(events.backend_kind(), BackendKind::Simulated(_));
        let receives = if simulated { 8 } else { 1 };
        let address = listen(events, &"127.0.0.1:0".parse().unwrap(), move || {
            move |stream: &mut Stream<'_>| {
                stream.echo();
                let held = stream.output().len() + stream.input().len();
                // The high mark, and what one receive may add to it: several
                // where a kernel goes on receiving before it hears of a cancel.
                assert!(
                    held <= 256 * 1024 + receives * 80 * 1024,
                    "{held} bytes held"
                );
            }
        });
        let mut peer = tcp(&address);
        peer.set_nonblocking(true).unwrap();
        let bytes = random_bytes(1 << 20, 3);
        let mut sent = Vec::new();
        // Push until nothing moves any more: everybody is full.
        let mut idle = 0;
        while idle < 20 {
            match peer.write(&bytes) {
                Ok(n) => {
                    sent.extend_from_slice(&bytes[..n]);
                    idle = 0;
                }
                Err(_) => idle += 1,
            }
            events.run_for(Duration::from_millis(2)).unwrap();
        }
        assert!(sent.len() > 256 * 1024);
        peer.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        until(events, "the echo", || {
            let mut piece = vec![0; 1 << 20];
            match peer.read(&mut piece) {
                Ok(0) => return true,
                Ok(n) => back.extend_from_slice(&piece[..n]),
                Err(_) => {}
            }
            false
        });
        assert!(back == sent);
    });
}

#[test]
fn half_close_keeps_the_other_direction() {
    on_every_backend(|events| {
        for address in addresses("half") {
            struct Late;
            impl Handler for Late {
                fn readable(&mut self, stream: &mut Stream<'_>) {
                    stream.input().clear().unwrap();
                }
                fn ended(&mut self, stream: &mut Stream<'_>) {
                    stream.write(&[b'x'; 500_000]).unwrap();
                    stream.finish_write();
                }
            }
            let to = listen(events, &address, || Late);
            let (client, record) = Recorder::with(|stream, what| {
                if what == "opened" {
                    stream.write(b"request").unwrap();
                    stream.finish_write();
                    assert_eq!(stream.write(b"more"), Err(WriteError::Finished));
                }
            });
            events.connect(to, client).unwrap();
            until(events, "the answer", || record.see().reason.is_some());
            assert_eq!(record.see().bytes.len(), 500_000);
            assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
        }
    });
}

#[test]
fn a_pipe_relays_both_ways_and_passes_ends_on() {
    on_every_backend(|events| {
        let upstream = listen(events, &"127.0.0.1:0".parse().unwrap(), || {
            |stream: &mut Stream<'_>| stream.echo()
        });
        let relay = listen(events, &"127.0.0.1:0".parse().unwrap(), move || {
            let upstream = upstream.clone();
            struct Front(Address);
            impl Handler for Front {
                fn opened(&mut self, stream: &mut Stream<'_>) {
                    // Its bytes may come before the pipe stands.
                    let back = stream
                        .context()
                        .connect(&self.0, |_: &mut Stream<'_>| ())
                        .unwrap();
                    assert!(stream.pipe(&back));
                }
                fn readable(&mut self, _: &mut Stream<'_>) {
                    unreachable!("it is piped");
                }
            }
            Front(upstream)
        });
        let sent = random_bytes(2_000_000, 11);
        let (client, record) = {
            let sent = sent.clone();
            Recorder::with(move |stream, what| {
                if what == "opened" {
                    stream
                        .write_buffer(&mut Buffer::from(sent.clone()))
                        .unwrap();
                    stream.finish_write();
                }
            })
        };
        events.connect(relay, client).unwrap();
        until(events, "the relay's end", || record.see().reason.is_some());
        assert!(record.see().bytes == sent);
        assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
    });
}

#[test]
fn out_of_band_data_strands_nothing() {
    on_every_backend(|events| {
        let (server, record) = Recorder::new();
        let mut server = Some(server);
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), move || {
            server.take().unwrap()
        });
        let peer = socket2::Socket::from(tcp(&to));
        until(events, "the accept", || !record.see().log.is_empty());
        peer.send(b"abc").unwrap();
        peer.send_out_of_band(b"!").unwrap();
        peer.send(b"defgh").unwrap();
        until(events, "the bytes behind the mark", || {
            record.see().bytes == b"abcdefgh"
        });
    });
}

/// A descriptor that comes along stops a read short of what follows it, which
/// must not be taken for the end of what is there.
#[test]
fn passed_descriptors_strand_nothing() {
    on_every_backend(|events| {
        let (near, far) = UnixStream::pair().unwrap();
        let (recorder, record) = Recorder::new();
        events.context().adopt(near.into(), recorder).unwrap();
        until(events, "the opening", || !record.see().log.is_empty());
        let far = socket2::SockRef::from(&far);
        let mut expected = Vec::new();
        for round in 0..20 {
            // Before, with and after a descriptor, all there before the loop turns.
            for (bytes, passes) in [
                (&b"abc"[..], false),
                (b"defgh", true),
                (b"ij", round % 2 == 0),
            ] {
                let control = if passes { rights(1) } else { Vec::new() };
                let slices = [IoSlice::new(bytes)];
                let message = socket2::MsgHdr::new()
                    .with_buffers(&slices)
                    .with_control(&control);
                assert_eq!(far.sendmsg(&message, 0).unwrap(), bytes.len());
                expected.extend_from_slice(bytes);
            }
            until(events, "the rest", || {
                record.see().bytes.len() == expected.len()
            });
        }
        assert_eq!(record.see().bytes, expected);
    });
}

/// A control message that passes one descriptor (cmsg(3), unix(7)): length,
/// level, type, the descriptor, and padding.
fn rights(fd: i32) -> Vec<u8> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    let header = size_of::<usize>() + 8;
    let mut control = (header + 4).to_ne_bytes().to_vec();
    for word in [SOL_SOCKET, SCM_RIGHTS, fd] {
        control.extend_from_slice(&word.to_ne_bytes());
    }
    control.resize((header + 4).next_multiple_of(size_of::<usize>()), 0);
    control
}

#[test]
fn a_reset_is_told_as_a_failure_after_the_bytes() {
    on_every_backend(|events| {
        let (server, record) = Recorder::new();
        let mut server = Some(server);
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), move || {
            server.take().unwrap()
        });
        let mut peer = tcp(&to);
        peer.write_all(b"last words").unwrap();
        until(events, "the bytes", || record.see().bytes == b"last words");
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        until(events, "the reset", || record.see().reason.is_some());
        assert!(matches!(
            record.see().reason,
            Some(CloseReason::Failed { .. })
        ));
    });
}

#[test]
fn an_unreachable_address_is_told_with_its_name() {
    on_every_backend(|events| {
        // Bound and closed again, so that nobody listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (client, record) = Recorder::new();
        events.connect(address.into(), client).unwrap();
        until(events, "the refusal", || record.see().reason.is_some());
        let record = record.see();
        assert_eq!(record.log, ["closed"]);
        let text = record.reason.as_ref().unwrap().to_string();
        assert!(text.contains(&address.to_string()), "{text}");
    });
}

#[test]
fn a_name_is_resolved_off_the_loop() {
    on_every_backend(|events| {
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), || {
            |stream: &mut Stream<'_>| stream.echo()
        });
        let Address::Socket(bound) = to else {
            panic!("no socket address")
        };
        let (client, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.write(b"hi").unwrap();
                stream.finish_write();
            }
        });
        let name = Address::Name("localhost".into(), bound.port());
        events.connect(name, client).unwrap();
        until(events, "the echo", || record.see().reason.is_some());
        assert_eq!(record.see().bytes, b"hi");
    });
}

#[test]
fn time_limits_are_told_and_close() {
    on_every_backend(|events| {
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), || {
            |stream: &mut Stream<'_>| stream.echo()
        });
        let (client, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.configure(StreamConfig {
                    read_timeout: Some(Duration::from_millis(20)),
                    ..StreamConfig::DEFAULT
                });
            }
        });
        events.connect(to, client).unwrap();
        until(events, "the timeout", || record.see().reason.is_some());
        assert!(matches!(
            record.see().reason,
            Some(CloseReason::TimedOut(Timeout::Read))
        ));
    });
}

#[test]
fn a_panic_ends_its_own_stream_and_no_other() {
    on_every_backend(|events| {
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), || {
            |stream: &mut Stream<'_>| {
                assert!(stream.input().chunk() != b"bad", "a bad request");
                stream.echo();
            }
        });
        let client = |text: &'static [u8]| {
            Recorder::with(move |stream, what| {
                if what == "opened" {
                    stream.write(text).unwrap();
                }
            })
        };
        let (bad, bad_record) = client(b"bad");
        let (good, good_record) = client(b"good");
        events.connect(to.clone(), bad).unwrap();
        events.connect(to, good).unwrap();
        until(events, "both", || {
            bad_record.see().reason.is_some() && good_record.see().bytes == b"good"
        });
    });
}

#[test]
fn handles_reach_streams_from_other_threads_and_are_refused_late() {
    on_every_backend(|events| {
        let (one, record) = Recorder::new();
        let (a, b) = events.context().pair(one, |_: &mut Stream<'_>| ()).unwrap();
        let writer = b.clone();
        let thread = std::thread::spawn(move || {
            for piece in 0..100_u8 {
                writer.write(vec![piece; 1000]).unwrap();
            }
            writer.finish();
        });
        until(events, "the end", || record.see().reason.is_some());
        thread.join().unwrap();
        let expected: Vec<u8> = (0..100_u8).flat_map(|piece| vec![piece; 1000]).collect();
        assert!(record.see().bytes == expected);
        until(events, "the other end", || a.is_closed() && b.is_closed());
        let refused = a.write(&b"late"[..]).unwrap_err();
        assert_eq!(refused.reason, WriteError::Closed);
        assert_eq!(refused.bytes.len(), 4);
    });
}

#[test]
fn a_handle_past_its_limit_gives_the_bytes_back() {
    on_every_backend(|events| {
        let at_work = events.is_pool();
        let (a, _b) = events
            .context()
            .pair(|_: &mut Stream<'_>| (), |_: &mut Stream<'_>| ())
            .unwrap();
        let mut taken = 0;
        let refused = loop {
            match a.write(vec![1; 100_000]) {
                Ok(waiting) => {
                    taken += 100_000;
                    // A pool delivers meanwhile.
                    assert!(waiting == taken || (at_work && waiting < taken));
                }
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.reason, WriteError::Full);
        assert_eq!(refused.bytes.len(), 100_000);
        // What its peer and the kernel hold comes to what waits.
        let most = if at_work {
            3 << 20
        } else {
            1024 * 1024 + 100_000
        };
        assert!((1024 * 1024..most).contains(&taken), "{taken} taken");
    });
}

#[test]
fn a_handler_may_do_anything_anywhere() {
    // Every action in every callback, against its own stream and its peer.
    const CALLBACKS: [&str; 5] = ["opened", "readable", "writable", "ended", "closed"];
    on_every_backend(|events| {
        for at in CALLBACKS {
            for action in 0..7 {
                let done = Arc::new(AtomicBool::new(false));
                let (one, record) = Recorder::with({
                    let done = Arc::clone(&done);
                    move |stream, what| {
                        if what != at || done.swap(true, Ordering::Relaxed) {
                            return;
                        }
                        let own = stream.handle();
                        match action {
                            0 => stream.close(),
                            1 => stream.finish(),
                            2 => drop(stream.write(b"more")),
                            3 => stream.pause(),
                            4 => drop(own.close()),
                            5 => drop(own.write(&b"by handle"[..])),
                            _ => stream.finish_write(),
                        }
                    }
                });
                let (two, _) = Recorder::with(|stream, what| {
                    if what == "readable" {
                        let _ = stream.write(b"answer");
                    }
                });
                let (a, b) = events.context().pair(one, two).unwrap();
                let _ = a.write(&b"question"[..]);
                events.run_for(Duration::from_millis(1)).unwrap();
                b.finish();
                events.run_for(Duration::from_millis(1)).unwrap();
                a.close();
                b.close();
                until(events, "the close", || a.is_closed() && b.is_closed());
                assert!(record.see().reason.is_some(), "{at}, action {action}");
            }
        }
    });
}
