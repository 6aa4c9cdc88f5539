//! Questions for the addresses of a name, and the name of an address.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrevent_dns::{Families, Question};

use super::Resolver;
use super::lookup::{Kind, Lookup, RecordsFn, Want};
use super::waiter::Waiter;
use crate::dns::message;
use crate::system::{in_addr, in6_addr};

/// The name is asked for as it is (`DNS_QUERY_NO_SEARCH`).
const NO_SEARCH: c_int = 1;

impl Resolver {
    /// Asks; `None` when there is no room.
    fn question(
        self,
        kind: Kind,
        question: Question,
        function: Option<RecordsFn>,
        argument: *mut c_void,
    ) -> Option<Waiter> {
        let want = Want::Records {
            kind,
            function: function?,
            argument,
        };
        self.start(Lookup { question, want })
    }

    pub(super) fn start(self, lookup: Lookup) -> Option<Waiter> {
        let waiter = Waiter::new(self, self.locked(|| self.base()), lookup)?;
        self.locked(|| self.ask(waiter));
        Some(waiter)
    }
}

/// The name that a string of C says, if it can be asked for; the root's is empty.
pub(super) fn name_of(text: &CStr) -> Option<&str> {
    let text = text
        .to_str()
        .ok()
        .filter(|it| message::is_name(it.as_bytes()))?;
    Some(if text.is_empty() { "." } else { text })
}

/// # Safety
/// Null, or a string.
unsafe fn forward(
    resolver: Option<Resolver>,
    name: *const c_char,
    flags: c_int,
    (kind, families): (Kind, Families),
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let name = name_of(unsafe { CStr::from_ptr(name) })?;
    let mut question = Question::addresses(name, families);
    if flags & NO_SEARCH != 0 {
        question = question.without_search();
    }
    resolver?.question(kind, question, function, argument)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_resolve_ipv4(
    resolver: Option<Resolver>,
    name: *const c_char,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    let kind = (Kind::V4, Families::V4);
    // SAFETY: the caller's string.
    unsafe { forward(resolver, name, flags, kind, function, argument) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn evdns_base_resolve_ipv6(
    resolver: Option<Resolver>,
    name: *const c_char,
    flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    let kind = (Kind::V6, Families::V6);
    // SAFETY: the caller's string.
    unsafe { forward(resolver, name, flags, kind, function, argument) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_resolve_reverse(
    resolver: Option<Resolver>,
    address: Option<&in_addr>,
    _flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    let address = IpAddr::V4(Ipv4Addr::from(address?.s_addr.to_ne_bytes()));
    resolver?.question(Kind::Names, Question::names(address), function, argument)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_resolve_reverse_ipv6(
    resolver: Option<Resolver>,
    address: Option<&in6_addr>,
    _flags: c_int,
    function: Option<RecordsFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    let address = IpAddr::V6(Ipv6Addr::from(address?.s6_addr));
    resolver?.question(Kind::Names, Question::names(address), function, argument)
}

/// Its callback is told so, from the loop.
#[unsafe(no_mangle)]
extern "C" fn evdns_cancel_request(_: Option<Resolver>, waiter: Option<Waiter>) {
    if let Some(waiter) = waiter {
        waiter.cancel();
    }
}
