//! Connecting a bufferevent to a peer.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::ptr;

use super::callbacks::{errno, set_errno, trigger};
use super::{Bev, Kind, rest, told};
use crate::dns::{Resolver, look_up_peer};
use crate::event::{Base, what};
use crate::system::{
    self, AF_INET, AF_INET6, AF_UNSPEC, Length, Making, SOCK_STREAM, Socket, addrinfo, sockaddr,
};
use crate::util::address;

/// What became of a connect(2) that does not wait.
enum Attempt {
    Going,
    Done,
    Refused,
}

impl Bev {
    /// Whether it is connected by now; `None` as long as that is open. Tells
    /// the program what it has found.
    pub(super) fn find_connected(self) -> Option<bool> {
        let error = if self.refused() {
            self.set_refused(false);
            system::ECONNREFUSED
        } else if let Some(stream) = self.stream() {
            self.connect_outcome(stream)?
        } else {
            system::error_of(self.fd())
        };
        if system::still_connects(error) {
            return None;
        }
        self.set_connecting(false);
        if error != 0 {
            self.read_event().stop();
            self.write_event().stop();
            set_errno(error);
            self.tell(told::ERROR, 0);
            return Some(false);
        }
        self.tell(told::CONNECTED, 0);
        if self.enabled() & what::WRITE == 0 || self.write_rests() != 0 {
            self.write_event().stop();
            return Some(false);
        }
        Some(true)
    }

    /// Without an address its descriptor is connecting already.
    fn connect(self, address: Option<(*const sockaddr, c_int)>) -> bool {
        let mut fd = self.fd();
        let mut made = None;
        if fd < 0 {
            let Some((address, _)) = address else {
                return false;
            };
            // SAFETY: the caller's address.
            let family = unsafe { (*address).sa_family };
            fd = system::socket(Making {
                family: family.into(),
                kind: SOCK_STREAM,
                close_on_exec: false,
            });
            if fd < 0 {
                return false;
            }
            made = Some(fd);
        }
        if let Some((address, length)) = address
            && self.base().is_some_and(Base::moves_bytes)
            // SAFETY: the caller's address, of that length.
            && let Some(peer) = unsafe { address::read_socket(address, length as Length) }
        {
            return self.connect_by_stream(fd, peer);
        }
        let attempt = match address {
            None => Attempt::Going,
            Some((address, length)) => match attempt(fd, address, length) {
                Some(attempt) => attempt,
                None => {
                    if let Some(fd) = made {
                        let error = errno();
                        system::close(fd);
                        set_errno(error);
                    }
                    return false;
                }
            },
        };
        let error = errno();
        self.reassign(fd, None);
        match attempt {
            Attempt::Going => {
                if !self.enable_socket(what::WRITE) {
                    return false;
                }
                self.set_connecting(true);
            }
            Attempt::Done => {
                self.set_connecting(true);
                self.trigger(what::WRITE, trigger::DEFER);
            }
            Attempt::Refused => {
                set_errno(error);
                self.tell(told::ERROR, trigger::DEFER);
                self.disable(what::READ | what::WRITE);
            }
        }
        true
    }

    /// The kernel connects, and completes that.
    fn connect_by_stream(self, fd: Socket, peer: SocketAddr) -> bool {
        self.reassign(fd, Some(peer));
        if !self.enable_socket(what::WRITE) {
            return false;
        }
        self.set_connecting(true);
        true
    }

    /// Takes the answer to a question for a name.
    fn connect_to_answer(self, answer: Result<*mut addrinfo, c_int>) {
        self.wake_writing(rest::LOOKUP);
        self.wake_reading(rest::LOOKUP);
        let answer = match answer {
            Ok(answer) => answer,
            Err(code) => {
                self.make_rare(|it| it.dns_error = code);
                self.tell(told::ERROR, 0);
                return;
            }
        };
        // SAFETY: getaddrinfo(3) has made it, with at least one address.
        let (address, length) = unsafe { ((*answer).ai_addr, (*answer).ai_addrlen) };
        let length = c_int::try_from(length).unwrap_or(0);
        let connected = self.connect(Some((address, length)));
        // SAFETY: as above, and nobody uses it any more.
        unsafe { system::freeaddrinfo(answer) };
        if !connected {
            self.tell(told::ERROR, 0);
        }
    }
}

/// Begins to connect; `None` for an error other than a refusal.
fn attempt(fd: Socket, address: *const sockaddr, length: c_int) -> Option<Attempt> {
    let length = Length::try_from(length).ok()?;
    // SAFETY: the caller's address, of that length.
    if unsafe { system::connect(fd, address, length) } == 0 {
        return Some(Attempt::Done);
    }
    match errno() {
        error if system::is_connecting(error) => Some(Attempt::Going),
        system::ECONNREFUSED => Some(Attempt::Refused),
        _ => None,
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_socket_connect(
    bev: Bev,
    address: *const sockaddr,
    length: c_int,
) -> c_int {
    let _held = bev.hold();
    if bev.kind() != Kind::Socket {
        return -1;
    }
    let address = (!address.is_null()).then_some((address, length));
    if bev.connect(address) { 0 } else { -1 }
}

/// Without a resolver the name is looked up by getaddrinfo(3), and waited for.
#[unsafe(no_mangle)]
unsafe extern "C" fn bufferevent_socket_connect_hostname(
    bev: Bev,
    resolver: Option<Resolver>,
    family: c_int,
    name: *const c_char,
    port: c_int,
) -> c_int {
    let families = [AF_INET, AF_INET6, AF_UNSPEC];
    if !families.contains(&family) || !(1..=65535).contains(&port) {
        return -1;
    }
    let _held = bev.hold();
    bev.make_rare(|it| it.dns_error = 0);
    bev.rest_writing(rest::LOOKUP);
    bev.rest_reading(rest::LOOKUP);
    // SAFETY: the caller's string.
    let name = unsafe { CStr::from_ptr(name) };
    match resolver {
        None => bev.connect_to_answer(look_up(family, name, port)),
        Some(resolver) => {
            // Of the function that takes the answer.
            bev.set_references(bev.references() + 1);
            let argument = bev.as_argument();
            look_up_peer(resolver, name, port as u16, family, answered, argument);
        }
    }
    0
}

unsafe extern "C" fn answered(code: c_int, answer: *mut addrinfo, bev: *mut c_void) {
    // SAFETY: the argument that it was given, with a reference.
    let bev = unsafe { Bev::of_argument(bev) };
    bev.lock();
    bev.connect_to_answer(if code == 0 { Ok(answer) } else { Err(code) });
    bev.release();
}

fn look_up(family: c_int, name: &CStr, port: c_int) -> Result<*mut addrinfo, c_int> {
    let bytes = name.to_bytes();
    // An address of IPv6 may stand in brackets.
    let bare = bytes
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .unwrap_or(bytes);
    let name = std::ffi::CString::new(bare).map_err(|_| system::EAI_NONAME)?;
    let port = std::ffi::CString::new(port.to_string()).map_err(|_| system::EAI_SERVICE)?;
    // SAFETY: a struct of numbers and pointers, of which all may be zero.
    let mut hints: addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = system::IPPROTO_TCP;
    let mut answer = ptr::null_mut();
    // SAFETY: strings and a struct that live through the call.
    let code = unsafe {
        system::getaddrinfo(
            name.as_ptr(),
            port.as_ptr(),
            &raw const hints,
            &raw mut answer,
        )
    };
    if code == 0 { Ok(answer) } else { Err(code) }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_socket_get_dns_error(bev: Bev) -> c_int {
    let _held = bev.hold();
    bev.rare(|it| it.dns_error).unwrap_or(0)
}
