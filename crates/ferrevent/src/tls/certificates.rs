//! Certificates, keys and roots, from PEM.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{TlsError, provider};

/// A chain of certificates, one's own first, and the key that belongs to it.
///
/// ```no_run
/// use ferrevent::tls::Certificates;
/// let own = Certificates::from_files("cert.pem", "key.pem")?;
/// # Ok::<(), ferrevent::tls::TlsError>(())
/// ```
#[derive(Debug)]
pub struct Certificates {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Certificates {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Certificates {
    /// From a file with the chain and one with the key, both PEM. The key is
    /// PKCS #8, PKCS #1 or SEC1, and not encrypted. They may be one file.
    ///
    /// # Errors
    /// [`TlsError::File`] where a file cannot be read or holds no such thing.
    ///
    /// ```
    /// use ferrevent::tls::{Certificates, TlsError};
    /// let refused = Certificates::from_files("no-such-file", "nor-this");
    /// assert!(matches!(refused, Err(TlsError::File { .. })));
    /// ```
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let key = key.as_ref();
        Ok(Self {
            chain: certificates_in(chain.as_ref())?,
            key: PrivateKeyDer::from_pem_file(key)
                .map_err(|error| in_file(key, "holds no usable private key", &error))?,
        })
    }

    /// From PEM in memory.
    ///
    /// # Errors
    /// [`TlsError::Config`] where there is no such thing.
    ///
    /// ```
    /// use ferrevent::tls::{Certificates, TlsError};
    /// assert!(matches!(Certificates::from_pem(b"", b""), Err(TlsError::Config(_))));
    /// ```
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| TlsError::Config(format!("a certificate: {error}")))?;
        if chain.is_empty() {
            return Err(TlsError::Config("the PEM holds no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError::Config(format!("no usable private key: {error}")))?;
        Ok(Self { chain, key })
    }

    /// From DER: the chain, one's own first, and the key.
    ///
    /// # Errors
    /// [`TlsError::Config`] where there is no certificate.
    ///
    /// ```
    /// use ferrevent::tls::{Certificates, TlsError};
    /// use ferrevent::tls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    /// let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(Vec::new()));
    /// let nothing = Certificates::from_der(Vec::new(), key);
    /// assert!(matches!(nothing, Err(TlsError::Config(_))));
    /// ```
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        if chain.is_empty() {
            return Err(TlsError::Config("there is no certificate".into()));
        }
        Ok(Self { chain, key })
    }

    /// The chain, one's own first, in DER.
    ///
    /// ```
    /// # use ferrevent::tls::Certificates;
    /// fn count(own: &Certificates) -> usize {
    ///     own.chain().len()
    /// }
    /// ```
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(super) fn certified(
        self,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, TlsError> {
        let certified = CertifiedKey::from_der(self.chain, self.key, provider)?;
        Ok(Arc::new(certified))
    }
}

/// The certificates that others' must come from.
///
/// ```no_run
/// use ferrevent::tls::Roots;
/// let roots = Roots::system()?;
/// # Ok::<(), ferrevent::tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Roots(pub(super) Arc<RootCertStore>);

impl Roots {
    /// Those that the system trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` name
    /// others.
    ///
    /// # Errors
    /// When it trusts none, or they cannot be read.
    ///
    /// ```no_run
    /// let roots = ferrevent::tls::Roots::system()?;
    /// # Ok::<(), ferrevent::tls::TlsError>(())
    /// ```
    pub fn system() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(found.certs);
        if added > 0 {
            return Ok(Self(Arc::new(store)));
        }
        let why = found.errors.first().map(|error| format!(": {error}"));
        Err(TlsError::Config(format!(
            "the system has no trusted certificates{}; name a file of them",
            why.unwrap_or_default()
        )))
    }

    /// Those in a PEM file.
    ///
    /// # Errors
    /// As [`Certificates::from_files`].
    ///
    /// ```
    /// assert!(ferrevent::tls::Roots::from_file("no-such-file").is_err());
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::new(certificates_in(path.as_ref())?)
    }

    /// Those in PEM in memory.
    ///
    /// # Errors
    /// As [`Certificates::from_pem`].
    ///
    /// ```
    /// assert!(ferrevent::tls::Roots::from_pem(b"").is_err());
    /// ```
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        Self::new(found.map_err(|error| TlsError::Config(format!("a root: {error}")))?)
    }

    fn new(found: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        if found.is_empty() {
            return Err(TlsError::Config("the PEM holds no certificate".into()));
        }
        let mut store = RootCertStore::empty();
        for root in found {
            store.add(root)?;
        }
        Ok(Self(Arc::new(store)))
    }
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|found| found.collect());
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::File {
            path: path.to_owned(),
            problem: "holds no certificate in PEM".into(),
        }),
        Err(error) => Err(in_file(path, "holds no usable certificate", &error)),
    }
}

fn in_file(path: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> TlsError {
    let problem = match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        error => format!("{what}: {error}"),
    };
    TlsError::File {
        path: path.to_owned(),
        problem,
    }
}

/// The provider's view of someone's certificates, for those who are asked.
pub(super) fn certified(
    own: Certificates,
    asked: &Option<Arc<CryptoProvider>>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    own.certified(&provider(asked.clone()))
}
