//! Why TLS ends connections, in codes that programs can rely on, and what an
//! operator can do about it. docs/relay.md lists them.

use std::time::{Duration, SystemTime};

use ferrevent::Activity;
use ferrevent::tls::TlsError;
use ferrevent::tls::rustls::pki_types::UnixTime;
use ferrevent::tls::rustls::{AlertDescription as Alert, CertificateError, Error};

use crate::log::Side;

/// The code of an error of TLS.
pub(in crate::relay) fn code(during: Activity, error: &TlsError) -> &'static str {
    match error {
        // Who says so after the handshake wants another one (RFC 5746), and
        // was told that there is none.
        TlsError::Protocol(Error::AlertReceived(Alert::HandshakeFailure))
            if during != Activity::Handshake =>
        {
            "renegotiation"
        }
        TlsError::NotTls => "not_tls",
        TlsError::HandshakeCut => "handshake_cut",
        TlsError::Truncated => "truncated",
        TlsError::Protocol(error) => code_of(error),
        _ => "tls_failed",
    }
}

fn code_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(error) => code_of_certificate(error),
        Error::NoCertificatesPresented => "certificate_missing",
        Error::AlertReceived(Alert::CertificateRequired) => "certificate_wanted",
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied,
        ) => "certificate_refused",
        Error::AlertReceived(
            Alert::HandshakeFailure
            | Alert::InsufficientSecurity
            | Alert::NoApplicationProtocol
            | Alert::ProtocolVersion,
        )
        | Error::PeerIncompatible(_)
        | Error::NoApplicationProtocol => "nothing_in_common",
        Error::AlertReceived(_) => "alert",
        Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::DecryptError
        | Error::PeerSentOversizedRecord
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => "bad_record",
        _ => "tls_failed",
    }
}

fn code_of_certificate(error: &CertificateError) -> &'static str {
    use CertificateError as Kind;
    match error {
        Kind::Expired
        | Kind::ExpiredContext { .. }
        | Kind::NotValidYet
        | Kind::NotValidYetContext { .. } => "certificate_expired",
        Kind::NotValidForName | Kind::NotValidForNameContext { .. } => "certificate_name",
        Kind::UnknownIssuer => "certificate_unknown",
        _ => "certificate_invalid",
    }
}

/// What the error says, where rustls says it for programmers.
pub(in crate::relay) fn text(error: &TlsError) -> Option<String> {
    use CertificateError as Kind;
    let TlsError::Protocol(error) = error else {
        return None;
    };
    Some(match error {
        Error::InvalidCertificate(Kind::ExpiredContext { not_after, .. }) => {
            format!("its certificate expired on {}", date(*not_after))
        }
        Error::InvalidCertificate(Kind::NotValidYetContext { not_before, .. }) => {
            format!("its certificate holds from {} on", date(*not_before))
        }
        Error::InvalidCertificate(Kind::UnknownIssuer) => {
            "its certificate comes from no root that is trusted here".into()
        }
        Error::InvalidCertificate(error) if is_authority(error) => {
            "its certificate is that of an authority (CA:TRUE), which is none for a peer".into()
        }
        Error::NoCertificatesPresented => "it showed no certificate".into(),
        Error::AlertReceived(alert) => format!("it ended the connection by the alert {alert:?}"),
        _ => return None,
    })
}

/// The one error of webpki that has no name of rustls's and that people meet:
/// what `openssl req -x509` makes if nothing else is asked for.
fn is_authority(error: &CertificateError) -> bool {
    error.to_string().contains("CaUsedAsEndEntity")
}

fn date(time: UnixTime) -> String {
    let since = Duration::from_secs(time.as_secs());
    match SystemTime::UNIX_EPOCH.checked_add(since) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => format!("second {}", time.as_secs()),
    }
}

/// What the operator can do about it, if anything.
pub(in crate::relay) fn remedy(code: &str, side: Option<Side>) -> Option<&'static str> {
    Some(match (code, side?) {
        ("not_tls", Side::Client) => "clients of this address must speak TLS",
        ("not_tls", Side::Upstream) => {
            "is that the port where it speaks TLS? if it speaks none, leave out --connect-tls"
        }
        ("handshake_timeout", Side::Client) => {
            "it connected and said too little; --handshake-timeout sets the patience"
        }
        ("handshake_timeout", Side::Upstream) => {
            "does it speak TLS on that port? --handshake-timeout sets the patience"
        }
        ("truncated", _) => {
            "if its kind never sends close_notify, --allow-dirty-shutdown takes that for an end"
        }
        ("certificate_missing", _) => {
            "give that client a certificate from --client-ca, or say --verify-client optional"
        }
        ("certificate_unknown", Side::Client) => "should --client-ca hold its root?",
        ("certificate_unknown", Side::Upstream) => {
            "name its root by --connect-ca; does it send the certificates in between?"
        }
        ("certificate_expired", _) => "it needs a new certificate, unless a clock is wrong",
        ("certificate_name", _) => {
            "say the name that its certificate holds for: --connect-tls NAME"
        }
        ("certificate_invalid", _) => {
            "it needs one for a peer, such as openssl req -x509 makes with \
             -addext basicConstraints=critical,CA:FALSE"
        }
        ("certificate_wanted", Side::Upstream) => "show it one: --connect-cert CERT KEY",
        ("certificate_refused", Side::Client) => {
            "does it know the root of --listen-tls, by the name it asked for, and has the file \
             the certificates in between? is it in date?"
        }
        ("certificate_refused", Side::Upstream) => {
            "does it know the root of --connect-cert, and is that in date?"
        }
        ("handshake_cut", Side::Client) => {
            "so do port scans and health checks; else its own log may say why"
        }
        ("renegotiation", _) => "it wants to renegotiate, most likely, and that is never done here",
        ("alert" | "handshake_cut", _) => "its own log may say why",
        ("bad_record", _) => "something in between that changes bytes, or an attack?",
        ("nothing_in_common", _) => {
            "no version, cipher or protocol suits both; see --min-tls and --alpn"
        }
        _ => return None,
    })
}
