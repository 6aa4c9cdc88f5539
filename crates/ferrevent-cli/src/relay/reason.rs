//! Why connections end, in codes that programs can rely on. docs/relay.md
//! lists them.

use std::io;

use ferrevent::compress::CompressError;
use ferrevent::tls::TlsError;
use ferrevent::{Activity, CloseReason, Timeout};

use super::{compress, tls};
use crate::log::Side;

/// Why a connection is over.
pub(super) struct End {
    /// Whose trouble it was, if any.
    pub(super) side: Option<Side>,
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) detail: String,
}

impl End {
    pub(super) fn new(side: Option<Side>, reason: &CloseReason) -> Self {
        let code = code(reason);
        let remedy = remedy(code)
            .or_else(|| exhausted(reason).map(remedy_of_exhaustion))
            .or_else(|| tls::remedy(code, side))
            .or_else(|| compress::remedy(code, side));
        let detail = match remedy {
            Some(remedy) => format!("{}; {remedy}", text(reason)),
            None => text(reason),
        };
        Self { side, code, detail }
    }
}

fn text(reason: &CloseReason) -> String {
    match (reason, TlsError::of(reason).and_then(tls::text)) {
        (CloseReason::Failed { during, .. }, Some(text)) => format!("failed {during}: {text}"),
        _ => reason.to_string(),
    }
}

/// The code of an end. `Read` and `Write` timeouts are the idle timeout here:
/// the relay sets no other.
fn code(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Finished => "finished",
        CloseReason::Closed => "closed",
        CloseReason::TimedOut(Timeout::Connect) => "connect_timeout",
        CloseReason::TimedOut(Timeout::Handshake) => "handshake_timeout",
        CloseReason::TimedOut(Timeout::Linger) => "linger_timeout",
        CloseReason::TimedOut(_) => "idle_timeout",
        CloseReason::Failed { during, error } => {
            match (TlsError::of(reason), CompressError::of(reason)) {
                (Some(error), _) => tls::code(*during, error),
                (None, Some(error)) => compress::code(error),
                (None, None) => code_of_failure(*during, error),
            }
        }
        CloseReason::Panicked(_) => "internal",
        _ => "other",
    }
}

fn code_of_failure(during: Activity, error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    if ferrevent::sys::is_exhaustion(error) {
        return "out_of_resources";
    }
    if ferrevent::is_unresolved(error) {
        return "unresolved";
    }
    match (during, error.kind()) {
        (Activity::Connect, Kind::ConnectionRefused) => "refused",
        (_, Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe) => "reset",
        (_, Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown) => "unreachable",
        // The kernel's own patience, which is longer than ours.
        (Activity::Connect, Kind::TimedOut) => "connect_timeout",
        (_, Kind::TimedOut) => "unanswered",
        (Activity::Connect, _) => "connect_failed",
        (Activity::Receive, _) => "receive_failed",
        (_, _) => "send_failed",
    }
}

/// What the operator can do about it, if anything.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "refused" => "is the upstream running, and on that port?",
        "unreachable" => "is the network up, and is there a route?",
        "unresolved" => "is the name right, and does the resolver answer?",
        "connect_timeout" => "is a firewall in the way? --connect-timeout sets the patience",
        _ => return None,
    })
}

/// The error that says that descriptors or memory ran out, if it is that.
fn exhausted(reason: &CloseReason) -> Option<&io::Error> {
    match reason {
        CloseReason::Failed { error, .. } if ferrevent::sys::is_exhaustion(error) => Some(error),
        _ => None,
    }
}

/// What can be done when descriptors or memory run out.
pub(super) fn remedy_of_exhaustion(error: &io::Error) -> &'static str {
    if ferrevent::sys::is_out_of_descriptors(error) {
        "raise the limit of open files: ulimit -n, LimitNOFILE="
    } else {
        "the system is short of memory: lower --max-connections, or see sysctl net.ipv4.tcp_mem"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_failures_apart() {
        use io::ErrorKind as Kind;
        let failure = |during, kind: io::ErrorKind| {
            code(&CloseReason::Failed {
                during,
                error: kind.into(),
            })
        };
        assert_eq!(
            failure(Activity::Connect, Kind::ConnectionRefused),
            "refused"
        );
        assert_eq!(failure(Activity::Receive, Kind::ConnectionReset), "reset");
        assert_eq!(failure(Activity::Send, Kind::BrokenPipe), "reset");
        assert_eq!(
            failure(Activity::Connect, Kind::HostUnreachable),
            "unreachable"
        );
        assert_eq!(failure(Activity::Connect, Kind::NotFound), "connect_failed");
        assert_eq!(code(&CloseReason::TimedOut(Timeout::Read)), "idle_timeout");
        let emfile = io::Error::from_raw_os_error(24);
        let during = Activity::Connect;
        let failed = CloseReason::Failed {
            during,
            error: emfile,
        };
        assert_eq!(code(&failed), "out_of_resources");
    }

    #[test]
    fn what_ran_out_is_told_apart() {
        let told = |errno| {
            let failed = CloseReason::Failed {
                during: Activity::Send,
                error: io::Error::from_raw_os_error(errno),
            };
            End::new(None, &failed).detail
        };
        assert!(told(24).contains("open files"), "EMFILE: {}", told(24));
        assert!(told(105).contains("memory"), "ENOBUFS: {}", told(105));
    }
}
