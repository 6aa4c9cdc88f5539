//! What Tor asked of libevent's bufferevents and never got, where TLS is in
//! it: the numbers are those of that list. What holds for every filter is in
//! `filters.rs`.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use certificates::authority;
use common::{Progress, Recorder, listen, on_every_backend, random_bytes, until};
use ferrevent::filter::LAYER_BYTES;
use ferrevent::tls::{Session, Version, rustls};
use ferrevent::{Address, CloseReason, Handler, Stream};
use secure::{any, client, connect_tls, listen_tls, once, over, server, tcp, writer};

/// Tor 4: what lies between TLS and the kernel is bounded, so a peer that
/// reads nothing is felt by the owner.
#[test]
fn tor_4_tls_holds_no_more_than_its_bounds() {
    let authority = authority();
    on_every_backend(|events| {
        struct Measured(Arc<AtomicUsize>);
        impl Handler for Measured {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                stream.tell_sent(true);
                stream.write(&vec![1; 600_000]).unwrap();
                stream.finish_write();
            }
            fn sent(&mut self, stream: &mut Stream<'_>) {
                let between = stream.waiting() - stream.output().len();
                self.0.fetch_max(between, Ordering::Relaxed);
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
        }
        let most = Arc::new(AtomicUsize::new(0));
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, once(Measured(Arc::clone(&most))));
        let (peer, record) = Recorder::new();
        connect_tls(events, &to, client(authority), "localhost", peer);
        until(events, "the close", || over(&record));
        assert_eq!(record.see().bytes.len(), 600_000);
        // One record that cannot be divided may lie above the bound.
        let most = most.load(Ordering::Relaxed);
        assert!(most <= LAYER_BYTES + (17 << 10), "{most} bytes between");
    });
}

/// Tor 5: what the kernel takes is told while much still waits, record by
/// record as it goes.
#[test]
fn tor_5_progress_of_tls_is_told_before_all_is_flushed() {
    let authority = authority();
    on_every_backend(|events| {
        let progress = Progress::default();
        let told = Arc::clone(&progress.0);
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, once(progress));
        let (peer, record) = Recorder::new();
        connect_tls(events, &to, client(authority), "localhost", peer);
        until(events, "the close", || over(&record));
        until(events, "the last notice", || {
            told.lock().unwrap().last().is_some_and(|last| last.1 == 0)
        });
        let told = told.lock().unwrap();
        assert!(told.len() > 1 && told[0].1 > 0, "{told:?}");
        assert!(told.is_sorted_by_key(|(sent, _)| *sent), "{told:?}");
        // The waiting bytes are plain ones at first and records at last: never
        // more than all of it, and always less than before plus a record.
        assert!(
            told.iter()
                .all(|(_, waiting)| *waiting < Progress::LEN + 1000)
        );
    });
}

/// Tor 6: the bytes of the wire are counted, TLS included, to the last one: a
/// relay that knows nothing of TLS counts the same. With TLS from the first
/// byte on, and with TLS that came to a running stream.
#[test]
fn tor_6_the_wire_is_counted_with_tls_to_the_byte() {
    let authority = authority();
    on_every_backend(|events| {
        for later in [false, true] {
            let counts = Arc::new(Mutex::new(None));
            let server = server(authority).build().unwrap();
            let counting = Counting {
                later: later.then(|| server.session()),
                counts: Arc::clone(&counts),
            };
            let to = if later {
                listen(events, &any(), once(counting))
            } else {
                listen_tls(events, &server, once(counting))
            };
            let (through, spy) = spy(&to);
            let client = client(authority).build().unwrap();
            let session = client.session("localhost").unwrap();
            let sent = random_bytes(100_000, 77);
            let own = sent.clone();
            let mut session = Some(session);
            let (peer, record) = Recorder::with(move |stream, what| {
                if what == "opened" && later {
                    stream.write(b"STARTTLS\n").unwrap();
                }
                if what == "opened" {
                    stream.start_tls(session.take().unwrap()).unwrap();
                    stream.write(&own).unwrap();
                    stream.finish_write();
                }
            });
            events.connect(through, peer).unwrap();
            until(events, "the close", || {
                over(&record) && counts.lock().unwrap().is_some()
            });
            assert!(record.see().bytes == sent);
            let counted = counts.lock().unwrap().unwrap();
            let seen = spy.join().unwrap();
            assert_eq!(counted, seen, "received and sent, with TLS later: {later}");
            assert!(counted.0 > 100_000 + 200 && counted.1 > 100_000 + 200);
        }
    });
}

/// Echoes, with TLS after a line if it is given, and counts.
struct Counting {
    later: Option<Session>,
    counts: Arc<Mutex<Option<(u64, u64)>>>,
}

impl Handler for Counting {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let Some(session) = self.later.take() else {
            stream.echo();
            return;
        };
        let mut line = [0; 9];
        if stream.input().copy_out(&mut line).unwrap() < 9 {
            self.later = Some(session);
            return;
        }
        assert_eq!(&line, b"STARTTLS\n");
        stream.input().drain(9).unwrap();
        stream.start_tls(session).unwrap();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
        let counts = (stream.wire_received_bytes(), stream.wire_sent_bytes());
        *self.counts.lock().unwrap() = Some(counts);
    }
}

/// A relay of one connection, which counts what goes there and what comes
/// back.
fn spy(to: &Address) -> (Address, std::thread::JoinHandle<(u64, u64)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Socket(listener.local_addr().unwrap());
    let to = to.clone();
    let spy = std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = tcp(&to);
        let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let there = std::thread::spawn(move || pass_on(near, far));
        let back = pass_on(far_too, near_too);
        (there.join().unwrap(), back)
    });
    (address, spy)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) -> u64 {
    let (mut count, mut piece) = (0, vec![0; 50_000]);
    loop {
        match from.read(&mut piece) {
            Ok(0) | Err(_) => {
                let _ = to.shutdown(Shutdown::Write);
                return count;
            }
            Ok(n) => {
                count += n as u64;
                to.write_all(&piece[..n]).unwrap();
            }
        }
    }
}

/// Tor 8: who owns the session is plain. It goes with its stream: it can be
/// asked until the last callback, and the certificates it names live on.
#[test]
fn tor_8_a_session_belongs_to_its_stream() {
    let authority = authority();
    on_every_backend(|events| {
        let kept = Arc::new(Mutex::new(Vec::new()));
        struct Keeps(Arc<Mutex<Vec<rustls::pki_types::CertificateDer<'static>>>>);
        impl Handler for Keeps {
            fn readable(&mut self, _: &mut Stream<'_>) {}
            fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
                let tls = stream.tls().unwrap();
                self.0
                    .lock()
                    .unwrap()
                    .extend_from_slice(tls.peer_certificates());
            }
        }
        let server = server(authority).build().unwrap();
        let (recorder, _) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.finish();
            }
        });
        let to = listen_tls(events, &server, once(recorder));
        drop(server);
        let own = Keeps(Arc::clone(&kept));
        connect_tls(events, &to, client(authority), "localhost", own);
        until(events, "the close", || !kept.lock().unwrap().is_empty());
        assert_eq!(kept.lock().unwrap().len(), 1);
    });
}

/// Tor 10 and 12: TLS is one code path, whatever the kernel's interface, and
/// that is chosen at run time: these very tests run on every backend, those
/// whose operations complete (the simulated one here) included.
#[test]
fn tor_10_and_12_completion_backends_carry_tls_by_the_same_code() {
    let mut kinds = Vec::new();
    let authority = authority();
    let kinds_seen = std::cell::RefCell::new(&mut kinds);
    on_every_backend(|events| {
        let server = server(authority).oldest(Version::Tls13).build().unwrap();
        let (recorder, record) = Recorder::new();
        let to = listen_tls(events, &server, once(recorder));
        let (peer, _) = writer(vec![1; 40_000], 40_000);
        connect_tls(events, &to, client(authority), "localhost", peer);
        until(events, "the close", || over(&record));
        assert_eq!(record.see().bytes.len(), 40_000);
        kinds_seen.borrow_mut().push(events.backend_kind());
    });
    assert!(
        kinds
            .iter()
            .any(|kind| matches!(kind, ferrevent::BackendKind::Simulated(_)))
    );
    assert!(
        kinds
            .iter()
            .any(|kind| matches!(kind, ferrevent::BackendKind::Poll))
    );
}
