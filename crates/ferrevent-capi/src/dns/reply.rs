//! The records of an answer.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::Ipv4Addr;

use super::message::{Data, Entry, Owner, Value, name_of};
use super::request::Request;
use crate::system::in_addr;

/// Types of records, the one class that there is, and the section of answers.
const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
const ANSWER: c_int = 0;

/// A record of any type: its data are bytes, or a name.
#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_add_reply(
    request: Option<Request>,
    section: c_int,
    owner: *const c_char,
    kind: c_int,
    class: c_int,
    ttl: c_int,
    length: c_int,
    is_name: c_int,
    data: *const c_char,
) -> c_int {
    let value = if is_name != 0 {
        // SAFETY: the caller's string.
        unsafe { read_name(data) }.map(Value::Name)
    } else if data.is_null() {
        Some(Value::Bytes(Vec::new()))
    } else {
        // SAFETY: the caller's bytes.
        unsafe { read_bytes(data.cast(), length) }.map(Value::Bytes)
    };
    // SAFETY: the caller's string.
    let owner = unsafe { read_name(owner) };
    let (Some(request), Some(owner), Some(value)) = (request, owner, value) else {
        return -1;
    };
    let entry = Entry {
        owner,
        class: class as u16,
        ttl: ttl as u32,
        data: Data {
            kind: kind as u16,
            value,
        },
    };
    outcome(request.add(section, entry))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_add_a_reply(
    request: Option<Request>,
    owner: *const c_char,
    count: c_int,
    addresses: *const c_void,
    ttl: c_int,
) -> c_int {
    // SAFETY: the caller's string and addresses.
    unsafe { add_addresses::<4>(request, owner, A, count, addresses, ttl) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_add_aaaa_reply(
    request: Option<Request>,
    owner: *const c_char,
    count: c_int,
    addresses: *const c_void,
    ttl: c_int,
) -> c_int {
    // SAFETY: the caller's string and addresses.
    unsafe { add_addresses::<16>(request, owner, AAAA, count, addresses, ttl) }
}

/// The name of an address, or of a name below `in-addr.arpa` or `ip6.arpa`.
#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_add_ptr_reply(
    request: Option<Request>,
    address: Option<&in_addr>,
    owner: *const c_char,
    name: *const c_char,
    ttl: c_int,
) -> c_int {
    // SAFETY: the caller's strings.
    let (named, name) = unsafe { (read_name(owner), read_name(name)) };
    let owner = match address {
        Some(address) if owner.is_null() => name_of_address(address),
        None => named,
        Some(_) => None,
    };
    add_name(request, owner, PTR, name, ttl)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_add_cname_reply(
    request: Option<Request>,
    owner: *const c_char,
    name: *const c_char,
    ttl: c_int,
) -> c_int {
    // SAFETY: the caller's strings.
    let (owner, name) = unsafe { (read_name(owner), read_name(name)) };
    add_name(request, owner, CNAME, name, ttl)
}

/// Adds a record for each address.
///
/// # Safety
/// A string, and so many addresses of so many bytes.
unsafe fn add_addresses<const N: usize>(
    request: Option<Request>,
    owner: *const c_char,
    kind: u16,
    count: c_int,
    addresses: *const c_void,
    ttl: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let owner = unsafe { read_name(owner) };
    let count = usize::try_from(count).ok().filter(|count| *count > 0);
    let (Some(request), Some(owner), Some(count), false) =
        (request, owner, count, addresses.is_null())
    else {
        return -1;
    };
    // SAFETY: the caller's promise.
    let addresses = unsafe { std::slice::from_raw_parts(addresses.cast::<[u8; N]>(), count) };
    outcome(addresses.iter().all(|address| {
        let value = Value::Bytes(address.to_vec());
        request.add(ANSWER, entry(owner.clone(), kind, ttl, value))
    }))
}

fn add_name(
    request: Option<Request>,
    owner: Option<Owner>,
    kind: u16,
    name: Option<Owner>,
    ttl: c_int,
) -> c_int {
    let (Some(request), Some(owner), Some(name)) = (request, owner, name) else {
        return -1;
    };
    outcome(request.add(ANSWER, entry(owner, kind, ttl, Value::Name(name))))
}

fn entry(owner: Owner, kind: u16, ttl: c_int, value: Value) -> Entry {
    Entry {
        owner,
        class: INTERNET,
        ttl: ttl as u32,
        data: Data { kind, value },
    }
}

/// The name below `in-addr.arpa` of an address (RFC 1035, 3.5).
fn name_of_address(address: &in_addr) -> Option<Owner> {
    let [a, b, c, d] = Ipv4Addr::from(address.s_addr.to_ne_bytes()).octets();
    name_of(format!("{d}.{c}.{b}.{a}.in-addr.arpa").as_bytes())
}

/// A name of the caller's; `None` for null and for what is no name.
///
/// # Safety
/// Null, or a string.
unsafe fn read_name(text: *const c_char) -> Option<Owner> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    name_of(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// # Safety
/// So many bytes of the caller's.
unsafe fn read_bytes(from: *const u8, length: c_int) -> Option<Vec<u8>> {
    let length = u16::try_from(length).ok()?;
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(from, length.into()) }.to_vec())
}

fn outcome(added: bool) -> c_int {
    if added { 0 } else { -1 }
}
