//! How a resolver asks: search list, options, hosts.

use std::ffi::{CStr, c_char, c_int};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ferrevent_dns::{Config, Families, Hosts};

use super::{Resolver, now};
use crate::dns::warn;
use crate::system;
use crate::util::address;

pub(super) struct Settings {
    pub(super) config: Config,
    /// What hosts are read from.
    text: Vec<u8>,
    pub(super) sockets: Sockets,
}

/// What is set of the sockets that it asks by.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Sockets {
    pub(super) bind: Option<SocketAddr>,
    pub(super) receive_room: c_int,
    pub(super) send_room: c_int,
}

/// What is taken from resolv.conf(5) (`DNS_OPTION_*`).
mod part {
    use std::ffi::c_int;

    pub(super) const SEARCH: c_int = 1;
    pub(super) const SERVERS: c_int = 2;
    pub(super) const OPTIONS: c_int = 4;
    pub(super) const HOSTS: c_int = 8;
    pub(super) const ALL: c_int = SEARCH | SERVERS | OPTIONS | HOSTS;
    pub(super) const NO_DEFAULT_SERVER: c_int = 16;
}

/// What comes of reading a file.
mod outcome {
    use std::ffi::c_int;

    pub(super) const DONE: c_int = 0;
    pub(super) const NO_FILE: c_int = 1;
    pub(super) const UNREADABLE: c_int = 2;
    pub(super) const TOO_LONG: c_int = 3;
    pub(super) const NO_SERVERS: c_int = 6;
}

const RESOLV_CONF: &CStr = c"/etc/resolv.conf";
/// What every host knows.
const LOCALHOST: &[u8] = b"127.0.0.1 localhost\n::1 localhost\n";
/// No configuration is longer.
const LONGEST: u64 = 65_535;
/// A hosts file may list half the net.
const LONGEST_HOSTS: u64 = 1 << 26;
const LONGEST_PROBE: Duration = Duration::from_secs(3600);

impl Default for Settings {
    fn default() -> Self {
        let mut config = Config::with_servers([]);
        config.attempts = 3;
        // How many questions there are is the program's own business.
        config.max_waiting = usize::MAX / 2;
        Self {
            config,
            text: Vec::new(),
            sockets: Sockets::default(),
        }
    }
}

impl Settings {
    /// Sets an option, named with a colon at its end or without. False when its
    /// value is none; one that is not known changes nothing.
    fn set(&mut self, name: &str, value: &str) -> bool {
        let name = name.strip_suffix(':').unwrap_or(name);
        let number = value.parse::<u32>().ok();
        let time = value
            .parse::<f64>()
            .ok()
            .and_then(|it| Duration::try_from_secs_f64(it).ok());
        let time = time.filter(|it| !it.is_zero());
        let config = &mut self.config;
        match name {
            "timeout" => assign(&mut config.timeout, time),
            "getaddrinfo-allow-skew" => assign(&mut config.skew, time),
            "initial-probe-timeout" => assign(
                &mut config.probe_after,
                time.map(|it| it.min(LONGEST_PROBE)),
            ),
            "ndots" => assign(&mut config.ndots, number.map(|it| it as usize)),
            "max-timeouts" => assign(&mut config.max_timeouts, number.map(|it| it.clamp(1, 255))),
            "max-inflight" => {
                let number = number.map(|it| it.clamp(1, 65_000) as usize);
                assign(&mut config.max_inflight, number)
            }
            "attempts" => assign(&mut config.attempts, number.map(|it| it.clamp(1, 255))),
            "randomize-case" => assign(&mut config.randomize_case, number.map(|it| it != 0)),
            "so-rcvbuf" => assign(&mut self.sockets.receive_room, number.map(|it| it as c_int)),
            "so-sndbuf" => assign(&mut self.sockets.send_room, number.map(|it| it as c_int)),
            "bind-to" => assign(&mut self.sockets.bind, address::read_text(value).map(Some)),
            _ => {
                let word = if value.is_empty() {
                    name.to_owned()
                } else {
                    format!("{name}:{value}")
                };
                config.add_option(&word);
                true
            }
        }
    }

    /// Takes what is asked for from the text of a resolv.conf; false when it
    /// lists no server.
    fn read(&mut self, text: &[u8], parts: c_int) -> bool {
        let parsed = Config::parse(text);
        let text = String::from_utf8_lossy(text);
        let mut lists_servers = false;
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => lists_servers = true,
                Some("search" | "domain") if parts & part::SEARCH != 0 => {
                    self.config.search.clone_from(&parsed.search);
                }
                Some("options") => words.for_each(|word| self.read_option(word, parts)),
                _ => {}
            }
        }
        if lists_servers && parts & part::SERVERS != 0 {
            for server in parsed.servers {
                if !self.config.servers.contains(&server) {
                    self.config.servers.push(server);
                }
            }
        }
        lists_servers
    }

    fn read_option(&mut self, word: &str, parts: c_int) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let part = if name == "ndots" {
            part::SEARCH
        } else {
            part::OPTIONS
        };
        if parts & part != 0 {
            self.set(name, value);
        }
    }

    fn add_hosts(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.text.push(b'\n');
    }
}

fn assign<T>(place: &mut T, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            *place = value;
            true
        }
        None => false,
    }
}

impl Resolver {
    /// Changes the settings, also for what is on its way.
    pub(super) fn change<R>(self, change: impl FnOnce(&mut Settings) -> R) -> R {
        self.locked(|| {
            let result = self.with(|it| {
                let (settings, client) = (&mut it.settings, &mut it.asking.client);
                let (sockets, hosts) = (settings.sockets, settings.text.len());
                let result = change(settings);
                if settings.config != *client.config() {
                    client.reconfigure(now(), settings.config.clone());
                }
                if settings.sockets != sockets {
                    client.renew_sockets();
                }
                if settings.text.len() != hosts {
                    client.set_hosts(Hosts::parse(&settings.text));
                }
                result
            });
            self.act();
            result
        })
    }

    /// The addresses of a name that need no server, with the lock held.
    pub(super) fn known(self, name: &str, families: Families) -> Vec<IpAddr> {
        self.with(|it| {
            let known = it.asking.client.hosts().addresses(name).iter().copied();
            known.filter(|address| families.has(address)).collect()
        })
    }
}

/// Takes the system's configuration; what it does not have has defaults.
pub(super) fn initialize(resolver: Resolver, with_default_server: bool) {
    let mut parts = part::ALL;
    if !with_default_server {
        parts |= part::NO_DEFAULT_SERVER;
    }
    #[cfg(windows)]
    if evdns_base_config_windows_nameservers(Some(resolver)) == 0 {
        // SAFETY: a string.
        unsafe { evdns_base_load_hosts(Some(resolver), system::hosts().as_ptr()) };
        return;
    }
    // SAFETY: a string.
    unsafe { evdns_base_resolv_conf_parse(Some(resolver), parts, RESOLV_CONF.as_ptr()) };
}

/// There no file lists them.
#[cfg(windows)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_config_windows_nameservers(
    resolver: Option<Resolver>,
) -> c_int {
    let Some(resolver) = resolver else { return -1 };
    let servers = system::nameservers();
    for server in &servers {
        resolver.add_server(SocketAddr::new(*server, super::servers::PORT));
    }
    if servers.is_empty() { -1 } else { 0 }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_resolv_conf_parse(
    resolver: Option<Resolver>,
    parts: c_int,
    file: *const c_char,
) -> c_int {
    let Some(resolver) = resolver else { return -1 };
    if parts & part::HOSTS != 0 {
        // SAFETY: a string.
        unsafe { evdns_base_load_hosts(Some(resolver), system::hosts().as_ptr()) };
    }
    // SAFETY: the caller's string.
    let outcome = match unsafe { read(file, LONGEST) } {
        Ok(text) if resolver.change(|it| it.read(&text, parts)) => outcome::DONE,
        Ok(_) => outcome::NO_SERVERS,
        Err(outcome) => outcome,
    };
    let wants_servers = parts & part::SERVERS != 0;
    if !wants_servers && outcome == outcome::NO_SERVERS {
        return outcome::DONE;
    }
    let lacks = matches!(outcome, outcome::NO_FILE | outcome::NO_SERVERS);
    if lacks && wants_servers {
        if parts & part::NO_DEFAULT_SERVER != 0 {
            return if outcome == outcome::NO_SERVERS {
                outcome::DONE
            } else {
                outcome
            };
        }
        for server in Config::default().servers {
            resolver.add_server(server);
        }
        return outcome;
    }
    resolver.locked(|| {
        if !resolver.with(|it| it.suspended) {
            resolver.ask_held();
        }
        resolver.wait();
    });
    outcome
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_base_load_hosts(
    resolver: Option<Resolver>,
    file: *const c_char,
) -> c_int {
    let Some(resolver) = resolver else { return -1 };
    if file.is_null() {
        resolver.change(|it| it.add_hosts(LOCALHOST));
        return 0;
    }
    // SAFETY: the caller's string.
    match unsafe { read(file, LONGEST_HOSTS) } {
        Ok(text) => {
            resolver.change(|it| it.add_hosts(&text));
            0
        }
        Err(_) => {
            resolver.change(|it| it.add_hosts(LOCALHOST));
            -1
        }
    }
}

/// The text of a file, if it is no longer than that.
///
/// # Safety
/// Null, or a string.
unsafe fn read(file: *const c_char, longest: u64) -> Result<Vec<u8>, c_int> {
    if file.is_null() {
        return Err(outcome::NO_FILE);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(file) }.to_string_lossy();
    let told = |error: std::io::Error| {
        if error.kind() != ErrorKind::NotFound {
            warn(format_args!("{name} cannot be read: {error}"));
        }
    };
    let file = std::fs::File::open(&*name).map_err(|error| {
        told(error);
        outcome::NO_FILE
    })?;
    let mut text = Vec::new();
    file.take(longest + 1)
        .read_to_end(&mut text)
        .map_err(|error| {
            told(error);
            outcome::UNREADABLE
        })?;
    if text.len() as u64 > longest {
        return Err(outcome::TOO_LONG);
    }
    Ok(text)
}

#[unsafe(no_mangle)]
extern "C" fn evdns_base_clear_host_addresses(resolver: Option<Resolver>) {
    if let Some(resolver) = resolver {
        resolver.change(|it| it.text.clear());
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_set_option(
    resolver: Option<Resolver>,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    let (Some(resolver), false) = (resolver, name.is_null()) else {
        return -1;
    };
    // SAFETY: the caller's strings.
    let (name, value) = unsafe {
        let value = if value.is_null() {
            c""
        } else {
            CStr::from_ptr(value)
        };
        (
            CStr::from_ptr(name).to_string_lossy(),
            value.to_string_lossy(),
        )
    };
    if resolver.change(|it| it.set(&name, &value)) {
        0
    } else {
        -1
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_search_clear(resolver: Option<Resolver>) {
    if let Some(resolver) = resolver {
        resolver.change(|it| it.config.search.clear());
    }
}

/// The domain that was added last is the first to be tried.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_search_add(
    resolver: Option<Resolver>,
    domain: *const c_char,
) {
    let (Some(resolver), false) = (resolver, domain.is_null()) else {
        return;
    };
    // SAFETY: the caller's string.
    let domain = unsafe { CStr::from_ptr(domain) }.to_string_lossy();
    let domain = domain.trim_matches('.');
    if !domain.is_empty() {
        resolver.change(|it| it.config.search.insert(0, domain.to_owned()));
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_search_ndots_set(resolver: Option<Resolver>, ndots: c_int) {
    if let Some(resolver) = resolver {
        resolver.change(|it| it.config.ndots = usize::try_from(ndots).unwrap_or(0));
    }
}
