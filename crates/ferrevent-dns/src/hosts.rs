//! hosts(5): names that need no server.

use std::collections::HashMap;
use std::net::IpAddr;

/// What a hosts file says.
///
/// ```
/// use ferrevent_dns::Hosts;
///
/// let hosts = Hosts::parse(b"192.0.2.1  www.example.org www # the web server\n");
/// assert_eq!(hosts.addresses("WWW"), ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
/// assert_eq!(hosts.name("192.0.2.1".parse().unwrap()), Some("www.example.org"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    addresses: HashMap<Box<str>, Vec<IpAddr>>,
    names: HashMap<IpAddr, Box<str>>,
}

impl Hosts {
    /// Reads the text of a hosts file. Lines that are none are passed over:
    /// what holds no address, or is not UTF-8.
    ///
    /// ```
    /// use ferrevent_dns::Hosts;
    /// assert!(Hosts::parse(b"nonsense\n\xff\xfe").is_empty());
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(line) {
                hosts.add_line(line);
            }
        }
        hosts
    }

    fn add_line(&mut self, line: &str) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            return;
        };
        for name in words {
            self.names.entry(address).or_insert_with(|| name.into());
            let known = self.addresses.entry(folded(name)).or_default();
            if known.last() != Some(&address) {
                known.push(address);
            }
        }
    }

    /// The addresses of a name, in the order of the file.
    ///
    /// ```
    /// use ferrevent_dns::Hosts;
    /// assert!(Hosts::default().addresses("www").is_empty());
    /// ```
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        if self.is_empty() {
            return &[];
        }
        self.addresses
            .get(&folded(name))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The first name of an address.
    ///
    /// ```
    /// use ferrevent_dns::Hosts;
    /// assert_eq!(Hosts::default().name("192.0.2.1".parse().unwrap()), None);
    /// ```
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(|name| &**name)
    }

    /// Whether it names nobody.
    ///
    /// ```
    /// assert!(ferrevent_dns::Hosts::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

/// Names are the same in any case, with a dot at the end or without.
fn folded(name: &str) -> Box<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}
