//! Whether addresses resolve, can be bound, and answer.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use ferrevent::{Address, EventLoop, Stream};

use super::report::Report;
use crate::relay::listen::{Listen, cannot_listen, cannot_take, passed};
use crate::relay::options::Options;

/// A check does not wait for a silent upstream longer than this.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks whether the relay could listen; answers on which ports.
pub(super) fn listen(options: &Options, report: &mut Report) -> Vec<SocketAddr> {
    let found = match &options.listen {
        Listen::Systemd(name) => inherited(name.as_deref()),
        Listen::Address(Address::Unix(path)) => unix(path),
        Listen::Address(address) => bind(options, address),
    };
    match found {
        Ok((text, addresses)) => {
            report.ok("listen", text);
            addresses
        }
        Err(problem) => {
            report.problem("listen", problem);
            Vec::new()
        }
    }
}

type Found = Result<(String, Vec<SocketAddr>), String>;

fn bind(options: &Options, address: &Address) -> Found {
    let mut events = EventLoop::new().map_err(|error| error.to_string())?;
    let mut context = events.context();
    let listener = context
        .listen_with(address, &options.listen_options(), None, || {
            Box::new(|_: &mut Stream<'_>| ())
        })
        .map_err(|error| cannot_listen(address, &error))?;
    let bound = context.listener_addr(listener);
    let text = match bound {
        Some(bound) if bound.to_string() != address.to_string() => {
            format!("{address} can be bound, as {bound}")
        }
        _ => format!("{address} can be bound"),
    };
    Ok((text, bound.into_iter().collect()))
}

fn inherited(name: Option<&str>) -> Found {
    let mut events = EventLoop::new().map_err(|error| error.to_string())?;
    let mut texts = Vec::new();
    let mut addresses = Vec::new();
    for socket in passed(name)? {
        let (name, address) = (socket.name.clone(), socket.address());
        events
            .context()
            .listen_on(socket.fd, None, || Box::new(|_: &mut Stream<'_>| ()))
            .map_err(|error| cannot_take(&name, &address, &error))?;
        addresses.extend(address.parse::<SocketAddr>());
        texts.push(format!("{name} ({address})"));
    }
    Ok((format!("was passed {}", texts.join(", ")), addresses))
}

/// A unix socket is bound beside the path it would have: whoever listens
/// there, or was to, is not disturbed.
#[cfg(unix)]
fn unix(path: &Path) -> Found {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    let address = Address::Unix(path.into());
    let refuse = |error: io::Error| cannot_listen(&address, &error);
    SocketAddr::from_pathname(path).map_err(refuse)?;
    let mut text = format!("{address} can be bound");
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(format!(
                "cannot listen on {address}: there is a file that is no socket; \
                 remove it, or choose another address"
            ));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(refuse(io::ErrorKind::AddrInUse.into()));
        }
        text.push_str("; the socket of one that has died would be replaced");
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let trial = directory
        .unwrap_or(Path::new("."))
        .join(format!(".fe{}", std::process::id()));
    UnixListener::bind(&trial).map_err(refuse)?;
    // It was bound a moment ago, so it can be removed.
    let _ = std::fs::remove_file(&trial);
    Ok((text, Vec::new()))
}

#[cfg(not(unix))]
fn unix(path: &Path) -> Found {
    let error = io::ErrorKind::Unsupported.into();
    Err(cannot_listen(&Address::Unix(path.into()), &error))
}

/// The upstream as it is found.
pub(super) struct Upstream {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) answers: bool,
}

/// Looks whether the upstream has addresses, and answers just now.
pub(super) fn connect(options: &Options, report: &mut Report) -> Upstream {
    let upstream = &options.connect;
    let addresses = match upstream.resolve() {
        Ok(addresses) => addresses,
        Err(error) => {
            report.problem(
                "connect",
                format!("{error}; is the name right, and does the resolver answer?"),
            );
            return Upstream {
                addresses: Vec::new(),
                answers: false,
            };
        }
    };
    let patience = options.connect_timeout().min(PATIENCE);
    let mut last = None;
    let answers = match upstream {
        Address::Unix(path) => call_unix(path).map_err(|error| last = Some(error)).is_ok(),
        _ => addresses.iter().any(|address| {
            TcpStream::connect_timeout(address, patience)
                .map_err(|error| last = Some(error))
                .is_ok()
        }),
    };
    let is = match upstream {
        Address::Name(..) => format!("{upstream} is {}", list(&addresses)),
        _ => upstream.to_string(),
    };
    match (answers, last) {
        (false, Some(error)) => report.warning(
            "connect",
            format!(
                "{is}; it does not answer just now: {error}; \
                 until it does, clients would be let go at once"
            ),
        ),
        _ => report.ok("connect", format!("{is}; it answers")),
    }
    Upstream { addresses, answers }
}

#[cfg(unix)]
fn call_unix(path: &Path) -> io::Result<()> {
    std::os::unix::net::UnixStream::connect(path).map(drop)
}

#[cfg(not(unix))]
fn call_unix(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn list(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// A relay to itself would call itself until descriptors run out.
pub(super) fn loops(listening: &[SocketAddr], upstreams: &[SocketAddr], report: &mut Report) {
    for (here, there) in listening
        .iter()
        .flat_map(|here| upstreams.iter().map(move |there| (here, there)))
    {
        let same =
            here.ip() == there.ip() || (here.ip().is_unspecified() && there.ip().is_loopback());
        if same && here.port() == there.port() {
            report.problem(
                "connect",
                format!(
                    "{there} is where the relay itself would listen: it would call itself until \
                     descriptors run out; choose another CONNECT"
                ),
            );
        }
    }
}
