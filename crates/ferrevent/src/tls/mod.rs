//! TLS over any stream, by rustls: a [`Filter`](crate::Filter) like every
//! other, and what makes one.
//!
//! A [`Server`] is made from certificates, a [`Client`] from the roots it
//! trusts. Their sessions go on a stream from its first byte on
//! ([`Context::listen_tls`](crate::Context::listen_tls),
//! [`Context::connect_tls`](crate::Context::connect_tls)) or while it runs
//! ([`Stream::start_tls`](crate::Stream::start_tls)). Whatever rustls can do
//! beyond what is offered here is done with its own configuration:
//! [`Server::from_rustls`], [`Client::from_rustls`].
//!
//! `finish` and `finish_write` send close_notify before they end the wire. A
//! peer that ends the wire without it has cut the stream short: that is
//! [`TlsError::Truncated`], unless a dirty shutdown is allowed.

mod certificates;
mod client;
mod error;
mod export;
mod note;
mod records;
mod server;
mod session;
mod stream;
#[cfg(feature = "async")]
mod tasks;

pub use certificates::{Certificates, Roots};
pub use client::{Client, ClientBuilder};
pub use error::TlsError;
pub use export::Exporter;
pub use rustls;
pub use server::{ClientCertificates, Server, ServerBuilder};
pub use session::Session;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Versions that can be asked for.
///
/// ```
/// use ferrevent::tls::Version;
/// assert!(Version::Tls12 < Version::Tls13);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl Version {
    /// This one and those after it.
    fn and_later(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        match self {
            Version::Tls12 => rustls::ALL_VERSIONS,
            Version::Tls13 => ONLY_13,
        }
    }
}

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1.2" => Ok(Version::Tls12),
            "1.3" => Ok(Version::Tls13),
            other => Err(format!("there is no TLS {other} here: 1.2 or 1.3")),
        }
    }
}

static ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The provider that was asked for, the process's, or ring.
fn provider(asked: Option<Arc<CryptoProvider>>) -> Arc<CryptoProvider> {
    asked
        .or_else(|| CryptoProvider::get_default().cloned())
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}
