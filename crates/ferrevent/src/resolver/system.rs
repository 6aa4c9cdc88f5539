//! What the system says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ferrevent_dns::{Config, Hosts};

/// More of a file is not read.
const MAX_SIZE: u64 = 16 << 20;

/// The settings of this host.
#[cfg(unix)]
pub(super) fn settings() -> io::Result<(Config, Hosts)> {
    Ok((
        Config::parse(&read("/etc/resolv.conf")?),
        Hosts::parse(&read("/etc/hosts")?),
    ))
}

/// The settings of this host.
#[cfg(windows)]
pub(super) fn settings() -> io::Result<(Config, Hosts)> {
    let found = ferrevent_os::sys::name_servers()?;
    let mut config = Config::with_servers(found.servers);
    config.search = found.domains;
    let root = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    let hosts = Path::new(&root).join(r"System32\drivers\etc\hosts");
    Ok((config, Hosts::parse(&read(hosts)?)))
}

/// The text of a file; none of one that is not there.
fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let mut text = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text));
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        )),
        _ => Ok(text),
    }
}
