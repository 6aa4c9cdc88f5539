//! Sockets that questions come to.

use std::collections::VecDeque;
use std::ffi::{c_int, c_short, c_void};
use std::io;
use std::ptr::NonNull;

use super::message::{self, flag};
use super::request::{Asker, NOT_IMPLEMENTED, Request};
use crate::event::{Base, what};
use crate::layout::fields;
use crate::shared::{Handle, Shared};
use crate::system::{self, Length, Socket, sockaddr_storage};
use crate::thread::Lock;
use crate::util::socket;
use crate::{debug, memory, time};

/// A question has come: the request, argument.
type RequestFn = unsafe extern "C" fn(Request, *mut c_void);

/// `struct evdns_server_port`.
pub(super) struct Inner {
    /// There is a reference for the program, one for each request, and one
    /// while it reads.
    shared: Shared,
    fd: Socket,
    function: RequestFn,
    argument: *mut c_void,
    /// The program has closed it: nobody asks any more.
    closing: bool,
    /// Requests whose answers the kernel has not taken yet.
    waiting: VecDeque<Request>,
}

/// A port that the program has not closed, or that has requests.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Port(NonNull<Inner>);

/// The longest question that is read.
const LONGEST: usize = 1500;
/// So many are read before others have their turn.
const MOST_AT_ONCE: usize = 64;

impl Port {
    fields! {
        fd, set_fd: Socket = fd;
        function, set_function: RequestFn = function;
        argument, set_argument: *mut c_void = argument;
        closing, set_closing: bool = closing;
    }

    /// Works on the requests that wait, with the lock held.
    fn waiting<R>(self, work: impl FnOnce(&mut VecDeque<Request>) -> R) -> R {
        // SAFETY: it is there; only who holds the lock has a reference, and no
        // longer than this, where the program is not called.
        work(unsafe { &mut (*self.0.as_ptr()).waiting })
    }

    /// Waits for questions as long as it is open, and for room for answers as
    /// long as some wait.
    fn watch(self) {
        let mut events = what::PERSIST;
        if !self.closing() {
            events |= what::READ;
        }
        if self.waiting(|it| !it.is_empty()) {
            events |= what::WRITE;
        }
        let ev = self.event();
        if ev.events() == events {
            return;
        }
        ev.stop();
        ev.set_events(events);
        if events & what::IO != 0 && !ev.start(time::timeval_of(0)) {
            super::warn(format_args!(
                "descriptor {} of a DNS server cannot be waited for",
                self.fd()
            ));
        }
    }

    /// Sends the answer of a request, or keeps the request until it can; false
    /// in the latter case.
    pub(super) fn send_or_keep(self, request: Request) -> bool {
        // Those that came first are first.
        if self.waiting(|it| it.is_empty()) && request.send(self.fd()).is_ok() {
            return true;
        }
        self.waiting(|it| it.push_back(request));
        self.watch();
        false
    }

    /// A request's answer will not be sent.
    pub(super) fn forget(self, request: Request) {
        self.waiting(|it| it.retain(|other| *other != request));
        self.watch();
    }

    /// Sends answers that wait, as long as the kernel takes them.
    fn flush(self) {
        while let Some(request) = self.waiting(|it| it.front().copied()) {
            if let Err(error) = request.send(self.fd()) {
                if may_pass(&error) {
                    return;
                }
                super::warn(format_args!(
                    "an answer is dropped that descriptor {} of a DNS server cannot send: {error}",
                    self.fd()
                ));
            }
            self.waiting(|it| it.pop_front());
            request.displace();
            self.forgo();
        }
        self.watch();
    }

    /// Gives what has come to the program.
    fn read(self) {
        for _ in 0..MOST_AT_ONCE {
            if self.closing() {
                return;
            }
            let mut room = [0; LONGEST];
            match receive(self.fd(), &mut room) {
                Ok((question, asker)) => self.take(question, asker),
                Err(error) => {
                    if !may_pass(&error) {
                        super::warn(format_args!(
                            "descriptor {} of a DNS server cannot be read: {error}",
                            self.fd()
                        ));
                    }
                    return;
                }
            }
        }
    }

    fn take(self, question: &[u8], asker: Asker) {
        let Some(asked) = message::read(question) else {
            return;
        };
        let is_query = asked.flags & flag::OPCODE == 0;
        let Some(request) = Request::new(self, asked, asker) else {
            return;
        };
        self.refer();
        if !is_query {
            request.respond(NOT_IMPLEMENTED);
            return;
        }
        let (call, argument) = (self.function(), self.argument());
        self.unlock();
        // SAFETY: what the program has given to be called now.
        unsafe { call(request, argument) };
        self.lock();
    }
}

impl Handle for Port {
    fn of_argument(argument: NonNull<c_void>) -> Self {
        Self(argument.cast())
    }

    fn shared(self) -> NonNull<Shared> {
        // SAFETY: a field of what is there.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).shared) }
    }

    fn close(self) {
        self.event().stop();
        socket::evutil_closesocket(self.fd());
    }

    fn displace(self) {
        // SAFETY: made by `evdns_add_server_port_with_base`, and nobody refers
        // to it any more.
        unsafe { memory::displace(self.0) };
    }
}

/// Receives a datagram, and who has sent it.
fn receive(fd: Socket, room: &mut [u8; LONGEST]) -> io::Result<(&[u8], Asker)> {
    // SAFETY: an address of zeros is one.
    let mut address: sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = size_of::<sockaddr_storage>() as Length;
    let got = system::receive_from(fd, room, &mut address, &mut length);
    let Ok(got) = usize::try_from(got) else {
        return Err(system::last());
    };
    let asker = Asker { address, length };
    Ok((&room[..got], asker))
}

fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}

unsafe extern "C" fn ready(_: Socket, events: c_short, port: *mut c_void) {
    let Some(port) = NonNull::new(port.cast()).map(Port) else {
        return;
    };
    port.lock();
    // It is over, and only its finalizer is still to come.
    if port.references() == 0 {
        return port.unlock();
    }
    port.refer();
    if events & what::WRITE != 0 {
        port.flush();
    }
    if events & what::READ != 0 {
        port.read();
    }
    port.release();
}

/// The descriptor is the library's to close when it answers a port.
#[unsafe(no_mangle)]
extern "C" fn evdns_add_server_port_with_base(
    base: Option<Base>,
    fd: Socket,
    flags: c_int,
    function: Option<RequestFn>,
    argument: *mut c_void,
) -> Option<Port> {
    // None are known.
    if flags != 0 {
        return None;
    }
    let function = function?;
    let made = memory::place(Inner {
        shared: Shared::new(Lock::recursive()?),
        fd,
        function,
        argument,
        closing: false,
        waiting: VecDeque::new(),
    });
    let port = Port(made?);
    let ev = port.event();
    ev.prepare(
        base,
        fd,
        what::READ | what::PERSIST,
        ready,
        port.0.as_ptr().cast(),
    );
    if ev.start(time::timeval_of(0)) {
        return Some(port);
    }
    debug::gone(ev);
    port.displace();
    None
}

#[unsafe(no_mangle)]
extern "C" fn evdns_add_server_port(
    fd: Socket,
    flags: c_int,
    function: Option<RequestFn>,
    argument: *mut c_void,
) -> Option<Port> {
    evdns_add_server_port_with_base(None, fd, flags, function, argument)
}

/// Requests that are not answered keep it, and its descriptor.
#[unsafe(no_mangle)]
extern "C" fn evdns_close_server_port(port: Option<Port>) {
    let Some(port) = port else { return };
    port.lock();
    port.set_closing(true);
    port.watch();
    port.release();
}
