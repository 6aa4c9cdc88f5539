//! Addresses as text and as `struct sockaddr`.

use std::cmp::Ordering;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use super::text;
use crate::system::{
    self, AF_INET, AF_INET6, Length, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_inet_ntop(
    family: c_int,
    from: *const c_void,
    to: *mut c_char,
    room: usize,
) -> *const c_char {
    // SAFETY: the caller's address and room.
    unsafe { system::write_address(family, from, to, room) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_inet_pton(
    family: c_int,
    from: *const c_char,
    to: *mut c_void,
) -> c_int {
    // SAFETY: the caller's string, and room for an address of that family.
    unsafe { system::read_address(family, from, to) }
}

/// As inet_pton(3), with the scope that may follow an address of IPv6.
#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_inet_pton_scope(
    family: c_int,
    from: *const c_char,
    to: *mut c_void,
    scope: Option<&mut c_uint>,
) -> c_int {
    // SAFETY: the caller's string.
    let whole = unsafe { text::read(from) };
    let (Some(whole), Some(scope)) = (whole, scope) else {
        return 0;
    };
    *scope = 0;
    if family == AF_INET6
        && let Some((address, name)) = whole.split_once('%')
    {
        let Some(index) = scope_of(name) else {
            return 0;
        };
        let Ok(address) = CString::new(address) else {
            return 0;
        };
        *scope = index;
        // SAFETY: a string, and the caller's room for an address.
        return unsafe { system::read_address(family, address.as_ptr(), to) };
    }
    // SAFETY: the caller's string and room.
    unsafe { system::read_address(family, from, to) }
}

/// The number of a scope: that of an interface, or the number itself.
fn scope_of(name: &str) -> Option<c_uint> {
    let text = CString::new(name).ok()?;
    match system::interface(&text) {
        0 => name.parse().ok(),
        index => Some(index),
    }
}

/// Reads `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`.
#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_parse_sockaddr_port(
    from: *const c_char,
    to: *mut sockaddr,
    room: Option<&mut c_int>,
) -> c_int {
    // SAFETY: the caller's string.
    let parsed = unsafe { text::read(from) }.and_then(parse);
    let (Some(parsed), Some(room), false) = (parsed, room, to.is_null()) else {
        return -1;
    };
    let bytes = usize::try_from(*room).unwrap_or(0);
    // SAFETY: the caller has given so many bytes, and no more are written.
    let length = unsafe {
        match parsed {
            Parsed::V4(address) => put(&address, to, bytes),
            Parsed::V6(address) => put(&address, to, bytes),
        }
    };
    match length {
        Some(length) => {
            *room = length;
            0
        }
        None => -1,
    }
}

/// # Safety
/// So many bytes may be written there.
unsafe fn put<T>(address: &T, to: *mut sockaddr, room: usize) -> Option<c_int> {
    let size = size_of::<T>();
    if size > room {
        return None;
    }
    // SAFETY: the caller's promise; the place may lie anywhere.
    unsafe {
        ptr::write_bytes(to.cast::<u8>(), 0, room);
        ptr::copy_nonoverlapping(ptr::from_ref(address).cast::<u8>(), to.cast(), size);
    }
    c_int::try_from(size).ok()
}

enum Parsed {
    V4(sockaddr_in),
    V6(sockaddr_in6),
}

fn parse(text: &str) -> Option<Parsed> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        // What follows without a colon is not looked at.
        let port = rest.strip_prefix(':').map_or(Some(0), port_of)?;
        return v6(address, port);
    }
    match text.split_once(':') {
        None => v4(text, 0),
        Some((_, rest)) if rest.contains(':') => v6(text, 0),
        Some((address, port)) => v4(address, port_of(port)?),
    }
}

/// The number that a text begins with, as atoi(3) has it, if it is a port.
fn port_of(text: &str) -> Option<u16> {
    let text = text.trim_start_matches(|it: char| it.is_ascii_whitespace());
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    text[..digits].parse().ok().filter(|port| *port > 0)
}

fn v4(address: &str, port: u16) -> Option<Parsed> {
    let address = octets::<4>(AF_INET, address)?;
    Some(Parsed::V4(raw_v4(address, port)))
}

fn raw_v4(address: [u8; 4], port: u16) -> sockaddr_in {
    sockaddr_in {
        sin_family: AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: system::ipv4(address),
        sin_zero: [0; 8],
    }
}

fn v6(address: &str, port: u16) -> Option<Parsed> {
    let (address, scope) = match address.split_once('%') {
        Some((address, name)) => (address, scope_of(name)?),
        None => (address, 0),
    };
    let address = octets::<16>(AF_INET6, address)?;
    Some(Parsed::V6(raw_v6(address, port, scope)))
}

fn raw_v6(address: [u8; 16], port: u16, scope: u32) -> sockaddr_in6 {
    sockaddr_in6 {
        sin6_family: AF_INET6 as u16,
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: system::in6_addr { s6_addr: address },
        sin6_scope_id: scope,
    }
}

/// An address with a port, or with 0 for one that has none.
pub(crate) fn read_text(text: &str) -> Option<SocketAddr> {
    Some(match parse(text)? {
        Parsed::V4(it) => SocketAddr::V4(v4_of(&it)),
        Parsed::V6(it) => SocketAddr::V6(v6_of(&it)),
    })
}

/// An address of the internet; `None` for any other.
///
/// # Safety
/// Null, or so many bytes of an address.
pub(crate) unsafe fn read_socket(from: *const sockaddr, length: Length) -> Option<SocketAddr> {
    let length = usize::try_from(length).unwrap_or(0);
    if from.is_null() || length < size_of::<u16>() {
        return None;
    }
    // SAFETY: the caller's promise; it may lie anywhere.
    unsafe {
        let family = (&raw const (*from).sa_family).read_unaligned();
        match family.into() {
            AF_INET if length >= size_of::<sockaddr_in>() => {
                let it = from.cast::<sockaddr_in>().read_unaligned();
                Some(SocketAddr::V4(v4_of(&it)))
            }
            AF_INET6 if length >= size_of::<sockaddr_in6>() => {
                let it = from.cast::<sockaddr_in6>().read_unaligned();
                Some(SocketAddr::V6(v6_of(&it)))
            }
            _ => None,
        }
    }
}

/// An address as the system has it, and its length.
pub(crate) fn of(address: &SocketAddr) -> (sockaddr_storage, Length) {
    // SAFETY: an address of zeros is one.
    let mut storage: sockaddr_storage = unsafe { std::mem::zeroed() };
    let place = (&raw mut storage).cast::<u8>();
    let length = match address {
        SocketAddr::V4(it) => {
            let it = raw_v4(it.ip().octets(), it.port());
            // SAFETY: there is room for any address.
            unsafe { place.cast::<sockaddr_in>().write(it) };
            size_of::<sockaddr_in>()
        }
        SocketAddr::V6(it) => {
            let it = raw_v6(it.ip().octets(), it.port(), it.scope_id());
            // SAFETY: as above.
            unsafe { place.cast::<sockaddr_in6>().write(it) };
            size_of::<sockaddr_in6>()
        }
    };
    (storage, length as Length)
}

fn v4_of(it: &sockaddr_in) -> SocketAddrV4 {
    let address = it.sin_addr.s_addr.to_ne_bytes();
    SocketAddrV4::new(address.into(), u16::from_be(it.sin_port))
}

fn v6_of(it: &sockaddr_in6) -> SocketAddrV6 {
    let address = it.sin6_addr.s6_addr;
    let port = u16::from_be(it.sin6_port);
    SocketAddrV6::new(address.into(), port, it.sin6_flowinfo, it.sin6_scope_id)
}

/// An address as the system reads it.
fn octets<const N: usize>(family: c_int, text: &str) -> Option<[u8; N]> {
    let text = CString::new(text).ok()?;
    let mut octets = [0; N];
    // SAFETY: a string, and room for an address of that family.
    let read = unsafe { system::read_address(family, text.as_ptr(), octets.as_mut_ptr().cast()) };
    (read == 1).then_some(octets)
}

/// An order of addresses: by family, address and, if asked for, port as it
/// stands in memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_sockaddr_cmp(
    one: *const sockaddr,
    other: *const sockaddr,
    with_port: c_int,
) -> c_int {
    // SAFETY: the caller's addresses, each as long as its family is.
    let (one, other, families) = unsafe {
        let families = [(*one).sa_family, (*other).sa_family].map(i32::from);
        (read(one), read(other), families)
    };
    if families[0] != families[1] {
        return families[0] - families[1];
    }
    let order = match (one, other) {
        (Some(one), Some(other)) if with_port != 0 => one.cmp(&other),
        (Some(one), Some(other)) => one.0.cmp(&other.0),
        _ => Ordering::Greater,
    };
    order as c_int
}

/// # Safety
/// An address as long as its family is.
unsafe fn read(from: *const sockaddr) -> Option<(Vec<u8>, u16)> {
    // SAFETY: the caller's promise; it may lie anywhere.
    unsafe {
        match i32::from((*from).sa_family) {
            AF_INET => {
                let it = from.cast::<sockaddr_in>().read_unaligned();
                let address = it.sin_addr.s_addr.to_ne_bytes();
                Some((address.to_vec(), it.sin_port))
            }
            AF_INET6 => {
                let it = from.cast::<sockaddr_in6>().read_unaligned();
                Some((it.sin6_addr.s6_addr.to_vec(), it.sin6_port))
            }
            _ => None,
        }
    }
}
