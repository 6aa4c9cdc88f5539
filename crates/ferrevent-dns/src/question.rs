//! What can be asked, and the names to ask for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::{Name, Rtype};

use crate::Config;

pub(crate) type HostName = Name<Vec<u8>>;

/// Which addresses are wanted.
///
/// ```
/// use ferrevent_dns::Families;
/// assert!(Families::V4.v4 && !Families::V4.v6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Families {
    /// IPv4: A records.
    pub v4: bool,
    /// IPv6: AAAA records.
    pub v6: bool,
}

impl Families {
    /// Both, asked for at once.
    ///
    /// ```
    /// assert!(ferrevent_dns::Families::BOTH.v6);
    /// ```
    pub const BOTH: Self = Self { v4: true, v6: true };
    /// IPv4 alone.
    ///
    /// ```
    /// assert!(!ferrevent_dns::Families::V4.v6);
    /// ```
    pub const V4: Self = Self {
        v4: true,
        v6: false,
    };
    /// IPv6 alone.
    ///
    /// ```
    /// assert!(!ferrevent_dns::Families::V6.v4);
    /// ```
    pub const V6: Self = Self {
        v4: false,
        v6: true,
    };

    /// Whether an address is of one of these.
    ///
    /// ```
    /// use ferrevent_dns::Families;
    /// assert!(!Families::V6.has(&"127.0.0.1".parse().unwrap()));
    /// ```
    pub fn has(self, address: &IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// What is asked: the addresses of a name, or the names of an address.
///
/// ```
/// use ferrevent_dns::{Families, Question};
///
/// let forward = Question::addresses("www.example.org", Families::BOTH);
/// let reverse = Question::names("192.0.2.1".parse().unwrap());
/// assert_ne!(forward, reverse);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(crate) text: String,
    pub(crate) what: What,
    pub(crate) search: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Addresses(Families),
    Names(IpAddr),
}

impl Question {
    /// The addresses of a host. A name that ends with a dot is taken as it is;
    /// any other is tried with the domains of the search list too, as
    /// resolv.conf(5) has it. Text that is an address already answers itself.
    ///
    /// ```
    /// use ferrevent_dns::{Families, Question};
    /// let question = Question::addresses("www.example.org.", Families::V4);
    /// ```
    pub fn addresses(host: &str, families: Families) -> Self {
        Self {
            text: host.to_owned(),
            what: What::Addresses(families),
            search: true,
        }
    }

    /// The names of an address: PTR records below `in-addr.arpa` (RFC 1035) and
    /// `ip6.arpa` (RFC 3596).
    ///
    /// ```
    /// use ferrevent_dns::Question;
    /// let question = Question::names("2001:db8::1".parse().unwrap());
    /// ```
    pub fn names(address: IpAddr) -> Self {
        Self {
            text: address.to_string(),
            what: What::Names(address),
            search: false,
        }
    }

    /// The same, without the search list.
    ///
    /// ```
    /// use ferrevent_dns::{Families, Question};
    /// let question = Question::addresses("printer", Families::BOTH).without_search();
    /// ```
    #[must_use]
    pub fn without_search(mut self) -> Self {
        self.search = false;
        self
    }

    /// The host as it was written, or the address.
    ///
    /// ```
    /// use ferrevent_dns::{Families, Question};
    /// assert_eq!(Question::addresses("www", Families::V4).name(), "www");
    /// ```
    pub fn name(&self) -> &str {
        &self.text
    }

    /// The types of records that it asks for.
    pub(crate) fn types(&self) -> [Option<Rtype>; 2] {
        match self.what {
            What::Names(_) => [Some(Rtype::PTR), None],
            What::Addresses(families) => [
                families.v6.then_some(Rtype::AAAA),
                families.v4.then_some(Rtype::A),
            ],
        }
    }

    /// The names to ask for, in order. None when it is no name.
    pub(crate) fn candidates(&self, config: &Config) -> Vec<HostName> {
        let text = match self.what {
            What::Names(address) => return reverse(address).into_iter().collect(),
            What::Addresses(_) => self.text.as_str(),
        };
        let Ok(plain) = HostName::vec_from_str(text) else {
            return Vec::new();
        };
        if !self.search || text.ends_with('.') {
            return vec![plain];
        }
        // What becomes too long with a domain is not tried with it.
        let mut names: Vec<_> = config
            .search
            .iter()
            .filter_map(|domain| HostName::vec_from_str(&format!("{text}.{domain}")).ok())
            .collect();
        let dots = text.bytes().filter(|byte| *byte == b'.').count();
        if dots >= config.ndots {
            names.insert(0, plain);
        } else {
            names.push(plain);
        }
        names
    }

    /// What needs no server: an address, or this host itself (RFC 6761, 6.3).
    pub(crate) fn by_itself(&self) -> Option<Vec<IpAddr>> {
        let What::Addresses(families) = self.what else {
            return None;
        };
        let loopback = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        let name = self.text.strip_suffix('.').unwrap_or(&self.text);
        let last = name.rsplit('.').next().unwrap_or_default();
        let mut addresses = match self.text.parse() {
            Ok(address) => vec![address],
            Err(_) if last.eq_ignore_ascii_case("localhost") => loopback.to_vec(),
            Err(_) => return None,
        };
        addresses.retain(|address| families.has(address));
        Some(addresses)
    }
}

fn reverse(address: IpAddr) -> Option<HostName> {
    HostName::reverse_from_addr(address).ok()
}
