//! What was agreed on in a handshake, for the log.

use std::fmt::Write;

use ferrevent::tls::Session;
use ferrevent::tls::rustls::ProtocolVersion;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::name::Name;

use crate::log::Tls;

/// What a session has agreed on, if it came so far. A client asked for the
/// name by itself; the upstream was asked for this one.
pub(in crate::relay) fn summary(session: &Session, asked: Option<&str>) -> Option<Tls> {
    let version = match session.version()? {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "unknown",
    };
    // rustls marks those of TLS 1.3; the registry's names are the others.
    let cipher = format!("{:?}", session.cipher()?.suite()).replacen("TLS13_", "TLS_", 1);
    let certificate = session.peer_certificates().first();
    Some(Tls {
        version,
        cipher,
        server_name: asked.or(session.server_name()).map(str::to_owned),
        alpn: session
            .alpn()
            .map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        subject: certificate.map(|it| subject(it)),
        resumed: session.is_resumed(),
    })
}

/// The name in a certificate.
fn subject(certificate: &[u8]) -> String {
    match Certificate::from_der(certificate) {
        Ok(certificate) => name_of(certificate.tbs_certificate().subject()),
        Err(error) => format!("unreadable: {error}"),
    }
}

/// A name as RFC 4514 writes it.
pub(super) fn name_of(name: &Name) -> String {
    let mut text = String::new();
    match write!(text, "{name}") {
        Ok(()) => text,
        Err(_) => "unreadable".into(),
    }
}
