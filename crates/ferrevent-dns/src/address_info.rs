//! getaddrinfo(3): a host and a service become addresses to connect to or to
//! listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::{Answer, Failure, Families, Question, Services};

/// What a socket speaks.
///
/// ```
/// use ferrevent_dns::Transport;
/// assert_ne!(Transport::Tcp, Transport::Udp);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Transport::Tcp),
            "udp" => Some(Transport::Udp),
            _ => None,
        }
    }
}

/// What kind of addresses are wanted: the hints of getaddrinfo(3).
///
/// ```
/// use ferrevent_dns::{Families, Hints, Transport};
/// let hints = Hints {
///     families: Families::V6,
///     transport: Some(Transport::Tcp),
///     v4_mapped: true,
///     ..Hints::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Of which families. Default both.
    pub families: Families,
    /// For what kind of socket. Default none: each address comes once for TCP
    /// and once for UDP.
    pub transport: Option<Transport>,
    /// Without a host: the addresses to listen on everywhere, rather than those
    /// of this host itself (AI_PASSIVE).
    pub passive: bool,
    /// The host must be an address; nobody is asked (AI_NUMERICHOST).
    pub numeric_host: bool,
    /// The service must be a number (AI_NUMERICSERV).
    pub numeric_service: bool,
    /// Where only IPv6 is wanted and there is none, IPv4 as IPv6 has it:
    /// `::ffff:192.0.2.1` (AI_V4MAPPED).
    pub v4_mapped: bool,
    /// With `v4_mapped`: those of IPv4 too, though there are some of IPv6 (AI_ALL).
    pub all: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            families: Families::BOTH,
            transport: None,
            passive: false,
            numeric_host: false,
            numeric_service: false,
            v4_mapped: false,
            all: false,
        }
    }
}

/// One address, and for what.
///
/// ```
/// use ferrevent_dns::{AddressInfo, Transport};
/// fn is_stream(info: &AddressInfo) -> bool {
///     info.transport == Transport::Tcp
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressInfo {
    /// The address and the port.
    pub address: SocketAddr,
    /// For what kind of socket.
    pub transport: Transport,
}

/// What [`plan`](AddressPlan::new) made of a host and a service: either it needs no
/// resolver, or there is a question whose answer completes it.
///
/// ```
/// use ferrevent_dns::{AddressPlan, Hints, Services};
///
/// let services = Services::parse(b"http 80/tcp\n");
/// let plan = AddressPlan::new(Some("192.0.2.1"), Some("http"), &Hints::default(), &services)?;
/// assert!(plan.question().is_none());
/// let found = plan.complete(&ferrevent_dns::Answer::default())?;
/// assert_eq!(found[0].address, "192.0.2.1:80".parse().unwrap());
/// # Ok::<(), ferrevent_dns::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct AddressPlan {
    hints: Hints,
    ports: Vec<(Transport, u16)>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Known(Vec<SocketAddr>),
    Ask(Question),
}

impl AddressPlan {
    /// Reads a host and a service. Without a host it is this one, without a
    /// service port 0. An address of IPv6 may have a scope by number:
    /// `fe80::1%2`.
    ///
    /// # Errors
    /// [`Failure::BadName`] when there is neither, or the host must be an address
    /// and is none; [`Failure::BadService`] for a service that is unknown, or
    /// not for this kind of socket; [`Failure::NoData`] for an address of another
    /// family.
    ///
    /// ```
    /// use ferrevent_dns::{AddressPlan, Failure, Hints, Services};
    /// let none = AddressPlan::new(None, Some("gopher!"), &Hints::default(), &Services::default());
    /// assert_eq!(none.unwrap_err(), Failure::BadService);
    /// ```
    pub fn new(
        host: Option<&str>,
        service: Option<&str>,
        hints: &Hints,
        services: &Services,
    ) -> Result<Self, Failure> {
        if host.is_none() && service.is_none() {
            return Err(Failure::BadName);
        }
        let ports = ports(service, hints, services)?;
        let way = match host {
            None => Way::Known(nobody(hints)),
            Some(host) => match numeric(host) {
                Some(address) => Way::Known(vec![of_family(address, hints)?]),
                None if hints.numeric_host => return Err(Failure::BadName),
                None => Way::Ask(Question::addresses(host, asked_for(hints))),
            },
        };
        Ok(Self {
            hints: *hints,
            ports,
            way,
        })
    }

    /// What has to be asked before it can be completed.
    ///
    /// ```
    /// use ferrevent_dns::{AddressPlan, Hints, Services};
    /// let plan = AddressPlan::new(Some("www"), Some("80"), &Hints::default(), &Services::default())?;
    /// assert!(plan.question().is_some());
    /// # Ok::<(), ferrevent_dns::Failure>(())
    /// ```
    pub fn question(&self) -> Option<&Question> {
        match &self.way {
            Way::Known(_) => None,
            Way::Ask(question) => Some(question),
        }
    }

    /// The addresses, in the order in which they should be tried.
    ///
    /// # Errors
    /// [`Failure::NoData`] when none is of a family that is wanted.
    ///
    /// ```
    /// use ferrevent_dns::{AddressPlan, Answer, Hints, Services};
    ///
    /// let plan = AddressPlan::new(Some("www"), Some("80"), &Hints::default(), &Services::default())?;
    /// let mut answer = Answer::default();
    /// answer.addresses.push("192.0.2.1".parse().unwrap());
    /// assert_eq!(plan.complete(&answer)?.len(), 2);
    /// # Ok::<(), ferrevent_dns::Failure>(())
    /// ```
    pub fn complete(&self, answer: &Answer) -> Result<Vec<AddressInfo>, Failure> {
        let addresses = match &self.way {
            Way::Known(addresses) => addresses.clone(),
            Way::Ask(_) => self.wanted(&answer.addresses),
        };
        if addresses.is_empty() {
            return Err(Failure::NoData);
        }
        let mut found = Vec::with_capacity(addresses.len() * self.ports.len());
        for mut address in addresses {
            for (transport, port) in &self.ports {
                address.set_port(*port);
                found.push(AddressInfo {
                    address,
                    transport: *transport,
                });
            }
        }
        Ok(found)
    }

    fn wanted(&self, found: &[IpAddr]) -> Vec<SocketAddr> {
        let hints = &self.hints;
        let have: Vec<_> = found
            .iter()
            .copied()
            .filter(|address| hints.families.has(address))
            .collect();
        let mapped = maps(hints) && (hints.all || have.is_empty());
        let fours = found.iter().filter_map(|address| match address {
            IpAddr::V4(four) if mapped => Some(four.to_ipv6_mapped().into()),
            _ => None,
        });
        let all = have.iter().copied().chain(fours);
        all.map(|address| SocketAddr::new(address, 0)).collect()
    }
}

fn maps(hints: &Hints) -> bool {
    hints.v4_mapped && !hints.families.v4
}

fn asked_for(hints: &Hints) -> Families {
    match maps(hints) {
        true => Families::BOTH,
        false => hints.families,
    }
}

/// The ports of a service, for every kind of socket that is wanted.
fn ports(
    service: Option<&str>,
    hints: &Hints,
    services: &Services,
) -> Result<Vec<(Transport, u16)>, Failure> {
    let kinds = match hints.transport {
        Some(kind) => vec![kind],
        None => vec![Transport::Tcp, Transport::Udp],
    };
    let Some(service) = service else {
        return Ok(kinds.into_iter().map(|kind| (kind, 0)).collect());
    };
    let number = service.parse().ok();
    let ports: Vec<_> = kinds
        .into_iter()
        .filter_map(|kind| {
            let named = || {
                services
                    .port(service, kind)
                    .filter(|_| !hints.numeric_service)
            };
            Some((kind, number.or_else(named)?))
        })
        .collect();
    if ports.is_empty() {
        return Err(Failure::BadService);
    }
    Ok(ports)
}

/// Without a host: this one.
fn nobody(hints: &Hints) -> Vec<SocketAddr> {
    let (six, four) = match hints.passive {
        true => (Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED),
        false => (Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
    };
    [IpAddr::from(six), IpAddr::from(four)]
        .into_iter()
        .filter(|address| hints.families.has(address))
        .map(|address| SocketAddr::new(address, 0))
        .collect()
}

/// An address as it is written, with a scope perhaps.
fn numeric(host: &str) -> Option<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    let scoped: SocketAddrV6 = format!("[{host}]:0").parse().ok()?;
    Some(scoped.into())
}

fn of_family(address: SocketAddr, hints: &Hints) -> Result<SocketAddr, Failure> {
    if hints.families.has(&address.ip()) {
        return Ok(address);
    }
    match address.ip() {
        IpAddr::V4(four) if maps(hints) => Ok(SocketAddr::new(four.to_ipv6_mapped().into(), 0)),
        _ => Err(Failure::NoData),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        host: Option<&str>,
        service: Option<&str>,
        hints: Hints,
        answer: &[&str],
    ) -> Result<Vec<String>, Failure> {
        let services = Services::parse(b"http 80/tcp www\nhttp 81/udp\ntime 37/udp\n");
        let plan = AddressPlan::new(host, service, &hints, &services)?;
        let answer = Answer {
            addresses: answer.iter().map(|text| text.parse().unwrap()).collect(),
            ..Answer::default()
        };
        assert_eq!(plan.question().is_none(), answer.addresses.is_empty());
        let infos = plan.complete(&answer)?;
        let text = |info: &AddressInfo| format!("{:?} {}", info.transport, info.address);
        Ok(infos.iter().map(text).collect())
    }

    const TCP: Hints = Hints {
        families: Families::BOTH,
        transport: Some(Transport::Tcp),
        passive: false,
        numeric_host: false,
        numeric_service: false,
        v4_mapped: false,
        all: false,
    };

    #[test]
    fn services_are_ports_of_a_transport() {
        let of = |service, hints| found(Some("192.0.2.1"), Some(service), hints, &[]);
        let both = Hints::default();
        assert_eq!(
            of("http", both).unwrap(),
            ["Tcp 192.0.2.1:80", "Udp 192.0.2.1:81"]
        );
        assert_eq!(of("www", both).unwrap(), ["Tcp 192.0.2.1:80"]);
        assert_eq!(of("443", TCP).unwrap(), ["Tcp 192.0.2.1:443"]);
        assert_eq!(of("time", TCP), Err(Failure::BadService));
        assert_eq!(of("65536", TCP), Err(Failure::BadService));
        let numeric = Hints {
            numeric_service: true,
            ..TCP
        };
        assert_eq!(of("http", numeric), Err(Failure::BadService));
        assert_eq!(of("80", numeric).unwrap().len(), 1);
    }

    #[test]
    fn no_host_is_this_one_or_all_of_it() {
        assert_eq!(
            found(None, Some("80"), TCP, &[]).unwrap(),
            ["Tcp [::1]:80", "Tcp 127.0.0.1:80"]
        );
        let passive = Hints {
            passive: true,
            families: Families::V4,
            ..TCP
        };
        let all = found(None, Some("80"), passive, &[]).unwrap();
        assert_eq!(all, ["Tcp 0.0.0.0:80"]);
        assert_eq!(found(None, None, TCP, &[]), Err(Failure::BadName));
    }

    #[test]
    fn addresses_are_of_the_family_that_is_wanted() {
        let six = Hints {
            families: Families::V6,
            ..TCP
        };
        let mapped = Hints {
            v4_mapped: true,
            ..six
        };
        let all = Hints {
            all: true,
            ..mapped
        };
        assert_eq!(
            found(Some("192.0.2.1"), None, six, &[]),
            Err(Failure::NoData)
        );
        assert_eq!(
            found(Some("192.0.2.1"), None, mapped, &[]).unwrap(),
            ["Tcp [::ffff:192.0.2.1]:0"]
        );
        assert_eq!(
            found(Some("fe80::1%2"), None, six, &[]).unwrap(),
            ["Tcp [fe80::1%2]:0"]
        );
        let of = |hints, answer: &[&str]| found(Some("www"), Some("1"), hints, answer);
        let both = ["2001:db8::1", "192.0.2.1"];
        assert_eq!(of(TCP, &both).unwrap().len(), 2);
        assert_eq!(of(six, &both).unwrap(), ["Tcp [2001:db8::1]:1"]);
        assert_eq!(of(mapped, &both).unwrap(), ["Tcp [2001:db8::1]:1"]);
        assert_eq!(of(all, &both).unwrap().len(), 2);
        assert_eq!(of(mapped, &both[1..]).unwrap().len(), 1);
        assert_eq!(of(six, &both[1..]), Err(Failure::NoData));
        let numeric = Hints {
            numeric_host: true,
            ..TCP
        };
        let refused = found(Some("www"), None, numeric, &[]);
        assert_eq!(refused, Err(Failure::BadName));
    }
}
