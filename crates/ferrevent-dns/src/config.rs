//! resolv.conf(5): whom to ask, and how.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 53;
const MAX_SERVERS: usize = 16;
const MAX_DOMAINS: usize = 32;

/// Whom a resolver asks, and how. The fields that resolv.conf(5) has keep its
/// defaults and its limits.
///
/// ```
/// use ferrevent_dns::Config;
///
/// let config = Config::parse(
///     b"nameserver 192.0.2.1\nsearch example.org\noptions ndots:2 timeout:1 rotate\n",
/// );
/// assert_eq!(config.servers, ["192.0.2.1:53".parse().unwrap()]);
/// assert_eq!((config.search.len(), config.ndots, config.rotate), (1, 2, true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The name servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// The domains that short names are tried with.
    pub search: Vec<String>,
    /// A name with as many dots is tried as it is first. Default 1.
    pub ndots: usize,
    /// So long a server has for an answer. Default 5 s.
    pub timeout: Duration,
    /// How often each server is asked before it is given up. Default 2.
    pub attempts: u32,
    /// Whether questions go to the servers in turn, rather than to the first
    /// that works.
    pub rotate: bool,
    /// Whether everything is asked by TCP (RFC 7766).
    pub use_tcp: bool,
    /// Whether what is left of an answer that was cut is taken for all of it,
    /// rather than asking again by TCP.
    pub ignore_truncation: bool,
    /// Whether names are asked for in random case, and answers must have the
    /// same. An answer in another case is asked for again by TCP. Default true.
    pub randomize_case: bool,
    /// The longest datagram that is offered to be taken, by EDNS (RFC 6891).
    /// 512 or less: EDNS is not used. Default 1,232, which no path has to cut.
    pub edns_size: u16,
    /// So many questions may be on their way at once. Default 64.
    pub max_inflight: usize,
    /// So many lookups may wait for their turn; more fail at once. Default 4,096.
    pub max_waiting: usize,
    /// A server that did not answer this often in a row is not asked while
    /// another works. Default 3.
    pub max_timeouts: u32,
    /// So long after that it is probed. Default 10 s; three times as long after
    /// each probe that fails.
    pub probe_after: Duration,
    /// The longest time between probes. Default an hour.
    pub max_probe_after: Duration,
    /// So long the addresses of one family are held back for those of the
    /// other. Default 3 s.
    pub skew: Duration,
    /// Whether a datagram socket that is good for more stays open while nothing
    /// is asked: no longer than half a minute in use, and for 32 questions.
    /// Default false: the next question has another port.
    pub keep_sockets: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
            ignore_truncation: false,
            randomize_case: true,
            edns_size: 1232,
            max_inflight: 64,
            max_waiting: 4096,
            max_timeouts: 3,
            probe_after: Duration::from_secs(10),
            max_probe_after: Duration::from_secs(3600),
            skew: Duration::from_secs(3),
            keep_sockets: false,
        }
    }
}

impl Config {
    /// Reads the text of a resolv.conf. What is not known is passed over. At
    /// most 16 servers and 32 domains are taken; without a server, the one on
    /// this host is asked, at port 53. An address may have a port of its own:
    /// `127.0.0.1:5353`, `[::1]:5353`.
    ///
    /// ```
    /// use ferrevent_dns::Config;
    /// assert_eq!(Config::parse(b"; nothing\n"), Config::default());
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        let mut config = Self {
            servers: Vec::new(),
            ..Self::default()
        };
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(line) {
                config.add_line(line);
            }
        }
        if config.servers.is_empty() {
            config.servers = Self::default().servers;
        }
        config
    }

    /// A resolver of its own choice of servers.
    ///
    /// ```
    /// use ferrevent_dns::Config;
    /// let config = Config::with_servers(["192.0.2.1:53".parse().unwrap()]);
    /// assert_eq!(config.servers.len(), 1);
    /// ```
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            ..Self::default()
        }
    }

    /// With nothing that would stand still, or ask without end.
    pub(crate) fn sane(mut self) -> Self {
        const LEAST: Duration = Duration::from_millis(1);
        self.attempts = self.attempts.max(1);
        self.max_inflight = self.max_inflight.max(1);
        self.timeout = self.timeout.max(LEAST);
        self.probe_after = self.probe_after.max(LEAST);
        self.max_probe_after = self.max_probe_after.max(self.probe_after);
        self
    }

    fn add_line(&mut self, line: &str) {
        if line.starts_with(['#', ';']) {
            return;
        }
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                if let Some(server) = words.next().and_then(server)
                    && self.servers.len() < MAX_SERVERS
                {
                    self.servers.push(server);
                }
            }
            // The last of these counts.
            Some("domain") => self.search = words.take(1).filter_map(domain).collect(),
            Some("search") => {
                self.search = words.filter_map(domain).take(MAX_DOMAINS).collect();
            }
            Some("options") => words.for_each(|word| self.add_option(word)),
            _ => {}
        }
    }

    /// Takes an option as it stands in a resolv.conf, `ndots:2`. Those of
    /// resolv.conf(5): ndots, timeout, attempts, rotate, use-vc, edns0. Those of
    /// libevent: max-timeouts, max-inflight, randomize-case, ignore-tc,
    /// edns-udp-size, initial-probe-timeout, max-probe-timeout. Others, and those
    /// with no number where one belongs, change nothing.
    ///
    /// ```
    /// let mut config = ferrevent_dns::Config::default();
    /// config.add_option("attempts:3");
    /// assert_eq!(config.attempts, 3);
    /// ```
    pub fn add_option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let number = value.parse::<u32>().ok();
        let seconds = number.map(|number| Duration::from_secs(number.into()));
        match (name, number, seconds) {
            ("rotate", ..) => self.rotate = true,
            ("use-vc", ..) => self.use_tcp = true,
            ("ignore-tc", ..) => self.ignore_truncation = true,
            ("edns0", ..) => self.edns_size = self.edns_size.max(1232),
            ("ndots", Some(number), _) => self.ndots = number.min(15) as usize,
            ("timeout", Some(number), _) => {
                self.timeout = Duration::from_secs(number.clamp(1, 30).into());
            }
            ("attempts", Some(number), _) => self.attempts = number.clamp(1, 255),
            ("randomize-case", Some(number), _) => self.randomize_case = number != 0,
            ("max-timeouts", Some(number), _) => self.max_timeouts = number.clamp(1, 255),
            ("max-inflight", Some(number), _) => {
                self.max_inflight = number.clamp(1, 65_000) as usize;
            }
            ("edns-udp-size", Some(number), _) => self.edns_size = number.min(65_535) as u16,
            ("initial-probe-timeout", _, Some(seconds)) => {
                self.probe_after = seconds.clamp(Duration::from_secs(1), self.max_probe_after);
            }
            ("max-probe-timeout", _, Some(seconds)) => {
                self.max_probe_after = seconds.max(Duration::from_secs(1));
                self.probe_after = self.probe_after.min(self.max_probe_after);
            }
            _ => {}
        }
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    let bare = word.parse::<IpAddr>().ok();
    bare.map(|address| SocketAddr::new(address, PORT))
        .or_else(|| word.parse().ok())
}

/// A domain without the dots around it; the root adds nothing.
fn domain(word: &str) -> Option<String> {
    let word = word.trim_matches('.');
    (!word.is_empty()).then(|| word.to_owned())
}
