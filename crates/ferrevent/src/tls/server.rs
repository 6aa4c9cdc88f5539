//! The server's side.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::certificates::certified;
use super::export::Noting;
use super::records::Records;
use super::{Certificates, Roots, Session, TlsError, Version, note, provider};

/// What a server needs for TLS, shared by all its connections. A clone is the
/// same server: what [`replace`](Self::replace) gives to one, all have.
///
/// ```no_run
/// use ferrevent::tls::{Certificates, Server};
/// use ferrevent::{EventLoop, Stream};
///
/// let server = Server::builder()
///     .certificates(Certificates::from_files("cert.pem", "key.pem")?)
///     .build()?;
/// let mut events = EventLoop::new()?;
/// events.context().listen_tls(&"127.0.0.1:7443".parse()?, &server, || {
///     |stream: &mut Stream<'_>| stream.echo()
/// })?;
/// events.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Server(Arc<RwLock<Inner>>);

#[derive(Clone)]
struct Inner {
    config: Arc<ServerConfig>,
    dirty_shutdown: bool,
}

/// Whether clients must show a certificate.
///
/// ```no_run
/// use ferrevent::tls::{ClientCertificates, Roots};
/// let known_only = ClientCertificates::Required(Roots::from_file("clients.pem")?);
/// # Ok::<(), ferrevent::tls::TlsError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    NotAsked,
    /// One that is shown must come from these roots.
    Optional(Roots),
    /// One from these roots must be shown.
    Required(Roots),
    /// The caller's own judge decides.
    Judged(Arc<dyn ClientCertVerifier>),
}

/// Makes a [`Server`].
///
/// ```
/// use ferrevent::tls::Server;
/// assert!(Server::builder().build().is_err(), "there is no certificate");
/// ```
#[derive(Debug)]
#[must_use]
pub struct ServerBuilder {
    certificates: Vec<Certificates>,
    clients: ClientCertificates,
    alpn: Vec<Vec<u8>>,
    oldest: Version,
    resumption: bool,
    dirty_shutdown: bool,
    provider: Option<Arc<CryptoProvider>>,
}

impl Server {
    /// A server that takes TLS 1.2 and 1.3, asks no client for a certificate,
    /// and resumes sessions. Of the ciphers that both know it takes the first
    /// of its own, whatever the client's order.
    ///
    /// ```
    /// let builder = ferrevent::tls::Server::builder();
    /// ```
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            certificates: Vec::new(),
            clients: ClientCertificates::NotAsked,
            alpn: Vec::new(),
            oldest: Version::Tls12,
            resumption: true,
            dirty_shutdown: false,
            provider: None,
        }
    }

    /// A server with a configuration of rustls's own.
    ///
    /// ```
    /// use ferrevent::tls::{Server, rustls};
    /// fn server(config: rustls::ServerConfig) -> Server {
    ///     Server::from_rustls(config.into())
    /// }
    /// ```
    pub fn from_rustls(config: Arc<ServerConfig>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.key_log = Noting::over(&config.key_log);
        Self(Arc::new(RwLock::new(Inner {
            config: Arc::new(config),
            dirty_shutdown: false,
        })))
    }

    /// As [`ServerBuilder::allow_dirty_shutdown`], for a server that is made,
    /// and for every clone of it.
    ///
    /// ```
    /// use ferrevent::tls::{Server, rustls};
    /// fn server(config: rustls::ServerConfig) -> Server {
    ///     Server::from_rustls(config.into()).allow_dirty_shutdown(true)
    /// }
    /// ```
    pub fn allow_dirty_shutdown(self, on: bool) -> Self {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.dirty_shutdown = on;
        drop(inner);
        self
    }

    /// Gives this server, and every clone of it, what another one has: new
    /// certificates, say. Connections that stand go on with what they have.
    ///
    /// ```
    /// use ferrevent::tls::Server;
    /// fn renew(server: &Server, renewed: &Server) {
    ///     server.replace(renewed);
    /// }
    /// ```
    pub fn replace(&self, by: &Server) {
        let new = by.inner();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The filter of one connection that a client has begun.
    ///
    /// ```
    /// use ferrevent::{Stream, tls::Server};
    /// fn secure(stream: &mut Stream<'_>, server: &Server) {
    ///     let _ = stream.add_filter(Box::new(server.session()));
    /// }
    /// ```
    pub fn session(&self) -> Session {
        let inner = self.inner();
        let records = match UnbufferedServerConnection::new(inner.config) {
            Ok(records) => Ok(Box::new(records) as Box<dyn Records>),
            Err(error) => Err(error.into()),
        };
        Session::new(records, inner.dirty_shutdown)
    }

    fn inner(&self) -> Inner {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Adds certificates. A client that names a host gets those that hold for
    /// it; any other, and one that asks for no known name, the first ones.
    ///
    /// ```no_run
    /// use ferrevent::tls::{Certificates, Server};
    /// let server = Server::builder()
    ///     .certificates(Certificates::from_files("one.pem", "one.key")?)
    ///     .certificates(Certificates::from_files("other.pem", "other.key")?)
    ///     .build()?;
    /// # Ok::<(), ferrevent::tls::TlsError>(())
    /// ```
    pub fn certificates(mut self, own: Certificates) -> Self {
        self.certificates.push(own);
        self
    }

    /// Whether clients must show a certificate. Default: they are not asked.
    ///
    /// ```
    /// use ferrevent::tls::{ClientCertificates, Server};
    /// let builder = Server::builder().clients(ClientCertificates::NotAsked);
    /// ```
    pub fn clients(mut self, clients: ClientCertificates) -> Self {
        self.clients = clients;
        self
    }

    /// The application protocols that are spoken, the best first. A client
    /// that offers others alone is refused; one that offers none is not.
    ///
    /// ```
    /// use ferrevent::tls::Server;
    /// let builder = Server::builder().alpn(["h2", "http/1.1"]);
    /// ```
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn = protocols
            .into_iter()
            .map(|it| it.as_ref().to_vec())
            .collect();
        self
    }

    /// The oldest version that is taken. Default TLS 1.2.
    ///
    /// ```
    /// use ferrevent::tls::{Server, Version};
    /// let builder = Server::builder().oldest(Version::Tls13);
    /// ```
    pub fn oldest(mut self, version: Version) -> Self {
        self.oldest = version;
        self
    }

    /// Whether sessions can be resumed. Default true.
    ///
    /// ```
    /// let builder = ferrevent::tls::Server::builder().resumption(false);
    /// ```
    pub fn resumption(mut self, on: bool) -> Self {
        self.resumption = on;
        self
    }

    /// Takes an end without close_notify for an end, as some peers know no
    /// better. Then nobody can tell a stream that was cut short from a whole
    /// one. Default false.
    ///
    /// ```
    /// let builder = ferrevent::tls::Server::builder().allow_dirty_shutdown(true);
    /// ```
    pub fn allow_dirty_shutdown(mut self, on: bool) -> Self {
        self.dirty_shutdown = on;
        self
    }

    /// Whose cryptography is used. Default: the process's own provider if
    /// there is one, else ring.
    ///
    /// ```
    /// use ferrevent::tls::{Server, rustls};
    /// let ring = rustls::crypto::ring::default_provider();
    /// let builder = Server::builder().provider(ring.into());
    /// ```
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// The server.
    ///
    /// # Errors
    /// When there is no certificate, or a key does not belong to its own.
    ///
    /// ```
    /// assert!(ferrevent::tls::Server::builder().build().is_err());
    /// ```
    pub fn build(self) -> Result<Server, TlsError> {
        let own: Result<Vec<_>, _> = self
            .certificates
            .into_iter()
            .map(|own| certified(own, &self.provider))
            .collect();
        let own = own?;
        if own.is_empty() {
            return Err(TlsError::Config("a TLS server needs a certificate".into()));
        }
        let provider = provider(self.provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.oldest.and_later())?;
        let judge = |roots: Roots| WebPkiClientVerifier::builder_with_provider(roots.0, provider);
        let refused =
            |error: rustls::server::VerifierBuilderError| TlsError::Config(error.to_string());
        let builder = match self.clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Optional(roots) => builder.with_client_cert_verifier(
                judge(roots)
                    .allow_unauthenticated()
                    .build()
                    .map_err(refused)?,
            ),
            ClientCertificates::Required(roots) => {
                builder.with_client_cert_verifier(judge(roots).build().map_err(refused)?)
            }
            ClientCertificates::Judged(judge) => builder.with_client_cert_verifier(judge),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(own)));
        config.alpn_protocols = self.alpn;
        config.key_log = Noting::over(&config.key_log);
        config.ignore_client_order = true;
        if self.resumption {
            config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Server(Arc::new(RwLock::new(Inner {
            config: Arc::new(config),
            dirty_shutdown: self.dirty_shutdown,
        }))))
    }
}

/// Chooses by the name that the client asks for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        note::asked_for(name);
        let named = name.and_then(|name| self.0.iter().find(|own| holds_for(own, name)));
        let chosen = named.or(self.0.first())?;
        note::chosen(chosen);
        Some(Arc::clone(chosen))
    }
}

fn holds_for(own: &CertifiedKey, name: &str) -> bool {
    let Some(first) = own.cert.first() else {
        return false;
    };
    let (Ok(name), Ok(certificate)) = (
        rustls::pki_types::ServerName::try_from(name),
        rustls::server::ParsedCertificate::try_from(first),
    ) else {
        return false;
    };
    rustls::client::verify_server_name(&certificate, &name).is_ok()
}
