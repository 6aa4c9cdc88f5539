//! `event2/listener.h`: sockets that take connections.

use std::ffi::{c_int, c_short, c_uint, c_void};
use std::ptr::NonNull;

use crate::event::{Base, what};
use crate::layout::fields;
use crate::shared::{Handle, Shared};
use crate::system::{
    self, AF_UNSPEC, Length, Making, SOCK_STREAM, Socket, sockaddr, sockaddr_storage,
};
use crate::thread::Lock;
use crate::util::socket;
use crate::{log, memory, time};

/// What a program asks of a listener (`LEV_OPT_*`).
mod option {
    use std::ffi::c_uint;

    pub(super) const LEAVE_BLOCKING: c_uint = 1;
    pub(super) const CLOSE_ON_FREE: c_uint = 1 << 1;
    pub(super) const CLOSE_ON_EXEC: c_uint = 1 << 2;
    pub(super) const REUSEABLE: c_uint = 1 << 3;
    pub(super) const THREADSAFE: c_uint = 1 << 4;
    pub(super) const DISABLED: c_uint = 1 << 5;
    pub(super) const DEFERRED_ACCEPT: c_uint = 1 << 6;
    pub(super) const REUSEABLE_PORT: c_uint = 1 << 7;
    pub(super) const V6_ONLY: c_uint = 1 << 8;
}

/// A new connection: listener, descriptor, its peer's address, argument.
type AcceptFn = unsafe extern "C" fn(Listener, Socket, *mut sockaddr, c_int, *mut c_void);
/// None can be taken; errno(3) says why.
type ErrorFn = unsafe extern "C" fn(Listener, *mut c_void);

/// `struct evconnlistener`.
pub(crate) struct Inner {
    /// There is a reference for the program, and one while it is called.
    shared: Shared,
    fd: Socket,
    flags: c_uint,
    on_accept: Option<AcceptFn>,
    on_error: Option<ErrorFn>,
    argument: *mut c_void,
    enabled: bool,
    /// It rests, after it had no descriptor left for a connection.
    rests: bool,
}

/// A listener that the program has not freed, or that is in a callback.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listener(NonNull<Inner>);

/// How many connections wait, where the program does not say.
const BACKLOG: c_int = 128;
/// Without descriptors or memory, connections wait for so long: asking at once
/// would keep the processor busy with nothing.
const REST: u64 = 100_000;

impl Listener {
    fields! {
        fd, set_fd: Socket = fd;
        flags, set_flags: c_uint = flags;
        on_accept, set_on_accept: Option<AcceptFn> = on_accept;
        on_error, set_on_error: Option<ErrorFn> = on_error;
        argument, set_argument: *mut c_void = argument;
        enabled, set_enabled: bool = enabled;
        rests, set_rests: bool = rests;
    }

    fn has(self, flag: c_uint) -> bool {
        self.flags() & flag != 0
    }

    fn start(self) -> bool {
        self.event().start(time::timeval_of(0))
    }

    fn enable(self) -> bool {
        self.set_enabled(true);
        self.on_accept().is_none() || self.start()
    }

    fn stop(self) {
        self.event().stop();
        self.end_rest();
    }

    /// Waits a while before it looks for connections again.
    fn rest(self) {
        let ev = self.event();
        ev.stop();
        ev.set_fd(-1);
        self.set_rests(true);
        ev.start(time::timeval_of(REST));
    }

    fn end_rest(self) {
        if self.rests() {
            self.set_rests(false);
            self.event().set_fd(self.fd());
        }
    }

    /// Takes connections until there are none, or something is in the way.
    fn accept(self) {
        let blocks = self.has(option::LEAVE_BLOCKING);
        let closes = self.has(option::CLOSE_ON_EXEC);
        loop {
            // SAFETY: an address of zeros is one.
            let mut peer: sockaddr_storage = unsafe { std::mem::zeroed() };
            let mut length = size_of::<sockaddr_storage>() as Length;
            let fd = system::accept(self.fd(), &mut peer, &mut length, blocks, closes);
            if fd < 0 {
                break;
            }
            let Some(call) = self.on_accept() else {
                socket::evutil_closesocket(fd);
                return self.unlock();
            };
            let argument = self.argument();
            self.refer();
            self.unlock();
            let place = (&raw mut peer).cast::<sockaddr>();
            // SAFETY: what the program has given to be called now.
            unsafe { call(self, fd, place, length as c_int, argument) };
            self.lock();
            if self.references() == 1 {
                return self.release();
            }
            self.forgo();
            if !self.enabled() {
                return self.unlock();
            }
        }
        self.fail(system::last());
    }

    fn fail(self, error: std::io::Error) {
        let number = error.raw_os_error().unwrap_or(0);
        if system::took_none(number) {
            return self.unlock();
        }
        self.refer();
        if let Some(call) = self.on_error() {
            let argument = self.argument();
            system::set_last_error(number);
            self.unlock();
            // SAFETY: what the program has given to be called now.
            unsafe { call(self, argument) };
            self.lock();
        } else {
            log::warn_error(
                format_args!("no connection can be taken from descriptor {}", self.fd()),
                &error,
            );
        }
        if system::ran_out(number)
            && self.references() > 1
            && self.enabled()
            && self.event().is_added()
        {
            self.rest();
        }
        self.release();
    }
}

impl Handle for Listener {
    fn of_argument(argument: NonNull<c_void>) -> Self {
        Self(argument.cast())
    }

    fn shared(self) -> NonNull<Shared> {
        // SAFETY: a field of what is there.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).shared) }
    }

    fn close(self) {
        self.stop();
        if self.has(option::CLOSE_ON_FREE) {
            socket::evutil_closesocket(self.fd());
        }
    }

    fn displace(self) {
        // SAFETY: made by `evconnlistener_new`, and nobody refers to it any more.
        unsafe { memory::displace(self.0) };
    }
}

unsafe extern "C" fn ready(_: Socket, _: c_short, listener: *mut c_void) {
    let Some(listener) = NonNull::new(listener.cast()).map(Listener) else {
        return;
    };
    listener.lock();
    if listener.references() == 0 {
        return listener.unlock();
    }
    if listener.rests() {
        listener.event().stop();
        listener.end_rest();
        listener.start();
    }
    listener.accept();
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_new(
    base: Option<Base>,
    on_accept: Option<AcceptFn>,
    argument: *mut c_void,
    flags: c_uint,
    backlog: c_int,
    fd: Socket,
) -> Option<Listener> {
    if backlog != 0 {
        let backlog = if backlog > 0 { backlog } else { BACKLOG };
        if system::listen(fd, backlog) < 0 {
            return None;
        }
    }
    let lock = if flags & option::THREADSAFE != 0 {
        Lock::recursive()?
    } else {
        Lock::NONE
    };
    let made = memory::place(Inner {
        shared: Shared::new(lock),
        fd,
        flags,
        on_accept,
        on_error: None,
        argument,
        enabled: false,
        rests: false,
    });
    let listener = Listener(made?);
    let argument = listener.0.as_ptr().cast();
    listener
        .event()
        .prepare(base, fd, what::READ | what::PERSIST, ready, argument);
    if flags & option::DISABLED == 0 {
        listener.enable();
    }
    Some(listener)
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_new_bind(
    base: Option<Base>,
    on_accept: Option<AcceptFn>,
    argument: *mut c_void,
    flags: c_uint,
    backlog: c_int,
    address: *const sockaddr,
    length: c_int,
) -> Option<Listener> {
    let length = Length::try_from(length).ok()?;
    if backlog == 0 {
        return None;
    }
    let family = if address.is_null() {
        AF_UNSPEC
    } else {
        // SAFETY: the caller's address.
        unsafe { (*address).sa_family }.into()
    };
    let fd = system::socket(Making {
        family,
        kind: SOCK_STREAM,
        close_on_exec: flags & option::CLOSE_ON_EXEC != 0,
    });
    if fd < 0 {
        return None;
    }
    let listener = prepare(fd, flags)
        // SAFETY: the caller's address, of that length.
        .filter(|()| address.is_null() || unsafe { system::bind(fd, address, length) } == 0)
        .and_then(|()| evconnlistener_new(base, on_accept, argument, flags, backlog, fd));
    if listener.is_none() {
        let error = system::last_error();
        system::close(fd);
        system::set_last_error(error);
    }
    listener
}

/// Sets what has to be set before a socket has its address.
fn prepare(fd: Socket, flags: c_uint) -> Option<()> {
    let settings: [(c_uint, extern "C" fn(Socket) -> c_int); 4] = [
        (
            option::REUSEABLE,
            socket::evutil_make_listen_socket_reuseable,
        ),
        (
            option::REUSEABLE_PORT,
            socket::evutil_make_listen_socket_reuseable_port,
        ),
        (
            option::DEFERRED_ACCEPT,
            socket::evutil_make_tcp_listen_socket_deferred,
        ),
        (option::V6_ONLY, socket::evutil_make_listen_socket_ipv6only),
    ];
    let alive = system::set_option(fd, system::SOL_SOCKET, system::SO_KEEPALIVE, 1) == 0;
    let set = settings
        .iter()
        .all(|(flag, set)| flags & flag == 0 || set(fd) == 0);
    (alive && set).then_some(())
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_free(listener: Listener) {
    listener.lock();
    listener.set_on_accept(None);
    listener.set_on_error(None);
    listener.release();
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_enable(listener: Listener) -> c_int {
    listener.lock();
    let outcome = listener.enable();
    listener.unlock();
    if outcome { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_disable(listener: Listener) -> c_int {
    listener.lock();
    listener.set_enabled(false);
    listener.stop();
    listener.unlock();
    0
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_get_base(listener: Listener) -> Option<Base> {
    listener.event().base()
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_get_fd(listener: Listener) -> Socket {
    listener.fd()
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_set_cb(
    listener: Listener,
    on_accept: Option<AcceptFn>,
    argument: *mut c_void,
) {
    listener.lock();
    let waits = listener.enabled() && listener.on_accept().is_none();
    listener.set_on_accept(on_accept);
    listener.set_argument(argument);
    if waits {
        listener.enable();
    }
    listener.unlock();
}

#[unsafe(no_mangle)]
extern "C" fn evconnlistener_set_error_cb(listener: Listener, on_error: Option<ErrorFn>) {
    listener.lock();
    listener.set_on_error(on_error);
    listener.unlock();
}
