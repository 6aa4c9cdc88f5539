//! What a relay is told of TLS on its command line.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use ferrevent::Address;
use ferrevent::tls::Version;
use ferrevent::tls::rustls::pki_types::ServerName;

/// TLS on either side.
#[derive(Args, Clone, Default)]
#[group(skip)]
#[command(next_help_heading = "TLS", group = ArgGroup::new("tls").multiple(true))]
pub(crate) struct Options {
    /// Speak TLS with clients, by this certificate and its key, both in PEM.
    ///
    /// CERT holds the certificate and behind it those between it and the root;
    /// KEY its private key (PKCS #8, PKCS #1 or SEC1), not encrypted. Both may
    /// be one file. May be given several times: a client that asks for a name
    /// (SNI) gets the first certificate that holds for it, any other client
    /// the first of all. SIGHUP reads the files anew.
    #[arg(long, value_names = ["CERT", "KEY"], num_args = 2, group = "tls")]
    listen_tls: Vec<PathBuf>,
    /// Ask clients for a certificate that comes from a root in this file (PEM).
    ///
    /// Who shows none, or one that does not hold, is refused in the handshake.
    /// --verify-client optional takes those who show none.
    #[arg(long, value_name = "FILE", requires = "listen_tls")]
    pub(in crate::relay) client_ca: Option<PathBuf>,
    /// Whether clients must show the certificate that --client-ca asks for.
    #[arg(
        long,
        value_name = "WHETHER",
        value_enum,
        default_value_t,
        requires = "client_ca"
    )]
    pub(in crate::relay) verify_client: VerifyClient,
    /// Speak TLS with the upstream, whose certificate must hold for NAME.
    ///
    /// NAME is a host name or an IP address, and also what is asked for (SNI);
    /// without it, the host in CONNECT. The certificate must come from a root
    /// that this system trusts (SSL_CERT_FILE and SSL_CERT_DIR name others), or
    /// from one in --connect-ca.
    #[arg(long, value_name = "NAME", num_args = 0..=1, value_parser = server_name, group = "tls")]
    connect_tls: Option<Option<String>>,
    /// Trust the roots in this file (PEM) for the upstream, not the system's.
    #[arg(long, value_name = "FILE", requires = "connect_tls")]
    pub(in crate::relay) connect_ca: Option<PathBuf>,
    /// Show this certificate to an upstream that asks for one.
    ///
    /// Both in PEM, as for --listen-tls. SIGHUP reads the files anew.
    #[arg(
        long,
        value_names = ["CERT", "KEY"],
        num_args = 2,
        action = clap::ArgAction::Set,
        requires = "connect_tls"
    )]
    connect_cert: Vec<PathBuf>,
    /// Application protocols, the best first, such as h2,http/1.1 (ALPN).
    ///
    /// With --listen-tls, a client that offers some gets the first of the list
    /// that it offers, and is refused if there is none. With --connect-tls they
    /// are offered to the upstream; where both sides speak TLS the upstream is
    /// offered what was agreed on with the client, and nothing else.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = protocol, requires = "tls")]
    pub(super) alpn: Vec<String>,
    /// The oldest version of TLS on either side: 1.2 or 1.3.
    #[arg(long, value_name = "VERSION", default_value = "1.2", requires = "tls")]
    min_tls: Oldest,
    /// Take a connection that ends without TLS's close_notify for a whole one.
    ///
    /// Some peers know no better. But then nobody can tell whether the last
    /// bytes were cut off on the way.
    #[arg(long, requires = "tls")]
    pub(super) allow_dirty_shutdown: bool,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyClient {
    /// Who shows none is refused.
    #[default]
    Required,
    /// Who shows none is taken too; the log says who showed one.
    Optional,
}

/// The oldest version.
#[derive(Clone, Copy)]
struct Oldest(Version);

impl Default for Oldest {
    fn default() -> Self {
        Self(Version::Tls12)
    }
}

impl std::str::FromStr for Oldest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// A certificate's file and its key's.
pub(in crate::relay) struct Pair<'a> {
    pub(in crate::relay) certificate: &'a Path,
    pub(in crate::relay) key: &'a Path,
}

impl Options {
    /// Certificates for clients; none where they are spoken to in the plain.
    pub(in crate::relay) fn listen(&self) -> impl Iterator<Item = Pair<'_>> {
        pairs(&self.listen_tls)
    }

    /// The certificate for the upstream.
    pub(in crate::relay) fn own(&self) -> Option<Pair<'_>> {
        pairs(&self.connect_cert).next()
    }

    /// The name that the upstream's certificate must hold for; none where it
    /// is spoken to in the plain.
    pub(in crate::relay) fn upstream(&self, connect: &Address) -> Result<Option<String>, String> {
        let Some(name) = &self.connect_tls else {
            return Ok(None);
        };
        match (name, connect) {
            (Some(name), _) => Ok(Some(name.clone())),
            (None, Address::Name(host, _)) => server_name(host).map(Some),
            (None, Address::Socket(address)) => Ok(Some(address.ip().to_string())),
            (None, other) => Err(format!(
                "{other} has no host that a certificate could hold for: \
                 say which, by --connect-tls NAME"
            )),
        }
    }

    pub(super) fn oldest(&self) -> Version {
        self.min_tls.0
    }

    /// Whether clients are spoken to by TLS.
    pub(in crate::relay) fn listens(&self) -> bool {
        !self.listen_tls.is_empty()
    }

    /// Whether the upstream is.
    pub(in crate::relay) fn connects(&self) -> bool {
        self.connect_tls.is_some()
    }
}

/// The command line takes them by twos.
fn pairs(paths: &[PathBuf]) -> impl Iterator<Item = Pair<'_>> {
    paths.chunks_exact(2).map(|pair| Pair {
        certificate: &pair[0],
        key: &pair[1],
    })
}

fn server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(
            "it is no host name and no IP address; an address to listen on or connect to \
             goes before --connect-tls"
                .into(),
        ),
    }
}

/// RFC 7301: from 1 to 255 bytes.
fn protocol(text: &str) -> Result<String, String> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => Err("a protocol's name has from 1 to 255 bytes; write h2,http/1.1".into()),
    }
}
