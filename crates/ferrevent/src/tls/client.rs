//! The client's side.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::SignatureScheme;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::certificates::certified;
use super::export::Noting;
use super::{Certificates, Roots, Session, TlsError, Version, note, provider};

/// What a client needs for TLS, shared by all its connections.
///
/// ```no_run
/// use ferrevent::tls::{Client, Roots};
/// use ferrevent::{EventLoop, Stream};
///
/// let client = Client::builder().roots(Roots::system()?).build()?;
/// let mut events = EventLoop::new()?;
/// events.context().connect_tls(&"example.org:443".parse()?, &client, |stream: &mut Stream<'_>| {
///     println!("{} bytes", stream.input().len());
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    dirty_shutdown: bool,
}

/// Makes a [`Client`].
///
/// ```
/// use ferrevent::tls::Client;
/// assert!(Client::builder().build().is_err(), "it trusts nobody");
/// ```
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    roots: Option<Roots>,
    judge: Option<Arc<dyn ServerCertVerifier>>,
    own: Option<Certificates>,
    alpn: Vec<Vec<u8>>,
    oldest: Version,
    resumption: bool,
    dirty_shutdown: bool,
    provider: Option<Arc<CryptoProvider>>,
}

impl Client {
    /// A client that speaks TLS 1.2 and 1.3, shows no certificate, and
    /// resumes sessions.
    ///
    /// ```
    /// let builder = ferrevent::tls::Client::builder();
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            roots: None,
            judge: None,
            own: None,
            alpn: Vec::new(),
            oldest: Version::Tls12,
            resumption: true,
            dirty_shutdown: false,
            provider: None,
        }
    }

    /// A client with a configuration of rustls's own.
    ///
    /// ```
    /// use ferrevent::tls::{Client, rustls};
    /// fn client(config: rustls::ClientConfig) -> Client {
    ///     Client::from_rustls(config.into())
    /// }
    /// ```
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.key_log = Noting::over(&config.key_log);
        Self {
            config: Arc::new(config),
            dirty_shutdown: false,
        }
    }

    /// As [`ClientBuilder::allow_dirty_shutdown`], for a client that is made.
    ///
    /// ```
    /// use ferrevent::tls::{Client, rustls};
    /// fn client(config: rustls::ClientConfig) -> Client {
    ///     Client::from_rustls(config.into()).allow_dirty_shutdown(true)
    /// }
    /// ```
    pub fn allow_dirty_shutdown(mut self, on: bool) -> Self {
        self.dirty_shutdown = on;
        self
    }

    /// The filter of one connection to a server of this name: a host name or
    /// an IP address, for which its certificate must hold.
    ///
    /// # Errors
    /// When it can be no such name.
    ///
    /// ```
    /// use ferrevent::{Stream, tls::Client};
    /// fn secure(stream: &mut Stream<'_>, client: &Client) {
    ///     if let Ok(session) = client.session("example.org") {
    ///         let _ = stream.add_filter(Box::new(session));
    ///     }
    /// }
    /// ```
    pub fn session(&self, name: &str) -> Result<Session, TlsError> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Config(format!("{name:?} is no host name and no address")))?;
        let records = UnbufferedClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(Session::new(Ok(Box::new(records)), self.dirty_shutdown))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Whom servers' certificates must come from.
    ///
    /// ```no_run
    /// use ferrevent::tls::{Client, Roots};
    /// let client = Client::builder().roots(Roots::system()?).build()?;
    /// # Ok::<(), ferrevent::tls::TlsError>(())
    /// ```
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// The caller's own judge of servers' certificates, instead of roots. It
    /// must check the signature of the handshake, whatever it thinks of the
    /// certificate.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ferrevent::tls::{Client, TlsError, rustls};
    /// use rustls::client::danger::ServerCertVerifier;
    /// fn client(judge: Arc<dyn ServerCertVerifier>) -> Result<Client, TlsError> {
    ///     Client::builder().judge(judge).build()
    /// }
    /// ```
    pub fn judge(mut self, judge: Arc<dyn ServerCertVerifier>) -> Self {
        self.judge = Some(judge);
        self
    }

    /// The certificate to show to a server that asks for one.
    ///
    /// ```no_run
    /// use ferrevent::tls::{Certificates, Client};
    /// let own = Certificates::from_files("me.pem", "me.key")?;
    /// let builder = Client::builder().certificates(own);
    /// # Ok::<(), ferrevent::tls::TlsError>(())
    /// ```
    pub fn certificates(mut self, own: Certificates) -> Self {
        self.own = Some(own);
        self
    }

    /// The application protocols that are offered, the best first.
    ///
    /// ```
    /// let builder = ferrevent::tls::Client::builder().alpn(["h2", "http/1.1"]);
    /// ```
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn = protocols
            .into_iter()
            .map(|it| it.as_ref().to_vec())
            .collect();
        self
    }

    /// The oldest version that is spoken. Default TLS 1.2.
    ///
    /// ```
    /// use ferrevent::tls::{Client, Version};
    /// let builder = Client::builder().oldest(Version::Tls13);
    /// ```
    pub fn oldest(mut self, version: Version) -> Self {
        self.oldest = version;
        self
    }

    /// Whether sessions are resumed. Default true.
    ///
    /// ```
    /// let builder = ferrevent::tls::Client::builder().resumption(false);
    /// ```
    pub fn resumption(mut self, on: bool) -> Self {
        self.resumption = on;
        self
    }

    /// Takes an end without close_notify for an end. Default false.
    ///
    /// ```
    /// let builder = ferrevent::tls::Client::builder().allow_dirty_shutdown(true);
    /// ```
    pub fn allow_dirty_shutdown(mut self, on: bool) -> Self {
        self.dirty_shutdown = on;
        self
    }

    /// Whose cryptography is used. Default: the process's own provider if
    /// there is one, else ring.
    ///
    /// ```
    /// use ferrevent::tls::{Client, rustls};
    /// let ring = rustls::crypto::ring::default_provider();
    /// let builder = Client::builder().provider(ring.into());
    /// ```
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// When there are neither roots nor a judge, or a key does not belong to
    /// its certificate.
    ///
    /// ```
    /// assert!(ferrevent::tls::Client::builder().build().is_err());
    /// ```
    pub fn build(self) -> Result<Client, TlsError> {
        let own = match self.own {
            Some(own) => Some(certified(own, &self.provider)?),
            None => None,
        };
        let builder = ClientConfig::builder_with_provider(provider(self.provider))
            .with_protocol_versions(self.oldest.and_later())?;
        let builder = match (self.judge, self.roots) {
            (Some(judge), _) => builder.dangerous().with_custom_certificate_verifier(judge),
            (None, Some(roots)) => builder.with_root_certificates(roots.0),
            (None, None) => {
                return Err(TlsError::Config(
                    "a TLS client needs roots to trust, or a judge of its own".into(),
                ));
            }
        };
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(Only(own))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.key_log = Noting::over(&config.key_log);
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(Client {
            config: Arc::new(config),
            dirty_shutdown: self.dirty_shutdown,
        })
    }
}

/// The one certificate there is.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesClientCert for Only {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes)?;
        note::chosen(&self.0);
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
