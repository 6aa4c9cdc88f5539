//! Bad input under TLS, on every backend, loop and pool: each kind is a typed
//! error of its own stream, and the other streams go on. Garbage, certificates
//! of servers and a client that stops in the handshake are in `tls.rs`;
//! renegotiation, which OpenSSL has to ask for, in `tls_peers.rs`; the relay's
//! log lines in the tests of the command.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use certificates::{Authority, authority};
use common::{Recorder, Rig, Shared, Works, on_every_backend, until};
use ferrevent::tls::{Certificates, Client, ClientCertificates, TlsError, rustls};
use ferrevent::{Activity, Address, CloseReason, Handler, Stream, StreamConfig};
use rustls::{CertificateError, Error};
use secure::{client, connect_tls, listen_tls, once, over, server, tcp};

type Peer = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

type Is = fn(&TlsError) -> bool;
type Shown = fn(&Authority) -> Certificates;

/// What a record behind the handshake does to its stream.
struct Bad {
    bytes: &'static [u8],
    /// Whether the wire ends behind it.
    ends: bool,
    is: Is,
}

#[test]
fn bad_records_end_their_stream_and_no_other() {
    let authority = authority();
    let bad = [
        // Longer than any record may be: known by its header.
        Bad {
            bytes: &[23, 3, 3, 0xff, 0xff],
            ends: false,
            is: |error| matches!(error, TlsError::Protocol(Error::InvalidMessage(_))),
        },
        // Not enciphered by our key.
        Bad {
            bytes: &[
                23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            ends: false,
            is: |error| matches!(error, TlsError::Protocol(Error::DecryptError)),
        },
        // Half a record, then nothing.
        Bad {
            bytes: &[23, 3, 3, 1, 0, 1, 2, 3],
            ends: true,
            is: |error| matches!(error, TlsError::Truncated),
        },
    ];
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        let calm = Calm::begin(events);
        for bad in &bad {
            let (recorder, record) = Recorder::new();
            let to = listen_tls(events, &server, once(recorder));
            let (bytes, ends) = (bad.bytes, bad.ends);
            let peer = with_peer(&to, move |mut peer| {
                peer.write_all(b"good").unwrap();
                peer.sock.write_all(bytes).unwrap();
                if ends {
                    peer.sock.shutdown(Shutdown::Write).unwrap();
                }
                let _ = peer.sock.read_to_end(&mut Vec::new());
            });
            until(events, "the failure", || over(&record));
            assert_eq!(record.see().bytes, b"good", "what came before is told");
            expect(&record, Activity::Decode, bad.is);
            until(events, "the peer", || peer.is_finished());
            calm.goes_on(events);
        }
    });
}

#[test]
fn an_end_in_the_handshake_is_told_as_one() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        let calm = Calm::begin(events);
        for said in [&[][..], &[22, 3, 1, 2, 0, 1]] {
            let (recorder, record) = Recorder::new();
            let to = listen_tls(events, &server, once(recorder));
            let mut peer = tcp(&to);
            peer.write_all(said).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            until(events, "the failure", || over(&record));
            expect(&record, Activity::Handshake, |error| {
                matches!(error, TlsError::HandshakeCut)
            });
            assert_eq!(record.see().log, ["closed"]);
            calm.goes_on(events);
        }
    });
}

#[test]
fn certificates_of_clients_that_do_not_hold_are_refused() {
    let authority = authority();
    let cases: [(Option<Shown>, Is); 3] = [
        (Some(|authority| authority.expired("me")), |error| {
            let TlsError::Protocol(Error::InvalidCertificate(error)) = error else {
                return false;
            };
            matches!(error, CertificateError::ExpiredContext { .. })
        }),
        (Some(|_| Authority::new().client("me")), |error| {
            let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
            matches!(error, TlsError::Protocol(error) if *error == unknown)
        }),
        (None, |error| {
            matches!(error, TlsError::Protocol(Error::NoCertificatesPresented))
        }),
    ];
    on_every_backend(|events| {
        let asks = ClientCertificates::Required(authority.roots());
        let server = server(authority).clients(asks).build().unwrap();
        let calm = Calm::begin(events);
        for (shown, is) in cases {
            let (recorder, record) = Recorder::new();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, refused) = Recorder::new();
            let mut client = client(authority);
            if let Some(shown) = shown {
                client = client.certificates(shown(authority));
            }
            connect_tls(events, &to, client, "localhost", peer);
            until(events, "both closes", || over(&record) && over(&refused));
            expect(&record, Activity::Handshake, is);
            // Its client is told by an alert.
            let refused = refused.see();
            let error = TlsError::of(refused.reason.as_ref().unwrap());
            let alert = matches!(error, Some(TlsError::Protocol(Error::AlertReceived(_))));
            assert!(alert, "{:?}", refused.reason);
            calm.goes_on(events);
        }
    });
}

/// What a pipe passes on is told to be whole only if it was: an attacker who
/// cuts one side short must not be able to end the other one well.
#[test]
fn a_pipe_passes_no_goodbye_on_that_was_not_said() {
    let authority = authority();
    on_every_backend(|events| {
        for says_goodbye in [true, false] {
            let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = Address::Socket(upstream.local_addr().unwrap());
            let mut peer = authority.blocking_server("localhost");
            let answering = thread::spawn(move || {
                let (mut socket, _) = upstream.accept().unwrap();
                let mut stream = rustls::Stream::new(&mut peer, &mut socket);
                // By the pipe: it stands.
                stream.read_exact(&mut [0]).unwrap();
                stream.write_all(b"all of it?").unwrap();
                if says_goodbye {
                    stream.conn.send_close_notify();
                }
                stream.flush().unwrap();
                let _ = socket.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut socket, &mut std::io::sink());
            });
            let server = server(authority).build().unwrap();
            let front = Joins(to, client(authority).build().unwrap());
            let secure = listen_tls(events, &server, once(front));
            let (recorder, record) = Recorder::with(|stream, what| {
                if what == "opened" {
                    stream.write(b"?").unwrap();
                }
            });
            connect_tls(events, &secure, client(authority), "localhost", recorder);
            until(events, "the close", || over(&record));
            assert_eq!(record.see().bytes, b"all of it?");
            if says_goodbye {
                assert!(record.finished(), "{}", record.reason());
            } else {
                expect(&record, Activity::Decode, |error| {
                    matches!(error, TlsError::Truncated)
                });
            }
            until(events, "the upstream", || answering.is_finished());
        }
    });
}

fn expect(record: &Shared, activity: Activity, is: Is) {
    let record = record.see();
    let reason = record.reason.as_ref().unwrap();
    let CloseReason::Failed { during, .. } = reason else {
        panic!("{reason}")
    };
    assert_eq!(*during, activity, "{reason}");
    assert!(TlsError::of(reason).is_some_and(is), "{reason:?}");
}

/// rustls's own client, on a thread of its own.
fn with_peer(to: &Address, act: impl FnOnce(Peer) + Send + 'static) -> thread::JoinHandle<()> {
    let socket = tcp(to);
    thread::spawn(move || act(authority().blocking_client(socket)))
}

/// A connection that must live through what happens to others.
struct Calm(Shared, ferrevent::Handle);

impl Calm {
    fn begin(events: &mut Rig) -> Self {
        let server = server(authority()).build().unwrap();
        let to = listen_tls(events, &server, || |stream: &mut Stream<'_>| stream.echo());
        let (recorder, record) = Recorder::new();
        let client = client(authority()).build().unwrap();
        let config = StreamConfig::DEFAULT;
        let handle = events
            .context()
            .connect_tls_with(&to, None, config, &client, "localhost", recorder)
            .unwrap();
        Self(record, handle)
    }

    fn goes_on(&self, events: &mut Rig) {
        let before = self.0.see().bytes.len();
        self.1.write(&b"there and back"[..]).unwrap();
        until(events, "the echo", || {
            assert!(!over(&self.0), "{}", self.0.reason());
            self.0.see().bytes.len() >= before + 14
        });
    }
}

/// Joins a connection with one to a TLS server.
struct Joins(Address, Client);

impl Handler for Joins {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let (to, client, config) = (&self.0, &self.1, StreamConfig::DEFAULT);
        let back = stream
            .context()
            .connect_tls_with(
                to,
                None,
                config,
                client,
                "localhost",
                |_: &mut Stream<'_>| (),
            )
            .unwrap();
        assert!(stream.pipe(&back));
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn ended(&mut self, _: &mut Stream<'_>) {}
}
