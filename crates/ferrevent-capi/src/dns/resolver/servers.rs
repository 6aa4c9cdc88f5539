//! Whom a resolver asks.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong};
use std::net::{Ipv4Addr, SocketAddr};

use super::Resolver;
use crate::dns::warn;
use crate::system::{Length, sockaddr};
use crate::util::address;

pub(super) const PORT: u16 = 53;

/// What becomes of a new server.
mod outcome {
    use std::ffi::c_int;

    pub(super) const ADDED: c_int = 0;
    pub(super) const FAMILY: c_int = 2;
    pub(super) const KNOWN: c_int = 3;
    pub(super) const MALFORMED: c_int = 4;
}

impl Resolver {
    pub(super) fn add_server(self, server: SocketAddr) -> c_int {
        self.locked(|| {
            let known = self.change(|it| {
                let servers = &mut it.config.servers;
                let known = servers.contains(&server);
                if !known {
                    servers.push(server);
                }
                known
            });
            if known {
                return outcome::KNOWN;
            }
            // Those that wait for a server have one.
            if !self.with(|it| it.suspended) {
                self.ask_held();
            }
            outcome::ADDED
        })
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_nameserver_add(
    resolver: Option<Resolver>,
    address: c_ulong,
) -> c_int {
    let address = Ipv4Addr::from((address as u32).to_ne_bytes());
    resolver.map_or(-1, |it| it.add_server(SocketAddr::from((address, PORT))))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_nameserver_ip_add(
    resolver: Option<Resolver>,
    text: *const c_char,
) -> c_int {
    let Some(resolver) = resolver.filter(|_| !text.is_null()) else {
        return outcome::MALFORMED;
    };
    // SAFETY: the caller's string.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let Some(mut server) = address::read_text(&text) else {
        warn(format_args!("{text:?} is no address of a nameserver"));
        return outcome::MALFORMED;
    };
    if server.port() == 0 {
        server.set_port(PORT);
    }
    resolver.add_server(server)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_base_nameserver_sockaddr_add(
    resolver: Option<Resolver>,
    address: *const sockaddr,
    length: Length,
    _flags: c_uint,
) -> c_int {
    // SAFETY: the caller's address, of that length.
    let server = unsafe { address::read_socket(address, length) };
    let (Some(resolver), Some(mut server)) = (resolver, server) else {
        return outcome::FAMILY;
    };
    if server.port() == 0 {
        server.set_port(PORT);
    }
    resolver.add_server(server)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_count_nameservers(resolver: Option<Resolver>) -> c_int {
    resolver.map_or(0, |resolver| {
        resolver.locked(|| resolver.with(|it| it.settings.config.servers.len() as c_int))
    })
}

/// The length of its address, whatever room there is; nothing is written where
/// there is too little.
#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_base_get_nameserver_addr(
    resolver: Option<Resolver>,
    number: c_int,
    to: *mut sockaddr,
    room: Length,
) -> c_int {
    let place = usize::try_from(number).unwrap_or(0);
    let server = resolver.and_then(|resolver| {
        resolver.locked(|| resolver.with(|it| it.settings.config.servers.get(place).copied()))
    });
    let Some(server) = server else { return -1 };
    let (address, length) = address::of(&server);
    if !to.is_null() && room >= length {
        let from = (&raw const address).cast::<u8>();
        // SAFETY: the caller's room, of more bytes than are written.
        unsafe { from.copy_to_nonoverlapping(to.cast(), length as usize) };
    }
    length as c_int
}

/// What is on its way is asked again, of others, after `evdns_base_resume`.
#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_clear_nameservers_and_suspend(
    resolver: Option<Resolver>,
) -> c_int {
    let Some(resolver) = resolver else { return -1 };
    resolver.locked(|| {
        resolver.with(|it| it.suspended = true);
        // Whoever waits is held: there is no server.
        resolver.change(|it| it.config.servers.clear());
    });
    0
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_resume(resolver: Option<Resolver>) -> c_int {
    let Some(resolver) = resolver else { return -1 };
    resolver.locked(|| {
        resolver.with(|it| it.suspended = false);
        resolver.ask_held();
    });
    0
}
