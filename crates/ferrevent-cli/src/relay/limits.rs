//! The limit of open files, and what connections need of it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of one connection: the client's and the upstream's.
const EACH: u64 = 2;
/// Descriptors of the relay itself: standard streams, log, kernel interface,
/// signals, listeners, and the resolver's for a moment.
const OWN: u64 = 32;

/// How many descriptors so many connections need.
pub(super) fn needed(connections: u32) -> u64 {
    u64::from(connections) * EACH + OWN
}

/// How many connections fit under the hard limit; `None` is no limit.
pub(super) fn fitting() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    limit.maximum.map(|hard| hard.saturating_sub(OWN) / EACH)
}

/// Sees to it that so many connections fit under the soft limit, and tells
/// what is missing if the hard one forbids it.
pub(super) fn provide(connections: u32) -> Result<(), String> {
    let needed = needed(connections);
    let limit = getrlimit(Resource::Nofile);
    let suffices = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if suffices(limit.current) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    if suffices(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let hard = limit.maximum.unwrap_or(needed);
    Err(format!(
        "--max-connections {connections} needs {needed} open files, and the limit is {hard}: raise \
         it (ulimit -n {needed} as root, LimitNOFILE={needed} in a unit), or lower the cap to {}",
        hard.saturating_sub(OWN) / EACH
    ))
}
