//! What the command line says.

use std::time::Duration;

use socket2::SockAddr;

use crate::plan::Route;

const USAGE: &str = "usage: --seed N --seconds N --wave SECONDS --connections N --rate BYTES \
     --patience SECONDS --relay-tcp ADDR --relay-unix PATH --tcp ADDR --unix PATH [--only SLOT:NUMBER]";

pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    /// Length of a wave; its last connections end after it.
    pub(crate) wave: Duration,
    pub(crate) connections: usize,
    /// Bytes a second that may go up and down, all in all.
    pub(crate) rate: u64,
    /// A connection on which nothing moves for so long is stuck.
    pub(crate) patience: Duration,
    /// Only this connection of the whole soak.
    pub(crate) only: Option<(u32, u32)>,
    relay_tcp: SockAddr,
    relay_unix: SockAddr,
    tcp: SockAddr,
    unix: SockAddr,
}

impl Options {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let args: Vec<String> = args.collect();
        let find = |name: &str| {
            args.chunks(2)
                .find(|pair| pair[0] == name)
                .and_then(|pair| pair.get(1))
        };
        let need = |name: &str| find(name).ok_or_else(|| format!("{name} is missing\n{USAGE}"));
        let number = |name: &str| -> Result<u64, String> {
            need(name)?
                .parse()
                .map_err(|error| format!("{name}: {error}\n{USAGE}"))
        };
        let seconds = |name: &str| -> Result<Duration, String> {
            need(name)?
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| format!("{name}: not a number of seconds\n{USAGE}"))
        };
        let tcp = |name: &str| -> Result<SockAddr, String> {
            let address: std::net::SocketAddr = need(name)?
                .parse()
                .map_err(|error| format!("{name}: {error}\n{USAGE}"))?;
            Ok(address.into())
        };
        let unix = |name: &str| -> Result<SockAddr, String> {
            SockAddr::unix(need(name)?).map_err(|error| format!("{name}: {error}"))
        };
        Ok(Self {
            seed: number("--seed")?,
            time: seconds("--seconds")?,
            wave: seconds("--wave")?,
            connections: number("--connections")? as usize,
            rate: number("--rate")?.max(1),
            patience: seconds("--patience")?,
            only: find("--only").map(|text| pair(text)).transpose()?,
            relay_tcp: tcp("--relay-tcp")?,
            relay_unix: unix("--relay-unix")?,
            tcp: tcp("--tcp")?,
            unix: unix("--unix")?,
        })
    }

    pub(crate) fn address(&self, route: Route) -> &SockAddr {
        match route {
            Route::RelayTcp => &self.relay_tcp,
            Route::RelayUnix => &self.relay_unix,
            Route::Tcp => &self.tcp,
            Route::Unix => &self.unix,
        }
    }
}

fn pair(text: &str) -> Result<(u32, u32), String> {
    text.split_once(':')
        .and_then(|(slot, number)| Some((slot.parse().ok()?, number.parse().ok()?)))
        .ok_or_else(|| format!("--only: `{text}` is not SLOT:NUMBER"))
}
