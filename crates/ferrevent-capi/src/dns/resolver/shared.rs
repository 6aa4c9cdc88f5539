//! `event2/dns_compat.h`: functions on one resolver for all.

use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::lookup::RecordsFn;
use super::{Inner, Resolver, evdns_base_free, evdns_base_new, names, servers, settings};
use crate::dns::evdns_set_log_fn;
use crate::system::{in_addr, in6_addr};

/// The resolver of functions that name none.
pub(super) static GLOBAL: Global = Global(AtomicPtr::new(ptr::null_mut()));

pub(super) struct Global(AtomicPtr<Inner>);

impl Global {
    pub(super) fn load(&self) -> Option<Resolver> {
        NonNull::new(self.0.load(Ordering::Acquire)).map(Resolver)
    }

    fn store(&self, resolver: Option<Resolver>) {
        let place = resolver.map_or(ptr::null_mut(), |it| it.0.as_ptr());
        self.0.store(place, Ordering::Release);
    }
}

/// It ends.
pub(super) fn forget(resolver: Resolver) {
    if GLOBAL.load() == Some(resolver) {
        GLOBAL.store(None);
    }
}

/// It, made if there is none.
fn global() -> Option<Resolver> {
    GLOBAL.load().or_else(|| {
        GLOBAL.store(evdns_base_new(None, 0));
        GLOBAL.load()
    })
}

#[unsafe(no_mangle)]
extern "C" fn evdns_init() -> c_int {
    let made = evdns_base_new(None, 1);
    if made.is_some() {
        GLOBAL.store(made);
    }
    if made.is_some() { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn evdns_get_global_base() -> Option<Resolver> {
    GLOBAL.load()
}

#[unsafe(no_mangle)]
extern "C" fn evdns_shutdown(tells: c_int) {
    if let Some(resolver) = GLOBAL.load() {
        evdns_base_free(Some(resolver), tells);
    }
    evdns_set_log_fn(None);
}

#[unsafe(no_mangle)]
extern "C" fn evdns_nameserver_add(address: c_ulong) -> c_int {
    servers::evdns_base_nameserver_add(global(), address)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_nameserver_ip_add(text: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    unsafe { servers::evdns_base_nameserver_ip_add(global(), text) }
}

#[cfg(windows)]
#[unsafe(no_mangle)]
extern "C" fn evdns_config_windows_nameservers() -> c_int {
    settings::evdns_base_config_windows_nameservers(global())
}

#[unsafe(no_mangle)]
extern "C" fn evdns_count_nameservers() -> c_int {
    servers::evdns_base_count_nameservers(GLOBAL.load())
}

#[unsafe(no_mangle)]
extern "C" fn evdns_clear_nameservers_and_suspend() -> c_int {
    servers::evdns_base_clear_nameservers_and_suspend(GLOBAL.load())
}

#[unsafe(no_mangle)]
extern "C" fn evdns_resume() -> c_int {
    servers::evdns_base_resume(GLOBAL.load())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_resolve_ipv4(
    name: *const c_char,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's string.
    outcome(unsafe {
        names::evdns_base_resolve_ipv4(GLOBAL.load(), name, flags, function, argument).is_some()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_resolve_ipv6(
    name: *const c_char,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's string.
    outcome(unsafe {
        names::evdns_base_resolve_ipv6(GLOBAL.load(), name, flags, function, argument).is_some()
    })
}

#[unsafe(no_mangle)]
extern "C" fn evdns_resolve_reverse(
    address: Option<&in_addr>,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> c_int {
    let asked =
        names::evdns_base_resolve_reverse(GLOBAL.load(), address, flags, function, argument);
    outcome(asked.is_some())
}

#[unsafe(no_mangle)]
extern "C" fn evdns_resolve_reverse_ipv6(
    address: Option<&in6_addr>,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> c_int {
    let asked =
        names::evdns_base_resolve_reverse_ipv6(GLOBAL.load(), address, flags, function, argument);
    outcome(asked.is_some())
}

fn outcome(asked: bool) -> c_int {
    if asked { 0 } else { -1 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_set_option(
    name: *const c_char,
    value: *const c_char,
    _flags: c_int,
) -> c_int {
    // SAFETY: the caller's strings.
    unsafe { settings::evdns_base_set_option(global(), name, value) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_resolv_conf_parse(parts: c_int, file: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    unsafe { settings::evdns_base_resolv_conf_parse(global(), parts, file) }
}

#[unsafe(no_mangle)]
extern "C" fn evdns_search_clear() {
    settings::evdns_base_search_clear(GLOBAL.load());
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_search_add(domain: *const c_char) {
    // SAFETY: the caller's string.
    unsafe { settings::evdns_base_search_add(GLOBAL.load(), domain) };
}

#[unsafe(no_mangle)]
extern "C" fn evdns_search_ndots_set(ndots: c_int) {
    settings::evdns_base_search_ndots_set(global(), ndots);
}
