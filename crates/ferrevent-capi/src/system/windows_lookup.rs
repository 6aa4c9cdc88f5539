//! Names into addresses on Windows.

use std::ffi::{CStr, CString, c_char, c_int};
use std::net::IpAddr;
use std::ptr;
use std::sync::LazyLock;

use windows_sys::Win32::NetworkManagement::IpHelper;
use windows_sys::Win32::Networking::WinSock;

use super::own::{EAI_AGAIN, EAI_FAIL, EAI_NODATA, EAI_NONAME, EAI_SERVICE, EAI_SYSTEM, STARTED};
use super::windows_c::environment;
use super::windows_names::addrinfo;

pub(crate) fn lookup_error(error: c_int) -> *const c_char {
    let text = match error {
        EAI_AGAIN => c"temporary failure in name resolution",
        EAI_FAIL => c"non-recoverable failure in name resolution",
        EAI_NODATA => c"no address associated with hostname",
        EAI_NONAME => c"name or service not known",
        EAI_SERVICE => c"service not supported for this kind of socket",
        WinSock::WSAEINVAL => c"bad flags",
        WinSock::WSAEAFNOSUPPORT => c"address family not supported",
        WinSock::WSAESOCKTNOSUPPORT => c"kind of socket not supported",
        WinSock::WSA_NOT_ENOUGH_MEMORY => c"out of memory",
        EAI_SYSTEM => c"system error",
        _ => c"unknown error of name resolution",
    };
    text.as_ptr()
}

/// The length of the address of an entry.
pub(crate) fn length_of(entry: &addrinfo) -> c_int {
    c_int::try_from(entry.ai_addrlen).unwrap_or(0)
}

/// The same, as an entry has it.
pub(crate) fn info_length(length: c_int) -> usize {
    usize::try_from(length).unwrap_or(0)
}

/// As getaddrinfo(3). Each entry of the list is a piece of memory of its own,
/// so that lists can be joined.
///
/// # Safety
/// Strings and hints, each of them null or good, and room for the answer.
pub(crate) unsafe fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    to: *mut *mut addrinfo,
) -> c_int {
    LazyLock::force(&STARTED);
    let mut found: *mut WinSock::ADDRINFOA = ptr::null_mut();
    // SAFETY: the caller's promise; the hints have the same layout.
    let error =
        unsafe { WinSock::getaddrinfo(name.cast(), service.cast(), hints.cast(), &raw mut found) };
    if error != 0 {
        return error;
    }
    // SAFETY: the system's list, which is freed after it was copied.
    let copied = unsafe {
        let copied = copy_list(found.cast());
        WinSock::freeaddrinfo(found);
        copied
    };
    match copied {
        Some(first) => {
            // SAFETY: the caller's room.
            unsafe { *to = first };
            0
        }
        None => WinSock::WSA_NOT_ENOUGH_MEMORY,
    }
}

/// # Safety
/// A list of the system's.
unsafe fn copy_list(from: *const addrinfo) -> Option<*mut addrinfo> {
    let mut first = ptr::null_mut();
    let mut last: *mut addrinfo = ptr::null_mut();
    let mut from = from;
    while !from.is_null() {
        // SAFETY: an entry of the list; the copy and its address are one piece
        // of memory, aligned as malloc(3) aligns.
        unsafe {
            let length = (*from).ai_addrlen;
            let room = libc::malloc(size_of::<addrinfo>() + length).cast::<addrinfo>();
            if room.is_null() {
                freeaddrinfo(first);
                return None;
            }
            room.write(*from);
            (*room).ai_next = ptr::null_mut();
            (*room).ai_addr = room.add(1).cast();
            ptr::copy_nonoverlapping((*from).ai_addr.cast::<u8>(), room.add(1).cast(), length);
            if !(*from).ai_canonname.is_null() {
                (*room).ai_canonname = libc::strdup((*from).ai_canonname);
            }
            if last.is_null() {
                first = room;
            } else {
                (*last).ai_next = room;
            }
            last = room;
            from = (*from).ai_next;
        }
    }
    Some(first)
}

/// # Safety
/// A list of `getaddrinfo`'s, or several that were joined, used no more.
pub(crate) unsafe fn freeaddrinfo(list: *mut addrinfo) {
    let mut list = list;
    while !list.is_null() {
        // SAFETY: the caller's promise.
        unsafe {
            let next = (*list).ai_next;
            libc::free((*list).ai_canonname.cast());
            libc::free(list.cast());
            list = next;
        }
    }
}

/// The nameservers that this system asks, of IPv4.
pub(crate) fn nameservers() -> Vec<IpAddr> {
    let mut length = 0;
    // SAFETY: asks how much room it takes.
    unsafe { IpHelper::GetNetworkParams(ptr::null_mut(), &raw mut length) };
    // Of words, for the pointers in it; some more, should there be more by then.
    let mut room = vec![0_u64; length as usize / 8 + 64];
    length = u32::try_from(room.len() * 8).unwrap_or(0);
    let place = room.as_mut_ptr().cast::<IpHelper::FIXED_INFO_W2KSP1>();
    // SAFETY: so much room.
    if unsafe { IpHelper::GetNetworkParams(place, &raw mut length) } != 0 {
        return Vec::new();
    }
    let mut servers = Vec::new();
    // SAFETY: what the system has filled in: a list whose entries lie in the room.
    let mut next = unsafe { &raw const (*place).DnsServerList };
    while !next.is_null() {
        // SAFETY: as above, with texts that end within their places.
        unsafe {
            let text = CStr::from_ptr((*next).IpAddress.String.as_ptr());
            servers.extend(text.to_str().ok().and_then(|it| it.parse::<IpAddr>().ok()));
            next = (*next).Next;
        }
    }
    servers
}

/// Where the system's hosts are listed.
pub(crate) fn hosts() -> CString {
    let root = environment(c"SystemRoot").unwrap_or_else(|| c"C:\\Windows".to_owned());
    let mut path = root.into_bytes();
    path.extend_from_slice(br"\System32\drivers\etc\hosts");
    CString::new(path).unwrap_or_default()
}
