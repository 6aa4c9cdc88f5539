//! Why a name was not resolved.

use std::fmt;
use std::net::SocketAddr;

/// A question without an answer: what was asked, why there is no answer, and
/// whose word that is.
///
/// ```
/// use ferrevent_dns::{Failure, ResolveError};
///
/// let error = ResolveError {
///     name: "www.example.org".into(),
///     failure: Failure::TimedOut,
///     server: Some("192.0.2.1:53".parse().unwrap()),
/// };
/// assert_eq!(
///     error.to_string(),
///     "cannot resolve www.example.org: no name server answered in time (last asked: 192.0.2.1:53)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// What was asked for, as it was written.
    pub name: String,
    /// Why it has no answer.
    pub failure: Failure,
    /// The server that was asked last, if one was.
    pub server: Option<SocketAddr>,
}

/// Why a question has no answer.
///
/// ```
/// use ferrevent_dns::Failure;
/// assert_eq!(Failure::NoSuchName.to_string(), "there is no such name");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// What was asked for is no name: an empty label, one of more than 63
    /// bytes, more than 255 bytes in all (RFC 1035), or not ASCII.
    BadName,
    /// The service is unknown, or is none for this kind of socket.
    BadService,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists, and has nothing of this kind.
    NoData,
    /// Every server failed at it; the last said so itself (SERVFAIL).
    ServerFailed,
    /// No server would answer; the last refused (REFUSED).
    Refused,
    /// No server knows how to answer it (NOTIMP).
    NotImplemented,
    /// No server could read the question (FORMERR).
    NotUnderstood,
    /// Another code of RFC 6895.
    Code(u16),
    /// No server answered in time.
    TimedOut,
    /// The answer was cut, and could not be had whole by TCP.
    Truncated,
    /// The answer was damaged, or its aliases lead in a circle.
    Malformed,
    /// No server could be reached, for this reason.
    Unreachable(String),
    /// There is no server to ask.
    NoServers,
    /// As many questions wait as may.
    TooManyWaiting,
    /// It was canceled.
    Canceled,
    /// The resolver was shut down.
    ShutDown,
}

impl Failure {
    /// Whether a server has said, with authority, that there is nothing: asking
    /// again is of no use until that changes.
    ///
    /// ```
    /// use ferrevent_dns::Failure;
    /// assert!(Failure::NoData.is_final());
    /// assert!(!Failure::TimedOut.is_final());
    /// ```
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Failure::BadName | Failure::BadService | Failure::NoSuchName | Failure::NoData
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::BadName => "it is no host name",
            Failure::BadService => "there is no such service for this kind of socket",
            Failure::NoSuchName => "there is no such name",
            Failure::NoData => "the name has no data of this kind",
            Failure::ServerFailed => "the name servers failed",
            Failure::Refused => "the name servers refuse to answer",
            Failure::NotImplemented => "the name servers do not know how",
            Failure::NotUnderstood => "the name servers did not understand the question",
            Failure::Code(code) => return write!(f, "the name servers failed with code {code}"),
            Failure::TimedOut => "no name server answered in time",
            Failure::Truncated => "the answer was cut, and TCP brought none",
            Failure::Malformed => "the answer was damaged",
            Failure::Unreachable(why) => {
                return write!(f, "no name server could be reached: {why}");
            }
            Failure::NoServers => "no name server is configured",
            Failure::TooManyWaiting => "too many questions wait already; try again later",
            Failure::Canceled => "it was canceled",
            Failure::ShutDown => "the resolver was shut down",
        })
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve {}: {}", self.name, self.failure)?;
        match self.server {
            Some(server) => write!(f, " (last asked: {server})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ResolveError {}

impl From<ResolveError> for std::io::Error {
    fn from(error: ResolveError) -> Self {
        use std::io::ErrorKind;
        let kind = match error.failure {
            Failure::BadName | Failure::BadService => ErrorKind::InvalidInput,
            Failure::NoSuchName | Failure::NoData => ErrorKind::NotFound,
            Failure::TimedOut => ErrorKind::TimedOut,
            Failure::Truncated | Failure::Malformed => ErrorKind::InvalidData,
            Failure::TooManyWaiting => ErrorKind::QuotaExceeded,
            _ => ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}
