//! What goes wrong with TLS.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::CloseReason;

/// An error of TLS. A stream that ends by one has
/// [`CloseReason::Failed`] with it inside: [`TlsError::of`] finds it.
///
/// ```
/// use ferrevent::CloseReason;
/// use ferrevent::tls::TlsError;
///
/// fn was_cut_short(reason: &CloseReason) -> bool {
///     matches!(TlsError::of(reason), Some(TlsError::Truncated))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer ended the connection without close_notify: what came may not
    /// be all that it wanted to send.
    Truncated,
    /// The peer ended the connection before the handshake was over.
    HandshakeCut,
    /// What the peer sent at the beginning is no TLS.
    NotTls,
    /// What rustls says: a certificate that is not trusted, an alert of the
    /// peer's, a broken record.
    Protocol(rustls::Error),
    /// A file with certificates or a key cannot be used.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificates, keys or roots cannot be used as they were given.
    Config(String),
}

impl TlsError {
    /// The TLS error a stream ended by.
    ///
    /// ```
    /// use ferrevent::CloseReason;
    /// use ferrevent::tls::TlsError;
    /// assert!(TlsError::of(&CloseReason::Finished).is_none());
    /// ```
    pub fn of(reason: &CloseReason) -> Option<&TlsError> {
        match reason {
            CloseReason::Failed { error, .. } => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Truncated => f.write_str(
                "the peer ended the connection without TLS's close_notify: \
                 what it sent may be incomplete",
            ),
            TlsError::HandshakeCut => {
                f.write_str("the peer ended the connection in the TLS handshake")
            }
            TlsError::NotTls => f.write_str("the peer does not speak TLS"),
            TlsError::Protocol(error) => write!(f, "TLS: {error}"),
            TlsError::File { path, problem } => write!(f, "{}: {problem}", path.display()),
            TlsError::Config(problem) => f.write_str(problem),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TlsError::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        TlsError::Protocol(error)
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match &error {
            TlsError::Truncated | TlsError::HandshakeCut => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
