//! TLS on either side of a relay: what it is made of, and what was agreed on.

mod inspect;
mod options;
mod reason;
mod summary;

use std::fs;
use std::path::Path;

use ferrevent::tls::rustls::pki_types::CertificateDer;
use ferrevent::tls::rustls::pki_types::pem::PemObject;
use ferrevent::tls::{
    Certificates, Client, ClientCertificates, Roots, Server, Session, TlsError, rustls,
};

pub(super) use inspect::{Inspected, Validity};
pub(crate) use options::Options;
pub(super) use options::{Pair, VerifyClient};
pub(super) use reason::{code, remedy, text};
pub(super) use summary::summary;

use super::options::Options as All;

/// What both sides of new connections speak TLS by. It is made anew when files
/// have changed; connections that stand go on with what they have.
#[derive(Default)]
pub(super) struct Tls {
    front: Option<Server>,
    back: Option<Back>,
    /// What will be trouble, though it is none for us.
    warnings: Vec<String>,
}

/// What the upstream is spoken to by.
struct Back {
    /// What its certificate must hold for.
    name: String,
    /// Who offers everything.
    any: Client,
    /// Who offers one protocol, each, for clients that agreed on it, and who
    /// offers none, for those that agreed on none: where clients speak TLS.
    exactly: Vec<(Option<String>, Client)>,
}

impl Tls {
    /// Reads what the options name.
    pub(super) fn load(options: &All) -> Result<Self, String> {
        let name = options.tls.upstream(&options.connect)?;
        let front = front(&options.tls)?;
        let back = match name {
            Some(name) => Some(Back::load(&options.tls, name, front.is_some())?),
            None => None,
        };
        let pairs = options.tls.listen().chain(options.tls.own());
        Ok(Self {
            front,
            back,
            warnings: pairs.filter_map(|pair| pair.trouble()).collect(),
        })
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A client's session, if clients speak TLS.
    pub(super) fn accept(&self) -> Option<Session> {
        self.front.as_ref().map(Server::session)
    }

    /// By what, and under which name, to speak to the upstream for a client
    /// that has agreed on this.
    pub(super) fn connect(&self, client: Option<&Session>) -> Option<(&Client, &str)> {
        let back = self.back.as_ref()?;
        Some((back.offering(client), &back.name))
    }
}

fn front(options: &Options) -> Result<Option<Server>, String> {
    let mut builder = Server::builder()
        .clients(clients(options)?)
        .alpn(&options.alpn)
        .oldest(options.oldest())
        .allow_dirty_shutdown(options.allow_dirty_shutdown);
    let mut any = false;
    for pair in options.listen() {
        builder = builder.certificates(pair.load()?);
        any = true;
    }
    if !any {
        return Ok(None);
    }
    builder.build().map(Some).map_err(said)
}

fn clients(options: &Options) -> Result<ClientCertificates, String> {
    let Some(path) = &options.client_ca else {
        return Ok(ClientCertificates::NotAsked);
    };
    let roots = Roots::from_file(path).map_err(said)?;
    Ok(match options.verify_client {
        VerifyClient::Required => ClientCertificates::Required(roots),
        VerifyClient::Optional => ClientCertificates::Optional(roots),
    })
}

impl Back {
    fn load(options: &Options, name: String, by_client: bool) -> Result<Self, String> {
        let roots = match &options.connect_ca {
            Some(path) => Roots::from_file(path),
            None => Roots::system(),
        };
        let roots = roots.map_err(said)?;
        let own = match options.own() {
            Some(pair) => Some(pair.load()?),
            None => None,
        };
        let offering = |protocols: &[&str]| {
            let mut builder = Client::builder()
                .roots(roots.clone())
                .alpn(protocols)
                .oldest(options.oldest())
                .allow_dirty_shutdown(options.allow_dirty_shutdown);
            if let Some(own) = &own {
                builder = builder.certificates(own.clone());
            }
            builder.build().map_err(said)
        };
        let all: Vec<&str> = options.alpn.iter().map(String::as_str).collect();
        let mut exactly = Vec::new();
        if by_client {
            exactly.push((None, offering(&[])?));
            for protocol in &options.alpn {
                exactly.push((Some(protocol.clone()), offering(&[protocol])?));
            }
        }
        Ok(Self {
            name,
            any: offering(&all)?,
            exactly,
        })
    }

    fn offering(&self, client: Option<&Session>) -> &Client {
        let Some(client) = client else {
            return &self.any;
        };
        self.exactly
            .iter()
            .find(|(protocol, _)| protocol.as_deref().map(str::as_bytes) == client.alpn())
            .map_or(&self.any, |(_, client)| client)
    }
}

impl Pair<'_> {
    /// Reads both, and sees to it that they belong together.
    pub(super) fn load(&self) -> Result<Certificates, String> {
        let own = Certificates::from_files(self.certificate, self.key)
            .map_err(|error| self.unusable(&error))?;
        Server::builder()
            .certificates(own.clone())
            .build()
            .map_err(|error| self.unusable(&error))?;
        Ok(own)
    }

    /// What is wrong with the certificate's dates, if anything.
    fn trouble(&self) -> Option<String> {
        let first = CertificateDer::pem_file_iter(self.certificate)
            .ok()?
            .next()?;
        let trouble = Inspected::of(&first.ok()?).ok()?.trouble()?;
        Some(format!("{} {trouble}", self.certificate.display()))
    }

    fn unusable(&self, error: &TlsError) -> String {
        match error {
            TlsError::Protocol(rustls::Error::InconsistentKeys(_)) => format!(
                "the key in {} does not belong to the certificate in {}: was only one of them \
                 renewed, or do they stand in the wrong order?",
                self.key.display(),
                self.certificate.display()
            ),
            TlsError::File { path, .. } if path == self.key && is_encrypted(path) => format!(
                "{0}: the key is encrypted, and nobody is there to say the password; write it \
                 without: openssl pkey -in {0} -out NEW, with umask 077",
                self.key.display()
            ),
            error => error.to_string(),
        }
    }
}

fn is_encrypted(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains("ENCRYPTED"))
}

fn said(error: TlsError) -> String {
    error.to_string()
}
