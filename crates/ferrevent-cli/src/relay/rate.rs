//! How fast a relay may be: what it is told, and the groups that come of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use clap::Args;
use ferrevent::limit::{Direction, LimitError, RateLimit, RateLimits, Share};
use ferrevent::{Context, RateGroup, Stream};

use crate::lock;

/// How fast connections may be.
#[derive(Args, Clone, Default)]
#[group(skip)]
#[command(next_help_heading = "Rate limits")]
pub(super) struct Options {
    /// Relay no more than this, all connections together: 10MB/s, up=1MB/s,down=10MB/s.
    ///
    /// A rate is a number and a unit: B, kB, MB, GB (thousands), KiB, MiB, GiB
    /// (1024s), bit, kbit, Mbit, Gbit; the /s may be left out. It holds for
    /// each way by itself; with `up=` only for what clients send, with `down=`
    /// only for what they get. `burst=256kB` is how much may move at once
    /// after a silence: a tenth of a second's worth, if it is not said. What
    /// counts are the bytes on the wire between client and relay, TLS
    /// included. Connections that want more than there is share it evenly.
    #[arg(long, value_name = "RATE")]
    pub(super) rate: Option<Rate>,
    /// Relay no more than this for each connection.
    ///
    /// Written like --rate, and told apart from it: both hold.
    #[arg(long, value_name = "RATE")]
    pub(super) rate_per_connection: Option<Rate>,
    /// Relay no more than this for all connections of a client's address.
    ///
    /// Written like --rate. Clients of a unix socket have no address, and are
    /// not limited by this.
    #[arg(long, value_name = "RATE")]
    pub(super) rate_per_ip: Option<Rate>,
}

/// The limits of one option: what clients send, and what they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) RateLimits);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut both, mut up, mut down, mut burst) = (None, None, None, None);
        for part in text.split(',') {
            let (slot, value) = match part.split_once('=') {
                None => (&mut both, part),
                Some(("up", value)) => (&mut up, value),
                Some(("down", value)) => (&mut down, value),
                Some(("burst", value)) => (&mut burst, value),
                Some((other, _)) => {
                    return Err(format!("\"{other}=\" means nothing here; {SHAPE}"));
                }
            };
            if slot.replace(bytes(value)?).is_some() {
                return Err(format!("\"{part}\" says again what was said; {SHAPE}"));
            }
        }
        if both.is_some() == (up.is_some() || down.is_some()) {
            return Err(format!("give one rate, or up= or down= or both; {SHAPE}"));
        }
        let limit = |rate: Option<u64>| -> Result<Option<RateLimit>, String> {
            let Some(rate) = rate else { return Ok(None) };
            let limit = RateLimit::new(rate).map_err(refused)?;
            match burst {
                Some(burst) => limit.with_burst(burst).map(Some).map_err(refused),
                None => Ok(Some(limit)),
            }
        };
        Ok(Self(RateLimits {
            read: limit(both.or(up))?,
            write: limit(both.or(down))?,
        }))
    }
}

const SHAPE: &str = "write 10MB/s, or up=1MB/s,down=10MB/s,burst=256kB";

fn refused(error: LimitError) -> String {
    match error {
        LimitError::ZeroRate => {
            "a rate below one byte a second would let nothing through; leave the option out \
             for no limit"
                .into()
        }
        LimitError::ZeroBurst => "a burst of less than one byte would let nothing through".into(),
        other => other.to_string(),
    }
}

/// Bytes, or bytes a second, in words; whole ones, rounded down.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 12] = [
        ("", 1.0),
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("KiB", 1024.0),
        ("MiB", 1024.0 * 1024.0),
        ("GiB", 1024.0 * 1024.0 * 1024.0),
        ("bit", 0.125),
        ("kbit", 125.0),
        ("Mbit", 125e3),
        ("Gbit", 125e6),
    ];
    let amount = text.strip_suffix("/s").unwrap_or(text).trim();
    let end = amount
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(amount.len());
    let (number, unit) = amount.split_at(end);
    let unit = unit.trim_start();
    let one = UNITS.iter().find(|(name, _)| *name == unit);
    let (Ok(number), Some((_, one))) = (number.parse::<f64>(), one) else {
        return Err(format!("\"{text}\" is no rate; {SHAPE}"));
    };
    let bytes = number * one;
    if bytes > RateLimit::MAX as f64 {
        return Err(format!("{text} is more than {} bytes", RateLimit::MAX));
    }
    Ok(bytes as u64)
}

/// The groups that a relay's connections are in.
#[derive(Default)]
pub(super) struct Rates {
    all: Option<RateGroup>,
    each: Option<RateLimits>,
    per_ip: Option<PerIp>,
}

struct PerIp {
    limits: RateLimits,
    groups: Mutex<HashMap<IpAddr, RateGroup>>,
}

/// So many addresses are remembered before those that need not be are
/// forgotten.
const ADDRESSES: usize = 1024;

impl Rates {
    pub(super) fn new(options: &Options, context: &Context<'_>) -> Result<Self, String> {
        let all = match options.rate {
            Some(Rate(limits)) => Some(context.rate_group(limits).map_err(refused)?),
            None => None,
        };
        Ok(Self {
            all,
            each: options.rate_per_connection.map(|rate| rate.0),
            per_ip: options.rate_per_ip.map(|rate| PerIp {
                limits: rate.0,
                groups: Mutex::default(),
            }),
        })
    }

    /// Puts a client's side under its limits.
    pub(super) fn limit(&self, stream: &mut Stream<'_>) -> Result<(), LimitError> {
        if let Some(limits) = self.each {
            stream.limit(limits)?;
        }
        let own = match (&self.per_ip, stream.peer_addr()) {
            (Some(per_ip), Some(peer)) => {
                Some(per_ip.group(peer.ip(), self.all.as_ref(), stream.context())?)
            }
            _ => None,
        };
        match own.as_ref().or(self.all.as_ref()) {
            Some(group) => stream.join(group, Share::default()),
            None => Ok(()),
        }
    }

    /// How full the bucket of all connections is, in hundredths: of what
    /// clients send, and of what they get.
    pub(super) fn levels(&self) -> Option<[Option<u64>; 2]> {
        let all = self.all.as_ref()?;
        let limits = all.limits();
        Some([Direction::Read, Direction::Write].map(|direction| {
            let (level, limit) = (all.level(direction)?, limits.of(direction)?);
            Some(level.saturating_mul(100) / limit.burst())
        }))
    }
}

impl PerIp {
    fn group(
        &self,
        peer: IpAddr,
        all: Option<&RateGroup>,
        context: &Context<'_>,
    ) -> Result<RateGroup, LimitError> {
        let mut groups = lock(&self.groups);
        if groups.len() >= ADDRESSES && groups.len().is_power_of_two() {
            // A full bucket remembers nothing; its group lives on with whoever
            // is in it.
            groups.retain(|_, group| {
                [Direction::Read, Direction::Write].iter().any(|direction| {
                    let limit = self.limits.of(*direction);
                    group.level(*direction) < limit.map(|limit| limit.burst())
                })
            });
        }
        if let Some(group) = groups.get(&peer) {
            return Ok(group.clone());
        }
        let group = match all {
            Some(all) => all.subgroup(self.limits, Share::default())?,
            None => context.rate_group(self.limits)?,
        };
        groups.insert(peer, group.clone());
        Ok(group)
    }
}

/// Where a relay keeps them, once it runs.
pub(super) type Kept = Mutex<Arc<Rates>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: u64) -> Option<RateLimit> {
        Some(RateLimit::new(rate).unwrap())
    }

    #[test]
    fn rates_are_read() {
        let rate = |text: &str| text.parse::<Rate>().unwrap().0;
        assert_eq!(rate("1.5MB/s"), RateLimits::both(limit(1_500_000).unwrap()));
        assert_eq!(rate("64KiB").read, limit(65_536));
        assert_eq!(rate("10 Mbit/s").write, limit(1_250_000));
        let parted = rate("up=1kB/s,down=2MB/s,burst=500");
        assert_eq!(
            parted.read,
            limit(1000).map(|it| it.with_burst(500).unwrap())
        );
        assert_eq!(parted.write.unwrap().rate(), 2_000_000);
        assert_eq!(rate("down=1GB").read, None);
    }

    #[test]
    fn what_is_no_rate_is_refused_in_words() {
        for text in [
            "",
            "fast",
            "-5MB/s",
            "0",
            "0.9B/s",
            "5MB/h",
            "1TB2",
            "up=",
            "up=1,up=2",
            "1MB,up=1MB",
            "burst=5kB",
            "1MB,burst=0",
            "left=5",
            "1e300",
            "99999999999999999999GB",
        ] {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.len() > 20, "{text}: {error}");
        }
    }
}
