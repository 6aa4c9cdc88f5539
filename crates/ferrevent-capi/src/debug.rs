//! Debug mode: every event is looked up before it is used, and an event that
//! was never assigned, or is assigned while it is added, ends the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::event::Ev;
use crate::log;
use crate::system::{self, Socket};

static ON: AtomicBool = AtomicBool::new(false);
static TOO_LATE: AtomicBool = AtomicBool::new(false);
/// Whether each event that was assigned is added.
static EVENTS: LazyLock<Mutex<HashMap<usize, bool>>> = LazyLock::new(Mutex::default);

/// The mode as it is found by whoever makes an event or a base: afterwards it
/// cannot be turned on any more.
#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

pub(crate) fn no_more() {
    TOO_LATE.store(true, Ordering::Relaxed);
}

pub(crate) fn assigned(ev: Ev) {
    no_more();
    when_on(|| {
        events().insert(ev.address(), false);
    });
}

pub(crate) fn gone(ev: Ev) {
    when_on(|| {
        events().remove(&ev.address());
    });
}

#[inline(always)]
pub(crate) fn added(ev: Ev, is_added: bool) {
    when_on(|| {
        if let Some(added) = events().get_mut(&ev.address()) {
            *added = is_added;
        }
    });
}

#[inline(always)]
pub(crate) fn demand_assigned(ev: Ev, what: &str) {
    when_on(|| {
        if !events().contains_key(&ev.address()) {
            refuse(what, "that was never assigned", ev);
        }
    });
}

#[inline(always)]
pub(crate) fn demand_not_added(ev: Ev, what: &str) {
    when_on(|| {
        if events().get(&ev.address()) == Some(&true) {
            refuse(what, "that is added already", ev);
        }
    });
}

/// Mostly the mode is off, and what it takes is out of the way.
#[inline(always)]
fn when_on(look: impl FnOnce()) {
    #[cold]
    #[inline(never)]
    fn look_now(look: impl FnOnce()) {
        look();
    }
    if is_on() {
        look_now(look);
    }
}

/// The descriptor of an event must not block.
#[inline(always)]
pub(crate) fn demand_nonblocking(fd: Socket) {
    if is_on() && fd >= 0 {
        look_at_descriptor(fd);
    }
}

#[cold]
fn look_at_descriptor(fd: Socket) {
    if system::is_nonblocking(fd) == Some(false) {
        log::fatal(
            log::ABORT,
            format_args!("an event is assigned descriptor {fd}, which blocks"),
        );
    }
}

pub(crate) fn forget_all() {
    events().clear();
}

fn refuse(what: &str, why: &str, ev: Ev) -> ! {
    log::fatal(
        log::ABORT,
        format_args!(
            "{what} was called with an event {why}: {:#x} (events {:#x}, descriptor {}, flags {:#x})",
            ev.address(),
            ev.events(),
            ev.fd(),
            ev.flags()
        ),
    )
}

fn events() -> MutexGuard<'static, HashMap<usize, bool>> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
extern "C" fn event_enable_debug_mode() {
    if is_on() {
        log::fatal(1, "event_enable_debug_mode was called twice");
    }
    if TOO_LATE.load(Ordering::Relaxed) {
        log::fatal(
            1,
            "event_enable_debug_mode must be called before any event or base is made",
        );
    }
    ON.store(true, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn event_disable_debug_mode() {
    ON.store(false, Ordering::Relaxed);
    events().clear();
}

#[unsafe(no_mangle)]
extern "C" fn event_debug_unassign(ev: Option<Ev>) {
    if let Some(ev) = ev {
        demand_not_added(ev, "event_debug_unassign");
        gone(ev);
        ev.set_flags(ev.flags() & !crate::event::flag::INIT);
    }
}
