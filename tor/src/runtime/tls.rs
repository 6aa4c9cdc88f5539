//! TLS of Tor's links, by Ferrevent's filter on the same stream.
//!
//! A relay's certificate is a container for its key: it is signed by nobody,
//! and what it says is checked later, by the CERTS cell. Here it must be well
//! formed, and the handshake must be signed by the key that is in it. No
//! session is resumed (tor-spec, "TLS": it plays havoc with forward secrecy).

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use ferrevent::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use ferrevent::tls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use ferrevent::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use ferrevent::tls::rustls::server::ParsedCertificate;
use ferrevent::tls::rustls::{self, DigitallySignedStruct, SignatureScheme};
use ferrevent::tls::{Client, Exporter, Server, Session};
use tor_rtcompat::tls::{TlsAcceptorSettings, TlsConnector};
use tor_rtcompat::{CertifiedConn, StreamOps, TlsProvider};

use super::{Open, TcpStream, TorRuntime};

/// Begins TLS on a connection, as the one who made it.
#[derive(Clone, Debug)]
pub struct Connector {
    client: Client,
}

/// Begins TLS on a connection, as the one who accepted it.
#[derive(Clone, Debug)]
pub struct Acceptor {
    server: Server,
    own: Arc<[u8]>,
}

/// A connection with TLS: a link.
///
/// ```
/// use ferrevent_tor::TlsStream;
/// use tor_rtcompat::CertifiedConn;
///
/// fn has_certificate(link: &TlsStream) -> std::io::Result<bool> {
///     Ok(link.peer_certificate()?.is_some())
/// }
/// ```
pub struct TlsStream {
    pub(super) tcp: TcpStream,
    agreed: String,
    peer: Option<Vec<u8>>,
    own: Option<Arc<[u8]>>,
    exporter: Exporter,
    _open: Open,
}

impl TlsStream {
    async fn over(
        mut tcp: TcpStream,
        session: Session,
        own: Option<Arc<[u8]>>,
    ) -> io::Result<Self> {
        tcp.stream.start_tls(session).await?;
        let asking = tcp.stream.with(|stream| {
            let session = stream.tls()?;
            let peer = session.peer_certificates().first();
            let peer = peer.map(|certificate| certificate.to_vec());
            Some((session.to_string(), peer, session.exporter()))
        });
        let asked = asking.await?;
        let (agreed, peer, exporter) = asked.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self {
            _open: Open::new(&tcp.links),
            tcp,
            agreed,
            peer,
            own,
            exporter: exporter?,
        })
    }

    /// The version of TLS and the cipher that were agreed on.
    ///
    /// ```
    /// fn tell(link: &ferrevent_tor::TlsStream) {
    ///     println!("{}", link.agreed());
    /// }
    /// ```
    pub fn agreed(&self) -> &str {
        &self.agreed
    }
}

#[async_trait]
impl TlsConnector<TcpStream> for Connector {
    type Conn = TlsStream;

    async fn negotiate_unvalidated(&self, tcp: TcpStream, name: &str) -> io::Result<TlsStream> {
        let session = self.client.session(name);
        let session =
            session.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsStream::over(tcp, session, None).await
    }
}

#[async_trait]
impl TlsConnector<TcpStream> for Acceptor {
    type Conn = TlsStream;

    async fn negotiate_unvalidated(&self, tcp: TcpStream, _: &str) -> io::Result<TlsStream> {
        TlsStream::over(tcp, self.server.session(), Some(Arc::clone(&self.own))).await
    }
}

impl TlsProvider<TcpStream> for TorRuntime {
    type Connector = Connector;
    type TlsStream = TlsStream;
    type Acceptor = Acceptor;
    type TlsServerStream = TlsStream;

    fn tls_connector(&self) -> Connector {
        Connector {
            client: self.shared.client.clone(),
        }
    }

    #[cfg(feature = "tls-server")]
    fn tls_acceptor(&self, settings: TlsAcceptorSettings) -> io::Result<Acceptor> {
        self.shared.identities.acceptor(settings.cert_der())
    }

    #[cfg(not(feature = "tls-server"))]
    fn tls_acceptor(&self, _: TlsAcceptorSettings) -> io::Result<Acceptor> {
        Err(tor_rtcompat::tls::TlsServerUnsupported {}.into())
    }

    fn supports_keying_material_export(&self) -> bool {
        true
    }
}

impl CertifiedConn for TlsStream {
    fn export_keying_material(
        &self,
        len: usize,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> io::Result<Vec<u8>> {
        let mut material = vec![0; len];
        self.exporter.export(label, context, &mut material)?;
        Ok(material)
    }

    fn peer_certificate(&self) -> io::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.peer.as_deref().map(Cow::Borrowed))
    }

    fn own_certificate(&self) -> io::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.own.as_deref().map(Cow::Borrowed))
    }
}

impl StreamOps for TlsStream {
    fn set_tcp_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        self.tcp.set_tcp_notsent_lowat(bytes)
    }

    fn new_handle(&self) -> Box<dyn StreamOps + Send + Unpin> {
        self.tcp.new_handle()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("agreed", &self.agreed)
            .finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The side that connects. An end without close_notify is one: cells carry
/// their own integrity, and relays leave like that.
pub(super) fn client() -> io::Result<Client> {
    let provider = provider();
    let judge = AnyWellFormed(provider.signature_verification_algorithms);
    let client = Client::builder()
        .judge(Arc::new(judge))
        .resumption(false)
        .allow_dirty_shutdown(true)
        .provider(provider)
        .build();
    client.map_err(io::Error::from)
}

/// Takes every certificate that is one, and none whose key has not signed the
/// handshake.
#[derive(Debug)]
struct AnyWellFormed(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyWellFormed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        ParsedCertificate::try_from(certificate)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(feature = "tls-server")]
pub(super) use identities::Identities;

#[cfg(feature = "tls-server")]
mod identities {
    use std::sync::{Mutex, PoisonError};

    use ferrevent::tls::Certificates;
    use ferrevent::tls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tor_cert_x509::TlsKeyAndCert;

    use super::*;

    /// The keys of links that are accepted, by their certificates.
    #[derive(Default)]
    pub(in super::super) struct Identities(Mutex<Vec<(Arc<[u8]>, Server)>>);

    /// So many are kept: a relay renews its link key, and the one before may
    /// still be asked for.
    const KEPT: usize = 4;

    impl TorRuntime {
        /// Makes the key of a link certificate known, so that links can be
        /// accepted with it: the settings that `TlsProvider::tls_acceptor` is
        /// given do not give the key out to a runtime of another crate. The
        /// last four are kept.
        ///
        /// # Errors
        /// When the key does not belong to the certificate.
        ///
        /// ```
        /// use ferrevent_tor::TorRuntime;
        /// use tor_rtcompat::TlsProvider;
        /// use tor_rtcompat::tls::TlsAcceptorSettings;
        ///
        /// fn acceptor(
        ///     runtime: &TorRuntime,
        ///     own: &tor_cert_x509::TlsKeyAndCert,
        /// ) -> std::io::Result<ferrevent_tor::Acceptor> {
        ///     runtime.add_link_key(own)?;
        ///     runtime.tls_acceptor(TlsAcceptorSettings::new(own.clone())?)
        /// }
        /// ```
        pub fn add_link_key(&self, own: &TlsKeyAndCert) -> io::Result<()> {
            let chain: Vec<_> = own
                .certificates_der()
                .into_iter()
                .map(<[u8]>::to_vec)
                .collect();
            let key = own.private_key_pkcs8_der().map_err(io::Error::other)?;
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
            self.shared.identities.add(chain, key)
        }
    }

    impl Identities {
        pub(in super::super) fn add(
            &self,
            chain: Vec<Vec<u8>>,
            key: PrivateKeyDer<'static>,
        ) -> io::Result<()> {
            let first = chain.first().map(|first| Arc::from(first.as_slice()));
            let chain = chain.into_iter().map(CertificateDer::from).collect();
            let own = Certificates::from_der(chain, key)?;
            let server = Server::builder()
                .certificates(own)
                .resumption(false)
                .allow_dirty_shutdown(true)
                .provider(provider())
                .build()?;
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(first.map(|first| (first, server)));
            let old = known.len().saturating_sub(KEPT);
            known.drain(..old);
            Ok(())
        }

        pub(super) fn acceptor(&self, certificate: &[u8]) -> io::Result<Acceptor> {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let found = known.iter().rev().find(|(own, _)| **own == *certificate);
            let (own, server) = found.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the key of this link certificate is not known here: \
                     give it to TorRuntime::add_link_key first",
                )
            })?;
            Ok(Acceptor {
                server: server.clone(),
                own: Arc::clone(own),
            })
        }
    }
}
