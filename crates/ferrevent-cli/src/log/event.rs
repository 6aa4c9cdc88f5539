//! What is logged: the same event as a line for people and as one for
//! programs. docs/relay.md describes the fields; they are added to, and never
//! change their meaning.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something worth a line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The relay takes connections.
    Started {
        listen: &'a [String],
        upstream: &'a str,
        workers: u16,
        max_connections: Option<u32>,
        listen_compression: Option<String>,
        upstream_compression: Option<String>,
        pid: u32,
        version: &'a str,
    },
    /// A connection is over.
    Connection(Connection<'a>),
    /// As many connections as there may be.
    CapReached { max_connections: u32 },
    /// The cap cannot be reached before descriptors run out.
    CapTooHigh { reason: &'a str },
    /// A listener cannot take connections for now.
    AcceptFailed {
        reason: &'a str,
        #[serde(skip)]
        remedy: &'a str,
    },
    /// A listener is at its end.
    ListenerFailed { reason: &'a str },
    /// Something else went wrong that is no connection's fault.
    Trouble { reason: &'a str },
    /// The log file was opened anew.
    LogReopened,
    /// Certificates and keys were read anew.
    CertificatesReloaded,
    /// They could not be, and the old ones stay.
    CertificatesKept { reason: &'a str },
    /// No new connections; those that stand end in their own time.
    Draining { connections: usize },
    /// The relay has ended.
    Stopped {
        connections: u64,
        bytes_in: u64,
        bytes_out: u64,
        #[serde(serialize_with = "milliseconds")]
        seconds: f64,
    },
    /// The relay has failed.
    Failed { reason: &'a str },
}

/// A connection that is over.
#[derive(Serialize)]
pub(crate) struct Connection<'a> {
    /// Its number since the start, from 1.
    pub(crate) id: u64,
    pub(crate) peer: &'a str,
    pub(crate) upstream: &'a str,
    /// From the client to the upstream.
    pub(crate) bytes_in: u64,
    /// From the upstream to the client.
    pub(crate) bytes_out: u64,
    #[serde(serialize_with = "milliseconds")]
    pub(crate) seconds: f64,
    /// What was agreed on with the client, if it speaks TLS.
    pub(crate) client_tls: Option<&'a Tls>,
    /// And with the upstream.
    pub(crate) upstream_tls: Option<&'a Tls>,
    /// What compression came to on the client's side, if there is one.
    pub(crate) client_compression: Option<&'a Compressed>,
    /// And on the upstream's.
    pub(crate) upstream_compression: Option<&'a Compressed>,
    /// Whose end it was, if it was not a clean one.
    pub(crate) side: Option<Side>,
    /// Why it ended, for programs.
    pub(crate) reason: &'static str,
    /// Why it ended, for people.
    pub(crate) detail: String,
}

/// What was agreed on in a TLS handshake.
#[derive(Clone, Serialize)]
pub(crate) struct Tls {
    pub(crate) version: &'static str,
    /// As the registry of the Internet calls it.
    pub(crate) cipher: String,
    /// The name that was asked for.
    pub(crate) server_name: Option<String>,
    /// The application protocol.
    pub(crate) alpn: Option<String>,
    /// The subject of the peer's certificate.
    pub(crate) subject: Option<String>,
    /// Whether an earlier session went on.
    pub(crate) resumed: bool,
}

/// What is spoken with one of the two peers.
pub(crate) struct Between {
    pub(crate) tls: Option<Tls>,
    pub(crate) compression: Option<Compressed>,
}

/// What compression came to: bytes before and after.
#[derive(Serialize)]
pub(crate) struct Compressed {
    /// The format, and the level if it is not the usual one.
    pub(crate) method: String,
    pub(crate) sent: u64,
    pub(crate) sent_packed: u64,
    pub(crate) received: u64,
    pub(crate) received_packed: u64,
}

/// One of the two peers of a connection.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Client,
    Upstream,
}

impl Event<'_> {
    /// The object of a line, and the line's end.
    pub(crate) fn json(&self, time: &str) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: &'a str,
            #[serde(flatten)]
            event: &'a Event<'a>,
            text: String,
        }
        let line = Line {
            time,
            event: self,
            text: self.to_string(),
        };
        // Strings and finite numbers are never refused.
        let mut json = serde_json::to_string(&line).unwrap_or_default();
        json.push('\n');
        json
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started {
                listen,
                upstream,
                listen_compression,
                upstream_compression,
                ..
            } => {
                write!(f, "relaying {} to {upstream}", listen.join(", "))?;
                if let Some(how) = listen_compression {
                    write!(f, ", clients compress by {how}")?;
                }
                if let Some(how) = upstream_compression {
                    write!(f, ", compressed by {how} towards the upstream")?;
                }
                Ok(())
            }
            Event::Connection(connection) => connection.fmt(f),
            Event::CapReached { max_connections } => write!(
                f,
                "at the cap of {max_connections} connections: others wait in the kernel's \
                 backlog until one ends; raise --max-connections if this comes often"
            ),
            Event::AcceptFailed { reason, remedy } => write!(
                f,
                "cannot accept connections: {reason}; trying again by itself. If this comes \
                 often, {remedy}"
            ),
            Event::ListenerFailed { reason } => write!(f, "the listener failed: {reason}"),
            Event::LogReopened => f.write_str("the log was opened anew"),
            Event::CertificatesReloaded => {
                f.write_str("certificates and keys were read anew; new connections use them")
            }
            Event::CertificatesKept { reason } => write!(
                f,
                "the certificates stay as they were: {reason}; mend that and send SIGHUP again"
            ),
            Event::Draining { connections } => write!(
                f,
                "draining {connections} connections; a second signal ends at once"
            ),
            Event::Stopped {
                connections,
                bytes_in,
                bytes_out,
                seconds,
            } => write!(
                f,
                "stopped after {connections} connections, in={bytes_in} out={bytes_out} time={seconds:.3}s"
            ),
            Event::CapTooHigh { reason } | Event::Trouble { reason } | Event::Failed { reason } => {
                f.write_str(reason)
            }
        }
    }
}

impl fmt::Display for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {} in={} out={} time={:.3}s ",
            self.peer, self.upstream, self.bytes_in, self.bytes_out, self.seconds
        )?;
        for (side, tls, compression) in [
            ("client", self.client_tls, self.client_compression),
            ("upstream", self.upstream_tls, self.upstream_compression),
        ] {
            if let Some(tls) = tls {
                write!(f, "{side}[{tls}] ")?;
            }
            if let Some(compression) = compression {
                write!(f, "{side}[{compression}] ")?;
            }
        }
        match self.side {
            Some(Side::Client) => write!(f, "client: {}", self.detail),
            Some(Side::Upstream) => write!(f, "upstream: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)?;
        for (what, value) in [
            ("name", &self.server_name),
            ("alpn", &self.alpn),
            ("subject", &self.subject),
        ] {
            // A peer chose it: quoted, and on one line whatever is in it.
            if let Some(value) = value {
                write!(f, " {what}={value:?}")?;
            }
        }
        if self.resumed {
            f.write_str(" resumed")?;
        }
        Ok(())
    }
}

impl fmt::Display for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method)?;
        for (what, plain, packed) in [
            ("sent", self.sent, self.sent_packed),
            ("received", self.received, self.received_packed),
        ] {
            write!(f, " {what}={plain}/{packed}")?;
            if packed > 0 {
                write!(f, " ({:.1}:1)", plain as f64 / packed as f64)?;
            }
        }
        Ok(())
    }
}

fn milliseconds<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_whatever_a_peer_is_called() {
        let event = Event::Connection(Connection {
            id: 7,
            peer: "\"quoted\"\nand broken \u{1b}[2J",
            upstream: "a:1",
            bytes_in: u64::MAX,
            bytes_out: 0,
            seconds: 1.234_56,
            client_tls: None,
            upstream_tls: None,
            client_compression: None,
            upstream_compression: None,
            side: Some(Side::Upstream),
            reason: "reset",
            detail: "failed to receive: reset".into(),
        });
        let line = event.json("2026-01-01T00:00:00.000Z");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}'));
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["event"], "connection");
        assert_eq!(object["peer"], "\"quoted\"\nand broken \u{1b}[2J");
        assert_eq!(object["bytes_in"], u64::MAX);
        assert_eq!(object["seconds"], 1.235);
        assert_eq!(object["side"], "upstream");
        assert_eq!(object["reason"], "reset");
    }
}
