//! What the system says.

use std::fs::File;
use std::io::{self, Read};

use ferrevent_dns::{Config, Hosts};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// More of a file is not read.
const MAX_SIZE: u64 = 16 << 20;

/// The settings of this host.
pub(super) fn settings() -> io::Result<(Config, Hosts)> {
    if cfg!(windows) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Windows has no resolv.conf; name the servers with Config::with_servers",
        ));
    }
    Ok((
        Config::parse(&read(RESOLV_CONF)?),
        Hosts::parse(&read(HOSTS)?),
    ))
}

/// The text of a file; none of one that is not there.
fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text));
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("{path}: {error}")))
        }
        _ => Ok(text),
    }
}
