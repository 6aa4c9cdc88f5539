//! As getaddrinfo(3), without waiting.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr;

use ferrevent_dns::{Answer, Families, Question};
use libc::addrinfo;

use super::lookup::{Lookup, Want, code};
use super::names::name_of;
use super::waiter::Waiter;
use super::{Resolver, shared};
use crate::util::CANCELED;

/// Code, addresses, argument.
pub(crate) type AddressInfoFn = unsafe extern "C" fn(c_int, *mut addrinfo, *mut c_void);

/// What is wanted of the addresses, and whom to tell.
#[derive(Clone)]
pub(super) struct Hints {
    function: AddressInfoFn,
    argument: *mut c_void,
    flags: c_int,
    family: c_int,
    socket_kind: c_int,
    protocol: c_int,
    service: Option<CString>,
    /// Even when the resolver ends without a word.
    pub(super) always_told: bool,
}

impl Hints {
    /// Calls the program, with no lock held.
    pub(super) fn tell(self, outcome: Result<Answer, c_int>) {
        match outcome {
            Ok(answer) => self.tell_addresses(&answer.addresses, answer.canonical.as_deref()),
            Err(failure) => self.tell_failure(failure_of(failure)),
        }
    }

    fn tell_failure(&self, failure: c_int) {
        // SAFETY: what the program has given to be called now.
        unsafe { (self.function)(failure, ptr::null_mut(), self.argument) };
    }

    /// Those of IPv4 come first.
    fn tell_addresses(&self, addresses: &[IpAddr], canonical: Option<&str>) {
        let mut list = List::default();
        let (four, six): (Vec<IpAddr>, _) = addresses.iter().partition(|it| it.is_ipv4());
        for address in four.into_iter().chain(six) {
            let Ok(text) = CString::new(address.to_string()) else {
                continue;
            };
            if let Err(failure) = self.append(&mut list, Some(&text)) {
                return self.tell_failure(failure);
            }
        }
        if self.flags & libc::AI_CANONNAME != 0
            && let Some(name) = canonical
        {
            list.set_name(name.trim_end_matches('.'));
        }
        self.tell_list(list);
    }

    fn tell_list(&self, list: List) {
        if list.first.is_null() {
            return self.tell_failure(libc::EAI_NONAME);
        }
        // SAFETY: what the program has given to be called now, with a list that
        // is its own to free.
        unsafe { (self.function)(0, list.first, self.argument) };
    }

    /// Appends an address in each way of using it; without one, those of this host.
    fn append(&self, list: &mut List, address: Option<&CStr>) -> Result<(), c_int> {
        let any = self.socket_kind == 0 && self.protocol == 0;
        let kinds: &[c_int] = if any {
            &[libc::SOCK_STREAM, libc::SOCK_DGRAM]
        } else {
            &[self.socket_kind]
        };
        for kind in kinds {
            // SAFETY: a struct of numbers and pointers, of which all may be zero.
            let mut hints: addrinfo = unsafe { std::mem::zeroed() };
            hints.ai_flags = self.flags & libc::AI_PASSIVE | libc::AI_NUMERICHOST;
            hints.ai_family = self.family;
            hints.ai_socktype = *kind;
            hints.ai_protocol = self.protocol;
            list.append(address, self.service.as_deref(), &hints)?;
        }
        Ok(())
    }

    fn families(&self) -> Families {
        Families {
            v4: self.family != libc::AF_INET6,
            v6: self.family != libc::AF_INET,
        }
    }
}

/// A list of getaddrinfo(3)'s, which frees it in one go.
struct List {
    first: *mut addrinfo,
    last: *mut addrinfo,
}

impl Default for List {
    fn default() -> Self {
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }
}

impl List {
    fn append(
        &mut self,
        address: Option<&CStr>,
        service: Option<&CStr>,
        hints: &addrinfo,
    ) -> Result<(), c_int> {
        let of = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
        let mut found = ptr::null_mut();
        // SAFETY: strings and a struct that live through the call.
        let failure = unsafe { libc::getaddrinfo(of(address), of(service), hints, &raw mut found) };
        if failure != 0 {
            self.free();
            return Err(failure);
        }
        if self.last.is_null() {
            self.first = found;
        } else {
            // SAFETY: the end of a list that is this one's.
            unsafe { (*self.last).ai_next = found };
        }
        while !found.is_null() {
            self.last = found;
            // SAFETY: as above.
            found = unsafe { (*found).ai_next };
        }
        Ok(())
    }

    /// The name stands in the first.
    fn set_name(&mut self, name: &str) {
        let Ok(name) = CString::new(name) else { return };
        if self.first.is_null() {
            return;
        }
        // SAFETY: a list that is this one's; freeaddrinfo(3) frees the name, as
        // it does those of its own.
        unsafe { (*self.first).ai_canonname = libc::strdup(name.as_ptr()) };
    }

    fn free(&mut self) {
        if !self.first.is_null() {
            // SAFETY: a list that is this one's, and used no more.
            unsafe { libc::freeaddrinfo(self.first) };
        }
        *self = Self::default();
    }
}

fn failure_of(failure: c_int) -> c_int {
    match failure {
        code::NO_SUCH_NAME => libc::EAI_NONAME,
        code::NO_DATA => libc::EAI_NODATA,
        code::CANCELED => CANCELED,
        code::TIMEOUT | code::SERVER_FAILED => libc::EAI_AGAIN,
        _ => libc::EAI_FAIL,
    }
}

/// Looks an address up. What needs no server is told at once, and the answer
/// is none.
fn look_up(resolver: Option<Resolver>, host: Option<&CStr>, hints: Hints) -> Option<Waiter> {
    // What the system can say by itself: numbers, this host, and what cannot be.
    let mut list = List::default();
    let failure = match hints.append(&mut list, host) {
        Ok(()) => {
            hints.tell_list(list);
            return None;
        }
        Err(failure) => failure,
    };
    let service_is_known = hints.service.is_none() || hints.append(&mut list, None).is_ok();
    list.free();
    let can_ask = failure == libc::EAI_NONAME && service_is_known;
    let Some(host) = host.filter(|_| can_ask && hints.flags & libc::AI_NUMERICHOST == 0) else {
        hints.tell_failure(failure);
        return None;
    };
    let Some(resolver) = resolver.or_else(|| shared::GLOBAL.load()) else {
        hints.tell_failure(libc::EAI_FAIL);
        return None;
    };
    let Some(name) = name_of(host) else {
        hints.tell_failure(libc::EAI_NONAME);
        return None;
    };
    let families = hints.families();
    let known = resolver.locked(|| resolver.known(name, families));
    if !known.is_empty() {
        hints.tell_addresses(&known, None);
        return None;
    }
    let question = Question::addresses(name, families);
    let want = Want::AddressInfo(hints);
    resolver.start(Lookup { question, want })
}

/// Looks up where a stream is to be connected. The function is called once, now
/// or by the loop, and also when the resolver ends.
pub(crate) fn look_up_peer(
    resolver: Resolver,
    host: &CStr,
    port: u16,
    family: c_int,
    function: AddressInfoFn,
    argument: *mut c_void,
) {
    let hints = Hints {
        function,
        argument,
        flags: 0,
        family,
        socket_kind: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
        service: CString::new(port.to_string()).ok(),
        always_told: true,
    };
    look_up(Some(resolver), Some(host), hints);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_getaddrinfo(
    resolver: Option<Resolver>,
    name: *const c_char,
    service: *const c_char,
    hints: Option<&addrinfo>,
    function: Option<AddressInfoFn>,
    argument: *mut c_void,
) -> Option<Waiter> {
    let numbers = hints.map(|it| (it.ai_flags, it.ai_family, it.ai_socktype, it.ai_protocol));
    let (flags, family, socket_kind, protocol) = numbers.unwrap_or_default();
    let read = |text: *const c_char| {
        // SAFETY: the caller's strings, if they are there.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
    };
    let hints = Hints {
        function: function?,
        argument,
        flags,
        family,
        socket_kind,
        protocol,
        service: read(service),
        always_told: false,
    };
    look_up(resolver, read(name).as_deref(), hints)
}

/// Its callback is told so, from the loop.
#[unsafe(no_mangle)]
extern "C" fn evdns_getaddrinfo_cancel(waiter: Option<Waiter>) {
    if let Some(waiter) = waiter {
        waiter.cancel();
    }
}
