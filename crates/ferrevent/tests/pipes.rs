//! Pipes between streams, when one of them is in trouble.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{PATIENCE, Recorder, Works, listen, on_every_backend, random_bytes, until};
use ferrevent::{Address, CloseReason, Stream};

fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

/// The bytes wait because the other end of the pipe takes no more for now.
#[test]
fn a_reset_behind_bytes_that_wait_for_a_pipe_is_told() {
    // Far more than the upstream's kernel and the pipe's other end take.
    const PIECES: usize = 50;
    const PIECE: usize = 15_000;
    on_every_backend(|events| {
        let (back, mut upstream) = common::local_pair();
        upstream.set_nonblocking(true).unwrap();
        let back = events
            .context()
            .adopt(back.into(), |_: &mut Stream<'_>| ())
            .unwrap();
        let front = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&front);
        let (handler, record) = Recorder::with(move |stream, what| {
            if what == "opened" {
                let mut config = *stream.config();
                config.input.high = 2 * PIECES * PIECE;
                stream.configure(config);
                assert!(stream.pipe(&back));
                *kept.lock().unwrap() = Some(stream.handle());
            }
        });
        let mut handler = Some(handler);
        let to = listen(events, &"127.0.0.1:0".parse().unwrap(), move || {
            handler.take().unwrap()
        });
        let mut peer = tcp(&to);
        until(events, "the accept", || front.lock().unwrap().is_some());
        let front = front.lock().unwrap().take().unwrap();
        let piece = random_bytes(PIECE, 12);
        for sent in 1..=PIECES {
            peer.write_all(&piece).unwrap();
            let end = Instant::now() + PATIENCE;
            while events.context().transferred(&front) != Some(((sent * PIECE) as u64, 0)) {
                assert!(Instant::now() < end, "{}", events.dump());
                events.run_for(Duration::from_micros(200)).unwrap();
            }
        }
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        // The reset is to arrive before the upstream reads on.
        events.run_for(Duration::from_millis(20)).unwrap();
        let mut piece = vec![0; 100_000];
        until(events, "the reset", || {
            while matches!(upstream.read(&mut piece), Ok(1..)) {}
            record.see().reason.is_some()
        });
        assert!(matches!(
            record.see().reason,
            Some(CloseReason::Failed { .. })
        ));
    });
}
