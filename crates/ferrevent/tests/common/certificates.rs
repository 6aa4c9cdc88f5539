//! Certificates for tests, made once for each run.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ferrevent::tls::{Certificates, Client, Roots, rustls};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Every one has a name of its own.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(1);

/// An authority, and whatever it signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The one that the tests trust.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed));
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A client that speaks one version only.
    pub(crate) fn client_of(&self, version: rustls::ProtocolVersion) -> Client {
        let only = rustls::ALL_VERSIONS.iter().find(|it| it.version == version);
        Client::from_rustls(self.config(&[only.unwrap()]))
    }

    /// rustls's own client, that waits.
    pub(crate) fn blocking_client(
        &self,
        socket: TcpStream,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        Self::blocking(self.config(rustls::ALL_VERSIONS), socket)
    }

    /// The same, of one version only.
    pub(crate) fn blocking_client_of(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        socket: TcpStream,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        Self::blocking(self.config(&[version]), socket)
    }

    fn blocking(
        config: Arc<rustls::ClientConfig>,
        socket: TcpStream,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        let name = "localhost".try_into().unwrap();
        let connection = rustls::ClientConnection::new(config, name).unwrap();
        rustls::StreamOwned::new(connection, socket)
    }

    /// rustls's own server, by a certificate for this name.
    pub(crate) fn blocking_server(&self, name: &str) -> rustls::ServerConnection {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let (chain, key) = self.server_pem(name);
        let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        rustls::ServerConnection::new(config.into()).unwrap()
    }

    pub(crate) fn config(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls::pki_types::pem::PemObject::from_pem_slice(self.pem.as_bytes());
        roots.add(found.unwrap()).unwrap();
        rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
            .into()
    }

    /// The PEM of a certificate and its key.
    pub(crate) fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn server_pem(&self, name: &str) -> (String, String) {
        self.sign(|params| *params = server_params(name))
    }

    pub(crate) fn client_pem(&self, name: &str) -> (String, String) {
        self.sign(|params| {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    pub(crate) fn server(&self, name: &str) -> Certificates {
        parsed(self.server_pem(name))
    }

    pub(crate) fn client(&self, name: &str) -> Certificates {
        parsed(self.client_pem(name))
    }

    pub(crate) fn expired(&self, name: &str) -> Certificates {
        parsed(self.expired_pem(name))
    }

    /// For a server or a client.
    pub(crate) fn expired_pem(&self, name: &str) -> (String, String) {
        self.sign(|params| {
            *params = server_params(name);
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    /// For a server, though it may sign others.
    pub(crate) fn authority_pem(&self, name: &str) -> (String, String) {
        self.sign(|params| {
            *params = server_params(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        })
    }

    pub(crate) fn server_pem_until_tomorrow(&self, name: &str) -> (String, String) {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        self.sign(|params| {
            *params = server_params(name);
            params.not_after = date_time_ymd(1970, 1, 1) + now + DAY;
        })
    }

    /// From an authority that nobody knows.
    pub(crate) fn stranger(&self, name: &str) -> Certificates {
        Authority::new().server(name)
    }
}

fn server_params(name: &str) -> CertificateParams {
    let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn parsed((chain, key): (String, String)) -> Certificates {
    Certificates::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}
