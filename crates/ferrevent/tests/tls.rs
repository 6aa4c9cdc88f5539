//! TLS on real streams, on every backend, loop and pool. A number after
//! "Tor" is that of what Tor asked of libevent's bufferevents and never got;
//! one after "libevent" is that of a stall or a loss reported there.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certificates::{Authority, authority};
use common::{Recorder, Rig, Shared, Works, listen, on_every_backend, random_bytes, until};
use ferrevent::tls::{
    ClientBuilder, ClientCertificates, Server, ServerBuilder, TlsError, Version, rustls,
};
use ferrevent::{
    Activity, Address, CloseReason, Handler, Stream, StreamConfig, Timeout, Watermarks,
};

fn any() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

fn server(authority: &Authority) -> ServerBuilder {
    Server::builder().certificates(authority.server("localhost"))
}

fn client(authority: &Authority) -> ClientBuilder {
    ferrevent::tls::Client::builder().roots(authority.roots())
}

/// Listens with TLS.
fn listen_tls<H: Handler + Send + 'static>(
    rig: &mut Rig,
    server: &Server,
    factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let mut context = rig.context();
    let listener = context.listen_tls(&any(), server, factory).unwrap();
    Address::Socket(context.listener_addr(listener).unwrap())
}

fn connect_tls(
    rig: &mut Rig,
    to: &Address,
    client: ClientBuilder,
    name: &str,
    handler: impl Handler + Send + 'static,
) {
    let client = client.build().unwrap();
    let config = StreamConfig::DEFAULT;
    rig.context()
        .connect_tls_with(to, None, config, &client, name, handler)
        .unwrap();
}

fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

/// Writes all of it, at most so much at once, and ends.
fn writer(mut left: Vec<u8>, piece: usize) -> (Recorder, Shared) {
    Recorder::with(move |stream, what| {
        if what == "opened" || what == "writable" {
            let n = left.len().min(piece);
            if n > 0 {
                let piece: Vec<u8> = left.drain(..n).collect();
                stream.write(&piece).unwrap();
            } else {
                stream.finish_write();
            }
        }
    })
}

/// One handler, for the one connection that a test makes.
fn once<H>(handler: H) -> impl FnMut() -> H {
    let mut handler = Some(handler);
    move || handler.take().unwrap()
}

fn over(record: &Shared) -> bool {
    record.see().reason.is_some()
}

#[test]
fn an_echo_in_either_version_loses_nothing_and_says_goodbye() {
    let authority = authority();
    on_every_backend(|events| {
        for version in [
            rustls::version::TLS12.version,
            rustls::version::TLS13.version,
        ] {
            let echo = Echo::default();
            let reasons = Arc::clone(&echo.0);
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(echo));
            let sent = random_bytes(400_000, 3);
            let (recorder, record) = writer(sent.clone(), 70_000);
            let client = authority.client_of(version);
            events
                .context()
                .connect_tls_with(
                    &to,
                    None,
                    StreamConfig::DEFAULT,
                    &client,
                    "localhost",
                    recorder,
                )
                .unwrap();
            until(events, "the closes", || {
                over(&record) && !reasons.lock().unwrap().is_empty()
            });
            let record = record.see();
            assert!(record.bytes == sent);
            assert!(
                matches!(record.reason, Some(CloseReason::Finished)),
                "{:?}",
                record.reason
            );
            assert_eq!(record.log, ["opened", "readable", "ended", "closed"]);
            let reasons = reasons.lock().unwrap();
            assert_eq!(*reasons, [format!("{version:?} finished")]);
        }
    });
}

#[derive(Default)]
struct Echo(Arc<Mutex<Vec<String>>>);

impl Handler for Echo {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.echo();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let version = stream.tls().unwrap().version().unwrap();
        self.0.lock().unwrap().push(format!("{version:?} {reason}"));
    }
}

/// libevent #1247: closing without close_notify is told from ending with it.
#[test]
fn an_end_without_close_notify_is_a_typed_error_unless_allowed() {
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

#[test]
fn garbage_instead_of_a_handshake_is_told_and_others_go_on() {
    let authority = authority();
    on_every_backend(|events| {
        let records = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&records);
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, move || {
            let (recorder, record) = Recorder::new();
            own.lock().unwrap().push(record);
            recorder
        });
        let (peer, alive) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.write(b"one").unwrap();
            }
        });
        connect_tls(events, &to, client(authority), "localhost", peer);
        until(events, "the first", || {
            let first = records.lock().unwrap().first().cloned();
            first.is_some_and(|it: Shared| it.see().bytes == b"one")
        });
        for garbage in [
            &b"GET / HTTP/1.0\r\n\r\n"[..],
            &[0x16, 3, 1, 0xff, 0xff, 1],
            &[0x16, 3, 1, 0, 4, 1, 0, 0, 0],
        ] {
            let before = records.lock().unwrap().len();
            let mut bad = tcp(&to);
            bad.write_all(garbage).unwrap();
            until(events, "the connection", || {
                records.lock().unwrap().len() > before
            });
            let record = records.lock().unwrap()[before].clone();
            let answer = std::thread::spawn(move || {
                let mut answer = Vec::new();
                let _ = bad.read_to_end(&mut answer);
                answer
            });
            until(events, "the failure", || over(&record));
            let record = record.see();
            let Some(CloseReason::Failed { during, .. }) = &record.reason else {
                panic!("{:?}", record.reason)
            };
            assert_eq!(*during, Activity::Handshake);
            let error = TlsError::of(record.reason.as_ref().unwrap());
            if garbage[0] == b'G' {
                assert!(matches!(error, Some(TlsError::NotTls)), "{error:?}");
            } else {
                assert!(matches!(error, Some(TlsError::Protocol(_))), "{error:?}");
            }
            // The alert: 21, TLS 1.2 or less, two bytes long, fatal.
            let answer = answer.join().unwrap();
            assert_eq!((answer[0], answer.len(), answer[5]), (21, 7, 2));
            assert_eq!(record.log, ["closed"]);
        }
        assert!(!over(&alive), "{:?}", alive.see());
    });
}

#[test]
fn certificates_that_do_not_hold_are_refused_on_both_sides() {
    let authority = authority();
    on_every_backend(|events| {
        let cases = [
            (
                authority.server("localhost"),
                "example.org",
                "not valid for name",
            ),
            (authority.expired("localhost"), "localhost", "expired"),
            (
                authority.stranger("localhost"),
                "localhost",
                "UnknownIssuer",
            ),
        ];
        for (own, name, expected) in cases {
            let (recorder, record) = Recorder::new();
            let server = Server::builder().certificates(own).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, refused) = Recorder::new();
            connect_tls(events, &to, client(authority), name, peer);
            until(events, "both closes", || over(&record) && over(&refused));
            let reason = refused.see().reason.as_ref().unwrap().to_string();
            assert!(reason.contains(expected), "{reason}");
            assert!(reason.starts_with("failed to shake hands"), "{reason}");
            // The server is told why by the client's alert.
            let record = record.see();
            let error = TlsError::of(record.reason.as_ref().unwrap());
            let alert = matches!(
                error,
                Some(TlsError::Protocol(rustls::Error::AlertReceived(_)))
            );
            assert!(alert, "{:?}", record.reason);
        }
    });
}

#[test]
fn a_client_that_stops_in_the_handshake_times_out() {
    let authority = authority();
    on_every_backend(|events| {
        let (recorder, record) = Recorder::new();
        let server = server(authority).build().unwrap();
        let mut context = events.context();
        let config = StreamConfig {
            handshake_timeout: Some(Duration::from_millis(30)),
            ..StreamConfig::DEFAULT
        };
        let mut handler = Some(recorder);
        let listener = context
            .listen_filtered(
                &any(),
                &Default::default(),
                Some(config),
                move || vec![Box::new(server.session())],
                move || Box::new(handler.take().unwrap()),
            )
            .unwrap();
        let to = Address::Socket(context.listener_addr(listener).unwrap());
        let mut peer = tcp(&to);
        peer.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
        until(events, "the timeout", || over(&record));
        assert!(matches!(
            record.see().reason,
            Some(CloseReason::TimedOut(Timeout::Handshake))
        ));
    });
}

#[test]
fn clients_show_certificates_where_they_must() {
    let authority = authority();
    on_every_backend(|events| {
        let asked = [
            (ClientCertificates::Required(authority.roots()), true, true),
            (
                ClientCertificates::Required(authority.roots()),
                false,
                false,
            ),
            (ClientCertificates::Optional(authority.roots()), true, true),
            (ClientCertificates::Optional(authority.roots()), false, true),
            (ClientCertificates::NotAsked, true, true),
        ];
        for (clients, shows, passes) in asked {
            let asks = !matches!(clients, ClientCertificates::NotAsked);
            let shown = Arc::new(Mutex::new(None));
            let own = Arc::clone(&shown);
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" {
                    let tls = stream.tls().unwrap();
                    let count = tls.peer_certificates().len();
                    *own.lock().unwrap() = Some(count);
                    assert_eq!(tls.own_certificates().len(), 1);
                }
            });
            let server = server(authority).clients(clients).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, _) = writer(b"hello".to_vec(), 10);
            let mut client = client(authority);
            if shows {
                client = client.certificates(authority.client("me"));
            }
            connect_tls(events, &to, client, "localhost", peer);
            until(events, "the close", || over(&record));
            let expected = passes.then_some(usize::from(shows && asks));
            assert_eq!(*shown.lock().unwrap(), expected);
            assert_eq!(record.see().bytes, if passes { &b"hello"[..] } else { b"" });
        }
    });
}

#[test]
fn names_protocols_and_resumption_are_agreed_on() {
    let authority = authority();
    on_every_backend(|events| {
        for resumption in [true, false] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let own = Arc::clone(&seen);
            let server = server(authority)
                .certificates(authority.server("other.test"))
                .alpn(["h2", "http/1.1"])
                .resumption(resumption)
                .build()
                .unwrap();
            let to = listen_tls(events, &server, move || {
                let own = Arc::clone(&own);
                Recorder::with(move |stream, what| {
                    if what == "opened" {
                        let tls = stream.tls().unwrap();
                        let told = (
                            tls.server_name().map(str::to_owned),
                            tls.alpn().map(<[u8]>::to_vec),
                            tls.is_resumed(),
                        );
                        own.lock().unwrap().push(told);
                        stream.write(b"welcome").unwrap();
                    }
                })
                .0
            });
            let client = client(authority).alpn(["http/1.1"]).build().unwrap();
            for _ in 0..2 {
                let (peer, record) = Recorder::with(|stream, what| {
                    if what == "readable" {
                        stream.finish();
                    }
                });
                let config = StreamConfig::DEFAULT;
                events
                    .context()
                    .connect_tls_with(&to, None, config, &client, "other.test", peer)
                    .unwrap();
                until(events, "the close", || over(&record));
                assert_eq!(record.see().bytes, b"welcome");
            }
            until(events, "both", || seen.lock().unwrap().len() == 2);
            let name = Some("other.test".to_owned());
            let alpn = Some(b"http/1.1".to_vec());
            let seen = seen.lock().unwrap();
            assert_eq!(seen[0], (name.clone(), alpn.clone(), false));
            assert_eq!((&seen[1].1, seen[1].2), (&alpn, resumption));
        }
    });
}

#[test]
fn tls_is_started_on_a_running_stream() {
    let authority = authority();
    on_every_backend(|events| {
        struct Plain(
            Option<ferrevent::tls::Session>,
            Recorder,
            &'static [u8],
            &'static [u8],
        );
        impl Handler for Plain {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                // Only the client speaks first.
                if self.3.is_empty() {
                    stream.write(b"STARTTLS\n").unwrap();
                }
            }
            fn readable(&mut self, stream: &mut Stream<'_>) {
                if self.0.is_some() && stream.input().chunk() == self.2 {
                    stream.input().clear().unwrap();
                    stream.write(self.3).unwrap();
                    stream.start_tls(self.0.take().unwrap()).unwrap();
                    stream.write(b"in secret").unwrap();
                } else if self.0.is_none() {
                    self.1.readable(stream);
                }
            }
            fn upgraded(&mut self, stream: &mut Stream<'_>) {
                assert!(stream.tls().unwrap().version().is_some());
                self.1.opened(stream);
                stream.finish_write();
            }
            fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
                // Tor 6: also where TLS came later, the wire carries more.
                assert!(stream.wire_received_bytes() > stream.received_bytes() + 100);
                assert!(stream.wire_sent_bytes() > stream.sent_bytes() + 100);
                self.1.closed(stream, reason);
            }
        }
        let (one, first) = Recorder::new();
        let (other, second) = Recorder::new();
        let server = server(authority).build().unwrap();
        let client = client(authority).build().unwrap();
        let plain = Plain(Some(server.session()), one, b"STARTTLS\n", b"GO\n");
        let to = listen(events, &any(), once(plain));
        let session = client.session("localhost").unwrap();
        events
            .connect(to, Plain(Some(session), other, b"GO\n", b""))
            .unwrap();
        until(events, "both closes", || over(&first) && over(&second));
        for record in [first, second] {
            assert_eq!(record.see().bytes, b"in secret");
            assert_eq!(record.see().log, ["opened", "readable", "closed"]);
            assert!(record.see().reason.as_ref().unwrap().is_clean());
        }
    });
}

/// libevent #854 and #690: reading stalls at a watermark, or at 1,024 bytes,
/// while decrypted bytes lie in the layer below.
#[test]
fn watermarks_and_pauses_stall_nothing() {
    let authority = authority();
    on_every_backend(|events| {
        for high in [1, 100, 1024, 16_384, 20_000] {
            let sent = random_bytes(100_000, high as u64);
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "opened" {
                    let mut config = *stream.config();
                    config.input = Watermarks {
                        low: high.min(500),
                        high,
                    };
                    stream.configure(config);
                } else if what == "readable" {
                    let handle = stream.handle();
                    stream.pause();
                    handle.resume();
                }
            });
            let server = server(authority).build().unwrap();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, _) = writer(sent.clone(), 30_000);
            connect_tls(events, &to, client(authority), "localhost", peer);
            until(events, "the close", || over(&record));
            let record = record.see();
            assert!(record.bytes == sent, "high mark {high}");
            let finished = matches!(record.reason, Some(CloseReason::Finished));
            assert!(finished, "{:?}", record.reason);
        }
    });
}

/// libevent #616: a stream that finishes right after it has written loses
/// nothing that its filter still holds. And a peer that reads slowly makes
/// writes block in the middle of a record.
#[test]
fn what_was_written_before_the_finish_arrives_at_a_slow_reader() {
    let authority = authority();
    on_every_backend(|events| {
        let sent = random_bytes(900_000, 8);
        let own = sent.clone();
        let (recorder, record) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.write(&own).unwrap();
                stream.finish();
            }
        });
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, once(recorder));
        let (peer, got) = Recorder::with(|stream, what| {
            if what == "readable" {
                stream.pause();
                let handle = stream.handle();
                let after = Duration::from_micros(100);
                stream
                    .context()
                    .timer(after, move |_| {
                        handle.resume();
                    })
                    .unwrap();
            }
        });
        connect_tls(events, &to, client(authority), "localhost", peer);
        until(events, "both closes", || over(&record) && over(&got));
        assert!(got.see().bytes == sent);
        assert!(matches!(got.see().reason, Some(CloseReason::Finished)));
        assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
    });
}

/// libevent #1439, use after free under limits: a session that is closed in
/// the middle of a bulk transfer, from its own callback and from a handle,
/// ends once and quietly.
#[test]
fn a_close_in_the_middle_of_a_transfer_is_told_once() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        for from_handle in [false, true] {
            let (recorder, record) = Recorder::with(move |stream, what| {
                if what == "readable" {
                    if from_handle {
                        stream.handle().close();
                    } else {
                        stream.close();
                    }
                }
            });
            let to = listen_tls(events, &server, once(recorder));
            let (peer, _) = writer(vec![7; 500_000], 500_000);
            connect_tls(events, &to, client(authority), "localhost", peer);
            until(events, "the close", || over(&record));
            assert!(matches!(record.see().reason, Some(CloseReason::Closed)));
        }
    });
}

#[test]
fn a_pipe_joins_tls_and_plain_streams() {
    let authority = authority();
    on_every_backend(|events| {
        struct Front(Address, ferrevent::tls::Client);
        impl Handler for Front {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                let back = stream
                    .context()
                    .connect_tls_with(
                        &self.0,
                        None,
                        StreamConfig::DEFAULT,
                        &self.1,
                        "localhost",
                        |_: &mut Stream<'_>| (),
                    )
                    .unwrap();
                assert!(stream.pipe(&back));
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
            fn ended(&mut self, _: &mut Stream<'_>) {}
        }
        let server = server(authority).build().unwrap();
        let inner = listen_tls(events, &server, || |stream: &mut Stream<'_>| stream.echo());
        let relay_client = client(authority).build().unwrap();
        let front = Front(inner.clone(), relay_client.clone());
        let secure = listen_tls(events, &server, once(front));
        let plain = listen(events, &any(), once(Front(inner, relay_client)));
        let sent = random_bytes(400_000, 21);
        let (one, first) = writer(sent.clone(), 90_000);
        connect_tls(events, &secure, client(authority), "localhost", one);
        let (other, second) = writer(sent.clone(), 90_000);
        events.connect(plain, other).unwrap();
        until(events, "both closes", || over(&first) && over(&second));
        for record in [first, second] {
            assert!(record.see().bytes == sent);
            assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
        }
    });
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
