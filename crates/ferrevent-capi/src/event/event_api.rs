//! The functions of `event2/event.h` that are about an event.

use std::ffi::{c_int, c_short, c_void};
use std::mem::MaybeUninit;

use super::add::{Blocking, Until};
use super::compat::CURRENT;
use super::{Base, Ev, closure, flag, what};
use crate::layout::{Event, EventFn};
use crate::system::{Socket, timeval};
use crate::{debug, log, memory, time};

/// Its place is what `event_self_cbarg` answers.
static SELF: u8 = 0;

/// Makes an event out of room for one.
pub(super) fn assign(
    ev: Ev,
    base: Option<Base>,
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
) -> c_int {
    if events & what::SIGNAL == 0 {
        debug::demand_nonblocking(fd);
    }
    debug::demand_not_added(ev, "event_assign");
    let base = base.or_else(|| CURRENT.load());
    // SAFETY: room for an event, see `Ev`; what was there is not read.
    unsafe { ev.room().write(Event::BLANK) };
    ev.set_base(base);
    ev.set_function(function);
    let itself = argument.cast_const() == (&raw const SELF).cast();
    ev.set_argument(if itself {
        ev.room().as_ptr().cast()
    } else {
        argument
    });
    ev.set_fd(fd);
    ev.set_events(events);
    ev.set_flags(flag::INIT);
    if events & what::SIGNAL != 0 {
        if events & what::IO != 0 {
            log::warn("an event cannot wait for a signal and for a descriptor");
            return -1;
        }
        ev.set_closure(closure::SIGNAL);
    } else if events & what::PERSIST != 0 {
        ev.set_closure(closure::PERSIST);
    }
    if let Some(base) = base {
        let middle = base.hold().active.len() / 2;
        ev.set_priority(u8::try_from(middle).unwrap_or(u8::MAX));
    }
    debug::assigned(ev);
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_self_cbarg() -> *mut c_void {
    (&raw const SELF).cast_mut().cast()
}

#[unsafe(no_mangle)]
extern "C" fn event_assign(
    ev: Option<Ev>,
    base: Option<Base>,
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
) -> c_int {
    ev.map_or(-1, |ev| assign(ev, base, fd, events, function, argument))
}

#[unsafe(no_mangle)]
extern "C" fn event_new(
    base: Option<Base>,
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
) -> Option<Ev> {
    let ev = Ev::from_room(memory::place(Event::BLANK)?);
    if assign(ev, base, fd, events, function, argument) == 0 {
        return Some(ev);
    }
    // SAFETY: made above, and nobody else's yet.
    unsafe { memory::displace(ev.room()) };
    None
}

#[unsafe(no_mangle)]
extern "C" fn event_free(ev: Option<Ev>) {
    let Some(ev) = ev else { return };
    debug::demand_assigned(ev, "event_free");
    delete(ev, Blocking::Auto);
    debug::gone(ev);
    // SAFETY: made by `event_new`, and deleted: the program's promise.
    unsafe { memory::displace(ev.room()) };
}

#[unsafe(no_mangle)]
extern "C" fn event_add(ev: Option<Ev>, timeout: Option<&timeval>) -> c_int {
    let Some((ev, base)) = with_base(ev, "event_add") else {
        return -1;
    };
    debug::demand_assigned(ev, "event_add");
    base.hold().add(ev, timeout.copied().map(Until::After))
}

#[unsafe(no_mangle)]
extern "C" fn event_remove_timer(ev: Option<Ev>) -> c_int {
    let Some((ev, base)) = with_base(ev, "event_remove_timer") else {
        return -1;
    };
    let mut held = base.hold();
    if ev.is(flag::TIMEOUT) {
        held.stop_timer(ev);
        ev.set_interval(time::timeval_of(0));
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_del(ev: Option<Ev>) -> c_int {
    ev.map_or(-1, |ev| delete(ev, Blocking::Auto))
}

#[unsafe(no_mangle)]
extern "C" fn event_del_block(ev: Option<Ev>) -> c_int {
    ev.map_or(-1, |ev| delete(ev, Blocking::Yes))
}

#[unsafe(no_mangle)]
extern "C" fn event_del_noblock(ev: Option<Ev>) -> c_int {
    ev.map_or(-1, |ev| delete(ev, Blocking::No))
}

pub(super) fn delete(ev: Ev, blocking: Blocking) -> c_int {
    let Some((ev, base)) = with_base(Some(ev), "event_del") else {
        return -1;
    };
    debug::demand_assigned(ev, "event_del");
    base.hold().delete(ev, blocking)
}

#[unsafe(no_mangle)]
extern "C" fn event_active(ev: Option<Ev>, result: c_int, calls: c_short) {
    if let Some((ev, base)) = with_base(ev, "event_active") {
        debug::demand_assigned(ev, "event_active");
        base.hold().activate_now(ev, result as c_short, calls);
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_pending(
    ev: Option<Ev>,
    events: c_short,
    timeout: Option<&mut MaybeUninit<timeval>>,
) -> c_int {
    let Some((ev, base)) = with_base(ev, "event_pending") else {
        return 0;
    };
    debug::demand_assigned(ev, "event_pending");
    let held = base.hold();
    let mut pending = 0;
    if ev.is(flag::INSERTED) {
        pending |= ev.events() & (what::IO | what::SIGNAL);
    }
    if ev.is(flag::ACTIVE | flag::ACTIVE_LATER) {
        pending |= ev.result();
    }
    if ev.is(flag::TIMEOUT) {
        pending |= what::TIMEOUT;
    }
    let pending = pending & events & (what::TIMEOUT | what::IO | what::SIGNAL);
    if let Some(timeout) = timeout
        && pending & what::TIMEOUT != 0
    {
        timeout.write(held.real_of(time::micros_of(ev.timeout())));
    }
    pending.into()
}

#[unsafe(no_mangle)]
extern "C" fn event_initialized(ev: Option<Ev>) -> c_int {
    ev.is_some_and(|ev| ev.is(flag::INIT)).into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_priority_set(ev: Option<Ev>, priority: c_int) -> c_int {
    let Some((ev, base)) = with_base(ev, "event_priority_set") else {
        return -1;
    };
    debug::demand_assigned(ev, "event_priority_set");
    let priorities = base.hold().active.len();
    match u8::try_from(priority) {
        Ok(priority) if usize::from(priority) < priorities && !ev.is(flag::ACTIVE) => {
            ev.set_priority(priority);
            0
        }
        _ => -1,
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_set(base: Option<Base>, ev: Option<Ev>) -> c_int {
    let (Some(base), Some(ev)) = (base, ev) else {
        return -1;
    };
    // Only one that is nowhere can change its base.
    if ev.flags() != flag::INIT {
        return -1;
    }
    debug::demand_assigned(ev, "event_base_set");
    ev.set_base(Some(base));
    let middle = base.hold().active.len() / 2;
    ev.set_priority(u8::try_from(middle).unwrap_or(u8::MAX));
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_get_fd(ev: Ev) -> Socket {
    debug::demand_assigned(ev, "event_get_fd");
    ev.fd()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_base(ev: Ev) -> Option<Base> {
    debug::demand_assigned(ev, "event_get_base");
    ev.base()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_events(ev: Ev) -> c_short {
    debug::demand_assigned(ev, "event_get_events");
    ev.events()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_callback(ev: Ev) -> Option<EventFn> {
    debug::demand_assigned(ev, "event_get_callback");
    ev.function()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_callback_arg(ev: Ev) -> *mut c_void {
    debug::demand_assigned(ev, "event_get_callback_arg");
    ev.argument()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_priority(ev: Ev) -> c_int {
    debug::demand_assigned(ev, "event_get_priority");
    ev.priority().into()
}

#[unsafe(no_mangle)]
extern "C" fn event_get_assignment(
    ev: Ev,
    base: Option<&mut MaybeUninit<Option<Base>>>,
    fd: Option<&mut MaybeUninit<Socket>>,
    events: Option<&mut MaybeUninit<c_short>>,
    function: Option<&mut MaybeUninit<Option<EventFn>>>,
    argument: Option<&mut MaybeUninit<*mut c_void>>,
) {
    debug::demand_assigned(ev, "event_get_assignment");
    fn tell<T>(place: Option<&mut MaybeUninit<T>>, value: T) {
        if let Some(place) = place {
            place.write(value);
        }
    }
    tell(base, ev.base());
    tell(fd, ev.fd());
    tell(events, ev.events());
    tell(function, ev.function());
    tell(argument, ev.argument());
}

#[unsafe(no_mangle)]
extern "C" fn event_get_struct_event_size() -> usize {
    size_of::<Event>()
}

/// An event and its base; a warning when it has none.
#[inline(always)]
fn with_base(ev: Option<Ev>, what: &str) -> Option<(Ev, Base)> {
    let found = ev.and_then(|ev| Some((ev, ev.base()?)));
    if found.is_none() {
        warn_of_no_base(what);
    }
    found
}

#[cold]
fn warn_of_no_base(what: &str) {
    log::warn(format_args!("{what}: the event has no base"));
}
