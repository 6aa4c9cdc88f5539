//! How streams behave: what every backend and transport must do, calm, in a
//! storm, and when any one call fails.
//!
//! A scenario demands its usual outcome of the rig, which lets it off once a
//! fault was told by an error. What a handler may never see, it asserts.

mod limits;
mod listeners;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrevent::{
    Activity, Address, BackendKind, Buffer, CloseReason, Handler, Stream, StreamConfig, WriteError,
};

use crate::common::ledger::{ON_PURPOSE, Watcher};
pub(crate) use limits::{
    a_limited_echo_loses_nothing_and_is_never_too_fast, limits_change_while_bytes_move,
};
pub(crate) use listeners::{
    listeners_share_an_allowance_and_the_others_wait,
    peers_that_leave_before_they_are_taken_harm_nobody, what_does_not_listen_is_no_listener,
};

use crate::common::{Outcome, Recorder, Rig, addresses, random_bytes};

/// Hands the name of every scenario to a macro.
macro_rules! for_each_scenario {
    ($work:ident) => {
        $work! {
            an_echo_loses_nothing_and_closes_after_the_last_byte
            writes_before_the_connection_stands_are_sent
            a_slow_reader_bounds_what_is_held
            half_close_keeps_the_other_direction
            a_pipe_relays_both_ways_and_passes_ends_on
            out_of_band_data_strands_nothing
            passed_descriptors_strand_nothing
            a_reset_is_told_as_a_failure_after_the_bytes
            an_unreachable_address_is_told_with_its_name
            a_name_is_resolved_off_the_loop
            time_limits_are_told_and_close
            a_panic_ends_its_own_stream_and_no_other
            handles_reach_streams_from_other_threads_and_are_refused_late
            a_handle_past_its_limit_gives_the_bytes_back
            a_handler_may_do_anything_anywhere
            listeners_share_an_allowance_and_the_others_wait
            peers_that_leave_before_they_are_taken_harm_nobody
            what_does_not_listen_is_no_listener
            a_limited_echo_loses_nothing_and_is_never_too_fast
            limits_change_while_bytes_move
        }
    };
}
pub(crate) use for_each_scenario;

fn any() -> Address {
    Address::Socket(([127, 0, 0, 1], 0).into())
}

fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

/// Closes a connection without a goodbye.
fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

pub(crate) fn an_echo_loses_nothing_and_closes_after_the_last_byte(rig: &mut Rig) -> Outcome {
    for address in addresses("echo") {
        let sent = random_bytes(rig.much(3_000_000), 7);
        let server = rig.listen(&address, || |stream: &mut Stream<'_>| stream.echo())?;
        let mut left = sent.clone();
        let (recorder, record) = Recorder::with(move |stream, what| {
            if what == "opened" || what == "writable" {
                let n = left.len().min(100_000);
                if n > 0 {
                    let piece: Vec<u8> = left.drain(..n).collect();
                    let _ = stream.write(&piece);
                } else {
                    stream.finish_write();
                }
            }
        });
        rig.connect(server, recorder)?;
        rig.until("the close", || record.see().reason.is_some())?;
        rig.demand_bytes(&record.bytes(), &sent)?;
        rig.demand(record.finished(), "it finished")?;
        let log = record.log();
        let order = log == ["opened", "readable", "ended", "closed"];
        rig.demand(order, &format!("the order of {log:?}"))?;
    }
    Ok(())
}

pub(crate) fn writes_before_the_connection_stands_are_sent(rig: &mut Rig) -> Outcome {
    for address in addresses("early") {
        let (server, seen) = Recorder::new();
        let mut server = Some(server);
        let to = rig.listen(&address, move || server.take().unwrap())?;
        let (client, _) = Recorder::new();
        let handle = rig.connect(to, client)?;
        let _ = handle.write(&b"early"[..]);
        handle.finish_write();
        rig.until("the bytes", || seen.see().reason.is_some())?;
        rig.demand_bytes(&seen.bytes(), b"early")?;
    }
    Ok(())
}

pub(crate) fn a_slow_reader_bounds_what_is_held(rig: &mut Rig) -> Outcome {
    let uncapped = std::env::var("FERREVENT_URING_WITHOUT").is_ok();
    let most = match rig.backend_kind() {
        BackendKind::Simulated(_) => 8 * 80 * 1024,
        // A kernel that knows no cap fills up to 32 buffers at a go, and goes
        // on until it hears of the cancel.
        kind if kind.to_string() == "uring" && uncapped => 4 * 1024 * 1024,
        _ => 80 * 1024,
    };
    let address = rig.listen(&any(), move || {
        move |stream: &mut Stream<'_>| {
            stream.echo();
            let held = stream.output().len() + stream.input().len();
            // The high mark, and what one receive may add to it: several
            // where a kernel goes on receiving before it hears of a cancel.
            assert!(held <= 256 * 1024 + most, "{held} bytes held");
        }
    })?;
    let mut peer = tcp(&address);
    peer.set_nonblocking(true).unwrap();
    let bytes = random_bytes(1 << 20, 3);
    let idle_turns = if rig.is_tortured() { 3 } else { 20 };
    let mut sent = Vec::new();
    // Push until nothing moves any more: everybody is full.
    let mut idle = 0;
    while idle < idle_turns {
        match peer.write(&bytes) {
            Ok(n) => {
                sent.extend_from_slice(&bytes[..n]);
                idle = 0;
            }
            Err(_) => idle += 1,
        }
        rig.run_for(Duration::from_millis(2))?;
    }
    rig.demand(sent.len() > 256 * 1024, "the peer was let send")?;
    let _ = peer.shutdown(Shutdown::Write);
    let mut back = Vec::new();
    let outcome = rig.until("the echo", || {
        let mut piece = vec![0; 1 << 20];
        match peer.read(&mut piece) {
            Ok(0) => return true,
            Ok(n) => back.extend_from_slice(&piece[..n]),
            Err(_) => {}
        }
        false
    });
    rig.demand_bytes(&back, &sent)?;
    outcome?;
    Ok(())
}

pub(crate) fn half_close_keeps_the_other_direction(rig: &mut Rig) -> Outcome {
    for address in addresses("half") {
        struct Late(usize);
        impl Handler for Late {
            fn readable(&mut self, stream: &mut Stream<'_>) {
                stream.input().clear().unwrap();
            }
            fn ended(&mut self, stream: &mut Stream<'_>) {
                let _ = stream.write(&vec![b'x'; self.0]);
                stream.finish_write();
            }
        }
        let much = rig.much(500_000);
        let to = rig.listen(&address, move || Late(much))?;
        let (client, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                let _ = stream.write(b"request");
                stream.finish_write();
                assert!(stream.write(b"more").is_err(), "it was finished");
            }
        });
        rig.connect(to, client)?;
        rig.until("the answer", || record.see().reason.is_some())?;
        rig.demand_bytes(&record.bytes(), &vec![b'x'; much])?;
        rig.demand(record.finished(), "it finished")?;
    }
    Ok(())
}

pub(crate) fn a_pipe_relays_both_ways_and_passes_ends_on(rig: &mut Rig) -> Outcome {
    let upstream = rig.listen(&any(), || |stream: &mut Stream<'_>| stream.echo())?;
    let watcher = rig.watcher();
    let relay = rig.listen(&any(), move || {
        struct Front(Address, Watcher);
        impl Handler for Front {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                // Its bytes may come before the pipe stands.
                let back = self.1.watch("the way back", |_: &mut Stream<'_>| ());
                match stream.context().connect(&self.0, back) {
                    Ok(back) => assert!(stream.pipe(&back)),
                    Err(error) => stream.close_because(CloseReason::Failed {
                        during: Activity::Connect,
                        error,
                    }),
                }
            }
            fn readable(&mut self, _: &mut Stream<'_>) {
                unreachable!("it is piped");
            }
        }
        Front(upstream.clone(), watcher.clone())
    })?;
    let sent = random_bytes(rig.much(2_000_000), 11);
    let (client, record) = {
        let sent = sent.clone();
        Recorder::with(move |stream, what| {
            if what == "opened" {
                let _ = stream.write_buffer(&mut Buffer::from(sent.clone()));
                stream.finish_write();
            }
        })
    };
    rig.connect(relay, client)?;
    rig.until("the relay's end", || record.see().reason.is_some())?;
    rig.demand_bytes(&record.bytes(), &sent)?;
    rig.demand(record.finished(), "it finished")?;
    Ok(())
}

pub(crate) fn out_of_band_data_strands_nothing(rig: &mut Rig) -> Outcome {
    let (server, record) = Recorder::new();
    let mut server = Some(server);
    let to = rig.listen(&any(), move || server.take().unwrap())?;
    let peer = socket2::Socket::from(tcp(&to));
    rig.until("the accept", || !record.see().log.is_empty())?;
    let _ = peer.send(b"abc");
    let _ = peer.send_out_of_band(b"!");
    let _ = peer.send(b"defgh");
    rig.until("the bytes behind the mark", || {
        record.see().bytes == b"abcdefgh"
    })?;
    Ok(())
}

/// A descriptor that comes along stops a read short of what follows it, which
/// must not be taken for the end of what is there.
#[cfg(unix)]
pub(crate) fn passed_descriptors_strand_nothing(rig: &mut Rig) -> Outcome {
    let (near, far) = crate::common::local_pair();
    let (recorder, record) = Recorder::new();
    rig.adopt(near.into(), recorder)?;
    rig.until("the opening", || !record.see().log.is_empty())?;
    let far = socket2::SockRef::from(&far);
    let mut expected = Vec::new();
    for round in 0..rig.much(20).max(2) {
        // Before, with and after a descriptor, all there before the loop turns.
        for (bytes, passes) in [
            (&b"abc"[..], false),
            (b"defgh", true),
            (b"ij", round % 2 == 0),
        ] {
            let control = if passes { rights(1) } else { Vec::new() };
            let slices = [std::io::IoSlice::new(bytes)];
            let message = socket2::MsgHdr::new()
                .with_buffers(&slices)
                .with_control(&control);
            let sent = far.sendmsg(&message, 0);
            rig.demand(sent.is_ok_and(|sent| sent == bytes.len()), "it was sent")?;
            expected.extend_from_slice(bytes);
        }
        rig.until("the rest", || record.see().bytes.len() == expected.len())?;
    }
    rig.demand_bytes(&record.bytes(), &expected)?;
    Ok(())
}

/// A control message that passes one descriptor (cmsg(3), unix(7)): length,
/// level, type, the descriptor, and padding.
#[cfg(unix)]
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

/// Windows passes no descriptors so.
#[cfg(windows)]
pub(crate) fn passed_descriptors_strand_nothing(_: &mut Rig) -> Outcome {
    eprintln!("not run: sockets do not pass descriptors on Windows");
    Ok(())
}

pub(crate) fn a_reset_is_told_as_a_failure_after_the_bytes(rig: &mut Rig) -> Outcome {
    let (server, record) = Recorder::new();
    let mut server = Some(server);
    let to = rig.listen(&any(), move || server.take().unwrap())?;
    let mut peer = tcp(&to);
    let _ = peer.write_all(b"last words");
    rig.until("the bytes", || record.see().bytes == b"last words")?;
    reset(peer);
    rig.until("the reset", || record.see().reason.is_some())?;
    rig.demand(record.failed(), "it failed")?;
    Ok(())
}

pub(crate) fn an_unreachable_address_is_told_with_its_name(rig: &mut Rig) -> Outcome {
    // Bound and closed again, so that nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (client, record) = Recorder::new();
    rig.connect(address.into(), client)?;
    rig.until("the refusal", || record.see().reason.is_some())?;
    let only = record.log() == ["closed"];
    rig.demand(only, "it was closed and nothing else")?;
    let text = record.reason();
    rig.demand(text.contains(&address.to_string()), &text)?;
    Ok(())
}

pub(crate) fn a_name_is_resolved_off_the_loop(rig: &mut Rig) -> Outcome {
    let to = rig.listen(&any(), || |stream: &mut Stream<'_>| stream.echo())?;
    let Address::Socket(bound) = to else {
        panic!("no socket address")
    };
    let (client, record) = Recorder::with(|stream, what| {
        if what == "opened" {
            let _ = stream.write(b"hi");
            stream.finish_write();
        }
    });
    let name = Address::Name("localhost".into(), bound.port());
    rig.connect(name, client)?;
    rig.until("the echo", || record.see().reason.is_some())?;
    rig.demand_bytes(&record.bytes(), b"hi")?;
    Ok(())
}

pub(crate) fn time_limits_are_told_and_close(rig: &mut Rig) -> Outcome {
    let to = rig.listen(&any(), || |stream: &mut Stream<'_>| stream.echo())?;
    let (client, record) = Recorder::with(|stream, what| {
        if what == "opened" {
            stream.configure(StreamConfig {
                read_timeout: Some(Duration::from_millis(20)),
                ..StreamConfig::DEFAULT
            });
        }
    });
    rig.connect(to, client)?;
    rig.until("the timeout", || record.see().reason.is_some())?;
    let reason = record.reason();
    rig.demand(reason == "timed out waiting for data", &reason)?;
    Ok(())
}

pub(crate) fn a_panic_ends_its_own_stream_and_no_other(rig: &mut Rig) -> Outcome {
    let to = rig.listen(&any(), || {
        |stream: &mut Stream<'_>| {
            assert!(stream.input().chunk() != b"bad", "{ON_PURPOSE}");
            stream.echo();
        }
    })?;
    let client = |text: &'static [u8]| {
        Recorder::with(move |stream, what| {
            if what == "opened" {
                let _ = stream.write(text);
            }
        })
    };
    let (bad, bad_record) = client(b"bad");
    let (good, good_record) = client(b"good");
    rig.connect(to.clone(), bad)?;
    rig.connect(to, good)?;
    rig.until("both", || {
        bad_record.see().reason.is_some() && good_record.see().bytes == b"good"
    })?;
    Ok(())
}

pub(crate) fn handles_reach_streams_from_other_threads_and_are_refused_late(
    rig: &mut Rig,
) -> Outcome {
    let (one, record) = Recorder::new();
    let (a, b) = rig.pair(one, |_: &mut Stream<'_>| ())?;
    let writer = b.clone();
    let thread = std::thread::spawn(move || {
        for piece in 0..100_u8 {
            let _ = writer.write(vec![piece; 1000]);
        }
        writer.finish();
    });
    let outcome = rig.until("the end", || record.see().reason.is_some());
    thread.join().unwrap();
    outcome?;
    let expected: Vec<u8> = (0..100_u8).flat_map(|piece| vec![piece; 1000]).collect();
    rig.demand_bytes(&record.bytes(), &expected)?;
    rig.until("the other end", || a.is_closed() && b.is_closed())?;
    let refused = a.write(&b"late"[..]).unwrap_err();
    assert_eq!(refused.reason, WriteError::Closed);
    assert_eq!(refused.bytes.len(), 4);
    Ok(())
}

pub(crate) fn a_handle_past_its_limit_gives_the_bytes_back(rig: &mut Rig) -> Outcome {
    const LIMIT: usize = 1024 * 1024;
    let at_work = rig.is_pool();
    let (a, _b) = rig.pair(|_: &mut Stream<'_>| (), |_: &mut Stream<'_>| ())?;
    let mut taken = 0;
    let refused = loop {
        match a.write(vec![1; 100_000]) {
            Ok(waiting) => {
                taken += 100_000;
                // A pool delivers meanwhile; how much of it the kernel holds
                // is the kernel's own matter.
                assert!(waiting == taken || (at_work && waiting < taken));
                // What is being handed over may count twice.
                assert!(waiting < 2 * LIMIT, "{waiting} bytes wait");
            }
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.bytes.len(), 100_000);
    // A pool may meet a failing call meanwhile, and close it.
    let why = format!("refused: {:?}", refused.reason);
    rig.demand(refused.reason == WriteError::Full, &why)?;
    rig.demand(taken >= LIMIT, &format!("{taken} bytes taken"))?;
    Ok(())
}

pub(crate) fn a_handler_may_do_anything_anywhere(rig: &mut Rig) -> Outcome {
    // Every action in every callback, against its own stream and its peer.
    const CALLBACKS: [&str; 5] = ["opened", "readable", "writable", "ended", "closed"];
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
            let (a, b) = rig.pair(one, two)?;
            let _ = a.write(&b"question"[..]);
            rig.run_for(Duration::from_millis(1))?;
            b.finish();
            rig.run_for(Duration::from_millis(1))?;
            a.close();
            b.close();
            rig.until("the close", || a.is_closed() && b.is_closed())?;
            let told = record.see().reason.is_some();
            rig.demand(told, &format!("closed, {at}, action {action}"))?;
        }
    }
    Ok(())
}
