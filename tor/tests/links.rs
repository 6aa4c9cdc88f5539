//! TLS of links, and their rate limits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{ANY, everywhere};
use ferrevent::limit::{Direction, RateLimit, RateLimits};
use ferrevent::tls::rustls::{self, pki_types};
use ferrevent_tor::{TlsStream, TorRuntime};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::StreamExt;
use tor_cert_x509::TlsKeyAndCert;
use tor_rtcompat::tls::{TlsAcceptorSettings, TlsConnector};
use tor_rtcompat::{
    CertifiedConn, NetStreamListener, NetStreamProvider, SpawnExt, StreamOps, TcpListenOptions,
    TlsProvider,
};

fn link_key() -> TlsKeyAndCert {
    let mut rng = rand::rng();
    TlsKeyAndCert::create(
        &mut rng,
        SystemTime::now(),
        "www.issuer.com",
        "www.subject.net",
    )
    .unwrap()
}

/// Both ends of a link.
async fn link(runtime: &TorRuntime, own: &TlsKeyAndCert) -> io::Result<(TlsStream, TlsStream)> {
    runtime.add_link_key(own)?;
    let acceptor = runtime.tls_acceptor(TlsAcceptorSettings::new(own.clone())?)?;
    let listener = runtime.listen(&ANY, &TcpListenOptions::default()).await?;
    let address = NetStreamListener::<SocketAddr>::local_addr(&listener)?;
    let mut incoming = NetStreamListener::<SocketAddr>::incoming(listener);
    let accepting = async {
        let (tcp, _) = incoming.next().await.unwrap()?;
        acceptor.negotiate_unvalidated(tcp, "").await
    };
    let connecting = async {
        let tcp = runtime.connect(&address, &Default::default()).await?;
        let connector = runtime.tls_connector();
        connector
            .negotiate_unvalidated(tcp, "www.anything.org")
            .await
    };
    futures::future::try_join(connecting, accepting).await
}

#[test]
fn both_ends_know_the_same() {
    let own = link_key();
    everywhere(|runtime| {
        let own = own.clone();
        async move {
            let (mut near, mut far) = link(&runtime, &own).await?;
            assert_eq!(runtime.links().count(), 2);
            assert!(near.agreed().starts_with("TLSv1.3"), "{}", near.agreed());
            let shown = own.certificates_der()[0];
            assert_eq!(near.peer_certificate()?.as_deref(), Some(shown));
            assert_eq!(near.own_certificate()?, None);
            assert_eq!(far.own_certificate()?.as_deref(), Some(shown));
            assert_eq!(far.peer_certificate()?, None);
            let label = b"EXPORTER FOR TOR TLS CLIENT BINDING AUTH0003";
            let context = [7; 32];
            let ours = near.export_keying_material(32, label, Some(&context))?;
            assert_eq!(ours, far.export_keying_material(32, label, Some(&context))?);
            assert_ne!(ours, far.export_keying_material(32, label, None)?);
            assert_eq!(ours.len(), 32);
            near.set_tcp_notsent_lowat(16_384)?;
            let cells = vec![7; 514 * 100];
            near.write_all(&cells).await?;
            near.close().await?;
            let mut read = Vec::new();
            far.read_to_end(&mut read).await?;
            assert!(read == cells);
            drop((near, far));
            assert_eq!(runtime.links().count(), 0);
            Ok(())
        }
    });
}

/// A key that was not made known: this crate cannot take it from the settings.
#[test]
fn an_unknown_key_is_asked_for() {
    let runtime = TorRuntime::new().unwrap();
    let settings = TlsAcceptorSettings::new(link_key()).unwrap();
    let refused = runtime.tls_acceptor(settings).unwrap_err();
    assert!(refused.to_string().contains("add_link_key"), "{refused}");
}

/// A server of rustls's own, that waits; what it answers is told.
fn serve(config: rustls::ServerConfig) -> (SocketAddr, thread::JoinHandle<io::Result<()>>) {
    let listener = std::net::TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept()?;
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
        // It leaves without a word, as relays do.
        stream.flush()
    });
    (address, serving)
}

/// A certificate, and a key that need not be its own.
#[derive(Debug)]
struct Shown(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Shown {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn server(
    versions: &[&'static rustls::SupportedProtocolVersion],
    shown: &TlsKeyAndCert,
    signs: &TlsKeyAndCert,
) -> rustls::ServerConfig {
    let provider = rustls::crypto::ring::default_provider();
    let chain = shown.certificates_der();
    let chain = chain.into_iter().map(|der| der.to_vec().into()).collect();
    let key = signs.private_key_pkcs8_der().unwrap();
    let key = pki_types::PrivatePkcs8KeyDer::from(key.to_vec()).into();
    let key = provider.key_provider.load_private_key(key).unwrap();
    rustls::ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(
            rustls::sign::CertifiedKey::new(chain, key).into(),
        )))
}

/// Nobody has signed a relay's certificate; but its key has signed the
/// handshake, in each version.
#[test]
fn the_handshake_is_signed_by_the_certificate() {
    let (own, other) = (link_key(), link_key());
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    everywhere(|runtime| {
        let (own, other) = (own.clone(), other.clone());
        async move {
            for version in versions {
                let (address, serving) = serve(server(&[version], &own, &own));
                let tcp = runtime.connect(&address, &Default::default()).await?;
                let connector = runtime.tls_connector();
                let mut link = connector.negotiate_unvalidated(tcp, "www.x.org").await?;
                assert_eq!(
                    link.peer_certificate()?.as_deref(),
                    Some(own.certificates_der()[0])
                );
                assert_eq!(
                    link.export_keying_material(32, b"EXPERIMENTAL", None)?
                        .len(),
                    32
                );
                link.write_all(&[7]).await?;
                let mut read = Vec::new();
                link.read_to_end(&mut read).await?;
                assert_eq!(read, [7]);
                serving.join().unwrap()?;

                let (address, serving) = serve(server(&[version], &own, &other));
                let tcp = runtime.connect(&address, &Default::default()).await?;
                let refused = connector.negotiate_unvalidated(tcp, "www.x.org").await;
                let refused = refused.unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
                assert!(serving.join().unwrap().is_err());
            }
            Ok(())
        }
    });
}

#[test]
fn who_speaks_nonsense_is_refused() {
    everywhere(|runtime| async move {
        for said in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
            let listener = std::net::TcpListener::bind(ANY)?;
            let address = listener.local_addr()?;
            let speaks = thread::spawn(move || {
                let (mut socket, _) = listener.accept()?;
                socket.read_exact(&mut [0; 5])?;
                socket.write_all(said)
            });
            let tcp = runtime.connect(&address, &Default::default()).await?;
            let connector = runtime.tls_connector();
            let refused = connector.negotiate_unvalidated(tcp, "www.x.org").await;
            let refused = refused.unwrap_err().to_string();
            let expected = if said.is_empty() {
                "in the TLS handshake"
            } else {
                "does not speak TLS"
            };
            // Whoever leaves with our hello unread resets the connection.
            assert!(
                refused.contains(expected) || refused.contains("reset"),
                "{refused}"
            );
            speaks.join().unwrap()?;
        }
        Ok(())
    });
}

/// All links count in one group, those that were accepted in another one
/// inside it, with what TLS adds; and limits change while they run.
#[test]
fn links_share_their_limits() {
    let own = link_key();
    everywhere(|runtime| {
        let own = own.clone();
        async move {
            let (mut near, mut far) = link(&runtime, &own).await?;
            let (all, relayed) = (runtime.bandwidth(), runtime.relayed());
            let before = relayed.moved_bytes(Direction::Read);
            assert!(before > 200, "the handshake is on the wire: {before}");
            assert!(all.moved_bytes(Direction::Read) > before);

            // 200 kB at 1 MB/s for both ways together, in groups of two.
            const MUCH: usize = 200_000;
            let limit = RateLimit::new(1_000_000)
                .unwrap()
                .with_burst(10_000)
                .unwrap();
            relayed.reset(RateLimits {
                read: Some(limit),
                ..RateLimits::NONE
            });
            let began = Instant::now();
            let write = async {
                near.write_all(&vec![7; MUCH]).await?;
                near.flush().await
            };
            let mut read = vec![0; MUCH];
            futures::future::try_join(write, far.read_exact(&mut read)).await?;
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(180), "{took:?}");
            let moved = relayed.moved_bytes(Direction::Read) - before;
            assert!(
                moved > MUCH as u64 && moved < MUCH as u64 * 11 / 10,
                "{moved}"
            );

            // A minute's worth, and then the limit is lifted.
            let slow = RateLimit::new(5_000).unwrap().with_burst(5_000).unwrap();
            all.reset(RateLimits::both(slow));
            let lifting = runtime.clone();
            runtime
                .spawn(async move {
                    lifting.tasks().sleep(Duration::from_millis(50)).await;
                    lifting.bandwidth().set(RateLimits::NONE);
                })
                .unwrap();
            let began = Instant::now();
            let write = async {
                near.write_all(&vec![7; MUCH]).await?;
                near.flush().await
            };
            futures::future::try_join(write, far.read_exact(&mut read)).await?;
            assert!(began.elapsed() < Duration::from_secs(20));
            Ok(())
        }
    });
}
