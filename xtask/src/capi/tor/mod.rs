//! `cargo xtask capi tor`: Debian's tor, as it is, on the library with
//! libevent's interface, in a network of its own.

mod compare;
mod library;
mod names;
mod scene;

use std::ffi::OsString;

use super::build;
use crate::packages;
use crate::running::free_port;
use crate::tornet::{self, Daemon, Files, Network, Setup};
use library::Library;
use scene::Scene;

const PACKAGES: &[packages::Wanted] = &[
    ("test -x /usr/sbin/unbound", "unbound"),
    ("command -v dig", "bind9-dnsutils"),
    ("command -v cc", "gcc"),
];

const USAGE: &str =
    "usage: cargo xtask capi tor [--compare [ROUNDS]] [--backend epoll|uring|poll|debian]
    --compare  CPU of all tors for a gigabyte, in turns with Debian's libevent; of 15 rounds the medians
    --backend  of the library, rather than epoll and uring (--compare: epoll); debian is Debian's libevent";

/// Rounds whose figures may stand.
const ROUNDS: &str = "15";

/// Builds the library, and shows tor on it, or what that costs.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (mut backend, mut rounds) = (None, None);
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(arg) = args.next() {
        match arg {
            "--compare" => {
                let next = args.next_if(|next| !next.starts_with("--"));
                let number = next.unwrap_or(ROUNDS).parse::<usize>();
                rounds = Some(number.map_err(|_| USAGE)?.max(1));
            }
            "--backend" => backend = Some(args.next().ok_or(USAGE)?),
            _ => return Err(USAGE.into()),
        }
    }
    packages::ensure(tornet::PACKAGES)?;
    packages::ensure(PACKAGES)?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = build(&root)?.join("lib");
    let named = |name| Library::named(name, &folder).ok_or(USAGE);
    let files = Files::serve()?;
    if let Some(rounds) = rounds {
        let library = named(backend.unwrap_or("epoll"))?;
        return compare::run(rounds, &library, &files);
    }
    let all = backend.map_or_else(|| vec!["epoll", "uring"], |name| vec![name]);
    for name in all {
        let library = named(name)?;
        eprintln!("== C tor on {library}");
        Scene::new(&library, &files)?.show()?;
    }
    Ok(())
}

/// Has every tor of the network load that library, and ask that name server.
fn setup(library: &Library, names: Option<u16>) -> Setup {
    Setup {
        variables: library.variables(),
        names,
    }
}

/// A client with its ports.
struct Client {
    tor: Daemon,
    lines: String,
    socks: u16,
    dns: u16,
}

impl Client {
    /// One whose circuits end at any of these nodes, if there are any.
    fn start(network: &Network, exits: &[&str]) -> Result<Self, String> {
        let (socks, dns) = (free_port()?, free_port()?);
        let mut lines = ports(socks, dns);
        lines += "ClientRejectInternalAddresses 0\nEnforceDistinctSubnets 0\n";
        if !exits.is_empty() {
            lines += &format!("ExitNodes {}\n", exits.join(","));
        }
        Ok(Self {
            tor: network.client("client", &lines)?,
            lines,
            socks,
            dns,
        })
    }

    /// Whether it has circuits.
    fn is_there(&self) -> bool {
        self.tor.log().contains("Bootstrapped 100%")
    }
}

/// Where a client listens.
fn ports(socks: u16, dns: u16) -> String {
    format!("SocksPort 127.0.0.1:{socks}\nDNSPort 127.0.0.1:{dns}\n")
}

/// A variable of the environment.
type Variable = (&'static str, OsString);
