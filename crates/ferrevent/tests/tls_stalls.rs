//! What is reported of libevent's TLS: stalls, losses, ends that are not
//! clean. Each on every backend, loop and pool; the numbers are libevent's.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use certificates::authority;
use common::{Recorder, Works, on_every_backend, random_bytes, until};
use ferrevent::filter::{Filter, Pass};
use ferrevent::tls::TlsError;
use ferrevent::{CloseReason, Handler, Stream, Watermarks};
use secure::{client, connect_tls, listen_tls, once, over, server, tcp, writer};

/// 854: the last bytes are decrypted, the high mark is reached before they are
/// told, and nothing comes on the wire any more that would bring them up: the
/// peer waits for its answer.
#[test]
fn libevent_854_what_is_decrypted_at_the_high_mark_is_told() {
    let authority = authority();
    on_every_backend(|events| {
        for (high, pauses) in [
            (1, false),
            (100, true),
            (16_384, false),
            (16_384, true),
            (20_000, false),
        ] {
            let sent = random_bytes(3 * high.max(300) + 576, high as u64);
            let (all, low) = (sent.len() as u64, high.min(500));
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" {
                    let mut config = *stream.config();
                    config.input = Watermarks { low: 0, high };
                    config.output.low = low;
                    stream.configure(config);
                } else if what == "readable" && stream.received_bytes() == all {
                    stream.write(b"all of it").unwrap();
                } else if what == "readable" && pauses {
                    let handle = stream.handle();
                    stream.pause();
                    handle.resume();
                }
            });
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let own = sent.clone();
            let (peer, answer) = Recorder::with(move |stream, what| {
                if what == "opened" {
                    stream.write(&own).unwrap();
                } else if what == "readable" && stream.received_bytes() == 9 {
                    stream.finish();
                }
            });
            connect_tls(events, &to, client(authority), "localhost", peer);
            until(events, "both closes", || over(&record) && over(&answer));
            assert!(record.see().bytes == sent, "high mark {high}");
            assert_eq!(answer.see().bytes, b"all of it");
            assert!(record.finished() && answer.finished());
        }
    });
}

/// 690: whoever takes 1,024 bytes or fewer at a time from a stream whose input
/// has reached its high mark is called no more.
#[test]
fn libevent_690_small_sips_at_the_high_mark_stall_nothing() {
    struct Sips {
        most: usize,
        recorder: Recorder,
    }
    impl Handler for Sips {
        fn opened(&mut self, stream: &mut Stream<'_>) {
            let mut config = *stream.config();
            config.input = Watermarks { low: 0, high: 4096 };
            stream.configure(config);
        }
        fn readable(&mut self, stream: &mut Stream<'_>) {
            let sip = stream.input().take_vec(self.most).unwrap();
            self.recorder.record.see().bytes.extend(sip);
            stream.again();
        }
        fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
            self.recorder.closed(stream, reason);
        }
    }
    let authority = authority();
    on_every_backend(|events| {
        for most in [100, 1023, 1024, 1025] {
            let sent = random_bytes(70_000, most as u64);
            let (recorder, record) = Recorder::new();
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(Sips { most, recorder }));
            let (peer, _) = writer(sent.clone(), 30_000);
            connect_tls(events, &to, client(authority), "localhost", peer);
            until(events, "the close", || over(&record));
            assert!(record.see().bytes == sent, "{most} bytes at a time");
            assert!(record.finished(), "{}", record.reason());
        }
    });
}

/// 1439: use after free under limits. Streams that are held back and let go
/// are closed, by themselves and by others, wherever a callback may stand: in
/// the middle of a transfer, of a record, of the handshake. Each is told once;
/// what the others send is whole. (AddressSanitizer runs this too.)
#[test]
fn libevent_1439_a_close_anywhere_frees_once() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        for when in ["opened", "readable", "writable", "sent", "handshake"] {
            for by_handle in [false, true] {
                let (server_end, record) = closes_at(when, by_handle);
                let to = listen_tls(events, &server, once(server_end));
                let (peer, other) = held_back(Recorder::with(|stream, what| {
                    if what == "opened" {
                        stream.write(&[7; 300_000]).unwrap();
                    }
                }));
                let client = client(authority).build().unwrap();
                let config = ferrevent::StreamConfig::DEFAULT;
                let handle = events
                    .context()
                    .connect_tls_with(&to, None, config, &client, "localhost", peer)
                    .unwrap();
                if when == "handshake" {
                    handle.close();
                    until(events, "the close", || over(&other));
                } else {
                    until(events, "both closes", || over(&record) && over(&other));
                    assert!(
                        matches!(record.see().reason, Some(CloseReason::Closed)),
                        "{when}: {}",
                        record.reason()
                    );
                    let closes = record.log().iter().filter(|it| **it == "closed").count();
                    assert_eq!(closes, 1);
                }
            }
        }
    });
}

/// A server's end that sends much, pauses, and closes itself at a callback.
fn closes_at(when: &'static str, by_handle: bool) -> (ClosesAt, common::Shared) {
    let (recorder, record) = Recorder::new();
    let handler = ClosesAt {
        when,
        by_handle,
        recorder,
    };
    (handler, record)
}

struct ClosesAt {
    when: &'static str,
    by_handle: bool,
    recorder: Recorder,
}

impl ClosesAt {
    fn at(&self, stream: &mut Stream<'_>, what: &str) {
        if self.when == what {
            if self.by_handle {
                stream.handle().close();
            } else {
                stream.close();
            }
        } else {
            let handle = stream.handle();
            stream.pause();
            handle.resume();
        }
    }
}

impl Handler for ClosesAt {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        stream.tell_sent(true);
        stream.write(&[8; 200_000]).unwrap();
        self.recorder.opened(stream);
        self.at(stream, "opened");
    }
    fn readable(&mut self, stream: &mut Stream<'_>) {
        self.recorder.readable(stream);
        self.at(stream, "readable");
    }
    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.at(stream, "writable");
    }
    fn sent(&mut self, stream: &mut Stream<'_>) {
        self.at(stream, "sent");
    }
    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.recorder.ended(stream);
    }
    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.recorder.closed(stream, reason);
    }
}

/// The same handler, which stands still for a moment whenever it has read.
fn held_back((mut inner, record): (Recorder, common::Shared)) -> (Recorder, common::Shared) {
    let mut action = std::mem::replace(&mut inner.action, Box::new(|_, _| ()));
    inner.action = Box::new(move |stream, what| {
        action(stream, what);
        if what == "readable" {
            stream.pause();
            let handle = stream.handle();
            let after = Duration::from_micros(50);
            let resumes = stream.context().timer(after, move |_| {
                handle.resume();
            });
            resumes.unwrap();
        }
    });
    (inner, record)
}

/// 1439 again: the whole loop, or pool, goes while transfers run.
#[test]
fn libevent_1439_a_host_dropped_in_the_middle_frees_all() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        let moved = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            let (server_end, _) = closes_at("never", false);
            let to = listen_tls(events, &server, once(server_end));
            let own = Arc::clone(&moved);
            let (peer, _) = held_back(Recorder::with(move |stream, what| {
                if what == "opened" {
                    stream.write(&[9; 500_000]).unwrap();
                } else if what == "readable" {
                    own.store(true, Ordering::Relaxed);
                }
            }));
            connect_tls(events, &to, client(authority), "localhost", peer);
        }
        until(events, "some bytes", || moved.load(Ordering::Relaxed));
        // Now the matrix drops it all.
    });
}

/// 1247: an end without close_notify is told from a clean one.
#[test]
fn libevent_1247_an_end_without_close_notify_is_a_typed_error_unless_allowed() {
    let authority = authority();
    on_every_backend(|events| {
        for allowed in [false, true] {
            let (recorder, record) = Recorder::new();
            let server = server(authority)
                .allow_dirty_shutdown(allowed)
                .build()
                .unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let mut peer = authority.blocking_client(tcp(&to));
            let peer = std::thread::spawn(move || {
                peer.write_all(b"not all").unwrap();
                // The wire ends; TLS does not.
                peer.sock.shutdown(Shutdown::Write).unwrap();
                let _ = peer.read_to_end(&mut Vec::new());
            });
            until(events, "the close", || over(&record));
            let record = record.see();
            assert_eq!(record.bytes, b"not all");
            let reason = record.reason.as_ref().unwrap();
            if allowed {
                assert!(matches!(reason, CloseReason::Finished), "{reason:?}");
                assert_eq!(record.log, ["opened", "readable", "ended", "closed"]);
            } else {
                assert!(
                    matches!(TlsError::of(reason), Some(TlsError::Truncated)),
                    "{reason:?}"
                );
                assert_eq!(record.log, ["opened", "readable", "closed"]);
            }
            peer.join().unwrap();
        }
    });
}

/// 1247, the other way: whoever finishes says so before the wire ends, also
/// where the peer finished first.
#[test]
fn libevent_1247_a_finish_says_close_notify_before_the_wire_ends() {
    let authority = authority();
    on_every_backend(|events| {
        for peer_first in [false, true] {
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" {
                    stream.write(b"all there is").unwrap();
                    if !peer_first {
                        stream.finish();
                    }
                }
            });
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let mut peer = authority.blocking_client(tcp(&to));
            let peer = std::thread::spawn(move || {
                if peer_first {
                    peer.conn.complete_io(&mut peer.sock).unwrap();
                    peer.conn.send_close_notify();
                    peer.flush().unwrap();
                }
                let mut all = Vec::new();
                // An end without close_notify would be an error here.
                peer.read_to_end(&mut all).unwrap();
                peer.conn.send_close_notify();
                let _ = peer.flush();
                all
            });
            until(events, "the close", || over(&record) && peer.is_finished());
            assert_eq!(peer.join().unwrap(), b"all there is");
            assert!(record.finished(), "{}", record.reason());
        }
    });
}

/// 616: a stream that finishes right after it has written loses nothing that
/// its filters still hold, be there one or several, and a peer that is slow.
#[test]
fn libevent_616_a_finish_waits_for_what_the_layers_below_hold() {
    let authority = authority();
    on_every_backend(|events| {
        for twice in [false, true] {
            let sent = random_bytes(400_000, 8);
            let own = sent.clone();
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" && twice {
                    stream.add_filter(Box::new(Slow::default())).unwrap();
                }
                if what == "opened" {
                    stream.write(&own).unwrap();
                    stream.finish();
                }
            });
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, got) = held_back(Recorder::new());
            connect_tls(events, &to, client(authority), "localhost", peer);
            until(events, "both closes", || over(&record) && over(&got));
            assert!(got.see().bytes == sent);
            assert!(got.finished() && record.finished());
        }
    });
}

/// Passes no more than 1,000 bytes on at a time, and holds as many back.
#[derive(Default)]
struct Slow(Vec<u8>);

impl Filter for Slow {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|_| ());
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if self.0.is_empty() || pass.flush() {
            pass.target().append(&self.0)?;
            let n = pass.available().min(pass.room()).min(1000);
            self.0 = pass.source().take_vec(n)?;
        }
        if pass.available() > 0 && pass.room() > 0 {
            pass.target().append(&self.0)?;
            self.0.clear();
        } else if pass.flush() && pass.room() > 0 {
            pass.target().append(&std::mem::take(&mut self.0))?;
        }
        Ok(())
    }
}

/// The kernel takes no more in the middle of a record: the rest of that very
/// record goes first once it does, and nothing is sent twice.
#[test]
fn a_write_that_blocks_in_the_middle_of_a_record_goes_on_there() {
    let authority = authority();
    on_every_backend(|events| {
        let sent = random_bytes(6_000_000, 31);
        let cut = Arc::new(AtomicBool::new(false));
        let handler = Cuts {
            left: Some(sent.clone()),
            base: 0,
            cut: Arc::clone(&cut),
        };
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, once(handler));
        let mut peer = authority.blocking_client(tcp(&to));
        let (go, wait) = mpsc::channel();
        let peer = std::thread::spawn(move || {
            peer.write_all(b"send").unwrap();
            wait.recv().unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            peer.conn.send_close_notify();
            let _ = peer.flush();
            all
        });
        until(events, "a record that was cut", || {
            cut.load(Ordering::Relaxed)
        });
        go.send(()).unwrap();
        until(events, "all of it", || peer.is_finished());
        assert!(peer.join().unwrap() == sent);
    });
}

/// Sends much at the first word, and watches where the kernel stops taking it.
struct Cuts {
    left: Option<Vec<u8>>,
    /// Bytes of the wire before the first record of it.
    base: u64,
    cut: Arc<AtomicBool>,
}

impl Handler for Cuts {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.input().clear().unwrap();
        if let Some(all) = self.left.take() {
            // What waits is tickets: they are records already.
            self.base = stream.wire_sent_bytes() + stream.waiting() as u64;
            stream.tell_sent(true);
            stream.write(&all).unwrap();
            stream.finish_write();
        }
    }

    fn sent(&mut self, stream: &mut Stream<'_>) {
        // Records of much data hold 16 KiB each; TLS 1.3 adds 22 bytes.
        let into = stream.wire_sent_bytes().saturating_sub(self.base) % ((16 << 10) + 22);
        // A completion port takes whole what it is given, four records at once.
        let cut = into != 0 || cfg!(windows);
        if cut && stream.waiting() > 100_000 {
            self.cut.store(true, Ordering::Relaxed);
        }
    }
}
