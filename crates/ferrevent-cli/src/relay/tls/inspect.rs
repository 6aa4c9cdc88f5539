//! What certificates say of themselves, for those who look before they trust.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::summary::name_of;

/// So long before its end a certificate is worth a word.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a certificate says.
pub(in crate::relay) struct Inspected {
    pub(in crate::relay) subject: String,
    pub(in crate::relay) issuer: String,
    /// The hosts that it holds for.
    pub(in crate::relay) names: Vec<String>,
    pub(in crate::relay) not_after: String,
    pub(in crate::relay) validity: Validity,
}

/// How it stands with the dates.
pub(in crate::relay) enum Validity {
    Good,
    /// It ends within two weeks.
    Soon,
    Expired,
    /// It holds from then on.
    NotYet(String),
}

impl Inspected {
    /// Looks at one in DER.
    pub(in crate::relay) fn of(certificate: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::from_der(certificate)
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        let from = validity.not_before.to_system_time();
        let until = validity.not_after.to_system_time();
        let now = SystemTime::now();
        Ok(Self {
            subject: name_of(certificate.subject()),
            issuer: name_of(certificate.issuer()),
            names: match certificate.get_extension::<SubjectAltName>() {
                Ok(Some((_, names))) => names.0.iter().filter_map(host).collect(),
                _ => Vec::new(),
            },
            not_after: date(until),
            validity: if until < now {
                Validity::Expired
            } else if from > now {
                Validity::NotYet(date(from))
            } else if until < now + SOON {
                Validity::Soon
            } else {
                Validity::Good
            },
        })
    }

    /// What is wrong with the dates, if anything.
    pub(in crate::relay) fn trouble(&self) -> Option<String> {
        match &self.validity {
            Validity::Good => None,
            Validity::Soon => Some(format!(
                "expires on {}: renew it, then send SIGHUP",
                self.not_after
            )),
            Validity::Expired => Some(format!(
                "expired on {}: peers will refuse it; renew it, then send SIGHUP",
                self.not_after
            )),
            Validity::NotYet(from) => Some(format!(
                "holds from {from} on: until then peers will refuse it; is the clock right?"
            )),
        }
    }
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|it| Ipv4Addr::from(it).to_string());
    let sixteen = || <[u8; 16]>::try_from(bytes).map(|it| Ipv6Addr::from(it).to_string());
    four.or_else(|_| sixteen()).ok()
}

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
