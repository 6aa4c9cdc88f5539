//! TLS on real streams, on every backend, loop and pool.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certificates::authority;
use common::{Recorder, Shared, Works, listen, on_every_backend, random_bytes, until};
use ferrevent::tls::{ClientCertificates, Server, TlsError, rustls};
use ferrevent::{Activity, Address, CloseReason, Handler, Stream, StreamConfig, Timeout};
use secure::{any, client, connect_tls, listen_tls, once, over, server, tcp, writer};

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

/// RFC 5705, and section 7.5 of RFC 8446: what rustls's own client exports.
#[test]
fn both_sides_export_the_same_keying_material() {
    /// Label, context, and how many bytes.
    type Asked = (&'static [u8], Option<&'static [u8]>, usize);
    const ASKED: [Asked; 5] = [
        (b"EXPERIMENTAL one", None, 32),
        (b"EXPERIMENTAL one", Some(b""), 32),
        (b"EXPERIMENTAL one", Some(b"a context"), 100),
        (b"EXPERIMENTAL two", Some(&[7; 300]), 1),
        (b"", None, 20),
    ];
    fn exported(session: &ferrevent::tls::Session) -> Vec<u8> {
        let mut all = Vec::new();
        for (label, context, len) in ASKED {
            let mut output = vec![0; len];
            session
                .export_keying_material(label, context, &mut output)
                .unwrap();
            all.extend(output);
        }
        all
    }
    let authority = authority();
    on_every_backend(|events| {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let server = server(authority).build().unwrap();
            let early = server.session();
            assert!(
                early
                    .export_keying_material(b"x", None, &mut [0; 8])
                    .is_err()
            );
            let to = listen_tls(events, &server, || {
                Recorder::with(|stream, what| {
                    if what == "opened" {
                        let session = stream.tls().unwrap();
                        let refused = |label: &[u8], context, len| {
                            session.export_keying_material(label, context, &mut vec![0; len])
                        };
                        assert!(refused(b"x", None, 0).is_err());
                        if session.version() == Some(rustls::ProtocolVersion::TLSv1_3) {
                            assert!(refused(&[b'x'; 250], None, 8).is_err());
                            assert!(refused(b"x", None, 255 * 48 + 1).is_err());
                        } else {
                            assert!(refused(b"x", Some(&[0; 65_536]), 8).is_err());
                        }
                        stream.write(&exported(stream.tls().unwrap())).unwrap();
                        stream.finish();
                    }
                })
                .0
            });
            let mut peer = authority.blocking_client_of(version, tcp(&to));
            let peer = std::thread::spawn(move || {
                let mut theirs = Vec::new();
                peer.read_to_end(&mut theirs).unwrap();
                let mut own = Vec::new();
                for (label, context, len) in ASKED {
                    let output = vec![0; len];
                    let output = peer.conn.export_keying_material(output, label, context);
                    own.extend(output.unwrap());
                }
                (theirs, own)
            });
            until(events, "the material", || peer.is_finished());
            let (theirs, own) = peer.join().unwrap();
            assert_eq!(theirs, own, "{version:?}");

            // A client of ours, new and resumed, and a log of the caller's own.
            let log = Arc::new(Log::default());
            let mut config = Arc::unwrap_or_clone(authority.config(&[version]));
            config.key_log = Arc::clone(&log) as _;
            let client = ferrevent::tls::Client::from_rustls(config.into());
            for resumed in [false, true] {
                let own = Arc::new(Mutex::new(Vec::new()));
                let told = Arc::clone(&own);
                let (peer, record) = Recorder::with(move |stream, what| {
                    if what == "opened" {
                        let session = stream.tls().unwrap();
                        assert_eq!(session.is_resumed(), resumed);
                        *told.lock().unwrap() = exported(session);
                    }
                });
                events
                    .context()
                    .connect_tls_with(&to, None, StreamConfig::DEFAULT, &client, "localhost", peer)
                    .unwrap();
                until(events, "the close", || over(&record));
                assert_eq!(record.see().bytes, *own.lock().unwrap(), "{version:?}");
            }
            assert!(!log.0.lock().unwrap().is_empty());
        }
    });
}

/// What secrets a caller's own key log was told of.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, _: &[u8], _: &[u8]) {
        self.0.lock().unwrap().push(label.to_owned());
    }
}
