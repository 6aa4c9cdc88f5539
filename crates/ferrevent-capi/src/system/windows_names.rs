//! Structs of C as Windows has them, in the names that C uses.

#![allow(non_camel_case_types, reason = "the names of C")]

use std::ffi::{c_char, c_int};

pub(crate) use libc::{sockaddr, timeval};

/// `struct evbuffer_iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct iovec {
    pub(crate) iov_base: *mut std::ffi::c_void,
    pub(crate) iov_len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct in_addr {
    pub(crate) s_addr: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct in6_addr {
    pub(crate) s6_addr: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct sockaddr_in {
    pub(crate) sin_family: u16,
    pub(crate) sin_port: u16,
    pub(crate) sin_addr: in_addr,
    pub(crate) sin_zero: [u8; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct sockaddr_in6 {
    pub(crate) sin6_family: u16,
    pub(crate) sin6_port: u16,
    pub(crate) sin6_flowinfo: u32,
    pub(crate) sin6_addr: in6_addr,
    pub(crate) sin6_scope_id: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct sockaddr_storage {
    pub(crate) ss_family: u16,
    padding: [u8; 6],
    aligned: u64,
    rest: [u8; 112],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct addrinfo {
    pub(crate) ai_flags: c_int,
    pub(crate) ai_family: c_int,
    pub(crate) ai_socktype: c_int,
    pub(crate) ai_protocol: c_int,
    pub(crate) ai_addrlen: usize,
    pub(crate) ai_canonname: *mut c_char,
    pub(crate) ai_addr: *mut sockaddr,
    pub(crate) ai_next: *mut addrinfo,
}

const _: () = {
    use windows_sys::Win32::Networking::WinSock;
    assert!(size_of::<sockaddr_storage>() == size_of::<WinSock::SOCKADDR_STORAGE>());
    assert!(size_of::<sockaddr_in>() == size_of::<WinSock::SOCKADDR_IN>());
    assert!(size_of::<sockaddr_in6>() == size_of::<WinSock::SOCKADDR_IN6>());
    assert!(size_of::<addrinfo>() == size_of::<WinSock::ADDRINFOA>());
    assert!(size_of::<timeval>() == size_of::<WinSock::TIMEVAL>());
};
