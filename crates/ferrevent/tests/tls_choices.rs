//! What can be chosen of TLS: whom to trust, which names, versions, protocols
//! and keys, whose cryptography, and what lies below.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use certificates::{Authority, authority};
use common::{Recorder, Rig, Works, on_every_backend, random_bytes, until};
#[cfg(unix)]
use ferrevent::tls::{Certificates, ClientBuilder};
use ferrevent::tls::{Client, ClientCertificates, Roots, Server, TlsError, Version, rustls};
use ferrevent::{Address, Stream, StreamConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use secure::{client, connect_tls, connect_tls_by, listen_tls, once, over, server, tcp, writer};

/// As Tor's links have it: any certificate that is one, but the handshake must
/// be signed by its key.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
    asked: AtomicUsize,
    refuses: bool,
}

impl Anybody {
    fn new(refuses: bool) -> Arc<Self> {
        Arc::new(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            asked: AtomicUsize::new(0),
            refuses,
        })
    }

    fn judge<T>(&self, good: T) -> Result<T, rustls::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.refuses {
            return Err(rustls::Error::General("nobody at all".into()));
        }
        Ok(good)
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let known = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signed, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let known = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let known = &self.provider.signature_verification_algorithms;
            known.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(ClientCertVerified::assertion())
    }

    signatures!();
}

#[test]
fn a_judge_of_the_callers_own_decides_on_either_side() {
    let authority = authority();
    on_every_backend(|events| {
        for (client_refuses, server_refuses) in [(false, false), (true, false), (false, true)] {
            let (servers, clients) = (Anybody::new(client_refuses), Anybody::new(server_refuses));
            let server = Server::builder()
                .certificates(authority.stranger("whoever.test"))
                .clients(ClientCertificates::Judged(Arc::clone(&clients) as _))
                .build()
                .unwrap();
            let (recorder, record) = Recorder::new();
            let to = listen_tls(events, &server, once(recorder));
            let client = Client::builder()
                .judge(Arc::clone(&servers) as _)
                .certificates(authority.stranger("me"));
            let (peer, other) = writer(b"hello".to_vec(), 10);
            connect_tls(events, &to, client, "another.test", peer);
            until(events, "both closes", || over(&record) && over(&other));
            assert_eq!(servers.asked.load(Ordering::Relaxed), 1);
            if client_refuses {
                assert!(
                    other.reason().contains("nobody at all"),
                    "{}",
                    other.reason()
                );
            } else {
                assert_eq!(clients.asked.load(Ordering::Relaxed), 1);
            }
            if server_refuses {
                assert!(
                    record.reason().contains("nobody at all"),
                    "{}",
                    record.reason()
                );
            }
            let passes = !client_refuses && !server_refuses;
            assert_eq!(record.see().bytes, if passes { &b"hello"[..] } else { b"" });
        }
    });
}

/// What the server's first answer was, by name.
fn shown_for(events: &mut Rig, server: &Server, roots: Roots, name: &str) -> Result<(), String> {
    let to = listen_tls(events, server, || |stream: &mut Stream<'_>| stream.echo());
    let (peer, record) = Recorder::with(|stream, what| {
        if what == "opened" {
            stream.finish();
        }
    });
    connect_tls(events, &to, Client::builder().roots(roots), name, peer);
    until(events, "the close", || over(&record));
    if record.finished() {
        Ok(())
    } else {
        Err(record.reason())
    }
}

#[test]
fn a_name_chooses_the_certificate_and_no_known_one_the_first() {
    let authority = authority();
    on_every_backend(|events| {
        let server = Server::builder()
            .certificates(authority.server("first.test"))
            .certificates(authority.server("second.test"))
            .build()
            .unwrap();
        let mut shown = |name| shown_for(events, &server, authority.roots(), name);
        assert_eq!(shown("first.test"), Ok(()));
        assert_eq!(shown("second.test"), Ok(()));
        // An address is not asked for by name; the certificates hold for it.
        assert_eq!(shown("127.0.0.1"), Ok(()));
        let refused = shown("third.test").unwrap_err();
        assert!(refused.contains("first.test"), "{refused}");
    });
}

#[test]
fn certificates_are_replaced_under_a_listener_that_stands() {
    let authority = authority();
    let other = Authority::new();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        let renewed = Server::builder().certificates(other.server("localhost"));
        assert_eq!(
            shown_for(events, &server, authority.roots(), "localhost"),
            Ok(())
        );
        server.clone().replace(&renewed.build().unwrap());
        assert_eq!(
            shown_for(events, &server, other.roots(), "localhost"),
            Ok(())
        );
        assert!(shown_for(events, &server, authority.roots(), "localhost").is_err());
    });
}

#[test]
fn no_common_protocol_and_no_common_version_are_refused() {
    let authority = authority();
    on_every_backend(|events| {
        let mut refused = |server: Server, client: Client, what: &str| {
            let (recorder, record) = Recorder::new();
            let to = listen_tls(events, &server, once(recorder));
            let (peer, other) = Recorder::new();
            let config = StreamConfig::DEFAULT;
            events
                .context()
                .connect_tls_with(&to, None, config, &client, "localhost", peer)
                .unwrap();
            until(events, "both closes", || over(&record) && over(&other));
            for (record, what) in [(record, "peer "), (other, what)] {
                let error = TlsError::of(record.see().reason.as_ref().unwrap())
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(error.contains(what), "{error}");
                assert_eq!(record.log(), ["closed"]);
            }
        };
        let speaks = server(authority).alpn(["h2"]).build().unwrap();
        let offers = client(authority).alpn(["http/1.1"]).build().unwrap();
        refused(speaks, offers, "NoApplicationProtocol");
        let new = server(authority).oldest(Version::Tls13).build().unwrap();
        let old = authority.client_of(rustls::version::TLS12.version);
        refused(new, old, "ProtocolVersion");
    });
}

/// A client may be offered protocols and offer none itself.
#[test]
fn who_offers_no_protocol_is_served() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).alpn(["h2"]).build().unwrap();
        let roots = authority.roots();
        assert_eq!(shown_for(events, &server, roots, "localhost"), Ok(()));
    });
}

#[test]
fn a_client_may_allow_an_end_without_close_notify() {
    let authority = authority();
    on_every_backend(|events| {
        for (allowed, made) in [(false, false), (true, false), (true, true)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = Address::Socket(listener.local_addr().unwrap());
            let mut connection = authority.blocking_server("localhost");
            let peer = std::thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                connection.complete_io(&mut socket).unwrap();
                connection.writer().write_all(b"not all").unwrap();
                connection.complete_io(&mut socket).unwrap();
                socket.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = socket.read_to_end(&mut Vec::new());
            });
            let (recorder, record) = Recorder::new();
            let client = if made {
                authority
                    .client_of(rustls::ProtocolVersion::TLSv1_3)
                    .allow_dirty_shutdown(allowed)
            } else {
                let client = client(authority).allow_dirty_shutdown(allowed);
                client.build().unwrap()
            };
            connect_tls_by(events, &to, &client, "localhost", recorder);
            until(events, "the close", || over(&record));
            assert_eq!(record.see().bytes, b"not all");
            assert_eq!(record.finished(), allowed, "{}", record.reason());
            let seen = record.see();
            let error = TlsError::of(seen.reason.as_ref().unwrap());
            assert_eq!(matches!(error, Some(TlsError::Truncated)), !allowed);
            drop(seen);
            peer.join().unwrap();
        }
    });
}

/// A provider of the caller's own, whose keys wear out after some records:
/// they are renewed in the middle of a transfer, both ways.
#[test]
fn a_provider_is_chosen_and_keys_are_renewed_on_the_way() {
    let authority = authority();
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let rustls::SupportedCipherSuite::Tls13(usual) = suite else {
        panic!("{suite:?} is of TLS 1.3")
    };
    static WEARY: OnceLock<rustls::Tls13CipherSuite> = OnceLock::new();
    let weary = WEARY.get_or_init(|| rustls::Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: usual.common.suite,
            hash_provider: usual.common.hash_provider,
            confidentiality_limit: 200,
        },
        hkdf_provider: usual.hkdf_provider,
        aead_alg: usual.aead_alg,
        quic: None,
    });
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![rustls::SupportedCipherSuite::Tls13(weary)],
        ..rustls::crypto::ring::default_provider()
    });
    on_every_backend(|events| {
        let server = server(authority)
            .provider(Arc::clone(&provider))
            .oldest(Version::Tls13)
            .build()
            .unwrap();
        let (told, pieces) = (Arc::new(Mutex::new(None)), 700);
        let own = Arc::clone(&told);
        let to = listen_tls(events, &server, move || {
            let own = Arc::clone(&own);
            move |stream: &mut Stream<'_>| {
                *own.lock().unwrap() = stream.tls().unwrap().cipher();
                stream.echo();
            }
        });
        // Small pieces, each a record, one after the other.
        let sent = random_bytes(pieces * 10, 4);
        let mut left = sent.clone();
        let (peer, record) = Recorder::with(move |stream, what| {
            if what == "opened" || what == "writable" {
                let piece: Vec<u8> = left.drain(..left.len().min(10)).collect();
                if piece.is_empty() {
                    stream.finish_write();
                } else {
                    stream.write(&piece).unwrap();
                }
            }
        });
        let client = client(authority)
            .provider(Arc::clone(&provider))
            .oldest(Version::Tls13);
        connect_tls(events, &to, client, "localhost", peer);
        until(events, "the close", || over(&record));
        assert!(record.see().bytes == sent, "{:?}", record.reason());
        assert!(record.finished());
        let cipher = told.lock().unwrap().unwrap().suite();
        assert_eq!(cipher, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    });
}

/// A bit that was turned over on the way: a typed error, an alert for the
/// peer, and nothing of that record.
#[test]
fn a_record_that_was_changed_on_the_way_is_refused() {
    let authority = authority();
    on_every_backend(|events| {
        let (recorder, record) = Recorder::new();
        let server = server(authority).build().unwrap();
        let to = listen_tls(events, &server, once(recorder));
        let through = flipping(&to);
        let (peer, other) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.write(&[5; 1000]).unwrap();
            }
        });
        connect_tls(events, &through, client(authority), "localhost", peer);
        until(events, "both closes", || over(&record) && over(&other));
        let seen = record.see();
        let error = TlsError::of(seen.reason.as_ref().unwrap());
        assert!(
            matches!(error, Some(TlsError::Protocol(rustls::Error::DecryptError))),
            "{:?}",
            seen.reason
        );
        assert_eq!(seen.bytes, b"");
        let other = other.see();
        let error = TlsError::of(other.reason.as_ref().unwrap());
        let alert = matches!(
            error,
            Some(TlsError::Protocol(rustls::Error::AlertReceived(_)))
        );
        assert!(alert, "{:?}", other.reason);
    });
}

/// A relay that turns over one bit of the first long record that a client
/// sends after its first message.
fn flipping(to: &Address) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Socket(listener.local_addr().unwrap());
    let to = to.clone();
    std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = tcp(&to);
        let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Write);
        });
        let _ = flip(near, far);
    });
    address
}

fn flip(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        from.read_exact(&mut body)?;
        if head[0] == 23 && body.len() > 1000 {
            body[500] ^= 4;
        }
        to.write_all(&[&head[..], &body].concat())?;
    }
}

/// TLS within TLS, over a pair: it goes over any stream, another session's
/// included.
#[test]
fn a_session_goes_over_a_pair_and_over_another_session() {
    let authority = authority();
    on_every_backend(|events| {
        let server = server(authority).build().unwrap();
        let client = client(authority).build().unwrap();
        let sent = random_bytes(200_000, 12);
        let (mut outer, mut inner) = (Some(server.session()), Some(server.session()));
        let (one, first) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.start_tls(outer.take().unwrap()).unwrap();
                stream.start_tls(inner.take().unwrap()).unwrap();
            } else if what == "ended" {
                stream.write(b"the answer").unwrap();
            }
        });
        let own = sent.clone();
        let session = move || client.session("localhost").unwrap();
        let (other, second) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.start_tls(session()).unwrap();
                stream.start_tls(session()).unwrap();
                stream.write(&own).unwrap();
                stream.finish_write();
            }
        });
        events.context().pair(one, other).unwrap();
        until(events, "both closes", || over(&first) && over(&second));
        assert!(first.see().bytes == sent);
        assert_eq!(second.see().bytes, b"the answer");
        assert!(first.finished() && second.finished());
    });
}

/// Every form of PEM that keys come in, as OpenSSL writes them.
#[test]
#[cfg(unix)]
fn keys_are_read_in_every_form() {
    let folder = std::env::temp_dir().join(format!("ferrevent-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
    };
    openssl("ecparam -name prime256v1 -genkey -noout -out sec1.key");
    openssl("pkcs8 -topk8 -nocrypt -in sec1.key -out pkcs8.key");
    openssl("genrsa -traditional -out pkcs1.key 2048");
    openssl("genpkey -algorithm ed25519 -out ed25519.key");
    for form in ["sec1", "pkcs8", "pkcs1", "ed25519"] {
        openssl(&format!(
            "req -x509 -key {form}.key -out {form}.pem -days 2 -subj /CN=localhost"
        ));
        let file = |end: &str| folder.join(format!("{form}.{end}"));
        let own = Certificates::from_files(file("pem"), file("key")).unwrap();
        Server::builder().certificates(own).build().unwrap();
        // Both in one file, and from memory.
        let both = [file("pem"), file("key")].map(|path| std::fs::read(path).unwrap());
        let own = Certificates::from_pem(&both[0], &both[1]).unwrap();
        Server::builder().certificates(own).build().unwrap();
        std::fs::write(file("both"), both.concat()).unwrap();
        Certificates::from_files(file("both"), file("both")).unwrap();
    }
    // A key that belongs to another certificate is refused at once.
    let own = Certificates::from_files(folder.join("sec1.pem"), folder.join("ed25519.key"));
    let refused = Server::builder().certificates(own.unwrap()).build();
    assert!(refused.is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The system's roots are what `SSL_CERT_FILE` says, where it is set: asked in
/// a process that has it so.
#[test]
#[cfg(unix)]
fn the_systems_roots_are_trusted() {
    const ASKED: &str = "FERREVENT_TEST_ROOTS";
    let authority = authority();
    if std::env::var(ASKED).is_ok() {
        let client: ClientBuilder = Client::builder().roots(Roots::system().unwrap());
        client.build().unwrap();
        return;
    }
    let path = std::env::temp_dir().join(format!("ferrevent-roots-{}.pem", std::process::id()));
    let ask = |content: &str| {
        std::fs::write(&path, content).unwrap();
        let name = "the_systems_roots_are_trusted";
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ASKED, "1")
            .env("SSL_CERT_FILE", &path)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(ask(authority.pem()));
    assert!(!ask(""), "nobody is trusted");
    std::fs::remove_file(&path).unwrap();
}
