//! Keying material for others, from the secrets of a session: RFC 5705, and
//! RFC 8446 section 7.5.
//!
//! rustls's unbuffered connections have no call for it. They tell the secret
//! that it comes from to the key log, on the thread that works on the records.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::tls13::OkmBlock;
use rustls::{KeyLog, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::{TlsError, note};

const RANDOM: usize = 32;
/// A record's header, a message's header, a version: then comes a server's
/// random. RFC 5246 sections 6.2.1, 7.4 and 7.4.1.3.
const BEFORE_RANDOM: usize = 5 + 4 + 2;
/// So much of a server's first record is looked at.
pub(super) const HELLO: usize = BEFORE_RANDOM + RANDOM;

/// Makes keying material for other protocols from the secrets of one session,
/// also when that is busy or over. It comes from
/// [`Session::exporter`](super::Session::exporter).
///
/// ```
/// use ferrevent::tls::{Exporter, TlsError};
/// fn binding(exporter: &Exporter) -> Result<[u8; 32], TlsError> {
///     let mut key = [0; 32];
///     exporter.export(b"EXPORTER-Channel-Binding", None, &mut key)?;
///     Ok(key)
/// }
/// ```
#[derive(Clone)]
pub struct Exporter {
    secret: Arc<Secret>,
    suite: SupportedCipherSuite,
}

impl Exporter {
    pub(super) fn new(secret: Arc<Secret>, suite: SupportedCipherSuite) -> Self {
        Self { secret, suite }
    }

    /// As [`Session::export_keying_material`](super::Session::export_keying_material).
    ///
    /// # Errors
    /// [`TlsError::Config`] as there.
    ///
    /// ```
    /// # use ferrevent::tls::Exporter;
    /// fn same(exporter: &Exporter, key: &[u8; 32]) -> bool {
    ///     let mut own = [0; 32];
    ///     exporter.export(b"EXPERIMENTAL", None, &mut own).is_ok() && own == *key
    /// }
    /// ```
    pub fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        output: &mut [u8],
    ) -> Result<(), TlsError> {
        self.secret.export(self.suite, label, context, output)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("suite", &self.suite.suite())
            .finish_non_exhaustive()
    }
}

/// What the material is made from.
pub(super) enum Secret {
    /// The master secret, and the randoms of client and server.
    Tls12(OkmBlock, [u8; 2 * RANDOM]),
    /// The exporter's own.
    Tls13(OkmBlock),
}

/// What a key log was told.
pub(super) enum Told {
    Master {
        secret: OkmBlock,
        client_random: [u8; RANDOM],
    },
    Exporter(OkmBlock),
}

impl Secret {
    /// None if the server's random is needed and not known.
    pub(super) fn new(told: Told, server_random: Option<[u8; RANDOM]>) -> Option<Arc<Self>> {
        Some(Arc::new(match told {
            Told::Exporter(secret) => Secret::Tls13(secret),
            Told::Master {
                secret,
                client_random,
            } => {
                let mut randoms = [0; 2 * RANDOM];
                randoms[..RANDOM].copy_from_slice(&client_random);
                randoms[RANDOM..].copy_from_slice(&server_random?);
                Secret::Tls12(secret, randoms)
            }
        }))
    }

    fn export(
        &self,
        suite: SupportedCipherSuite,
        label: &[u8],
        context: Option<&[u8]>,
        output: &mut [u8],
    ) -> Result<(), TlsError> {
        if output.is_empty() {
            return Err(too_long("no bytes were asked for"));
        }
        match (self, suite) {
            (Secret::Tls12(secret, randoms), SupportedCipherSuite::Tls12(suite)) => {
                export_12(suite, secret, randoms, label, context, output)
            }
            (Secret::Tls13(secret), SupportedCipherSuite::Tls13(suite)) => {
                export_13(suite, secret, label, context, output)
            }
            _ => Err(rustls::Error::HandshakeNotComplete.into()),
        }
    }
}

/// RFC 5705 section 4.
fn export_12(
    suite: &Tls12CipherSuite,
    secret: &OkmBlock,
    randoms: &[u8],
    label: &[u8],
    context: Option<&[u8]>,
    output: &mut [u8],
) -> Result<(), TlsError> {
    let mut seed = randoms.to_vec();
    if let Some(context) = context {
        let len = u16::try_from(context.len());
        let len = len.map_err(|_| too_long("the context may have 65,535 bytes"))?;
        seed.extend(len.to_be_bytes());
        seed.extend(context);
    }
    suite
        .prf_provider
        .for_secret(output, secret.as_ref(), label, &seed);
    Ok(())
}

/// RFC 8446 section 7.5.
fn export_13(
    suite: &Tls13CipherSuite,
    secret: &OkmBlock,
    label: &[u8],
    context: Option<&[u8]>,
    output: &mut [u8],
) -> Result<(), TlsError> {
    let hash = suite.common.hash_provider;
    let expander = suite.hkdf_provider.expander_for_okm(secret);
    let info = expand_label(expander.hash_len(), label, hash.hash(&[]).as_ref())?;
    let derived = expander.expand_block(&[&info]);
    let context = hash.hash(context.unwrap_or_default());
    let info = expand_label(output.len(), b"exporter", context.as_ref())?;
    suite
        .hkdf_provider
        .expander_for_okm(&derived)
        .expand_slice(&[&info], output)
        .map_err(|_| too_long("so much keying material cannot be exported at once"))
}

/// `HkdfLabel`, RFC 8446 section 7.1.
fn expand_label(len: usize, label: &[u8], context: &[u8]) -> Result<Vec<u8>, TlsError> {
    const PREFIX: &[u8] = b"tls13 ";
    let label_len = u8::try_from(PREFIX.len() + label.len());
    let label_len = label_len.map_err(|_| too_long("the label may have 249 bytes"))?;
    let len = u16::try_from(len);
    let len = len.map_err(|_| too_long("so much keying material cannot be exported at once"))?;
    let context_len = u8::try_from(context.len());
    let context_len = context_len.map_err(|_| too_long("the hash is too long"))?;
    let mut info = len.to_be_bytes().to_vec();
    info.push(label_len);
    info.extend(PREFIX);
    info.extend(label);
    info.push(context_len);
    info.extend(context);
    Ok(info)
}

fn too_long(problem: &str) -> TlsError {
    TlsError::Config(problem.into())
}

/// The random in what a server sends first, if that begins with a whole hello.
pub(super) fn server_random(first: &[u8]) -> Option<[u8; RANDOM]> {
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    let whole = usize::from(u16::from_be_bytes([*first.get(3)?, *first.get(4)?])) + 5 >= HELLO;
    if first[0] != HANDSHAKE || *first.get(5)? != SERVER_HELLO || !whole {
        return None;
    }
    first.get(BEFORE_RANDOM..HELLO)?.try_into().ok()
}

/// Takes down what keying material comes from, and passes on what is told.
pub(super) struct Noting(Arc<dyn KeyLog>);

impl Noting {
    pub(super) fn over(log: &Arc<dyn KeyLog>) -> Arc<dyn KeyLog> {
        Arc::new(Self(Arc::clone(log)))
    }
}

impl KeyLog for Noting {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let block = || (secret.len() <= OkmBlock::MAX_LEN).then(|| OkmBlock::new(secret));
        match label {
            "EXPORTER_SECRET" => note::told(block().map(Told::Exporter)),
            "CLIENT_RANDOM" => note::told(block().and_then(|secret| {
                Some(Told::Master {
                    secret,
                    client_random: client_random.try_into().ok()?,
                })
            })),
            _ => {}
        }
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, "EXPORTER_SECRET" | "CLIENT_RANDOM") || self.0.will_log(label)
    }
}

impl fmt::Debug for Noting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
