//! As getaddrinfo(3), without waiting.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::{IpAddr, SocketAddr};
use std::ptr;

use ferrevent_dns::{Answer, Families, Question};

use super::lookup::{Lookup, Want, code};
use super::names::name_of;
use super::waiter::Waiter;
use super::{Resolver, interfaces, shared};
use crate::system::{self, addrinfo};
use crate::util::{CANCELED, address};

/// Code, addresses, argument.
pub(crate) type AddressInfoFn = unsafe extern "C" fn(c_int, *mut addrinfo, *mut c_void);

/// What is wanted of the addresses, and whom to tell.
pub(super) struct Hints {
    function: AddressInfoFn,
    argument: *mut c_void,
    flags: c_int,
    family: c_int,
    socket_kind: c_int,
    protocol: c_int,
    service: Option<CString>,
    /// How each address is to be used.
    uses: Vec<Use>,
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
        let four = addresses.iter().filter(|it| it.is_ipv4());
        for address in four.chain(addresses.iter().filter(|it| it.is_ipv6())) {
            for it in &self.uses {
                if !list.push(SocketAddr::new(*address, it.port), it) {
                    list.free();
                    return self.tell_failure(system::EAI_MEMORY);
                }
            }
        }
        if self.flags & system::AI_CANONNAME != 0
            && let Some(name) = canonical
        {
            list.set_name(name.trim_end_matches('.'));
        }
        self.tell_list(list);
    }

    fn tell_list(&self, list: List) {
        if list.first.is_null() {
            return self.tell_failure(system::EAI_NONAME);
        }
        // SAFETY: what the program has given to be called now, with a list that
        // is its own to free.
        unsafe { (self.function)(0, list.first, self.argument) };
    }

    /// How addresses are to be used, if that needs no look at the system's
    /// services.
    fn plain_uses(&self) -> Option<Vec<Use>> {
        let text = self.service.as_deref().unwrap_or(c"0").to_bytes();
        let is_number = text.iter().all(u8::is_ascii_digit);
        let port = std::str::from_utf8(text).ok().filter(|_| is_number)?;
        let port = port.parse().ok()?;
        let families = [system::AF_UNSPEC, system::AF_INET, system::AF_INET6];
        if !families.contains(&self.family) {
            return None;
        }
        let stream = (system::SOCK_STREAM, system::IPPROTO_TCP);
        let datagram = (system::SOCK_DGRAM, system::IPPROTO_UDP);
        let fits = |it: &(c_int, c_int)| {
            (self.socket_kind == 0 || self.socket_kind == it.0)
                && (self.protocol == 0 || self.protocol == it.1)
        };
        let uses = [stream, datagram].into_iter().filter(fits);
        let uses: Vec<_> = uses
            .map(|(kind, protocol)| Use {
                kind,
                protocol,
                port,
            })
            .collect();
        (!uses.is_empty()).then_some(uses)
    }

    /// The same by the system's word; none when it knows no such service.
    fn uses_by_system(&self) -> Vec<Use> {
        let mut list = List::default();
        let service = self.service.as_deref().or(Some(c"0"));
        if self.append_with(&mut list, None, service).is_err() {
            return Vec::new();
        }
        let mut uses = Vec::new();
        let mut next = list.first;
        while !next.is_null() {
            // SAFETY: of a list that is this one's.
            let node = unsafe { &*next };
            // SAFETY: an address of the length that it says.
            let own = unsafe { address::read_socket(node.ai_addr, system::length_of(node)) };
            let it = Use {
                kind: node.ai_socktype,
                protocol: node.ai_protocol,
                port: own.map_or(0, |own| own.port()),
            };
            if !uses.contains(&it) {
                uses.push(it);
            }
            next = node.ai_next;
        }
        list.free();
        uses
    }

    /// Appends an address in each way of using it; without one, those of this host.
    fn append(&self, list: &mut List, address: Option<&CStr>) -> Result<(), c_int> {
        self.append_with(list, address, self.service.as_deref())
    }

    fn append_with(
        &self,
        list: &mut List,
        address: Option<&CStr>,
        service: Option<&CStr>,
    ) -> Result<(), c_int> {
        let any = self.socket_kind == 0 && self.protocol == 0;
        let kinds: &[c_int] = if any {
            &[system::SOCK_STREAM, system::SOCK_DGRAM]
        } else {
            &[self.socket_kind]
        };
        for kind in kinds {
            // SAFETY: a struct of numbers and pointers, of which all may be zero.
            let mut hints: addrinfo = unsafe { std::mem::zeroed() };
            hints.ai_flags = self.flags & system::AI_PASSIVE | system::AI_NUMERICHOST;
            hints.ai_family = self.family;
            hints.ai_socktype = *kind;
            hints.ai_protocol = self.protocol;
            list.append(address, service, &hints)?;
        }
        Ok(())
    }

    fn families(&self) -> Families {
        if self.flags & system::AI_ADDRCONFIG != 0 && self.family == system::AF_UNSPEC {
            return interfaces::configured();
        }
        Families {
            v4: self.family != system::AF_INET6,
            v6: self.family != system::AF_INET,
        }
    }
}

/// A way of using an address.
#[derive(Clone, Copy, PartialEq)]
struct Use {
    kind: c_int,
    protocol: c_int,
    port: u16,
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
        let failure =
            unsafe { system::getaddrinfo(of(address), of(service), hints, &raw mut found) };
        if failure != 0 {
            self.free();
            return Err(failure);
        }
        self.link(found);
        Ok(())
    }

    /// Appends an address; false when there is no room.
    fn push(&mut self, to: SocketAddr, it: &Use) -> bool {
        let (storage, length) = address::of(&to);
        let size = size_of::<addrinfo>() + length as usize;
        // As freeaddrinfo(3) frees those of its own: an address is behind its node.
        // SAFETY: a size.
        let node = unsafe { libc::malloc(size) }.cast::<addrinfo>();
        if node.is_null() {
            return false;
        }
        // SAFETY: room for a node, and behind it for an address of that length.
        unsafe {
            let place = node.add(1).cast::<u8>();
            let from = (&raw const storage).cast::<u8>();
            from.copy_to_nonoverlapping(place, length as usize);
            node.write(addrinfo {
                ai_flags: 0,
                ai_family: storage.ss_family.into(),
                ai_socktype: it.kind,
                ai_protocol: it.protocol,
                ai_addrlen: system::info_length(length),
                ai_addr: place.cast(),
                ai_canonname: ptr::null_mut(),
                ai_next: ptr::null_mut(),
            });
        }
        self.link(node);
        true
    }

    /// Appends what begins with this.
    fn link(&mut self, found: *mut addrinfo) {
        if self.last.is_null() {
            self.first = found;
        } else {
            // SAFETY: the end of a list that is this one's.
            unsafe { (*self.last).ai_next = found };
        }
        let mut next = found;
        while !next.is_null() {
            self.last = next;
            // SAFETY: as above.
            next = unsafe { (*next).ai_next };
        }
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
            unsafe { system::freeaddrinfo(self.first) };
        }
        *self = Self::default();
    }
}

fn failure_of(failure: c_int) -> c_int {
    match failure {
        code::NO_SUCH_NAME => system::EAI_NONAME,
        code::NO_DATA => system::EAI_NODATA,
        code::CANCELED => CANCELED,
        code::TIMEOUT | code::SERVER_FAILED => system::EAI_AGAIN,
        _ => system::EAI_FAIL,
    }
}

/// Whether it is certainly no address, in none of the forms that the system reads.
fn is_no_number(host: Option<&CStr>) -> bool {
    let bytes = host.map(CStr::to_bytes).unwrap_or_default();
    let is_letter = |byte: &u8| matches!(byte.to_ascii_lowercase(), b'g'..=b'w' | b'y' | b'z');
    !bytes.contains(&b':') && bytes.iter().any(is_letter)
}

/// Looks an address up. What needs no server is told at once, and the answer
/// is none.
fn look_up(resolver: Option<Resolver>, host: Option<&CStr>, mut hints: Hints) -> Option<Waiter> {
    let is_plain = is_no_number(host) && hints.flags & system::AI_NUMERICHOST == 0;
    hints.uses = hints.plain_uses().filter(|_| is_plain).unwrap_or_default();
    if hints.uses.is_empty() {
        // What the system can say by itself: numbers, this host, and what cannot be.
        let mut list = List::default();
        let failure = match hints.append(&mut list, host) {
            Ok(()) => {
                hints.tell_list(list);
                return None;
            }
            Err(failure) => failure,
        };
        hints.uses = hints.uses_by_system();
        let may_ask = failure == system::EAI_NONAME && hints.flags & system::AI_NUMERICHOST == 0;
        if !may_ask || hints.uses.is_empty() {
            hints.tell_failure(failure);
            return None;
        }
    }
    let Some(host) = host else {
        hints.tell_failure(system::EAI_NONAME);
        return None;
    };
    let Some(resolver) = resolver.or_else(|| shared::GLOBAL.load()) else {
        hints.tell_failure(system::EAI_FAIL);
        return None;
    };
    let Some(name) = name_of(host) else {
        hints.tell_failure(system::EAI_NONAME);
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
        socket_kind: system::SOCK_STREAM,
        protocol: system::IPPROTO_TCP,
        service: CString::new(port.to_string()).ok(),
        uses: Vec::new(),
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
        uses: Vec::new(),
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
