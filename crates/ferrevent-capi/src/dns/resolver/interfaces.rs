//! What this host's own addresses are good for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use ferrevent_dns::Families;
use libc::ifaddrs;

use crate::util::address;

/// The families of which an interface has an address that others can answer to
/// (`AI_ADDRCONFIG`). Both, when there is none at all.
pub(super) fn configured() -> Families {
    let mut first: *mut ifaddrs = ptr::null_mut();
    // SAFETY: a place for the list.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Families::BOTH;
    }
    let mut found = Families {
        v4: false,
        v6: false,
    };
    let mut next = first;
    while !next.is_null() {
        // SAFETY: one of the list, which is freed below.
        let interface = unsafe { &*next };
        next = interface.ifa_next;
        // SAFETY: null, or an address of its family's length.
        match unsafe { address_of(interface) } {
            Some(IpAddr::V4(four)) => found.v4 |= is_useful(four),
            Some(IpAddr::V6(six)) => found.v6 |= is_useful_six(six),
            None => {}
        }
    }
    // SAFETY: the list, which nobody refers to any more.
    unsafe { libc::freeifaddrs(first) };
    if found.v4 || found.v6 {
        found
    } else {
        Families::BOTH
    }
}

/// # Safety
/// One of a list of getifaddrs(3).
unsafe fn address_of(interface: &ifaddrs) -> Option<IpAddr> {
    let address = interface.ifa_addr;
    if address.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let family = unsafe { (*address).sa_family };
    let length = match i32::from(family) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: an address of that length.
    let address = unsafe { address::read_socket(address, length as u32) };
    address.map(|it| it.ip())
}

fn is_useful(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// Neither of those within ::/64, nor unique local, link-local, site-local or
/// multicast.
fn is_useful_six(address: Ipv6Addr) -> bool {
    let [first, second, third, fourth, ..] = address.segments();
    let is_reserved = [first, second, third, fourth] == [0; 4];
    let is_local = first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80;
    !(is_reserved || is_local || address.is_multicast())
}
