//! Whether certificates and keys can be used, and whether the upstream's
//! holds: it is shaken hands with once.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrevent::tls::{Roots, TlsError};
use ferrevent::{CloseReason, Handler, Stream, StreamConfig};

use super::report::Report;
use crate::lock;
use crate::log::{Side, Tls as Agreed};
use crate::relay::options::Options;
use crate::relay::reason::End;
use crate::relay::tls::{Inspected, Pair, Tls, Validity, VerifyClient, summary};

/// An upstream that does not take our certificate says so only after the
/// handshake, and any other ends when we do: either is given so long.
const SECOND_THOUGHTS: Duration = Duration::from_secs(3);

/// Looks at every file; answers what TLS would be spoken by.
pub(super) fn files(options: &Options, report: &mut Report) -> Option<Tls> {
    let before = report.problems();
    let mut names: Vec<String> = Vec::new();
    for (i, pair) in options.tls.listen().enumerate() {
        let Some(inspected) = look("listen", &pair, report) else {
            continue;
        };
        let held = inspected.names;
        if held.is_empty() {
            report.warning(
                "listen",
                format!(
                    "{} names no host (subjectAltName): clients that check names will refuse it",
                    pair.certificate.display()
                ),
            );
        } else if i > 0 && held.iter().all(|name| names.contains(name)) {
            report.warning(
                "listen",
                format!(
                    "{} holds for no name that one before it does not: no client will get it",
                    pair.certificate.display()
                ),
            );
        }
        names.extend(held);
    }
    if let Some(path) = &options.tls.client_ca {
        let whom = match options.tls.verify_client {
            VerifyClient::Required => "clients must show a certificate from",
            VerifyClient::Optional => "clients may show a certificate, from",
        };
        roots("listen", whom, path, report);
    }
    if let Some(path) = &options.tls.connect_ca {
        roots(
            "connect",
            "the upstream's certificate must come from",
            path,
            report,
        );
    }
    if let Some(pair) = options.tls.own() {
        look("connect", &pair, report);
    }
    if !options.tls.listens() && !options.tls.connects() {
        return None;
    }
    match Tls::load(options) {
        Ok(tls) => Some(tls),
        Err(problem) => {
            // What is wrong with a file was told above.
            if report.problems() == before {
                report.problem("tls", problem);
            }
            None
        }
    }
}

/// Looks at a certificate and its key.
fn look(what: &str, pair: &Pair<'_>, report: &mut Report) -> Option<Inspected> {
    let own = match pair.load() {
        Ok(own) => own,
        Err(problem) => {
            report.problem(what, format!("{problem}; no connection could begin"));
            return None;
        }
    };
    let path = pair.certificate.display();
    let chain: Result<Vec<_>, _> = own.chain().iter().map(|it| Inspected::of(it)).collect();
    let mut chain = match chain {
        Ok(chain) => chain.into_iter(),
        Err(problem) => {
            report.problem(what, format!("{path}: {problem}"));
            return None;
        }
    };
    let inspected = chain.next()?;
    let mut issuer = &inspected.issuer;
    let above: Vec<_> = chain.collect();
    for one in &above {
        if let Some(trouble) = one.trouble() {
            report.problem(what, format!("{path}, {}, {trouble}", one.subject));
        }
        if one.subject != *issuer {
            report.warning(
                what,
                format!(
                    "{path}: {} stands where {issuer} should: each certificate is to be followed \
                     by its issuer's",
                    one.subject
                ),
            );
        }
        issuer = &one.issuer;
    }
    match (&inspected.validity, inspected.trouble()) {
        (Validity::Soon, Some(trouble)) => report.warning(what, format!("{path} {trouble}")),
        (_, Some(trouble)) => report.problem(what, format!("{path} {trouble}")),
        (_, None) => {
            let names = match &inspected.names[..] {
                [] => String::new(),
                names => format!(" for {}", names.join(", ")),
            };
            report.ok(
                what,
                format!(
                    "{path} is {}{names}, until {}; its key belongs to it",
                    inspected.subject, inspected.not_after
                ),
            );
        }
    }
    exposed(what, pair.key, report);
    Some(inspected)
}

/// A key that others may read is none for long.
#[cfg(unix)]
fn exposed(what: &str, key: &Path, report: &mut Report) {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(key).is_ok_and(|it| it.permissions().mode() & 0o007 != 0) {
        report.warning(
            what,
            format!("{0} can be read by everyone: chmod o= {0}", key.display()),
        );
    }
}

#[cfg(not(unix))]
fn exposed(_: &str, _: &Path, _: &mut Report) {}

fn roots(what: &str, whom: &str, path: &Path, report: &mut Report) {
    match Roots::from_file(path) {
        Ok(_) => report.ok(what, format!("{whom} {}", path.display())),
        Err(error) => report.problem(what, error.to_string()),
    }
}

/// Shakes hands with an upstream that answers.
pub(super) fn connect(options: &Options, tls: &Tls, report: &mut Report) {
    let Some((_, name)) = tls.connect(None) else {
        return;
    };
    match shake_hands(options, tls) {
        Ok(agreed) => report.ok(
            "connect",
            format!("its certificate holds for {name}: {agreed}"),
        ),
        Err(problem) => report.problem("connect", format!("with TLS, as {name}: {problem}")),
    }
}

fn shake_hands(options: &Options, tls: &Tls) -> Result<Agreed, String> {
    let (client, name) = tls.connect(None).ok_or("no TLS is spoken there")?;
    let mut events = options
        .builder()
        .build()
        .map_err(|error| error.to_string())?;
    let outcome = Arc::new(Mutex::new(None));
    let trial = Trial {
        agreed: None,
        outcome: Arc::clone(&outcome),
    };
    let config = StreamConfig {
        read_timeout: Some(SECOND_THOUGHTS),
        ..options.stream_config()
    };
    events
        .context()
        .connect_tls_with(&options.connect, None, config, client, name, trial)
        .map_err(|error| error.to_string())?;
    events.run().map_err(|error| error.to_string())?;
    let outcome = lock(&outcome).take();
    outcome.unwrap_or_else(|| Err("it came to no end".into()))
}

/// A connection that is only to begin.
struct Trial {
    agreed: Option<Agreed>,
    outcome: Arc<Mutex<Option<Result<Agreed, String>>>>,
}

impl Handler for Trial {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.agreed = stream.tls().and_then(|session| summary(session, None));
        stream.finish_write();
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        // It has something to say to us.
        stream.close();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let refused = TlsError::of(&reason).is_some_and(|it| !matches!(it, TlsError::Truncated));
        let outcome = match self.agreed.take() {
            Some(agreed) if !refused => Ok(agreed),
            _ => Err(End::new(Some(Side::Upstream), &reason).detail),
        };
        *lock(&self.outcome) = Some(outcome);
        stream.context().stop(true);
    }
}
