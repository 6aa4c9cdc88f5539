//! Bufferevents over a descriptor.

use std::ffi::{c_int, c_short, c_void};
use std::io;
use std::net::SocketAddr;

use ferrevent::buffer::End;
use ferrevent_core::limit::Direction;

use super::callbacks::{errno, set_errno};
use super::{Bev, Direct, Kind, option, rest, told};
use crate::event::{Base, what};
use crate::system::{self, Socket};

const IO_EVENTS: c_short = what::PERSIST | what::FINALIZE;

impl Bev {
    pub(super) fn fd(self) -> Socket {
        self.read_event().fd()
    }

    /// Has it read from this descriptor and write to it, when it is connected
    /// to a peer if there is one.
    fn assign(self, fd: Socket, peer: Option<SocketAddr>) {
        let argument = self.as_argument();
        self.read_event()
            .prepare(self.base(), fd, what::READ | IO_EVENTS, readable, argument);
        self.write_event()
            .prepare(self.base(), fd, what::WRITE | IO_EVENTS, writable, argument);
        // SAFETY: it is there, and no reference is kept.
        unsafe { (*self.own()).direct = Direct::Unknown };
        self.move_bytes(peer);
    }

    pub(super) fn reassign(self, fd: Socket, peer: Option<SocketAddr>) {
        self.read_event().stop();
        self.write_event().stop();
        self.input().set_frozen(End::Back, false);
        self.output().set_frozen(End::Front, false);
        self.stop_moving();
        self.assign(fd, peer);
        if fd >= 0 {
            self.enable(self.enabled());
        }
    }

    pub(super) fn enable_socket(self, events: c_short) -> bool {
        if events & what::READ != 0 && !self.read_event().start(self.read_timeout()) {
            return false;
        }
        events & what::WRITE == 0 || self.write_event().start(self.write_timeout())
    }

    pub(super) fn disable_socket(self, events: c_short) {
        if events & what::READ != 0 {
            self.read_event().stop();
        }
        // It is by this event that it finds out that it is connected.
        if events & what::WRITE != 0 && !self.connecting() {
            self.write_event().stop();
        }
    }

    pub(super) fn socket_timeouts_changed(self) -> bool {
        let mut outcome = true;
        for (ev, events, timeout) in [
            (self.read_event(), what::READ, self.read_timeout()),
            (self.write_event(), what::WRITE, self.write_timeout()),
        ] {
            if ev.is_pending(events) {
                if crate::time::micros_of(timeout) > 0 {
                    outcome &= ev.start(timeout);
                } else {
                    ev.stop_timeout();
                }
            }
        }
        outcome
    }

    /// Bytes were added: they are written before the turn ends, unless the
    /// kernel has to be waited for.
    #[inline]
    pub(super) fn output_changed(self, added: usize) {
        if added == 0 || self.enabled() & what::WRITE == 0 || self.write_rests() != 0 {
            return;
        }
        let ev = self.write_event();
        if self.is_direct() {
            ev.attempt(what::WRITE, self.wrote_in());
        } else if !ev.is_pending(what::WRITE) {
            ev.start(self.write_timeout());
        }
    }

    /// Whether a write may be tried at any time: the descriptor does not block.
    fn is_direct(self) -> bool {
        if self.stream().is_some() {
            return !self.connecting();
        }
        // SAFETY: it is there, and nobody is called meanwhile.
        let direct = unsafe { &mut (*self.own()).direct };
        if *direct == Direct::Unknown {
            *direct = if system::is_nonblocking(self.fd()) == Some(true) {
                Direct::Yes
            } else {
                Direct::No
            };
        }
        *direct == Direct::Yes && !self.connecting()
    }

    fn read(self, events: c_short) {
        if events == what::TIMEOUT {
            self.fail(what::READ, told::READING | told::TIMEOUT);
            return;
        }
        let mut most = self.most_received();
        let high = self.read_marks().high;
        if high != 0 {
            let room = high.saturating_sub(self.input().len());
            if room == 0 {
                self.rest_reading(rest::MARK);
                return;
            }
            most = most.min(room);
        }
        if self.read_rests() != 0 {
            return;
        }
        if self.connecting() && self.stream().is_some() {
            return;
        }
        let most = self.may_move(Direction::Read, most);
        if most == 0 {
            return;
        }
        let outcome = self.receive(most);
        self.moved(Direction::Read, *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => self.fail(what::READ, told::READING | told::EOF),
            Ok(_) => self.trigger(what::READ, 0),
            Err(error) if is_passing(&error) => {}
            Err(error) if error.raw_os_error() == Some(system::ECONNREFUSED) => {
                self.set_refused(true);
            }
            Err(error) => {
                set_error(&error);
                self.fail(what::READ, told::READING | told::ERROR);
            }
        }
    }

    fn write(self, events: c_short) {
        if events == what::TIMEOUT {
            self.fail(what::WRITE, told::WRITING | told::TIMEOUT);
            return;
        }
        let mut connected = false;
        if self.connecting() {
            match self.find_connected() {
                Some(true) => connected = true,
                Some(false) | None => return,
            }
        }
        if self.write_rests() != 0 {
            return;
        }
        if let Some(stream) = self.stream() {
            return self.write_moved(stream, connected);
        }
        let ev = self.write_event();
        let length = self.output().len();
        let mut written = 0;
        if length > 0 {
            if let Some(base) = self.base() {
                self.set_wrote_in(base.turn());
            }
            let most = self.most_written().min(length);
            let most = self.may_move(Direction::Write, most);
            if most == 0 {
                return;
            }
            let outcome = self.output().send(self.fd(), most);
            self.moved(Direction::Write, *outcome.as_ref().unwrap_or(&0));
            match outcome {
                Ok(0) => return self.fail(what::WRITE, told::WRITING | told::EOF),
                Ok(sent) => {
                    written = sent;
                    self.go_on_writing(sent == most);
                }
                Err(error) if is_passing(&error) => return self.go_on_writing(false),
                Err(error) => {
                    set_error(&error);
                    return self.fail(what::WRITE, told::WRITING | told::ERROR);
                }
            }
        } else {
            ev.stop();
        }
        if written > 0 || !connected {
            self.trigger(what::WRITE, 0);
        }
    }

    /// Waits for the kernel if it has not taken everything, or comes back for
    /// the rest in the next turn.
    pub(super) fn go_on_writing(self, took_all: bool) {
        let ev = self.write_event();
        if self.output().len() == 0 {
            ev.stop();
        } else if took_all {
            ev.attempt(what::WRITE, self.wrote_in());
        } else if !ev.is_pending(what::WRITE) {
            ev.start(self.write_timeout());
        }
    }

    /// Ends one direction, and tells why.
    pub(super) fn fail(self, direction: c_short, why: c_short) {
        let error = errno();
        self.disable(direction);
        set_errno(error);
        self.tell(why, 0);
    }

    pub(super) fn close(self) {
        self.stop_moving();
        let fd = self.fd();
        if self.has(option::CLOSE_ON_FREE) && fd >= 0 {
            system::close(fd);
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The program looks for the error where C has it.
pub(super) fn set_error(error: &io::Error) {
    if let Some(error) = error.raw_os_error() {
        set_errno(error);
    }
}

unsafe extern "C" fn readable(_: Socket, events: c_short, bev: *mut c_void) {
    // SAFETY: the argument of its own event.
    let bev = unsafe { Bev::of_argument(bev) };
    let _held = bev.hold();
    bev.read(events);
}

unsafe extern "C" fn writable(_: Socket, events: c_short, bev: *mut c_void) {
    // SAFETY: as above.
    let bev = unsafe { Bev::of_argument(bev) };
    let _held = bev.hold();
    bev.write(events);
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn bufferevent_socket_new(
    base: Option<Base>,
    fd: Socket,
    options: c_int,
) -> Option<Bev> {
    let bev = Bev::new(base, Kind::Socket, options)?;
    bev.assign(fd, None);
    bev.freeze();
    Some(bev)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_base_set(base: Option<Base>, bev: Bev) -> c_int {
    let _held = bev.hold();
    if bev.kind() != Kind::Socket {
        return -1;
    }
    bev.stop_moving();
    bev.set_base(base);
    for ev in [bev.read_event(), bev.write_event()] {
        if !ev.move_to(base) {
            return -1;
        }
    }
    bev.limits_move_to(base);
    bev.move_bytes(None);
    0
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_setfd(bev: Bev, fd: Socket) -> c_int {
    let _held = bev.hold();
    match (bev.kind(), bev.other()) {
        (Kind::Socket, _) => {
            bev.reassign(fd, None);
            0
        }
        (Kind::Filter, Some(below)) => bufferevent_setfd(below, fd),
        _ => -1,
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn bufferevent_getfd(bev: Bev) -> Socket {
    let _held = bev.hold();
    match (bev.kind(), bev.other()) {
        (Kind::Socket, _) => bev.fd(),
        (Kind::Filter, Some(below)) => bufferevent_getfd(below),
        _ => -1,
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_priority_set(bev: Bev, priority: c_int) -> c_int {
    let _held = bev.hold();
    if bev.kind() != Kind::Socket {
        return -1;
    }
    let set = [bev.read_event(), bev.write_event()]
        .into_iter()
        .all(|ev| ev.set_urgency(priority));
    if !set {
        return -1;
    }
    if let Some(deferred) = bev.rare(|it| it.deferred).flatten() {
        deferred.set_urgency(priority);
    }
    bev.set_urgency_of_turns(priority);
    0
}
