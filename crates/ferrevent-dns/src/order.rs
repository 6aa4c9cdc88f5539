//! RFC 6724: which of several addresses is tried first.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};

/// Puts addresses into the order in which they should be tried (RFC 6724,
/// section 6). The function tells from which address of this host one is reached;
/// one that it has none for comes last.
///
/// These are the rules 1, 2, 5, 6, 8 and 10 of that RFC, and 9 for the first 64
/// bits of IPv6: with IPv4 it would undo what a server does who answers in turn.
/// The others ask for what only the system knows.
///
/// ```
/// use std::net::IpAddr;
///
/// let mut addresses: Vec<IpAddr> = vec!["2001:db8::1".parse()?, "192.0.2.1".parse()?];
/// // A host that has IPv4 alone.
/// ferrevent_dns::sort_addresses(&mut addresses, |to| {
///     to.is_ipv4().then(|| "198.51.100.7".parse().unwrap())
/// });
/// assert_eq!(addresses[0], "192.0.2.1".parse::<IpAddr>()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn sort_addresses(
    addresses: &mut [IpAddr],
    mut source_of: impl FnMut(&IpAddr) -> Option<IpAddr>,
) {
    // Of what is equal so far the order is kept.
    addresses.sort_by_cached_key(|to| {
        let (policy, source) = (Policy::of(*to), source_of(to));
        let other_scope = source.is_some_and(|source| scope(source) != scope(*to));
        let other_label = source.is_some_and(|source| Policy::of(source).label != policy.label);
        (
            source.is_none(),
            other_scope,
            other_label,
            Reverse(policy.precedence),
            scope(*to),
            Reverse(source.map_or(0, |source| common_bits(source, *to))),
        )
    });
}

/// A line of the default table (section 2.1).
#[derive(Clone, Copy)]
struct Policy {
    prefix: Ipv6Addr,
    length: u32,
    precedence: u8,
    label: u8,
}

impl Policy {
    /// By length: the first that fits is the longest.
    const TABLE: [Self; 9] = [
        Self::line([0, 0, 0, 0, 0, 0, 0, 1], 128, 50, 0),
        Self::line([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 35, 4),
        Self::line([0; 8], 96, 1, 3),
        Self::line([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5, 5),
        Self::line([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30, 2),
        Self::line([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 1, 12),
        Self::line([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 1, 11),
        Self::line([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 3, 13),
        Self::REST,
    ];
    const REST: Self = Self::line([0; 8], 0, 40, 1);

    const fn line(
        [a, b, c, d, e, f, g, h]: [u16; 8],
        length: u32,
        precedence: u8,
        label: u8,
    ) -> Self {
        Self {
            prefix: Ipv6Addr::new(a, b, c, d, e, f, g, h),
            length,
            precedence,
            label,
        }
    }

    fn of(address: IpAddr) -> Self {
        let address = as_six(address);
        let fits = |line: &&Self| bits_alike(line.prefix, address) >= line.length;
        Self::TABLE.iter().find(fits).copied().unwrap_or(Self::REST)
    }
}

fn as_six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

fn bits_alike(one: Ipv6Addr, other: Ipv6Addr) -> u32 {
    (u128::from(one) ^ u128::from(other)).leading_zeros()
}

fn common_bits(source: IpAddr, to: IpAddr) -> u32 {
    match (source, to) {
        (IpAddr::V6(source), IpAddr::V6(to)) => bits_alike(source, to).min(64),
        _ => 0,
    }
}

/// How far an address is good (section 3.1): RFC 4291's numbers.
fn scope(address: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match address {
        IpAddr::V4(four) if four.is_loopback() || four.is_link_local() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(six) if six.is_multicast() => six.octets()[1] & 15,
        IpAddr::V6(six) if six.is_loopback() || six.segments()[0] & 0xffc0 == 0xfe80 => LINK,
        IpAddr::V6(six) if six.segments()[0] & 0xffc0 == 0xfec0 => SITE,
        IpAddr::V6(_) => GLOBAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each destination with the source that it has, or `-`.
    fn sorted(pairs: &[(&str, &str)]) -> Vec<String> {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut addresses: Vec<_> = pairs.iter().map(|(to, _)| parse(to)).collect();
        sort_addresses(&mut addresses, |to| {
            let (_, source) = pairs.iter().find(|(other, _)| parse(other) == *to)?;
            (*source != "-").then(|| parse(source))
        });
        addresses.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_in_its_order() {
        // Section 10.2, as far as the rules are here.
        assert_eq!(
            sorted(&[("198.51.100.121", "-"), ("2001:db8:1::1", "2001:db8:1::2")]),
            ["2001:db8:1::1", "198.51.100.121"]
        );
        let by_scope = [
            ("2001:db8:1::1", "fe80::1"),
            ("198.51.100.121", "198.51.100.117"),
        ];
        assert_eq!(sorted(&by_scope), ["198.51.100.121", "2001:db8:1::1"]);
        let by_precedence = [("10.1.2.3", "10.1.2.4"), ("2001:db8:1::1", "2001:db8:1::2")];
        assert_eq!(sorted(&by_precedence), ["2001:db8:1::1", "10.1.2.3"]);
        let by_smaller_scope = [("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")];
        assert_eq!(sorted(&by_smaller_scope), ["fe80::1", "2001:db8:1::1"]);
        let by_bits = [
            ("2001:db8:3ffe::1", "2001:db8:1::2"),
            ("2001:db8:1::1", "2001:db8:1::2"),
        ];
        assert_eq!(sorted(&by_bits), ["2001:db8:1::1", "2001:db8:3ffe::1"]);
        let by_label = [
            ("2001:db8:1::1", "2002:c633:6401::2"),
            ("2002:c633:6401::1", "2002:c633:6401::2"),
        ];
        assert_eq!(sorted(&by_label), ["2002:c633:6401::1", "2001:db8:1::1"]);
    }

    #[test]
    fn equal_ones_stay_as_they_came() {
        let own = "192.0.2.200";
        let pairs = [("192.0.2.9", own), ("192.0.2.201", own), ("192.0.2.1", own)];
        assert_eq!(sorted(&pairs), ["192.0.2.9", "192.0.2.201", "192.0.2.1"]);
        let none = [("192.0.2.9", "-"), ("2001:db8::1", "-"), ("192.0.2.1", "-")];
        assert_eq!(sorted(&none), ["2001:db8::1", "192.0.2.9", "192.0.2.1"]);
        assert_eq!(
            sorted(&[("127.0.0.1", "127.0.0.1"), ("::1", "::1")]),
            ["::1", "127.0.0.1"]
        );
    }

    #[test]
    fn the_table_is_looked_up_by_the_longest_prefix() {
        let of = |text: &str| {
            let policy = Policy::of(text.parse().unwrap());
            (policy.precedence, policy.label)
        };
        assert_eq!(of("::1"), (50, 0));
        assert_eq!(of("192.0.2.1"), (35, 4));
        assert_eq!(of("::192.0.2.1"), (1, 3));
        assert_eq!(of("2001::1"), (5, 5));
        assert_eq!(of("2001:db8::1"), (40, 1));
        assert_eq!(of("2002::1"), (30, 2));
        assert_eq!(of("fdff::1"), (3, 13));
        assert_eq!(of("fec0::1"), (1, 11));
        assert_eq!(of("3ffe::1"), (1, 12));
    }
}
