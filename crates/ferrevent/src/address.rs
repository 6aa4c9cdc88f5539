//! Addresses as users write them.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use ferrevent_os::SockAddr;

/// Where to listen or connect: `127.0.0.1:80`, `[::1]:80`, `:80` (every IPv4
/// address to listen on, loopback to connect to), `host:port`, or
/// `unix:/path`.
///
/// ```
/// use ferrevent::Address;
///
/// let address: Address = "[::1]:80".parse()?;
/// assert_eq!(address.to_string(), "[::1]:80");
/// assert!("127.0.0.1".parse::<Address>().unwrap_err().to_string().contains("port"));
/// # Ok::<(), ferrevent::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A port alone.
    Port(u16),
    /// A host name, to be resolved, and a port.
    Name(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Text that is no address, and why.
///
/// ```
/// use ferrevent::Address;
/// let error = "127.0.0.1:http!".parse::<Address>().unwrap_err();
/// println!("{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no address: {}; write 127.0.0.1:80, [::1]:80, :80, host:port or unix:/path",
            self.text, self.problem
        )
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |problem| AddressError {
            text: text.to_owned(),
            problem,
        };
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(wrong("the path is missing"));
            }
            return Ok(Address::Unix(path.into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Address::Socket(address));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("the port is missing"))?;
        let port = port
            .parse()
            .map_err(|_| wrong("the port is no number from 0 to 65535"))?;
        if host.is_empty() {
            return Ok(Address::Port(port));
        }
        if host.contains(':') {
            return Err(wrong("an IPv6 address needs brackets"));
        }
        if host.contains(['[', ']', '/', ' ']) {
            return Err(wrong("the host is no name"));
        }
        Ok(Address::Name(host.to_owned(), port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(address) => address.fmt(f),
            Address::Port(port) => write!(f, ":{port}"),
            Address::Name(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Socket(address)
    }
}

impl Address {
    /// The IP addresses that this means to connect to, none for a unix socket.
    /// A host name is resolved here and now, which may take long.
    ///
    /// # Errors
    /// When a name has no address: see [`is_unresolved`].
    ///
    /// ```
    /// let address: ferrevent::Address = ":80".parse()?;
    /// assert_eq!(address.resolve()?, ["127.0.0.1:80".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = match self {
            Address::Name(host, port) => resolve(host, *port)?,
            _ => self.to_connect_to()?.unwrap_or_default(),
        };
        Ok(addresses.iter().filter_map(SockAddr::as_socket).collect())
    }

    /// The addresses to listen on. A host name is resolved here and now.
    ///
    /// # Errors
    /// When a name has no address, or a path is too long for a socket.
    pub(crate) fn to_listen_on(&self) -> io::Result<Vec<SockAddr>> {
        match self {
            Address::Port(port) => Ok(vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port)).into(),
            ]),
            Address::Name(host, port) => resolve(host, *port),
            _ => self.to_connect_to().map(Option::unwrap_or_default),
        }
    }

    /// The addresses to connect to; `None` for a name that must be resolved.
    ///
    /// # Errors
    /// When a path is too long for a socket.
    pub(crate) fn to_connect_to(&self) -> io::Result<Option<Vec<SockAddr>>> {
        match self {
            Address::Socket(address) => Ok(Some(vec![(*address).into()])),
            Address::Port(port) => Ok(Some(vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, *port)).into(),
            ])),
            Address::Name(..) => Ok(None),
            Address::Unix(_) if cfg!(windows) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{self}: unix sockets are not supported on Windows; use 127.0.0.1:PORT"),
            )),
            Address::Unix(path) => SockAddr::unix(path)
                .map(|address| Some(vec![address]))
                .map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}"))),
        }
    }
}

/// Whether an error is that a host name has no address: it does not exist, or
/// the resolver does not answer.
///
/// ```
/// assert!(!ferrevent::is_unresolved(&std::io::ErrorKind::NotFound.into()));
/// ```
pub fn is_unresolved(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<Unresolved>())
}

/// What [`is_unresolved`] knows again.
#[cfg(feature = "dns")]
pub(crate) fn unresolved(error: ferrevent_dns::ResolveError) -> io::Error {
    let text = error.to_string();
    io::Error::new(io::Error::from(error).kind(), Unresolved(text))
}

/// A name without an address, and why.
#[derive(Debug)]
struct Unresolved(String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unresolved {}

/// Asks the system's resolver, which may take long: off the loop, please.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SockAddr>> {
    let addresses: Vec<SockAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| {
            let why = Unresolved(format!("cannot resolve {host}: {error}"));
            io::Error::new(error.kind(), why)
        })?
        .map(SockAddr::from)
        .collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            Unresolved(format!("{host} has no address")),
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "127.0.0.1:80",
            "[::1]:80",
            ":80",
            "a.example:443",
            "unix:/run/a.sock",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "port is missing"),
            ("host", "port is missing"),
            ("host:99999", "no number"),
            ("::1:80", "brackets"),
            ("unix:", "path is missing"),
            ("a b:80", "no name"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
